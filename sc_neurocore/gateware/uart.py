"""UART: bytes over one wire in each direction, a start bit, eight data bits and a stop bit."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

LEAST_DIVISOR = 4
"""Clock cycles a bit; with fewer, a bit's middle could not be told from its edges."""
FRAME_BITS = 10
"""Of a byte: a start bit, eight data bits and a stop bit."""
TOLERANCE = 0.02
"""Part by which a divided clock may miss the baud rate: a fifth of a bit at the end of a byte,
which leaves as much to the other side."""

RECEIVED = data.StructLayout({"data": 8, "error": 1})
"""A received byte. ``error``: its stop bit was missing, or a byte before it was lost."""


def baud_divisor(clock_hz: float, baud: float) -> int:
    """Clock cycles of a bit.

    Raises
    ------
    ValueError
        If the clock is too slow for it, or no divisor comes close enough.
    """
    divisor = round(clock_hz / baud)
    if divisor < LEAST_DIVISOR:
        raise ValueError(f"Baud rate must be at most {clock_hz / LEAST_DIVISOR:g}, "
                         f"{LEAST_DIVISOR} cycles of a clock of {clock_hz:g} Hz, not {baud:g}")
    if abs(clock_hz / divisor / baud - 1) > TOLERANCE:
        raise ValueError(f"Baud rate must be within {TOLERANCE:.0%} of a whole part of the clock, "
                         f"of {clock_hz:g} Hz, not {baud:g}; {clock_hz / divisor:g} is the nearest")
    return divisor


class UartReceiver(wiring.Component):
    """Receives bytes: finds the edge of a start bit, and samples the middle of each bit after it.

    A start bit that is over by its middle is taken for noise. After a missing stop bit the line has
    to be high before the next byte. A byte is lost, and the one after it marked, if the byte before
    it was not taken until its stop bit.

    Latency: a byte is offered 3 cycles after the middle of its stop bit.

    Parameters
    ----------
    divisor : int
        Clock cycles of a bit, at least `LEAST_DIVISOR`.

    Members
    -------
    rx : In
        The line, not in step with the clock.
    bytes : Out, stream of `RECEIVED`
        The bytes; those with an error too.
    """

    def __init__(self, divisor: int):
        self._divisor = _checked(divisor)
        super().__init__({"rx": In(1, init=1), "bytes": Out(stream.Signature(RECEIVED))})

    def elaborate(self, platform):
        m = Module()
        first = Signal(init=1)
        line = Signal(init=1)
        before = Signal(init=1)
        m.d.sync += [first.eq(self.rx), line.eq(first), before.eq(line)]

        wait = Signal(range(self._divisor))
        bit = Signal(range(10))
        busy = Signal()
        byte = Signal(8)
        lost = Signal()
        with m.If(self.bytes.ready):
            m.d.sync += self.bytes.valid.eq(0)
        with m.If(~busy):
            # The cycle after an edge is the second of the bit.
            m.d.sync += [busy.eq(before & ~line), wait.eq(self._divisor // 2 - 1), bit.eq(0)]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [wait.eq(self._divisor - 1), bit.eq(bit + 1)]
            with m.If(bit == 0):
                m.d.sync += busy.eq(~line)
            with m.Elif(bit < 9):
                m.d.sync += byte.eq(Cat(byte[1:], line))
            with m.Else():
                m.d.sync += busy.eq(0)
                with m.If(~self.bytes.valid | self.bytes.ready):
                    m.d.sync += [self.bytes.valid.eq(1), self.bytes.payload.data.eq(byte),
                                 self.bytes.payload.error.eq(lost | ~line), lost.eq(0)]
                with m.Else():
                    m.d.sync += lost.eq(1)
        return m


class UartTransmitter(wiring.Component):
    """Sends bytes.

    Throughput: a byte in 10·``divisor`` cycles. Latency: its start bit begins in the cycle after
    the transfer.

    Parameters
    ----------
    divisor : int
        Clock cycles of a bit, at least `LEAST_DIVISOR`.

    Members
    -------
    bytes : In, stream of 8 bits
        What is sent.
    tx : Out
        The line.
    """

    def __init__(self, divisor: int):
        self._divisor = _checked(divisor)
        super().__init__({"bytes": In(stream.Signature(8)), "tx": Out(1, init=1)})

    def elaborate(self, platform):
        m = Module()
        wait = Signal(range(self._divisor))
        left = Signal(range(10))
        rest = Signal(9, init=2**9 - 1)
        done = Signal()
        m.d.comb += [done.eq((wait == 0) & (left == 0)), self.bytes.ready.eq(done)]
        with m.If(done):
            with m.If(self.bytes.valid):
                m.d.sync += [self.tx.eq(0), rest.eq(Cat(self.bytes.payload, C(1, 1))),
                             left.eq(9), wait.eq(self._divisor - 1)]
        with m.Elif(wait != 0):
            m.d.sync += wait.eq(wait - 1)
        with m.Else():
            m.d.sync += [self.tx.eq(rest[0]), rest.eq(Cat(rest[1:], C(1, 1))),
                         left.eq(left - 1), wait.eq(self._divisor - 1)]
        return m


def _checked(divisor: int) -> int:
    if divisor < LEAST_DIVISOR:
        raise ValueError(f"Divisor must be at least {LEAST_DIVISOR}, not {divisor}")
    return divisor
