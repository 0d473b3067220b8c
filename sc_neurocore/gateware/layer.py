"""Event-driven layer: events in, spikes and membranes of its neurons out."""

from typing import NamedTuple

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..network import IntegerLayer, LayerWidths
from ..spec import fold_count
from .event_buffer import EventBuffer
from .layouts import event, index_shape, layer_trace, output_word, spike_word
from .neuron_array import NeuronArray, Operation
from .reserved_queue import ReservedQueue
from .weight_memory import WeightMemory


class Step(NamedTuple):
    """An operation on its way through the pipeline, and what it needs there."""

    operation: Value
    fold: Value
    timestep: Value
    base: Value
    """Row of the weight memory at which the fold begins."""

    def delayed(self, m: Module, name: str) -> "Step":
        """The step a cycle later."""
        later = Step(*(Signal.like(value, name=f"{name}_{field}")
                       for field, value in zip(self._fields, self, strict=True)))
        m.d.sync += [after.eq(before) for after, before in zip(later, self, strict=True)]
        return later


class Layer(wiring.Component):
    """Works through a timestep's events once for each fold of its neurons.

    Throughput: an operation a cycle, so folds · (events + `timing.FIRE_OVERHEAD`) cycles a
    timestep, unless the next timestep has not come yet or the words are not taken. Latency:
    `timing.FIRE_LATENCY` cycles from a fold's last operation to its commit; a cycle later its word
    can be taken.

    Parameters
    ----------
    layer : IntegerLayer
        Weights, biases, thresholds and initial membranes.
    widths : LayerWidths
        Its widths.
    timesteps : int
        Timesteps an image; with the first of them the membranes start anew.
    lanes : int
        Neurons updated in parallel.
    is_output : bool
        Whether it sends membranes along with the spikes.

    Members
    -------
    events : In, stream of `layouts.event`
    words : Out, stream of `layouts.spike_word`, or of `layouts.output_word` for the output layer
        A word a fold.
    trace : Out, `layouts.layer_trace`
        The words in the cycle in which they are committed.
    """

    def __init__(self, layer: IntegerLayer, widths: LayerWidths, timesteps: int, lanes: int,
                 is_output: bool):
        self._layer, self._widths = layer, widths
        self._timesteps, self._lanes, self._is_output = timesteps, lanes, is_output
        self._folds = fold_count(layer.n_output, lanes)
        word = output_word(lanes, widths.membrane) if is_output else spike_word(lanes)
        super().__init__({
            "events": In(stream.Signature(event(layer.n_input))),
            "words": Out(stream.Signature(word)),
            "trace": Out(layer_trace(lanes, timesteps, self._folds, widths.membrane))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.buffer = buffer = EventBuffer(self._layer.n_input)
        m.submodules.weight_memory = weights = WeightMemory(self._layer, self._lanes)
        m.submodules.neurons = neurons = NeuronArray(self._layer, self._widths, self._lanes)
        m.submodules.queue = queue = ReservedQueue(self.words.payload.shape())
        wiring.connect(m, wiring.flipped(self.events), buffer.events)
        wiring.connect(m, queue.words, wiring.flipped(self.words))

        issued = self._sequence(m, buffer, queue)
        addressed = issued.delayed(m, "addressed")
        fetched = addressed.delayed(m, "fetched")
        executed = fetched.delayed(m, "executed")

        m.d.comb += [weights.row.eq(addressed.base + buffer.address),
                     neurons.operation.eq(fetched.operation), neurons.fold.eq(fetched.fold),
                     neurons.first.eq(fetched.timestep == 0),
                     neurons.weights.eq(weights.weights)]

        word = queue.word
        m.d.comb += [queue.push.eq(neurons.commit),
                     word.spikes.eq(neurons.spikes), word.last.eq(self._is_last(executed.fold)),
                     self.trace.valid.eq(neurons.commit),
                     self.trace.timestep.eq(executed.timestep), self.trace.fold.eq(executed.fold),
                     self.trace.spikes.eq(neurons.spikes),
                     self.trace.membranes.eq(neurons.membranes)]
        if self._is_output:
            m.d.comb += [word.membranes.eq(neurons.membranes),
                         word.first.eq(executed.timestep == 0),
                         word.final.eq(executed.timestep == self._timesteps - 1)]
        return m

    def _sequence(self, m: Module, buffer: EventBuffer, queue: ReservedQueue) -> Step:
        """Issue the operations of fold after fold, timestep after timestep."""
        n_input = self._layer.n_input
        operation = Signal(Operation)
        fold = Signal(index_shape(self._folds))
        timestep = Signal(index_shape(self._timesteps))
        base = Signal(index_shape(self._folds * n_input))
        index = Signal(index_shape(n_input))
        m.d.comb += [operation.eq(Operation.IDLE), buffer.index.eq(index)]

        with m.FSM():
            with m.State("BEGIN"):
                with m.If(buffer.full):
                    m.d.comb += operation.eq(Operation.BEGIN)
                    m.next = "SYNAPSE"
                    with m.If(buffer.length == 0):
                        m.next = "FIRE"
            with m.State("SYNAPSE"):
                m.d.comb += operation.eq(Operation.SYNAPSE)
                m.d.sync += index.eq(index + 1)
                with m.If(index == buffer.length - 1):
                    m.d.sync += index.eq(0)
                    m.next = "FIRE"
            with m.State("FIRE"):
                with m.If(queue.room):
                    m.d.comb += [operation.eq(Operation.FIRE), queue.reserve.eq(1)]
                    m.d.sync += [fold.eq(fold + 1), base.eq(base + n_input)]
                    m.next = "BEGIN"
                    with m.If(self._is_last(fold)):
                        m.d.comb += buffer.release.eq(1)
                        m.d.sync += [fold.eq(0), base.eq(0), timestep.eq(timestep + 1)]
                        with m.If(timestep == self._timesteps - 1):
                            m.d.sync += timestep.eq(0)
        return Step(operation, fold, timestep, base)

    def _is_last(self, fold: Value) -> Value:
        return fold == self._folds - 1
