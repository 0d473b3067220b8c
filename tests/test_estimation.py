"""Estimated area against Yosys; ``benchmarks/estimates.py`` does it for many more networks."""

from itertools import pairwise

import numpy as np
import pytest

from sc_neurocore import verilog
from sc_neurocore.estimation import components, estimate, estimate_stage, weight_block_rams
from sc_neurocore.estimation.memories import Choice, choose
from sc_neurocore.network import IntegerLayer, IntegerNetwork
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.synthesis import map_verilog

TOLERANCE = 0.15


def network(*shape: int, weight_width: int = 4, timesteps: int = 4,
            membrane_width: int | None = None, **options) -> IntegerNetwork:
    random = np.random.default_rng(0)
    half = 2 ** (weight_width - 1)
    return IntegerNetwork(tuple(
        IntegerLayer(random.integers(-half, half, (outputs, inputs)),
                     random.integers(-half, half, outputs), np.full(outputs, 2 * half),
                     np.full(outputs, half), weight_width,
                     membrane_width if index < len(shape) - 1 else None)
        for index, (inputs, outputs) in enumerate(pairwise(shape), 1)), timesteps, **options)


@pytest.mark.parametrize(("family", "shape", "lanes", "options"), [
    ("ecp5", (12, 6), (6,), {}),
    ("ecp5", (16, 8, 4), (3, 4), {"encoder": "low_discrepancy", "weight_width": 5}),
    ("gowin", (16, 8, 4), (2, 1), {"weight_width": 5, "membrane_width": 7}),
    pytest.param("ecp5", (20, 16, 4), (16, 4), {"parity": True}, marks=pytest.mark.slow),
    ("ice40", (10, 6, 3), (6, 2), {"encoder": "events"})])
def test_estimates_are_near_yosys(family, shape, lanes, options):
    options = dict(options)
    spec = AcceleratorSpec(lanes, 4, 8, parity=options.pop("parity", False))
    small = network(*shape, **options)
    mapped = map_verilog(verilog.generate(small, spec), verilog.TOP, family).area
    area = estimate(small, spec, family)
    assert area.block_rams == mapped.block_rams
    assert area.lut_rams == mapped.lut_rams
    assert area.flip_flops == pytest.approx(mapped.flip_flops, rel=TOLERANCE)
    assert area.lut_equivalents == pytest.approx(mapped.lut_equivalents, rel=TOLERANCE)


@pytest.mark.parametrize(("rows", "width", "count"), [
    (512, 36, 1), (1024, 18, 1), (2048, 9, 1), (4096, 4, 1), (8192, 2, 1), (16384, 1, 1),
    (784, 512, 29), (300, 37, 2), (128, 40, 2)])
def test_shapes_of_block_rams_leave_the_least_unused(rows, width, count):
    assert choose("ecp5", rows, width, writes=0, wants="block").count == count


def test_small_memories_become_lut_ram_or_logic():
    assert choose("ecp5", 16, 20).kind == "lut"
    assert choose("ecp5", 2048, 12).kind == "block"
    assert [choose(family, 128, 9).kind for family in ("ecp5", "gowin")] == ["block", "lut"]
    assert choose("ice40", 2, 20).kind == "logic"
    assert choose("ice40", 16, 20) == Choice("block", 2, 1, 130)
    assert choose("ice40", 2, 20) == choose("ice40", 2, 20, wants="logic")
    told = choose("ecp5", 2048, 12, wants="logic")
    assert (told.kind, told.count) == ("logic", 0)
    assert told.cost > choose("ecp5", 2048, 12, wants="block").cost


def test_stages_make_the_whole():
    small = network(40, 24, 10)
    spec = AcceleratorSpec((8, 5))
    stages = [estimate_stage(small, spec, "ecp5", stage) for stage in range(3)]
    whole = estimate(small, spec, "ecp5")
    assert sum(stage.flip_flops for stage in stages) == whole.flip_flops
    assert sum(stage.lut_equivalents for stage in stages) == pytest.approx(
        whole.lut_equivalents, abs=3)


def test_narrower_weights_take_fewer_block_rams():
    wide, spec = network(784, 128, 10, weight_width=8), AcceleratorSpec((128, 10))
    assert weight_block_rams(wide, spec, "ecp5") == [57, 3]
    assert weight_block_rams(wide, spec, "ecp5", 4) == [29, 2]
    loaded = AcceleratorSpec((64, 10), family="ecp5").with_loading(wide)
    found = components(wide, loaded, "ecp5")
    assert weight_block_rams(wide, loaded, "ecp5") == [
        found[f"layer_{index}.weights"].block_rams for index in range(2)]


def test_other_families_are_refused():
    with pytest.raises(ValueError, match="Family must be one of ecp5, gowin, ice40, not 'xc7'"):
        estimate(network(8, 4), AcceleratorSpec((4,)), "xc7")
