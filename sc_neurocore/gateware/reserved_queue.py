"""Queue at the end of a pipeline that cannot wait."""

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out

from .layouts import NO_COLLISIONS


class ReservedQueue(wiring.Component):
    """Lets a pipeline of fixed latency end in a stream: a place is reserved at its beginning.

    A queue of one place is a register. A deeper one is a memory whose read port holds the word that
    is offered.

    Latency: a word that is pushed can be taken a cycle later, or two cycles later if ``depth`` is
    more than 1; a place can be reserved again a cycle after its word was taken, or was dropped.
    Throughput: a word a cycle, ``depth`` of them on their way at a time.

    Parameters
    ----------
    shape : shape-like
        What is queued.
    depth : int
        Places; 1 or another power of two.

    Members
    -------
    room : Out
        A place can be reserved.
    reserve : In
        Reserve one. Only while ``room``.
    push : In
        Put ``word`` in a reserved place.
    drop : In
        Give a reserved place back instead. Not together with ``push``.
    word : In
        What is pushed.
    words : Out, stream
        The words in the order in which they were pushed.
    """

    def __init__(self, shape: ShapeLike, depth: int):
        self._shape, self._depth = shape, depth
        super().__init__({"room": Out(1), "reserve": In(1), "push": In(1), "drop": In(1),
                          "word": In(shape), "words": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        taken = Signal()
        m.d.comb += taken.eq(self.words.valid & self.words.ready)
        if self._depth == 1:
            self._register(m, taken)
        else:
            self._memory(m, taken)
        return m

    def _register(self, m: Module, taken: Signal):
        reserved = Signal()
        m.d.comb += self.room.eq(~reserved)
        with m.If(self.reserve):
            m.d.sync += reserved.eq(1)
        with m.If(taken | self.drop):
            m.d.sync += reserved.eq(0)
        with m.If(taken):
            m.d.sync += self.words.valid.eq(0)
        with m.If(self.push):
            m.d.sync += [self.words.valid.eq(1), self.words.payload.eq(self.word)]

    def _memory(self, m: Module, taken: Signal):
        depth = self._depth
        m.submodules.memory = words = memory.Memory(
            shape=len(Value.cast(self.word)), depth=depth, init=[], attrs=NO_COLLISIONS)
        free = Signal(range(depth + 1), init=depth)
        # One bit more than an address takes, so that full and empty differ.
        tail = Signal(range(2 * depth))
        head = Signal(range(2 * depth))
        fetch = Signal()
        write, read = words.write_port(), words.read_port()
        m.d.comb += [self.room.eq(free != 0),
                     fetch.eq((tail != head) & (~self.words.valid | self.words.ready)),
                     write.addr.eq(tail[:-1]), write.data.eq(self.word), write.en.eq(self.push),
                     read.addr.eq(head[:-1]), read.en.eq(fetch),
                     Value.cast(self.words.payload).eq(read.data)]
        m.d.sync += [free.eq(free - self.reserve + taken + self.drop),
                     tail.eq(tail + self.push), head.eq(head + fetch),
                     self.words.valid.eq(fetch | (self.words.valid & ~taken))]
