"""Readout: counts the output layer's spikes and names the class."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..network import IntegerNetwork
from ..parameters import WORD_WIDTH, load_format
from ..spec import AcceleratorSpec
from .layouts import NO_COLLISIONS, index_shape, load_bus, output_word, result


class Readout(wiring.Component):
    """Sends, at the end of an image, each output neuron's count and current, and the class.

    current = threshold·count + final membrane − initial membrane; the class is the first neuron of
    those with the largest current. Since a potential is a membrane less the threshold, before it
    was subtracted, that is potential + threshold·(count of the timesteps before + 1) − initial
    membrane.

    Throughput: a word a cycle, or every other cycle with more than one fold; in the final timestep,
    a neuron a cycle at most. Latency: `timing.RESULT_LATENCY` cycles from a neuron's word to its
    result.

    Parameters
    ----------
    network : IntegerNetwork
        Whose output layer.
    spec : AcceleratorSpec

    Members
    -------
    words : In, stream of `layouts.output_word`
    results : Out, stream of `layouts.result`
        One transfer an output neuron, in order.
    load : In, `layouts.load_bus`
        If parameters are loaded: threshold and initial membrane.
    """

    def __init__(self, network: IntegerNetwork, spec: AcceleratorSpec):
        index = len(network.layers) - 1
        self._network, self._lanes = network, spec.lanes[index]
        self._folds, self._capacity = spec.folds(network, index), spec.capacity(index)
        width = spec.accumulator_width(network, index)
        members = {
            "words": In(stream.Signature(output_word(self._lanes, width))),
            "results": Out(stream.Signature(result(network.n_output, network.count_width,
                                                   spec.current_width(network))))}
        if self._capacity is not None:
            members["load"] = In(load_bus(load_format(network, spec)))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        if self._capacity is not None:
            self._take_parameters(m)
        advance = Signal()
        m.d.comb += advance.eq(~self.results.valid | self.results.ready)
        before, known = self._count(m)
        currents = Signal.like(self.results.payload, name="summed")
        summing = self._select(m, before, known & advance, advance, currents)

        best = Signal.like(currents.current)
        winner = Signal.like(currents.predicted)
        leads = Signal()
        m.d.comb += leads.eq((currents.neuron == 0) | (currents.current > best))
        with m.If(advance):
            m.d.sync += [self.results.valid.eq(summing), self.results.payload.eq(currents),
                         self.results.payload.predicted.eq(Mux(leads, currents.neuron, winner))]
            with m.If(summing & leads):
                m.d.sync += [best.eq(currents.current), winner.eq(currents.neuron)]
        return m

    def _count(self, m: Module) -> tuple[data.View, Value]:
        """Counts of the word's neurons in the timesteps before, and whether they are known yet."""
        word, folds = self.words.payload, self._folds
        layout = data.ArrayLayout(self._network.count_width, self._lanes)
        before, counts, stored = (Signal(layout, name=name)
                                  for name in ("before", "counts", "stored"))
        taken = self.words.valid & self.words.ready
        for lane in range(self._lanes):
            m.d.comb += [before[lane].eq(Mux(word.first, 0, stored[lane])),
                         counts[lane].eq(before[lane] + word.spikes[lane])]
        if folds == 1:
            with m.If(taken):
                m.d.sync += stored.eq(counts)
            return before, Const(1, 1)
        fold = Signal(index_shape(folds))
        known = Signal()
        m.submodules.counts = rows = memory.Memory(shape=layout, depth=folds, init=[],
                                                   attrs=NO_COLLISIONS)
        read, write = rows.read_port(), rows.write_port()
        m.d.comb += [read.addr.eq(fold), stored.eq(read.data), write.addr.eq(fold),
                     write.data.eq(counts), write.en.eq(taken)]
        m.d.sync += known.eq(~taken)
        with m.If(taken):
            m.d.sync += fold.eq(Mux(word.last, 0, fold + 1))
        return before, known

    def _select(self, m: Module, before: data.View, may_select: Value, advance: Value,
                currents: data.View) -> Signal:
        """Take words; of those of the final timestep, sum up one neuron a cycle."""
        n_output, lanes, word = self._network.n_output, self._lanes, self.words.payload
        lane = Signal(index_shape(lanes))
        neuron = Signal(index_shape(n_output))
        selects = Signal()
        is_last = Signal()
        summing = Signal()
        count, spike = before[lane], word.spikes.bit_select(lane, 1)
        potential = Signal.like(word.potentials[0], name="selected_potential")
        m.d.comb += [is_last.eq(neuron == n_output - 1), potential.eq(word.potentials[lane]),
                     selects.eq(self.words.valid & word.final & may_select),
                     self.words.ready.eq(may_select & (
                         ~word.final | (lane == lanes - 1) | is_last))]
        with m.If(selects):
            m.d.sync += [lane.eq(lane + 1), neuron.eq(neuron + 1)]
            with m.If(self.words.ready):
                m.d.sync += lane.eq(0)
            with m.If(is_last):
                m.d.sync += neuron.eq(0)
        with m.If(advance):
            m.d.sync += [summing.eq(selects), currents.neuron.eq(neuron),
                         currents.count.eq(count + spike), currents.last.eq(is_last),
                         currents.current.eq(potential + self._charge(count))]
        return summing

    def _charge(self, before: Value) -> Value:
        """What the current is more than the potential: threshold·(before + 1) − initial membrane.

        It is looked up, four bits of the count at a time, which takes a LUT a bit; if parameters
        are loaded, it is added up.
        """
        if self._capacity is not None:
            # Bit by bit: a few adders, in any family.
            total = self._threshold - self._initial
            for place, bit in enumerate(before):
                total = total + Mux(bit, self._threshold << place, 0)
            return total
        output = self._network.neurons(len(self._network.layers) - 1)
        threshold, initial = int(output.thresholds[0]), int(output.initial_membranes[0])
        total = Const(0, 1)
        for low in range(0, len(before), 4):
            nibble = before[low:low + 4]
            offset = 0 if low else threshold - initial
            shape = range((threshold * 15 << low) + offset + 1)
            total = total + Array(Const((threshold * number << low) + offset, shape)
                                  for number in range(1 << len(nibble)))[nibble]
        return total

    def _take_parameters(self, m: Module):
        """Threshold and initial membrane, as they are loaded."""
        threshold, initial = self._capacity.threshold, self._capacity.accumulator
        loaded = Signal(threshold + initial, name="loaded", reset_less=True)
        for low in range(0, len(loaded), WORD_WIDTH):
            with m.If(self.load.enable & (self.load.word == low // WORD_WIDTH)):
                m.d.sync += loaded[low:low + WORD_WIDTH].eq(self.load.data)
        self._threshold = loaded[:threshold]
        self._initial = loaded[threshold:].as_signed()
