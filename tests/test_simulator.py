"""The simulator gives the golden model's integers, whatever the network and however it is cut."""

from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sc_neurocore import golden, simulator
from sc_neurocore.network import IntegerLayer, IntegerNetwork


def random_layer(random, n_input, n_output, weight_width, membrane_width=None, output=False,
                 reach=4.0):
    """Extreme weights among the random ones, thresholds of up to ``reach`` weights."""
    half = 2 ** (weight_width - 1)
    weights = random.integers(-half, half, (n_output, n_input))
    weights[random.random(weights.shape) < 0.2] = half - 1
    thresholds = random.integers(1, int(reach * half) + 2, n_output)
    if output:
        thresholds[:] = thresholds[0]
    limit = 2**47 if membrane_width is None else 2 ** (membrane_width - 1)
    initial = np.minimum(thresholds // random.integers(1, 4), np.minimum(limit, thresholds) - 1)
    return IntegerLayer(weights, random.integers(-half, half + 1, n_output), thresholds, initial,
                        weight_width, membrane_width)


@st.composite
def networks(draw):
    random = np.random.default_rng(draw(st.integers(0, 2**32)))
    shape = draw(st.lists(st.integers(1, 9), min_size=2, max_size=4))
    last = len(shape) - 2
    layers = [random_layer(random, n_input, n_output, draw(st.integers(2, 16)),
                           None if index == last else draw(st.none() | st.integers(2, 12)),
                           index == last, draw(st.sampled_from([0.0, 0.5, 4.0])))
              for index, (n_input, n_output) in enumerate(pairwise(shape))]
    return IntegerNetwork(tuple(layers), draw(st.integers(1, 40)), draw(st.integers(1, 16)),
                          seed=draw(st.integers(1, 2**32 - 1)))


def some_intensities(network, batch, seed=0):
    """Images of which a third of the inputs is silent and a third at full scale."""
    random = np.random.default_rng(seed)
    images = random.integers(0, network.full_scale + 1, (batch, network.n_input))
    kind = random.integers(0, 3, images.shape)
    return np.where(kind == 0, 0, np.where(kind == 1, network.full_scale, images))


def assert_same(one, other):
    for name in ("counts", "membranes", "currents", "predicted"):
        got, want = getattr(one, name), getattr(other, name)
        assert got.dtype == want.dtype == np.int64
        assert got.shape == want.shape
        assert np.array_equal(got, want), name


@given(networks(), st.integers(0, 3))
def test_results_are_the_golden_model_s(network, seed):
    images = some_intensities(network, 4, seed)
    assert_same(simulator.run(network, images), golden.run(network, images))


@pytest.mark.parametrize("weight", [127, -128])
@pytest.mark.parametrize("membrane_width", range(2, 9))
def test_membranes_saturate_at_the_golden_model_s_limits(weight, membrane_width):
    # Drives far beyond the limit, then silence: the output counts what the membrane kept
    saturating = IntegerLayer(np.array([[weight, 64]]), np.array([-np.sign(weight)]), np.array([1]),
                              np.array([0]), membrane_width=membrane_width)
    repeat = IntegerLayer(np.array([[1]]), np.array([0]), np.array([1]), np.array([0]))
    network = IntegerNetwork((saturating, repeat), 40)
    images = np.array([[i, j] for i in (0, 10, 40) for j in (0, 20)])
    assert network.widths[0].saturates
    assert_same(simulator.run(network, images), golden.run(network, images))


@given(networks())
def test_a_single_image_has_no_batch_axis(network):
    image = some_intensities(network, 1)[0]
    assert_same(simulator.run(network, image), golden.run(network, image))


def medium_network(seed=0, weight_width=8, shape=(30, 20, 10), timesteps=16):
    random = np.random.default_rng(seed)
    layers = [random_layer(random, n_input, n_output, weight_width, output=n_output == shape[-1])
              for n_input, n_output in pairwise(shape)]
    return IntegerNetwork(tuple(layers), timesteps, seed=seed + 1)


def test_the_random_networks_are_not_silent():
    counts = simulator.run(medium_network(), some_intensities(medium_network(), 50)).counts
    assert 0 < counts.mean() < 16
    assert len(np.unique(counts)) > 5


@pytest.mark.parametrize("batch", [0, 1, 6, 7, 8, 14, 15])
def test_chunks_do_not_change_results(monkeypatch, batch):
    network = medium_network()
    images = some_intensities(network, batch)
    monkeypatch.setattr(simulator, "CHUNK_VALUES", 7 * 30)
    assert_same(simulator.run(network, images), golden.run(network, images))


def test_an_image_wider_than_a_chunk_is_one(monkeypatch):
    monkeypatch.setattr(simulator, "CHUNK_VALUES", 1)
    images = some_intensities(medium_network(), 3)
    assert_same(simulator.run(medium_network(), images), golden.run(medium_network(), images))


def test_progress_is_told_after_every_chunk(monkeypatch):
    told = []
    monkeypatch.setattr(simulator, "CHUNK_VALUES", 7 * 30)
    simulator.run(medium_network(), some_intensities(medium_network(), 15),
                  lambda done, total: told.append((done, total)))
    assert told == [(7, 15), (14, 15), (15, 15)]


def wide_network(magnitude, shape=(3, 2, 2), timesteps=9):
    """Odd biases and thresholds near ``magnitude``, which a type that is too narrow rounds."""
    layers = [IntegerLayer(np.arange(n_input * n_output).reshape(n_output, n_input) * 2 - 3,
                           np.full(n_output, magnitude // 2 - 7) + 2 * np.arange(n_output),
                           np.full(n_output, magnitude - 1), np.full(n_output, magnitude // 3))
              for n_input, n_output in pairwise(shape)]
    return IntegerNetwork(tuple(layers), timesteps)


@pytest.mark.parametrize("exponent", range(18, 32))
def test_sums_are_exact_at_every_width(exponent):
    network = wide_network(2**exponent - 1)
    images = some_intensities(network, 5)
    assert_same(simulator.run(network, images), golden.run(network, images))


def test_the_narrowest_exact_type_is_used():
    def dtypes(network):
        return [simulator._Population(layer, widths).dtype
                for layer, widths in zip(network.layers, network.widths, strict=True)]

    assert dtypes(medium_network()) == [np.float32, np.float32]
    edge = IntegerLayer(np.array([[1]]), np.array([0]), np.array([2**24 - 1]), np.array([0]))
    assert dtypes(IntegerNetwork((edge,), 1)) == [np.float32]
    assert dtypes(IntegerNetwork((replace(edge, thresholds=edge.thresholds + 2),), 1)) \
        == [np.float64]


def test_no_network_is_too_wide_for_a_double():
    largest = IntegerLayer(np.full((1, 2**16), -2**15), np.array([-(2**31 - 1)]),
                           np.array([2**31 - 1]), np.array([0]), weight_width=16)
    network = IntegerNetwork((largest,), 4096)
    assert network.widths[0].accumulator < 54 - 1
    assert network.current_width < 54 - 1


@pytest.mark.parametrize("width", [1, 3, 8, 13, 16])
@pytest.mark.parametrize("seed", [1, 2**32 - 1, 0xDEADBEEF])
def test_draws_are_the_golden_model_s(width, seed):
    network = replace(medium_network(), intensity_width=width, seed=seed, timesteps=25)
    draws = simulator.encoder_draws(network)
    assert draws.shape == (25, 30)
    assert draws.ravel().tolist() == list(islice(golden.lfsr_draws(network), 25 * 30))


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 63, 64, 65, 2047, 2048, 2049, 70_001])
def test_bits_do_not_depend_on_how_many_there_are(count):
    state = 0x9E3779B1
    reference = golden.lfsr_draws(replace(medium_network(), intensity_width=1))
    assert simulator.lfsr_bits(state, count).tolist() == list(islice(reference, count))


# Accuracy

def labelled():
    network = medium_network()
    images = some_intensities(network, 40)
    return network, images, simulator.run(network, images).predicted


def test_accuracy_is_the_fraction_predicted_as_labelled():
    network, images, labels = labelled()
    assert simulator.accuracy(network, images, labels) == 1.0
    labels = labels.copy()
    labels[:10] = (labels[:10] + 1) % 10
    assert simulator.accuracy(network, images, labels) == 0.75


def test_accuracy_of_several_seeds_is_one_a_seed():
    network, images, labels = labelled()
    accuracies = simulator.accuracy(network, images, labels, seeds=[network.seed, 7, 8])
    assert accuracies.shape == (3,)
    assert accuracies[0] == 1.0
    assert accuracies[1] == simulator.accuracy(replace(network, seed=7), images, labels) < 1


@pytest.mark.parametrize(("images", "labels", "error", "message"), [
    (slice(0, 2), [0], ValueError,
     r"Labels must have shape \(2,\), one for each image, not \(1,\)"),
    (slice(0, 2), [0, 10], ValueError, r"Label of image 1 must be in range\(10\), not 10"),
    (slice(0, 2), [-1, 0], ValueError, r"Label of image 0 must be in range\(10\), not -1"),
    (slice(0, 2), [0.0, 1.0], TypeError, r"Labels must be integers, not float64"),
    (slice(0, 0), [], ValueError,
     r"Intensities must be a batch of at least one image, not \(0, 30\)"),
    (0, 0, ValueError, r"Intensities must be a batch of at least one image, not \(30,\)"),
])
def test_accuracy_refuses_what_does_not_fit(images, labels, error, message):
    network, intensities, _ = labelled()
    with pytest.raises(error, match=f"^{message}$"):
        simulator.accuracy(network, intensities[images], labels)


def test_seeds_are_checked():
    network, images, labels = labelled()
    with pytest.raises(ValueError, match=r"^Seed must be in range\(1, 4294967296\), not 0$"):
        simulator.accuracy(network, images, labels, seeds=[0])


def test_intensities_are_checked():
    network = medium_network()
    with pytest.raises(ValueError, match=r"^Intensities must be in range\(256\), but input 3 is"):
        simulator.run(network, [0, 0, 0, 256] + [0] * 26)
