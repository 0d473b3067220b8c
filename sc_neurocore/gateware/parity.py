"""Parity of rows of weights: finds rows of which an odd number of bits has changed."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from ..spec import PARITY_PART
from ..timing import PARITY_LATENCY


class ParityCheck(wiring.Component):
    """Checks rows beside what uses them: it reads their register, and nothing waits for it.

    A row is corrupted if the number of its ones, parity bit included, is odd. An even number of
    changed bits is not seen.

    Throughput: a row a cycle. Latency: `timing.PARITY_LATENCY` cycles.

    Parameters
    ----------
    width : int
        Bits of a row, parity included.
    row_width : int
        Bits of its number.
    delay : int
        Cycles after its number in which a row comes.

    Members
    -------
    row : In
        Number of a row that is to be read.
    counts : In
        It matters. With ``row``.
    held : In
        The row, ``delay`` cycles later.
    corrupted : Out
        The row is corrupted.
    corrupted_row : Out
        Its number.
    """

    def __init__(self, width: int, row_width: int, delay: int):
        self._delay = delay
        super().__init__({"row": In(row_width), "counts": In(1), "held": In(width),
                          "corrupted": Out(1), "corrupted_row": Out(row_width)})

    def elaborate(self, platform):
        m = Module()
        row, counts = self.row, self.counts
        for stage in range(self._delay + PARITY_LATENCY):
            later_row = Signal.like(row, name=f"row_{stage}", reset_less=True)
            later_counts = Signal(name=f"counts_{stage}")
            m.d.sync += [later_row.eq(row), later_counts.eq(counts)]
            row, counts = later_row, later_counts
        low_bits = range(0, len(self.held), PARITY_PART)
        odd_parts = Signal(len(low_bits), reset_less=True)
        odd = Signal(reset_less=True)
        m.d.sync += [odd_parts.eq(Cat(self.held[low:low + PARITY_PART].xor() for low in low_bits)),
                     odd.eq(odd_parts.xor())]
        m.d.comb += [self.corrupted.eq(odd & counts), self.corrupted_row.eq(row)]
        return m
