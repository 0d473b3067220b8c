"""The integer network: what it refuses, the widths it computes, the intensities it makes."""

from dataclasses import FrozenInstanceError, replace
from itertools import product

import numpy as np
import pytest

from sc_neurocore.network import (
    LFSR_SEED_FACTOR,
    IntegerLayer,
    IntegerNetwork,
)
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.widths import layer_widths, signed_width, unsigned_width


def layer(weights, biases=None, thresholds=4, initial=0, weight_width=8, membrane_width=None):
    weights = np.asarray(weights)
    n = len(weights)
    biases = np.zeros(n, dtype=int) if biases is None else np.asarray(biases)
    return IntegerLayer(weights, biases, np.full(n, thresholds), np.full(n, initial), weight_width,
                        membrane_width)


def network(*layers, timesteps=4, **options):
    return IntegerNetwork(layers or (layer([[3, -2], [1, 4]]),), timesteps, **options)


# What is refused, in the words that the user reads

@pytest.mark.parametrize(("options", "error", "message"), [
    ({"thresholds": 0}, ValueError,
     "Threshold of neuron 0 must be in range(1, 2147483648), not 0"),
    ({"thresholds": 2**31}, ValueError,
     "Threshold of neuron 0 must be in range(1, 2147483648), not 2147483648"),
    ({"initial": 4}, ValueError,
     "Initial membrane of neuron 0 must be in range(0, 4), not 4"),
    ({"initial": -1}, ValueError,
     "Initial membrane of neuron 0 must be in range(0, 4), not -1"),
    ({"biases": [0, 2**31]}, ValueError,
     "Bias of neuron 1 must be in range(-2147483647, 2147483648), not 2147483648"),
    ({"biases": [0]}, ValueError,
     "Biases must have shape (2,), one for each neuron, not (1,)"),
    ({"biases": [0.0, 1.0]}, TypeError, "Biases must be an array of integers, not of float64"),
    ({"weight_width": 3}, ValueError,
     "Weight of neuron 1, input 1 must be in range(-4, 4), not 4"),
    ({"weight_width": 1}, ValueError, "Weight width must be in range(2, 17), not 1"),
    ({"weight_width": 17}, ValueError, "Weight width must be in range(2, 17), not 17"),
    ({"weight_width": 8.0}, TypeError, "Weight width must be an integer, not 8.0"),
    ({"weight_width": True}, TypeError, "Weight width must be an integer, not True"),
    ({"membrane_width": 49}, ValueError, "Membrane width must be in range(2, 49), not 49"),
    ({"thresholds": 9, "initial": 8, "membrane_width": 4}, ValueError,
     "Initial membrane in 4 bits of neuron 0 must be in range(0, 8), not 8"),
])
def test_layer_refuses_with_place_rule_and_value(options, error, message):
    with pytest.raises(error) as caught:
        layer([[3, -2], [1, 4]], **options)
    assert str(caught.value) == message


@pytest.mark.parametrize(("weights", "error", "message"), [
    ([1, 2], ValueError, "Weights must have 2 dimension(s), not shape (2,)"),
    (np.zeros((2, 0), int), ValueError, "Weights must not be empty, but has shape (2, 0)"),
    ([[0.5]], TypeError, "Weights must be an array of integers, not of float64"),
    ([[True]], TypeError, "Weights must be an array of integers, not of bool"),
    ([[128]], ValueError, "Weight of neuron 0, input 0 must be in range(-128, 128), not 128"),
    (np.array([[2**64 - 4]], np.uint64), ValueError,
     "Weights must fit in 64 bits, signed, but reach 18446744073709551612"),
    (np.zeros((1, 2**16 + 1), int), ValueError,
     "A layer must have at most 65536 inputs and neurons, not 65537 and 1"),
])
def test_layer_refuses_weights(weights, error, message):
    with pytest.raises(error) as caught:
        layer(weights)
    assert str(caught.value) == message


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"timesteps": 0}, ValueError, "Timesteps must be in range(1, 4097), not 0"),
    ({"timesteps": 4097}, ValueError, "Timesteps must be in range(1, 4097), not 4097"),
    ({"timesteps": "4"}, TypeError, "Timesteps must be an integer, not '4'"),
    ({"intensity_width": 17}, ValueError, "Intensity width must be in range(1, 17), not 17"),
    ({"seed": 0}, ValueError, "Seed must be in range(1, 4294967296), not 0"),
    ({"seed": 2**32}, ValueError, "Seed must be in range(1, 4294967296), not 4294967296"),
    ({"encoder": "poisson"}, ValueError,
     "Encoder must be one of lfsr, low_discrepancy, direct, events, "
     "not 'poisson'"),
    ({"schedule": "layers"}, ValueError, "Schedule must be one of pipelined, layer_by_layer, "
     "not 'layers'"),
])
def test_network_refuses_with_rule_and_value(options, error, message):
    with pytest.raises(error) as caught:
        network(**options)
    assert str(caught.value) == message


def test_network_needs_a_layer():
    with pytest.raises(ValueError, match=r"^A network must have at least one layer$"):
        IntegerNetwork((), 4)


def test_network_takes_layers_alone():
    with pytest.raises(TypeError, match=r"^Layer 1 must be an IntegerLayer, not None$"):
        network(layer([[1]]), None)


def test_layers_must_fit_each_other():
    with pytest.raises(ValueError, match=r"^Layer 1 must have 2 inputs, one for each neuron of "
                                         r"layer 0, not 3$"):
        network(layer([[1], [1]]), layer([[1, 1, 1]]))


@pytest.mark.parametrize("name", ["thresholds", "initial_membranes"])
def test_output_layer_must_share_what_its_currents_are_made_of(name):
    output = replace(layer([[1], [1]], thresholds=4), **{name: np.array([1, 2])})
    with pytest.raises(ValueError, match=rf"^The output layer must share one value of its "
                                         rf"{name.replace('_', ' ')}, not \[1, 2\]$"):
        network(output)


def test_hidden_layers_may_differ_in_thresholds():
    hidden = replace(layer([[1], [1]]), thresholds=np.array([4, 5]))
    assert network(hidden, layer([[1, 1]])).shape == (1, 2, 1)


def test_output_layer_must_not_saturate():
    with pytest.raises(ValueError, match=r"^The output layer must not saturate, but its membranes "
                                         r"reach 4 bits and membrane width is 3$"):
        network(layer([[-2]], membrane_width=3))
    assert not network(layer([[-2]], membrane_width=4)).widths[-1].saturates


@pytest.mark.parametrize(("intensities", "error", "message"), [
    ([0, 256], ValueError, "Intensities must be in range(256), but input 1 is 256"),
    ([[0, 0], [-1, 0]], ValueError,
     "Intensities must be in range(256), but image 1, input 0 is -1"),
    ([0.5, 0.5], TypeError, "Intensities must be integers, not float64; "
                            "IntegerNetwork.intensities() makes them from images in [0, 1]"),
    ([0], ValueError, "Intensities must have shape (2,) or (batch, 2), not (1,)"),
    ([[[0]]], ValueError, "Intensities must have shape (2,) or (batch, 2), not (1, 1, 1)"),
])
def test_intensities_are_checked(intensities, error, message):
    with pytest.raises(error) as caught:
        network().check_inputs(intensities)
    assert str(caught.value) == message


@pytest.mark.parametrize(("images", "error", "message"), [
    ([0.0, 1.5], ValueError, "Images must be in [0, 1], but input 1 is 1.5"),
    ([[0.0, 0.0], [np.nan, 0.0]], ValueError,
     "Images must be in [0, 1], but image 1, input 0 is nan"),
    (["a", "b"], TypeError, "Images must be real numbers, not <U1"),
    ([0.0], ValueError, "Images must have shape (2,) or (batch, 2), not (1,)"),
])
def test_images_are_checked(images, error, message):
    with pytest.raises(error) as caught:
        network().intensities(images)
    assert str(caught.value) == message


def test_a_network_cannot_be_changed():
    frozen = network()
    with pytest.raises(FrozenInstanceError):
        frozen.seed = 2
    with pytest.raises(ValueError, match="read-only"):
        frozen.layers[0].weights[0, 0] = 1


def test_a_network_does_not_share_memory_with_its_source():
    weights = np.array([[3]])
    built = layer(weights)
    weights[0, 0] = 5
    assert built.weights[0, 0] == 3


# What is computed

@pytest.mark.parametrize(("low", "high", "bits"), [
    (0, 0, 1), (-1, 0, 1), (0, 1, 2), (-2, 1, 2), (-3, 1, 3), (-4, 3, 3), (-4, 4, 4), (5, 7, 4),
    (-128, 127, 8), (-129, 0, 9), (0, 128, 9)])
def test_signed_width_is_the_narrowest(low, high, bits):
    assert signed_width(low, high) == bits


@pytest.mark.parametrize(("maximum", "bits"), [(0, 1), (1, 1), (2, 2), (255, 8), (256, 9)])
def test_unsigned_width_is_the_narrowest(maximum, bits):
    assert unsigned_width(maximum) == bits


def test_intensities_round_half_up():
    # 0.5 · 255 = 127.5 and 0.1 · 255 = 25.5
    one = network(layer([[1] * 5]))
    assert one.intensities([0, 0.5, 1, 0.1, 127.4999 / 255]).tolist() == [0, 128, 255, 26, 127]
    assert replace(one, intensity_width=1).intensities([0, 0.49, 0.5, 0.51, 1]).tolist() \
        == [0, 0, 1, 1, 1]


def test_every_intensity_comes_from_its_own_fraction():
    one = network(layer([[1] * 256]))
    assert one.intensities(np.arange(256) / 255).tolist() == list(range(256))
    assert one.intensities((np.arange(256) / 255).astype(np.float32)).tolist() == list(range(256))


def test_seeds_spread_over_the_register_and_never_make_state_zero():
    seeds = [1, 2, 3, 2**31, 2**32 - 1]
    states = [network(seed=seed).lfsr_state for seed in seeds]
    assert states == [seed * LFSR_SEED_FACTOR % 2**32 for seed in seeds]
    assert 0 not in states
    inverse = pow(LFSR_SEED_FACTOR, -1, 2**32)      # exists, so the map is one to one
    assert [state * inverse % 2**32 for state in states] == seeds


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.int64, np.uint64])
def test_numpy_integers_are_as_good_as_python_s(kind):
    built = network(timesteps=kind(4), seed=kind(5), intensity_width=kind(8))
    assert built.lfsr_state == network(seed=5).lfsr_state
    assert layer([[1]], membrane_width=kind(40)).membrane_width == 40
    assert all(type(number) is int for number in (built.timesteps, built.seed))


def test_widths_of_the_readout():
    built = network(layer([[3, -2], [1, 4]], biases=[1, -1]), timesteps=16)
    assert built.count_width == 5                   # 16
    assert built.current_width == 8                 # 16 · (−2 + 1) to 16 · (3 + 1) is −16 … 64
    assert built.full_scale == 255


def reached(one, timesteps):
    """Every membrane and every partial sum of a layer over all inputs, by trying them all."""
    inputs = np.array(list(product((False, True), repeat=one.n_input)))
    stored, partial = set(), set()
    for weights, bias, threshold, initial in zip(one.weights, one.biases, one.thresholds,
                                                 one.initial_membranes, strict=True):
        drives = {int(weights @ events + bias) for events in inputs}
        sums = {int(weights @ events) for events in inputs} | drives | {int(bias)}
        membranes = {int(initial)}
        stored |= membranes
        for _ in range(timesteps):
            partial |= {start + value for start, value in product(membranes, sums)}
            integrated = {start + drive for start, drive in product(membranes, drives)}
            partial |= {value - int(threshold) for value in integrated}
            membranes = {value - int(threshold) * int(value >= threshold) for value in integrated}
            if one.membrane_width is not None:
                limit = 2 ** (one.membrane_width - 1)
                membranes = {min(max(value, -limit), limit - 1) for value in membranes}
            stored |= membranes
    return stored, partial


def random_layer(random, membrane_width=None):
    n_output, n_input = random.integers(1, 4), random.integers(1, 5)
    thresholds = random.integers(1, 12, n_output)
    return IntegerLayer(random.integers(-8, 8, (n_output, n_input)),
                        random.integers(-6, 7, n_output), thresholds,
                        np.minimum(thresholds // 2, 3), 4, membrane_width)


@pytest.mark.parametrize("seed", range(40))
def test_no_input_exceeds_the_widths_and_some_come_near(seed):
    random = np.random.default_rng(seed)
    one, timesteps = random_layer(random), int(random.integers(1, 7))
    widths, (stored, partial) = layer_widths(one, timesteps), reached(one, timesteps)
    low, high = widths.membrane_range
    assert low <= min(stored) <= max(stored) <= high
    assert not widths.saturates
    assert widths.membrane - signed_width(min(stored), max(stored)) in (0, 1)
    assert widths.accumulator - signed_width(min(partial), max(partial)) in (0, 1)


@pytest.mark.parametrize("seed", range(40))
def test_no_input_exceeds_the_widths_of_saturating_membranes(seed):
    random = np.random.default_rng(seed)
    one, timesteps = random_layer(random, membrane_width=3), int(random.integers(1, 7))
    widths, (stored, partial) = layer_widths(one, timesteps), reached(one, timesteps)
    low, high = widths.membrane_range
    assert -4 <= low <= min(stored) <= max(stored) <= high <= 3
    assert widths.membrane == 3
    assert widths.accumulator - signed_width(min(partial), max(partial)) in (0, 1)


@pytest.mark.parametrize(("one", "low", "high"), [
    (layer([[1, -2]], thresholds=4), -8, 3),            # 4 · −2; 3 is below 4
    (layer([[1, -2]], [1], thresholds=4), -4, 3),
    (layer([[7, -1]], thresholds=4), -4, 12),           # 4 · (7 − 4) stay behind
    (layer([[1]], [5], thresholds=4), 0, 8),            # spikes in every timestep, 1 or 2 stay
    (layer([[0]], thresholds=4, initial=3), 3, 3),
])
def test_the_range_is_attained(one, low, high):
    stored, _ = reached(one, 4)
    reachable = layer_widths(one, 4).membrane_range
    assert reachable == (min(stored), max(stored)) == (low, high)


def test_saturation_is_reported_where_it_can_happen():
    assert layer_widths(layer([[-2]], membrane_width=3), 2).saturates is False      # −4
    assert layer_widths(layer([[-2]], membrane_width=3), 3).saturates is True       # −6


def test_layout_is_checked_against_the_network():
    built = network(layer([[1]] * 20), layer([[1] * 20] * 3))
    assert AcceleratorSpec.for_network(built).lanes == (16, 3)
    assert AcceleratorSpec((8, 2)).folds(built, 0) == 3
    with pytest.raises(ValueError, match=r"^Lanes must be given for 2 layers, not for 1$"):
        AcceleratorSpec((8,)).check(built)
    with pytest.raises(ValueError, match=r"^Lanes of layer 1 must be in range\(1, 4\), not 4$"):
        AcceleratorSpec((8, 4)).check(built)
    with pytest.raises(ValueError, match=r"^Beats must be in range\(1, 65\), not 65$"):
        AcceleratorSpec((1,), beats=65)


def test_parity_is_of_memories():
    assert not AcceleratorSpec((8, 2)).parity
    with pytest.raises(TypeError, match="Parity must be true or false, not 1"):
        AcceleratorSpec((8, 2), parity=1)
    with pytest.raises(ValueError, match="Memory of layer 1 must be block or spram where rows have "
                                         "parity, not logic"):
        AcceleratorSpec((8, 2), memories=("block", "logic"), parity=True)
    with pytest.raises(ValueError, match="Layers must be at most 255 where rows have parity"):
        AcceleratorSpec((1,) * 256, parity=True)
