"""The golden model against numbers worked out by hand, and against what they must always obey."""

import re
from dataclasses import replace
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
import pytest

from sc_neurocore import golden
from sc_neurocore.network import LFSR_TAPS, LFSR_WIDTH, IntegerLayer, IntegerNetwork
from sc_neurocore.synapses import Convolution, Dense, MaxPool, Source

DOCUMENT = (Path(__file__).parents[1] / "docs" / "number-format.md").read_text(encoding="utf-8")


def layer(weights, biases, threshold, initial=0, membrane_width=None):
    n = len(weights)
    return IntegerLayer(np.array(weights), np.array(biases), np.full(n, threshold),
                        np.full(n, initial), membrane_width=membrane_width)


def identity(n_input, timesteps, **options):
    """A network whose neurons repeat the spikes of the inputs."""
    eye = layer(np.eye(n_input, dtype=int), [0] * n_input, 1)
    return IntegerNetwork((eye,), timesteps, **options)


def random_network(seed, shape=(6, 5, 4), timesteps=9, **options):
    random = np.random.default_rng(seed)
    layers = []
    for n_input, n_output in pairwise(shape):
        thresholds = np.full(n_output, random.integers(20, 90))
        layers.append(IntegerLayer(random.integers(-60, 90, (n_output, n_input)),
                                   random.integers(-9, 10, n_output), thresholds, thresholds // 2))
    return IntegerNetwork(tuple(layers), timesteps, seed=seed + 1, **options)


def documented_rows(header):
    """Rows of the table below ``header`` in docs/number-format.md, as lists of integers."""
    rows = DOCUMENT.split(header)[1].split("\n\n")[0].strip().splitlines()[1:]
    return [[int(number, 0) for number in re.findall(r"0x\w+|-?\d+", row.replace("−", "-"))]
            for row in rows]


# The LFSR

def test_draws_are_those_of_the_document():
    network = identity(1, 1)
    rows = documented_rows("| steps | state | draw |")
    assert [row[2] for row in rows] == [217, 26, 37, 28]
    assert [row[1] % 256 for row in rows] == [217, 26, 37, 28]
    assert list(islice(golden.lfsr_draws(network), 8)) == [217, 26, 37, 28, 247, 190, 168, 181]
    assert network.lfsr_state == 0x9E3779B1
    narrow = replace(network, seed=12345, intensity_width=4)
    assert narrow.lfsr_state == 0xA12B4869
    assert list(islice(golden.lfsr_draws(narrow), 8)) == [11, 13, 11, 8, 8, 8, 12, 9]


def test_a_draw_is_the_bits_put_in_first_one_highest():
    wide, bits = identity(1, 1, intensity_width=12), identity(1, 1, intensity_width=1)
    stream = list(islice(golden.lfsr_draws(bits), 48))
    assert list(islice(golden.lfsr_draws(wide), 4)) == \
        [int("".join(map(str, stream[i:i + 12])), 2) for i in (0, 12, 24, 36)]


def multiply(a, b, modulus):
    """Product of two polynomials over GF(2) in a field given by its modulus."""
    product = 0
    while b:
        product ^= a if b & 1 else 0
        a, b = a << 1, b >> 1
        a ^= modulus if a >> LFSR_WIDTH else 0
    return product


def power(base, exponent, modulus):
    result = 1
    while exponent:
        result = multiply(result, base, modulus) if exponent & 1 else result
        base, exponent = multiply(base, base, modulus), exponent >> 1
    return result


def test_the_polynomial_is_primitive():
    modulus = sum(1 << tap for tap in LFSR_TAPS) | 1
    order, primes = 2**LFSR_WIDTH - 1, (3, 5, 17, 257, 65537)
    assert modulus == 0x1_0040_0007
    assert np.prod(primes) == order
    assert power(2, order, modulus) == 1
    assert all(power(2, order // prime, modulus) != 1 for prime in primes)


def test_the_register_has_that_polynomial():
    # b[n] = b[n−32] ⊕ b[n−22] ⊕ b[n−2] ⊕ b[n−1], said of the stream alone
    stream = list(islice(golden.lfsr_draws(identity(1, 1, intensity_width=1)), 500))
    assert all(stream[n] == stream[n - 32] ^ stream[n - 22] ^ stream[n - 2] ^ stream[n - 1]
               for n in range(32, 500))


# The encoder

@pytest.mark.parametrize("width", [1, 2, 5, 8, 16])
def test_zero_never_fires_and_full_scale_always(width):
    network = identity(3, 300, intensity_width=width)
    spikes = golden.encode(network, np.array([0, network.full_scale, 0]))
    assert spikes.all(axis=0).tolist() == [False, True, False]
    assert spikes.any(axis=0).tolist() == [False, True, False]


def test_an_input_fires_where_its_draw_is_below_the_limit():
    network = identity(4, 5, intensity_width=3)
    draws = np.reshape(list(islice(golden.lfsr_draws(network), 20)), (5, 4))
    for intensity, limit in enumerate([0, 1, 2, 3, 5, 6, 7, 8]):
        assert np.array_equal(golden.encode(network, np.full(4, intensity)), draws < limit)


def test_draw_t_n_plus_j_belongs_to_input_j_at_timestep_t():
    wide, narrow = identity(6, 4), identity(1, 24)
    assert np.array_equal(golden.encode(wide, np.full(6, 100)).ravel(),
                          golden.encode(narrow, np.array([100])).ravel())


def test_silent_inputs_take_their_draws_too():
    network = identity(4, 50)
    alone, together = (golden.encode(network, np.array(image))
                       for image in ([0, 0, 90, 0], [200, 30, 90, 255]))
    assert np.array_equal(alone[:, 2], together[:, 2])


def test_rates_follow_intensities():
    network = identity(256, 512)
    rates = golden.encode(network, np.arange(256)).mean(axis=0)
    # Five standard deviations of a mean of 512 fair bits
    assert np.abs(rates - np.arange(256) / 255).max() < 5 * 0.5 / np.sqrt(512)
    assert abs((rates - np.arange(256) / 255).mean()) < 0.005


# The neuron

def run_neuron(weights, bias, threshold, events, initial=0, membrane_width=None):
    one = layer([weights], [bias], threshold, initial, membrane_width)
    spikes, membranes = golden.integrate_and_fire(one, np.array(events, dtype=bool))
    return spikes[:, 0].astype(int).tolist(), membranes[:, 0].tolist()


def test_a_neuron_spikes_at_its_threshold_exactly():
    assert run_neuron([4], 0, 4, [[1], [1]]) == ([1, 1], [0, 0])
    assert run_neuron([3], 0, 4, [[1], [1]]) == ([0, 1], [3, 2])


def test_the_threshold_is_subtracted_and_the_rest_stays():
    assert run_neuron([10], 0, 4, [[1], [0], [0], [0]]) == ([1, 1, 0, 0], [6, 2, 2, 2])


def test_membranes_go_below_zero_and_stay_there():
    assert run_neuron([-5, 3], 1, 4, [[1, 0], [0, 1], [1, 1], [0, 1]]) == \
        ([0, 0, 0, 0], [-4, 0, -1, 3])


def test_the_bias_is_added_in_every_timestep():
    assert run_neuron([0], 2, 4, [[0]] * 5) == ([0, 1, 0, 1, 0], [2, 0, 2, 0, 2])


def test_the_initial_membrane_comes_before_the_first_timestep():
    assert run_neuron([1], 0, 4, [[1], [0]], initial=3) == ([1, 0], [0, 0])


def test_the_stored_membrane_saturates_after_the_subtraction():
    # 9 + 9 = 18 fires and 14 is stored as 7; unsaturated sums decide about spikes
    assert run_neuron([9, 9], 0, 4, [[1, 1], [0, 0], [0, 0]], membrane_width=4) == \
        ([1, 1, 0], [7, 3, 3])
    assert run_neuron([-9, 9], 0, 4, [[1, 0], [0, 1], [1, 1]], membrane_width=4) == \
        ([0, 0, 0], [-8, 1, 1])
    assert run_neuron([11], 0, 4, [[1]], membrane_width=4) == ([1], [7])       # 7 itself fits
    assert run_neuron([-8], 0, 4, [[1]], membrane_width=4) == ([0], [-8])      # so does −8


def test_a_spike_reaches_the_next_layer_in_its_own_timestep():
    hidden, output = layer([[1]], [0], 1), layer([[1]], [0], 1)
    trace = golden.trace(IntegerNetwork((hidden, output), 3), [255]).trace
    assert [spikes[0, :, 0].tolist() for spikes in trace.spikes] == [[True] * 3] * 2


# The readout, and whole networks

def test_the_documented_example():
    network = IntegerNetwork((layer([[3, -2], [1, 4]], [1, -1], 4, initial=2),), 4)
    result = golden.trace(network, [128, 64])
    trace = result.trace
    rows = documented_rows("| t | draws | input spikes | integrated | spikes | membranes |")
    assert len(rows) == 4
    for t, row in enumerate(rows):
        draws = list(islice(golden.lfsr_draws(network), 8))[2 * t:2 * t + 2]
        integrated = trace.membranes[0][0, t] + 4 * trace.spikes[0][0, t]
        assert row == [t, *draws, *trace.input_spikes[0, t], *integrated, *trace.spikes[0][0, t],
                       *trace.membranes[0][0, t]]
    assert result.counts.tolist() == [[1, 2]]
    assert result.membranes.tolist() == [[1, -1]]
    assert result.currents.tolist() == [[3, 5]]
    assert result.predicted.tolist() == [1]


def test_the_current_separates_neurons_of_equal_counts():
    network = IntegerNetwork((layer([[5], [6], [4]], [0, 0, 0], 4, initial=1),), 2)
    result = golden.run(network, [255])
    assert result.counts.tolist() == [2, 2, 2]
    assert result.currents.tolist() == [10, 12, 8]
    assert result.predicted == 1


def test_a_tie_goes_to_the_lowest_index():
    network = IntegerNetwork((layer([[1], [3], [3], [2]], [0] * 4, 4),), 3)
    assert golden.run(network, [255]).predicted == 1
    assert golden.run(network, [0]).predicted == 0


@pytest.mark.parametrize("seed", range(10))
def test_currents_are_the_sum_of_all_drives(seed):
    network = random_network(seed)
    result = golden.trace(network, np.random.default_rng(seed).integers(0, 256, (3, 6)))
    output, received = network.layers[-1], result.trace.spikes[-2].sum(axis=1)
    assert np.array_equal(result.currents, received @ output.weights.T
                          + network.timesteps * output.biases)
    assert result.trace.spikes[-2].any()
    assert result.counts.any()


def test_back_to_back_images_do_not_influence_each_other():
    network = random_network(3)
    images = np.random.default_rng(3).integers(0, 256, (5, 6))
    together = golden.trace(network, images)
    for index, image in enumerate(images):
        alone = golden.trace(network, image)
        for part, whole in zip(alone.arrays(), together.arrays(), strict=True):
            assert np.array_equal(part[0], whole[index])
        for part, whole in zip(alone.trace.membranes, together.trace.membranes, strict=True):
            assert np.array_equal(part[0], whole[index])


def test_results_have_the_batch_axis_of_the_intensities():
    network = random_network(1)
    assert [array.shape for array in golden.run(network, [7] * 6).arrays()] == [(4,)] * 3 + [()]
    assert [array.shape for array in golden.run(network, [[7] * 6] * 2).arrays()] \
        == [(2, 4)] * 3 + [(2,)]
    assert golden.run(network, np.zeros((0, 6), int)).predicted.shape == (0,)


def test_seeds_change_the_spikes_and_repeat_them():
    network, image = random_network(1), [100] * 6
    spikes = [golden.trace(replace(network, seed=seed), image).trace.input_spikes.tobytes()
              for seed in (1, 2, 1)]
    assert spikes[0] == spikes[2] != spikes[1]


def test_images_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"^Intensities must have shape \(6,\) or \(batch, 6\), "
                                         r"not \(7,\)$"):
        golden.run(random_network(1), [0] * 7)


# Encoders, schedules and connections

def two_inputs(**options):
    """2-2 by hand: weights [[3, −2], [1, 4]], biases [1, −1], thresholds 4, initial membranes 2."""
    one = IntegerLayer(np.array([[3, -2], [1, 4]]), np.array([1, -1]), np.array([4, 4]),
                       np.array([2, 2]))
    return IntegerNetwork((one,), 4, **options)


def test_low_discrepancy_by_hand():
    """T = 4: phases are bits of t ⊕ j in reverse, input 0: 0, 2, 1, 3, input 1: 2, 0, 3, 1.

    128 has the limit 129, 129/256 · 4 = 2.02: phases 0 and 1. 64: phase 0 alone.
    """
    network = two_inputs(encoder="low_discrepancy")
    assert golden.encode(network, np.array([128, 64])).tolist() == [[1, 0], [0, 1], [1, 0], [0, 0]]


@pytest.mark.parametrize("timesteps", [1, 2, 8, 64, 512])
def test_low_discrepancy_counts_to_half_a_spike(timesteps):
    network = IntegerNetwork((IntegerLayer(np.ones((1, 256), int), [0], [1], [0]),), timesteps,
                             encoder="low_discrepancy")
    intensities = np.arange(256)
    counts = golden.encode(network, intensities).sum(axis=0)
    limits = intensities + intensities // 128
    assert (np.abs(counts - limits * timesteps / 256) <= 0.5).all()
    assert counts[0] == 0
    assert counts[255] == timesteps


def test_direct_input_by_hand():
    """Intensities 128 and 64 of 255 are a current: 3 · 128 − 2 · 64 + 255 = 511 each timestep."""
    traced = golden.trace(two_inputs(encoder="direct"), [128, 64])
    assert traced.trace.membranes[0][0].tolist() == [
        [510 + 511 - 1020, 510 + 129], [1 + 511, 510 + 258], [512 + 511 - 1020, 510 + 387],
        [3 + 511, 510 + 516 - 1020]]
    assert traced.counts.tolist() == [[2, 1]]
    assert traced.currents.tolist() == [[4 * 511, 4 * 129]]
    # Planes of bits, the highest first: 128 has the first one alone, 64 the second.
    assert np.argwhere(traced.trace.input_spikes[0]).tolist() == [[0, 0], [1, 1]]


def test_events_are_taken_as_they_come():
    spikes = np.array([[0, 1], [1, 1], [0, 0], [0, 0]])     # those of the example in the docs
    traced = golden.trace(two_inputs(encoder="events"), spikes)
    assert traced.currents.tolist() == [[3, 5]]
    assert golden.run(two_inputs(), [128, 64]).currents.tolist() == [3, 5]
    assert np.array_equal(traced.trace.input_spikes[0], spikes.astype(bool))


def test_layer_by_layer_by_hand():
    """The same events, membranes 2 + 3 = 5 and 2 + 5 = 7: one spike each, in the first timestep."""
    traced = golden.trace(two_inputs(encoder="events", schedule="layer_by_layer"),
                          [[0, 1], [1, 1], [0, 0], [0, 0]])
    assert traced.trace.spikes[0][0].tolist() == [[True, True], *[[False, False]] * 3]
    assert traced.trace.membranes[0][0].tolist() == [[1, 3]] * 4
    assert traced.currents.tolist() == [[3, 5]]


@pytest.mark.parametrize(("drive", "count", "left"), [(-7, 0, -5), (1, 0, 3), (2, 1, 0), (5, 1, 3),
                                                      (6, 2, 0), (14, 4, 0), (30, 4, 16)])
def test_layer_by_layer_counts_thresholds_up_to_one_a_timestep(drive, count, left):
    one = IntegerLayer(np.array([[drive]]), [0], [4], [2])
    inputs = np.array([[0], [1], [0], [0]])
    spikes, membranes = golden.integrate_and_fire(one, inputs, "layer_by_layer")
    assert spikes[:, 0].tolist() == [True] * count + [False] * (4 - count)
    assert membranes[-1].tolist() == [left]


def small_image_network(schedule="pipelined", **options):
    """4 × 4 pixels: convolution of 2 channels, then one layer with a residual connection."""
    random = np.random.default_rng(5)
    first = Convolution(random.integers(-5, 9, (2, 1, 3, 3)), (1, 4, 4), padding=(1, 1))
    second = Convolution(random.integers(-5, 6, (2, 2, 3, 3)), (2, 4, 4), padding=(1, 1))
    identity = Convolution(np.full((2, 1, 1, 1), 7), (2, 4, 4), groups=2)
    layers = [
        IntegerLayer((first,), np.ones(32, int), np.full(32, 9), np.full(32, 4)),
        IntegerLayer((second,), np.zeros(32, int), np.full(32, 7), np.full(32, 3)),
        IntegerLayer((identity, identity), np.zeros(32, int), np.full(32, 8), np.full(32, 4),
                     sources=(Source(1), Source(0))),
        IntegerLayer(random.integers(-9, 9, (3, 32)), np.zeros(3, int), np.full(3, 9),
                     np.zeros(3, int))]
    return IntegerNetwork(tuple(layers), 6, schedule=schedule, **options)


@pytest.mark.parametrize("encoder", ["lfsr", "low_discrepancy", "direct"])
@pytest.mark.parametrize("schedule", ["pipelined", "layer_by_layer"])
def test_convolutions_and_residuals_are_their_matrices(encoder, schedule):
    network = small_image_network(schedule, encoder=encoder)
    flat = replace(network, layers=tuple(
        replace(layer, synapses=tuple(Dense(one.matrix()) for one in layer.synapses))
        for layer in network.layers))
    images = np.random.default_rng(6).integers(0, 256, (3, 16))
    one, other = golden.trace(network, images), golden.trace(flat, images)
    for a, b in zip(one.trace.membranes, other.trace.membranes, strict=True):
        assert np.array_equal(a, b)
    assert one.trace.spikes[2].any()
    assert len(np.unique(one.currents)) > 1


def test_a_residual_connection_adds_the_spikes_of_both():
    network = small_image_network()
    traced = golden.trace(network, np.full((1, 16), 200)).trace
    added = 7 * (traced.spikes[0][0].astype(int) + traced.spikes[1][0])
    spikes, _ = golden.integrate_and_fire(
        IntegerLayer(np.eye(32, dtype=int), np.zeros(32, int), np.full(32, 8), np.full(32, 4)),
        added)
    assert np.array_equal(spikes, traced.spikes[2][0])


def test_max_pool_passes_on_the_largest_count():
    first = IntegerLayer((Convolution(np.full((1, 1, 1, 1), 8), (1, 2, 2)),), np.zeros(4, int),
                         np.full(4, 8), np.zeros(4, int))
    second = IntegerLayer(np.array([[3]]), [0], [100], [0],
                          sources=(Source(0, MaxPool((1, 2, 2), (2, 2), (2, 2))),))
    network = IntegerNetwork((first, second), 8, schedule="layer_by_layer", encoder="direct")
    result = golden.trace(network, [0, 64, 191, 100])
    counts = result.trace.spikes[0][0].sum(axis=0)
    assert counts.tolist() == [0, 2, 5, 3]          # floor(8 · i / 255)
    assert result.currents.tolist() == [[3 * 5]]
    with pytest.raises(ValueError, match="Layer 1 has a max pool, which is exact under"):
        replace(network, schedule="pipelined")


@pytest.mark.parametrize("encoder", ["lfsr", "low_discrepancy", "direct"])
@pytest.mark.parametrize("schedule", ["pipelined", "layer_by_layer"])
def test_no_membrane_leaves_the_widths(encoder, schedule):
    network = small_image_network(schedule, encoder=encoder)
    for image in (np.zeros(16, int), np.full(16, 255), np.arange(16) * 17):
        traced = golden.trace(network, image).trace
        for widths, membranes in zip(network.widths, traced.membranes, strict=True):
            low, high = widths.membrane_range
            assert low <= membranes.min() <= membranes.max() <= high


def test_spikes_from_outside_are_checked():
    network = two_inputs(encoder="events")
    with pytest.raises(ValueError, match=r"Spikes must have shape \(4, 2\) or \(batch, 4, 2\)"):
        golden.run(network, [[0, 1]])
    with pytest.raises(ValueError, match=r"Spikes must be in range\(2\), but timestep 1, input 0"):
        golden.run(network, [[0, 1], [2, 0], [0, 0], [0, 0]])
