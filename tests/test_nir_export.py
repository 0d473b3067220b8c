"""Networks become NIR graphs that others can read, as far as NIR has the words."""

import sys

import nir
import numpy as np
import pytest

from sc_neurocore.conversion.converted_snn import ConvertedSNN
from sc_neurocore.extras import MissingExtraError
from sc_neurocore.interchange.nir_export import save_nir, to_nir
from sc_neurocore.synapses import INPUT, Convolution, Dense, MaxPool, Source


def example(bias=None):
    rng = np.random.default_rng(0)
    first = Convolution(rng.normal(size=(3, 1, 3, 3)), (1, 6, 6), padding=(1, 1))
    second = Convolution(rng.normal(size=(2, 3, 2, 2)), (3, 6, 6), (2, 2))
    return ConvertedSNN([first, second, rng.normal(size=(4, 18))],
                        [np.repeat([1.0, 2.0, 3.0], 36), bias, None],
                        [np.arange(1.0, 109.0), 0.5, 1.0], 8, 0.5)


def edges_of(graph):
    return [f"{before} {after}" for before, after in graph.edges]


def test_layers_become_nodes():
    graph = to_nir(example())
    assert edges_of(graph) == [
        "input layer0_weights0", "layer0_weights0 layer0", "layer0 layer1_weights0",
        "layer1_weights0 layer1", "layer1 layer2_spikes0", "layer2_spikes0 layer2_weights0",
        "layer2_weights0 layer2", "layer2 output"]
    kinds = [type(node).__name__ for node in graph.nodes.values()]
    assert kinds == ["Input", "Conv2d", "IF", "Conv2d", "IF", "Flatten", "Linear", "IF", "Output"]
    first, neurons = graph.nodes["layer0_weights0"], graph.nodes["layer0"]
    assert np.array_equal(first.bias, [1, 2, 3])
    assert first.input_shape == (6, 6)
    assert np.array_equal(neurons.v_threshold, np.arange(1.0, 109.0).reshape(3, 6, 6))
    assert (neurons.r == 10_000).all()
    assert not neurons.v_reset.any()
    assert graph.check_types()


def test_what_nir_has_no_words_for_is_in_the_metadata():
    assert to_nir(example(), dt=0.01).metadata == {"sc_neurocore": {
        "reset": "subtract", "dt": 0.01, "T": 8, "initial_membrane_fraction": 0.5,
        "schedule": "pipelined"}}


def test_a_timestep_adds_its_current_whole():
    assert (to_nir(example(), dt=0.01).nodes["layer0"].r == 100).all()


def test_several_sources_are_edges_to_the_same_neurons():
    dense = Dense(np.ones((2, 3)))
    graph = to_nir(ConvertedSNN(
        [np.ones((3, 3)), (Dense(np.ones((2, 3))), dense)], [None, np.array([1.0, 2.0])],
        [1.0, 1.0], sources=[None, (Source(0), Source(INPUT))]))
    assert edges_of(graph)[2:] == ["layer0 layer1_weights0", "input layer1_weights1",
                                   "layer1_weights0 layer1", "layer1_weights1 layer1",
                                   "layer1 output"]
    assert isinstance(graph.nodes["layer1_weights0"], nir.Affine)   # the bias is added once
    assert isinstance(graph.nodes["layer1_weights1"], nir.Linear)


def test_convolutions_of_one_row_are_of_one_dimension():
    one = Convolution(np.ones((2, 1, 1, 3)), (1, 1, 9), (1, 2), (0, 1), (1, 2))
    graph = to_nir(ConvertedSNN([one], [None], [1.0]))
    node = graph.nodes["layer0_weights0"]
    assert isinstance(node, nir.Conv1d)
    assert (node.stride, node.padding, node.dilation, node.input_shape) == (2, 1, 2, 9)
    assert graph.nodes["layer0"].r.shape == (2, 4)
    assert graph.check_types()


def test_files_can_be_read_by_nir(tmp_path):
    save_nir(example(), tmp_path / "a.nir")
    graph = nir.read(tmp_path / "a.nir")
    assert set(edges_of(graph)) == set(edges_of(to_nir(example())))
    assert graph.metadata["sc_neurocore"]["reset"] == "subtract"


def test_equal_networks_make_equal_bytes(tmp_path):
    for name in "ab":
        save_nir(example(), tmp_path / name)
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_a_full_disk_is_an_error_of_one_line_and_leaves_nothing(tmp_path, full_disk):
    with full_disk(), pytest.raises(OSError, match="File too large") as raised:
        save_nir(example(), tmp_path / "a.nir")
    assert str(tmp_path / "a.nir") in str(raised.value)
    assert str(raised.value).isprintable()
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("dt", [0, -1.0, np.inf, np.nan])
def test_a_timestep_takes_time(dt):
    with pytest.raises(ValueError, match=r"^dt must be greater than 0 and finite, not "):
        to_nir(example(), dt)


def test_biases_that_differ_within_a_channel_are_refused():
    with pytest.raises(ValueError, match=r"^biases\[1\] must be the same all over a channel"):
        to_nir(example(bias=np.arange(18.0)))


def test_max_pools_are_refused():
    pool = MaxPool((1, 4, 4), (2, 2), (2, 2))
    snn = ConvertedSNN([np.ones((16, 16)), np.ones((2, 4))], [None] * 2, [1.0] * 2,
                       schedule="layer_by_layer", sources=[None, (Source(0, pool),)])
    with pytest.raises(ValueError, match=r"^sources\[1\] has a max pool, for which NIR has no "):
        to_nir(snn)


def test_images_made_of_vectors_are_refused():
    snn = ConvertedSNN([np.ones((16, 3)), Convolution(np.ones((1, 1, 2, 2)), (1, 4, 4))],
                       [None] * 2, [1.0] * 2)
    with pytest.raises(ValueError, match=r"^weights\[1\] must get an image of the shape \(1, 4, 4\)"
                       r" from its source, which has the shape \(16,\), as NIR has no node "):
        to_nir(snn)


def test_without_nir_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "nir", None)
    with pytest.raises(MissingExtraError, match="^nir is not installed; install it with: "
                       r"pip install 'sc-neurocore-fpga\[interchange\]'$"):
        to_nir(example())
