"""Bitstreams of small networks, built for real."""

import hashlib
import json
import re
import shutil
from dataclasses import asdict, replace
from hashlib import sha256
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from sc_neurocore import bitstream, cli, golden
from sc_neurocore.boards import BOARDS, find_board
from sc_neurocore.extras import ToolError
from sc_neurocore.network import IntegerLayer, IntegerNetwork
from sc_neurocore.planning import plan
from sc_neurocore.results import differences
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.stages import verify_stages
from sc_neurocore.storage import load_network, save_network
from sc_neurocore.synthesis import map_verilog, recovery, tools, write_clocks
from sc_neurocore.synthesis.flows import FLOWS

REFERENCE = Path(__file__).parents[1] / "hdl" / "reference.safetensors"
"""A small network for the digits."""


def make_network(*shape):
    random = np.random.default_rng(0)
    return IntegerNetwork(tuple(
        IntegerLayer(random.integers(-8, 8, (outputs, inputs)), np.zeros(outputs, int),
                     np.full(outputs, 8), np.zeros(outputs, int), 4)
        for inputs, outputs in pairwise(shape)), 2)


NETWORK, LAYOUT = make_network(8, 4, 2), AcceleratorSpec((4, 2), 1, 2)
IMAGES = np.random.default_rng(1).integers(0, 256, (3, 8))


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("built") / "board"
    return bitstream.build(NETWORK, "icebreaker", LAYOUT, folder, inputs=IMAGES)


def test_it_is_a_bitstream(built, tmp_path):
    shutil.copy(built.bitstream, tmp_path / "board.bin")
    tools.run("iceunpack", ["board.bin", "board.asc"], tmp_path, "log")
    text = (tmp_path / "board.asc").read_text()
    assert ".device 5k" in text
    assert text.count(".ram_data") >= built.area.block_rams


def test_the_report_says_all_of_it(built):
    assert built.repeated
    assert built.clock_hz == 24e6
    assert built.fmax_mhz >= 24
    assert built.run.utilisation["ICESTORM_PLL"] == (1, 1)
    assert built.run.utilisation["SB_IO"][0] == 4
    document = json.loads((built.bitstream.parent / "report.json").read_text())
    assert document == json.loads(json.dumps(built.as_dict()))
    assert document["area"]["luts"] < document["available"]["luts"]
    assert document["latency_us"] == pytest.approx(document["latency_cyc"] / 24)
    assert document["run"]["path"]["source"]
    assert set(document["versions"]) == {"sc_neurocore", "yosys", "nextpnr-ice40"}
    for said in ("iCEBreaker", "24 MHz; Fmax", "cycles an image", "of 30 (", "1000000 baud"):
        assert said in str(built)
    without = str(replace(built, activity=None))
    assert "1000000 baud" in without
    assert not {"cycles an image", "latency"} & {line.split("  ")[0]
                                                 for line in without.splitlines()}


def test_an_unchanged_build_is_not_repeated(built):
    folder = built.bitstream.parent
    times = {path: path.stat().st_mtime_ns for path in folder.iterdir()
             if path.name != bitstream.REPORT}
    again = bitstream.build(NETWORK, "icebreaker", LAYOUT, folder, inputs=IMAGES)
    assert not again.repeated
    assert again.run == built.run
    assert again.activity == built.activity
    assert times == {path: path.stat().st_mtime_ns for path in times}
    assert str(again).endswith("board.bin, which was there: nothing changed")


def test_the_same_bytes_every_time(built, tmp_path):
    again = bitstream.build(NETWORK, "icebreaker", LAYOUT, tmp_path / "again")
    assert again.repeated
    assert again.bitstream.read_bytes() == built.bitstream.read_bytes()


def test_the_layout_can_be_read_back(built):
    assert bitstream.read_layout(built.bitstream.parent) == built.spec


def test_a_clock_that_cannot_be_met_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(bitstream, "SEEDS", (1,))
    with pytest.raises(bitstream.BuildError, match=r"Clock of 120 MHz is not met: .* MHz is the "
                                                   "best of 1 seeds.*--clock-hz"):
        bitstream.build(NETWORK, "icebreaker", LAYOUT, tmp_path / "made", clock_hz=120e6)
    assert not (tmp_path / "made").exists()


def test_what_does_not_fit_is_an_error(tmp_path):
    large = make_network(1024, 32)
    with pytest.raises(bitstream.BuildError, match=r"block RAMs, more than the 30 of ice40-up5k; "
                                                   r"fewer --lanes .* larger board: ice40-hx8k"):
        bitstream.build(large, "icebreaker", AcceleratorSpec((16,), 1, 1), tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_the_command_builds_and_programs(built, monkeypatch, tmp_path, capfd):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(built.bitstream.parent, "made")
    save_network(NETWORK, tmp_path / "network.safetensors")
    np.save("images.npy", IMAGES / 255)

    def run(*arguments):
        with pytest.raises(SystemExit) as caught:
            cli.main([str(argument) for argument in arguments])
        return caught.value.code, *capfd.readouterr()

    code, out, err = run("build", "network.safetensors", "--board", "icebreaker", "--lanes", "4,2",
                         "--beats", 1, "--encoder-lanes", 2, "--output", "made", "--data",
                         "images.npy", "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["repeated"] is False
    assert document["images"] == 3
    assert document["plan"]["device"] == "ice40-up5k"

    monkeypatch.setenv("PATH", "")
    code, _, err = run("program", "made", "--board", "icebreaker")
    assert code == 2
    assert "openFPGALoader was not found. Install it" in err
    assert "-b ice40_generic made/board.bin" in err
    code, _, err = run("program", "made", "--board", "ulx3s-25f")
    assert code == 2
    assert "made must be built for ulx3s-25f, not for icebreaker" in err
    (tmp_path / "made" / "board.bin").write_bytes(b"")
    code, _, err = run("program", "made")
    assert "made/board.bin must be the bitstream that made/manifest.json is about" in err
    code, _, err = run("program", "other")
    assert "other has no manifest.json" in err


needs_icebox = pytest.mark.skipif(
    shutil.which(recovery.PROGRAM) is None,
    reason=f"{recovery.PROGRAM} is not installed: apt install fpga-icestorm")


@needs_icebox
def test_its_logic_does_what_the_golden_model_says(built, monkeypatch, tmp_path, capfd):
    monkeypatch.chdir(tmp_path)
    save_network(NETWORK, tmp_path / "network.safetensors")
    np.save("images.npy", IMAGES / 255)
    with pytest.raises(SystemExit) as caught:
        cli.main(["verify", "network.safetensors", "--data", "images.npy", "--stage", "bitstream",
                  "--build", str(built.bitstream.parent), "--json"])
    out, err = capfd.readouterr()
    assert caught.value.code == 0, err
    stage, = json.loads(out)["stages"]
    assert (stage["stage"], stage["target"], stage["mismatched"]) == ("bitstream", "icebreaker", 0)
    assert stage["runs"][0]["compared"] == {"count": 6, "current": 6, "predicted": 3, "cycle": 3}


def plant(folder, neuron, source):
    """Invert the sign of a weight from an input to a neuron of layer 0, in the bitstream itself."""
    tools.run("iceunpack", ["board.bin", "board.asc"], folder, "log")
    text = (folder / "board.asc").read_text()
    # Row j of 16 bits is that of input j. Yosys turns the bits of a row around: look for columns.
    weights = NETWORK.layers[0].weights
    wanted = [(row >> bit & 1).tolist() for row in weights for bit in range(4)]
    for line in re.findall(r"^[0-9a-f]{64}$", text, re.MULTILINE):
        found = [[int(line, 16) >> 16 * row + bit & 1 for row in range(len(weights[0]))]
                 for bit in range(16)]
        if sorted(found) == sorted(wanted):
            break
    assert sorted(found) == sorted(wanted)
    sign = wanted[4 * neuron + 3]
    assert found.count(sign) == 1
    planted = int(line, 16) ^ 1 << 16 * source + found.index(sign)
    (folder / "board.asc").write_text(text.replace(line, f"{planted:064x}"))
    tools.run("icepack", ["board.asc", "board.bin"], folder, "log")
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["sha256"] = hashlib.sha256((folder / "board.bin").read_bytes()).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest))


@needs_icebox
def test_a_wrong_weight_in_the_bitstream_is_found(built, tmp_path):
    right, first = golden.run(NETWORK, IMAGES), NETWORK.layers[0]
    for place in np.ndindex(first.weights.shape):
        weights = first.weights.copy()
        weights[place] = (weights[place] % 16 ^ 8) - 16 * (weights[place] >= 0)
        faulty = golden.run(replace(NETWORK, layers=(
            replace(first, synapses=weights), NETWORK.layers[1])), IMAGES)
        if differences(faulty, right):
            break
    assert differences(faulty, right)
    shutil.copytree(built.bitstream.parent, tmp_path / "made")
    plant(tmp_path / "made", *place)
    stage, = verify_stages(NETWORK, IMAGES, built.spec, ["bitstream"], build=tmp_path / "made",
                           folder=tmp_path)
    assert not stage.report.passed
    found = {(each.image, each.neuron, each.got) for each in stage.report.mismatches
             if each.quantity == "current"}
    assert found == {(*index, faulty.currents[tuple(index)])
                     for index in np.argwhere(faulty.currents != right.currents).tolist()}
    assert "golden model says" in str(stage)


def test_a_bitstream_is_that_of_what_is_verified(built):
    made, first = built.bitstream.parent, NETWORK.layers[0]
    other = replace(NETWORK, layers=(replace(first, biases=first.biases + 1), NETWORK.layers[1]))
    for network, spec, reason in [(other, built.spec, "built of the network"),
                                  (NETWORK, AcceleratorSpec((2, 2)), "of the layout")]:
        with pytest.raises(ValueError, match=rf"board must be {reason} that is verified"):
            verify_stages(network, IMAGES, spec, ["bitstream"], build=made)


@needs_icebox
def test_pins_are_where_the_board_has_them(built, tmp_path):
    with pytest.raises(ValueError, match=r"Pin 10 of .*board.bin must be an output in use, tx"):
        recovery.recover(built.bitstream, {"clk": "35", "rx": "6"}, {"tx": "10"}, "clk", tmp_path)


def test_a_loader_that_fails_is_a_tool_error(built, monkeypatch, tmp_path):
    loader = tmp_path / bitstream.LOADER
    loader.write_text("#!/bin/sh\necho no device: $*; exit 3\n")
    loader.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match=r"exit code 3.*\s*no device: -b ice40_generic "):
        bitstream.program(built.bitstream.parent, "icebreaker")
    loader.write_text("#!/bin/sh\nexit 0\n")
    assert bitstream.program(built.bitstream.parent, "icebreaker") == built.bitstream


def test_write_clocks_that_are_constant_are_the_read_clocks():
    text = """
module top(input clk, input [8:0] a, output reg [7:0] q);
  reg [7:0] rom [0:511];
  integer i;
  initial for (i = 0; i < 512; i = i + 1) rom[i] = i * i;
  always @(posedge clk) q <= rom[a];
endmodule
"""
    module = map_verilog(text, "top", "ice40").module
    ram, = (cell["connections"] for cell in module["cells"].values()
            if cell["type"] == "SB_RAM40_4K")
    assert ram["WCLK"] == ram["RCLK"] == module["ports"]["clk"]["bits"]
    assert ram["WE"] == ram["WCLKE"] == ["0"]
    assert write_clocks.connect(module) == 0


@pytest.mark.slow
@pytest.mark.parametrize("name", BOARDS)
def test_every_board_takes_the_digits(name, tmp_path):
    board, digits = find_board(name), load_network(REFERENCE)
    spec = plan(digits, board.room, clock_hz=board.clock_hz, beats=1).spec
    made = bitstream.build(digits, board, spec, tmp_path / "made")
    assert made.fmax_mhz * 1e6 >= made.clock_hz == board.clock_hz
    assert made.spec.family == board.device.family
    assert made.bitstream.stat().st_size > 50_000
    assert made.bitstream.suffix == f".{FLOWS[board.device.family].bitstream}"


@pytest.fixture
def described(tmp_path):
    """A folder of something that is no bitstream, its manifest as it should be."""
    (tmp_path / "board.bin").write_bytes(b"content")
    layout = json.loads(json.dumps(asdict(LAYOUT)))
    manifest = {
        "bitstream": "board.bin", "sha256": sha256(b"content").hexdigest(), "area": {},
        "absorbed": 0, "run": {}, "inputs": "", "board": "icebreaker", "shape": [4, 4, 2],
        "layout": layout, "clock_hz": 24e6, "baud": 1_000_000, "parameters": 0, "versions": {}}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert bitstream.read_layout(tmp_path) == LAYOUT
    return tmp_path, manifest


@pytest.mark.parametrize(("changes", "message"), [
    ({"bitstream": "../board.bin"}, "bitstream must be a file beside it, .bin, .bit or .fs"),
    ({"bitstream": 3}, "bitstream must be str, not 3"),
    ({"baud": "fast"}, "baud must be int, not 'fast'"),
    ({"baud": True}, "baud must be int, not True"),
    ({"extra": 1}, "key manifest.extra is unknown"),
    ({"board": "x" * 5000}, "Board must be one of icebreaker, .{250,450}$"),
    ({"layout": {}}, "key layout.beats is missing"),
    ({"layout": {"lanes": 3}}, "key layout.beats is missing"),
])
def test_a_manifest_that_lies_is_refused(described, changes, message):
    folder, manifest = described
    (folder / "manifest.json").write_text(json.dumps(manifest | changes))
    with pytest.raises(ValueError, match=f"^{folder}/manifest.json must be what `sc-neurocore "
                                         f"build` wrote: {message}"):
        bitstream.read_layout(folder)


def test_a_bitstream_for_another_family_is_not_verified(described):
    folder, manifest = described
    (folder / "manifest.json").write_text(json.dumps(manifest | {"board": "ulx3s-85f"}))
    with pytest.raises(ValueError, match=rf"^{folder} must be built for a board with an iCE40 in "
                                         r"the stage bitstream, not for ulx3s-85f$"):
        list(verify_stages(NETWORK, IMAGES, LAYOUT, ["bitstream"], build=folder))


@pytest.mark.parametrize("text", [b"", b"\xff", b"[1]", b"[" * 100_000, b'"x'])
def test_what_is_no_manifest_is_refused(described, text):
    folder, _ = described
    (folder / "manifest.json").write_bytes(text)
    with pytest.raises(ValueError, match=f"^{folder}/manifest.json must be what") as caught:
        bitstream.read_manifest(folder)
    assert str(caught.value).isprintable()
