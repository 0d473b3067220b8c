"""Array of integrate-and-fire neurons: as many as it has lanes, in each of its folds."""

from amaranth import *
from amaranth.lib import data, enum, memory, wiring
from amaranth.lib.wiring import In, Out

from ..network import IntegerLayer, LayerWidths
from ..spec import fold_count
from .layouts import index_shape


class Operation(enum.Enum, shape=2):
    """What the lanes do with their accumulators in a cycle."""

    IDLE = 0
    BEGIN = 1
    """Load the membrane and add the bias."""
    SYNAPSE = 2
    """Add a weight."""
    FIRE = 3
    """Compare with the threshold, subtract it from those that reach it, store the membrane."""


class NeuronArray(wiring.Component):
    """Updates the membranes of one fold of neurons at a time, all lanes alike.

    integrated = membrane + bias + sum of weights; it fires if integrated >= threshold; the stored
    membrane is integrated − threshold if it fires, otherwise integrated, saturated to its width
    where the layer has one of its own. A fold is a ``BEGIN``, a ``SYNAPSE`` for each event, and a
    ``FIRE``.

    One adder a lane does all of it. Throughput: an operation a cycle, without gaps, as long as a
    fold comes again only after each other fold has. Latency: a cycle from an operation to its
    execution; a ``FIRE`` commits in the cycle in which it is executed.

    Parameters
    ----------
    layer : IntegerLayer
        Whose neurons. Lanes without a neuron never fire.
    widths : LayerWidths
        Its widths.
    lanes : int
        Neurons in a fold.

    Members
    -------
    operation : In
        To be executed in the next cycle.
    fold : In
        On the neurons fold·lanes and up.
    first : In
        A ``BEGIN`` loads the initial membranes instead of the stored ones.
    weights : In
        For a ``SYNAPSE``, a cycle after it.
    commit : Out
        A ``FIRE`` is being executed: ``spikes`` and ``membranes`` are its results.
    """

    def __init__(self, layer: IntegerLayer, widths: LayerWidths, lanes: int):
        self._layer, self._widths, self._lanes = layer, widths, lanes
        self._folds = fold_count(layer.n_output, lanes)
        super().__init__({
            "operation": In(Operation), "fold": In(index_shape(self._folds)), "first": In(1),
            "weights": In(data.ArrayLayout(signed(layer.weight_width), lanes)),
            "commit": Out(1), "spikes": Out(lanes),
            "membranes": Out(data.ArrayLayout(signed(widths.membrane), lanes))})

    def elaborate(self, platform):
        m = Module()
        executed = Signal(Operation)
        is_first = Signal()
        executed_fold = Signal.like(self.fold)
        m.d.sync += [executed.eq(self.operation), is_first.eq(self.first),
                     executed_fold.eq(self.fold)]
        m.d.comb += self.commit.eq(executed == Operation.FIRE)

        layer, widths = self._layer, self._widths
        biases = self._parameters(m, "biases", layer.biases, signed(widths.bias))
        thresholds = self._parameters(m, "thresholds", layer.thresholds,
                                      unsigned(widths.threshold), unused=1)
        initial_membranes = self._parameters(m, "initial_membranes", layer.initial_membranes,
                                             signed(widths.membrane))
        stored = self._stored_membranes(m, executed_fold)

        for lane in range(self._lanes):
            accumulator = Signal(signed(self._widths.accumulator), name=f"accumulator_{lane}")
            augend = Signal.like(accumulator, name=f"augend_{lane}")
            addend = Signal.like(accumulator, name=f"addend_{lane}")
            total = Signal.like(accumulator, name=f"total_{lane}")
            m.d.comb += [augend.eq(accumulator), total.eq(augend + addend)]
            with m.Switch(executed):
                with m.Case(Operation.BEGIN):
                    held = accumulator if stored is None else stored[lane]
                    m.d.comb += [augend.eq(Mux(is_first, initial_membranes[lane], held)),
                                 addend.eq(biases[lane])]
                with m.Case(Operation.SYNAPSE):
                    m.d.comb += addend.eq(self.weights[lane])
                with m.Case(Operation.FIRE):
                    m.d.comb += addend.eq(-thresholds[lane])

            fires = total >= 0
            remains = Signal.like(accumulator, name=f"remains_{lane}")
            m.d.comb += [remains.eq(Mux(fires, total, accumulator)),
                         self.spikes[lane].eq(fires),
                         self.membranes[lane].eq(self._saturated(remains))]
            with m.Switch(executed):
                with m.Case(Operation.BEGIN, Operation.SYNAPSE):
                    m.d.sync += accumulator.eq(total)
                with m.Case(Operation.FIRE):
                    m.d.sync += accumulator.eq(self.membranes[lane])
        return m

    def _parameters(self, m: Module, name: str, values, shape: Shape, unused: int = 0
                    ) -> list[Value]:
        """A parameter of the neuron in each lane: a constant, or read with the fold."""
        padded = [*values.tolist(), *[unused] * (self._folds * self._lanes - len(values))]
        columns = [padded[lane::self._lanes] for lane in range(self._lanes)]
        varying = [lane for lane, column in enumerate(columns) if len(set(column)) > 1]
        if varying:
            rom = memory.Memory(
                shape=data.ArrayLayout(shape, len(varying)), depth=self._folds,
                init=[[columns[lane][fold] for lane in varying] for fold in range(self._folds)])
            m.submodules[name] = rom
            read = rom.read_port()
            m.d.comb += read.addr.eq(self.fold)
        return [read.data[varying.index(lane)] if lane in varying
                else Const(column[0], shape) for lane, column in enumerate(columns)]

    def _stored_membranes(self, m: Module, fold: Value):
        """The membranes as the fold's ``FIRE`` left them; None where the accumulators hold them."""
        if self._folds == 1:
            return None
        m.submodules.stored = stored = memory.Memory(
            shape=self.membranes.shape(), depth=self._folds, init=[])
        read = stored.read_port()
        write = stored.write_port()
        m.d.comb += [read.addr.eq(self.fold), write.addr.eq(fold),
                     Value.cast(write.data).eq(Value.cast(self.membranes)),
                     write.en.eq(self.commit)]
        return read.data

    def _saturated(self, value: Value) -> Value:
        if not self._widths.saturates:
            return value
        limit = 2 ** (self._widths.membrane - 1)
        return Mux(value < -limit, -limit, Mux(value > limit - 1, limit - 1, value))
