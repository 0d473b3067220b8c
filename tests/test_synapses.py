"""Synapses: convolutions against torch and against their definition, refusals, max-pooling."""

import numpy as np
import pytest
import torch

from sc_neurocore.synapses import INPUT, Convolution, Dense, MaxPool, Source, source_sizes

GEOMETRIES = [
    dict(),
    dict(stride=(2, 1), padding=(1, 2), dilation=(1, 2), groups=2),
    dict(stride=(1, 3), padding=(2, 0), dilation=(2, 1), groups=4),
    dict(stride=(3, 3), padding=(0, 1)),
]


def convolution(seed=0, channels_out=8, **options):
    kernel = np.random.default_rng(seed).integers(
        -5, 6, (channels_out, 4 // options.get("groups", 1), 3, 2))
    return Convolution(kernel, (4, 7, 9), **options)


@pytest.mark.parametrize("options", GEOMETRIES)
def test_a_convolution_is_torch_s_and_that_of_its_matrix(options):
    built = convolution(**options)
    x = np.random.default_rng(1).integers(0, 9, (3, built.n_input))
    expected = torch.nn.functional.conv2d(
        torch.tensor(x.reshape(3, 4, 7, 9)).double(), torch.tensor(built.kernel).double(),
        **options).numpy()
    assert expected.shape[1:] == built.output_shape
    assert np.array_equal(built.apply(x), expected.reshape(3, -1))
    assert np.array_equal(x @ built.matrix().T, built.apply(x))
    assert built.n_output == len(built.rows) * built.positions


def test_one_neuron_of_a_convolution_by_hand():
    """A 1 × 2 kernel on a row of three, padded: positions see (0, a), (a, b), (b, c), (c, 0)."""
    built = Convolution(np.array([[[[10, 1]]]]), (1, 1, 3), padding=(0, 1))
    assert built.matrix().tolist() == [[1, 0, 0], [10, 1, 0], [0, 10, 1], [0, 0, 10]]
    assert built.apply(np.array([[2, 3, 4]])).tolist() == [[2, 23, 34, 40]]


@pytest.mark.parametrize("options", GEOMETRIES)
def test_scaling_the_inputs_scales_the_columns(options):
    built = convolution(**options)
    factors = np.repeat([1, 2, 3, 5], 63)
    assert np.array_equal(built.scale_inputs(factors).matrix(), built.matrix() * factors)
    dense = Dense(built.matrix())
    assert np.array_equal(dense.scale_inputs(factors).matrix(), built.matrix() * factors)


def test_a_convolution_can_not_scale_the_pixels_of_a_channel_differently():
    with pytest.raises(ValueError, match="must be the same all over a channel"):
        convolution().scale_inputs(np.arange(4 * 63))


@pytest.mark.parametrize(("options", "error", "message"), [
    (dict(groups=3), ValueError, r"Kernel of shape \(8, 1, 3, 2\) in 3 group\(s\) must take 3"),
    (dict(stride=(0, 1)), ValueError, r"Stride must be at least 1, not \(0, 1\)"),
    (dict(padding=(1.5, 1)), TypeError, r"Padding must be 2 integers, not \(1.5, 1\)"),
    (dict(dilation=(4, 1)), ValueError, "Kernel must reach over at most 7 inputs, padding "
                                        "included, not 9"),
])
def test_impossible_convolutions_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        convolution(**options)


@pytest.mark.parametrize("weights", [np.zeros(3), np.zeros((0, 3)), np.zeros((1, 2, 3))])
def test_dense_weights_are_a_matrix(weights):
    with pytest.raises(ValueError, match=r"Weights must have shape \(n_output, n_input\)"):
        Dense(weights)


@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), [
    ((2, 2), (2, 2), (0, 0), (1, 1)), ((3, 2), (1, 2), (1, 1), (1, 1)),
    ((2, 3), (2, 1), (0, 1), (2, 2))])
def test_max_pool_is_torch_s(kernel, stride, padding, dilation):
    pool = MaxPool((4, 7, 9), kernel, stride, padding, dilation)
    x = np.random.default_rng(2).integers(0, 20, (3, pool.n_input))
    expected = torch.nn.functional.max_pool2d(
        torch.tensor(x.reshape(3, 4, 7, 9)).double(), kernel, stride, padding, dilation).numpy()
    assert expected.shape[1:] == pool.output_shape
    assert np.array_equal(pool.apply(x), expected.reshape(3, -1))


def test_of_left_aligned_spikes_the_or_counts_the_maximum():
    pool, timesteps = MaxPool((1, 2, 2), (2, 2), (2, 2)), 5
    counts = np.random.default_rng(3).integers(0, timesteps + 1, (20, 4))
    spikes = np.arange(timesteps)[:, None, None] < counts
    merged = np.stack([pool.apply(step) for step in spikes])
    assert np.array_equal(merged.sum(axis=0), counts.max(axis=1, keepdims=True))


def test_sources_are_the_input_and_earlier_layers():
    pool = MaxPool((1, 2, 2), (2, 2), (2, 2))
    assert source_sizes("Sources", [Source(INPUT), Source(0, pool)], {INPUT: 7, 0: 4}) == [7, 1]
    with pytest.raises(ValueError, match="Sources must be the input or earlier layers, not 1"):
        source_sizes("Sources", [Source(1)], {INPUT: 7, 0: 4})
    with pytest.raises(ValueError, match="Max pool must have 5 inputs, one for each neuron"):
        source_sizes("Sources", [Source(0, pool)], {INPUT: 7, 0: 5})
    with pytest.raises(ValueError, match="Max pool must follow a layer of neurons, not the input"):
        Source(INPUT, pool)
