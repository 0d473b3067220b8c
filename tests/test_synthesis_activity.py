"""Cycles and synaptic operations, by hand and against the trace."""

import numpy as np
import pytest

from sc_neurocore import golden
from sc_neurocore.network import IntegerLayer, IntegerNetwork
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.synapses import Convolution
from sc_neurocore.synthesis.activity import fan_out, observe


def layer(weights, threshold):
    n_output = len(weights)
    return IntegerLayer(np.array(weights), np.zeros(n_output, int), np.full(n_output, threshold),
                        np.zeros(n_output, int), 4)


NETWORK = IntegerNetwork((layer([[1, 0], [1, 1], [0, 0]], 1), layer([[1, 1, 1]], 4)), 4)
FULL_SCALE = np.array([[255, 0], [255, 255], [0, 0]])


def test_synaptic_operations_are_events_times_neurons_that_they_reach():
    # A full scale input spikes in each of 4 timesteps, and reaches 3 neurons. Image 0: 4 events;
    # neurons 0 and 1 fire each time, 8 events for 1 neuron. Image 1: 8 and 8. Image 2: nothing.
    assert observe(NETWORK, FULL_SCALE[:1], AcceleratorSpec((3, 1), 1)).synaptic_operations == 20
    assert observe(NETWORK, FULL_SCALE, AcceleratorSpec((3, 1), 1)).synaptic_operations == 52 / 3


def test_cycles_are_those_between_last_results():
    spec = AcceleratorSpec((2, 1), 1)
    done = golden.trace(NETWORK, FULL_SCALE, spec).trace.cycles.results[:, -1]
    seen = observe(NETWORK, FULL_SCALE, spec)
    assert [seen.cycles_min, seen.cycles_max] == sorted(np.diff(done))
    assert seen.cycles_mean == np.diff(done).mean()
    alone = [golden.trace(NETWORK, [image], spec).trace.cycles.total for image in FULL_SCALE]
    assert seen.latency_cyc == np.mean(alone)
    # 12 events and 16, in 3 images; the first layer reads a row for each of its two folds.
    assert seen.lane_utilisation == pytest.approx(
        (12 * 2 / 3 / seen.cycles_mean, 16 / 3 / seen.cycles_mean))


def test_a_single_image_takes_its_latency():
    seen = observe(NETWORK, FULL_SCALE[0], AcceleratorSpec((3, 1), 1))
    assert seen.images == 1
    assert seen.cycles_min == seen.cycles_mean == seen.cycles_max == seen.latency_cyc


def test_fan_out_of_a_convolution_is_smaller_at_the_edges():
    # Three pixels in a row, 2 channels out, a kernel of 2: the middle one is seen twice.
    synapses = Convolution(np.zeros((2, 1, 1, 2), int), (1, 1, 3))
    made = IntegerLayer((synapses,), np.zeros(4, int), np.ones(4, int), np.zeros(4, int), 4)
    assert fan_out(made).tolist() == [2, 4, 2]
    assert fan_out(NETWORK.layers[0]).tolist() == [3, 3]


def test_no_images_are_refused():
    with pytest.raises(ValueError, match="Images must be at least one"):
        observe(NETWORK, FULL_SCALE[:0], AcceleratorSpec((3, 1), 1))
