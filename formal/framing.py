"""Frames: bytes between flags, escaped, with a CRC at their end; in both directions."""

from itertools import accumulate

from amaranth.hdl import Array, Assert, Module, Mux, Signal, Value
from test_mutations import Mutation

from sc_neurocore.gateware.framing import FrameReceiver, FrameTransmitter
from sc_neurocore.protocol import (
    CRC_BYTES,
    CRC_POLYNOMIAL,
    CRC_RESIDUE,
    ESCAPE,
    ESCAPE_BIT,
    FLAG,
)

from .harness import (
    Proof,
    helps,
    inside,
    is_in,
    is_taken,
    new,
    offers,
    signal,
    submodule,
    takes,
    waits,
)

BEGIN = 2**32 - 1
"""The CRC's register before the first bit."""


def after_bits(register: Value, byte: Value) -> list[Value]:
    """The CRC's register after none, one, … and all bits of a byte, as RFC 1662 defines it."""
    return list(accumulate(byte, lambda crc, bit: (
        crc[1:] ^ Mux(crc[0] ^ bit, CRC_POLYNOMIAL, 0))[:32], initial=register))


def receiver() -> Module:
    """Bytes of the line, and what they mean."""
    m = new()
    m.submodules.receiver = receiver = FrameReceiver()
    offers(m, receiver.bytes, "bytes")
    byte, came = receiver.bytes.payload, is_taken(receiver.bytes)
    is_flag, is_escape = byte.data == FLAG, byte.data == ESCAPE
    escaped, begun, broken, crc = Signal(), Signal(), Signal(), Signal(32, init=BEGIN)
    content = byte.data ^ Mux(escaped, ESCAPE_BIT, 0)
    written = came & ~is_flag & ~is_escape
    with m.If(came):
        m.d.sync += [escaped.eq(is_escape), begun.eq(~is_flag),
                     broken.eq(~is_flag & (broken | byte.error))]
    with m.If(written):
        m.d.sync += crc.eq(after_bits(crc, content)[-1])
    with m.If(came & is_flag):
        m.d.sync += crc.eq(BEGIN)
    m.d.comb += [Assert(receiver.write == written), Assert(~written | (receiver.data == content)),
                 Assert(receiver.end == (came & is_flag & begun)),
                 Assert(~receiver.end | (receiver.good == (
                     (crc == CRC_RESIDUE) & ~escaped & ~broken & ~byte.error)))]
    waited = waits(m, receiver.bytes.valid & ~receiver.bytes.ready, 7)

    module = inside(receiver)
    register = signal(inside(submodule(module, "crc")), "register")
    bit = signal(module, "bit", 1)      # the first is the CRC's
    helps(m, signal(module, "escaped") == escaped, signal(module, "begun") == begun,
          signal(module, "broken") == broken,
          (bit == 0) | (receiver.bytes.valid & ~is_flag & ~is_escape), waited <= bit,
          register == Array(after_bits(crc, content))[bit])
    return m


def transmitter() -> Module:
    """What the line's bytes mean, beside the content that they must be."""
    m = new()
    m.submodules.transmitter = transmitter = FrameTransmitter()
    frame, line = transmitter.frame, transmitter.bytes
    offers(m, frame, "frame")
    takes(m, line, "bytes")
    is_open, escaped, sent = Signal(), Signal(), Signal()
    ends, place, crc = Signal(), Signal(range(CRC_BYTES + 1)), Signal(32)
    closes = ends & (place == CRC_BYTES)
    meaning = line.payload ^ Mux(escaped, ESCAPE_BIT, 0)
    is_special = (meaning == FLAG) | (meaning == ESCAPE)
    is_escape = is_open & ~escaped & (line.payload == ESCAPE)
    is_content = is_open & ~closes & ~is_escape
    due = Mux(ends, (~crc).word_select(place[:2], 8), frame.payload.data)
    with m.If(is_taken(line)):
        m.d.sync += escaped.eq(is_escape)
        with m.If(~is_open):
            m.d.sync += [is_open.eq(1), crc.eq(BEGIN)]
        with m.Elif(closes):
            m.d.sync += [is_open.eq(0), ends.eq(0), place.eq(0)]
        with m.Elif(is_content):
            m.d.sync += [sent.eq(~ends), place.eq(place + ends)]
    with m.If(is_taken(frame)):
        m.d.sync += [sent.eq(0), ends.eq(frame.payload.last),
                     crc.eq(after_bits(crc, frame.payload.data)[-1])]
    m.d.comb += [Assert(~line.valid | is_content | is_escape | (line.payload == FLAG)),
                 Assert(~(line.valid & is_content) | ((meaning == due) & ~sent)),
                 Assert(~(line.valid & is_content) | (escaped == is_special)),
                 Assert(~is_taken(frame) | (is_open & sent))]
    waited = waits(m, frame.valid & ~line.valid, 8)

    module = inside(transmitter)
    register = signal(inside(submodule(module, "crc")), "register")
    in_crc, place_now, bit = (signal(module, "in_crc"), signal(module, "place"),
                              signal(module, "bit", 1))
    steps, at_end = is_in(module, "STEP"), is_in(module, "CLOSE")
    shifted = 8 * place_now + bit
    helps(m, is_in(module, "OPEN") == ~is_open, signal(module, "escaping") == escaped,
          ~escaped | is_in(module, "SEND"), sent == (steps & ~in_crc), (bit == 0) | steps,
          ~steps | (waited <= bit),
          in_crc == (ends & ~at_end), ~at_end | closes, ends | (place == 0),
          at_end | (place == place_now + (in_crc & steps)), in_crc | (place_now == 0),
          ~is_open | ends | (frame.valid | (~steps & ~escaped)), is_open | ~ends,
          ~(is_open & ~ends) | (register == Array(after_bits(crc, frame.payload.data))[bit]),
          ~in_crc | (register == (crc >> shifted)))
    return m


PROOFS = {
    "frame_receiver": Proof(
        "FrameReceiver", "every byte of a frame is written once, as it is meant; the end is told, "
        "and whether the frame is whole", receiver,
        (Mutation("framing.py", "escaped.eq(is_escape), begun", "escaped.eq(0), begun"),
         Mutation("framing.py", "self.write.eq(valid & is_data & (bit == 7))",
                  "self.write.eq(valid & is_data & (bit == 6))"),
         Mutation("framing.py", "self.end.eq(valid & is_flag & begun)",
                  "self.end.eq(valid & is_flag)"),
         Mutation("framing.py", "& ~escaped & ~broken & ~byte.error", "& ~escaped & ~broken"),
         Mutation("framing.py", "self.bytes.ready.eq(~is_data | (bit == 7))",
                  "self.bytes.ready.eq(~is_data)"))),
    "frame_transmitter": Proof(
        "FrameTransmitter", "a flag, every byte of the frame once, escaped where it must be, its "
        "CRC, a flag; offers stand", transmitter,
        (Mutation("framing.py", "(source == FLAG) | (source == ESCAPE)", "(source == FLAG)"),
         Mutation("framing.py", "with m.If(~special | escaping):", "with m.If(1):"),
         Mutation("framing.py", "crc.shift.eq(in_crc)]", "crc.shift.eq(0)]"),
         Mutation("framing.py", "self.frame.ready.eq(~in_crc)", "self.frame.ready.eq(1)"),
         Mutation("framing.py", "(self.frame.valid), self.bytes.payload.eq(FLAG)",
                  "(self.frame.valid), self.bytes.payload.eq(ESCAPE)"),
         Mutation("framing.py", 'self.bytes.ready):\n                    m.next = "SEND"',
                  '(self.bytes.ready | 1)):\n                    m.next = "SEND"'),
         Mutation("framing.py", "with m.If(bit == 7):", "with m.If(0):"))),
}
