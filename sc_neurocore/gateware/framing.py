"""Frames on a line of bytes, as in RFC 1662: a flag on either side, escapes, and a CRC-32."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..protocol import CRC_BYTES, CRC_POLYNOMIAL, CRC_RESIDUE, ESCAPE, ESCAPE_BIT, FLAG
from .uart import RECEIVED

FRAME_BYTE = data.StructLayout({"data": 8, "last": 1})
"""A byte of a frame's content; ``last`` closes it."""
BYTE_CYC = 9
"""Cycles that a frame takes for each byte of the line, at most."""


class Crc32(wiring.Component):
    """CRC-32 of zlib, a bit a cycle, the lowest of a byte first.

    Members
    -------
    clear : In
        Begin anew.
    step : In
        Take in ``bit``. Not together with ``clear``.
    bit : In
    shift : In
        With ``step``: shift the CRC out at the bottom instead.
    value : Out
        CRC of all bits so far.
    is_good : Out
        What came in ended with its own CRC, lowest byte first.
    """

    clear: In(1)
    step: In(1)
    bit: In(1)
    shift: In(1)
    value: Out(32)
    is_good: Out(1)

    def elaborate(self, platform):
        m = Module()
        register = Signal(32, init=2**32 - 1)
        feedback = Signal()
        m.d.comb += [self.value.eq(~register), self.is_good.eq(register == CRC_RESIDUE),
                     feedback.eq((register[0] ^ self.bit) & ~self.shift)]
        with m.If(self.clear):
            m.d.sync += register.eq(2**32 - 1)
        with m.Elif(self.step):
            m.d.sync += register.eq(register[1:] ^ Mux(feedback, CRC_POLYNOMIAL, 0))
        return m


class FrameReceiver(wiring.Component):
    """Finds frames in received bytes, and says at the end of each whether it is whole.

    Whatever stands between two flags is a frame, unless there is nothing. It is good if no byte of
    it has an error, it doesn't end in an escape, and its last four bytes are the CRC of those
    before.

    Throughput: a byte in 8 cycles; a flag or an escape in one. Latency: none; ``write`` is in the
    cycle in which the byte is taken.

    Members
    -------
    bytes : In, stream of `uart.RECEIVED`
        From the line.
    data : Out
        A byte of the frame, those of its CRC included.
    write : Out
        There is one.
    end : Out
        The frame is over.
    good : Out
        It was whole. While ``end``.
    """

    bytes: In(stream.Signature(RECEIVED))
    data: Out(8)
    write: Out(1)
    end: Out(1)
    good: Out(1)

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = Crc32()
        byte, valid = self.bytes.payload, self.bytes.valid
        bit = Signal(3)
        escaped = Signal()
        broken = Signal()
        begun = Signal()
        is_flag = Signal()
        is_escape = Signal()
        is_data = Signal()
        m.d.comb += [
            is_flag.eq(byte.data == FLAG), is_escape.eq(byte.data == ESCAPE),
            is_data.eq(~is_flag & ~is_escape),
            self.data.eq(byte.data ^ Mux(escaped, ESCAPE_BIT, 0)),
            crc.step.eq(valid & is_data), crc.bit.eq(self.data.bit_select(bit, 1)),
            crc.clear.eq(valid & is_flag),
            self.bytes.ready.eq(~is_data | (bit == 7)), self.write.eq(valid & is_data & (bit == 7)),
            self.end.eq(valid & is_flag & begun),
            self.good.eq(crc.is_good & ~escaped & ~broken & ~byte.error)]
        with m.If(crc.step):
            m.d.sync += bit.eq(bit + 1)
        with m.If(valid & self.bytes.ready):
            m.d.sync += [escaped.eq(is_escape), begun.eq(~is_flag),
                         broken.eq(~is_flag & (broken | byte.error))]
        return m


class FrameTransmitter(wiring.Component):
    """Puts flags, escapes and a CRC to frames.

    Throughput: a byte in 9 cycles, where the line takes it at once; for each byte that has to be
    escaped one more. Latency: the first flag is offered as soon as there is a byte.

    Members
    -------
    frame : In, stream of `FRAME_BYTE`
        Content of frames.
    bytes : Out, stream of 8 bits
        What goes on the line.
    """

    frame: In(stream.Signature(FRAME_BYTE))
    bytes: Out(stream.Signature(8))

    def elaborate(self, platform):
        m = Module()
        m.submodules.crc = crc = Crc32()
        in_crc = Signal()
        place = Signal(range(CRC_BYTES))
        bit = Signal(3)
        escaping = Signal()
        source = Signal(8)
        special = Signal()
        m.d.comb += [source.eq(Mux(in_crc, crc.value[:8], self.frame.payload.data)),
                     special.eq((source == FLAG) | (source == ESCAPE)),
                     crc.bit.eq(source.bit_select(bit, 1)), crc.shift.eq(in_crc)]
        with m.FSM():
            with m.State("OPEN"):
                m.d.comb += [self.bytes.valid.eq(self.frame.valid), self.bytes.payload.eq(FLAG),
                             crc.clear.eq(1)]
                with m.If(self.bytes.valid & self.bytes.ready):
                    m.next = "SEND"
            with m.State("SEND"):
                m.d.comb += [self.bytes.valid.eq(self.frame.valid | in_crc),
                             self.bytes.payload.eq(
                                 Mux(special, Mux(escaping, source ^ ESCAPE_BIT, ESCAPE), source))]
                with m.If(self.bytes.valid & self.bytes.ready):
                    m.d.sync += escaping.eq(special & ~escaping)
                    with m.If(~special | escaping):
                        m.next = "STEP"
            with m.State("STEP"):
                m.d.comb += crc.step.eq(1)
                m.d.sync += bit.eq(bit + 1)
                with m.If(bit == 7):
                    m.d.comb += self.frame.ready.eq(~in_crc)
                    m.d.sync += [place.eq(place + in_crc),
                                 in_crc.eq(in_crc | self.frame.payload.last)]
                    m.next = "SEND"
                    with m.If(in_crc & (place == CRC_BYTES - 1)):
                        m.d.sync += in_crc.eq(0)
                        m.next = "CLOSE"
            with m.State("CLOSE"):
                m.d.comb += [self.bytes.valid.eq(1), self.bytes.payload.eq(FLAG)]
                with m.If(self.bytes.ready):
                    m.next = "OPEN"
        return m
