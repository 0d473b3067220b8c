"""Answers: what is offered stands, and an echo's bytes are sent once, in order."""

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Module, Value
from test_mutations import Mutation

from sc_neurocore.gateware.answers import Answers
from sc_neurocore.protocol import LinkFormat

from .harness import (
    Channel,
    Proof,
    in_range,
    is_taken,
    new,
    offers,
    past,
    takes,
)

FORMAT = LinkFormat(beat_width=6, beats=3, transfers=3, n_output=3, count_width=2, current_width=3)
CONSTANTS = bytes(range(5))


def answers() -> Module:
    """Anything is told at any time."""
    m = new()
    m.submodules.answers = answers = Answers(FORMAT, CONSTANTS, parity=True)
    in_range(m, answers)
    frame, echo = answers.frame, answers.echo
    takes(m, frame, "frame")
    offers(m, Channel(echo.payload, echo.valid, echo.ready), "echo")
    m.d.comb += [Value.cast(port).eq(AnySeq(len(Value.cast(port)))) for port in (
        answers.results.payload, answers.results.valid, answers.again, answers.loaded,
        answers.tell_error, answers.tell_status, answers.tell_echo, answers.tell_loaded,
        answers.number, answers.fault, answers.variables, answers.counter_place,
        answers.counter_byte, answers.echo_last)]
    came = past(m, is_taken(echo), "came")
    byte, last = past(m, echo.payload, "byte"), past(m, answers.echo_last, "last")
    m.d.comb += [Assert(answers.results.ready),
                 Assert(~came | (frame.valid & (frame.payload.data == byte)
                                 & (frame.payload.last == last))),
                 # No byte between this one and those before it is left out.
                 Assert(~(is_taken(echo) & frame.valid))]
    return m


PROOFS = {
    "answers": Proof(
        f"Answers, {FORMAT.n_output} neurons", "offers stand; a byte of an echo is the next one "
        "that is sent; results are always taken", answers,
        (Mutation("answers.py", "with m.If(self.frame.ready):", "with m.If(1):"),
         Mutation("answers.py", "byte.eq(self.echo.payload), last", "byte.eq(byte), last"),
         Mutation("answers.py", "self.results.ready.eq(1)", "self.results.ready.eq(~self.again)"),
         Mutation("answers.py", "self.frame.valid.eq(1)",
                  "[self.frame.valid.eq(1), self.echo.ready.eq(1)]"))),
}
