"""Reports of a small network: their numbers, and how they are printed."""

import re
from dataclasses import replace

import numpy as np
import pytest

from sc_neurocore import __version__
from sc_neurocore.network import IntegerLayer, IntegerNetwork
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.synthesis import find_device, synthesize
from sc_neurocore.synthesis.placement import CriticalPath, Placement, Run
from sc_neurocore.synthesis.report import SynthesisReport
from sc_neurocore.synthesis.toggles import Toggles


@pytest.fixture(scope="module")
def network():
    random = np.random.default_rng(0)
    return IntegerNetwork(tuple(
        IntegerLayer(random.integers(-8, 8, (outputs, inputs)), np.zeros(outputs, int),
                     np.full(outputs, 8), np.zeros(outputs, int), 4)
        for inputs, outputs in ((8, 4), (4, 2))), 3)


@pytest.fixture(scope="module")
def mapped(network):
    """What is known without placing."""
    images = np.random.default_rng(1).integers(0, 256, (4, 8))
    return synthesize(network, AcceleratorSpec((4, 2), 4), inputs=images, seeds=())


@pytest.fixture(scope="module")
def placed(mapped):
    runs = tuple(Run(seed, mhz, CriticalPath("a.Q", f"{seed}.DI", 2.0, 3.0, 4), {"X": (1, 2)})
                 for seed, mhz in enumerate([90.0, 110.0, 100.0]))
    return SynthesisReport(mapped.shape, mapped.spec, mapped.device, mapped.mapped,
                           Placement(mapped.device, 200.0, runs, (5, 6), "0.11"), mapped.activity)


def test_without_placing_there_is_no_frequency(mapped):
    document = mapped.as_dict()
    assert document["area"]["flip_flops"] > 0
    assert document["cycles"]["min"] <= document["cycles"]["mean"] <= document["cycles"]["max"]
    assert document["versions"] == {"sc_neurocore": __version__, "yosys": mapped.mapped.yosys}
    assert not {"fmax_mhz", "images_per_second", "latency_us"} & set(document)
    assert "Fmax" not in str(mapped)


def test_what_a_circuit_does_not_have_is_not_in_the_table(mapped):
    plain = str(mapped)
    assert not {"SPRAMs", "multipliers", "toggles"} & {line.split(" ")[0]
                                                       for line in plain.splitlines()}
    assert "toggles" not in mapped.as_dict()
    area = replace(mapped.area, spram=3, multipliers=2)
    full = replace(mapped, device=find_device("ice40-up5k"), mapped=replace(mapped.mapped,
                   area=area), toggles=Toggles(5, 20.2, 30.0, 10.0))
    rows = dict(re.split(r" {2,}", line, maxsplit=1) for line in str(full).splitlines()
                if line.startswith(("SPRAMs", "multipliers", "toggles")))
    assert rows == {"SPRAMs": "3 of 4 (75.0%)", "multipliers": "2",
                    "toggles": "60 an image (5 images): flip-flops 20, logic 30, memories 10"}
    assert full.as_dict()["toggles"] == {"images": 5, "flip_flops": 20.2, "logic": 30.0,
                                         "memories": 10.0, "total": 60.2}


def test_throughput_and_latency_are_at_the_median_frequency(placed):
    document = placed.as_dict()
    assert document["fmax_mhz"] == 100
    assert document["seeds"] == {"0": 90, "1": 110, "2": 100}
    assert document["critical_path"]["sink"] == "2.DI"
    assert document["images_per_second"] == 1e8 / document["cycles"]["mean"]
    assert document["latency_us"] == document["latency_cyc"] / 100
    assert document["versions"]["nextpnr-ecp5"] == "0.11"


def test_a_report_for_people_says_what_was_measured_with_what(placed):
    lines = str(placed).splitlines()
    assert lines[0] == ("8-4-2, lanes 4, 2, on Lattice LFE5U-25F, CABGA381, speed grade 6")
    assert any(line.startswith("Fmax") and "100.0 MHz, median of 3 seeds (90.0 to 110.0)" in line
               for line in lines)
    assert any(line.startswith("flip-flops") and "of 24288" in line for line in lines)
    assert lines[-1].startswith(f"sc_neurocore {__version__}, Yosys 0.")
    begins = {name: line.index(value) for line in lines for name, value in [
        ("Fmax", "100.0 MHz"), ("latency", f"{placed.activity.latency_cyc:.1f} cycles")]
        if line.startswith(name)}
    assert begins["Fmax"] == begins["latency"]


def test_xc7_is_mapped_and_never_placed(network, tmp_path):
    report = synthesize(network, device="xc7", folder=tmp_path)
    assert report.placement is None
    assert report.as_dict()["device"] == "xc7"
    assert " of " not in "".join(line for line in str(report).splitlines() if "flip-flops" in line)
    assert {"accelerator.v", "accelerator.json", "yosys.log"} <= {p.name for p in
                                                                  tmp_path.iterdir()}


def test_a_network_that_does_not_fit_is_refused(network, monkeypatch):
    from sc_neurocore.synthesis import devices

    small = devices.Device("small", "ecp5", "a small one", (), devices.Resources(100, 9999, 99))
    with pytest.raises(ValueError, match=r"Netlist needs [0-9]+ LUTs, more than the 100 of small"):
        synthesize(network, device=small)
    assert find_device("ecp5-25k").resources is not None
