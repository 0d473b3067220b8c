"""The double buffer: halves are filled and drained in turn, none while it is the other's."""

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Module, Mux, Signal
from test_mutations import Mutation

from sc_neurocore.gateware.double_buffer import DoubleBuffer

from .harness import Proof, helps, inside, new, signal


def turns() -> Module:
    """What is filled and what is drained is known from how often either was done."""
    m = new()
    m.submodules.halves = halves = DoubleBuffer()
    m.d.comb += [halves.filled.eq(AnySeq(1) & halves.can_fill),
                 halves.drained.eq(AnySeq(1) & halves.can_drain)]

    filled, drained = Signal(2), Signal(2)      # how often so far, modulo 4
    held = (filled - drained)[:2]
    m.d.sync += [filled.eq(filled + halves.filled), drained.eq(drained + halves.drained)]
    m.d.comb += [Assert(held <= 2), Assert(halves.can_fill == (held < 2)),
                 Assert(halves.can_drain == (held > 0)), Assert(halves.fill == filled[0]),
                 Assert(halves.drain == drained[0])]
    full_halves(m, halves, filled, drained)
    return m


def full_halves(m: Module, halves: DoubleBuffer, filled: Signal, drained: Signal):
    """Help: which halves are full, if so many were filled and drained, modulo 4."""
    held = (filled - drained)[:2]
    helps(m, signal(inside(halves), "full") == Mux(held == 2, 0b11, held[0] << drained[0]),
          halves.fill == filled[0], halves.drain == drained[0], held <= 2)


PROOFS = {
    "double_buffer_turns": Proof(
        "DoubleBuffer", "halves are filled and drained in turn, none is both, none is lost", turns,
        (Mutation("double_buffer.py", "self.can_fill.eq(~full.bit_select(self.fill, 1))",
                  "self.can_fill.eq(1)"),
         Mutation("double_buffer.py", "self.drain.eq(~self.drain)", "self.drain.eq(self.drain)"))),
}
