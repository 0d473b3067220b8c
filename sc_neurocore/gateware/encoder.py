"""Spike encoder: intensities in, spike words out."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..network import IntegerNetwork
from ..spec import AcceleratorSpec
from .double_buffer import DoubleBuffer
from .layouts import encoder_trace, index_shape, spike_word
from .lfsr import Lfsr
from .reserved_queue import ReservedQueue


class SpikeEncoder(wiring.Component):
    """Turns each image into ``timesteps`` Bernoulli spike trains.

    Input j spikes in timestep t if draw number t·n_input + j of the LFSR, which restarts with every
    image, is less than intensity + (intensity >> (intensity_width − 1)).

    Throughput: ``beats`` inputs a cycle, while the next image is loaded into the other half of the
    memory. Latency: `timing.ENCODE_LATENCY` cycles from reading a row of intensities to the commit
    of its spikes; a cycle later they can be taken.

    Members
    -------
    intensities : In, stream
        An image is ceil(n_input / beats) transfers of ``beats`` intensities, the first in the
        lowest bits; what the last transfer has beyond ``n_input`` is ignored.
    words : Out, stream of `layouts.spike_word`
        ceil(n_input / beats) words a timestep.
    trace : Out, `layouts.encoder_trace`
        The words in the cycle in which they are committed.
    """

    def __init__(self, network: IntegerNetwork, spec: AcceleratorSpec):
        self._network, self._spec = network, spec
        self._words = spec.words(network)
        super().__init__({
            "intensities": In(stream.Signature(
                data.ArrayLayout(network.intensity_width, spec.beats))),
            "words": Out(stream.Signature(spike_word(spec.beats))),
            "trace": Out(encoder_trace(spec.beats, network.timesteps, self._words))})

    def elaborate(self, platform):
        m = Module()
        network, beats, words = self._network, self._spec.beats, self._words
        remainder = network.n_input - (words - 1) * beats
        image_shape = self.intensities.payload.shape()

        m.submodules.halves = halves = DoubleBuffer()
        m.submodules.image = image = memory.Memory(
            shape=image_shape, depth=2 << ceil_log2(words), init=[])
        m.submodules.lfsr = lfsr = Lfsr(network.lfsr_state, network.intensity_width, beats,
                                        remainder)
        m.submodules.queue = queue = ReservedQueue(self.words.payload.shape())
        wiring.connect(m, queue.words, wiring.flipped(self.words))

        write = image.write_port()
        loaded = Signal(index_shape(words))
        m.d.comb += [self.intensities.ready.eq(halves.can_fill),
                     write.addr.eq(self._address(loaded, halves.fill)),
                     write.data.eq(self.intensities.payload),
                     write.en.eq(self.intensities.valid & halves.can_fill)]
        with m.If(write.en):
            m.d.sync += loaded.eq(loaded + 1)
            with m.If(loaded == words - 1):
                m.d.sync += loaded.eq(0)
                m.d.comb += halves.filled.eq(1)

        read = image.read_port()
        word = Signal(index_shape(words))
        timestep = Signal(index_shape(network.timesteps))
        issue = Signal()
        closes = Signal()
        m.d.comb += [issue.eq(halves.can_drain & queue.room),
                     closes.eq(word == words - 1),
                     queue.reserve.eq(issue),
                     read.addr.eq(self._address(word, halves.drain)),
                     lfsr.step.eq(issue), lfsr.is_partial.eq(closes)]
        with m.If(issue):
            m.d.sync += word.eq(word + 1)
            with m.If(closes):
                m.d.sync += [word.eq(0), timestep.eq(timestep + 1)]
                with m.If(timestep == network.timesteps - 1):
                    m.d.sync += timestep.eq(0)
                    m.d.comb += [halves.drained.eq(1), lfsr.restart.eq(1)]

        draws = Signal.like(lfsr.draws)
        commit = Signal()
        last = Signal()
        inputs = Signal(beats)
        m.d.sync += [commit.eq(issue), last.eq(closes), draws.eq(lfsr.draws),
                     inputs.eq(Mux(closes, 2**remainder - 1, 2**beats - 1)),
                     self.trace.timestep.eq(timestep), self.trace.word.eq(word)]
        fires = Cat(draws[i] < self._limit(read.data[i]) for i in range(beats))
        m.d.comb += [queue.push.eq(commit), queue.word.spikes.eq(fires & inputs),
                     queue.word.last.eq(last),
                     self.trace.valid.eq(commit), self.trace.spikes.eq(queue.word.spikes)]
        return m

    def _address(self, row: Value, half: Value) -> Value:
        return Cat(row[:ceil_log2(self._words)], half)

    @staticmethod
    def _limit(intensity: Value) -> Value:
        return intensity + intensity[-1]
