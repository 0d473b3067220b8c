"""Contents of commands, byte by byte: images for the accelerator, words to load."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..protocol import LOAD_HEADER_BYTES, LinkFormat
from .layouts import index_shape


class ImageReader(wiring.Component):
    """Puts the bytes of images together to transfers.

    Throughput: a byte a cycle. Latency: none; a transfer is offered with its last byte.

    Parameters
    ----------
    format : LinkFormat
        Sizes of images and transfers.

    Members
    -------
    bytes : In, stream of 8 bits
        Images, transfer after transfer, each in whole bytes, the lowest first.
    transfers : Out, stream
        Of the accelerator.
    image_end : Out
        The last transfer of an image is taken.
    begun : Out
        A part of an image was taken.
    """

    def __init__(self, format: LinkFormat):
        self._format = format
        super().__init__({
            "bytes": In(stream.Signature(8)),
            "transfers": Out(stream.Signature(format.beat_width * format.beats)),
            "image_end": Out(1), "begun": Out(1)})

    def elaborate(self, platform):
        m = Module()
        size, count = self._format.transfer_bytes, self._format.transfers
        transfer = Signal(index_shape(count))
        place = Signal(index_shape(size))
        closes = Signal()
        is_last = Signal()
        taken = Signal()
        m.d.comb += [closes.eq(place == size - 1), is_last.eq(transfer == count - 1),
                     taken.eq(self.bytes.valid & self.bytes.ready),
                     self.transfers.valid.eq(self.bytes.valid & closes),
                     self.bytes.ready.eq(~closes | self.transfers.ready),
                     self.image_end.eq(taken & closes & is_last),
                     self.begun.eq(Cat(transfer, place).any())]
        whole = self.bytes.payload
        if size > 1:
            collected = Signal(8 * (size - 1))
            whole = Cat(collected, whole)
            with m.If(taken):
                m.d.sync += [place.eq(Mux(closes, 0, place + 1)), collected.eq(whole[8:])]
        m.d.comb += self.transfers.payload.eq(whole)
        with m.If(taken & closes):
            m.d.sync += transfer.eq(Mux(is_last, 0, transfer + 1))
        return m


class LoadReader(wiring.Component):
    """Takes the content of a LOAD apart: CRC of the parameters, address of the first word, words.

    Throughput: a word in 2 cycles. Latency: none; a word is offered with its second byte.

    Parameters
    ----------
    layout : StructLayout of ``address`` and 16 bits of ``data``
        What a word is sent with.

    Members
    -------
    bytes : In, stream of 8 bits
        Content of a LOAD.
    restart : In
        The next byte is the first of a LOAD.
    load : Out, stream of ``layout``
        Words, at addresses that go up by one.
    parameters : Out
        CRC of the parameters that are loaded, as the last LOAD said; a reset leaves it, as it
        leaves what is loaded.
    """

    def __init__(self, layout: data.StructLayout):
        self._layout = layout
        super().__init__({"bytes": In(stream.Signature(8)), "restart": In(1),
                          "load": Out(stream.Signature(layout)), "parameters": Out(32)})

    def elaborate(self, platform):
        m = Module()
        step = Signal(range(LOAD_HEADER_BYTES + 2))
        low = Signal(8)
        address = Signal.like(self.load.payload.address)
        parameters = Signal(32, reset_less=True)
        closes = Signal()
        byte = self.bytes.payload
        m.d.comb += [closes.eq(step == LOAD_HEADER_BYTES + 1), self.parameters.eq(parameters),
                     self.load.payload.address.eq(address),
                     self.load.payload.data.eq(Cat(low, byte)),
                     self.load.valid.eq(self.bytes.valid & closes),
                     self.bytes.ready.eq(~closes | self.load.ready)]
        with m.If(self.restart):
            m.d.sync += step.eq(0)
        with m.Elif(self.bytes.valid & self.bytes.ready):
            m.d.sync += step.eq(step + 1)
            with m.Switch(step):
                for index in range(4):
                    with m.Case(index):
                        m.d.sync += parameters.word_select(index, 8).eq(byte)
                for index in range(-(-len(address) // 8)):
                    with m.Case(4 + index):
                        m.d.sync += address[8 * index:8 * index + 8].eq(byte)
                with m.Case(LOAD_HEADER_BYTES):
                    m.d.sync += low.eq(byte)
                with m.Case(LOAD_HEADER_BYTES + 1):
                    m.d.sync += [address.eq(address + 1), step.eq(LOAD_HEADER_BYTES)]
        return m
