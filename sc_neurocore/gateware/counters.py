"""Counters of several bytes that take few LUTs: their bytes go round in a ring, past one adder."""

from collections.abc import Sequence

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .layouts import index_shape


class Counters(wiring.Component):
    """Counts what is added in each cycle, modulo 2^(8·bytes).

    Latency: a byte includes what was added until the round before, as many cycles ago as there are
    bytes; and any byte comes by within so many cycles.

    Parameters
    ----------
    counters : sequence of (largest, bytes)
        For each counter the most that is added to it in a cycle, and its size.

    Members
    -------
    add_0, add_1, … : In
        What is added to each counter.
    place : Out
        Number of the byte on show, all counters one after another, the lowest byte of each first.
    byte : Out
        The byte.
    """

    def __init__(self, counters: Sequence[tuple[int, int]]):
        self._counters = list(counters)
        self._bytes = sum(size for _, size in counters)
        super().__init__({"place": Out(index_shape(self._bytes)), "byte": Out(8),
                          **{f"add_{index}": In(range(largest + 1))
                             for index, (largest, _) in enumerate(counters)}})

    def elaborate(self, platform):
        m = Module()
        ring = Signal(8 * self._bytes)
        carry = Signal(range(max(largest for largest, _ in self._counters) * self._bytes + 1))
        addend = Signal.like(carry)
        total = Signal(len(carry) + 9)
        m.d.comb += [self.byte.eq(ring[:8]), addend.eq(carry), total.eq(self.byte + addend)]
        m.d.sync += [self.place.eq(Mux(self.place == self._bytes - 1, 0, self.place + 1)),
                     ring.eq(Cat(ring[8:], total[:8])), carry.eq(total[8:])]
        first = 0
        for index, (largest, size) in enumerate(self._counters):
            add = getattr(self, f"add_{index}")
            fresh = Signal(range(largest * self._bytes + 1), name=f"fresh_{index}")
            m.d.sync += fresh.eq(fresh + add)
            with m.If(self.place == first):
                m.d.comb += addend.eq(fresh)
                m.d.sync += fresh.eq(add)
            first += size
        return m
