"""Cells of a part of a circuit, while they are being counted."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Cells:
    """What a part of a circuit consists of.

    Parameters
    ----------
    logic : Counter
        How many things of each kind of `prices.LUTS` there are.
    adders : tuple of int
        Bits of each adder, comparison and counter that has a carry chain.
    flip_flops : int
    block_rams : int
    lut_rams : int
        RAMs of LUTs, of 16 × 4 bits.
    spram : int
    """

    logic: Counter[str] = field(default_factory=Counter)
    adders: tuple[int, ...] = ()
    flip_flops: int = 0
    block_rams: int = 0
    lut_rams: int = 0
    spram: int = 0

    def __add__(self, other: "Cells") -> "Cells":
        return Cells(self.logic + other.logic, self.adders + other.adders,
                     self.flip_flops + other.flip_flops, self.block_rams + other.block_rams,
                     self.lut_rams + other.lut_rams,
                     self.spram + other.spram)


def total(parts: Iterable[Cells]) -> Cells:
    """All of them together."""
    return sum(parts, Cells())
