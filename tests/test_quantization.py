"""Quantization keeps what decides about spikes, and says what it could not keep."""

import json
from itertools import pairwise

import numpy as np
import pytest

from sc_neurocore import golden, quantization, simulator
from sc_neurocore.conversion.converted_snn import ConvertedSNN
from sc_neurocore.quantization import finest_scale, quantize, summarize


def random_snn(seed=0, shape=(20, 15, 10), fraction=0.0, T=16):
    """Gaussian weights, drives of about a threshold, a different threshold for each neuron."""
    random = np.random.default_rng(seed)
    weights, biases, thresholds = [], [], []
    for n_input, n_output in pairwise(shape):
        scale = random.uniform(0.5, 3, (n_output, 1))
        if n_output == shape[-1]:
            scale[:] = scale[0]
        weights.append(random.normal(0.03, 1 / np.sqrt(n_input), (n_output, n_input)) * scale)
        biases.append(random.normal(0, 0.05, n_output) * scale[:, 0])
        thresholds.append(scale[:, 0])
    return ConvertedSNN(weights, biases, thresholds, T, fraction)


def neuron(weights, bias=0.0, threshold=1.0, **options):
    """One hidden neuron, and an output neuron that repeats its spikes."""
    return ConvertedSNN([np.array([weights]), np.ones((1, 1))], [np.array([bias]), None],
                        [threshold, 1.0], **options)


def weight_errors(snn, network, layer=0):
    """Errors in thresholds, (n_output, n_input), of a layer whose thresholds are exact."""
    theta = np.broadcast_to(snn.thresholds[layer], len(snn.weights[layer]))[:, None]
    integers = network.layers[layer]
    return integers.weights / integers.thresholds[:, None] - snn.weights[layer] / theta


# Scales and thresholds

def test_half_a_threshold_of_bias_is_half_of_the_timesteps():
    snn = ConvertedSNN([np.zeros((1, 1))], [np.array([0.5])], [1.0], T=256)
    assert golden.run(quantize(snn), [0]).counts.tolist() == [128]
    hidden = golden.trace(quantize(neuron([0.0], 0.5, T=256)), [0]).trace.spikes[0]
    assert hidden.sum() == 128
    assert hidden[0, 1::2].all()


@pytest.mark.parametrize("weight_width", [2, 4, 8, 16])
def test_binary_fractions_of_bias_are_exact_where_there_are_no_weights(weight_width):
    for bias in (0.5, 0.25, 0.625, -0.75, 3.5):
        hidden = quantize(neuron([0.0, 0.0], bias), weight_width).layers[0]
        assert hidden.biases[0] / hidden.thresholds[0] == bias


def test_the_largest_weight_fills_its_width():
    network = quantize(neuron([0.4, -0.2, 0.1]))
    assert network.layers[0].thresholds.tolist() == [317]       # floor(127 / 0.4)
    assert network.layers[0].weights.tolist() == [[127, -63, 32]]  # floor(317 · w + 0.5)


def test_thresholds_are_exact_and_weights_round_to_the_nearest():
    snn = random_snn()
    network = quantize(snn)
    hidden = network.layers[0]
    assert (np.abs(weight_errors(snn, network)) <= 0.5 / hidden.thresholds[:, None] + 1e-12).all()
    bias_errors = hidden.biases / hidden.thresholds - snn.biases[0] / snn.thresholds[0]
    assert (np.abs(bias_errors) <= 0.5 / hidden.thresholds + 1e-12).all()
    assert (np.abs(hidden.weights).max(axis=1) >= 126).all()


def test_integers_are_left_as_they_are():
    random = np.random.default_rng(1)
    thresholds = np.arange(1, 2000)     # 127 / (127 / threshold) isn't threshold for some of them
    weights = random.integers(-127, 128, (1999, 6))
    weights[:, 0] = 127
    biases = random.integers(-99, 99, 1999)
    output = random.integers(-126, 127, (3, 1999))
    output[0, 0] = 127
    network = quantize(ConvertedSNN([weights, output], [biases, None], [thresholds, 500]))
    assert np.array_equal(network.layers[0].weights, weights)
    assert np.array_equal(network.layers[0].thresholds, thresholds)
    assert np.array_equal(network.layers[0].biases, biases)
    assert np.array_equal(network.layers[1].weights, output)
    assert network.layers[1].thresholds.tolist() == [500] * 3


def test_a_common_factor_of_a_neuron_changes_nothing():
    snn = random_snn()
    factors = 2.0 ** np.random.default_rng(0).integers(-40, 40, 15)
    scaled = ConvertedSNN([snn.weights[0] * factors[:, None], snn.weights[1]],
                          [snn.biases[0] * factors, snn.biases[1]],
                          [snn.thresholds[0] * factors, snn.thresholds[1]])
    for one, other in zip(quantize(snn).layers, quantize(scaled).layers, strict=True):
        for name in ("weights", "biases", "thresholds", "initial_membranes"):
            assert np.array_equal(getattr(one, name), getattr(other, name))


def test_output_neurons_share_scale_threshold_and_initial_membrane():
    weights = np.array([[1.0, 0.5], [0.02, -0.01]])
    output = quantize(ConvertedSNN([weights], [np.array([0.25, 0.1])], [2.0],
                                   initial_membrane_fraction=0.5)).layers[0]
    assert output.weights.tolist() == [[127, 64], [3, -1]]      # floor(127 · w + 0.5)
    assert output.biases.tolist() == [32, 13]
    assert output.thresholds.tolist() == [254, 254]
    assert output.initial_membranes.tolist() == [127, 127]


def test_no_threshold_is_finer_than_worth_its_bits():
    weights = np.full((1, 100), 1e-12)
    finest = finest_scale(100, 16, 8)
    assert finest == 2**17                      # 2^(8 − 2) · 1600, the next power of two
    assert 100 * 16 * 0.5 / finest < 2**-7      # all rounding together, in thresholds
    network = quantize(ConvertedSNN([weights, np.ones((1, 1))], [None, None], [1.0, 1.0]))
    assert network.layers[0].thresholds.tolist() == [finest]
    assert finest_scale(2**16, 4096, 16) == 2**30


def test_a_large_bias_takes_bits_from_the_scale():
    network = quantize(neuron([1e-5], 2.0**20))
    assert network.layers[0].biases[0] <= 2**31 - 1
    assert network.layers[0].biases[0] / network.layers[0].thresholds[0] == 2**20


def test_all_zero_weights_are_no_special_case():
    snn = ConvertedSNN([np.zeros((3, 2)), np.zeros((2, 3))], [None, None], [1.0, 1.0])
    result = golden.run(quantize(snn), [[255, 255]])
    assert result.counts.tolist() == [[0, 0]]
    assert result.predicted.tolist() == [0]


@pytest.mark.parametrize(("fraction", "initial"), [(0.0, 0), (0.5, 158), (0.25, 79), (0.999, 316)])
def test_initial_membranes_are_the_floor_of_their_fraction(fraction, initial):
    network = quantize(neuron([0.4], initial_membrane_fraction=fraction))
    assert network.layers[0].thresholds[0] == 317
    assert network.layers[0].initial_membranes[0] == initial


# Few bits

def test_weights_beyond_all_thresholds_are_clipped_and_counted():
    snn = neuron([300.0, -200.0, 5.0])
    network = quantize(snn)
    assert network.layers[0].thresholds.tolist() == [1]
    assert network.layers[0].weights.tolist() == [[127, -127, 5]]
    summary = summarize(snn, network).layers[0]
    assert summary.weights_clipped == 2
    assert summary.largest_weight_error == 173.0


def test_a_few_weights_are_clipped_where_it_helps_the_others(monkeypatch):
    snn = random_snn(shape=(200, 30, 10))
    clipped = quantize(snn, 2)
    squared = (weight_errors(snn, clipped) ** 2).sum()
    monkeypatch.setattr(quantization, "OVERSCALING", np.ones(1))
    unclipped = quantize(snn, 2)
    assert summarize(snn, unclipped).layers[0].weights_clipped == 0
    assert squared < 0.6 * (weight_errors(snn, unclipped) ** 2).sum()


def test_few_bits_use_few_bits():
    for width in range(2, 17):
        limit = 2 ** (width - 1) - 1
        network = quantize(random_snn(), width)
        for layer in network.layers:
            assert layer.weight_width == width
            assert np.abs(layer.weights).max() == limit


@pytest.fixture(scope="module")
def classifier():
    """A network that tells noisy copies of ten images apart, images, labels and its accuracy.

    Random features and a least squares readout, so that nothing has to be trained.
    """
    random = np.random.default_rng(0)
    prototypes, labels = random.random((10, 64)), random.integers(0, 10, 1500)
    images = np.clip(prototypes[labels] + random.normal(0, 0.35, (1500, 64)), 0, 1)
    weights = random.normal(0, 1, (96, 64))
    bias = -0.5 * weights.sum(axis=1)
    features = np.maximum(images @ weights.T + bias, 0)
    readout = np.linalg.lstsq(features[:1000], np.eye(10)[labels[:1000]], rcond=None)[0].T
    peak = features.max()
    snn = ConvertedSNN([weights / peak, readout * peak], [bias / peak, None], [1.0, 1.0], 32, 0.5)
    images, labels = images[1000:], labels[1000:]
    return snn, images, labels, np.mean(snn.classify(images, seed=0) == labels)


@pytest.mark.parametrize(("options", "loss"), [
    ({"weight_width": 16}, 0.01), ({"weight_width": 8}, 0.01), ({"weight_width": 4}, 0.02),
    ({"weight_width": 2}, 0.3), ({"membrane_width": 8}, 0.02)])
def test_accuracy_survives_few_bits(classifier, options, loss):
    snn, images, labels, expected = classifier
    network = quantize(snn, **options)
    accuracy = simulator.accuracy(network, network.intensities(images), labels, seeds=range(1, 4))
    assert expected > 0.95
    assert accuracy.mean() > expected - loss


# The float network in the limit

@pytest.mark.parametrize("seed", range(5))
def test_rates_approach_the_clipped_sums_of_the_float_network(seed):
    snn = random_snn(seed, T=4096)
    image = np.random.default_rng(seed).integers(0, 2, 20)
    rates = image.astype(float)
    for weights, bias, theta in zip(snn.weights, snn.biases, snn.thresholds, strict=True):
        rates = np.clip((weights @ rates + bias) / theta, 0, 1)
    network = quantize(snn, 16)
    counts = simulator.run(network, network.intensities(image)).counts
    assert 0.05 < rates.mean() < 0.95
    assert np.abs(counts / 4096 - rates).max() < 0.005


@pytest.mark.parametrize("seed", range(5))
def test_counts_are_those_of_the_float_network(seed):
    snn = random_snn(seed, fraction=0.5, T=200)
    image = np.random.default_rng(seed).integers(0, 2, 20)      # both encoders agree on 0 and 1
    network = quantize(snn, 16)
    counts = golden.run(network, network.intensities(image)).counts
    assert np.abs(counts - snn.run(image.astype(float), seed=0)).max() <= 1


# Membranes of few bits

def test_membrane_width_is_for_hidden_layers_and_bounds_their_thresholds():
    network = quantize(random_snn(fraction=0.5), membrane_width=6)
    assert [layer.membrane_width for layer in network.layers] == [6, None]
    assert network.layers[0].thresholds.max() <= 2**5
    assert network.widths[0].saturates
    assert not network.widths[1].saturates
    membranes = golden.trace(network, np.full((3, 20), 128)).trace.membranes[0]
    assert membranes.min() == -32
    assert membranes.max() <= 31


def test_a_membrane_width_that_suffices_changes_nothing():
    snn = random_snn()
    free, bound = quantize(snn), quantize(snn, membrane_width=32)
    assert np.array_equal(free.layers[0].weights, bound.layers[0].weights)
    assert not bound.widths[0].saturates
    assert not summarize(snn, bound).layers[0].saturates


def test_widths_may_differ_from_layer_to_layer():
    network = quantize(random_snn(shape=(5, 4, 3, 2)), [4, 6, 8], membrane_width=[None, 9, 40])
    assert [layer.weight_width for layer in network.layers] == [4, 6, 8]
    assert [layer.membrane_width for layer in network.layers] == [None, 9, 40]


# Options and errors

def test_options_reach_the_network():
    network = quantize(random_snn(), timesteps=7, intensity_width=5, seed=99)
    assert (network.timesteps, network.intensity_width, network.seed) == (7, 5, 99)
    assert network.encoder == "lfsr"
    assert quantize(random_snn(T=21)).timesteps == 21


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"weight_width": 1}, ValueError, "Weight width of layer 0 must be in range(2, 17), not 1"),
    ({"weight_width": 8.5}, TypeError, "Weight width of layer 0 must be an integer, not 8.5"),
    ({"weight_width": "8"}, TypeError, "Weight width of layer 0 must be an integer, not '8'"),
    ({"weight_width": [8]}, ValueError,
     "Weight width must be one number, or one for each of 2 layers, not [8]"),
    ({"membrane_width": [8, 8, 8]}, ValueError,
     "Membrane width must be one number, or one for each of 2 layers, not [8, 8, 8]"),
    ({"membrane_width": 1}, ValueError, "Membrane width of layer 0 must be in range(2, 49), not 1"),
    ({"membrane_width": [8, 9]}, ValueError,
     "Initial membrane in 9 bits of neuron 0 must be in range(0, 256), not 317"),
    ({"timesteps": 5000}, ValueError, "Timesteps must be in range(1, 4097), not 5000"),
    ({"encoder": "poisson"}, ValueError,
     "Encoder must be one of lfsr, low_discrepancy, direct, events, "
     "not 'poisson'"),
])
def test_options_are_checked(options, error, message):
    snn = ConvertedSNN([np.eye(2), np.eye(2) * 0.2], [None, None], [1.0, 1.0],
                       initial_membrane_fraction=0.5)
    with pytest.raises(error) as caught:
        quantize(snn, **options)
    assert str(caught.value) == message


def test_output_thresholds_must_be_equal():
    snn = ConvertedSNN([np.eye(2)], [None], [np.array([1.0, 2.0])])
    with pytest.raises(ValueError, match=r"^The output layer must share one threshold, not 1 to"):
        quantize(snn)


@pytest.mark.parametrize(("weight", "bias", "message"), [
    (1.0, 1e10, "Bias of layer 0, neuron 0, must be at most 2147483647 thresholds of 0.5, "
                "not 1e+10"),
    (-1e300, 0.0, "Weight of layer 0, neuron 0, must be at most 2147483647 thresholds of 0.5, "
                  "not -1e+300"),
])
def test_what_is_beyond_all_scales_is_refused(weight, bias, message):
    with pytest.raises(ValueError, match="thresholds") as caught:
        quantize(neuron([weight], bias, 0.5))
    assert str(caught.value) == message


# The summary

def test_the_summary_is_that_of_the_network():
    snn = random_snn()
    network = quantize(snn, 6)
    summary = summarize(snn, network)
    for layer, widths in zip(summary.layers, network.widths, strict=True):
        assert layer.weight_format == "Q1.5"
        assert layer.threshold_format == f"UQ{widths.threshold - 5}.5"
        assert (layer.weight_width, layer.bias_width, layer.threshold_width, layer.membrane_width,
                layer.accumulator_width) == (6, widths.bias, widths.threshold, widths.membrane,
                                             widths.accumulator)
        assert (layer.lowest_membrane, layer.highest_membrane) == widths.membrane_range
    hidden, output = summary.layers
    assert hidden.smallest_scale < hidden.largest_scale
    assert output.smallest_scale == output.largest_scale
    assert hidden.largest_weight_error == pytest.approx(np.abs(weight_errors(snn, network)).max())


def test_the_scale_is_in_the_units_of_the_float_network():
    snn = neuron([0.4], threshold=2.0)
    hidden = summarize(snn, quantize(snn)).layers[0]
    assert hidden.smallest_scale == hidden.largest_scale == 635 / 2     # 1.0 is this, 2.0 is 635


def test_the_summary_is_json_and_a_table():
    snn = random_snn()
    summary = summarize(snn, quantize(snn))
    assert json.loads(json.dumps(summary.as_dict())) == summary.as_dict()
    lines = str(summary).splitlines()
    assert lines[0].split() == ["layer", "0", "1"]
    assert "n input" in lines[1]
    assert len({len(line) for line in lines}) == 1


def test_the_summary_is_of_this_network_alone():
    snn = random_snn()
    with pytest.raises(ValueError, match=r"^Layer 0 is not quantized from the float network: its "
                                         r"weights differ$"):
        summarize(random_snn(1), quantize(snn))
    with pytest.raises(ValueError, match=r"^Network must have the shape \(20, 9, 10\) of the float "
                                         r"network, not \(20, 15, 10\)$"):
        summarize(random_snn(shape=(20, 9, 10)), quantize(snn))
