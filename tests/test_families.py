import pytest

from sc_neurocore.families import BLOCK_RAMS, Shape, reads_at_once, weight_shape


@pytest.mark.parametrize(("rows", "width", "shape"), [
    (784, 512, Shape(1, 1024, (18,) * 28 + (8,))),
    (64, 128, Shape(1, 512, (36, 36, 36, 20))),
    (6272, 64, Shape(1, 8192, (2,) * 32)),          # 28 of 1,024 × 18 would need a multiplexer
    (2100, 64, Shape(3, 1024, (18, 18, 18, 10))),   # 16 of 4,096 × 4
    (16384, 1, Shape(1, 16384, (1,))),
    (16385, 1, Shape(2, 16384, (1,))),
])
def test_weights_fill_block_rams_of_ecp5(rows, width, shape):
    assert weight_shape("ecp5", rows, width) == shape


def test_a_shape_holds_its_memory():
    for family, ram in BLOCK_RAMS.items():
        for rows in (1, 200, 513, 3000, 40000):
            for width in (1, 7, 36, 200):
                shape = weight_shape(family, rows, width)
                assert shape.banks * shape.entries >= rows
                assert sum(shape.columns) == width
                if ram.has_output_register:
                    assert all(shape.entries * column <= 18 * 1024 for column in shape.columns)


@pytest.mark.parametrize("family", ["ice40", "xc7", ""])
def test_families_without_output_registers_are_left_to_yosys(family):
    assert weight_shape(family, 3000, 40) == Shape(1, 3000, (40,))


def test_only_memories_of_luts_are_read_at_once():
    assert [reads_at_once("ecp5", rows) for rows in (1, 16, 17)] == [True, True, False]
    assert not reads_at_once("ice40", 2)
    assert not reads_at_once("", 2)


@pytest.mark.parametrize("family", ["", "ecp5", "gowin", "ice40"])
@pytest.mark.parametrize("ports", [1, 2])
@pytest.mark.parametrize("rows", [2, 700, 3000, 9000, 40000])
def test_parity_is_a_bit_more_in_the_same_banks(family, ports, rows):
    for width in (1, 4, 8, 9, 18, 32, 36, 72, 257):
        plain, shape = (weight_shape(family, rows, width, ports, parity)
                        for parity in (False, True))
        assert (shape.banks, shape.entries) == (plain.banks, plain.entries)
        assert sum(shape.columns) == width + 1
        assert len(shape.columns) - len(plain.columns) in (0, 1)
