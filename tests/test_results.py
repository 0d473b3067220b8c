"""Comparing results: every number that differs is told, with its place."""

from dataclasses import replace

import numpy as np
import pytest

from sc_neurocore.results import Result, differences

ONE = Result(np.array([[1, 2], [3, 4]]), np.array([[5, 6], [7, 8]]), np.array([[9, 10], [11, 12]]),
             np.array([1, 1]))


def test_equal_results_have_none():
    assert differences(ONE, replace(ONE)) == []


@pytest.mark.parametrize("name", ["counts", "membranes", "currents"])
def test_a_difference_names_its_place(name):
    other = getattr(ONE, name).copy()
    other[1, 0] += 5
    assert differences(replace(ONE, **{name: other}), ONE) == [
        f"image 1, neuron 0: {name} {other[1, 0]}, not {other[1, 0] - 5}"]


def test_of_a_single_image_too():
    one, other = (Result(*(array[0] for array in ONE.arrays())) for _ in range(2))
    other = replace(other, predicted=np.array(0), counts=np.array([1, 7]))
    assert differences(other, one) == ["neuron 1: counts 7, not 2", "predicted 0, not 1"]


def test_results_of_other_images_can_not_be_compared():
    with pytest.raises(ValueError, match=r"same shape, not \(2, 2\) and \(1, 2\): counts"):
        differences(ONE, Result(*(array[:1] for array in ONE.arrays())))
