"""Flipped bits in a board and behind AXI: nothing hangs, and what comes after them is right."""

import json
import shlex
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from common import CACHE
from test_axi import TOP, packets

from campaigns import faults, flips
from campaigns.flip_choice import Flip, is_constant
from campaigns.flipped_designs import Outcome
from campaigns.flipped_weights import accuracies, flip_weights
from campaigns.tops import board_network
from sc_neurocore import golden, host
from sc_neurocore.cosim import simulation, virtual_board
from sc_neurocore.datasets import digits
from sc_neurocore.gateware.axi_top import AxiTop
from sc_neurocore.results import differences
from sc_neurocore.storage import load_network
from sc_neurocore.verilog import component_text

NETWORK, SPEC = board_network()
IMAGES = np.random.default_rng(3).integers(0, 256, (40, NETWORK.n_input))


def named(states, module, name):
    return next(state for state in states if state.module == module and state.name == name)


@pytest.fixture(scope="module")
def board():
    """The program of a board whose bits can be flipped, and its state."""
    text, states = flips.insert(virtual_board.board_text(NETWORK, SPEC), virtual_board.TOP)
    return virtual_board.compile_board(text, CACHE), states


def run(program, flip):
    with (virtual_board.VirtualBoard(program, plusargs=flip.arguments) as running,
          host.open(running.port, NETWORK, timeout=0.5) as opened):
        return opened.run(IMAGES), opened.run(IMAGES[:9]), opened.activity, opened.status


def test_a_board_that_stopped_restarts_itself(board):
    """A fold more or less, and the accelerator waits for words that never come."""
    program, states = board
    fold = named(states, "board.accelerator.replay_1", "fold")
    restarts = 0
    # How far the board is in a cycle depends on the host: every second or third flip stops it.
    for cycle in range(20_000, 24_500, 75):
        first, second, activity, status = run(program, Flip(fold, 0, 0, cycle))
        wrong = {line.split(",")[0] for line in differences(first, golden.run(NETWORK, IMAGES))}
        assert len(wrong) <= 2, wrong
        assert not differences(second, golden.run(NETWORK, IMAGES[:9]))
        restarts += status["restarts"]
        told = "the board reports that it stood still and restarted itself"
        assert activity.faults[told] <= status["restarts"]
        if restarts >= 2:
            break
    assert restarts >= 2


def test_an_answer_that_is_cut_spoils_no_other(board):
    """An answer that becomes one of another kind in its middle ends, and the next one is whole."""
    program, states = board
    kind = named(states, "board.link.answers", "kind")
    noticed = 0
    # The status that the host asks for first, whenever it came.
    for cycle in range(1_000, 4_800, 150):
        _, second, activity, _ = run(program, Flip(kind, 1, 0, cycle))
        assert not differences(second, golden.run(NETWORK, IMAGES[:9]))
        noticed += activity.faults.total()
    assert noticed >= 8


@pytest.mark.parametrize(("module", "name", "bit"), [
    ("buffer", "head", 7), ("buffer", "kept", 7), ("images", "transfer", 0)])
def test_bytes_of_other_images_are_noticed_before_there_is_a_result(board, module, name, bit):
    """Four whole images that it had before, say, and the host never lets the buffer be empty."""
    program, states = board
    first, second, _, status = run(program, Flip(named(states, f"board.link.{module}", name), bit,
                                                 0, 30_000))
    assert not differences(first, golden.run(NETWORK, IMAGES))
    assert not differences(second, golden.run(NETWORK, IMAGES[:9]))
    assert status["restarts"] == 1


@pytest.mark.slow
def test_a_board_that_owes_results_nobody_asked_for_can_be_loaded(tmp_path):
    """Up to 192 of them, which it sends before it takes any more parameters."""
    design = faults.designs(tmp_path)["board, loaded"]()
    answered = named(design.states, "board.link.answers", "answered")
    for cycle in (12_000, 22_000, 31_745):
        outcome = design.run(Flip(answered, 6, 0, cycle))
        assert outcome.outcome == "right", outcome
        assert outcome.heals


def test_no_flipped_bit_hangs_the_board(board):
    program, states = board
    random = np.random.default_rng(7)
    for state in (states[number] for number in random.choice(len(states), 15, replace=False)):
        flip = Flip(state, int(random.integers(state.width)),
                           int(random.integers(state.rows)), int(random.integers(15_000, 40_000)))
        _, second, _, _ = run(program, flip)
        wrong = differences(second, golden.run(NETWORK, IMAGES[:9]))
        assert not wrong or is_constant(state, flip.row), flip


@pytest.mark.parametrize(("design", "module", "name", "rows", "is_fault"), [
    ("board", "board.link.answers", "kind", 1, True),
    ("board", "board.link.buffer", "tail", 1, True),
    ("board, loaded", "board.link.buffer", "tail", 1, False),
    ("board, loaded", "board.link", "memory", 8, False),
    ("board, loaded", "board.accelerator.layer_0.weight_memory.rows", "rows_0", 8, False),
    ("accelerator, 2 lanes", "accelerator.layer_0", "round", 1, False)])
def test_what_stays_wrong_is_a_fault_where_it_need_not(design, module, name, rows, is_fault):
    flip = Flip(flips.State(1, module, name, 4, rows), 0, 0, 9)
    outcome = Outcome(design, flip.group, flip, "right", 4, 0, 0, heals=False)
    assert faults.is_fault(outcome) == is_fault
    assert not faults.is_fault(replace(outcome, heals=True))
    assert faults.is_fault(replace(outcome, outcome="hangs")) == faults.has_watchdog(design)
    assert f"--design {shlex.quote(design)} --flip 1 0 0 9" in faults.again(outcome)


def test_bits_of_weights_are_flipped_where_they_are_said_to_be():
    first, second = NETWORK.layers
    end = first.weights.size * first.weight_width
    for place, layer, weight, step in [(0, 0, 0, 1), (end - 1, 0, -1, 2**(first.weight_width - 1)),
                                       (end + second.weight_width + 2, 1, 1, 4)]:
        changes = [new.weights.astype(int) - old.weights for new, old in zip(
            flip_weights(NETWORK, np.array([place])).layers, NETWORK.layers, strict=True)]
        assert abs(changes[layer].flat[weight]) == step
        assert sum(np.count_nonzero(change) for change in changes) == 1


def test_many_flipped_bits_of_weights_cost_accuracy():
    network, images = load_network(faults.REFERENCE), digits()
    found = accuracies(network, network.intensities(images.test_images[:100]),
                       images.test_labels[:100], counts=(1, 300), seeds=2)
    assert found.whole > 85
    few, many = found.flipped.mean(1)
    assert found.whole - 5 < few
    assert many < found.whole - 10
    assert found.places[-1].mean() <= found.places[0].mean()
    assert "| 300 of 4736, anywhere |" in found.table()


def test_flips_are_where_they_are_said_to_be():
    text = "module top(clk);\n  input clk;\n  reg [2:0] count = 3'h0;\n" \
           "  reg [7:0] rows [15:0];\n  always @(posedge clk)\n    count <= \\$1 ;\n" \
           "  always @(posedge clk) begin\n    if (go)\n      rows[count] <= data;\n  end\n" \
           "endmodule\n"
    new, states = flips.insert(text, "top")
    assert [(state.name, state.width, state.rows) for state in states] == [
        ("count", 3, 1), ("rows", 8, 16)]
    assert "count <= (\\$1 ) ^ (top.flip_register == 1 ? 3'd1 << top.flip_bit : 3'd0);" in new
    assert "if (top.flip_register == 2) rows[top.flip_row] <= rows[top.flip_row] ^" in new


def test_flips_of_what_yosys_has_optimized():
    text = "module top(clk);\n  input clk;\n  reg [2:0] count = 3'h0;\n  reg [1:0] ends;\n" \
           "  always @(posedge clk)\n    if (rst) count <= 3'h0;\n    else if (go)\n" \
           "      if (up) count <= \\$1 ;\n      else count <= 3'h1;\n" \
           "  always @(posedge clk)\n    if (go) ends[0] <= a;\n" \
           "  always @(posedge clk)\n    ends[1] <= b;\nendmodule\n"
    new, states = flips.insert(text, "top")
    assert [(state.name, state.width) for state in states] == [("count", 3), ("ends", 2)]
    assert new.count("    if (top.flip_register == 1) count <= count ^") == 1
    assert new.count("    if (top.flip_register == 2) ends <= ends ^") == 2
    assert "    else if (go)\n      if (up)\n      count <= \\$1 ;\n" in new


def test_a_register_that_cannot_be_flipped_is_told():
    text = "module top(clk);\n  reg count;\n  always @(posedge clk) case (a)\n" \
           "    1: count <= b;\n  endcase\nendmodule\n"
    with pytest.raises(ValueError, match=r"^top: registers must be .*, not count$"):
        flips.insert(text, "top")


@pytest.mark.slow
def test_axi_gives_a_packet_for_each_image(tmp_path):
    """A result of each packet, whatever is flipped in the accelerator, and right ones after it."""
    text, states = flips.insert(component_text(AxiTop(NETWORK, SPEC), TOP), TOP)
    compiled = simulation.compile_verilog(text, TOP, CACHE, lint=False)
    random = np.random.default_rng(1)
    inside = [state for state in states if state.module.startswith(f"{TOP}.accelerator")]
    chosen = [{"number": state.number, "bit": int(random.integers(state.width)),
               "row": int(random.integers(state.rows)), "cycle": int(random.integers(5, 1500))}
              for state in inside]
    # No reset mends a constant: all later experiments would have it.
    chosen = [flip for flip, state in zip(chosen, inside, strict=True)
              if not is_constant(state, flip["row"])]
    fold = named(states, f"{TOP}.accelerator.replay_1", "fold")
    sent = [packet for packet in packets(NETWORK, SPEC, 6) if not packet["broken"]]
    output = tmp_path / "outcomes.json"
    simulation.run(compiled, TOP, "bench_axi_faults", {
        "packets": sent, "flips": chosen, "output": str(output), "load": [], "other": None,
        "stops": {"number": fold.number, "bit": 0, "row": 0, "cycle": 300}},
        tmp_path, python_path=[Path(__file__).parent])
    outcomes = json.loads(output.read_text())
    assert len(outcomes) == len(chosen)
    for flip, outcome in zip(chosen, outcomes, strict=True):
        assert outcome["outcome"] not in ("hangs", "lost"), (flip, outcome)
        assert outcome["heals"], (flip, outcome)
    assert any(outcome["flagged"] for outcome in outcomes)
