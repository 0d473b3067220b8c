import dataclasses
import subprocess
import sys
import tracemalloc
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sc_neurocore.conversion import ConvertedSNN, converted_snn


def neuron(weight=0.0, bias=None, threshold=1.0, T=16, fraction=0.0):
    """One neuron with one input."""
    return ConvertedSNN([[[weight]]], [None if bias is None else [bias]], [threshold], T, fraction)


def random_network(seed, shape=(5, 7, 4), T=24, fraction=0.0, grid=None):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(0.2, 0.6, (n_out, n_in))
               for n_in, n_out in pairwise(shape)]
    biases = [rng.normal(0, 0.2, n_out) for n_out in shape[1:]]
    if grid:
        weights = [np.round(w * grid) / grid for w in weights]
        biases = [np.round(b * grid) / grid for b in biases]
    thresholds = [*[1.0] * (len(weights) - 2), np.full(shape[-2], 1.25), 0.5]
    return ConvertedSNN(weights, biases, thresholds, T, fraction)


def definition(snn, x, seed):
    """The equations of the docstring, image by image, with no cleverness: counts, currents."""
    rng = np.random.default_rng(seed)
    membranes = [np.full(len(w), snn.initial_membrane_fraction * t)
                 for w, t in zip(snn.weights, snn.thresholds, strict=True)]
    initial, counts = membranes[-1].copy(), np.zeros(len(snn.weights[-1]))
    for _ in range(snn.T):
        spikes = (rng.random(len(x)) < x).astype(float)
        for i, (w, b, t) in enumerate(zip(snn.weights, snn.biases, snn.thresholds, strict=True)):
            integrated = membranes[i] + w @ spikes + (0 if b is None else b)
            spikes = (integrated >= t).astype(float)
            membranes[i] = integrated - t * spikes
        counts += spikes
    return counts, snn.thresholds[-1] * counts + membranes[-1] - initial


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32), st.sampled_from([0.0, 0.25, 0.5]))
def test_run_and_classify_follow_the_definition(seed, fraction):
    # on a grid of 1/64 every sum is exact, so not even a tie leaves room for rounding
    snn = random_network(seed, fraction=fraction, grid=64)
    images = np.random.default_rng(seed).random((3, 5))
    expected = [definition(snn, x, seed) for x in images]
    np.testing.assert_array_equal(snn.run(images, seed), [counts for counts, _ in expected])
    np.testing.assert_array_equal(snn.classify(images, seed),
                                  [np.argmax(current) for _, current in expected])


def test_hand_computed_spikes_of_two_layers():
    # layer 0, threshold 1: membranes .75 1.5* 1.25* 1.0* .75 -> spikes 0 1 1 1 0
    # layer 1, threshold 2, w = 1.5, b = -.25: -.25 1 2.25* 1.5 1.25 -> 1 spike
    snn = ConvertedSNN([[[0.75]], [[1.5]]], [None, [-0.25]], [1.0, 2.0], T=5)
    assert snn.run([1.0]).tolist() == [1.0]
    assert neuron(0.75, T=5).run([1.0]).tolist() == [3.0]
    assert neuron(0.75, T=4).run([1.0]).tolist() == [3.0]
    assert neuron(0.75, T=3).run([1.0]).tolist() == [2.0]


def test_bias_is_added_whole_in_every_timestep():
    assert neuron(bias=0.5, T=256).run([0.0]).tolist() == [128.0]


@pytest.mark.parametrize(("bias", "T", "count"), [
    (0.1, 100, 10), (0.1, 10, 1), (0.1, 9, 0), (1 / 49, 49, 1), (0.7, 10, 7), (1 / 3, 3000, 1000)])
def test_rounding_errors_neither_add_up_nor_decide(bias, T, count):
    assert neuron(bias=bias, T=T).run([0.0]).tolist() == [count]


@pytest.mark.parametrize("margin", [0.0, 1e-6])
def test_a_neuron_spikes_at_its_threshold_and_not_below(margin):
    assert neuron(3.0 - margin, threshold=3.0, T=1).run([1.0]).tolist() == [float(margin == 0)]


def test_at_most_one_spike_in_a_timestep_and_the_rest_is_kept():
    snn = ConvertedSNN([[[1.0], [-1.0]], [[2.5, 0.0]]], [[0, 1.0], None], [1.0, 1.0], T=6)
    assert snn.run([1.0]).tolist() == [6.0]
    # 3 input spikes' worth of current in one timestep come out over three
    burst = ConvertedSNN([[[1.0]], [[3.0]]], [None, None], [2.0, 1.0], T=4)
    assert burst.run([1.0]).tolist() == [3.0]


@pytest.mark.parametrize(("fraction", "count"), [(0.0, 1), (0.5, 2), (0.75, 2)])
def test_initial_membrane_is_a_fraction_of_each_threshold(fraction, count):
    snn = neuron(bias=0.6, threshold=2.0, T=5, fraction=fraction)  # 3 = 1.5 thresholds
    assert snn.run([0.0]).tolist() == [count]


def test_thresholds_may_differ_between_neurons():
    snn = ConvertedSNN([[[1.0], [1.0], [1.0]]], [None], [np.array([1.0, 2.0, 3.0])], T=12)
    assert snn.run([1.0]).tolist() == [12.0, 6.0, 4.0]


def test_full_scale_always_fires_and_zero_never():
    snn = ConvertedSNN([np.eye(2)], [None], [1.0], T=500)
    assert snn.run([0.0, 1.0]).tolist() == [0.0, 500.0]


def test_input_spikes_where_the_draw_is_less_than_the_intensity():
    x = np.array([0.1, 0.5, 0.9])
    draws = np.random.default_rng(7).random((1000, 3))
    counts = ConvertedSNN([np.eye(3)], [None], [1.0], T=1000).run(x, seed=7)
    np.testing.assert_array_equal(counts, (draws < x).sum(axis=0))


def test_the_seed_decides_and_without_one_every_run_differs():
    snn, x = random_network(0, T=200), np.full((4, 5), 0.5)
    np.testing.assert_array_equal(snn.run(x, seed=3), snn.run(x, seed=np.int64(3)))
    assert (snn.run(x, seed=3) != snn.run(x, seed=4)).any()
    assert (snn.run(x) != snn.run(x)).any()


def test_result_does_not_depend_on_the_place_in_the_batch(monkeypatch):
    snn = random_network(1, shape=(5, 7, 4), T=64)
    images = np.random.default_rng(0).random((23, 5))
    counts, classes = snn.run(images, seed=5), snn.classify(images, seed=5)
    np.testing.assert_array_equal(snn.run(images[::-1], seed=5), counts[::-1])
    for image, count, label in zip(images, counts, classes, strict=True):
        np.testing.assert_array_equal(snn.run(image, seed=5), count)
        assert snn.classify(image, seed=5) == label
    monkeypatch.setattr(converted_snn, "_CHUNK_VALUES", 21)  # three images at a time
    np.testing.assert_array_equal(snn.run(images, seed=5), counts)


def test_chunks_share_their_draws_without_a_seed_too(monkeypatch):
    monkeypatch.setattr(converted_snn, "_CHUNK_VALUES", 1)
    counts = neuron(1.0, T=1000).run(np.full((5, 1), 0.5))
    assert len(np.unique(counts)) == 1


def test_memory_stays_bounded_for_a_whole_data_set():
    snn = ConvertedSNN([np.ones((10, 784))], [None], [1.0], T=2)
    images = np.zeros((10_000, 784), np.float32)
    tracemalloc.start()
    try:
        assert snn.run(images).shape == (10_000, 10)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 110e6  # the images in float64 are 63e6


def test_counts_approach_rates_in_the_limit_of_many_timesteps():
    snn = neuron(0.5, bias=0.1, T=20_000)
    assert snn.run([0.6], seed=0)[0] / snn.T == pytest.approx(0.5 * 0.6 + 0.1, abs=0.01)


def test_class_is_the_greatest_current_where_counts_are_equal():
    # counts 2, 2, 2 of T = 3; currents 2.1, 2.7, 2.4
    snn = ConvertedSNN([np.zeros((3, 1))], [[0.7, 0.9, 0.8]], [1.0], T=3)
    assert snn.run([0.0]).tolist() == [2.0, 2.0, 2.0]
    assert snn.classify([0.0]) == 1
    assert dataclasses.replace(snn, initial_membrane_fraction=0.5).classify([0.0]) == 1


def test_class_is_right_where_counts_saturate_or_nothing_fires():
    for biases in ([3.0, 5.0, 4.0], [-3.0, -1.0, -2.0], [0.01, 0.03, 0.02]):
        snn = ConvertedSNN([np.zeros((3, 1))], [biases], [1.0], T=8)
        assert len(np.unique(snn.run([0.0]))) == 1
        assert snn.classify([0.0]) == 1


def test_equal_currents_go_to_the_lowest_index():
    snn = ConvertedSNN([[[0.0], [0.3], [0.1]]], [[0.2, 0.0, 0.2]], [1.0], T=1)
    assert snn.classify([1.0]) == 1  # though 0.1 + 0.2 is 0.30000000000000004 in floats
    rows = np.random.default_rng(0).random((1, 301))
    snn = ConvertedSNN([np.repeat(rows, 9, axis=0)], [None], [1.0], T=5)
    assert snn.classify(np.full((8, 301), 0.5), seed=1).tolist() == [0] * 8


def test_shapes_and_types_of_results():
    snn = random_network(2)
    for x, counts, classes in [((5,), (4,), ()), ((3, 5), (3, 4), (3,)), ((0, 5), (0, 4), (0,))]:
        assert snn.run(np.zeros(x)).shape == counts
        assert snn.run(np.zeros(x)).dtype == np.float64
        assert np.shape(snn.classify(np.zeros(x))) == classes
        assert snn.classify(np.zeros(x)).dtype == np.int64
    assert isinstance(snn.classify(np.zeros(5)), np.integer)


def test_lists_integers_booleans_and_tensors_are_images():
    torch = pytest.importorskip("torch")
    snn = ConvertedSNN([np.eye(2)], [None], [1.0], T=4)
    for x in ([0, 1], [False, True], np.array([0, 1], np.uint8), np.array([0, 1], np.float16),
              torch.tensor([0.0, 1.0])):
        assert snn.run(x).tolist() == [0.0, 4.0]
    with pytest.raises(TypeError, match="x must be an array of real numbers"):
        snn.run(torch.tensor([0.0, 1.0], requires_grad=True))


@pytest.mark.parametrize("method", ["run", "classify"])
@pytest.mark.parametrize(("x", "error", "message"), [
    ([0.5, np.nan], ValueError, r"x\[1\] must be in \[0, 1\], not nan"),
    ([[0.5, 0.5], [-0.1, 0.5]], ValueError, r"x\[1, 0\] must be in \[0, 1\], not -0.1"),
    ([0.5, 1.5], ValueError, r"x\[1\] must be in \[0, 1\], not 1.5"),
    ([0.5, np.inf], ValueError, r"x\[1\] must be in \[0, 1\], not inf"),
    ([0, 255], ValueError, r"x\[1\] must be in \[0, 1\], not 255"),
    ([0.5], ValueError, r"x must have shape \(2,\) or \(batch, 2\), not \(1,\)"),
    (np.zeros((3, 3)), ValueError, r"not \(3, 3\)"),
    (np.zeros((1, 1, 1)), ValueError, r"not \(1, 1, 1\)"),
    (0.5, ValueError, r"not \(\)"),
    ([], ValueError, r"not \(0,\)"),
    (["a", "b"], TypeError, "x must be an array of real numbers, not <U1"),
    ([0.5, 1j], TypeError, "not complex128"),
    ([None, 0.5], TypeError, "not list"),
    ([[0.5], [0.5, 0.5]], TypeError, "x must be an array of real numbers"),
])
def test_wrong_images_are_refused(method, x, error, message):
    with pytest.raises(error, match=message):
        getattr(ConvertedSNN([np.eye(2)], [None], [1.0]), method)(x)


@pytest.mark.parametrize(("seed", "error"), [(-1, ValueError), (1.5, TypeError), (True, TypeError)])
def test_wrong_seeds_are_refused(seed, error):
    with pytest.raises(error, match="seed must be"):
        neuron().run([0.5], seed=seed)


@pytest.mark.parametrize(("changes", "error", "message"), [
    ({"weights": []}, ValueError, "weights must have at least one layer, not 0"),
    ({"weights": 3}, TypeError, "weights must be a list with one entry a layer, not 3"),
    ({"weights": [np.eye(3)]}, ValueError,
     "biases must have 1 entries, as many as weights, not 2"),
    ({"thresholds": [1.0]}, ValueError, "thresholds must have 2 entries"),
    ({"weights": [np.zeros((3, 2)), np.zeros((2, 4))]}, ValueError,
     r"weights\[1\] must have 3 columns, one for each neuron of layer 0, not 4"),
    ({"weights": [np.zeros(3), np.zeros((2, 3))]}, ValueError, r"weights\[0\] must have shape"),
    ({"weights": [np.zeros((3, 0)), np.zeros((2, 3))]}, ValueError, r"not \(3, 0\)"),
    ({"weights": [np.full((3, 2), np.nan), np.zeros((2, 3))]}, ValueError,
     r"weights\[0\]\[0, 0\] must be finite, not nan"),
    ({"weights": [np.zeros((3, 2)), "ab"]}, TypeError,
     r"weights\[1\] must be an array of real numbers"),
    ({"weights": [np.zeros((3, 2)), None]}, TypeError, r"weights\[1\].*not NoneType"),
    ({"biases": [[0, 0, np.inf], None]}, ValueError, r"biases\[0\]\[2\] must be finite, not inf"),
    ({"biases": [None, [0.0]]}, ValueError, r"biases\[1\] must have shape \(2,\)"),
    ({"biases": [None, 0.0]}, ValueError, r"biases\[1\] must have shape \(2,\)"),
    ({"thresholds": [1.0, 0.0]}, ValueError, r"thresholds\[1\] must be greater than 0 .* not 0.0"),
    ({"thresholds": [[1, 1, -1], 1]}, ValueError, r"thresholds\[0\]\[2\] must be .* not -1.0"),
    ({"thresholds": [np.nan, 1]}, ValueError, r"thresholds\[0\] must be .* not nan"),
    ({"thresholds": [1, np.inf]}, ValueError, r"thresholds\[1\] must be .* not inf"),
    ({"thresholds": [[1, 1], 1]}, ValueError, r"thresholds\[0\] must have shape \(3,\)"),
    ({"thresholds": [None, 1]}, TypeError, r"thresholds\[0\] must be"),
    ({"T": 0}, ValueError, "T must be at least 1, not 0"),
    ({"T": -4}, ValueError, "T must be at least 1, not -4"),
    ({"T": 2**15 + 1}, ValueError, "T must be at most 32768, not 32769"),
    ({"T": 16.0}, TypeError, "T must be an integer, not 16.0"),
    ({"T": True}, TypeError, "T must be an integer, not True"),
    ({"initial_membrane_fraction": 1.0}, ValueError, r"must be in \[0, 1\), not 1.0"),
    ({"initial_membrane_fraction": -0.1}, ValueError, r"must be in \[0, 1\), not -0.1"),
    ({"initial_membrane_fraction": np.nan}, ValueError, r"must be in \[0, 1\), not nan"),
    ({"initial_membrane_fraction": "half"}, TypeError, "must be a real number, not 'half'"),
])
def test_wrong_parameters_are_refused(changes, error, message):
    parameters = {"weights": [np.zeros((3, 2)), np.zeros((2, 3))], "biases": [None, None],
                  "thresholds": [1.0, 1.0], "T": np.int32(4), "initial_membrane_fraction": 0}
    ConvertedSNN(**parameters)
    with pytest.raises(error, match=message):
        ConvertedSNN(**parameters | changes)


def test_parameters_are_copied_to_float64():
    weights, bias, threshold = np.ones((1, 1), np.float32), np.zeros(1), np.ones(1)
    snn = ConvertedSNN([weights], [bias], [threshold], T=4)
    weights[:], bias[:], threshold[:] = 0, -1, 9
    assert snn.run([1.0]).tolist() == [4.0]
    assert {a.dtype for a in (*snn.weights, *snn.biases, *snn.thresholds)} == {np.dtype("f8")}


def test_defaults_layers_and_repr():
    snn = ConvertedSNN([np.zeros((3, 2)), np.zeros((4, 3))], [None, None], [1, 1.0])
    assert (snn.n_layers, snn.T, snn.initial_membrane_fraction) == (2, 16, 0.0)
    assert repr(snn) == "ConvertedSNN(2-3-4, T=16, initial_membrane_fraction=0.0)"


def run_without_torch(code):
    code = f"import sys; sys.modules['torch'] = None\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_without_torch_a_converted_network_runs():
    result = run_without_torch(
        "from sc_neurocore.conversion import ConvertedSNN\n"
        "print(ConvertedSNN([[[1.0]]], [None], [1.0], T=3).run([1.0]))")
    assert result.stdout == "[3.]\n", result.stderr


@pytest.mark.parametrize("statement", [
    "from sc_neurocore.conversion import convert",
    "from sc_neurocore.conversion import QCFSActivation",
    "import sc_neurocore.conversion as c; c.replace_relu_with_qcfs",
    "import sc_neurocore.conversion.ann_to_snn",
    "import sc_neurocore.conversion.qcfs",
    "import sc_neurocore.conversion.training",
])
def test_without_torch_the_rest_says_how_to_install_it(statement):
    result = run_without_torch(statement)
    assert result.stderr.splitlines()[-1] == (
        "sc_neurocore.extras.MissingExtraError: torch is not installed; "
        "install it with: pip install 'sc-neurocore-fpga[convert]'")


def test_importing_the_package_does_not_import_torch():
    code = ("import sys, sc_neurocore.conversion as c; c.ConvertedSNN; assert 'torch' not in "
            "sys.modules; assert set(c.__all__) <= set(dir(c)); c.no_such_name")
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                            check=False)
    assert "has no attribute 'no_such_name'" in result.stderr.splitlines()[-1], result.stderr
