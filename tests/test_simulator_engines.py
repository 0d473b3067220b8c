"""Each engine of the simulator gives the golden model's integers, whatever the network."""

from dataclasses import replace
from itertools import islice, pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sc_neurocore import golden, simulator
from sc_neurocore.network import IntegerLayer, IntegerNetwork
from sc_neurocore.simulator import encoding, tables
from sc_neurocore.simulator.products import Products
from sc_neurocore.synapses import INPUT, Convolution, Dense, MaxPool, Source

ENCODERS = ("lfsr", "low_discrepancy", "direct", "events")
PLACES = ({"engine": "products"}, {"device": "cpu"})


class Builder:
    """Draws layers that fit what there is already: ``shapes`` of the input and of each layer."""

    def __init__(self, draw, schedule):
        self.draw, self.schedule = draw, schedule
        self.random = np.random.default_rng(draw(st.integers(0, 2**32)))
        self.shapes = {INPUT: self.shape(3)}

    def shape(self, channels):
        return tuple(int(n) for n in self.random.integers(1, (channels + 1, 5, 5)))

    def source(self):
        """Any earlier layer or the input, pooled now and then where that is allowed."""
        index = int(self.random.choice(list(self.shapes)))
        shape = self.shapes[index]
        if index == INPUT or self.schedule == "pipelined" or self.random.random() < 0.5:
            return Source(index), shape
        pool = self.window(MaxPool, shape, kernel_size=tuple(self.random.integers(1, 4, 2)))
        return Source(index, pool), pool.output_shape

    def window(self, kind, shape, kernel_size=None, kernel=None, **options):
        """Windows of this kernel; they move and reach about as it happens to fit."""
        size = kernel.shape[2:] if kernel_size is None else kernel_size
        first = {"kernel": kernel, "input_shape": shape} if kernel_size is None else {
            "input_shape": shape, "kernel_size": tuple(int(n) for n in size)}
        padding, stride, dilation = (tuple(int(n) for n in self.random.integers(low, high, 2))
                                     for low, high in ((0, 3), (1, 4), (1, 3)))
        try:
            return kind(**first, stride=stride, padding=padding, dilation=dilation, **options)
        except ValueError:   # too large a kernel for so small an image
            return kind(**first, stride=stride, padding=(2, 2), **options)

    def weights(self, shape, width):
        half = 2 ** (width - 1)
        weights = self.random.integers(-half, half, shape)
        weights[self.random.random(shape) < 0.2] = self.random.choice([half - 1, -half])
        return weights

    def synapses(self, width, last):
        """One or two sources, dense or convolved in the same way."""
        source, shape = self.source()
        if last or self.random.random() < 0.4:
            n_output = int(self.random.integers(1, 9))
            chosen = [(source, shape), *([self.source()] if self.random.random() < 0.4 else [])]
            return [one for one, _ in chosen], [
                Dense(self.weights((n_output, int(np.prod(size))), width)) for _, size in chosen
            ], (n_output, 1, 1)
        groups = int(self.random.choice([n for n in (1, 2, 3) if shape[0] % n == 0]))
        size = (groups * int(self.random.integers(1, 4)), shape[0] // groups,
                *(int(n) for n in self.random.integers(1, 4, 2)))
        first = self.window(Convolution, shape, kernel=self.weights(size, width), groups=groups)
        second = replace(first, kernel=self.weights(size, width))
        twice = self.random.random() < 0.3
        return ([source, source] if twice else [source],
                [first, second] if twice else [first], first.output_shape)

    def layer(self, last):
        width = self.draw(st.integers(2, 16))
        sources, synapses, shape = self.synapses(width, last)
        n_output = int(np.prod(shape))
        half = 2 ** (width - 1)
        reach = self.random.choice([0.0, 0.5, 4.0, 30.0])
        thresholds = self.random.integers(1, int(reach * half) + 2, n_output)
        if last:
            thresholds[:] = thresholds[0]
        saturates = not last and self.schedule == "pipelined" and self.random.random() < 0.4
        membrane_width = int(self.random.integers(2, 13)) if saturates else None
        limit = 2 ** (membrane_width - 1) if saturates else 2**31
        initial = np.minimum(thresholds // self.random.integers(1, 4),
                             np.minimum(limit, thresholds) - 1)
        self.shapes[len(self.shapes) - 1] = shape
        return IntegerLayer(synapses, self.random.integers(-half, half + 1, n_output), thresholds,
                            initial, width, membrane_width, sources)


@st.composite
def networks(draw, schedule="pipelined"):
    builder = Builder(draw, schedule)
    n_layers = draw(st.integers(1, 4))
    layers = []
    while len(layers) < n_layers:
        # The first layer may get nothing but the input
        layers.append(builder.layer(last=len(layers) == n_layers - 1))
    return IntegerNetwork(tuple(layers), draw(st.sampled_from([1, 2, 7, 31, 32, 33, 70])),
                          draw(st.integers(1, 16)), draw(st.sampled_from(ENCODERS)),
                          draw(st.integers(1, 2**32 - 1)), schedule)


def some_inputs(network, batch, seed=0):
    """Images of which a third of the inputs is silent and a third at full scale; or spikes."""
    random = np.random.default_rng(seed)
    if network.encoder == "events":
        rates = random.random((batch, 1, network.n_input))
        return random.random((batch, network.timesteps, network.n_input)) < rates
    images = random.integers(0, network.full_scale + 1, (batch, network.n_input))
    kind = random.integers(0, 3, images.shape)
    return np.where(kind == 0, 0, np.where(kind == 1, network.full_scale, images))


def assert_golden(network, inputs, **options):
    got, want = simulator.run(network, inputs, **options), golden.run(network, inputs)
    for name in ("counts", "membranes", "currents", "predicted"):
        one, other = getattr(got, name), getattr(want, name)
        assert one.dtype == other.dtype == np.int64
        assert one.shape == other.shape
        assert np.array_equal(one, other), name


@given(networks())
def test_events_are_golden(network):
    engine = simulator.engine_report(network).engine
    assert engine == ("products" if max(w.accumulator for w in network.widths) > 32 else "events")
    assert_golden(network, some_inputs(network, 3))


@pytest.mark.parametrize("place", PLACES, ids=["numpy", "torch"])
@given(network=networks() | networks("layer_by_layer"))
def test_products_are_golden(place, network):
    assert_golden(network, some_inputs(network, 3), **place)


# Synapses

@pytest.mark.parametrize("options", [{"engine": "events"}, *PLACES], ids=str)
@pytest.mark.parametrize("groups", [1, 2])
@pytest.mark.parametrize(("kernel", "stride", "padding", "dilation"), [
    (1, 1, 0, 1), (1, 2, 1, 1), (2, 1, 1, 1), (2, 2, 0, 1), (3, 1, 1, 1), (3, 2, 1, 1),
    (3, 2, 2, 2), (3, 1, 2, 2), (3, 3, 0, 1), (4, 2, 1, 1), (2, 3, 1, 2), (7, 1, 3, 1)])
def test_convolutions_are_golden(kernel, stride, padding, dilation, groups, options):
    random = np.random.default_rng(kernel)
    across = (kernel, stride, padding, dilation)
    for height, down in ((7, (1, 1, 0, 1)), (9, across)):
        size, *rest = zip(down, across, strict=True)
        weights = random.integers(-128, 128, (4, 2, *size))
        synapses = Convolution(weights, (2 * groups, height, 8), *rest, groups)
        n = synapses.n_output
        layer = IntegerLayer(synapses, random.integers(-9, 9, n), np.full(n, 99), np.full(n, 5))
        network = IntegerNetwork((layer,), 5, encoder="events")
        assert_golden(network, some_inputs(network, 2), **options)


@pytest.mark.parametrize("options", [{}, *PLACES], ids=str)
@pytest.mark.parametrize("schedule", ["pipelined", "layer_by_layer"])
@pytest.mark.parametrize("intensity_width", [1, 3, 8])
def test_spikes_and_a_current_add_up(intensity_width, schedule, options):
    # Under direct a layer's input may be both; a spike then counts as much as full scale
    random = np.random.default_rng(intensity_width)
    first = IntegerLayer(random.integers(-9, 20, (5, 4)), np.arange(5), np.full(5, 30),
                         np.zeros(5, int))
    synapses = [Dense(random.integers(-9, 9, (3, n_input))) for n_input in (5, 4)]
    second = IntegerLayer(synapses, np.array([3, 0, -2]), np.full(3, 20), np.full(3, 7),
                          sources=[Source(0), Source(INPUT)])
    network = IntegerNetwork((first, second), 40, intensity_width, "direct", schedule=schedule)
    assert_golden(network, some_inputs(network, 9), **options)


# Saturation and width

@pytest.mark.parametrize("options", [{"engine": "events"}, *PLACES], ids=str)
@pytest.mark.parametrize("weight", [127, -128])
@pytest.mark.parametrize("membrane_width", range(2, 9))
def test_membranes_saturate_at_the_golden_model_s_limits(weight, membrane_width, options):
    # Drives far beyond the limit, then silence: the output counts what the membrane kept
    saturating = IntegerLayer(np.array([[weight, 64]]), np.array([-np.sign(weight)]), np.array([1]),
                              np.array([0]), membrane_width=membrane_width)
    repeat = IntegerLayer(np.array([[1]]), np.array([0]), np.array([1]), np.array([0]))
    network = IntegerNetwork((saturating, repeat), 40)
    assert network.widths[0].saturates
    assert_golden(network, [[i, j] for i in (0, 10, 40) for j in (0, 20)], **options)


def wide_network(magnitude, shape=(3, 2, 2), timesteps=9, **options):
    """Odd biases and thresholds near ``magnitude``, which a type that is too narrow rounds."""
    layers = [IntegerLayer(np.arange(n_input * n_output).reshape(n_output, n_input) * 2 - 3,
                           np.full(n_output, magnitude // 2 - 7) + 2 * np.arange(n_output),
                           np.full(n_output, magnitude - 1), np.full(n_output, magnitude // 3))
              for n_input, n_output in pairwise(shape)]
    return IntegerNetwork(tuple(layers), timesteps, **options)


@pytest.mark.parametrize("options", [{}, *PLACES], ids=str)
@pytest.mark.parametrize("schedule", ["pipelined", "layer_by_layer"])
@pytest.mark.parametrize("exponent", range(18, 32))
def test_sums_are_exact_at_every_width(exponent, schedule, options):
    network = wide_network(2**exponent - 1, schedule=schedule)
    assert_golden(network, some_inputs(network, 5), **options)


@pytest.mark.parametrize("options", [{}, *PLACES], ids=str)
@pytest.mark.parametrize("timesteps", [1, 300])
def test_sums_beyond_doubles_are_exact(timesteps, options):
    network = wide_network(2**31 - 1, timesteps=timesteps, intensity_width=16, encoder="direct",
                           schedule="layer_by_layer")
    assert {population.dtype for population in Products(network).populations} == (
        {"float64"} if timesteps == 1 else {"int64", "float64"})
    assert_golden(network, some_inputs(network, 5), **options)


@pytest.mark.parametrize("options", [{}, *PLACES], ids=str)
def test_a_membrane_just_below_a_multiple_of_the_threshold_has_no_spike_more(options):
    # The membrane is 4,085 thresholds less 1; in double precision the quotient would be 4,085
    timesteps, full_scale = 4093, 2**16 - 1
    threshold = next(n for n in range(2**31 - 1, 0, -1)
                     if (4085 * full_scale * n - 1) % timesteps == 0)
    bias, intensity = divmod((4085 * full_scale * threshold - 1) // timesteps, full_scale)
    layer = IntegerLayer(np.array([[1]]), np.array([bias]), np.array([threshold]), np.array([0]))
    network = IntegerNetwork((layer,), timesteps, 16, "direct", schedule="layer_by_layer")
    assert simulator.run(network, [[intensity]], **options).counts == 4084
    assert_golden(network, [[intensity]], **options)


@pytest.mark.parametrize(("weights", "dtype", "segments"), [
    ([[2**14, 2**14 - 1, 0]], "int16", 1), ([[2**14, -2**14, 0]], "int32", 1),
    ([[-2**15, 3, 5]], "int32", 1), ([[127, -128] * 150], "int16", 2),
    ([[127, -128] * 150, [1, 0] * 150], "int16", 2), ([[2**14, -2**14] * 64], "int32", 1),
    ([[2**12, -2**12] * 64], "int32", 1), ([[2**8, -2**9] * 64], "int16", 2)])
def test_sums_are_in_narrow_segments_where_there_are_few(weights, dtype, segments):
    # Inputs that spike in most timesteps are subtracted, so sums reach as far as all weights do
    n_output, n_input = np.shape(weights)
    layer = IntegerLayer(np.array(weights), np.zeros(n_output, int), np.full(n_output, 5000),
                         np.zeros(n_output, int), weight_width=16)
    network = IntegerNetwork((layer,), 32, encoder="events")
    table = tables.table(layer.synapses, n_output)
    assert (table.weights.dtype, len(table.segments) - 1) == (dtype, segments)
    random = np.random.default_rng(0)
    rates = random.choice([0.1, 0.9], (20, 1, n_input))
    assert_golden(network, random.random((20, 32, n_input)) < rates)
    signs = np.sign(weights[0]) > 0
    assert_golden(network, np.stack([np.tile(signs, (32, 1)), np.tile(~signs, (32, 1))]))


def test_the_narrowest_exact_type_is_used():
    def dtypes(layer):
        engine = Products(IntegerNetwork((layer,), 1))
        return [population.dtype for population in engine.populations]

    edge = IntegerLayer(np.array([[1]]), np.array([0]), np.array([2**24 - 1]), np.array([0]))
    assert dtypes(edge) == ["float32"]
    assert dtypes(replace(edge, thresholds=edge.thresholds + 2)) == ["float64"]


def test_shortened_products_are_not_trusted():
    torch = pytest.importorskip("torch")
    edge = IntegerLayer(np.array([[1]]), np.array([0]), np.array([2]), np.array([0]))
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        populations = Products(IntegerNetwork((edge,), 1), "cpu").populations
    finally:
        torch.set_float32_matmul_precision(before)
    assert populations[0].dtype == "float64"


# The encoders' numbers

@pytest.mark.parametrize("width", [1, 3, 8, 13, 16])
@pytest.mark.parametrize("seed", [1, 2**32 - 1, 0xDEADBEEF])
def test_draws_are_the_golden_model_s(width, seed):
    network = wide_network(9, (30, 2), intensity_width=width, seed=seed, timesteps=25)
    draws = encoding.encoder_draws(network)
    assert draws.shape == (25, 30)
    assert draws.ravel().tolist() == list(islice(golden.lfsr_draws(network), 25 * 30))


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 63, 64, 65, 2047, 2048, 2049, 70_001])
def test_bits_do_not_depend_on_how_many_there_are(count):
    reference = golden.lfsr_draws(wide_network(9, intensity_width=1))
    assert encoding.lfsr_bits(0x9E3779B1, count).tolist() == list(islice(reference, count))


@pytest.mark.parametrize("width", [1, 5, 16])
@pytest.mark.parametrize("timesteps", [1, 2, 7, 64, 100])
def test_evenly_spread_numbers_decide_as_the_golden_model_does(width, timesteps):
    network = wide_network(9, (9, 2), timesteps, encoder="low_discrepancy", intensity_width=width)
    draws = encoding.encoder_draws(network)
    for image in np.random.default_rng(0).integers(0, 2**width, (20, 9)):
        spikes = draws < encoding.limits(image, width)
        assert np.array_equal(spikes, golden.encode(network, image))
