from dataclasses import replace

import numpy as np
import pytest

from sc_neurocore.network import IntegerLayer, IntegerNetwork
from sc_neurocore.parameters import WORD_WIDTH, load_format, load_words, part_row
from sc_neurocore.spec import AcceleratorSpec


def network(seed=0, scale=1):
    random = np.random.default_rng(seed)
    hidden = IntegerLayer(random.integers(-8, 8, (7, 5)), random.integers(-9, 12, 7) * scale,
                          random.integers(6, 40, 7) * scale, random.integers(0, 5, 7), 4)
    output = IntegerLayer(random.integers(-8, 8, (3, 7)), np.array([-1, 0, 9]),
                          np.full(3, 20 * scale), np.full(3, 10), 4)
    return IntegerNetwork((hidden, output), timesteps=3)


def loaded_spec(parts=2):
    net = network()
    return net, replace(AcceleratorSpec((3, 2), 4).with_loading(net), store_parts=parts)


def memories(net, spec):
    """What the targets hold after loading: row by row, as unsigned numbers."""
    form = load_format(net, spec)
    held = {}
    for address, data in load_words(net, spec).tolist():
        word = address % 2**form.word_bits
        row = address >> form.word_bits
        held[row] = held.get(row, 0) | data << WORD_WIDTH * word
    rows = 2**form.row_bits
    return [[held.get(target * rows + row, 0) for row in range(entry.rows)]
            for target, entry in enumerate(form.targets)]


def numbers(value, width, count, signed=True):
    fields = [value >> width * place & 2**width - 1 for place in range(count)]
    return [field - (field >> width - 1 << width) * signed for field in fields]


def test_rows_add_up_to_weights_biases_and_initial_potentials():
    net, spec = loaded_spec()
    held = memories(net, spec)
    for index, layer in enumerate(net.layers):
        lanes, capacity = spec.lanes[index], spec.loaded[index]
        rows = spec.fold_rows(net, index)
        table = np.array([numbers(row, 4, lanes) for row in held[2 * index]])
        # (rows of a fold, neurons)
        table = np.hstack(np.split(table, len(table) // rows))
        weights, biases, initial = np.split(table, [layer.n_input,
                                                    layer.n_input + capacity.bias_rows])
        used = layer.n_output
        np.testing.assert_array_equal(weights[:, :used].T, layer.weights)
        np.testing.assert_array_equal(biases.sum(axis=0)[:used], layer.biases)
        np.testing.assert_array_equal(initial.sum(axis=0)[:used],
                                      layer.initial_membranes - layer.thresholds)
        # Lanes without a neuron stay below their threshold.
        assert not weights[:, used:].any()
        assert not biases[:, used:].any()
        assert (initial.sum(axis=0)[used:] == -1).all()


def test_no_part_is_empty():
    net = network()
    spec = replace(AcceleratorSpec((5, 2)).with_loading(net), store_parts=4)
    assert spec.parts(net, 0) == 3      # two lanes each, and one


@pytest.mark.parametrize("parts", [1, 2, 3])
def test_thresholds_lie_in_parts(parts):
    net, spec = loaded_spec(parts)
    held = memories(net, spec)
    for index, layer in enumerate(net.layers):
        lanes, width = spec.lanes[index], spec.loaded[index].threshold
        count = spec.parts(net, index)
        share = -(-lanes // count)
        for neuron, threshold in enumerate(layer.thresholds):
            fold, lane = divmod(neuron, lanes)
            row = held[2 * index + 1][part_row(fold, lane // share, count)]
            stored = numbers(row, width, share, signed=False)[lane % share]
            assert stored == -threshold % 2**width
    output = spec.loaded[-1]
    assert held[-1] == [20 | 10 << output.threshold]


def test_layer_by_layer_has_all_biases_in_the_beginning():
    net = replace(network(), schedule="layer_by_layer")
    spec = AcceleratorSpec((7, 3)).with_loading(net)
    assert [capacity.bias_rows for capacity in spec.loaded] == [0, 0]
    rows = [numbers(row, 4, 7) for row in memories(net, spec)[0]]
    layer = net.layers[0]
    np.testing.assert_array_equal(
        np.sum(rows[layer.n_input:], axis=0),
        layer.initial_membranes - layer.thresholds + 3 * layer.biases)


def test_a_network_that_fits_is_loaded_into_the_same_circuit():
    net, spec = loaded_spec()
    smaller = replace(net, layers=tuple(replace(
        layer, synapses=layer.weights // 2, biases=layer.biases // 2,
        thresholds=np.maximum(layer.thresholds // 2, 1),
        initial_membranes=layer.initial_membranes // 8) for layer in net.layers))
    spec.check(smaller)
    assert load_words(smaller, spec).shape == load_words(net, spec).shape


def test_what_does_not_fit_is_refused():
    net, spec = loaded_spec()
    with pytest.raises(ValueError, match="Layer 0 must fit what was built for its parameters, "
                                         "but it needs"):
        spec.check(network(scale=4))
    wider = replace(net, layers=(replace(net.layers[0], weight_width=5), net.layers[1]))
    with pytest.raises(ValueError, match="it needs 5 weight bits"):
        load_words(wider, spec)


def test_networks_that_cannot_be_loaded_are_refused():
    net = replace(network(), encoder="direct")
    with pytest.raises(ValueError, match="Encoder must be one of lfsr, low_discrepancy, events"):
        AcceleratorSpec((3, 2), 4).with_loading(net).check(net)
    net = network()
    net = replace(net, layers=(replace(net.layers[0], membrane_width=6), net.layers[1]))
    with pytest.raises(ValueError, match="Layer 0 must not saturate where parameters are loaded"):
        AcceleratorSpec((3, 2), 4).with_loading(net).check(net)


def test_layouts_that_cannot_be_are_refused():
    net, spec = loaded_spec()
    with pytest.raises(ValueError, match="Parameters of this layout are built in"):
        load_words(net, replace(spec, loaded=(), store_parts=1))
    with pytest.raises(ValueError, match="block or spram, since parameters are loaded, not logic"):
        replace(spec, memories=("logic", "block")).check(net)
    with pytest.raises(ValueError, match="block or logic, unless parameters are loaded, not spram"):
        AcceleratorSpec((3, 2), memories=("spram", "block")).check(net)
    with pytest.raises(ValueError, match="must be block in a layout for ecp5, not spram"):
        replace(spec, memories=("spram", "block"), family="ecp5").check(net)
    with pytest.raises(TypeError, match="Ports must be a sequence, one a layer, not 2"):
        AcceleratorSpec((3, 2), ports=2)
    with pytest.raises(TypeError, match="Loaded must have a Capacity for layer 0, not 1"):
        AcceleratorSpec((3, 2), loaded=(1, 2))
    with pytest.raises(ValueError, match="Store parts must be 1 unless parameters are loaded"):
        AcceleratorSpec((3, 2), store_parts=2)
    with pytest.raises(ValueError, match="Capacities must be given for 2 layers, not for 1"):
        replace(spec, loaded=spec.loaded[:1])


def test_spram_holds_so_many_rows():
    random = np.random.default_rng(0)
    layer = IntegerLayer(random.integers(-8, 8, (40, 500)), np.zeros(40, int),
                         np.full(40, 30), np.full(40, 15), 4)
    net = IntegerNetwork((layer,), timesteps=2)
    spec = AcceleratorSpec((1,), memories=("spram",), family="ice40").with_loading(net)
    with pytest.raises(ValueError, match="at most 16384 rows of weights in SPRAM, not 20"):
        spec.check(net)


def test_each_row_of_weights_that_is_loaded_has_its_parity():
    net, spec = loaded_spec()
    plain, even = memories(net, spec), memories(net, replace(spec, parity=True))
    for target, place in ((0, 3 * 4), (2, 2 * 4)):
        for with_bit, value in zip(even[target], plain[target], strict=True):
            assert with_bit % 2**place == value
            assert with_bit.bit_count() % 2 == 0
            assert with_bit < 2**(place + 1)
    for target in (1, 3, 4):
        assert even[target] == plain[target]
