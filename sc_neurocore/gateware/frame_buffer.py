"""Buffer of frames: what is in one comes out only when the frame is known to be whole."""

from amaranth import *
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..protocol import CRC_BYTES
from .layouts import NO_COLLISIONS


class FrameBuffer(wiring.Component):
    """A ring of bytes that are written ahead, and kept or given up at the end of their frame.

    Bytes that find no room are dropped, and ``overflow`` is set until the end of the frame.

    Throughput: a byte in and a byte out a cycle. Latency: what is kept can be taken 2 cycles later.

    Parameters
    ----------
    depth : int
        Bytes; a power of two.

    Members
    -------
    data : In
        A byte of the frame.
    write : In
        Write it.
    end : In
        The frame is over. There is no ``write`` then, nor in the cycle after it.
    keep : In
        With ``end``: keep the frame, but for its CRC, the last four bytes. Not if it overflowed or
        is shorter.
    length : Out
        Bytes of the frame, its CRC included.
    overflow : Out
        There are more that found no room.
    bytes : Out, stream of 8 bits
        Contents of the frames that were kept.
    last : Out
        The byte on offer is the last of them.
    empty : Out
        All of them have been taken.
    waiting : Out
        How many of them have not been taken, modulo twice the depth.
    """

    def __init__(self, depth: int):
        self._depth = depth
        super().__init__({
            "data": In(8), "write": In(1), "end": In(1), "keep": In(1),
            "length": Out(range(depth + 1)), "overflow": Out(1),
            "bytes": Out(stream.Signature(8)), "last": Out(1), "empty": Out(1),
            "waiting": Out(range(2 * depth))})

    def elaborate(self, platform):
        m = Module()
        depth = self._depth
        m.submodules.memory = ring = memory.Memory(shape=8, depth=depth, init=[],
                                                   attrs=NO_COLLISIONS)
        # One bit more than an address takes, so that full and empty differ.
        tail = Signal(range(2 * depth))
        kept = Signal(range(2 * depth))
        head = Signal(range(2 * depth))
        closing = Signal()
        full = Signal()
        fetch = Signal()
        some = Signal()
        write = ring.write_port()
        read = ring.read_port()
        m.d.comb += [
            full.eq((tail ^ head) == depth), self.length.eq((tail - kept)[:len(self.length)]),
            some.eq(head != kept), fetch.eq(some & (~self.bytes.valid | self.bytes.ready)),
            self.last.eq(~some), self.empty.eq(~some & ~self.bytes.valid),
            self.waiting.eq(kept - head + self.bytes.valid),
            write.addr.eq(tail[:-1]), write.data.eq(self.data), write.en.eq(self.write & ~full),
            read.addr.eq(head[:-1]), read.en.eq(fetch), self.bytes.payload.eq(read.data)]
        m.d.sync += [closing.eq(self.end), head.eq(head + fetch),
                     self.bytes.valid.eq(fetch | (self.bytes.valid & ~self.bytes.ready))]
        with m.If(self.end & self.keep):
            m.d.sync += kept.eq(tail - CRC_BYTES)
        with m.If(closing):
            m.d.sync += [tail.eq(kept), self.overflow.eq(0)]
        with m.Elif(self.write):
            m.d.sync += [tail.eq(tail + ~full), self.overflow.eq(self.overflow | full)]
        return m
