"""A netlist that Yosys makes does what the Verilog does; a wrong one is found."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from common import random_network

from sc_neurocore import cosim, verilog
from sc_neurocore.datasets import digits
from sc_neurocore.extras import ToolError
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.stages import count_toggles, verify_stages
from sc_neurocore.storage import load_network
from sc_neurocore.synthesis import map_verilog, recovery
from sc_neurocore.synthesis.netlist import netlist_verilog

REFERENCE = Path(__file__).parents[1] / "hdl" / "reference.safetensors"
NETWORK = random_network((10, 6, 3))
IMAGES = np.random.default_rng(6).integers(0, 256, (4, 10))
IMAGES[:2] = [[0], [255]]


def check(reports, *targets):
    assert [(each.stage, each.target) for each in reports] == [
        ("rtl", ""), *(("netlist", target) for target in targets)]
    for each in reports:
        assert each.report.passed, f"{each.target}: {each.report}"
        assert each.report.compared == reports[0].report.compared


@pytest.mark.parametrize("device", ["ecp5-25k", "ice40-hx8k"])
def test_rtl_and_netlist_are_equal(device, tmp_path, cache):
    spec = AcceleratorSpec((3, 2), 4, ports=(2, 1), family="ecp5")
    check(verify_stages(NETWORK, IMAGES, spec, device=device, folder=tmp_path, cache=cache), device)


@pytest.mark.slow
@pytest.mark.parametrize("spec", [
    AcceleratorSpec((3, 2), 4, ports=(2, 1), family="gowin"),
    replace(AcceleratorSpec((3, 2), 4, family="gowin").with_loading(NETWORK), store_parts=2)],
    ids=["two ports", "loaded"])
def test_netlists_of_every_family_are_equal(spec, tmp_path, cache):
    check(verify_stages(NETWORK, IMAGES, spec, folder=tmp_path, cache=cache),
          "ecp5", "gowin", "ice40")


def test_loaded_parameters_reach_the_spram_of_a_netlist(tmp_path, cache):
    spec = AcceleratorSpec((3, 2), 4, memories=("spram", "block"), family="ice40")
    spec = replace(spec.with_loading(NETWORK), store_parts=2)
    report, = verify_stages(NETWORK, IMAGES, spec, ["netlist"], folder=tmp_path,
                            cache=cache)
    assert report.target == "ice40-up5k"
    assert report.report.passed, str(report.report)


def test_a_wrong_weight_in_the_netlist_is_found(tmp_path, cache):
    spec = AcceleratorSpec((3, 2), 4, family="ecp5")
    mapped = map_verilog(verilog.generate(NETWORK, spec, trace=True), verilog.TOP, "ecp5")
    rams = [cell for name, cell in mapped.module["cells"].items()
            if cell["type"] == "DP16KD" and "weight_memory" in name]
    contents = rams[0]["parameters"]["INITVAL_00"]
    rams[0]["parameters"]["INITVAL_00"] = contents[:-3] + "10"[int(contents[-3])] + contents[-2:]
    report = cosim.verify(NETWORK, IMAGES, spec, text=netlist_verilog(mapped), lint=False,
                          folder=tmp_path, cache=cache)
    assert not report.passed
    assert report.mismatches[0].stage in ("layer 0", "layer 1")


def test_toggles_follow_the_spikes(cache):
    spec = AcceleratorSpec((3, 2), 4, family="ice40")
    mapped = map_verilog(verilog.generate(NETWORK, spec), verilog.TOP, "ice40")
    bright = count_toggles(mapped, NETWORK, IMAGES[1:2], spec, cache=cache)
    dark = count_toggles(mapped, NETWORK, IMAGES[:1], spec, cache=cache)
    assert dark.total > 0
    assert bright.total > dark.total
    assert bright.memories > dark.memories


def test_stages_are_known():
    with pytest.raises(ValueError, match="must be one of rtl, netlist, bitstream, not 'silicon'"):
        verify_stages(NETWORK, IMAGES, AcceleratorSpec((3, 2)), ["silicon"])


def test_what_no_bitstream_can_be_verified_of_is_refused(monkeypatch):
    spec = AcceleratorSpec((3, 2), 4)
    spram = replace(spec, memories=("spram", "block")).with_loading(NETWORK)
    for layout, device, reason in [
            (spram, None, "must not be spram in the stage bitstream: icebox_vlog can't recover"),
            (spec, "ecp5-25k", "Device must be an iCE40 .* not ecp5-25k")]:
        with pytest.raises(ValueError, match=reason):
            verify_stages(NETWORK, IMAGES, layout, ["bitstream"], device)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ToolError, match=r"icebox_vlog .*: apt install fpga-icestorm"):
        verify_stages(NETWORK, IMAGES, spec, ["bitstream"])


@pytest.mark.slow
@pytest.mark.skipif(shutil.which(recovery.PROGRAM) is None,
                    reason=f"{recovery.PROGRAM} is not installed: apt install fpga-icestorm")
@pytest.mark.parametrize("device", ["ice40-up5k", "ice40-hx8k"])
def test_the_digits_in_a_bitstream(device, tmp_path, cache):
    network = load_network(REFERENCE)
    images = network.intensities(digits().test_images[:20])
    report, = verify_stages(network, images, AcceleratorSpec((4, 2)), ["bitstream"], device,
                            folder=tmp_path, cache=cache)
    assert report.report.passed, str(report)
    assert report.report.runs[0].compared == {"count": 200, "current": 200, "predicted": 20,
                                              "cycle": 20}
