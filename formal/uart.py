"""The UART: what one end sends is what the other end receives, byte by byte.

The line is that of the transmitter, so both have the same clock; by how much they may differ is a
matter of co-simulation.
"""

from amaranth.hdl import Array, Assert, Assume, Cat, Const, Module, Mux, Signal, Value
from test_mutations import Mutation

from sc_neurocore.gateware.uart import (
    FRAME_BITS,
    LEAST_DIVISOR,
    UartReceiver,
    UartTransmitter,
)

from . import harness
from .harness import Proof, helps, inside, is_taken, new, offers, signal, takes

DIVISOR = LEAST_DIVISOR
BYTE_CYC = FRAME_BITS * DIVISOR
DELAY = 3
"""Cycles from the line to where the receiver sees an edge."""
SAMPLED = 2 + 9 * DIVISOR
"""Cycle of the receiver, from its edge on, in which it samples the stop bit."""


def line() -> Module:
    """A transmitter, and a receiver whose bytes wait as long as they like."""
    m = new()
    m.submodules.transmitter = transmitter = UartTransmitter(DIVISOR)
    m.submodules.receiver = receiver = UartReceiver(DIVISOR)
    m.d.comb += receiver.rx.eq(transmitter.tx)
    offers(m, transmitter.bytes, "sent")
    if harness.REFUTING is not None:        # a search is much shorter if bytes follow each other
        m.d.comb += Assume(transmitter.bytes.valid)
    takes(m, receiver.bytes, "received")

    # ``age``: cycle of the byte on the line, from 1 on; 0 if there is none.
    age, byte = Signal(range(BYTE_CYC + 1)), Signal(8)
    came = is_taken(transmitter.bytes)
    with m.If(came):
        m.d.sync += [age.eq(1), byte.eq(transmitter.bytes.payload)]
    with m.Elif(age != 0):
        m.d.sync += age.eq(Mux(age == BYTE_CYC, 0, age + 1))
    frame = Cat(Const(0, 1), byte, Const(1, 1))
    m.d.comb += [Assert(transmitter.bytes.ready == ((age == 0) | (age == BYTE_CYC))),
                 Assert(transmitter.tx == at(frame, age))]

    # The same for what is heard, and what is there to be taken of it.
    heard, coming = Signal(range(SAMPLED + 1)), Signal(8)
    with m.If(age == DELAY):
        m.d.sync += [heard.eq(1), coming.eq(byte)]
    with m.Elif(heard != 0):
        m.d.sync += heard.eq(Mux(heard == SAMPLED, 0, heard + 1))
    there, kept, lost, marked = Signal(), Signal(8), Signal(), Signal()
    received = receiver.bytes
    with m.If(received.ready):
        m.d.sync += there.eq(0)
    with m.If(heard == SAMPLED):
        with m.If(there & ~received.ready):
            m.d.sync += lost.eq(1)
        with m.Else():
            m.d.sync += [there.eq(1), kept.eq(coming), marked.eq(lost), lost.eq(0)]
    m.d.comb += [Assert(received.valid == there),
                 Assert(~there | (received.payload.data == kept)),
                 Assert(~there | (received.payload.error == marked))]

    sends, hears = inside(transmitter), inside(receiver)
    before = age - 1
    number = before[:6] // DIVISOR
    high = Const(2**FRAME_BITS - 1, FRAME_BITS)
    helps(m, age <= BYTE_CYC, heard <= SAMPLED,
          signal(sends, "wait") == Mux(age == 0, 0, DIVISOR - 1 - before[:6] % DIVISOR),
          signal(sends, "left") == Mux(age == 0, 0, FRAME_BITS - 1 - number),
          (age == 0) | (signal(sends, "rest") == (Cat(byte, high) >> number)[:9]))
    for delay, name in enumerate(("first", "line", "before"), 1):
        helps(m, signal(hears, name) == Mux(age > delay, at(frame, (age - delay)[:6]), 1))
    bit = Array([0, 0, 0, *(1 + cycle // DIVISOR for cycle in range(SAMPLED - 2))])[heard]
    wait = Array([0, DIVISOR // 2 - 1, 0, *(DIVISOR - 1 - cycle % DIVISOR
                                            for cycle in range(SAMPLED - 2))])[heard]
    sampled = Mux(bit == 0, 0, bit - 1)[:4]
    helps(m, signal(hears, "busy") == (heard != 0), signal(hears, "lost") == lost,
          (heard == 0) | ((signal(hears, "bit") == bit) & (signal(hears, "wait") == wait)),
          (heard == 0) | ((signal(hears, "byte") >> (8 - sampled)[:4])
                          == (coming & ((1 << sampled) - 1))),
          # Between the two there is the delay alone.
          Mux(heard == 0, (age <= DELAY) | (age > SAMPLED + DELAY),
              Mux(heard + DELAY > BYTE_CYC, age <= heard + DELAY - BYTE_CYC,
                  (age == heard + DELAY) & (coming == byte))))
    return m


def at(frame: Value, age: Value) -> Value:
    """The line in a cycle of a byte; it is high where there is none."""
    return Mux(age == 0, 1, frame.bit_select((age - 1)[:6] // DIVISOR, 1))


PROOFS = {
    "uart": Proof(
        f"UartTransmitter and UartReceiver, {DIVISOR} cycles a bit", "every byte that is sent is "
        "received, unchanged, or its loss is told with the next one; offers stand", line,
        (Mutation("uart.py", "wait.eq(self._divisor // 2 - 1)", "wait.eq(self._divisor - 1)"),
         Mutation("uart.py", "byte.eq(Cat(byte[1:], line))", "byte.eq(Cat(line, byte[:-1]))"),
         Mutation("uart.py", "with m.If(~self.bytes.valid | self.bytes.ready):", "with m.If(1):"),
         Mutation("uart.py", "self.bytes.payload.error.eq(lost | ~line)",
                  "self.bytes.payload.error.eq(~line)"),
         Mutation("uart.py", "done.eq((wait == 0) & (left == 0))", "done.eq(left == 0)"),
         Mutation("uart.py", "self.tx.eq(rest[0])", "self.tx.eq(~rest[0])")),
        horizon=130, further=0),
}
