"""Spikes from outside: spike words of a network whose encoder is ``events``."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..network import IntegerNetwork
from ..spec import QUEUE_DEPTH, AcceleratorSpec
from .layouts import encoder_trace, index_shape, spike_word
from .reserved_queue import ReservedQueue


class SpikeInput(wiring.Component):
    """Takes the place of an encoder where spikes come ready-made.

    Throughput: a transfer a cycle; those without spikes are skipped. Latency: a word is committed
    in the cycle of its transfer, and can be taken two cycles later.

    Members
    -------
    spikes : In, stream
        A timestep is ceil(n_input / beats) transfers of ``beats`` bits, the first input in the
        lowest bit; what the last transfer has beyond ``n_input`` is ignored. An image is
        ``timesteps`` of them.
    words : Out, stream of `layouts.spike_word`
        Those that have a spike or close a timestep.
    trace : Out, `layouts.encoder_trace`
        All words, in the cycle in which they are committed.
    """

    def __init__(self, network: IntegerNetwork, spec: AcceleratorSpec):
        self._network, self._lanes = network, spec.beats
        self._rows = spec.encoder_words(network)
        super().__init__({
            "spikes": In(stream.Signature(data.ArrayLayout(1, self._lanes))),
            "words": Out(stream.Signature(spike_word(network.n_input, self._lanes))),
            "trace": Out(encoder_trace(self._lanes, network.timesteps, self._rows))})

    def elaborate(self, platform):
        m = Module()
        lanes, rows, timesteps = self._lanes, self._rows, self._network.timesteps
        m.submodules.queue = queue = ReservedQueue(self.words.payload.shape(), QUEUE_DEPTH)
        wiring.connect(m, queue.words, wiring.flipped(self.words))

        row = Signal(index_shape(rows))
        timestep = Signal(index_shape(timesteps))
        commit = Signal()
        closes = Signal()
        matters = Signal()
        remainder = self._network.n_input - (rows - 1) * lanes
        spikes = Signal(lanes)
        word = queue.word
        m.d.comb += [self.spikes.ready.eq(queue.room),
                     commit.eq(self.spikes.valid & queue.room), closes.eq(row == rows - 1),
                     spikes.eq(Value.cast(self.spikes.payload)
                               & Mux(closes, 2**remainder - 1, 2**lanes - 1)),
                     word.spikes.eq(spikes), word.last.eq(closes), word.base.eq(row * lanes),
                     matters.eq(spikes.any() | closes), queue.reserve.eq(commit),
                     queue.push.eq(commit & matters), queue.drop.eq(commit & ~matters),
                     self.trace.valid.eq(commit), self.trace.timestep.eq(timestep),
                     self.trace.word.eq(row), self.trace.spikes.eq(spikes)]
        with m.If(commit):
            m.d.sync += row.eq(Mux(closes, 0, row + 1))
            with m.If(closes):
                m.d.sync += timestep.eq(Mux(timestep == timesteps - 1, 0, timestep + 1))
        return m
