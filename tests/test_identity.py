"""What a bitstream is of: every property of a network, and no other."""

from dataclasses import replace

import numpy as np
import pytest

from sc_neurocore.identity import layout_hash, parameters_crc32, shape_hash
from sc_neurocore.network import IntegerLayer, IntegerNetwork
from sc_neurocore.spec import AcceleratorSpec

HIDDEN = IntegerLayer(np.arange(24).reshape(4, 6) - 12, [1, 2, 3, 4], [5, 6, 7, 8], [1, 2, 3, 4])
OUTPUT = IntegerLayer(np.arange(12).reshape(3, 4) - 6, [0, 1, 2], [9, 9, 9], [4, 4, 4])
NETWORK = IntegerNetwork((HIDDEN, OUTPUT), 5)


def changed(weights):
    return replace(NETWORK, layers=(HIDDEN, replace(OUTPUT, synapses=weights)))


@pytest.mark.parametrize("other", [
    replace(NETWORK, timesteps=6), replace(NETWORK, intensity_width=7),
    replace(NETWORK, encoder="direct"), replace(NETWORK, seed=2),
    replace(NETWORK, schedule="layer_by_layer"),
    replace(NETWORK, layers=(replace(HIDDEN, weight_width=9), OUTPUT)),
    replace(NETWORK, layers=(replace(HIDDEN, membrane_width=9), OUTPUT)),
    replace(NETWORK, layers=(OUTPUT,)),
])
def test_the_shape_is_all_but_parameters(other):
    assert shape_hash(other) != shape_hash(NETWORK)


@pytest.mark.parametrize("other", [
    replace(NETWORK, layers=(replace(HIDDEN, synapses=HIDDEN.weights[::-1]), OUTPUT)),
    replace(NETWORK, layers=(replace(HIDDEN, biases=[1, 2, 3, 5]), OUTPUT)),
    replace(NETWORK, layers=(replace(HIDDEN, thresholds=[5, 6, 7, 9]), OUTPUT)),
    replace(NETWORK, layers=(replace(HIDDEN, initial_membranes=[1, 2, 3, 3]), OUTPUT)),
])
def test_parameters_are_all_but_the_shape(other):
    assert shape_hash(other) == shape_hash(NETWORK)
    assert parameters_crc32(other) != parameters_crc32(NETWORK)


def test_the_seed_matters_only_where_there_is_an_lfsr():
    direct = replace(NETWORK, encoder="direct")
    assert shape_hash(replace(direct, seed=9)) == shape_hash(direct)


def test_they_are_the_same_tomorrow():
    assert (shape_hash(NETWORK), parameters_crc32(NETWORK)) == (2646931988, 3863703740)


def test_the_layout_is_one_of_its_own():
    assert layout_hash(AcceleratorSpec((4, 3))) != layout_hash(AcceleratorSpec((4, 2)))
    assert layout_hash(AcceleratorSpec((4, 3))) == layout_hash(AcceleratorSpec((4, 3), 8, 16))


def test_parity_is_part_of_the_layout_where_there_is_any():
    plain = AcceleratorSpec((4, 3))
    assert layout_hash(plain) == 1895608016, "that of bitstreams from before there was parity"
    assert layout_hash(replace(plain, parity=True)) != layout_hash(plain)
