"""Replay: what makes up a timestep, once for each fold of a layer."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .double_buffer import DoubleBuffer
from .layouts import NO_COLLISIONS, index_shape


class Replay(wiring.Component):
    """Collects a timestep's words or events while those of the timestep before are sent ``folds``
    times.

    Throughput: one in and one out a cycle; but one cycle passes between the last of a timestep and
    the next that is sent. Latency: the first is sent `timing.REPLAY_LATENCY` cycles after the last
    one of its timestep came in.

    Parameters
    ----------
    shape : StructLayout
        Of a word or an event; its field ``last`` closes a timestep.
    most : int
        How many of them a timestep has at most.
    folds : int
        How often each timestep is sent.

    Members
    -------
    collected : In, stream of ``shape``
    replayed : Out, stream of ``shape``
    """

    def __init__(self, shape: data.StructLayout, most: int, folds: int):
        self._most, self._folds = most, folds
        super().__init__({"collected": In(stream.Signature(shape)),
                          "replayed": Out(stream.Signature(shape))})

    def elaborate(self, platform):
        m = Module()
        index_width = ceil_log2(self._most)
        m.submodules.halves = halves = DoubleBuffer()
        m.submodules.kept = kept = memory.Memory(
            shape=len(self._rest(self.collected.payload)), depth=2 << index_width, init=[],
            attrs=NO_COLLISIONS)

        collected = self.collected
        write = kept.write_port()
        written = Signal(index_shape(self._most))
        # Where each half ends is known before it is read: block RAM is slow.
        ends = Signal(data.ArrayLayout(index_shape(self._most), 2))
        m.d.comb += [collected.ready.eq(halves.can_fill),
                     write.addr.eq(Cat(written[:index_width], halves.fill)),
                     write.data.eq(self._rest(collected.payload)),
                     write.en.eq(collected.valid & halves.can_fill),
                     halves.filled.eq(write.en & collected.payload.last)]
        with m.If(write.en):
            m.d.sync += written.eq(Mux(collected.payload.last, 0, written + 1))
        with m.If(halves.filled):
            m.d.sync += ends[halves.fill].eq(written)

        read = kept.read_port()
        index = Signal(index_shape(self._most))
        fold = Signal(index_shape(self._folds))
        sent = self.replayed
        is_last = Signal()
        taken = Signal()
        closes = Signal()
        fetch = Signal()
        m.d.comb += [self._rest(sent.payload).eq(read.data), sent.payload.last.eq(is_last),
                     taken.eq(sent.valid & sent.ready),
                     closes.eq(taken & is_last),
                     fetch.eq(halves.can_drain & (~sent.valid | taken) & ~closes),
                     read.addr.eq(Cat(index[:index_width], halves.drain)),
                     # Sooner than `fetch`, which has to know more.
                     read.en.eq(~sent.valid | sent.ready)]
        m.d.sync += sent.valid.eq(fetch | (sent.valid & ~taken))
        with m.If(fetch):
            m.d.sync += [index.eq(index + 1), is_last.eq(index == ends[halves.drain])]
        with m.If(closes):
            m.d.sync += [index.eq(0), fold.eq(fold + 1)]
            with m.If(fold == self._folds - 1):
                m.d.sync += fold.eq(0)
                m.d.comb += halves.drained.eq(1)
        return m

    @staticmethod
    def _rest(payload: data.View) -> Value:
        """What there is besides ``last``."""
        return Cat(payload[name] for name, _ in payload.shape() if name != "last")
