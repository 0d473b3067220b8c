"""The buffer of frames: bytes of frames that are kept come out once, in order; others never."""

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Assume, Module, Mux, Signal
from test_mutations import Mutation

from sc_neurocore.gateware.frame_buffer import FrameBuffer
from sc_neurocore.protocol import CRC_BYTES

from .harness import (
    Proof,
    helps,
    holds,
    in_range,
    inside,
    is_taken,
    new,
    past,
    signal,
    submodule,
    takes,
    waits,
)

DEPTH = 8


def frames() -> Module:
    """A byte is followed from its write, through the end of its frame, to its transfer."""
    m = new()
    m.submodules.buffer = buffer = FrameBuffer(DEPTH)
    in_range(m, buffer)
    takes(m, buffer.bytes, "bytes")
    closing = past(m, buffer.end, "end")
    written, lost = Signal(range(DEPTH + 1)), Signal()      # of the frame
    queued = Signal(range(DEPTH + 2))       # of frames that were kept
    valid, went = buffer.bytes.valid, is_taken(buffer.bytes)
    room = queued - valid + written < DEPTH
    kept = buffer.end & buffer.keep
    m.d.comb += [buffer.data.eq(AnySeq(8)), buffer.write.eq(AnySeq(1)), buffer.end.eq(AnySeq(1)),
                 buffer.keep.eq(AnySeq(1)),
                 Assume(~(buffer.write | buffer.end) | ~closing),
                 Assume(~(buffer.write & buffer.end)),
                 Assume(~kept | (~buffer.overflow & (buffer.length >= CRC_BYTES)))]
    m.d.sync += queued.eq(queued - went + Mux(kept, written - CRC_BYTES, 0))
    with m.If(buffer.end):
        m.d.sync += [written.eq(0), lost.eq(0)]
    with m.Elif(buffer.write):
        m.d.sync += [written.eq(written + room), lost.eq(lost | ~room)]
    m.d.comb += [Assert(closing | (buffer.length == written)),
                 Assert(closing | (buffer.overflow == lost)),
                 Assert(buffer.empty == (queued == 0)),
                 Assert(buffer.waiting == queued),
                 Assert(~valid | (buffer.last == (queued == 1)))]
    waits(m, (queued != 0) & ~valid, 1)

    # Where it is: at a place in its frame, or behind so many bytes that were kept.
    followed, is_kept = Signal(), Signal()
    place, byte = Signal(range(DEPTH + 1)), Signal(8)
    comes = followed & is_kept & went & (place == 0)
    with m.If(~followed & buffer.write & room & AnySeq(1)):
        m.d.sync += [followed.eq(1), is_kept.eq(0), place.eq(written), byte.eq(buffer.data)]
    with m.Elif(followed & is_kept & went):
        m.d.sync += [place.eq(place - 1), followed.eq(~comes)]
    with m.Elif(followed & ~is_kept & buffer.end):
        m.d.sync += [followed.eq(buffer.keep & (place < written - CRC_BYTES)), is_kept.eq(1),
                     place.eq(queued - went + place)]
    m.d.comb += Assert(~comes | (buffer.bytes.payload == byte))

    module = inside(buffer)
    head, tail, limit = (signal(module, name) for name in ("head", "tail", "kept"))
    row = (Mux(is_kept, head + place - valid, limit + place))[:len(head) - 1]
    helps(m, (limit - head)[:len(head)] == queued - valid, queued - valid + written <= DEPTH,
          ~valid | (queued != 0), signal(module, "closing") == closing,
          Mux(closing, written == 0, (tail - limit)[:len(head)] == written),
          ~followed | (place < Mux(is_kept, queued, written)),
          ~followed | (Mux(is_kept & valid & (place == 0), buffer.bytes.payload,
                           holds(m, submodule(module, "memory"), row)) == byte))
    return m


PROOFS = {
    "frame_buffer": Proof(
        f"FrameBuffer, {DEPTH} bytes", "bytes of kept frames come out once, unchanged, in order, "
        "no others do; what finds no room is told; offers stand", frames,
        (Mutation("frame_buffer.py", "kept.eq(tail - CRC_BYTES)", "kept.eq(tail)"),
         Mutation("frame_buffer.py", "some & (~self.bytes.valid | self.bytes.ready)", "some"),
         Mutation("frame_buffer.py", "write.en.eq(self.write & ~full)", "write.en.eq(self.write)"),
         Mutation("frame_buffer.py", "[tail.eq(kept), self.overflow.eq(0)]", "[tail.eq(kept)]"),
         Mutation("frame_buffer.py", "kept - head + self.bytes.valid", "kept - head")),
        2),
}
