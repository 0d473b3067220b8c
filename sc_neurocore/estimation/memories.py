"""What Yosys makes a memory of, and how many of them: its own choice, by its own costs.

A memory of so many rows and bits may become block RAM, LUT RAM or plain logic. Yosys takes what is
cheapest by the costs that its description of a family has (``techlibs/lattice``,
``techlibs/gowin`` and ``techlibs/ice40`` of Yosys 0.70, and ``passes/memory/memory_libmap.cc``); so
does this.
"""

from dataclasses import dataclass

_SELECT = 0.5
"""Cost of a bit of a multiplexer or of a decoder between several RAMs."""
_LOGIC_RAM, _LOGIC_ROM = 1.0, 1 / 16
"""Cost of a bit of a memory that becomes logic."""
_PORT = 2.0
"""Cost of a read port that is not a write port as well."""


@dataclass(frozen=True)
class Ram:
    """A kind of RAM of a family.

    It has ``1 << address_bits`` entries of ``widths[0]`` bits, or fewer and wider ones. A write
    enable covers ``byte`` bits, or the whole width if that is less. ``scales``: one of which only
    some bits are used costs less.
    """

    name: str
    address_bits: int
    widths: tuple[int, ...]
    byte: int
    cost: float
    scales: bool = False


_DP16KD = Ram("block", 14, (1, 2, 4, 9, 18, 36), 9, 128)
_DPR16X4 = Ram("lut", 4, (4,), 4, 4)
_RAM16SDP4 = Ram("lut", 4, (4,), 4, 4, scales=True)
_RAM40 = Ram("block", 11, (2, 4, 8, 16), 1, 64)
RAMS = {"ecp5": (_DP16KD, _DPR16X4), "gowin": (_DP16KD, _RAM16SDP4), "ice40": (_RAM40,)}
"""By family; Gowin's BSRAM has the shapes and the cost of a DP16KD. Where a family has none that
suits, a memory is logic."""


@dataclass(frozen=True)
class Choice:
    """``count`` RAMs of a kind, in ``banks`` that share the addresses; or logic.

    A bank is one RAM or several side by side, of which the address selects one bank.
    """

    kind: str
    count: int
    banks: int
    cost: float


def ram_choice(ram: Ram, rows: int, width: int, writes: int) -> Choice:
    """The cheapest way to make a memory of so many rows of these RAMs.

    ``writes`` is the number of parts of a row that are written apart from each other, of one width;
    0 for a memory that is only read.
    """
    best = None
    for shift, unit in enumerate(ram.widths):
        entries = 1 << ram.address_bits - shift
        banks = -(-rows // entries)
        padded = width
        if writes:      # each part begins with a byte of its own
            byte = min(ram.byte, unit)
            padded = writes * (-(-(width // writes) // byte) * byte)
        count = -(-banks * padded // unit)
        used = banks * width / unit if ram.scales else count
        cost = (ram.cost * used + _SELECT * (banks - 1) * width + _PORT
                + (_SELECT * banks * writes if banks > 1 else 0))
        if best is None or cost < best.cost:
            best = Choice(ram.name, count, banks, cost)
    assert best is not None
    return best


def choose(family: str, rows: int, width: int, *, writes: int = 1, wants: str = "") -> Choice:
    """What a memory with one read port becomes.

    Parameters
    ----------
    writes : int
        As for `ram_choice`.
    wants : "", "block" or "logic"
        What it is told to be.
    """
    logic = Choice("logic", 0, 1, rows * width * (_LOGIC_RAM if writes else _LOGIC_ROM))
    if wants == "logic":
        return logic
    choices = [ram_choice(ram, rows, width, writes) for ram in RAMS[family]
               if not wants or ram.name == wants]
    return min([*choices, *([] if wants else [logic])], key=lambda choice: choice.cost)
