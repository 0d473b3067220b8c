"""Parity of weights: a flipped bit is reported with its layer and row, and costs no cycle."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from common import CACHE, random_network
from test_axi import packets
from test_mutations import Mutation, mutated_verilog

from campaigns import flipped_rows, flips
from sc_neurocore import axi_ports, cosim, golden, host, verilog
from sc_neurocore.cosim import simulation, virtual_board
from sc_neurocore.cosim.bench import transfers
from sc_neurocore.cosim.simulation import SimulationError
from sc_neurocore.gateware.axi_top import AxiTop
from sc_neurocore.parameters import load_words
from sc_neurocore.results import differences
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.storage import save_network
from sc_neurocore.timing import longest_image
from sc_neurocore.verilog import SPRAM_MODEL, component_text


def with_one_silent(network):
    """All hidden neurons fire but the first one, whose rows of weights nothing reads."""
    hidden, *rest = network.layers
    weights = abs(hidden.weights).clip(max=2 ** (hidden.weight_width - 1) - 1)
    biases = abs(hidden.biases)
    weights[:, 3] = -1
    weights[0] = biases[0] = -1
    return replace(network, layers=(replace(hidden, synapses=weights, biases=biases), *rest))


NETWORK = with_one_silent(random_network((11, 9, 4), weight_width=4, seed=4))
SPEC = AcceleratorSpec((4, 2), 4, 8, family="ecp5", parity=True)
SPECS = {
    "folds": SPEC,
    "two ports": replace(SPEC, ports=(2, 2)),
    "several columns": replace(SPEC, lanes=(9, 4)),
    "loaded": replace(SPEC, family="ice40").with_loading(NETWORK),
    "SPRAM": replace(SPEC, family="ice40", memories=("spram", "block")).with_loading(NETWORK),
    "three banks": replace(SPEC, lanes=(8, 3), beats=16, encoder_lanes=16),
}
NETWORKS = {"three banks": with_one_silent(
    random_network((105, 80, 3), timesteps=3, weight_width=4, seed=4))}
"""Those that are another one."""


def network_of(name):
    return NETWORKS.get(name, NETWORK)


def images_of(network):
    """Every input spikes in every timestep, but for some, the first of a word among them."""
    images = np.full((3, network.n_input), 255)
    images[:, [0, 7]] = 0
    return images


IMAGES = images_of(NETWORK)


def places(states, spec, network=NETWORK, *, is_read=True):
    """All bits of all rows that are read; or of all others."""
    return [place for place in flipped_rows.places(states, network, spec, images_of(network))
            if place.is_read == is_read]


def one_a_row(found, random, most):
    """A bit of each row, or of so many of them; of the first and the last of each memory always."""
    rows, ends = {}, {}
    for place in found:
        rows.setdefault((place.layer, place.row), []).append(place)
        ends.setdefault(place.state, []).append(place)
    chosen = [bits[random.integers(len(bits))] for bits in rows.values()]
    return [*(place for those in ends.values() for place in (those[0], those[-1])),
            *(chosen[index] for index in random.permutation(len(chosen))[:most])]


def flip(place):
    """A bit, for the bench."""
    return {"number": place.state.number, "bit": place.bit, "row": place.entry}


def design(name):
    """Verilog whose weights can be flipped, and its state."""
    return flips.insert(verilog.generate(network_of(name), SPECS[name]), verilog.TOP,
                        constants=True)


def run(text, states, name, folder, plusargs=()):
    """Flip a bit of a row a case, of rows that are read and of others; then bits of two rows, of
    which the first one counts, and two bits of a row, which parity does not see."""
    spec, network = SPECS[name], network_of(name)
    images = images_of(network)
    most = 8 if name in NETWORKS else 60
    found = places(states, spec, network)
    assert {place.layer for place in found} == {0, 1}
    random = np.random.default_rng(2)
    parities = [place for place in found if place.bit == place.state.width - 1]
    chosen = [*one_a_row(found, random, most), parities[0], parities[-1]]
    cases = [{"flips": [flip(place)], "report": (place.layer + 1, place.row)}
             for place in chosen]
    others = places(states, spec, network, is_read=False)
    assert {place.layer for place in others} == {0, 1}
    cases += [{"flips": [flip(place)], "report": (0, 0)}
              for place in one_a_row(others, random, most)]
    first, later, behind = (next(place for place in found if (place.layer, place.row) == at)
                            for at in ((0, 1), (0, 5), (1, parities[-1].row)))
    cases += [{"flips": [flip(one), flip(other)], "report": (1, 1)}
              for one, other in ((later, first), (behind, first))]
    place = next(place for place in found if place.state.width > 2 and place.bit == 0)
    cases.append({"flips": [flip(place), flip(replace(place, bit=1))], "report": (0, 0)})
    if spec.memories[0] == "spram":
        text += SPRAM_MODEL.read_text()
    compiled = simulation.compile_verilog(text, verilog.TOP, CACHE, lint=False)
    payloads = transfers(images.tolist(), spec.beats, network.intensity_width)
    simulation.run(compiled, verilog.TOP, "bench_parity", {
        "cases": cases, "transfers": payloads, "results": len(images) * network.n_output,
        "limit": 4 * longest_image(network, spec), "load": packed_words(spec), "registers": {
            state.name: state.number for state in states if state.name.startswith("corrupted")}},
        folder, python_path=[Path(__file__).parent], plusargs=plusargs)


def packed_words(spec):
    if not spec.loaded:
        return []
    return [int(address) << 16 | int(word) for address, word in load_words(NETWORK, spec)]


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if name == "folds" else pytest.mark.slow) for name in SPECS])
def test_a_flipped_bit_is_reported_with_its_row(name, tmp_path):
    run(*design(name), name, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("name", SPECS)
def test_it_costs_no_cycle(name, tmp_path, cache):
    network = network_of(name)
    report = cosim.verify(network, images_of(network), SPECS[name], folder=tmp_path, cache=cache)
    assert report.passed, str(report)
    plain = replace(SPECS[name], parity=False)
    for index in range(2):
        assert SPECS[name].fire_latency(network, index) == plain.fire_latency(network, index)


def test_three_banks_are_three_banks():
    assert SPECS["three banks"].weight_shape(network_of("three banks"), 0).banks == 3


MUTATIONS = {
    "only the first bits are checked": ("several columns", Mutation(
        "parity.py", "odd.eq(odd_parts.xor())", "odd.eq(odd_parts[0])")),
    "the row behind": ("folds", Mutation(
        "parity.py", "range(self._delay + PARITY_LATENCY)",
        "range(self._delay + PARITY_LATENCY - 1)")),
    "the parity bit is not built in": ("folds", Mutation(
        "weight_memory.py", "self._width * self._parity)", "0)")),
    "the last row is reported": ("folds", Mutation(
        "accelerator.py", "with m.If(layer == 0):", "with m.If(1):")),
    "another layer": ("folds", Mutation(
        "accelerator.py", "[layer.eq(index + 1), row", "[layer.eq(2 - index), row")),
    "a reset forgets it": ("folds", Mutation(
        "accelerator.py", 'Signal.like(self.corrupted_layer, name="first_layer", reset_less=True)',
        'Signal.like(self.corrupted_layer, name="first_layer")')),
    "loading does not clear it": ("loaded", Mutation(
        "accelerator.py", "m.d.sync += [layer.eq(0), row.eq(0)]", "pass")),
    "the second row is not checked": ("two ports", Mutation(
        "weight_memory.py", "self.corrupted.eq(first.corrupted | last.corrupted)",
        "self.corrupted.eq(first.corrupted)")),
}

GENERATE = """
import sys
sys.path[:0] = [{package!r}, {here!r}]
from test_parity import NETWORK, SPECS
from sc_neurocore import verilog
assert verilog.__file__.startswith({package!r})
open({output!r}, "w").write(verilog.generate(NETWORK, SPECS[{spec!r}]))
"""


@pytest.mark.slow
@pytest.mark.planted
@pytest.mark.parametrize("name", MUTATIONS)
def test_a_fault_is_caught(name, tmp_path):
    spec, mutation = MUTATIONS[name]
    text = mutated_verilog(mutation, tmp_path, GENERATE, spec=spec)
    with pytest.raises(SimulationError, match="tests failed"):
        run(*flips.insert(text, verilog.TOP, constants=True), spec, tmp_path)


def flipped(spec, states, layer, cycle):
    """A row of weights of a layer, and arguments that flip a bit of it."""
    place = next(place for place in places(states, spec) if place.layer == layer)
    return place.row, place.arguments(cycle)


def test_the_host_is_told(tmp_path):
    text, states = flips.insert(virtual_board.board_text(NETWORK, SPEC), virtual_board.TOP,
                                constants=True)
    program = virtual_board.compile_board(text, CACHE)
    with (virtual_board.VirtualBoard(program) as running,
          host.open(running.port, NETWORK) as opened):
        assert not differences(opened.run(IMAGES), golden.run(NETWORK, IMAGES))
        assert opened.corrupted is None
    row, arguments = flipped(SPEC, states, 1, cycle=5)
    with virtual_board.VirtualBoard(program, plusargs=arguments) as running:
        with host.open(running.port, NETWORK) as opened:
            assert opened.corrupted is None
            opened.run(IMAGES)
            assert opened.corrupted == (1, row)
        save_network(NETWORK, tmp_path / "network.safetensors")
        np.savez(tmp_path / "data.npz", images=IMAGES / 255, labels=np.zeros(len(IMAGES), int))
        done = subprocess.run(
            [sys.executable, "-c", "from sc_neurocore.cli import main; main()", "run",
             tmp_path / "network.safetensors", "--port", running.port, "--data",
             tmp_path / "data.npz"], capture_output=True, text=True)
        assert done.returncode == 1, done.stderr
        assert (f"weights of layer 1, row {row}, are corrupted: configure the FPGA again"
                in done.stdout)


@pytest.mark.slow
def test_weights_are_loaded_again():
    spec = SPECS["loaded"]
    text, states = flips.insert(virtual_board.board_text(NETWORK, spec), virtual_board.TOP)
    program = virtual_board.compile_board(text, CACHE)
    # Late enough for the weights to be there.
    row, arguments = flipped(spec, states, 1, cycle=100_000)
    with virtual_board.VirtualBoard(program, plusargs=arguments) as running:
        with host.open(running.port, NETWORK, spec=spec) as opened:
            while opened.corrupted is None:
                opened.run(IMAGES)
            assert opened.corrupted == (1, row)
        with host.open(running.port, NETWORK, spec=spec) as opened:
            assert opened.corrupted is None
            assert not differences(opened.run(IMAGES), golden.run(NETWORK, IMAGES))
            assert opened.corrupted is None


@pytest.mark.slow
def test_axi_has_it_in_registers(tmp_path):
    spec = SPECS["folds"]
    text, states = flips.insert(component_text(AxiTop(NETWORK, spec), "axi"), "axi",
                                constants=True)
    place = next(place for place in places(states, spec) if place.layer == 1)
    compiled = simulation.compile_verilog(text, "axi", CACHE, lint=False)
    simulation.run(compiled, "axi", "bench_axi_parity", {
        "packets": packets(NETWORK, spec, 3), "flip": flip(place), "load": [], "other": None,
        "image": axi_ports.image_packet(NETWORK, spec, IMAGES[0]).hex(),
        "report": (place.layer + 1, place.row)}, tmp_path, python_path=[Path(__file__).parent])
