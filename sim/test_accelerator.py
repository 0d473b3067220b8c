"""The whole accelerator against the golden model; its bench is the one that the package ships."""

import re
from dataclasses import replace

import numpy as np
import pytest
from common import random_network

from sc_neurocore import cosim, golden, verilog
from sc_neurocore.cosim import simulation
from sc_neurocore.cosim.simulation import SimulationError
from sc_neurocore.cosim.tools import find_verilator
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.synapses import Convolution, Source

CASES = {
    "three layers, folds that do not divide": dict(shape=(10, 7, 5, 3), lanes=(3, 2, 2), beats=4),
    "one layer": dict(shape=(9, 4), lanes=(4,), beats=2),
    "five layers of odd sizes": dict(shape=(7, 5, 9, 3, 6, 2), lanes=(2, 9, 3, 1, 2), beats=2),
    "single neurons": dict(shape=(1, 1, 1), lanes=(1, 1), beats=1),
    "a lane a neuron": dict(shape=(20, 16, 10), lanes=(16, 10), beats=32),
    "one lane": dict(shape=(12, 10, 8), lanes=(1, 1), beats=1),
    "weights of 2 bits": dict(shape=(10, 8, 4), lanes=(4, 4), beats=8, weight_width=2),
    "weights of 16 bits": dict(shape=(10, 8, 4), lanes=(3, 4), beats=8, weight_width=16),
    "one timestep": dict(shape=(10, 8, 4), lanes=(5, 2), beats=4, timesteps=1),
    "256 timesteps": dict(shape=(5, 4, 3), lanes=(2, 3), beats=2, timesteps=256, images=2),
    "no biases": dict(shape=(10, 6, 3), lanes=(6, 3), beats=4, biases=False),
    "binary images": dict(shape=(10, 6, 3), lanes=(2, 3), beats=4, intensity_width=1),
    "intensities of 16 bits": dict(shape=(6, 6, 3), lanes=(6, 1), beats=4, intensity_width=16),
    "saturating membranes": dict(shape=(10, 8, 4), lanes=(3, 4), beats=4, membrane_width=8),
    "wide words": dict(shape=(70, 40, 36, 3), lanes=(40, 20, 3), beats=2, encoder_lanes=32),
    "more folds than fit in logic": dict(shape=(6, 40, 3), lanes=(1, 1), beats=4),
    "weights in three banks": dict(shape=(210, 80, 3), lanes=(8, 3), beats=16, weight_width=8,
                                   timesteps=2, family="ecp5"),
    "weights in logic": dict(shape=(10, 6, 3), lanes=(6, 2), beats=4, memories=("logic",) * 2),
    "low discrepancy": dict(shape=(10, 7, 3), lanes=(3, 3), beats=4, encoder="low_discrepancy"),
    "direct": dict(shape=(10, 7, 3), lanes=(7, 2), beats=4, encoder="direct"),
    "direct in folds": dict(shape=(10, 7, 3), lanes=(3, 3), beats=4, encoder="direct"),
    "direct and saturating": dict(shape=(10, 7, 3), lanes=(3, 3), beats=4, encoder="direct",
                                  membrane_width=11),
    "direct, layer by layer": dict(shape=(10, 7, 3), lanes=(7, 2), beats=4, encoder="direct",
                                   schedule="layer_by_layer"),
    "direct, layer by layer, in folds": dict(shape=(10, 7, 3), lanes=(3, 3), beats=4,
                                             encoder="direct", schedule="layer_by_layer"),
    "direct in folds, ECP5": dict(shape=(10, 7, 3), lanes=(3, 2), beats=4, encoder="direct",
                                  family="ecp5"),
    "planes of one bit": dict(shape=(10, 7, 3), lanes=(3, 3), beats=4, encoder="direct",
                              intensity_width=1, timesteps=1),
    "events": dict(shape=(10, 7, 3), lanes=(3, 3), beats=4, encoder="events"),
    "events, layer by layer": dict(shape=(10, 7, 3), lanes=(7, 2), beats=4, encoder="events",
                                   schedule="layer_by_layer"),
    "two ports": dict(shape=(10, 7, 5, 3), lanes=(7, 5, 3), beats=4, ports=(2, 2, 2)),
    "two ports in folds, and one": dict(shape=(10, 7, 5, 3), lanes=(3, 2, 2), beats=4,
                                        ports=(2, 1, 2)),
    "two ports, wide words": dict(shape=(70, 40, 36, 3), lanes=(40, 36, 3), beats=2,
                                  encoder_lanes=64, ports=(2, 2, 1)),
    "two ports, three banks": dict(shape=(210, 80, 3), lanes=(8, 3), beats=16, weight_width=8,
                                   timesteps=2, family="ecp5", ports=(2, 2)),
    "two ports, direct, weights in logic": dict(
        shape=(10, 7, 3), lanes=(3, 3), beats=4, encoder="direct", ports=(2, 2),
        memories=("logic", "block")),
    "loaded": dict(shape=(10, 7, 5, 3), lanes=(7, 5, 3), beats=4, loaded=1),
    "loaded in folds": dict(shape=(10, 7, 5, 3), lanes=(3, 2, 2), beats=4, loaded=1),
    "loaded in folds and parts": dict(shape=(10, 7, 5, 3), lanes=(3, 2, 2), beats=4, loaded=3),
    "loaded, layer by layer": dict(shape=(10, 7, 3), lanes=(3, 3), beats=4, loaded=2,
                                   schedule="layer_by_layer"),
    "loaded, events, no biases": dict(shape=(10, 7, 3), lanes=(3, 2), beats=4, loaded=2,
                                      encoder="events", biases=False),
    "loaded into SPRAM": dict(shape=(40, 20, 10), lanes=(6, 3), beats=8, loaded=3, weight_width=4,
                              memories=("spram", "block"), family="ice40"),
    "loaded, ECP5": dict(shape=(200, 24, 3), lanes=(3, 3), beats=8, loaded=1, timesteps=2,
                         family="ecp5"),
    "layer by layer": dict(shape=(10, 7, 5, 3), lanes=(3, 5, 3), beats=4,
                           schedule="layer_by_layer"),
}


@pytest.mark.parametrize("case", CASES)
def test_every_spike_membrane_and_cycle(case, tmp_path, cache):
    options = dict(CASES[case])
    spec = AcceleratorSpec(options.pop("lanes"), options.pop("beats"),
                           options.pop("encoder_lanes", 0), options.pop("memories", ()),
                           options.pop("family", ""), options.pop("ports", ()))
    count = options.pop("images", 5)
    store_parts = options.pop("loaded", 0)
    how = {key: options.pop(key) for key in ("encoder", "schedule") if key in options}
    network = replace(random_network(**options, seed=len(case)), **how)
    if store_parts:
        spec = replace(spec.with_loading(network), store_parts=store_parts)
    random = np.random.default_rng(7)
    if network.encoder == "events":
        images = random.random((count, network.timesteps, network.n_input)) < 0.3
    else:
        images = random.integers(0, network.full_scale + 1, (count, network.n_input))
    images[0] = 0
    images[1] = images.max()
    report = cosim.verify(network, images, spec, folder=tmp_path, cache=cache)
    assert report.passed, str(report)
    assert report.compared > 2 * count * network.timesteps * sum(network.shape)


def test_a_convolution_is_built_from_its_matrix(tmp_path, cache):
    network = random_network((16, 18, 4))
    kernel = np.random.default_rng(8).integers(-20, 30, (2, 1, 2, 2))
    convolution = Convolution(kernel, (1, 4, 4))
    network = replace(network, layers=(
        replace(network.layers[0], synapses=(convolution,)), network.layers[1]))
    images = np.random.default_rng(9).integers(0, 256, (4, 16))
    report = cosim.verify(network, images, AcceleratorSpec((5, 4), 4), folder=tmp_path, cache=cache)
    assert report.passed, str(report)


def test_what_is_not_built_is_refused():
    network, spec = random_network((10, 6, 3)), AcceleratorSpec((3, 3), 4)
    skipping = replace(network.layers[1], synapses=(network.layers[1].synapses[0],) * 2,
                       sources=(Source(0), Source(0)))
    with pytest.raises(ValueError, match="Layer 1 must receive the layer before it alone"):
        verilog.generate(replace(network, layers=(network.layers[0], skipping)), spec)


def test_the_seed_changes_the_hardware(tmp_path, cache):
    """The Verilog of one seed is not the accelerator of another: a check of the check."""
    network = random_network((10, 6, 3))
    spec = AcceleratorSpec((3, 3), 4)
    images = np.random.default_rng(0).integers(0, 256, (3, 10))
    text = verilog.generate(network, spec, trace=True)
    report = cosim.verify(replace(network, seed=network.seed + 1), images, spec, folder=tmp_path,
                          cache=cache, text=text)
    assert not report.passed
    assert [run.name for run in report.runs] == ["steady", "stalled"]
    assert "encoder, image 0, timestep 0, neuron" in str(report)
    first = cosim.verify(replace(network, seed=network.seed + 1), images, spec, folder=tmp_path,
                         cache=cache, text=text, fail_fast=True)
    assert not first.passed
    assert [run.name for run in first.runs] == ["steady"]


def test_headers_are_precompiled_where_there_are_several_designs(tmp_path, monkeypatch):
    """And a design that is compiled with them does the same."""
    monkeypatch.setattr(simulation, "_FEW", 4)      # with the library and the working folder
    network, spec = random_network((6, 3)), AcceleratorSpec((3,), 2)
    images = np.array([[0, 50, 100, 150, 200, 255]])
    text = verilog.generate(network, spec, trace=True)
    for number, want in enumerate([0, 1, 1]):
        report = cosim.verify(network, images, spec, folder=tmp_path / "run", cache=tmp_path,
                              text=f"{text}// {number}\n")
        assert report.passed, str(report)
        assert len(list(tmp_path.glob("headers-*/headers.h.gch"))) == want


def test_headers_are_not_precompiled_where_verilator_has_no_rule_for_them(tmp_path):
    (tmp_path / "Vtop.mk").write_text("default: Vtop\n")
    simulation._precompile(find_verilator(), tmp_path, tmp_path / "headers")
    assert not (tmp_path / "headers").exists()


def test_a_flag_that_is_a_vector_is_an_error(tmp_path, cache):
    """Not one that is never set."""
    network, spec = random_network((10, 7, 3)), AcceleratorSpec((3, 3), 4)
    text = verilog.generate(network, spec, trace=True)
    flag = re.compile(r"^  (output|wire) intensities__ready;", re.MULTILINE)
    vector, replaced = flag.subn(r"  \1 [0:0] intensities__ready;", text)
    assert replaced
    with pytest.raises(SimulationError, match=r"intensities__ready must be a scalar"):
        cosim.verify(network, np.zeros((1, 10), int), spec, folder=tmp_path, cache=cache,
                     lint=False, text=vector)


def test_one_circuit_serves_every_network_of_its_shape(tmp_path, cache):
    first, second = random_network((10, 7, 3), seed=1), random_network((10, 7, 3), seed=1)
    hidden, output = second.layers
    second = replace(second, layers=(
        replace(hidden, synapses=-hidden.weights // 2, biases=hidden.biases // 2,
                thresholds=np.maximum(hidden.thresholds // 3, 1),
                initial_membranes=0 * hidden.biases),
        replace(output, synapses=output.weights[::-1] // 2, thresholds=output.thresholds // 2,
                initial_membranes=output.initial_membranes // 2)))
    spec = replace(AcceleratorSpec((3, 2), 4).with_loading(first), store_parts=2)
    text = verilog.generate(first, spec, trace=True)
    assert verilog.generate(second, spec, trace=True) == text
    images = np.random.default_rng(4).integers(0, 256, (5, 10))
    report = cosim.verify(second, images, spec, folder=tmp_path, cache=cache, text=text)
    assert report.passed, str(report)
    assert not np.array_equal(golden.run(first, images).currents,
                              golden.run(second, images).currents)
