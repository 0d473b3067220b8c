"""Images stop when the golden model's currents say so."""

import re

import numpy as np
import pytest
from test_simulator import medium_network, small_chunks, some_intensities

from sc_neurocore import golden, simulator
from sc_neurocore.network import IntegerLayer, IntegerNetwork


def golden_exit(network, images, margin, minimum):
    """Class and timesteps of each image, from every membrane of the golden model."""
    trace, output = golden.trace(network, images).trace, network.neurons(len(network.layers) - 1)
    counts = trace.spikes[-1].cumsum(axis=1)
    currents = output.thresholds * counts + trace.membranes[-1] - output.initial_membranes
    answers = []
    for image in currents:
        for timestep in range(1, network.timesteps + 1):
            now = image[timestep - 1].tolist()
            best = max(now)
            others = [c for k, c in enumerate(now) if k != now.index(best)]
            clear = all(best - c >= margin * output.thresholds[0] for c in others)
            if timestep == network.timesteps or (clear and timestep >= minimum):
                answers.append((now.index(best), timestep))
                break
    return np.array(answers).T


@pytest.mark.parametrize("options", [{"engine": "events"}, {"engine": "products"},
                                     {"device": "cpu"}], ids=str)
@pytest.mark.parametrize("encoder", ["lfsr", "low_discrepancy", "direct"])
def test_the_golden_model_s_currents_decide(monkeypatch, encoder, options):
    small_chunks(monkeypatch)
    network = medium_network(timesteps=35, encoder=encoder)
    images = some_intensities(network, 20)
    for margin, minimum in ((0, 1), (0.5, 1), (2, 4), (10, 1), (1e9, 3)):
        got = simulator.run_early_exit(network, images, margin, minimum, **options)
        predicted, timesteps = golden_exit(network, images, margin, minimum)
        assert np.array_equal(got.predicted, predicted)
        assert np.array_equal(got.timesteps, timesteps)
        assert got.mean_timesteps == timesteps.mean()


def test_the_images_take_different_times():
    network = medium_network()
    exits = simulator.run_early_exit(network, some_intensities(network, 50), 10)
    assert len(np.unique(exits.timesteps)) > 5
    assert 1 < exits.mean_timesteps < 16


def test_without_a_lead_all_timesteps_are_taken():
    network = medium_network()
    images = some_intensities(network, 9)
    exits = simulator.run_early_exit(network, images, np.inf)
    assert (exits.timesteps == 16).all()
    assert np.array_equal(exits.predicted, simulator.run(network, images).predicted)


def test_a_single_image_has_no_batch_axis():
    network = medium_network()
    exits = simulator.run_early_exit(network, some_intensities(network, 1)[0], 1)
    assert exits.predicted.shape == exits.timesteps.shape == ()


def test_one_class_is_clear_at_once():
    layer = IntegerLayer(np.array([[3]]), np.array([0]), np.array([4]), np.array([0]))
    exits = simulator.run_early_exit(IntegerNetwork((layer,), 9), [[7], [200]], 1e6, 2)
    assert exits.timesteps.tolist() == [2, 2]
    assert exits.predicted.tolist() == [0, 0]


def test_a_margin_is_reached_exactly():
    # The first neuron gains a threshold of 4 on the second in every timestep
    layer = IntegerLayer(np.array([[7], [3]]), np.array([0, 0]), np.array([4, 4]), np.array([0, 0]))
    network = IntegerNetwork((layer,), 9)
    for margin, timesteps in ((2, 2), (2.25, 3), (3, 3)):
        assert simulator.run_early_exit(network, [255], margin).timesteps == timesteps


@pytest.mark.parametrize(("margin", "minimum", "options", "error", "message"), [
    (-1, 1, {}, ValueError, "Margin must be at least 0, not -1"),
    (np.nan, 1, {}, ValueError, "Margin must be at least 0, not nan"),
    ("2", 1, {}, TypeError, "Margin must be a real number, not '2'"),
    (True, 1, {}, TypeError, "Margin must be a real number, not True"),
    (1, 0, {}, ValueError, "Minimum timesteps must be in range(1, 17), not 0"),
    (1, 17, {}, ValueError, "Minimum timesteps must be in range(1, 17), not 17"),
    (1, 1, {"schedule": "layer_by_layer"}, ValueError,
     "Schedule must be pipelined for an early exit, not layer_by_layer"),
])
def test_parameters_are_checked(margin, minimum, options, error, message):
    network = medium_network(**options)
    with pytest.raises(error, match=f"^{re.escape(message)}$"):
        simulator.run_early_exit(network, np.zeros((1, 30), int), margin, minimum)


