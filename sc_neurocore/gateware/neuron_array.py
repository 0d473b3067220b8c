"""Array of integrate-and-fire neurons: as many as it has lanes, in each of its folds."""

from amaranth import *
from amaranth.lib import data, enum, memory, wiring
from amaranth.lib.wiring import In, Out

from ..families import reads_at_once
from ..network import IntegerNetwork
from ..parameters import WORD_WIDTH, load_format
from ..rounds import Closes, is_direct, phases
from ..spec import AcceleratorSpec
from .fold_store import FoldStore
from .layouts import NO_COLLISIONS, index_shape, load_bus


class Operation(enum.Enum, shape=3):
    """What the lanes do with their potentials in a cycle."""

    IDLE = 0
    SYNAPSE = 1
    """Add a weight."""
    CURRENT = 2
    """Add the current of direct input."""
    FIRE = 3
    """Spike, if not negative; less the threshold then, and the next timestep's bias."""
    KEEP = 4
    """Close the fold with its potentials as they are."""
    DOUBLE = 5
    """Close it with twice the potentials."""
    SETTLE = 6
    """Close it with its potentials, and the bias, as the current."""
    ADVANCE = 7
    """Close it after a ``FIRE`` that saturates: the next timestep's bias, less the threshold."""


class Region(enum.Enum, shape=2):
    """Where the potentials of a fold come from."""

    STORED = 0
    """As the fold was closed."""
    INITIAL = 1
    """The initial membrane less the threshold, with the biases that are due; 0 where parameters are
    loaded."""
    ZERO = 2
    """Nothing: the sum of direct input begins."""


class NeuronArray(wiring.Component):
    """Updates the potentials of one fold of neurons at a time, all lanes alike.

    The potential of a neuron is its membrane less its threshold, bias included, so its sign says
    whether the neuron fires:

        spike     = potential >= 0
        membrane  = potential + threshold · (1 − spike), saturated to its width where the layer has
                    one of its own
        potential = membrane + bias − threshold in the next timestep, + the weights of its events

    so that one adder a lane does all of it, an operation a cycle; only saturation takes one more.
    Operations that close a fold also load the potentials of the next one, which must not be the
    fold that was closed last unless there is only one.

    Throughput: an operation a cycle. Latency: a cycle from an operation to its execution; a
    ``FIRE`` commits in the cycle in which it is executed.

    Parameters
    ----------
    network : IntegerNetwork
    spec : AcceleratorSpec
    index : int
        Which of the network's layers. Lanes without a neuron never fire.
    trace : bool
        Whether ``membranes`` are wanted.

    Members
    -------
    operation : In
        To be executed in the next cycle.
    fold : In
        On the neurons fold·lanes and up.
    next_region : In
        Where the potentials of the next fold come from, when this one is closed.
    weights : In
        For a ``SYNAPSE``, a cycle after it.
    commit : Out
        A ``FIRE`` is being executed: ``spikes``, ``potentials`` and ``membranes`` are valid.
    spikes : Out
    potentials : Out
        Before the spike.
    membranes : Out
        After it, as they are stored; 0 without ``trace``.

    If parameters are loaded, potentials begin with 0, and the initial ones, and biases, come as
    weights (`ParameterRows`). Then there are, too:

    begins : In
        ``operation`` is the first of its fold; if there are several folds.
    load : In, `layouts.load_bus`
        Thresholds to be loaded.
    """

    COMBINATORIAL_FOLDS = 16
    """Parameters of so few folds are logic; those of more are read from a memory."""

    def __init__(self, network: IntegerNetwork, spec: AcceleratorSpec, index: int, *,
                 trace: bool = False):
        self._neurons, self._widths = network.neurons(index), network.widths[index]
        lanes = spec.lanes[index]
        self._lanes, self._trace, self._family = lanes, trace, spec.family
        self._capacity, self._parts = spec.capacity(index), spec.parts(network, index)
        layer = network.layers[index]
        self._folds = spec.folds(network, index)
        self._direct = is_direct(network, index)
        self._phases = phases(network, index)
        self._saturates = self._widths.saturates
        potentials = self._widths.potentials
        self._shapes = [signed(max(potentials[lane::lanes]) if self._capacity is None
                               else self._capacity.potential) for lane in range(lanes)]
        neurons = self._neurons
        at_once = network.schedule == "layer_by_layer"
        # Biases that are not added once a timestep are there from the beginning.
        self._bias = 0 * neurons.biases if self._direct or at_once else neurons.biases
        due = 0 if self._direct else network.timesteps if at_once else 1
        self._initial = neurons.initial_membranes + due * neurons.biases - neurons.thresholds
        members = {
            "operation": In(Operation), "fold": In(index_shape(self._folds)),
            "next_region": In(Region),
            "weights": In(data.ArrayLayout(
                signed(layer.weight_width + spec.ports[index] - 1), lanes)),
            "commit": Out(1), "spikes": Out(lanes),
            "potentials": Out(data.ArrayLayout(
                signed(spec.accumulator_width(network, index)), lanes)),
            "membranes": Out(data.ArrayLayout(signed(spec.membrane_width(network, index)), lanes))}
        if self._capacity is not None:
            self._form = load_format(network, spec)
            members["load"] = In(load_bus(self._form))
            if self._folds > 1:
                members["begins"] = In(1)
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        self._fold = Signal.like(self.fold)
        m.d.sync += self._fold.eq(self.fold)
        closing = self._is(*self._closing())
        self._closes = self._flag(m, "closes", closing)
        enable = self._flag(m, "enable", self.operation != Operation.IDLE)
        m.d.comb += self.commit.eq(self._flag(m, "fire", self._is(Operation.FIRE)))

        layout = data.StructLayout({f"lane_{lane}": shape
                                    for lane, shape in enumerate(self._shapes)})
        totals = Signal(layout, name="total")
        current = Signal(layout, name="current")
        restarts_all = self._folds == 1 or self._capacity is not None
        if self._capacity is not None:
            loaded = self._fetch(m, totals)
            begins = {Region.INITIAL: [0] * self._lanes}
        else:
            loaded = self._load(m, totals)
            begins = {Region.INITIAL: self._rows(self._initial, unused=-1)[0]}
        if self._direct:
            begins[Region.ZERO] = [0] * self._lanes
            self._remember(m, totals, current)
        restarts = {region: self._flag(m, f"restart_{region.name.lower()}",
                                       closing & (self.next_region == region))
                    for region in begins} if restarts_all else {}
        begin = begins[Region.ZERO if self._direct else Region.INITIAL]
        addends = self._addends(m, current)

        for lane in range(self._lanes):
            potential = Signal(self._shapes[lane], name=f"potential_{lane}", init=begin[lane])
            addend = Signal.like(potential, name=f"addend_{lane}", init=0)
            kept = self._saturated(totals[f"lane_{lane}"])
            m.d.comb += [addend.eq(addends(lane, potential)),
                         totals[f"lane_{lane}"].eq(potential + addend),
                         self.spikes[lane].eq(potential >= 0),
                         self.potentials[lane].eq(potential)]
            if self._trace:
                m.d.comb += self.membranes[lane].eq(self._membrane(lane, potential, kept))
            with m.If(enable):
                m.d.sync += potential.eq(
                    kept if loaded is None else Mux(self._closes, loaded[f"lane_{lane}"], kept))
            # Constants take no logic: a flip-flop can be set or cleared.
            for region, restart in restarts.items():
                with m.If(restart):
                    m.d.sync += potential.eq(begins[region][lane])
        return m

    def _addends(self, m: Module, current: data.View):
        """What the operation that is executed adds to a lane, as a function of its potential."""
        if self._capacity is None:
            bias = self._parameters(m, "bias", self._bias)
            rest = self._parameters(m, "rest", self._bias - self._neurons.thresholds, unused=-1)
            self._thresholds = (self._parameters(m, "threshold", self._neurons.thresholds, unused=1)
                                if self._trace or self._saturates else [])
        else:
            bias = [Const(0, 1)] * self._lanes
            rest = [Cat(limit, C(1, 1)).as_signed() for limit in self._limits]
            self._thresholds = [-value for value in rest] if self._trace else []
        others = {"SYNAPSE": lambda lane, potential: self.weights[lane]}
        if self._direct:
            settled = self._parameters(m, "settled", self._neurons.biases)
            others |= {"CURRENT": lambda lane, potential: current[f"lane_{lane}"],
                       "DOUBLE": lambda lane, potential: potential,
                       "SETTLE": lambda lane, potential: settled[lane]}
        if Closes.KEEP in {phase.closes for phase in self._phases}:
            others["KEEP"] = lambda lane, potential: 0
        if self._saturates:
            others["ADVANCE"] = lambda lane, potential: rest[lane]
        flags = {name: self._flag(m, name.lower(), self._is(Operation[name])) for name in others}

        def addend(lane: int, potential: Value) -> Value:
            fires = potential >= 0
            value = (Mux(fires, 0, self._thresholds[lane]) if self._saturates
                     else Mux(fires, rest[lane], bias[lane]))
            for name, other in others.items():
                value = Mux(flags[name], other(lane, potential), value)
            return value

        return addend

    def _membrane(self, lane: int, potential: Value, kept: Value) -> Value:
        if self._saturates:
            return kept
        return Mux(potential >= 0, potential, potential + self._thresholds[lane])

    def _is(self, *operations: Operation) -> Value:
        """Whether one of these comes next."""
        return Cat(self.operation == operation for operation in operations).any()

    @staticmethod
    def _flag(m: Module, name: str, condition: Value) -> Signal:
        """What holds of the operation that is executed, known at the beginning of the cycle."""
        flag = Signal(name=name)
        m.d.sync += flag.eq(condition)
        return flag

    def _closing(self) -> list[Operation]:
        """Operations that close a fold of this layer."""
        names = sorted({phase.closes.name for phase in self._phases})
        return [Operation.ADVANCE if name == "FIRE" and self._saturates else Operation[name]
                for name in names]

    def _parameters(self, m: Module, name: str, values, unused: int = 0) -> list[Value]:
        """A parameter of the neuron in each lane: a constant, or that of the fold."""
        rows = self._rows(values, unused)
        shape = signed(max(Const(value).shape().width + 1 for row in rows for value in row))
        if self._folds == 1:
            return [Const(value, shape) for value in rows[0]]
        layout = data.ArrayLayout(shape, self._lanes)
        if self._folds <= self.COMBINATORIAL_FOLDS:
            chosen = Signal(layout, name=name)
            with m.Switch(self._fold):
                for fold, row in enumerate(rows):
                    with m.Case(fold):
                        m.d.comb += chosen.eq(layout.const(row))
            return [chosen[lane] for lane in range(self._lanes)]
        rom = memory.Memory(shape=layout, depth=self._folds, init=rows)
        m.submodules[name] = rom
        read = rom.read_port()
        m.d.comb += read.addr.eq(self.fold)
        return [read.data[lane] for lane in range(self._lanes)]

    def _rows(self, values, unused: int) -> list[list[int]]:
        """The parameter of each lane, a row a fold."""
        lanes = self._lanes
        padded = [*values.tolist(), *[unused] * (self._folds * lanes - len(values))]
        return [padded[start:start + lanes] for start in range(0, len(padded), lanes)]

    def _load(self, m: Module, totals: data.View):
        """Potentials of the fold that comes next; store those of the one that is closed."""
        if self._folds == 1:
            return None
        # The regions follow each other in one memory, which nothing but the first is written of.
        depth = 1 << (self._folds - 1).bit_length()
        empty = [[0] * self._lanes] * depth
        initial = (self._rows(self._initial, unused=-1) + empty)[:depth]
        regions = [empty, initial, *[empty] * self._direct]
        m.submodules.stored = stored = memory.Memory(
            shape=totals.shape(), depth=depth * len(regions),
            init=[{f"lane_{lane}": value for lane, value in enumerate(row)}
                  for region in regions for row in region], attrs=NO_COLLISIONS)
        # A register of the row is narrower than one of what is read, where a family has the choice.
        at_once = reads_at_once(self._family, stored.depth)
        read = stored.read_port(domain="comb" if at_once else "sync")
        write = stored.write_port()
        row = Signal.like(read.addr, name="next_row")
        m.d["sync" if at_once else "comb"] += read.addr.eq(row)
        fold_bits = depth.bit_length() - 1
        next_fold = Mux(self.fold == self._folds - 1, 0, self.fold + 1)
        m.d.comb += [row.eq(Cat(next_fold[:fold_bits], self.next_region.as_value())),
                     write.addr.eq(self._fold[:fold_bits]),
                     Value.cast(write.data).eq(Value.cast(totals)), write.en.eq(self._closes)]
        return read.data

    def _fetch(self, m: Module, totals: data.View):
        """Thresholds of this fold, and potentials of the one that comes next, where they are
        loaded."""
        capacity = self._capacity
        width = capacity.threshold
        if self._folds == 1:
            limits = Signal(self._lanes * width, name="limits", reset_less=True)
            for low in range(0, len(limits), WORD_WIDTH):
                part = limits[low:low + WORD_WIDTH]
                with m.If(self.load.enable & (self.load.word == low // WORD_WIDTH)):
                    m.d.sync += part.eq(self.load.data)
            self._limits = [limits.word_select(lane, width) for lane in range(self._lanes)]
            return None
        m.submodules.store = store = FoldStore(capacity, self._lanes, self._folds, self._parts,
                                               self._form)
        wiring.connect(m, wiring.flipped(self.load), store.load)
        begins = Signal(name="executes_first")
        m.d.sync += begins.eq(self.begins)
        m.d.comb += [store.begins.eq(begins), store.closes.eq(self._closes),
                     store.fold.eq(self._fold)]
        next_potentials = Signal(totals.shape(), name="next_potentials")
        for lane in range(self._lanes):
            m.d.comb += [store.totals[lane].eq(totals[f"lane_{lane}"].as_unsigned()),
                         next_potentials[f"lane_{lane}"].eq(store.potentials[lane])]
        self._limits = [store.thresholds[lane] for lane in range(self._lanes)]
        return next_potentials

    def _remember(self, m: Module, totals: data.View, current: data.View):
        """Keep the current of direct input once it is settled."""
        settles = self._flag(m, "settles", self._is(Operation.SETTLE))
        if self._folds == 1:
            with m.If(settles):
                m.d.sync += Value.cast(current).eq(Value.cast(totals))
            return
        m.submodules.currents = currents = memory.Memory(
            shape=totals.shape(), depth=self._folds, init=[], attrs=NO_COLLISIONS)
        read, write = currents.read_port(), currents.write_port()
        m.d.comb += [read.addr.eq(self.fold), Value.cast(current).eq(Value.cast(read.data)),
                     write.addr.eq(self._fold), write.en.eq(settles),
                     Value.cast(write.data).eq(Value.cast(totals))]

    def _saturated(self, total: Value) -> Value:
        """What an operation leaves: the potential, or, after a ``FIRE`` here, the membrane."""
        if not self._saturates:
            return total
        limit = 2 ** (self._widths.membrane - 1)
        return Mux(~self.commit, total,
                   Mux(total < -limit, -limit, Mux(total > limit - 1, limit - 1, total)))
