"""Readout: counts the output layer's spikes and names the class."""

from amaranth import *
from amaranth.lib import data, memory, stream, wiring
from amaranth.lib.wiring import In, Out

from ..network import IntegerNetwork
from ..spec import fold_count
from .layouts import index_shape, output_word, result


class Readout(wiring.Component):
    """Sends, at the end of an image, each output neuron's count and current, and the class.

    current = threshold·count + final membrane − initial membrane; the class is the first neuron of
    those with the largest current.

    Throughput: a word a cycle before the final timestep; in it, a neuron a cycle. Latency:
    `timing.RESULT_LATENCY` cycles from a neuron's word to its result.

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
        super().__init__({
            "words": In(stream.Signature(output_word(lanes, network.widths[-1].membrane))),
            "results": Out(stream.Signature(result(network.n_output, network.count_width,
                                                   network.current_width)))})

    def elaborate(self, platform):
        m = Module()
        network = self._network
        output = network.layers[-1]
        threshold, initial = int(output.thresholds[0]), int(output.initial_membranes[0])

        advance = Signal()
        m.d.comb += advance.eq(~self.results.valid | self.results.ready)
        counts = self._count(m)
        selected, selecting = self._select(m, counts, advance)

        currents = Signal.like(self.results.payload, name="summed")
        summing = Signal()
        with m.If(advance):
            m.d.sync += [summing.eq(selecting),
                         currents.neuron.eq(selected.neuron), currents.count.eq(selected.count),
                         currents.last.eq(selected.last),
                         currents.current.eq(selected.count * threshold + selected.membrane
                                             - initial)]

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

    def _count(self, m: Module):
        """Counts of the word's neurons, this timestep's spikes included."""
        network, word = self._network, self.words.payload
        folds = fold_count(network.n_output, self._lanes)
        layout = data.ArrayLayout(network.count_width, self._lanes)
        counts = Signal(layout)
        stored = Signal(layout)
        taken = self.words.valid & self.words.ready
        for lane in range(self._lanes):
            before = Mux(word.first, 0, stored[lane])
            m.d.comb += counts[lane].eq(before + word.spikes[lane])

        if folds == 1:
            with m.If(taken):
                m.d.sync += stored.eq(counts)
            return counts
        fold = Signal(index_shape(folds))
        m.submodules.counts = rows = memory.Memory(shape=layout, depth=folds, init=[])
        read = rows.read_port(domain="comb")
        write = rows.write_port()
        m.d.comb += [read.addr.eq(fold), stored.eq(read.data), write.addr.eq(fold),
                     write.data.eq(counts), write.en.eq(taken)]
        with m.If(taken):
            m.d.sync += fold.eq(Mux(word.last, 0, fold + 1))
        return counts

    def _select(self, m: Module, counts: data.View, advance: Signal):
        """Take words; of those of the final timestep, one neuron a cycle."""
        network, word = self._network, self.words.payload
        n_output, lanes = network.n_output, self._lanes
        selected = Signal(data.StructLayout({
            "neuron": index_shape(n_output), "count": network.count_width,
            "membrane": word.membranes.shape().elem_shape, "last": 1}), name="selected")
        lane = Signal(index_shape(lanes))
        neuron = Signal(index_shape(n_output))
        selecting = Signal()
        selects = Signal()
        is_last = Signal()
        m.d.comb += [is_last.eq(neuron == n_output - 1),
                     selects.eq(self.words.valid & word.final & advance),
                     self.words.ready.eq(~word.final
                                         | (advance & ((lane == lanes - 1) | is_last)))]
        with m.If(selects):
            m.d.sync += [lane.eq(lane + 1), neuron.eq(neuron + 1)]
            with m.If(self.words.ready):
                m.d.sync += lane.eq(0)
            with m.If(is_last):
                m.d.sync += neuron.eq(0)
        with m.If(advance):
            m.d.sync += [selecting.eq(selects), selected.neuron.eq(neuron),
                         selected.count.eq(counts[lane]),
                         selected.membrane.eq(word.membranes[lane]), selected.last.eq(is_last)]
        return selected, selecting
