"""The neurons of the reference design, each with its weights: exact for all inputs, at all times.

A neuron is followed through its layer as it ships, its folds and memories included, while a model
beside it computes what ``docs/number-format.md`` defines, in numbers that are wide enough for
anything. Induction needs to know how far the model can get. Within a timestep events come in
ascending order (see serializer.py and replay.py), each once at most, so behind address j the model
is between the least and the most that the timestep began with, plus all negative, or all positive,
weights up to j. That is an invariant; where timesteps begin is enumerated here, value by value,
not taken from `sc_neurocore.widths`, whose widths are what is proved.
"""

from collections.abc import Iterator
from functools import cache, partial
from itertools import accumulate
from typing import NamedTuple

from amaranth.asserts import AnySeq
from amaranth.hdl import (
    Array,
    Assert,
    Assume,
    Const,
    Elaboratable,
    Module,
    Mux,
    Signal,
    Value,
    signed,
)
from generate import NETWORK, SPEC
from test_mutations import Mutation

from sc_neurocore.gateware.layer import Layer
from sc_neurocore.gateware.neuron_array import Operation, Region
from sc_neurocore.network import IntegerNetwork
from sc_neurocore.storage import load_network

from . import harness
from .harness import (
    Proof,
    helps,
    holds,
    inside,
    is_in,
    is_taken,
    new,
    offers,
    past,
    signal,
    submodule,
)

WIDE = signed(16)
"""Of the model; what it holds is within a few thousand."""
STAGES = 3
"""Cycles from an operation's issue to its execution."""


class Neuron(NamedTuple):
    """A neuron's numbers, and in which lane and fold it is."""

    weights: list[int]
    bias: int
    threshold: int
    initial: int
    lane: int
    fold: int
    folds: int
    timesteps: int

    def starts(self) -> list[tuple[int, int]]:
        """Least and most that it has integrated before the events of each timestep."""
        lowest = sum(weight for weight in self.weights if weight < 0)
        highest = sum(weight for weight in self.weights if weight > 0)
        found = [(self.initial + self.bias,) * 2]
        for _ in range(self.timesteps - 1):
            low, high = found[-1]
            stored = [value - self.threshold * (value >= self.threshold)
                      for value in range(low + lowest, high + highest + 1)]
            found.append((min(stored) + self.bias, max(stored) + self.bias))
        return found

    @property
    def falls(self) -> list[int]:
        """Inputs that lower it."""
        return [address for address, weight in enumerate(self.weights) if weight < 0]

    def width(self, timesteps: int) -> int:
        """Bits that its potential needs to fall as far as it can in its first timesteps."""
        lowest = min(low for low, _ in self.starts()[:timesteps]) + self.reaches(True)[-1]
        return (self.threshold - lowest - 1).bit_length() + 1

    def reaches(self, least: bool) -> list[int]:
        """What all weights of one sign before an address add up to, for each address."""
        keep = min if least else max
        return list(accumulate((keep(weight, 0) for weight in self.weights), initial=0))


@cache
def network() -> IntegerNetwork:
    """The reference design's, which is for digits."""
    return load_network(NETWORK)


def neuron(index: int, number: int) -> Neuron:
    """Neuron ``number`` of layer ``index``."""
    neurons = network().neurons(index)
    fold, lane = divmod(number, SPEC.lanes[index])
    return Neuron(network().layers[index].weights[number].tolist(), int(neurons.biases[number]),
                  int(neurons.thresholds[number]), int(neurons.initial_membranes[number]),
                  lane, fold, SPEC.folds(network(), index), network().timesteps)


def table(values: list[int], index: Value) -> Value:
    """The value of an index, as wide as the model."""
    return Array(Const(value, WIDE) for value in values)[index]


def exact(index: int, number: int) -> Module:
    """The neuron's potential is the model's less the threshold, and it spikes as the model does."""
    it = neuron(index, number)
    m = new()
    m.submodules.layer = layer = Layer(network(), SPEC, index)
    module = inside(layer)
    array = submodule(module, "neurons")
    lanes = inside(array)
    potential = signal(lanes, f"potential_{it.lane}")
    addend = signal(lanes, f"addend_{it.lane}")

    events = layer.events
    offers(m, events, "events")
    m.d.comb += layer.words.ready.eq(AnySeq(1))
    lowest = ascends(m, events, len(it.weights))

    # The model: events that were taken three cycles ago are being added.
    taken = events.valid & events.ready & events.payload.spike
    adds = delayed(m, taken, "adds")
    address = delayed(m, events.payload.address, "address")
    fold, timestep = Signal(range(it.folds)), Signal(range(it.timesteps))
    begin = it.initial + it.bias
    integrated = Signal(WIDE, init=begin)
    fires = integrated >= it.threshold
    active = fold == it.fold
    with m.If(array.commit):
        m.d.sync += fold.eq(Mux(fold == it.folds - 1, 0, fold + 1))
    with m.If(array.commit & active):
        ends = timestep == it.timesteps - 1
        m.d.sync += [timestep.eq(Mux(ends, 0, timestep + 1)),
                     integrated.eq(Mux(ends, begin, integrated + it.bias
                                       - Mux(fires, it.threshold, 0)))]
    with m.Elif(adds & active):
        m.d.sync += integrated.eq(integrated + table(it.weights, address))

    total = potential + addend          # of one bit more than either
    fits = total == total[:len(potential)].as_signed()
    m.d.comb += [Assert(~(adds & array.commit)),
                 Assert(~(active & (adds | array.commit)) | fits),
                 Assert(~active | (potential == integrated - it.threshold)),
                 Assert(~(active & array.commit) | (array.spikes[it.lane] == fires))]

    helps(m, active | (timestep != 0) | (integrated == begin))
    if it.folds > 1:
        kept, initial = potentials(m, array, it.lane, it.fold, it.folds)
        helps(m, initial == begin - it.threshold,
              active | (timestep == 0) | (kept == integrated - it.threshold))
    if harness.REFUTING is not None and harness.REFUTING.old == WIDTH:
        inhibits(m, layer.events, it, signal(module, "fold"))
    order(m, module, it, fold, timestep, lowest)
    limits(m, module, it, active, adds, address, array.commit, timestep, integrated, lowest)
    return m


def potentials(m: Module, array: Elaboratable, lane: int, fold: int, folds: int
               ) -> tuple[Value, Value]:
    """What is stored of a lane's potential in one of several folds, and what it begins with."""
    lanes, depth = inside(array), 1 << (folds - 1).bit_length()
    low, high = (sum(len(signal(lanes, f"potential_{before}")) for before in range(end))
                 for end in (lane, lane + 1))
    kept, initial = (holds(m, submodule(lanes, "stored"), Const(fold + depth * region.value, 8))
                     [low:high].as_signed() for region in (Region.STORED, Region.INITIAL))
    return kept, initial


def delayed(m: Module, value: Value, name: str) -> Value:
    """What is being executed of what was issued."""
    for stage in range(STAGES):
        value = past(m, value, f"{name}_{stage}")
    return value


def order(m: Module, module: Module, it: Neuron, fold: Value, timestep: Value, lowest: Value):
    """Help: the layer is ahead of what commits by what is on its way."""
    issued = signal(module, "operation") == Operation.FIRE
    on_way = 0
    for stage in range(STAGES):
        issued = past(m, issued, f"fires_{stage}")
        on_way = on_way + issued
    rounds = it.folds * it.timesteps
    committed = Signal(range(rounds), name="committed")
    with m.If(issued):
        m.d.sync += committed.eq(Mux(committed == rounds - 1, 0, committed + 1))
    ahead = signal(module, "round") * it.folds + signal(module, "fold")
    behind = committed + on_way
    own = committed + it.folds - 1 - it.fold        # its timestep ends sooner than the last fold's
    helps(m, signal(module, "round") < it.timesteps, signal(module, "fold") < it.folds,
          signal(module, "base") == signal(module, "fold") * len(it.weights),
          ahead == Mux(behind >= rounds, behind - rounds, behind), fold == committed % it.folds,
          timestep == (own // it.folds) % it.timesteps,
          ~is_in(module, "CLOSE") | (lowest == 0))


def limits(m: Module, module: Module, it: Neuron, active: Value, adds: Value, address: Value,
           commit: Value, timestep: Value, integrated: Value, lowest: Value):
    """Help: how far the model can be once the inputs before an address have been added."""
    reached = Signal(range(len(it.weights) + 1))
    with m.If(commit):
        m.d.sync += reached.eq(0)
    with m.Elif(adds & active):
        m.d.sync += reached.eq(address + 1)
    bounds = [list(bound) for bound in zip(*it.starts(), strict=True)]
    helps(m, active | (reached == 0),
          integrated >= table(bounds[0], timestep) + table(it.reaches(True), reached),
          integrated <= table(bounds[1], timestep) + table(it.reaches(False), reached),
          delayed(m, lowest == 0, "fresh") | (reached <= delayed(m, lowest, "lowest")),
          ~(delayed(m, lowest == 0, "fresh2") & delayed(m, is_in(module, "ADD"), "is_adding"))
          | (reached == 0))


def ascends(m: Module, events, n_input: int):
    """Let addresses of a timestep ascend."""
    lowest = Signal(range(n_input + 1))
    taken = events.valid & events.ready
    address = events.payload.address
    m.d.comb += Assume(~(events.valid & events.payload.spike)
                       | ((address >= lowest) & (address < n_input)))
    with m.If(taken & events.payload.last):
        m.d.sync += lowest.eq(0)
    with m.Elif(taken & events.payload.spike):
        m.d.sync += lowest.eq(address + 1)
    return lowest


def inhibits(m: Module, events, it: Neuron, fold: Value):
    """Let the neuron have no spikes but those that lower its potential, and have them all."""
    number = Signal(range(len(it.falls)))
    is_its, is_last = fold == it.fold, number == len(it.falls) - 1
    with m.If(is_taken(events) & is_its):
        m.d.sync += number.eq(Mux(is_last, 0, number + 1))
    event = events.payload
    m.d.comb += Assume((events.valid == events.ready) & (event.spike == is_its)
                       & (event.last == (~is_its | is_last))
                       & (event.address == Mux(is_its, Array(it.falls)[number], 0)))


def proofs() -> Iterator[tuple[str, Proof]]:
    """One for each neuron."""
    for index, layer in enumerate(network().layers):
        for number in range(layer.n_output):
            yield f"neuron_{index}_{number}", Proof(
                f"Layer {index}, neuron {number}", "it does not overflow; it spikes, once a "
                "timestep, just if it is at the threshold, which then is subtracted",
                partial(exact, index, number), faults(index, number), 5,
                horizon=2 * SEARCHED, further=0)


def faults(index: int, number: int) -> tuple[Mutation, ...]:
    """Potentials that are a bit too narrow for what the neuron reaches within `SEARCHED` cycles; a
    threshold that is not subtracted, a spike below it; an event that is taken while a fold is
    closed."""
    it = neuron(index, number)
    width = it.width(SEARCHED // (len(it.falls) + 2 * it.folds))
    spare = max(network().widths[index].potentials[it.lane::SPEC.lanes[index]]) - width
    return (Mutation("neuron_array.py", WIDTH, f"{WIDTH} - {spare + 1}"),
            Mutation("neuron_array.py", "Mux(fires, rest[lane], bias[lane])", "bias[lane]"),
            Mutation("neuron_array.py", "self.spikes[lane].eq(potential >= 0)",
                     "self.spikes[lane].eq(potential < 0)"),
            Mutation("layer.py", "[operation.eq(Operation.FIRE), ",
                     "[operation.eq(Operation.FIRE), self.events.ready.eq(1), "))


SEARCHED = 120
"""Cycles in which a search is quick: all timesteps of a neuron of the output layer, three of a
hidden one."""
WIDTH = "max(potentials[lane::lanes])"
"""Where the gateware decides how wide potentials are."""
PROOFS = dict(proofs())
