"""Readout: counts the output layer's spikes and names the class."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..network import IntegerNetwork
from ..spec import fold_count
from .layouts import NO_COLLISIONS, index_shape, output_word, result


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
    lanes : int
        Neurons in a word.

    Members
    -------
    words : In, stream of `layouts.output_word`
    results : Out, stream of `layouts.result`
        One transfer an output neuron, in order.
    """

    def __init__(self, network: IntegerNetwork, lanes: int):
        self._network, self._lanes = network, lanes
        self._folds = fold_count(network.n_output, lanes)
        super().__init__({
            "words": In(stream.Signature(output_word(lanes, network.widths[-1].accumulator))),
            "results": Out(stream.Signature(result(network.n_output, network.count_width,
                                                   network.current_width)))})

    def elaborate(self, platform):
        m = Module()
        network = self._network
        output = network.neurons(len(network.layers) - 1)
        threshold, initial = int(output.thresholds[0]), int(output.initial_membranes[0])

        advance = Signal()
        m.d.comb += advance.eq(~self.results.valid | self.results.ready)
        before, known = self._count(m)
        selected, selecting = self._select(m, before, known & advance, advance)

        currents = Signal.like(self.results.payload, name="summed")
        summing = Signal()
        with m.If(advance):
            m.d.sync += [summing.eq(selecting),
                         currents.neuron.eq(selected.neuron),
                         currents.count.eq(selected.before + selected.spike),
                         currents.last.eq(selected.last),
                         currents.current.eq(self._multiple(selected.before, threshold)
                                             + selected.potential + (threshold - initial))]

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

    @staticmethod
    def _multiple(count: Value, factor: int) -> Value:
        """count · factor by tables of four bits of the count, which are a LUT a bit, and no DSP."""
        return sum(Array(C(number * factor, (15 * factor).bit_length() or 1)
                         for number in range(1 << len(nibble)))[nibble] << shift
                   for shift, nibble in ((low, count[low:low + 4])
                                         for low in range(0, len(count), 4)))

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
        m.submodules.counts = rows = memory.Memory(shape=layout, depth=folds, init=[], attrs=NO_COLLISIONS)
        read, write = rows.read_port(), rows.write_port()
        m.d.comb += [read.addr.eq(fold), stored.eq(read.data), write.addr.eq(fold),
                     write.data.eq(counts), write.en.eq(taken)]
        m.d.sync += known.eq(~taken)
        with m.If(taken):
            m.d.sync += fold.eq(Mux(word.last, 0, fold + 1))
        return before, known

    def _select(self, m: Module, before: data.View, may_select: Value, advance: Value):
        """Take words; of those of the final timestep, one neuron a cycle."""
        network, word = self._network, self.words.payload
        n_output, lanes = network.n_output, self._lanes
        selected = Signal(data.StructLayout({
            "neuron": index_shape(n_output), "before": network.count_width, "spike": 1,
            "potential": word.potentials.shape().elem_shape, "last": 1}), name="selected")
        lane = Signal(index_shape(lanes))
        neuron = Signal(index_shape(n_output))
        selecting = Signal()
        selects = Signal()
        is_last = Signal()
        m.d.comb += [is_last.eq(neuron == n_output - 1),
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
            m.d.sync += [selecting.eq(selects), selected.neuron.eq(neuron),
                         selected.before.eq(before[lane]), selected.spike.eq(word.spikes.bit_select(lane, 1)),
                         selected.potential.eq(word.potentials[lane]), selected.last.eq(is_last)]
        return selected, selecting
