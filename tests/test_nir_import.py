"""NIR graphs become the networks that they describe, or are refused with the reason."""

import gzip
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

from sc_neurocore.conversion.converted_snn import ConvertedSNN
from sc_neurocore.interchange.nir_export import save_nir, to_nir
from sc_neurocore.interchange.nir_import import from_nir, load_nir
from sc_neurocore.network_file import NetworkFileError
from sc_neurocore.synapses import INPUT, Convolution, Dense, Source

DATA = Path(__file__).parent / "data"


# Our own networks come back

def dense(rng, weights):
    sizes = rng.integers(1, 9, 4)
    return ConvertedSNN(
        [weights(b, a) for a, b in pairwise(sizes)],
        [rng.normal(size=sizes[1]), None, rng.normal(size=sizes[3])],
        [rng.random() + 0.1, rng.random(sizes[2]) + 0.1, 1.0], int(rng.integers(1, 30)),
        rng.random(), "layer_by_layer")


def convolutional(rng, weights):
    groups, stride, dilation = rng.integers(1, 3, 3).tolist()
    first = Convolution(weights(2 * groups, 2 // groups, 3, 2), (2, 6, 7), (1, stride), (1, 0),
                        (dilation, 1), groups)
    second = Convolution(weights(3, 2 * groups, 2, 1), first.output_shape)
    return ConvertedSNN(
        [first, second, weights(4, second.n_output)],
        [np.repeat(rng.normal(size=2 * groups), first.positions), None, rng.normal(size=4)],
        [1.0, rng.random(second.n_output) + 0.1, 0.5], 9, 0.5)


def residual(rng, weights):
    image = (2, 4, 3)
    same = Convolution(weights(2, 2, 3, 3), image, padding=(1, 1))
    skip = Convolution(weights(2, 2, 1, 1), image)
    return ConvertedSNN(
        [same, same.with_rows(-same.rows), (same, skip), (Dense(weights(5, 24)),
                                                          Dense(weights(5, 24)))],
        [None, np.repeat(rng.normal(size=2), 12), np.repeat(rng.normal(size=2), 12),
         rng.normal(size=5)],
        [1.0, 0.5, rng.random(24) + 0.1, 1.0], 6, 0.25,
        sources=[None, None, (Source(1), Source(0)), (Source(2), Source(INPUT))])


def sequential(rng, weights):
    """Convolutions of one dimension, and a layer of neurons without an order in space."""
    first = Convolution(weights(3, 1, 1, 4), (1, 1, 9), (1, 2), (0, 1))
    second = Convolution(weights(2, 3, 1, 4), first.output_shape)
    return ConvertedSNN([first, second, (Dense(weights(2, 2)), second)],
                        [None, None, rng.normal(size=2)], [1.0, 1.0, 1.0], 5,
                        sources=[None, None, (Source(1), Source(0))])


def assert_same(one, other):
    for name in ("shape", "T", "initial_membrane_fraction", "schedule"):
        assert getattr(one, name) == getattr(other, name)
    for layer in range(one.n_layers):
        assert one.layer_sources(layer) == other.layer_sources(layer)
        for mine, theirs in zip(one.synapses(layer), other.synapses(layer), strict=True):
            assert np.array_equal(mine.matrix(), theirs.matrix())
        assert np.all(one.thresholds[layer] == other.thresholds[layer])
        assert (one.biases[layer] is None) == (other.biases[layer] is None)
        if one.biases[layer] is not None:
            assert np.array_equal(one.biases[layer], other.biases[layer])


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("make", [dense, convolutional, residual, sequential])
def test_networks_come_back_as_they_went(tmp_path, make, seed):
    rng = np.random.default_rng(seed)
    snn = make(rng, lambda *shape: rng.normal(size=shape))
    assert_same(from_nir(to_nir(snn, dt=1e-3)), snn)
    save_nir(snn, tmp_path / "a.nir")
    loaded = load_nir(tmp_path / "a.nir")
    assert_same(loaded, snn)
    images = rng.random((4, snn.shape[0]))
    assert np.array_equal(loaded.run(images, seed=1), snn.run(images, seed=1))
    assert_same(from_nir(nir.read(tmp_path / "a.nir", type_check=False)), snn)


def test_scales_come_back_with_the_layers_that_they_are_of(tmp_path):
    rng = np.random.default_rng(0)
    snn = replace(residual(rng, lambda *shape: rng.normal(size=shape)),
                  scales=[2.0, 0.5, rng.random(24) + 0.1, 3.0])
    save_nir(snn, tmp_path / "a.nir")
    for found in (load_nir(tmp_path / "a.nir"), from_nir(to_nir(snn))):
        assert all(map(np.array_equal, found.scales, snn.scales))
    graph = to_nir(snn)
    del graph.metadata["sc_neurocore"]["scales"]["layer2"]
    assert from_nir(graph).scales is None


# What other frameworks write: data/make_nir.py

@pytest.fixture
def peers(tmp_path):
    """Path of a file that another framework wrote."""
    def unpacked(name):
        path = tmp_path / f"{name}.nir"
        path.write_bytes(gzip.decompress((DATA / f"{name}.nir.gz").read_bytes()))
        return path
    return unpacked


@pytest.mark.parametrize(("name", "dt"), [("snntorch", None), ("spikingjelly", 1e-4)])
def test_networks_of_others_spike_as_there(peers, name, dt):
    with np.load(DATA / "nir_counts.npz") as data:
        spikes, counts = data[f"{name}_spikes"], data[f"{name}_counts"]
    snn = from_nir(peers(name), T=16, reset="subtract", dt=dt)
    trains = spikes.reshape(16, len(counts), -1).swapaxes(0, 1)
    assert len(np.unique(counts)) > 3
    assert np.array_equal(snn.run(trains, encoder="events"), counts)


def test_spikes_that_go_around_a_block_are_a_source(peers):
    snn = load_nir(peers("spikingjelly"), 16, reset="subtract", dt=1e-4)
    assert snn.shape == (16, 32, 32, 2)
    assert snn.layer_sources(1) == (Source(0),)     # both ways are one convolution
    assert isinstance(snn.weights[1], Convolution)


@pytest.mark.parametrize(("name", "given", "reason"), [
    ("snntorch", {}, "T must be given: how many timesteps there are isn't recorded"),
    ("snntorch", {"T": 4}, "reset must be given: NIR doesn't say whether neurons subtract the "
     "threshold when they spike. Pass reset='subtract' if they do; if they don't, they can't be "
     "converted"),
    ("spikingjelly", {"T": 4, "reset": "subtract"}, "node 'first_if' (IF) has a membrane that "
     "follows dv/dt = r·I, and how long a timestep is isn't recorded: pass dt; if a timestep adds "
     "the whole current, it is 0.0001"),
    ("snntorch_leaky", {"T": 4, "reset": "subtract"}, "node '1' (LIF) leaks, with a time constant "
     "of 0.001 s: only neurons without a leak can be converted"),
    ("spikingjelly_hard", {"T": 4, "reset": "subtract", "dt": 1e-4}, "node 'first_if' (IF) resets "
     "to v_reset = -0.5, which is no subtraction of the threshold"),
])
def test_networks_of_others_are_refused_with_the_reason(peers, name, given, reason):
    path = peers(name)
    with pytest.raises(NetworkFileError) as caught:
        load_nir(path, **given)
    assert str(caught.value) == f"{path}: {reason}"


# What isn't in the graph

WEIGHTS = np.array([[1.0, -2.0], [0.5, 4.0], [3.0, 0.25]])


def spiking(*shape, r=1.0, threshold=1.0, **fields):
    return nir.IF(np.full(shape, r), np.full(shape, threshold), **fields)


def chain(*nodes):
    return nir.NIRGraph.from_list(*nodes, type_check=False)


def read(graph, **given):
    return from_nir(graph, **{"T": 4, "reset": "subtract", "dt": 1.0, **given})


def test_what_is_given_goes_before_what_is_recorded():
    graph = to_nir(ConvertedSNN([WEIGHTS], [None], [1.0], 7, 0.25, "layer_by_layer"))
    assert from_nir(graph).T == 7
    snn = from_nir(graph, 9, initial_membrane_fraction=0.0, schedule="pipelined")
    assert (snn.T, snn.initial_membrane_fraction, snn.schedule) == (9, 0.0, "pipelined")
    with pytest.raises(ValueError, match=r"^dt must be 0.0001, which is recorded, not 0.001$"):
        from_nir(graph, dt=0.001)


def test_what_is_recorded_must_be_a_group():
    graph = to_nir(ConvertedSNN([WEIGHTS], [None], [1.0], 7))
    graph.metadata["sc_neurocore"] = "T = 7"
    with pytest.raises(TypeError, match=r"^metadata sc_neurocore must be a group, not 'T = 7'$"):
        from_nir(graph)


@pytest.mark.parametrize(("given", "error", "message"), [
    ({"T": 0}, ValueError, "T must be at least 1, not 0"),
    ({"T": 4.0}, TypeError, "T must be an integer, not 4.0"),
    ({"dt": 0}, ValueError, "dt must be greater than 0 and finite, not 0"),
    ({"dt": "1"}, TypeError, "dt must be a real number, not '1'"),
    ({"reset": "zero"}, ValueError, "reset must be 'subtract', as neurons that reset in another "
     "way can't be converted, not 'zero'"),
    ({"initial_membrane_fraction": 1.0}, ValueError,
     "initial_membrane_fraction must be in [0, 1), not 1.0"),
    ({"schedule": "eager"}, ValueError,
     "schedule must be one of pipelined, layer_by_layer, not 'eager'"),
])
def test_what_is_given_must_make_sense(given, error, message):
    with pytest.raises(error) as caught:
        read(chain(nir.Linear(WEIGHTS), spiking(3)), **given)
    assert str(caught.value) == message


def test_a_timestep_adds_the_current_times_r_and_dt():
    r = np.array([1.0, 2.0, 4.0])
    graph = chain(nir.Affine(WEIGHTS, np.array([1.0, 2.0, 3.0])),
                  nir.IF(r, np.array([1.0, 2.0, 3.0]), np.zeros(3)))
    snn = read(graph, dt=0.5)
    assert np.array_equal(snn.synapses(0)[0].matrix(), WEIGHTS * r[:, None] / 2)
    assert np.array_equal(snn.biases[0], [0.5, 2.0, 6.0])
    assert np.array_equal(snn.thresholds[0], [1.0, 2.0, 3.0])


def test_currents_beyond_all_numbers_are_refused():
    with pytest.raises(ValueError, match=r"^node 'if' \(IF\) must have an r for which r·dt is a "):
        read(chain(nir.Linear(WEIGHTS), spiking(3, r=1e308)), dt=10.0)


def test_files_from_before_nir_had_v_reset_can_be_read(tmp_path):
    nir.write(tmp_path / "a.nir", chain(nir.Linear(WEIGHTS), spiking(3)))
    with h5py.File(tmp_path / "a.nir", "r+") as file:
        del file["node/nodes/if/v_reset"]
    assert load_nir(tmp_path / "a.nir", 4, reset="subtract", dt=1.0).n_layers == 1


# Linear maps

IMAGE = (2, 4, 6)


def currents(graph, images, given=None):
    """Current of the only layer of a graph in a timestep, of images as they are."""
    snn = read(graph, T=1, **(given or {}))
    return snn.activity(images, encoder="direct").currents[0]


@pytest.mark.parametrize(("node", "shape", "expected"), [
    (nir.SumPool2d(np.array([2, 3]), np.array([2, 3]), np.array([0, 0])), (2, 2, 2),
     lambda x: x.reshape(-1, 2, 2, 2, 2, 3).sum(axis=(3, 5))),
    (nir.AvgPool2d(np.array(2), np.array(2), np.array(0)), (2, 2, 3),
     lambda x: x.reshape(-1, 2, 2, 2, 3, 2).mean(axis=(3, 5))),
    (nir.Scale(np.arange(48.0).reshape(IMAGE)), IMAGE,
     lambda x: x * np.arange(48.0).reshape(IMAGE)),
    (nir.Flatten({"input": None}, 1, 2), (2, 24), lambda x: x),
    (nir.Flatten({"input": None}, 0, -1), (48,), lambda x: x),
    (nir.Flatten({"input": None}, -2, -1), (2, 24), lambda x: x),
    (nir.Conv2d(None, np.full((2, 1, 3, 3), 2.0), 1, "same", 1, 2, np.array([0.5, 0.0])), IMAGE,
     lambda x: np.lib.stride_tricks.sliding_window_view(
         np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), (2, 3)).sum(axis=(4, 5)) * 2
     + np.array([0.5, 0.0]).reshape(2, 1, 1)),
    (nir.Conv2d(None, np.ones((1, 2, 4, 6)), 1, "valid", 1, 1, np.zeros(1)), (1, 1, 1),
     lambda x: x.sum(axis=(1, 2, 3))),
])
def test_what_lies_between_layers_becomes_their_synapses(node, shape, expected):
    graph = chain(nir.Input({"input": np.array(IMAGE)}), node, spiking(*shape))
    images = np.random.default_rng(0).random((3, *IMAGE))
    assert np.allclose(currents(graph, images), expected(images).reshape(3, -1))


def test_maps_one_after_the_other_become_one():
    rng = np.random.default_rng(0)
    kernel, matrix = rng.normal(size=(3, 2, 2)), rng.normal(size=(4, 9))
    graph = chain(nir.Input({"input": np.array([2, 7])}),
                  nir.Conv1d(None, kernel, 2, 0, 1, 1, np.ones(3)), nir.Flatten(None, 0, -1),
                  nir.Scale(np.full(9, 0.5)), nir.Affine(matrix, np.arange(4.0)), spiking(4))
    images = rng.random((5, 2, 7))
    windows = np.stack([images[:, :, start:start + 2] for start in (0, 2, 4)], axis=2)
    convolved = np.einsum("bcpk,ock->bop", windows, kernel) + 1
    assert np.allclose(currents(graph, images),
                       convolved.reshape(5, 9) / 2 @ matrix.T + np.arange(4.0))


def test_currents_that_meet_are_added_up():
    graph = nir.NIRGraph(
        {"x": nir.Input({"input": np.array([2])}), "a": nir.Affine(WEIGHTS, np.ones(3)),
         "b": nir.Affine(WEIGHTS, np.full(3, 2.0)), "first": spiking(3), "square": nir.Linear(
             np.eye(3)), "last": spiking(3), "y": nir.Output({"output": np.array([3])})},
        [("x", "a"), ("a", "first"), ("first", "square"), ("x", "b"), ("square", "last"),
         ("b", "last"), ("last", "y")])
    snn = read(graph)
    assert snn.layer_sources(1) == (Source(0), Source(INPUT))
    assert np.array_equal(snn.biases[1], [2.0, 2.0, 2.0])
    assert np.array_equal(snn.synapses(1)[1].matrix(), WEIGHTS)


def test_what_does_not_reach_the_output_is_left_out():
    graph = chain(nir.Linear(WEIGHTS), spiking(3))
    graph.nodes |= {"probe": nir.LI(np.ones(3), np.ones(3), np.ones(3)), "other": spiking(3)}
    graph.edges += [("if", "probe"), ("linear", "other")]
    assert read(graph).n_layers == 1


def test_layers_are_in_the_order_of_their_names():
    nodes = {"x": nir.Input({"input": np.array([2])})}
    edges = []
    for index in (10, 9, 1):
        nodes |= {f"w{index}": nir.Linear(index * WEIGHTS), f"n{index}": spiking(3)}
        edges += [("x", f"w{index}"), (f"w{index}", f"n{index}"), (f"n{index}", "last")]
    nodes |= {"last": spiking(3), "y": nir.Output({"output": np.array([3])})}
    snn = read(nir.NIRGraph(nodes, [*edges, ("last", "y")], type_check=False))
    assert [snn.weights[layer][0, 0] for layer in range(3)] == [1.0, 9.0, 10.0]


# What is refused

def vector(size):
    return np.ones(size)


@pytest.mark.parametrize(("node", "reason"), [
    (nir.CubaLIF(*[vector(3)] * 5), "node 'n' (CubaLIF) has currents that decay: it can't be "
     "converted"),
    (nir.LI(*[vector(3)] * 3), "node 'n' (LI) leaks, and does not spike: it can't be converted"),
    (nir.I(vector(3)), "node 'n' (I) does not spike: it can't be converted"),
    (nir.Delay(vector(3)), "node 'n' (Delay) delays spikes: it can't be converted"),
    (nir.LIF(*[vector(3)] * 4), "node 'n' (LIF) leaks, with a time constant of 1 s: only neurons "
     "without a leak can be converted"),
    (nir.LIF(vector(3) * np.inf, *[vector(3)] * 3), "node 'n' (LIF) must have an r that is "
     "infinite as its tau is: nothing reaches its membrane otherwise"),
    (spiking(3, threshold=0.0), "node 'n' (IF) must have a v_threshold greater than 0, not 0.0"),
    (spiking(3, threshold=np.nan), "node 'n' (IF) must have a finite v_threshold, not nan"),
    (spiking(3, r=-1.0), "node 'n' (IF) must have an r that is greater than 0 and finite, not "
     "-1.0"),
    (spiking(4), "node 'n' (IF) must have a v_threshold of the shape (3,) of what comes to it, not "
     "(4,)"),
    (spiking(3, v_reset=vector(3)), "node 'n' (IF) resets to v_reset = 1, which is no subtraction "
     "of the threshold"),
    (nir.Linear(vector((3, 2))), "node 'n' (Linear) must take vectors of 2 values, not (3,)"),
    (nir.Linear(vector((1, 3, 3))), "node 'n' (Linear) must have a weight of 2 dimension(s), not "
     "of shape (1, 3, 3)"),
    (nir.Affine(vector((3, 3)), vector(2)), "node 'n' (Affine) must have a bias of shape (3,), not "
     "(2,)"),
    (nir.Linear(np.array([["a"] * 3])), "node 'n' (Linear) must have numbers as its weight"),
    (nir.Scale(vector(2)), "node 'n' (Scale) must have a scale of the shape (3,) of what comes to "
     "it, not (2,)"),
    (nir.Conv1d(None, vector((1, 1, 1)), 1, 0, 1, 1, vector(1)), "node 'n' (Conv1d) must take "
     "images of 2 dimensions, not (3,)"),
    (nir.Conv2d(None, vector((1, 1, 1, 1)), (1.5, 1.5), 0, 1, 1, vector(1)), "node 'n' (Conv2d) "
     "must have 2 integer(s) as its stride, not (1.5, 1.5)"),
    (nir.Conv2d(None, vector((1, 1, 2, 2)), 1, "same", 1, 1, vector(1)), "node 'n' (Conv2d) must "
     "have a padding that is the same on both sides, not 'same'"),
    (nir.Conv2d(None, vector((2, 1, 1, 1)), 1, 0, 1, 1, vector(3)), "node 'n' (Conv2d) must have a "
     "bias of shape (2,), not (3,)"),
    (nir.Flatten(None, 1, 1), "node 'n' (Flatten) must flatten dimensions in range(1), not 1 to 1"),
    (nir.AvgPool2d(np.array(0), np.array(2), np.array(0)), "node 'n' (AvgPool2d) must have a "
     "kernel_size from 1 to that of its images, not (0, 0)"),
    (nir.NIRGraph({}, [], type_check=False), "node 'n' (NIRGraph) is a graph within the graph, as "
     "recurrent layers are: it can't be converted"),
])
def test_nodes_that_cannot_be_converted_are_refused(node, reason):
    graph = nir.NIRGraph(
        {"x": nir.Input({"input": np.array([3])}), "n": node, "last": spiking(3),
         "y": nir.Output({"output": np.array([3])})},
        [("x", "n"), ("n", "last"), ("last", "y")], type_check=False)
    with pytest.raises(ValueError) as caught:       # noqa: PT011
        read(graph)
    assert str(caught.value) == reason


@pytest.mark.parametrize(("kernel", "padding", "reason"), [
    ((1, 3, 1, 1), 0, "Kernel of shape (1, 3, 1, 1) in 1 group(s) must take 3 channels and divide "
     "its own by the groups, but the input has 2 channels"),
    ((1, 2, 9, 1), 0, "Kernel must reach over at most 4 inputs, padding included, not 9"),
    ((1, 2, 1, 1), 10**6, "Windows must see at most 134217728 inputs, all added up, not "
     "8000040000048"),
])
def test_convolutions_that_do_not_fit_are_refused(kernel, padding, reason):
    graph = chain(nir.Input({"input": np.array(IMAGE)}), nir.Conv2d(
        None, vector(kernel), 1, padding, 1, 1, vector(1)), spiking(1))
    with pytest.raises(ValueError) as caught:       # noqa: PT011
        read(graph)
    assert str(caught.value) == f"node 'conv2d' (Conv2d) does not fit its images: {reason}"


def test_matrices_that_nobody_wrote_are_not_made():
    kernel = vector((1, 1, 2, 2))
    first = nir.Conv2d(None, kernel, 1, 0, 1, 1, vector(1))
    second = nir.Conv2d(None, kernel, 1, 1, 1, 1, vector(1))
    graph = chain(nir.Input({"input": np.array([1, 200, 200])}), first, second, spiking(1))
    with pytest.raises(ValueError, match=r"^node 'if' \(IF\) would need a matrix of 40000×40"):
        read(graph)


@pytest.mark.parametrize(("edges", "reason"), [
    ([("x", "a"), ("a", "n"), ("n", "b"), ("b", "n"), ("n", "y")],
     "edges must not lead in a circle, as in recurrent networks: 'n' → 'b' → 'n'"),
    ([("x", "a"), ("a", "n"), ("n", "z")], "an edge must be between two nodes, not ('n', 'z')"),
    ([("x", "a"), ("a", "n"), ("a", "n"), ("n", "y")],
     "an edge must be there once, which ('a', 'n') isn't"),
    ([("a", "n"), ("n", "y")], "node 'a' (Linear) must come after another node"),
    ([("x", "a"), ("a", "y")],
     "node 'y' (Output) must come right after neurons that spike, and nothing else"),
    ([("x", "n"), ("n", "b"), ("b", "y")],
     "node 'y' (Output) must come right after neurons that spike, and nothing else"),
    ([("x", "y")],
     "node 'y' (Output) must come right after neurons that spike, and nothing else"),
    ([("a", "x"), ("x", "n"), ("n", "y")],
     "node 'a' (Linear) must come after another node"),
    ([("x", "n"), ("n", "y"), ("x", "c"), ("c", "n")],
     "node 'n' (IF) must add up what has the same shape, not (3,) and (2,)"),
])
def test_edges_that_make_no_network_are_refused(edges, reason):
    graph = nir.NIRGraph(
        {"x": nir.Input({"input": np.array([3])}), "a": nir.Linear(vector((3, 3))),
         "b": nir.Linear(vector((3, 3))), "c": nir.Linear(vector((2, 3))), "n": spiking(3),
         "y": nir.Output({"output": np.array([3])})}, edges, type_check=False)
    with pytest.raises(ValueError) as caught:       # noqa: PT011
        read(graph)
    assert str(caught.value) == reason


@pytest.mark.parametrize(("name", "node", "reason"), [
    ("x2", nir.Input({"input": np.array([3])}), "a graph must have one Input, not 2"),
    ("y2", nir.Output({"output": np.array([3])}), "a graph must have one Output, not 2"),
    ("input", nir.Input({"input": np.array([])}), "node 'input' (Input) must have 1 to 3 numbers "
     "of at least 1 as its shape, not more than 16777216 values in all, not array([], "
     "dtype=float64)"),
    ("input", nir.Input({"input": np.array([2**20, 2**20])}), "node 'input' (Input) must have 1 to "
     "3 numbers of at least 1 as its shape, not more than 16777216 values in all, not "
     "array([1048576, 1048576])"),
])
def test_graphs_without_one_way_in_and_out_are_refused(name, node, reason):
    graph = chain(nir.Linear(WEIGHTS), spiking(3))
    graph.nodes[name] = node
    with pytest.raises(ValueError) as caught:       # noqa: PT011
        read(graph)
    assert str(caught.value) == reason
