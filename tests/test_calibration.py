"""Calibration: what it corrects, what it leaves alone, and that it is worth it."""

import numpy as np
import pytest
import torch
from torch import nn

from sc_neurocore.conversion import QCFSActivation, calibrate, convert
from sc_neurocore.conversion.ann import Activation, AnnLayer
from sc_neurocore.conversion.calibration import (
    RIDGES,
    SpikeTrains,
    best_scales,
    corrected,
    packed,
)
from sc_neurocore.conversion.loading import classify
from sc_neurocore.conversion.training import train_mlp
from sc_neurocore.datasets import digits
from sc_neurocore.synapses import INPUT, Convolution, Dense, Source


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def model(data):
    return train_mlp(data.train_images, data.train_labels, hidden=(48, 32), epochs=30,
                     spike_samples=0)


def distance(snn, logits, images, encoder):
    """Mean squared distance of the currents from the logits, at the scale that fits best."""
    errors = []
    for seed in range(5):
        currents = snn.activity(images, seed, encoder).currents[-1]
        factor = np.vdot(currents, logits) / np.vdot(currents, currents)
        errors.append(np.square(factor * currents - logits).mean())
    return np.mean(errors)


@pytest.mark.parametrize(("encoder", "T"), [("direct", 4), ("poisson", 4), ("low_discrepancy", 4)])
def test_few_timesteps_come_closer_to_the_logits_than_by_balancing(model, data, encoder, T):
    balanced = convert(model, data.train_images, T, per_channel=True,
                       initial_membrane_fraction=0.5)
    fitted = calibrate(model, data.train_images, T, encoder=encoder)
    logits = model(torch.tensor(data.test_images).float()).detach().numpy()
    assert (distance(fitted, logits, data.test_images, encoder)
            < 0.9 * distance(balanced, logits, data.test_images, encoder))


def test_fewer_images_are_classified_wrong(model, data):
    ann, balanced, fitted = (
        np.mean(classes == data.test_labels) for classes in (
            classify(model, data.test_images),
            convert(model, data.train_images, 4, initial_membrane_fraction=0.5).classify(
                data.test_images, encoder="direct"),
            calibrate(model, data.train_images, 4).classify(data.test_images, encoder="direct")))
    assert ann - fitted < 0.6 * (ann - balanced)


def test_the_same_images_make_the_same_network(model, data):
    one, other = (calibrate(model, data.train_images[:200], 4, encoder="poisson", seed=3)
                  for _ in range(2))
    for a, b in zip(one.weights, other.weights, strict=True):
        assert np.array_equal(a, b)
    assert one.T == 4
    assert one.initial_membrane_fraction == 0.5


def image_model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
                         nn.Conv2d(3, 6, 3, groups=3), nn.ReLU(), nn.Flatten(), nn.Linear(24, 10))


def test_convolutions_keep_their_structure(data):
    images = data.train_images[:300].reshape(-1, 1, 8, 8)
    snn = calibrate(image_model(), images, 8, schedule="layer_by_layer")
    before = convert(image_model(), images, 8, schedule="layer_by_layer", per_channel=True,
                     initial_membrane_fraction=0.5)
    for one, other in zip(snn.weights[:2], before.weights[:2], strict=True):
        assert isinstance(one, Convolution)
        assert (one.input_shape, one.groups, one.padding) == (
            other.input_shape, other.groups, other.padding)
    logits = image_model()(torch.tensor(images).float()).detach().numpy()
    assert distance(snn, logits, images, "direct") < distance(before, logits, images, "direct")


def test_what_needs_no_correction_gets_none():
    """Inputs that are right already; and the penalty is on the correction, not on the weight."""
    random = np.random.default_rng(0)
    layer = AnnLayer("x", (3,), (Dense(random.normal(size=(3, 5))),), (Source(INPUT),), np.ones(3),
                     Activation("relu"))
    inputs = random.random((100, 5))
    same = corrected(layer, [inputs], inputs @ layer.synapses[0].weights.T + 1, ridge=0.01)
    assert np.allclose(same.synapses[0].weights, layer.synapses[0].weights)
    assert np.allclose(same.bias, 1)


def test_a_correction_undoes_what_is_linear():
    """Inputs that are half of what they should be, and an offset: a convolution of twice that."""
    random = np.random.default_rng(1)
    kernel = Convolution(random.normal(size=(2, 1, 3, 3)), (1, 6, 6))
    layer = AnnLayer("x", (2, 4, 4), (kernel,), (Source(INPUT),), None, Activation("relu"))
    images = random.random((50, 36))
    fitted = corrected(layer, [images / 2], kernel.apply(images) + 0.25, ridge=0.0)
    assert np.allclose(fitted.synapses[0].kernel, 2 * kernel.kernel)
    assert np.allclose(fitted.bias, 0.25)
    grouped = Convolution(random.normal(size=(2, 1, 3, 3)), (2, 6, 6), groups=2)
    kept = corrected(AnnLayer("x", (2, 4, 4), (grouped,), (Source(INPUT),), None, None),
                     [random.random((50, 72))], random.random((50, 32)), ridge=0.0)
    assert np.array_equal(kept.synapses[0].kernel, grouped.kernel)


def test_the_penalty_is_the_one_that_suits_images_held_back():
    """With fewer images than weights, a correction that fits them all is noise."""
    random = np.random.default_rng(2)
    layer = AnnLayer("x", (3,), (Dense(random.normal(size=(3, 60))),), (Source(INPUT),), None, None)
    inputs, others = random.random((50, 60)), random.random((500, 60))

    def missed(ridge):
        noise = np.random.default_rng(3).normal(0, 0.5, (50, 3))
        given = inputs @ layer.synapses[0].weights.T
        fitted = corrected(layer, [inputs], given + noise, ridge)
        return np.square(others @ (fitted.synapses[0].weights - layer.synapses[0].weights).T
                         + fitted.bias).mean()

    assert missed(None) == missed(max(RIDGES)) < 0.5 * missed(min(RIDGES))


def test_neighbours_begin_at_different_places():
    """Of a gray area four neurons say more than one: two timesteps, and more than three levels."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 1, 1), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(),
                          nn.Linear(4, 2))
    nn.init.constant_(model[0].weight, 1.0)
    nn.init.zeros_(model[0].bias)
    images = np.repeat(np.linspace(0, 1, 41), 16).reshape(41, 1, 4, 4)
    levels = {}
    for dither in (True, False):
        counts = calibrate(model, images, 2, dither=dither).activity(images, 0, "direct").counts[0]
        levels[dither] = len(np.unique(counts.reshape(41, 2, 2, 2, 2).sum(axis=(2, 4))))
    assert levels[False] == 3
    assert levels[True] > 5
    sequences = nn.Sequential(nn.Conv1d(1, 1, 1), nn.ReLU(), nn.Flatten(), nn.Linear(16, 2))
    bias = calibrate(sequences, images.reshape(41, 1, 16), 2).biases[0]
    assert np.allclose(np.diff(bias), np.tile([0.25, -0.25], 8)[:15])


@pytest.mark.parametrize("T", [1, 8, 11])
def test_packed_spikes_are_what_they_were(T):
    spikes = np.random.default_rng(4).random((T, 5, 7)) < 0.5
    worth = np.arange(1, 8, dtype=np.float32)
    trains = SpikeTrains(packed(spikes), worth)
    for timestep in range(T):
        assert np.array_equal(trains.step(timestep, slice(1, 4)), spikes[timestep, 1:4] * worth)
    assert np.allclose(trains.mean(T), spikes.mean(axis=0) * worth)


@pytest.mark.parametrize("schedule", ["pipelined", "layer_by_layer"])
def test_the_best_scale_makes_levels_of_the_activations(schedule):
    """Activations are multiples of 0.3 up to 1.2: with T = 4, λ = 1.2 represents all of them."""
    target = np.array([0, 0.3, 0.6, 0.9, 1.2], np.float32).reshape(5, 1, 1)
    drives = np.repeat(target[None], 4, axis=0)
    (scale,) = best_scales(drives, target, 0.5, schedule, fixed=False)
    assert scale == pytest.approx(1.2)


def test_neurons_that_are_never_active_have_a_scale():
    drives = np.full((4, 10, 2, 1), -1, np.float32)
    drives[:, :, 1] = 0.5
    target = np.maximum(drives[0], 0)
    assert (best_scales(drives, target, 0.5, "pipelined", fixed=False) > 0).all()
    assert (best_scales(-np.abs(drives), np.zeros_like(target), 0.5, "pipelined", True) > 0).all()


def test_trained_thresholds_are_kept(data):
    torch.manual_seed(1)
    qcfs = nn.Sequential(nn.Linear(64, 20), QCFSActivation(T=4, theta=1.7), nn.Linear(20, 10))
    snn = calibrate(qcfs, data.train_images[:100])
    assert snn.T == 4
    weight = qcfs[0].weight.detach().double().numpy()
    assert np.allclose(snn.weights[0], weight / float(qcfs[1].theta))


@pytest.mark.parametrize(("options", "error", "message"), [
    (dict(encoder="events"), ValueError, "encoder must be one of direct, poisson, low_discrep"),
    (dict(ridge=-1), ValueError, "ridge must be at least 0 and finite, not -1.0"),
    (dict(initial_membrane_fraction=1), ValueError, r"must be in \[0, 1\), not 1.0"),
    (dict(schedule="x"), ValueError, "schedule must be one of pipelined, layer_by_layer, not 'x'"),
    (dict(T=0), ValueError, "T must be at least 1, not 0"),
    (dict(images=None), TypeError, "images must be an array of real numbers, not None"),
])
def test_options_are_checked(model, data, options, error, message):
    images = options.pop("images", data.train_images)
    with pytest.raises(error, match=message):
        calibrate(model, images, **options)
