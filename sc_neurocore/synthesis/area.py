"""What a mapped netlist is made of, in numbers that can be compared."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

_XC7_LUT_RAMS = {"RAM32X1S": 1, "RAM64X1S": 1, "RAM32X1D": 2, "RAM64X1D": 2, "RAM128X1S": 2,
                 "RAM128X1D": 4, "RAM256X1S": 4, "RAM32M": 4, "RAM64M": 4, "SRL16E": 1,
                 "SRLC16E": 1, "SRLC32E": 1}
"""LUTs that distributed RAM and shift registers take, by cell (UG474, tables 2-3 and 2-8)."""

LUT_RAM_LUTS = {"ecp5": 6, "gowin": 8}
"""LUTs that a RAM of 16 × 4 bits takes. A TRELLIS_DPR16X4 is four LUTs, and its write port takes
the place of two more: nextpnr packs it as four TRELLIS_COMB and two that are blocked. A RAM16SDP4
is four LUTs, and nextpnr leaves the other four of its tile, and its flip-flops, unused."""

CARRY_LUTS = {"ecp5": 2, "gowin": 1}
"""LUTs that are in a CCU2C, and in an ALU."""


@dataclass(frozen=True)
class Area:
    """Cells of a mapped netlist.

    Parameters
    ----------
    luts : int
        LUTs of logic, of any size; of four inputs at most, of six on xc7.
    carries : int
        CCU2C, ALU, SB_CARRY or CARRY4.
    flip_flops : int
    block_rams : int
        DP16KD or BSRAM (18 Kbit), SB_RAM40_4K (4 Kbit), or RAMB18 (18 Kbit; a RAMB36 counts as
        two).
    spram : int
        SB_SPRAM256KA (256 Kbit).
    lut_rams : int
        LUTs that distributed RAM takes, its write ports included.
    multipliers : int
        DSP cells.
    lut_equivalents : int
        LUTs that all logic takes. ECP5: LUT4, two for each CCU2C (which is two LUTs and their
        carries) and six for each TRELLIS_DPR16X4. Gowin: LUTs, one for each ALU (which is a LUT and
        its carry) and eight for each RAM16SDP4. iCE40 and xc7: LUTs and those of distributed
        RAM; a carry sits beside the LUT that uses it.
    """

    luts: int
    carries: int
    flip_flops: int
    block_rams: int
    spram: int
    lut_rams: int
    multipliers: int
    lut_equivalents: int

    def as_dict(self) -> dict[str, int]:
        """All numbers by name."""
        return asdict(self)


def cell_counts(module: Mapping[str, Any]) -> dict[str, int]:
    """Count the cells of a module of a Yosys netlist by type, in alphabetical order."""
    counts: dict[str, int] = {}
    for cell in module["cells"].values():
        if cell["type"] != "$scopeinfo":
            counts[cell["type"]] = counts.get(cell["type"], 0) + 1
    return dict(sorted(counts.items()))


def measure(cells: Mapping[str, int], family: str) -> Area:
    """Area of so many cells by type.

    Raises
    ------
    ValueError
        If a cell is none that this family's netlists are known to consist of: an area that leaves
        something out would look like a good one.
    """
    count = dict.fromkeys(("luts", "carries", "flip_flops", "block_rams", "spram", "lut_rams",
                           "multipliers"), 0)
    for cell, number in cells.items():
        kind, weight = cell_kind(cell, family)
        if kind != "free":
            count[kind] += weight * number
    return Area(**count, lut_equivalents=count["luts"] + count["lut_rams"]
                + CARRY_LUTS.get(family, 0) * count["carries"])


def cell_kind(cell: str, family: str) -> tuple[str, int]:
    """Which number of an area a cell adds to, and how much; ("free", 0) if to none.

    Raises
    ------
    ValueError
        If that is not known.
    """
    kinds = _KINDS[family]
    if cell in kinds:
        return kinds[cell]
    prefix = {"gowin": "DFF", "ice40": "SB_DFF"}.get(family)
    if prefix and cell.startswith(prefix):
        return "flip_flops", 1
    if family == "ice40" and cell.startswith("SB_RAM40_4K"):
        return "block_rams", 1
    raise ValueError(f"Cell {cell} must be one that {family} is known to have, its size unknown")


_KINDS: dict[str, dict[str, tuple[str, int]]] = {
    # PFUMX and L6MUX21 join the outputs of LUTs; they are there, whether used or not, as are pins
    # and PLLs.
    "ecp5": {"LUT4": ("luts", 1), "CCU2C": ("carries", 1), "TRELLIS_FF": ("flip_flops", 1),
             "DP16KD": ("block_rams", 1), "PDPW16KD": ("block_rams", 1),
             "TRELLIS_DPR16X4": ("lut_rams", LUT_RAM_LUTS["ecp5"]),
             "MULT18X18D": ("multipliers", 1),
             **dict.fromkeys(("PFUMX", "L6MUX21", "TRELLIS_IO", "EHXPLLL"), ("free", 0))},
    # The last ones are constants, pins and a PLL.
    "gowin": {**{f"LUT{inputs}": ("luts", 1) for inputs in range(1, 5)}, "ALU": ("carries", 1),
              **dict.fromkeys(("SP", "SPX9", "SDPB", "SDPX9B", "DPB", "DPX9B"), ("block_rams", 1)),
              **{f"RAM16SDP{bits}": ("lut_rams", LUT_RAM_LUTS["gowin"]) for bits in (1, 2, 4)},
              **dict.fromkeys(("MULT9X9", "MULT18X18", "MULT36X36"), ("multipliers", 1)),
              **{f"MUX2_LUT{inputs}": ("free", 0) for inputs in range(5, 9)},
              **dict.fromkeys(("VCC", "GND", "IBUF", "OBUF", "TBUF", "rPLL"), ("free", 0))},
    "ice40": {"SB_LUT4": ("luts", 1), "SB_CARRY": ("carries", 1), "SB_MAC16": ("multipliers", 1),
              "SB_SPRAM256KA": ("spram", 1),
              **dict.fromkeys(("SB_IO", "SB_GB_IO", "SB_PLL40_PAD", "SB_PLL40_CORE"),
                              ("free", 0))},
    # An inverter becomes part of the LUT behind it, or of the pin that it drives.
    "xc7": {**{f"LUT{inputs}": ("luts", 1) for inputs in range(1, 7)}, "CARRY4": ("carries", 1),
            **dict.fromkeys(("FDRE", "FDSE", "FDCE", "FDPE"), ("flip_flops", 1)),
            "RAMB18E1": ("block_rams", 1), "RAMB36E1": ("block_rams", 2),
            "DSP48E1": ("multipliers", 1), "MUXF7": ("free", 0), "MUXF8": ("free", 0),
            "INV": ("free", 0),
            **{name: ("lut_rams", luts) for name, luts in _XC7_LUT_RAMS.items()}},
}
