"""A watchdog: notices that what should go on has stopped."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2


class Watchdog(wiring.Component):
    """Expires when something is under way and nothing has moved for too long.

    Latency: it expires in the cycle after ``limit`` cycles without a move.

    Parameters
    ----------
    limit : int
        Cycles without a move that are nothing out of the ordinary, and one more.

    Members
    -------
    working : In
        Something is under way.
    moves : In
        It goes on.
    expired : Out
        For a cycle: it has stopped.
    """

    working: In(1)
    moves: In(1)
    expired: Out(1)

    def __init__(self, limit: int):
        self._limit = limit
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        # It begins with what makes it end in a carry, which takes no comparison.
        width = ceil_log2(self._limit)
        timer = Signal(width + 1, init=2**width - self._limit)
        m.d.comb += self.expired.eq(timer[-1])
        with m.If(~self.working | self.moves | self.expired):
            m.d.sync += timer.eq(timer.init)
        with m.Else():
            m.d.sync += timer.eq(timer + 1)
        return m
