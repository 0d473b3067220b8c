"""Families of FPGAs, as far as the gateware knows them: the shapes of their block RAMs."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class BlockRam:
    """``1 << address_bits`` entries of ``widths[0]`` bits, or fewer and wider ones.

    Each of ``widths`` halves the entries once more. ``has_output_register``: data may pass a
    register of its own on their way out. ``widest_with_two_ports``: the widest in which it can be
    read twice a cycle; 0 if it can't.
    """

    address_bits: int
    widths: tuple[int, ...]
    has_output_register: bool
    widest_with_two_ports: int


@dataclass(frozen=True)
class Shape:
    """How a memory is put together: ``banks`` of ``entries`` rows, each of ``columns`` bits."""

    banks: int
    entries: int
    columns: tuple[int, ...]

    @property
    def count(self) -> int:
        """Memories that it consists of."""
        return self.banks * len(self.columns)


BLOCK_RAMS = {
    "ecp5": BlockRam(14, (1, 2, 4, 9, 18, 36), True, 18),
    "gowin": BlockRam(14, (1, 2, 4, 9, 18, 36), True, 18),
    "ice40": BlockRam(11, (2, 4, 8, 16), False, 0),
}
"""DP16KD, BSRAM and SB_RAM40."""
FAMILIES = (*BLOCK_RAMS, "xc7")
"""Those that a layout can be for; of the last, memories are left to Yosys."""
BANKS_SAVE = 1.25
"""Banks are made only where one bank would take so many times as many block RAMs."""

LUT_RAM_ROWS = {"ecp5": 16, "gowin": 16, "xc7": 32}
"""Rows of a memory that is made of one row of LUTs: TRELLIS_DPR16X4, RAM16SDP4, RAM32M."""

SPRAM_ROWS = 1 << 14
"""Rows of 16 bits of an SPRAM of the iCE40UP5K."""


def reads_at_once(family: str, rows: int) -> bool:
    """Whether a memory of so few rows is made of LUTs, which need no register of what is read."""
    return rows <= LUT_RAM_ROWS.get(family, 0)


def loaded_shape(family: str, rows: int, width: int, word: int) -> Shape:
    """The same for a memory that is written word by word: no column reaches into two words."""
    unit = word
    ram = BLOCK_RAMS.get(family)
    if ram is not None and ram.has_output_register:
        fitting = [1 << each.bit_length() - 1 for shift, each in enumerate(ram.widths)
                   if rows <= 1 << ram.address_bits - shift]
        unit = min(word, max(fitting, default=word))
    columns = []
    for low in range(0, width, word):
        left = min(word, width - low)
        while left:
            columns.append(min(unit, left))
            left -= columns[-1]
    return Shape(1, rows, tuple(columns))


def weight_shape(family: str, rows: int, width: int, ports: int = 1, parity: bool = False
                 ) -> Shape:
    """Choose how so many rows of weights are put together of a family's block RAMs.

    One bank, each column of which is a block RAM, needs no multiplexer, and its output registers
    are those of the block RAMs. Where wider and lower banks waste much less, several banks.

    Parameters
    ----------
    family : str
        One of `BLOCK_RAMS`; of any other, and of one without output registers, it is one memory,
        for Yosys to put together.
    rows, width : int
    ports : 1 or 2
        Rows that are read in a cycle.
    parity : bool
        Each row has a bit more, for which there are no other banks: they would take a cycle.
    """
    ram = BLOCK_RAMS.get(family)
    if ram is None or not ram.has_output_register:
        return Shape(1, rows, (width + parity,))
    shapes = []
    for shift, unit in enumerate(ram.widths):
        if ports == 2 and unit > ram.widest_with_two_ports:
            continue
        entries = 1 << ram.address_bits - shift
        shapes.append((Shape(-(-rows // entries), entries, _columns(width, unit)),
                       _columns(width + parity, unit)))
    fewest = min(shape.count for shape, _ in shapes)
    shape, columns = min(((shape, columns) for shape, columns in shapes
                          if shape.count <= BANKS_SAVE * fewest),
                         key=lambda each: (each[0].banks, each[0].count))
    return replace(shape, columns=columns)


def _columns(width: int, unit: int) -> tuple[int, ...]:
    whole, rest = divmod(width, unit)
    return (unit,) * whole + (rest,) * (rest > 0)
