"""The link: it uses its parts only as their own harnesses assume.

Whatever comes from the line, and however long images, words and answers wait. A search for a
violation goes along frames that are written down here, since the solver would have to find their
CRCs.
"""

from zlib import crc32

from amaranth.asserts import AnySeq
from amaranth.hdl import Array, Assert, Assume, Module, Mux, Signal, Value
from amaranth.lib import data
from test_mutations import Mutation

from sc_neurocore.gateware.link import Link, Use
from sc_neurocore.protocol import (
    CONSTANTS,
    CRC_BYTES,
    FLAG,
    Command,
    Frame,
    LinkFormat,
    encode,
)

from . import harness
from .harness import Proof, helps, inside, new, offers, past, signal, stands, submodule

ADDRESS_BITS = 5


class SmallFormat(LinkFormat):
    """Images of one byte, and a buffer that is soon full; a block RAM is never so small."""

    buffer_bytes = 16


FORMAT = SmallFormat(beat_width=4, beats=2, transfers=1, n_output=2, count_width=2, current_width=3)


def uses() -> Module:
    """Frames from the line, and all that waits for somebody at any time."""
    m = new()
    load = data.StructLayout({"address": ADDRESS_BITS, "data": 16})
    m.submodules.link = link = Link(FORMAT, bytes(sum(CONSTANTS.values())), load=load)
    buffer, images, words, answers = (
        submodule(inside(link), name) for name in ("buffer", "images", "words", "answers"))
    offers(m, link.received, "received")
    if harness.REFUTING is not None:
        goes_along(m, link.received, FAULTS[harness.REFUTING])
    m.d.comb += [Value.cast(port).eq(AnySeq(len(Value.cast(port)))) for port in (
        link.sent.ready, link.transfers.ready, link.load.ready, link.results.payload,
        link.results.valid, link.input_events, link.hidden_events, link.restarted, link.restarts)]
    # As accelerator.py has proved of one image; the link tells it if it is not so.
    m.d.comb += Assume(~link.results.valid | link.computes)

    module = inside(link)
    astray, owed, use = (signal(module, name) for name in ("astray", "owed", "use"))
    kept, closing = buffer.end & buffer.keep, past(m, buffer.end, "end")
    m.d.comb += [Assert(~(buffer.write & buffer.end)),
                 Assert(~closing | ~(buffer.write | buffer.end)),
                 Assert(~kept | ~buffer.overflow),
                 Assert(~kept | (buffer.length >= CRC_BYTES)),
                 Assert(~(words.restart & words.bytes.valid)),
                 Assert(~astray)]
    head, tail, limit = (signal(inside(buffer), name) for name in ("head", "tail", "kept"))
    helps(m, ~images.begun, (limit - head)[:len(head)] <= (tail - head)[:len(head)],
          (tail - head)[:len(head)] <= FORMAT.buffer_bytes,
          owed == Mux(use == Use.IMAGES, buffer.waiting, 0))
    stands(m, images.bytes, "image")
    stands(m, words.bytes, "words")
    stands(m, answers.echo, "echo")
    return m


def goes_along(m: Module, received, line: bytes):
    """Let the line bring these bytes, one after another, and then nothing."""
    number = Signal(range(len(line) + 1))
    m.d.sync += number.eq(number + (received.valid & received.ready))
    m.d.comb += Assume(Mux(number == len(line), ~received.valid, received.valid & (
        received.payload.data == Array(line)[number]) & ~received.payload.error))


def frames(*contents: tuple[Command, bytes]) -> bytes:
    """The line's bytes of commands, numbered from 0 on."""
    return b"".join(encode(Frame(kind, number, content))
                    for number, (kind, content) in enumerate(contents))


ECHO, IMAGE, LOAD = (Command.ECHO, b"\1"), (Command.RUN, b"\1"), (Command.LOAD, bytes(10))
LONG_ECHO = (Command.ECHO, bytes(FORMAT.buffer_bytes - CRC_BYTES + 1))
NO_NUMBER = bytes([Command.ECHO])
FLAGS = bytes([FLAG, FLAG])
FAULTS = {
    # An echo that is five bytes with its CRC: the buffer gets three of them.
    Mutation("link.py", "receiver.good & (buffer.length >= CRC_BYTES)", "receiver.good"):
        FLAGS + NO_NUMBER + crc32(NO_NUMBER).to_bytes(CRC_BYTES, "little") + FLAGS,
    Mutation("link.py", "~known.is_empty & ~buffer.overflow", "~known.is_empty"):
        frames(LONG_ECHO),
    Mutation("link.py", "buffer.end.eq(ends)", "buffer.end.eq(ends | buffer.write)"): frames(ECHO),
    Mutation("framing.py", "begun.eq(~is_flag)", "begun.eq(1)"): FLAGS + FLAGS,
    Mutation("link.py", "parameters, readers[Use.LOAD] =", "parameters, readers[Use.ECHO] ="):
        frames(ECHO),
    Mutation("link.py", "buffer.empty & (use != Use.IMAGES)", "buffer.last & (use != Use.IMAGES)"):
        frames(LOAD),
    Mutation("link.py", "known.is_idle & ~known.is_empty", "~known.is_empty"): frames(IMAGE, ECHO),
    Mutation("frame_buffer.py", "fetch | (self.bytes.valid & ~self.bytes.ready)", "fetch"):
        frames(ECHO),
    Mutation("link.py", "Mux(kept, size, -size)", "Mux(kept, size + 1, -size)"): frames(IMAGE),
    Mutation("link.py", "with m.If(finished):", "with m.If(finished | refused):"):
        frames(ECHO) + NO_NUMBER + FLAGS,
}
"""Faults, and the bytes from the line that lead to a violation."""
PROOFS = {
    "link": Proof(
        "Link", "its parts are used as their own harnesses assume: the buffer gets no byte with or "
        "just after the end of a frame, and keeps none that is shorter than its CRC or found no "
        "room; before an image it holds as many bytes as are owed; offers stand",
        uses, tuple(FAULTS), 3, horizon=160, further=0),
}
