"""Helpers of the benchmarks that numbers depend on."""

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from sc_neurocore import golden
from sc_neurocore.spec import AcceleratorSpec

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def benchmark_module(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.syspath_prepend(BENCHMARKS)

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)
    return load


def test_a_result_is_made_once_or_again_if_fresh(benchmark_module, tmp_path):
    kept = benchmark_module("kept")
    made = []

    def make():
        made.append(len(made))
        return made[-1]
    assert [kept.Store(tmp_path).result("a", "0", make) for _ in range(2)] == [0, 0]
    fresh = kept.Store(tmp_path, fresh=True)
    assert [fresh.result("a", "0", make) for _ in range(2)] == [1, 1]


@pytest.mark.parametrize("membrane_width", [None, 7])
def test_spikes_are_the_golden_models(benchmark_module, membrane_width):
    networks = benchmark_module("hardware_networks")
    network = networks.random_network((30, 12, 5), timesteps=6)
    first = replace(network.layers[0], membrane_width=membrane_width)
    network = replace(network, layers=(first, network.layers[1]), seed=3)
    images = networks.random_images(30, 20)
    spikes = benchmark_module("hardware_cycles").spikes_of(network, images)
    trace = golden.trace(network, images).trace
    for found, expected in zip(spikes, (trace.input_spikes, *trace.spikes), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_work_is_events_times_folds_of_each_layer(benchmark_module):
    networks = benchmark_module("hardware_networks")
    network = networks.random_network((4, 3, 2), timesteps=1)
    spikes = [np.array([[[True, True, False, True]]]), np.array([[[True, False, False]]]),
              np.array([[[False, False]]])]
    found = benchmark_module("hardware_cycles").work(network, AcceleratorSpec((2, 1)), spikes)
    assert found.tolist() == [[[6]], [[2]]]
