"""Cycle predictions by hand; that they are the gateware's cycles is for sim/test_accelerator.py."""

from dataclasses import replace

import numpy as np
import pytest

from sc_neurocore import golden
from sc_neurocore.network import IntegerLayer, IntegerNetwork
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.timing import longest_image, predict


def network(n_input, *sizes, timesteps=2):
    layers = []
    for fan_in, neurons in zip((n_input, *sizes), sizes, strict=False):
        layers.append(IntegerLayer(np.ones((neurons, fan_in), int), np.zeros(neurons, int),
                                   np.ones(neurons, int), np.zeros(neurons, int)))
    return IntegerNetwork(tuple(layers), timesteps)


def test_a_silent_image_by_hand():
    """Two words loaded in cycles 0 and 1; word 0 is read in cycle 2."""
    net = network(4, 2, timesteps=1)
    cycles = golden.trace(net, [0, 0, 0, 0], AcceleratorSpec((2,), 2, 2)).trace.cycles
    assert cycles.loads.tolist() == [[0, 1]]
    assert cycles.encoder.tolist() == [[[5, 6]]]     # three cycles after reading
    # Word 0 is dropped. Word 1 is offered in cycle 8 and taken, an empty event follows in 9, the
    # layer fires in 10, and commits three cycles later.
    assert cycles.layers[0].tolist() == [[[13]]]
    # Its word is selected in cycles 14 and 15, neuron by neuron.
    assert cycles.results.tolist() == [[16, 17]]
    assert cycles.latency.tolist() == [18]
    assert cycles.total == 18


def test_each_event_and_fold_costs_a_cycle():
    net = network(6, 4, timesteps=3)
    spikes = np.ones((1, 3, 6), bool), [np.zeros((1, 3, 4), bool)]
    one_fold = predict(net, AcceleratorSpec((4,), 8), *spikes).layers[0]
    two_folds = predict(net, AcceleratorSpec((2,), 8), *spikes).layers[0]
    assert np.diff(one_fold.ravel()).tolist() == [6 + 1, 6 + 1]
    assert np.diff(two_folds.ravel()).tolist() == [6 + 1] * 5


def test_silent_words_are_skipped():
    """An event a cycle, whatever lies between them."""
    net = network(64, 2, timesteps=6)
    spikes = np.zeros((1, 6, 64), bool)
    spikes[:, :, :10] = True
    cycles = predict(net, AcceleratorSpec((2,), 8, 8), spikes, [np.zeros((1, 6, 2), bool)])
    # Eight words a timestep take eight cycles to encode; ten events, and firing, eleven.
    # So does the empty event of the last word, which closes the timestep.
    assert np.diff(cycles.layers[0].ravel())[2:].tolist() == [12, 12, 12]


def test_the_next_image_is_loaded_meanwhile():
    net = network(4, 3, timesteps=8)
    images = np.full((4, 4), 255)
    cycles = golden.trace(net, images, AcceleratorSpec((1,), 1)).trace.cycles
    results = cycles.results[:, -1]
    assert np.diff(results).tolist() == [8 * 3 * (4 + 1)] * 3
    assert (cycles.loads[1:, 0] < results[:-1]).all()


def test_a_slow_layer_holds_back_the_one_before():
    net = network(2, 4, 4, timesteps=20)
    spikes = np.ones((1, 20, 2), bool), [np.ones((1, 20, 4), bool), np.zeros((1, 20, 4), bool)]
    fast, slow = predict(net, AcceleratorSpec((4, 1), 2), *spikes).layers
    assert np.diff(slow[0, :, -1]).tolist() == [4 * (4 + 1)] * 19
    assert np.diff(fast[0, 8:, 0]).tolist() == [4 * (4 + 1)] * 11


def test_direct_input_is_summed_up_once_an_image():
    """A plane of bits is as many events as it has ones; then a timestep takes two cycles."""
    net = replace(network(4, 2, timesteps=6), encoder="direct", intensity_width=2)
    cycles = golden.trace(net, np.full((5, 4), 3), AcceleratorSpec((2,), 4, 4)).trace.cycles
    assert np.diff(cycles.layers[0][2].ravel()).tolist() == [2] * 5
    assert np.diff(cycles.results[:, -1])[1:].tolist() == [2 * (4 + 1) + 6 * 2] * 3


def test_layer_by_layer_a_layer_fires_when_all_timesteps_are_in():
    net = replace(network(4, 2, timesteps=3), schedule="layer_by_layer")
    spikes = np.ones((4, 3, 4), bool), [np.zeros((4, 3, 2), bool)]
    cycles = predict(net, AcceleratorSpec((2,), 4, 4), *spikes)
    assert np.diff(cycles.layers[0][1].ravel()).tolist() == [2, 2]
    assert np.diff(cycles.results[:, -1])[1:].tolist() == [3 * (4 + 1) + 3 * 2] * 2


def test_cycles_do_not_go_backwards_and_latency_is_positive():
    net = network(9, 5, 3, timesteps=4)
    images = np.random.default_rng(0).integers(0, 256, (3, 9))
    cycles = golden.trace(net, images, AcceleratorSpec((2, 2), 2)).trace.cycles
    for array in (cycles.loads, cycles.encoder, *cycles.layers, cycles.results):
        assert (np.diff(array.ravel()) > 0).all()
    assert (cycles.latency > 0).all()


def test_a_layout_of_another_network_is_refused():
    with pytest.raises(ValueError, match="Lanes must be given for 1 layers, not for 2"):
        golden.trace(network(4, 2), [0, 0, 0, 0], AcceleratorSpec((2, 2)))
    with pytest.raises(ValueError, match=r"Lanes of layer 0 must be in range\(1, 3\), not 3"):
        golden.trace(network(4, 2), [0, 0, 0, 0], AcceleratorSpec((3,)))


@pytest.mark.parametrize(("options", "spec"), [
    ({}, AcceleratorSpec((3, 2), 4)), ({}, AcceleratorSpec((7, 5), 8, ports=(2, 1))),
    (dict(encoder="direct"), AcceleratorSpec((3, 1), 4)),
    (dict(encoder="events"), AcceleratorSpec((1, 5), 16)),
    (dict(schedule="layer_by_layer"), AcceleratorSpec((2, 5), 8))])
def test_no_image_takes_longer_than_the_longest(options, spec):
    """Nor is there a longer pause between results, whatever comes before and after."""
    net = replace(network(37, 7, 5, timesteps=4), **options)
    bound = longest_image(net, spec)
    random = np.random.default_rng(1)
    rounds = 8 if net.encoder == "direct" else 4
    for density in (0.0, 0.02, 0.1, 0.5, 0.9, 1.0):
        inputs = random.random((6, rounds, 37)) < density
        spikes = [random.random((6, 4, size)) < random.random() for size in (7, 5)]
        alone = [predict(net, spec, inputs[i:i + 1], [layer[i:i + 1] for layer in spikes])
                 for i in range(6)]
        assert max(cycles.latency[0] for cycles in alone) <= bound
        together = predict(net, spec, inputs, spikes)
        assert np.diff(together.results.ravel()).max() < bound
        assert (together.results[:, 0] - together.loads[:, -1])[0] < bound
