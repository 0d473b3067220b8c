"""Packets of AXI4-Stream: images for the accelerator, and its results."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..axi_ports import CLASS_BITS, COUNT_BITS, CURRENT_BITS, RESULT_BITS
from .layouts import index_shape
from .link import DRAIN_IMAGES

IN_FLIGHT = 16
"""Images in the accelerator of which it is remembered whether they are broken."""


class ImagePackets(wiring.Component):
    """Makes an image of each packet, whatever its length.

    A packet that is short is filled up with zeros; of one that is long the rest is dropped. Either
    way its image is broken, and the next packet is an image again. A packet is short if it has too
    few beats, or if bytes are missing (``tkeep``) in its last one that have an input in them.

    Throughput: a beat a cycle. Latency: none; a short packet keeps the next one waiting for as many
    cycles as it has beats too few.

    Parameters
    ----------
    data_bits : int
        Of a beat.
    transfer_bits : int
        Those of them that are inputs, the lowest.
    transfers : int
        Beats of an image.
    last_bytes : int
        Bytes that its last beat must have.

    Members
    -------
    tdata, tkeep, tlast, tvalid, tready : In
        Packets. ``tready`` waits for none of the others.
    transfers : Out, stream
        Of the accelerator.
    room : In
        An image more may go into the accelerator.
    holds : In
        No image may begin.
    restart : In
        In this cycle the accelerator is reset: a packet that has begun is dropped to its end.
    begun : Out
        A part of an image is in the accelerator.
    image_end : Out
        The last transfer of an image is taken.
    broken : Out
        The image is broken; with ``image_end``.
    is_short, is_long : Out
        It is found that a packet is short, or long.
    """

    def __init__(self, data_bits: int, transfer_bits: int, transfers: int, last_bytes: int):
        self._count, self._last_bytes = transfers, last_bytes
        super().__init__({
            "tdata": In(data_bits), "tkeep": In(data_bits // 8), "tlast": In(1), "tvalid": In(1),
            "tready": Out(1), "transfers": Out(stream.Signature(transfer_bits)), "room": In(1),
            "holds": In(1), "restart": In(1), "begun": Out(1), "image_end": Out(1),
            "broken": Out(1), "is_short": Out(1), "is_long": Out(1)})

    def elaborate(self, platform):
        m = Module()
        index = Signal(index_shape(self._count))
        is_last, may_go, pads, passes = Signal(), Signal(), Signal(), Signal()
        is_whole = self.tkeep[:self._last_bytes].all()
        m.d.comb += [is_last.eq(index == self._count - 1),
                     may_go.eq((~is_last | self.room) & (self.begun | ~self.holds)
                               & ~self.restart),
                     self.begun.eq(index != 0),
                     self.transfers.payload.eq(Mux(pads, 0, self.tdata)),
                     self.transfers.valid.eq(may_go & (pads | (passes & self.tvalid))),
                     self.image_end.eq(self.transfers.valid & self.transfers.ready & is_last)]
        with m.If(self.transfers.valid & self.transfers.ready):
            m.d.sync += index.eq(Mux(is_last, 0, index + 1))
        with m.If(self.restart):
            m.d.sync += index.eq(0)
        with m.FSM():
            with m.State("PASS"):
                m.d.comb += [passes.eq(1), self.tready.eq(may_go & self.transfers.ready),
                             self.broken.eq(~self.tlast | ~is_whole)]
                with m.If(self.restart & self.begun):
                    m.next = "DROP"
                with m.If(self.tvalid & self.tready):
                    m.d.comb += [self.is_short.eq(self.tlast & ~(is_last & is_whole)),
                                 self.is_long.eq(is_last & ~self.tlast)]
                    with m.If(self.tlast & ~is_last):
                        m.next = "PAD"
                    with m.If(self.is_long):
                        m.next = "DROP"
            with m.State("PAD"):
                m.d.comb += [pads.eq(1), self.broken.eq(1)]
                with m.If(self.image_end | self.restart):
                    m.next = "PASS"
            with m.State("DROP"):
                m.d.comb += self.tready.eq(1)
                with m.If(self.tvalid & self.tlast):
                    m.next = "PASS"
        return m


class ResultPackets(wiring.Component):
    """Makes a packet of the results of each image, a beat an output neuron.

    It remembers of each image in the accelerator whether it is broken, and says so in all of its
    beats. When the accelerator is reset while a packet is on its way, the packet is ended by a beat
    that says that it is broken. When the accelerator has stopped, or gives results of no image, or
    not as many as it should, all images in it are given up: each has its packet, and what is left
    of them is zero and broken.

    Throughput: a beat a cycle. Latency: 1 cycle.

    Parameters
    ----------
    result : StructLayout
        `layouts.result`.
    n_output : int
        Beats of a packet.

    Members
    -------
    results : In, stream of ``result``
    tdata, tlast, tvalid, tready : Out
        Packets; ``tdata`` is current, class, count and broken, as `axi_ports` has their bits.
    image_end : In
        An image has gone into the accelerator. Only while ``room``.
    broken : In
        It is broken.
    room : Out
        One more can be remembered.
    image_done : Out
        The last result of an image leaves the accelerator.
    restart : In
        In this cycle the accelerator is reset.
    stopped : In
        It has stopped.
    begun : In
        A part of an image is in the accelerator.
    gives_up : Out
        Images are given up. The accelerator has to be in reset, and no image may begin.
    fails : Out
        For a cycle: that begins now.
    holds : Out
        No image may begin: `DRAIN_IMAGES` are in or out, but not all of them out; or one must be
        given up.
    working : Out
        An image is wholly in the accelerator, and not all of its results are out.
    """

    def __init__(self, result: data.StructLayout, n_output: int):
        self._n_output = n_output
        super().__init__({
            "results": In(stream.Signature(result)), "tdata": Out(RESULT_BITS), "tlast": Out(1),
            "tvalid": Out(1), "tready": In(1), "image_end": In(1), "broken": In(1),
            "room": Out(1), "image_done": Out(1), "restart": In(1), "stopped": In(1),
            "begun": In(1), "gives_up": Out(1), "fails": Out(1), "holds": Out(1),
            "working": Out(1)})

    def elaborate(self, platform):
        m = Module()
        is_broken = self._remember(m)
        word = self.results.payload
        current, predicted, count = (Signal(signed(CURRENT_BITS)), Signal(CLASS_BITS),
                                     Signal(COUNT_BITS))
        place = Signal(index_shape(self._n_output))     # of the next beat in its packet
        cut = Signal()          # no more beats of the packet will come
        advance, may_go, adds, closes, wrong = (Signal() for _ in range(5))
        m.d.comb += [
            advance.eq(~self.tvalid | self.tready), closes.eq(place == self._n_output - 1),
            may_go.eq(advance & ~cut & ~self.restart),
            self.results.ready.eq(may_go & ~self.gives_up),
            adds.eq(may_go & self.working & (self.results.valid | self.gives_up)),
            self.image_done.eq(adds & closes),
            wrong.eq(self.results.valid & (~self.working | (word.last != closes))),
            self.fails.eq((wrong | self.stopped) & ~self.gives_up & ~self.restart),
            current.eq(word.current), predicted.eq(word.predicted), count.eq(word.count)]
        with m.If(advance):
            m.d.sync += [self.tvalid.eq(adds | cut), self.tlast.eq(closes | cut),
                         self.tdata.eq(Cat(Mux(self.gives_up, 0, Cat(current, predicted, count)),
                                           is_broken | cut | wrong | self.gives_up)),
                         cut.eq(0)]
        with m.If(adds):
            m.d.sync += place.eq(Mux(closes, 0, place + 1))
        with m.If(self.restart):
            m.d.sync += [cut.eq((cut & ~advance) | (place != 0)), place.eq(0),
                         self.gives_up.eq(0)]
        with m.Elif(self.fails):
            m.d.sync += self.gives_up.eq(1)
        with m.Elif(~self.working & ~self.begun):
            m.d.sync += self.gives_up.eq(0)
        return m

    def _remember(self, m: Module) -> Value:
        """Keep a bit of each image in the accelerator; returns that of the first of them."""
        flags = Signal(IN_FLIGHT)
        level = Signal(range(IN_FLIGHT + 1))
        m.d.comb += [self.room.eq(level != IN_FLIGHT), self.working.eq(level != 0)]
        m.d.sync += level.eq(level + self.image_end - self.image_done)
        entered = Signal(range(DRAIN_IMAGES))
        m.d.comb += self.holds.eq(self.gives_up | ((entered == 0) & self.working))
        with m.If(self.image_end):
            m.d.sync += [flags.eq(Cat(self.broken, flags)), entered.eq(entered + 1)]
        with m.If(self.restart):
            m.d.sync += level.eq(0)
        return flags.bit_select((level - 1)[:(IN_FLIGHT - 1).bit_length()], 1)
