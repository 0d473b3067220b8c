"""Replay: a timestep's events, once for each fold of a layer."""

from amaranth import *
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .double_buffer import DoubleBuffer
from .layouts import NO_COLLISIONS, event, index_shape


class Replay(wiring.Component):
    """Collects a timestep's events while those of the timestep before are sent ``folds`` times.

    Throughput: an event in and an event out a cycle; but one cycle passes between the last event of
    a timestep and the next that is sent. Latency: the first event is sent 2 cycles after the last
    one of its timestep came in.

    Parameters
    ----------
    n_input : int
        Addresses, and the most events a timestep.
    folds : int
        How often each timestep is sent.

    Members
    -------
    events : In, stream of `layouts.event`
    replayed : Out, stream of `layouts.event`
    """

    def __init__(self, n_input: int, folds: int):
        self._n_input, self._folds = n_input, folds
        super().__init__({"events": In(stream.Signature(event(n_input))),
                          "replayed": Out(stream.Signature(event(n_input)))})

    def elaborate(self, platform):
        m = Module()
        index_width = ceil_log2(self._n_input)
        m.submodules.halves = halves = DoubleBuffer()
        m.submodules.kept = kept = memory.Memory(
            shape=len(Value.cast(self.events.payload)), depth=2 << index_width, init=[],
            attrs=NO_COLLISIONS)

        write = kept.write_port()
        written = Signal(index_shape(self._n_input))
        m.d.comb += [self.events.ready.eq(halves.can_fill),
                     write.addr.eq(Cat(written[:index_width], halves.fill)),
                     write.data.eq(self.events.payload),
                     write.en.eq(self.events.valid & halves.can_fill),
                     halves.filled.eq(write.en & self.events.payload.last)]
        with m.If(write.en):
            m.d.sync += written.eq(Mux(self.events.payload.last, 0, written + 1))

        read = kept.read_port()
        index = Signal(index_shape(self._n_input))
        fold = Signal(index_shape(self._folds))
        sent = self.replayed
        taken = Signal()
        closes = Signal()
        fetch = Signal()
        m.d.comb += [Value.cast(sent.payload).eq(read.data),
                     taken.eq(sent.valid & sent.ready),
                     closes.eq(taken & sent.payload.last),
                     fetch.eq(halves.can_drain & (~sent.valid | taken) & ~closes),
                     read.addr.eq(Cat(index[:index_width], halves.drain)),
                     # Sooner than `fetch`, which has to know what was read before.
                     read.en.eq(~sent.valid | sent.ready)]
        m.d.sync += sent.valid.eq(fetch | (sent.valid & ~taken))
        with m.If(fetch):
            m.d.sync += index.eq(index + 1)
        with m.If(closes):
            m.d.sync += [index.eq(0), fold.eq(fold + 1)]
            with m.If(fold == self._folds - 1):
                m.d.sync += fold.eq(0)
                m.d.comb += halves.drained.eq(1)
        return m
