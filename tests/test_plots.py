"""Plots are PNG files of the same bytes for the same numbers, and leave matplotlib as it was."""

import subprocess
import sys
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from sc_neurocore import golden, plots
from sc_neurocore.conversion.report import ConversionReport, LayerReport
from sc_neurocore.network import IntegerLayer, IntegerNetwork


@pytest.fixture(scope="module")
def network():
    random = np.random.default_rng(0)
    layers = [IntegerLayer(random.integers(-20, 40, (n_output, n_input)), np.zeros(n_output, int),
                           np.full(n_output, 100), np.full(n_output, 50))
              for n_input, n_output in pairwise((9, 5, 2))]
    return IntegerNetwork(tuple(layers), 12)


@pytest.fixture(scope="module")
def trace(network):
    return golden.trace(network, np.full((2, 9), 100)).trace


def drawn_twice(tmp_path, draw):
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    for file in files:
        draw(file)
    first, second = (file.read_bytes() for file in files)
    assert first.startswith(b"\x89PNG")
    assert first == second
    assert b"Software" not in first
    return first


def test_accuracy(tmp_path):
    drawn_twice(tmp_path, lambda path: plots.accuracy_against_timesteps(
        path, [4, 8], {"a": [[0.5, 0.6], [0.7, 0.8]], "b": [[0.4], [0.5]]}, 0.9))


def test_curve_has_a_row_for_each_T(tmp_path):
    with pytest.raises(ValueError, match=r"Curve 'a' must have 2 rows, one for each T"):
        plots.accuracy_against_timesteps(tmp_path / "a.png", [4, 8], {"a": [[0.5]]}, 0.9)
    assert not list(tmp_path.iterdir())


def test_spikes_of_an_image(tmp_path, trace):
    draw = [drawn_twice(tmp_path, lambda path, image=image: plots.spike_raster(path, trace, image))
            for image in (0, 1)]
    assert draw[0] != draw[1]
    with pytest.raises(IndexError):
        plots.spike_raster(tmp_path / "c.png", trace, 2)


def test_membranes_of_an_image(tmp_path, network, trace):
    three = drawn_twice(tmp_path, lambda path: plots.membrane_trace(path, network, trace, 1))
    one = drawn_twice(tmp_path, lambda path: plots.membrane_trace(path, network, trace, 1, 1))
    assert len(one) < len(three)


def test_causes_of_error(tmp_path):
    shares = dict(clipping=1.2, unevenness=-0.2)
    layers = tuple(LayerReport("", 5, 0.9, error, shares, shares, (), (), ())
                   for error in (0.2, 0.1, 0.0))
    report = ConversionReport(layers, dict(ann=0.9, clipping=0.8, unevenness=0.85), 100, 8,
                              "pipelined", "lfsr", ())
    both = drawn_twice(tmp_path, lambda path: plots.error_causes(path, report))
    bars = replace(report, accuracy=None)
    assert len(drawn_twice(tmp_path, lambda path: plots.error_causes(path, bars))) < len(both)


def test_pyplot_is_not_touched():
    code = ("import sys; from pathlib import Path; from sc_neurocore import plots; "
            "assert 'matplotlib' not in sys.modules; "
            "plots.accuracy_against_timesteps(Path('/dev/null'), [4], {'a': [[1]]}, 1); "
            "assert 'matplotlib' in sys.modules and 'matplotlib.pyplot' not in sys.modules")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
