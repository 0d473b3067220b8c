"""The board's top: what it takes and what it refuses; `test_host` runs it, as a virtual board."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from common import CACHE, random_network

from sc_neurocore import cli
from sc_neurocore.cosim.virtual_board import board_text
from sc_neurocore.gateware.accelerator import Accelerator
from sc_neurocore.identity import shape_hash
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.storage import load_network
from sc_neurocore.synthesis import map_verilog
from sc_neurocore.verilog import component_text

REFERENCE = Path(__file__).parents[1] / "hdl" / "reference.safetensors"
SPEC = AcceleratorSpec((16, 2), 8)


@pytest.mark.slow
def test_what_the_link_takes_does_not_grow():
    network = load_network(REFERENCE)
    board = map_verilog(board_text(network, SPEC, clock_hz=24e6), "board", "ice40-up5k").area
    alone = map_verilog(component_text(Accelerator(network, SPEC), "alone"), "alone",
                        "ice40-up5k").area
    # Another Yosys may need a few cells more or less; a change of ours needs a look.
    assert 720 <= board.luts - alone.luts <= 780
    assert board.block_rams - alone.block_rams == 3


def test_the_same_board_is_the_same_text():
    network = load_network(REFERENCE)
    one, other = (board_text(network, SPEC, clock_hz=24e6) for _ in range(2))
    assert one == other
    ports = re.search(r"module board\((.*?)\);", one)[1]
    assert set(ports.split(", ")) == {"clk", "rst", "rx", "tx", "busy"}


def test_what_does_not_fit_is_refused():
    network = random_network((21, 7, 3))
    with pytest.raises(ValueError, match="Baud rate must be at most"):
        board_text(network, AcceleratorSpec((3, 2), 4), clock_hz=12e6, baud=4e6)
    with pytest.raises(ValueError, match="Lanes must be given for 2 layers"):
        board_text(network, AcceleratorSpec((3,), 4))


@pytest.fixture
def virtual_board(request):
    """Port of what the command line starts, until it is interrupted as by Ctrl-C."""
    options = getattr(request, "param", ())
    command = [sys.executable, "-c", "from sc_neurocore.cli import main; main()", "virtual-board",
               str(REFERENCE), "--lanes", "16,2", "--folder", str(CACHE), *options]
    # A shell's background jobs ignore interrupts, and their children inherit that.
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                          preexec_fn=lambda: signal.signal(
                              signal.SIGINT, signal.default_int_handler)) as process:
        yield process.stdout.readline().strip()
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 0
        assert process.stderr.read() == ""


def run(capfd, *arguments):
    capfd.readouterr()
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments])
    return caught.value.code, *capfd.readouterr()


def test_the_command_line_runs_a_board_and_compares(virtual_board, capfd, monkeypatch):
    arguments = ("run", REFERENCE, "--port", virtual_board, "--data", "digits", "--images", 20)
    code, out, err = run(capfd, *arguments)
    assert (code, err) == (0, "")
    assert re.search(r"20 images of digits on /dev/pts/\d+: accuracy \d+\.\d\d%, \d+ images/s\n"
                     r"[\d.]+ cycles, [\d.]+ events, [\d.]+ spikes an image\n"
                     r"620 values compared with the simulator's, 0 of them different\n", out)
    code, out, err = run(capfd, *arguments, "--json")
    assert (code, err) == (0, "")
    assert '"different": 0,' in out

    code, _, err = run(capfd, *arguments, "--seed", 5)
    assert code == cli.FAILURE
    assert re.match(r"Error: The board at .* is of another network", err)

    # A board that says it is of that network, and isn't: the results tell.
    shape = shape_hash(load_network(REFERENCE))
    monkeypatch.setattr("sc_neurocore.host.board.shape_hash", lambda network: shape)
    code, out, _ = run(capfd, *arguments, "--seed", 5)
    assert code == cli.MISMATCH
    assert re.search(r"620 values compared with the simulator's, [1-9]\d* of them different\n"
                     r"image \d+, neuron \d+: counts \d+, not \d+\n", out)


@pytest.mark.parametrize("virtual_board", [("--loaded",)], indirect=True)
def test_the_command_line_loads_parameters(virtual_board, capfd):
    arguments = ("run", REFERENCE, "--port", virtual_board, "--data", "digits", "--images", 20)
    code, _, err = run(capfd, *arguments)
    assert code == cli.FAILURE
    assert "has other parameters: the CRC is 00000000" in err
    for options in [("--loaded", "--lanes", "16,2"), ()]:
        code, out, _ = run(capfd, *arguments, *options)
        assert code == 0
        assert "620 values compared with the simulator's, 0 of them different" in out
