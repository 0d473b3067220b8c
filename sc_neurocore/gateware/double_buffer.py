"""Bookkeeping of two buffers, of which one is filled while the other is drained."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out


class DoubleBuffer(wiring.Component):
    """Tells the writer and the reader of a memory of two halves which half is theirs, and when.

    Latency: a half that is filled may be drained a cycle later, and the other way round.

    Members
    -------
    fill : Out
        The half to be filled.
    can_fill : Out
        It is empty.
    filled : In
        Its last entry is being written in this cycle. Only while ``can_fill``.
    drain : Out
        The half to be drained.
    can_drain : Out
        It is full.
    drained : In
        Its last entry is being read in this cycle. Only while ``can_drain``.
    """

    fill: Out(1)
    can_fill: Out(1)
    filled: In(1)
    drain: Out(1)
    can_drain: Out(1)
    drained: In(1)

    def elaborate(self, platform):
        m = Module()
        full = Signal(2)
        m.d.comb += [self.can_fill.eq(~full.bit_select(self.fill, 1)),
                     self.can_drain.eq(full.bit_select(self.drain, 1))]
        with m.If(self.filled):
            m.d.sync += [full.bit_select(self.fill, 1).eq(1), self.fill.eq(~self.fill)]
        with m.If(self.drained):
            m.d.sync += [full.bit_select(self.drain, 1).eq(0), self.drain.eq(~self.drain)]
        return m
