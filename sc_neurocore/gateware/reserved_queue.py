"""Queue at the end of a pipeline that cannot wait."""

from amaranth import *
from amaranth.hdl import ShapeLike
from amaranth.lib import fifo, stream, wiring
from amaranth.lib.wiring import In, Out

from ..timing import QUEUE_DEPTH


class ReservedQueue(wiring.Component):
    """Lets a pipeline of fixed latency end in a stream: a place is reserved at its beginning.

    Latency: a word that is pushed can be taken a cycle later; a place whose word is taken can be
    reserved a cycle later. Throughput: `timing.QUEUE_DEPTH` words in the cycles from reserving a
    place to reserving it again.

    Parameters
    ----------
    shape : shape-like
        What is queued.

    Members
    -------
    room : Out
        A place can be reserved.
    reserve : In
        Reserve one. Only while ``room``.
    push : In
        Put ``word`` in a reserved place. Only as often as ``reserve`` before.
    word : In
        What is pushed.
    words : Out, stream
        The words in the order in which they were pushed.
    """

    def __init__(self, shape: ShapeLike):
        super().__init__({"room": Out(1), "reserve": In(1), "push": In(1), "word": In(shape),
                          "words": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.fifo = queue = fifo.SyncFIFO(width=len(Value.cast(self.word)),
                                                  depth=QUEUE_DEPTH)
        free = Signal(range(QUEUE_DEPTH + 1), init=QUEUE_DEPTH)
        taken = self.words.valid & self.words.ready
        m.d.comb += [self.room.eq(free != 0),
                     queue.w_data.eq(self.word), queue.w_en.eq(self.push),
                     Value.cast(self.words.payload).eq(queue.r_data),
                     self.words.valid.eq(queue.r_rdy), queue.r_en.eq(self.words.ready)]
        m.d.sync += free.eq(free - self.reserve + taken)
        return m
