"""Areas of cell counts, worked out by hand."""

import pytest

from sc_neurocore.synthesis.area import Area, cell_counts, measure


def test_ecp5_counts_carries_and_distributed_ram_as_luts():
    assert measure({"CCU2C": 3, "DP16KD": 2, "L6MUX21": 1, "LUT4": 10, "MULT18X18D": 1, "PFUMX": 2,
                    "TRELLIS_DPR16X4": 2, "TRELLIS_FF": 7}, "ecp5") == Area(
        luts=10, carries=3, flip_flops=7, block_rams=2, spram=0, lut_rams=12, multipliers=1,
        lut_equivalents=28)


def test_ice40_has_many_kinds_of_flip_flops():
    area = measure({"SB_CARRY": 3, "SB_DFF": 1, "SB_DFFESR": 2, "SB_DFFNE": 4, "SB_LUT4": 5,
                    "SB_RAM40_4K": 6, "SB_RAM40_4KNR": 1, "SB_SPRAM256KA": 2}, "ice40")
    assert (area.flip_flops, area.block_rams, area.spram, area.lut_equivalents) == (7, 7, 2, 5)


def test_gowin_counts_carries_and_whole_tiles_of_distributed_ram():
    area = measure({"ALU": 3, "DFF": 1, "DFFSE": 2, "GND": 1, "LUT1": 4, "LUT4": 5, "MUX2_LUT5": 6,
                    "RAM16SDP2": 1, "RAM16SDP4": 1, "SDPX9B": 2, "SPX9": 1, "rPLL": 1}, "gowin")
    assert area == Area(luts=9, carries=3, flip_flops=3, block_rams=3, spram=0, lut_rams=16,
                        multipliers=0, lut_equivalents=28)


def test_xc7_counts_block_rams_in_halves():
    area = measure({"CARRY4": 2, "FDRE": 3, "FDSE": 1, "INV": 1, "LUT2": 4, "LUT6": 5, "MUXF7": 1,
                    "RAM32M": 2, "RAMB18E1": 1, "RAMB36E1": 2}, "xc7")
    assert (area.luts, area.flip_flops, area.block_rams, area.lut_equivalents) == (9, 4, 5, 17)


def test_a_cell_that_is_not_known_is_refused():
    with pytest.raises(ValueError, match="Cell DLLDELD must be one that ecp5 is known to have"):
        measure({"DLLDELD": 1}, "ecp5")


def test_cells_are_counted_in_order_and_scopes_are_none():
    cells = {str(index): {"type": kind} for index, kind in
             enumerate(["LUT4", "CCU2C", "$scopeinfo", "LUT4"])}
    assert list(cell_counts({"cells": cells}).items()) == [("CCU2C", 1), ("LUT4", 2)]
