"""Event-driven layer: events in, spikes of its neurons out."""

from contextlib import nullcontext
from typing import NamedTuple

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..network import IntegerNetwork
from ..parameters import load_format
from ..rounds import Adds, Closes, phases
from ..spec import AcceleratorSpec
from ..timing import MEMORY_LATENCY, STORE_LATENCY
from .layouts import event, index_shape, layer_trace, load_bus, output_word, spike_word
from .neuron_array import NeuronArray, Operation, Region
from .parameter_rows import ParameterRows
from .reserved_queue import ReservedQueue
from .weight_memory import WeightMemory


class Step(NamedTuple):
    """An operation on its way through the pipeline, and what it needs there."""

    operation: Value
    row: Value
    fold: Value
    next_region: Value
    timestep: Value
    """Round of the phase; needed by the trace alone."""
    is_first: Value
    is_final: Value
    """First and final timestep of the image."""

    def delayed(self, m: Module, name: str) -> "Step":
        """The step a cycle later."""
        later = Step(*(Signal.like(value, name=f"{name}_{field}")
                       for field, value in zip(self._fields, self, strict=True)))
        m.d.sync += [after.eq(before) for after, before in zip(later, self, strict=True)]
        return later


class Layer(wiring.Component):
    """Works through rounds, and in each of them through the folds of its neurons.

    In a round (`rounds.phases`) each fold takes a cycle for each event of the timestep (with two
    ports, for two spikes of a group of a word), one if there is none, and is then closed, which
    takes a cycle (`timing.CLOSE_CYC`), or two where a membrane may saturate.

    Throughput: an operation a cycle, so folds · (max(events, 1) + 1) cycles a timestep, unless
    events are missing or the words are not taken. Latency: `AcceleratorSpec.fire_latency` cycles
    from closing a fold to its commit.

    Parameters
    ----------
    network : IntegerNetwork
    spec : AcceleratorSpec
    index : int
        Which of the network's layers. The last one sends potentials along with the spikes.
    trace : bool
        Whether the trace is wanted.

    Members
    -------
    events : In, stream of `layouts.event`
        Those of a timestep, once for each fold.
    words : Out, stream of `layouts.spike_word`, or of `layouts.output_word` for the output layer
        A word a fold; without a spike only if it closes the timestep, or in the output layer.
    trace : Out, `layouts.layer_trace`
        Every fold in the cycle in which it commits.
    load_weights, load_thresholds : In, `layouts.load_bus`
        If parameters are loaded.
    corrupted, corrupted_row : Out
        With parity: a row of weights that was used is corrupted, and its number.
    """

    def __init__(self, network: IntegerNetwork, spec: AcceleratorSpec, index: int, *,
                 trace: bool = False):
        self._network, self._spec, self._index, self._trace = network, spec, index, trace
        self._layer = network.layers[index]
        self._lanes, self._folds = spec.lanes[index], spec.folds(network, index)
        self._ports = spec.ports[index]
        self._is_output = index == len(network.layers) - 1
        self._phases = phases(network, index)
        self._saturates = network.widths[index].saturates
        self._capacity, self._form = spec.capacity(index), None
        word = (output_word(self._lanes, spec.accumulator_width(network, index)) if self._is_output
                else spike_word(self._layer.n_output, self._lanes))
        members = {
            "events": In(stream.Signature(event(self._layer.n_input, self._ports))),
            "words": Out(stream.Signature(word)),
            "trace": Out(layer_trace(self._lanes, network.timesteps, self._folds,
                                     spec.membrane_width(network, index)))}
        if self._capacity is not None:
            self._form = load_format(network, spec)
            bus = load_bus(self._form)
            members |= {"load_weights": In(bus), "load_thresholds": In(bus)}
        if spec.parity:
            rows = self._folds * spec.fold_rows(network, index)
            members |= {"corrupted": Out(1), "corrupted_row": Out(index_shape(rows))}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        self._begins = None
        m.submodules.weight_memory = weights = WeightMemory(
            self._layer, self._lanes, self._spec.memories[self._index],
            self._spec.weight_shape(self._network, self._index), self._ports, self._form,
            self._spec.parity)
        m.submodules.neurons = neurons = NeuronArray(self._network, self._spec, self._index,
                                                     trace=self._trace)
        m.submodules.queue = queue = ReservedQueue(
            self.words.payload.shape(), self._spec.queue_depth(self._network, self._index))
        self._send(m, queue.words)

        events = self.events
        if self._capacity is not None:
            events = self._loaded(m, weights, neurons)

        issued = self._sequence(m, events, queue)
        addressed = issued.delayed(m, "addressed")
        if self._ports == 2:
            m.d.sync += [weights.second_row.eq(self._base + events.payload.second_address),
                         weights.second_counts.eq(events.payload.second_spike)]
        fetched = addressed.delayed(m, "fetched")
        for number in range(weights.latency - MEMORY_LATENCY):
            fetched = fetched.delayed(m, f"awaited_{number}")
        executed = fetched.delayed(m, "executed")
        m.d.comb += [weights.row.eq(addressed.row), neurons.weights.eq(weights.weights),
                     neurons.operation.eq(fetched.operation), neurons.fold.eq(fetched.fold),
                     neurons.next_region.eq(fetched.next_region)]
        if self._spec.parity:
            m.d.comb += [weights.row_counts.eq(addressed.operation == Operation.SYNAPSE),
                         self.corrupted.eq(weights.corrupted),
                         self.corrupted_row.eq(weights.corrupted_row)]
        self._commit(m, neurons, queue, executed)
        return m

    def _loaded(self, m: Module, weights: WeightMemory, neurons: NeuronArray):
        """Take parameters in; return the events with those of the rows that hold them."""
        wiring.connect(m, wiring.flipped(self.load_weights), weights.load)
        wiring.connect(m, wiring.flipped(self.load_thresholds), neurons.load)
        rounds = sum(part.count for part in self._phases if part.adds is Adds.EVENTS)
        m.submodules.parameter_rows = rows = ParameterRows(
            self._layer.n_input, self._capacity, self._folds, rounds)
        wiring.connect(m, wiring.flipped(self.events), rows.events)
        if self._folds > 1:
            # As far behind as an operation is.
            begins = self._begins = Signal(name="begins")
            for stage in ("addressed", "fetched"):
                later = Signal(name=f"{stage}_begins")
                m.d.sync += later.eq(begins)
                begins = later
            m.d.comb += neurons.begins.eq(begins)
        return rows.completed

    def _send(self, m: Module, words):
        """Offer the words of the queue, which keeps the opposite of spikes: their sign bits."""
        m.d.comb += [self.words.valid.eq(words.valid), words.ready.eq(self.words.ready),
                     self.words.payload.eq(words.payload),
                     self.words.payload.spikes.eq(~words.payload.spikes)]

    def _commit(self, m: Module, neurons: NeuronArray, queue: ReservedQueue, executed: Step):
        """Send what a fold fired."""
        word, commit = queue.word, neurons.commit
        last = executed.fold == self._folds - 1
        m.d.comb += [word.spikes.eq(~neurons.spikes), word.last.eq(last),
                     self.trace.valid.eq(commit), self.trace.timestep.eq(executed.timestep),
                     self.trace.fold.eq(executed.fold), self.trace.spikes.eq(neurons.spikes),
                     self.trace.membranes.eq(neurons.membranes)]
        if self._is_output:
            m.d.comb += [queue.push.eq(commit), word.potentials.eq(neurons.potentials),
                         word.first.eq(executed.is_first), word.final.eq(executed.is_final)]
            return
        matters = last | neurons.spikes.any()
        base = Signal(word.base.shape())
        m.d.comb += [queue.push.eq(commit & matters), queue.drop.eq(commit & ~matters),
                     word.base.eq(base)]
        if self._folds > 1:
            with m.If(commit):
                m.d.sync += base.eq(Mux(last, 0, base + self._lanes))

    def _sequence(self, m: Module, events, queue: ReservedQueue) -> Step:
        """Issue the operations of round after round."""
        n_rows, parts = self._spec.fold_rows(self._network, self._index), self._phases
        phase = Signal(index_shape(len(parts)))
        round_ = Signal(index_shape(max(part.count for part in parts)), name="round")
        fold = Signal(index_shape(self._folds))
        base = Signal(index_shape(self._folds * n_rows))
        operation = Signal(Operation)
        advance = Signal()
        m.d.comb += operation.eq(Operation.IDLE)
        self._may_close = None if self._begins is None else self._fetching(m, advance)

        with m.FSM():
            with m.State("ADD"):
                with m.Switch(phase):
                    for number, part in enumerate(parts):
                        with m.Case(number):
                            self._add(m, part.adds, events, operation)
            with m.State("CLOSE"):
                with m.Switch(phase):
                    for number, part in enumerate(parts):
                        with m.Case(number):
                            self._close(m, part.closes, queue, operation, advance)
            if self._saturates:
                with m.State("ADVANCE"):
                    m.d.comb += [operation.eq(Operation.ADVANCE), advance.eq(1)]
                    m.next = "ADD"

        is_last_fold = fold == self._folds - 1
        is_last_round = Array(part.count - 1 for part in parts)[phase] == round_
        with m.If(advance):
            if self._folds > 1:
                m.d.sync += [fold.eq(Mux(is_last_fold, 0, fold + 1)),
                             base.eq(Mux(is_last_fold, 0, base + n_rows))]
            with m.If(is_last_fold):
                m.d.sync += round_.eq(round_ + 1)
                with m.If(is_last_round):
                    m.d.sync += [round_.eq(0),
                                 phase.eq(Mux(phase == len(parts) - 1, 0, phase + 1))]
        self._base = base
        row = Signal.like(base)
        m.d.comb += row.eq(base + events.payload.address)
        return Step(operation, row, fold,
                    self._next_region(m, phase, round_, is_last_fold, is_last_round),
                    round_, round_ == 0, is_last_round)

    def _add(self, m: Module, adds: Adds, events, operation: Signal):
        if adds is Adds.EVENTS:
            m.d.comb += events.ready.eq(1)
            with m.If(events.valid):
                self._begin(m)
                m.d.comb += operation.eq(Mux(events.payload.spike, Operation.SYNAPSE,
                                             Operation.IDLE))
                with m.If(events.payload.last):
                    m.next = "CLOSE"
            return
        self._begin(m)
        if adds is Adds.CURRENT:
            m.d.comb += operation.eq(Operation.CURRENT)
        m.next = "CLOSE"

    def _close(self, m: Module, closes: Closes, queue: ReservedQueue, operation: Signal,
               advance: Signal):
        if closes is not Closes.FIRE:
            with nullcontext() if self._may_close is None else m.If(self._may_close):
                m.d.comb += [operation.eq(Operation[closes.name]), advance.eq(1)]
                m.next = "ADD"
            return
        room = queue.room if self._may_close is None else queue.room & self._may_close
        with m.If(room):
            m.d.comb += [operation.eq(Operation.FIRE), queue.reserve.eq(1)]
            if self._saturates:
                m.next = "ADVANCE"
            else:
                m.d.comb += advance.eq(1)
                m.next = "ADD"

    def _begin(self, m: Module):
        """The cycle may be that of a fold's first operation."""
        if self._begins is not None:
            m.d.comb += self._begins.eq(self._fresh)

    def _fetching(self, m: Module, advance: Signal) -> Value:
        """Whether what the fold began to fetch is going to be there if it is closed now."""
        fetch_cyc = self._spec.parts(self._network, self._index) + STORE_LATENCY
        self._fresh = Signal(name="fresh", init=1)
        left = Signal(range(fetch_cyc), name="fetch_left")
        with m.If(self._begins):
            m.d.sync += [self._fresh.eq(0), left.eq(fetch_cyc - 1)]
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        with m.If(advance):
            m.d.sync += self._fresh.eq(1)
        return left == 0

    def _next_region(self, m: Module, phase: Value, round_: Value, is_last_fold: Value,
                     is_last_round: Value) -> Signal:
        """Where the potentials of the fold that comes next begin."""
        parts = self._phases
        settled = [number for number, part in enumerate(parts) if part.closes is Closes.SETTLE]
        begin = Region.ZERO if settled else Region.INITIAL
        region = Signal(Region)
        m.d.comb += region.eq(Region.STORED)
        ends = is_last_round & is_last_fold
        with m.If(((phase == 0) & (round_ == 0) & ~is_last_fold)
                  | ((phase == len(parts) - 1) & ends)):
            m.d.comb += region.eq(begin)
        for number in settled:
            with m.If(((phase == number) & is_last_fold)
                      | ((phase == number + 1) & (round_ == 0) & ~is_last_fold)):
                m.d.comb += region.eq(Region.INITIAL)
        return region
