"""Spike encoder: intensities in, spike words out."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..network import IntegerNetwork
from ..rounds import encoder_rounds
from ..spec import QUEUE_DEPTH, AcceleratorSpec
from .double_buffer import DoubleBuffer
from .layouts import NO_COLLISIONS, encoder_trace, index_shape, spike_word
from .lfsr import Lfsr
from .reserved_queue import ReservedQueue


class SpikeEncoder(wiring.Component):
    """Turns each image into spikes, round after round; each round is a timestep.

    Input j spikes in timestep t

    lfsr
        if draw number t·n_input + j of the LFSR, which restarts with every image, is less than
        intensity + (intensity >> (intensity_width − 1));
    low_discrepancy
        if (2·phase + 1) / 2^(k + 1) is less than that limit / 2^intensity_width, phase being the
        lowest k = ceil(log2 T) bits of t ⊕ j in reverse order;
    direct
        never; the bits of the intensities are sent instead, a round for each, the highest first.

    Throughput: ``encoder_lanes`` inputs a cycle, while the next image is loaded into the other half
    of the memory; words without spikes are skipped. Latency: `timing.ENCODE_LATENCY` cycles from
    reading a row of intensities to the commit of its spikes; two cycles later they can be taken.

    Members
    -------
    intensities : In, stream
        An image is ceil(n_input / beats) transfers of ``beats`` intensities, the first in the
        lowest bits; what the last transfer has beyond ``n_input`` is ignored.
    words : Out, stream of `layouts.spike_word`
        Those that have a spike or close a round.
    trace : Out, `layouts.encoder_trace`
        All words, in the cycle in which they are committed.
    """

    def __init__(self, network: IntegerNetwork, spec: AcceleratorSpec):
        self._network, self._spec = network, spec
        self._lanes, self._rows = spec.encoder_lanes, spec.encoder_words(network)
        self._rounds = encoder_rounds(network)
        super().__init__({
            "intensities": In(stream.Signature(
                data.ArrayLayout(network.intensity_width, spec.beats))),
            "words": Out(stream.Signature(spike_word(network.n_input, self._lanes))),
            "trace": Out(encoder_trace(self._lanes, self._rounds, self._rows))})

    def elaborate(self, platform):
        m = Module()
        lanes, rows = self._lanes, self._rows
        m.submodules.halves = halves = DoubleBuffer()
        m.submodules.queue = queue = ReservedQueue(self.words.payload.shape(), QUEUE_DEPTH)
        wiring.connect(m, queue.words, wiring.flipped(self.words))
        read = self._load(m, halves)

        row = Signal(index_shape(rows))
        round_ = Signal(index_shape(self._rounds), name="round")
        issue = Signal()
        closes = Signal()
        ends = Signal()
        m.d.comb += [issue.eq(halves.can_drain & queue.room), queue.reserve.eq(issue),
                     closes.eq(row == rows - 1), ends.eq(closes & (round_ == self._rounds - 1)),
                     halves.drained.eq(issue & ends),
                     read.addr.eq(Cat(row[:ceil_log2(rows)], halves.drain))]
        with m.If(issue):
            m.d.sync += row.eq(Mux(closes, 0, row + 1))
            with m.If(closes):
                m.d.sync += round_.eq(Mux(ends, 0, round_ + 1))

        # From here on a row goes a stage a cycle: read, compared, committed.
        intensities = Signal(read.data.shape(), reset_less=True)
        m.d.sync += intensities.eq(read.data)
        reads = self._delayed(m, Cat(issue, closes, ends), "reads")
        compares, compares_last, compares_final = self._delayed(m, reads, "compares")
        fires = self._fires(m, intensities, compares, compares_last, compares & compares_final)
        remainder = self._network.n_input - (rows - 1) * lanes
        inputs = Mux(compares_last, 2**remainder - 1, 2**lanes - 1)
        spikes = Signal(lanes)
        commit, commits_last = self._delayed(m, Cat(compares, compares_last), "commit")
        m.d.sync += spikes.eq(fires & inputs)
        committed = self._position(m, commit, commits_last, "committed")

        word, matters = queue.word, Signal()
        m.d.comb += [word.spikes.eq(spikes), word.last.eq(commits_last),
                     word.base.eq(committed["row"] * lanes),
                     matters.eq(spikes.any() | word.last),
                     queue.push.eq(commit & matters), queue.drop.eq(commit & ~matters),
                     self.trace.valid.eq(commit), self.trace.timestep.eq(committed["round"]),
                     self.trace.word.eq(committed["row"]), self.trace.spikes.eq(spikes)]
        return m

    def _load(self, m: Module, halves: DoubleBuffer) -> memory.ReadPort:
        """Write transfers into the half that is free; return the port that reads rows."""
        beats, lanes, rows = self._spec.beats, self._lanes, self._rows
        parts = lanes // beats
        transfers = self._spec.transfers(self._network)
        m.submodules.image = image = memory.Memory(
            shape=data.ArrayLayout(self._network.intensity_width, lanes),
            depth=2 << ceil_log2(rows), init=[], attrs={**NO_COLLISIONS, "ram_style": "block"})
        write = image.write_port(granularity=beats if parts > 1 else None)
        loaded = Signal(index_shape(transfers))
        enable = Signal()
        part_width = ceil_log2(parts)
        m.d.comb += [self.intensities.ready.eq(halves.can_fill),
                     enable.eq(self.intensities.valid & halves.can_fill),
                     write.addr.eq(Cat((loaded >> part_width)[:ceil_log2(rows)], halves.fill)),
                     Value.cast(write.data).eq(Value.cast(self.intensities.payload)
                                               .replicate(parts)),
                     write.en.eq(Mux(enable, 1 << loaded[:part_width], 0))]
        with m.If(enable):
            m.d.sync += loaded.eq(loaded + 1)
            with m.If(loaded == transfers - 1):
                m.d.sync += loaded.eq(0)
                m.d.comb += halves.filled.eq(1)
        return image.read_port()

    @staticmethod
    def _delayed(m: Module, value: Value, name: str) -> Signal:
        later = Signal.like(value, name=name)
        m.d.sync += later.eq(value)
        return later

    def _position(self, m: Module, step: Value, closes: Value, name: str) -> dict[str, Value]:
        """Row and round of what passes here in the cycles in which ``step`` is set."""
        row = Signal(index_shape(self._rows), name=f"{name}_row")
        round_ = Signal(index_shape(self._rounds), name=f"{name}_round")
        with m.If(step):
            m.d.sync += row.eq(Mux(closes, 0, row + 1))
            with m.If(closes):
                m.d.sync += round_.eq(Mux(round_ == self._rounds - 1, 0, round_ + 1))
        return {"row": row, "round": round_}

    def _fires(self, m: Module, intensities: data.View, step: Value, closes: Value, ends: Value
               ) -> Value:
        """Which inputs of the row spike; ``closes`` a round, ``ends`` an image."""
        width, lanes = self._network.intensity_width, self._lanes
        if self._network.encoder == "lfsr":
            remainder = self._network.n_input - (self._rows - 1) * lanes
            m.submodules.lfsr = lfsr = Lfsr(self._network.lfsr_state, width, lanes, remainder)
            m.d.comb += [lfsr.step.eq(step), lfsr.is_partial.eq(closes), lfsr.restart.eq(ends)]
            return Cat(self._is_below(lfsr.draws[i], intensities[i]) for i in range(lanes))
        at = self._position(m, step, closes, "compared")
        if self._network.encoder == "low_discrepancy":
            return Cat(self._is_below(self._spread(at, i), intensities[i]) for i in range(lanes))
        return Cat(intensities[i][::-1].bit_select(at["round"], 1) for i in range(lanes))

    def _is_below(self, number: Value, intensity: Value) -> Value:
        """Whether number < intensity + highest bit: what is carried out of intensity − number − 1,
        the highest bit being carried in."""
        width = self._network.intensity_width
        number = Cat(number, C(0, width))[:width]
        total = Cat(intensity[-1], intensity) + Cat(intensity[-1], ~number)
        return total[width + 1]

    def _spread(self, at: dict[str, Value], lane: int) -> Value:
        """What the limit of a lane is compared with: the middle of its phase, rounded down."""
        width, phase_width = self._network.intensity_width, (self._rounds - 1).bit_length()
        column = ceil_log2(self._lanes)
        number = Cat(Const(lane, column), at["row"])
        phase = Cat(reversed((at["round"] ^ number)[:phase_width]))
        middle = Cat(C(1, 1), phase)
        shift = width - phase_width - 1
        return middle << shift if shift >= 0 else middle >> -shift
