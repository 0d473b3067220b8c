"""The simulator's results do not depend on how a data set is cut, or on what runs it."""

import gc
import re
import sys
import tracemalloc
import weakref
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from sc_neurocore import golden, simulator
from sc_neurocore.extras import MissingExtraError
from sc_neurocore.network import IntegerLayer, IntegerNetwork
from sc_neurocore.simulator import events, products

ENGINES = ("events", "products")


def medium_network(seed=0, shape=(30, 20, 10), timesteps=16, **options):
    random = np.random.default_rng(seed)
    layers = []
    for n_input, n_output in pairwise(shape):
        weights = random.integers(-128, 128, (n_output, n_input))
        thresholds = random.integers(1, 512, n_output)
        thresholds[:] = thresholds[0] if n_output == shape[-1] else thresholds
        layers.append(IntegerLayer(weights, random.integers(-128, 129, n_output), thresholds,
                                   thresholds // 3))
    return IntegerNetwork(tuple(layers), timesteps, seed=seed + 1, **options)


def some_intensities(network, batch, seed=0):
    """Images of which a third of the inputs is silent and a third at full scale."""
    random = np.random.default_rng(seed)
    images = random.integers(0, network.full_scale + 1, (batch, network.n_input))
    kind = random.integers(0, 3, images.shape)
    return np.where(kind == 0, 0, np.where(kind == 1, network.full_scale, images))


def assert_same(one, other):
    for got, want in zip(one.arrays(), other.arrays(), strict=True):
        assert got.dtype == want.dtype == np.int64
        assert got.shape == want.shape
        assert np.array_equal(got, want)


def small_chunks(monkeypatch, images=7):
    """Have both engines take so many images of 30 values at a time."""
    monkeypatch.setattr(events, "CHUNK_VALUES", images * 30)
    monkeypatch.setattr(products, "CHUNK_VALUES", images * 30)


def test_the_random_networks_are_not_silent():
    counts = simulator.run(medium_network(), some_intensities(medium_network(), 50)).counts
    assert 0 < counts.mean() < 16
    assert len(np.unique(counts)) > 5


# Chunks, threads, memory

@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("batch", [0, 1, 6, 7, 8, 14, 15])
def test_chunks_do_not_change_results(monkeypatch, batch, engine):
    network = medium_network()
    images = some_intensities(network, batch)
    small_chunks(monkeypatch)
    assert_same(simulator.run(network, images, engine=engine), golden.run(network, images))


@pytest.mark.parametrize("engine", ENGINES)
def test_an_image_wider_than_a_chunk_is_one(monkeypatch, engine):
    small_chunks(monkeypatch, 0)
    images = some_intensities(medium_network(), 3)
    assert_same(simulator.run(medium_network(), images, engine=engine),
                golden.run(medium_network(), images))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_threads_do_not_change_results(monkeypatch, threads, engine):
    small_chunks(monkeypatch)
    for encoder in ("lfsr", "direct"):
        network = medium_network(encoder=encoder)
        images = some_intensities(network, 40)
        assert_same(simulator.run(network, images, engine=engine, threads=threads),
                    golden.run(network, images))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(("threads", "done"), [(1, [5, 10, 15]), (2, [4, 8, 12, 15])])
def test_progress_is_told_after_every_chunk(monkeypatch, engine, threads, done):
    told = []
    small_chunks(monkeypatch)
    simulator.run(medium_network(), some_intensities(medium_network(), 15),
                  lambda *numbers: told.append(numbers), engine=engine, threads=threads)
    # Matrix products are one after another, and each of them in all threads
    assert told == [(n, 15) for n in (done if engine == "events" else [5, 10, 15])]


@pytest.mark.parametrize("engine", ENGINES)
def test_memory_does_not_grow_with_the_data_set(monkeypatch, engine):
    network = medium_network(shape=(300, 20, 2), timesteps=2)
    small_chunks(monkeypatch, 1000)

    def peak(images):
        tracemalloc.start()
        simulator.run(network, images, engine=engine, threads=1)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return highest

    few, many = np.zeros((500, 300), np.uint8), np.zeros((3000, 300), np.uint8)
    peak(few)
    # The results grow, by three numbers a class and image; the copy of a byte an input would, too
    assert peak(many) - peak(few) < (len(many) - len(few)) * 100 < many.size - few.size


@pytest.mark.parametrize("engine", ENGINES)
def test_long_spike_trains_come_in_smaller_chunks(monkeypatch, engine):
    told = []
    small_chunks(monkeypatch, 16 * 7)
    network = medium_network(encoder="events")
    trains = np.random.default_rng(0).random((15, 16, 30)) < 0.3
    got = simulator.run(network, trains, lambda done, _: told.append(done), engine=engine,
                        threads=1)
    assert told == [5, 10, 15]
    assert_same(got, golden.run(network, trains))


@pytest.mark.parametrize("engine", ENGINES)
def test_a_single_image_has_no_batch_axis(engine):
    network = medium_network()
    image = some_intensities(network, 1)[0]
    assert_same(simulator.run(network, image, engine=engine), golden.run(network, image))
    spikes = np.ones((16, 30), dtype=bool)
    network = replace(network, encoder="events")
    assert_same(simulator.run(network, spikes, engine=engine), golden.run(network, spikes))


def test_images_may_have_any_shape_and_type():
    network = medium_network()
    images = some_intensities(network, 4)
    want = golden.run(network, images)
    assert_same(simulator.run(network, images.astype(np.uint8).reshape(4, 2, 3, 5)), want)
    assert_same(simulator.run(network, images.tolist()), want)


def test_a_network_that_nobody_needs_is_forgotten():
    network = medium_network()
    simulator.run(network, some_intensities(network, 1), engine="events")
    known = weakref.ref(network)
    del network
    gc.collect()
    assert known() is None


# Which engine

def wide_network():
    """Accumulators of 33 bits."""
    layer = IntegerLayer(np.array([[5]]), np.array([2**31 - 1]), np.array([2**31 - 1]),
                         np.array([2**30]))
    return IntegerNetwork((layer,), 3)


def test_the_report_says_which_engine_runs_and_why():
    network = medium_network()
    assert simulator.engine_report(network).engine == "events"
    for other, options, reason in (
            (network, {"engine": "products"}, "asked for"),
            (network, {"device": "cpu"}, "torch computes, on the device cpu"),
            (replace(network, schedule="layer_by_layer"), {},
             "under the schedule layer_by_layer a layer is one product"),
            (wide_network(), {},
             "the accumulators of layer 0 have 33 bits, which is more than 32")):
        assert str(simulator.engine_report(other, **options)) == f"products: {reason}"


def test_without_numba_there_are_products(monkeypatch):
    monkeypatch.setitem(sys.modules, "numba", None)
    report = simulator.engine_report(medium_network())
    assert report.engine == "products"
    assert report.reason == ("numba is not installed; install it with: "
                             "pip install 'sc-neurocore-fpga[fast]'")
    with pytest.raises(MissingExtraError, match="numba is not installed"):
        simulator.run(medium_network(), np.zeros(30, int), engine="events")


@pytest.mark.parametrize(("options", "error", "message"), [
    ({"engine": "fast"}, ValueError, "Engine must be one of auto, events, products, not 'fast'"),
    ({"engine": "events", "device": "cpu"}, ValueError,
     "Engine must be products, not events: torch computes, on the device cpu"),
    ({"threads": 0}, ValueError, "Threads must be in range(1, 1025), not 0"),
    ({"threads": 1.0}, TypeError, "Threads must be an integer, not 1.0"),
    ({"threads": 2, "device": "cpu"}, ValueError,
     "Threads must not be given with a device: torch.set_num_threads() is for these"),
])
def test_options_are_checked(options, error, message):
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        simulator.run(medium_network(), np.zeros((1, 30), int), **options)


@pytest.mark.parametrize("device", ["abacus", "cuda:99"])
def test_a_device_that_is_not_there_is_refused(device):
    with pytest.raises(ValueError, match=f"^Device must be one that torch finds here, "
                                         f"not '{device}': "):
        simulator.run(medium_network(), np.zeros((1, 30), int), device=device)


def test_an_engine_that_cannot_is_refused():
    with pytest.raises(ValueError, match=r"^Engine must be products, not events: the accumulators "
                                         r"of layer 0 have 33 bits"):
        simulator.run(wide_network(), [0], engine="events")


@pytest.mark.parametrize("engine", ENGINES)
def test_inputs_are_checked_wherever_they_are(monkeypatch, engine):
    network = medium_network()
    small_chunks(monkeypatch)
    images = some_intensities(network, 20)
    for value in (256, -1):
        images[17, 3] = value
        with pytest.raises(ValueError, match=r"^Intensities must be in range\(256\), but image 17, "
                                             rf"input 3 is {value}$"):
            simulator.run(network, images, engine=engine)
    with pytest.raises(ValueError, match=r"^Intensities must be in range\(256\), but input 3 is"):
        simulator.run(network, [0, 0, 0, 256] + [0] * 26, engine=engine)
    with pytest.raises(ValueError, match=r"^Intensities must have shape \(30,\) or \(batch, 30\)"):
        simulator.run(network, images[:, :29], engine=engine)
    with pytest.raises(TypeError, match=r"^Intensities must be integers, not float64"):
        simulator.run(network, images / 255, engine=engine)


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
    for engine in ENGINES:
        assert simulator.accuracy(network, images, labels, engine=engine) == 0.75


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
