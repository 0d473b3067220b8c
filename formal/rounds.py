"""Layers of all kinds: the folds of a round are closed in turn, and commit so; addresses are in
range.

`sc_neurocore.rounds` says of which kinds the rounds of an image are; a layer is followed through
them. layer.py has the same, and more, of the layer that there is most often.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial, reduce
from operator import or_
from typing import NamedTuple

from amaranth.asserts import AnySeq
from amaranth.hdl import Array, Assert, Assume, Module, Mux, Signal, Value
from common import random_network
from test_mutations import Mutation

from sc_neurocore.gateware.layer import Layer
from sc_neurocore.gateware.neuron_array import Operation
from sc_neurocore.network import IntegerNetwork
from sc_neurocore.parameters import load_format
from sc_neurocore.rounds import Adds, Closes, phases
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.timing import STORE_LATENCY

from . import harness
from .harness import (
    Proof,
    helps,
    in_range,
    inside,
    is_in,
    is_taken,
    new,
    offers,
    past,
    signal,
    submodule,
    waits,
)

TIMESTEPS, PLANES = 3, 2
"""One timestep that is neither the first nor the final one; planes of bits of direct input."""


def rounds(network: IntegerNetwork, spec: AcceleratorSpec, index: int) -> Module:
    """Layer ``index``, closing after closing."""
    m = new()
    m.submodules.layer = layer = Layer(network, spec, index)
    module, events = inside(layer), layer.events
    queue, operation = submodule(module, "queue"), signal(module, "operation")
    parts = [part for part in phases(network, index) for _ in range(part.count)]
    numbers = [number for part in phases(network, index) for number in range(part.count)]
    folds, saturates = spec.folds(network, index), network.widths[index].saturates
    offers(m, events, "events")
    m.d.comb += layer.words.ready.eq(AnySeq(1))
    if harness.REFUTING is not None:        # a search is much shorter if nothing waits for events
        m.d.comb += Assume(events.valid)
    addresses(m, layer, module, network.layers[index].n_input)
    most = int(any(part.adds is Adds.NOTHING for part in parts))
    if spec.loaded:
        events = submodule(module, "parameter_rows").completed
        most += spec.parts(network, index) + STORE_LATENCY - 1
        loads(m, layer, module, network, spec, index)

    # The round and the fold that are closed next; ``owes``: all is added that is to be before.
    round_, fold, owes = Signal(range(len(parts))), Signal(range(folds)), Signal()
    takes, draws, fires = (Array(values)[round_] for values in (
        [part.adds is Adds.EVENTS for part in parts],
        [part.adds is Adds.CURRENT for part in parts],
        [part.closes is Closes.FIRE for part in parts]))
    fire, current = operation == Operation.FIRE, operation == Operation.CURRENT
    ends = [Operation.ADVANCE if saturates and part.closes is Closes.FIRE
            else Operation[part.closes.name] for part in parts]
    closed = operation == Array(ends)[round_]
    is_last, came = fold == folds - 1, is_taken(events)
    with m.If((came & events.payload.last) | current):
        m.d.sync += owes.eq(1)
    with m.If(closed):
        m.d.sync += [owes.eq(0), fold.eq(Mux(is_last, 0, fold + 1)),
                     round_.eq(Mux(is_last, Mux(round_ == len(parts) - 1, 0, round_ + 1), round_))]
    closes = reduce(or_, (operation == end for end in (
        Operation.KEEP, Operation.DOUBLE, Operation.SETTLE, Operation.ADVANCE)))
    m.d.comb += [
        Assert(~events.ready | (takes & ~owes)),
        Assert(~current | (draws & ~owes)),
        Assert((operation == Operation.SYNAPSE) == (came & events.payload.spike)),
        Assert(~(closed | fire) | (owes == (takes | draws))),
        Assert(~closes | closed),
        Assert(~fire | fires),
        Assert(~fire | queue.room),
        Assert(queue.reserve == fire)]
    idle = ~came & (operation == Operation.IDLE)
    waited = waits(m, idle & (~takes | owes | events.valid) & queue.room, most)
    if spec.loaded:
        helps(m, waited + signal(module, "fetch_left") <= most)

    # What fires is committed in its turn.
    on_way = []
    then = Then(fire, round_, fold)
    for stage in range(spec.fire_latency(network, index)):
        then = Then(*(past(m, value, f"{name}_{stage}")
                      for name, value in zip(Then._fields, then, strict=True)))
        on_way.append(then.fires)
    trace, word, last = layer.trace, queue.word, then.fold == folds - 1
    number = Array(numbers)[then.round]
    matters = trace.spikes.any() | last
    m.d.comb += [
        Assert(trace.valid == then.fires),
        Assert(~then.fires | (trace.fold == then.fold)),
        Assert(~then.fires | (trace.timestep == number)),
        Assert(~then.fires | (word.last == last)),
        Assert(word.spikes == ~trace.spikes)]
    due = Signal(range(folds))
    with m.If(then.fires):
        m.d.sync += due.eq(Mux(last, 0, due + 1))
    advances = is_in(module, "ADVANCE") if saturates else 0
    helps(m, round_ < len(parts), fold < folds, due < folds, ~then.fires | (then.fold == due),
          Array(numbers)[round_] == signal(module, "round"), signal(module, "fold") == fold,
          Array(place for place, part in enumerate(phases(network, index))
                for _ in range(part.count))[round_] == signal(module, "phase"),
          signal(module, "base") == fold * spec.fold_rows(network, index),
          Mux(is_in(module, "ADD"), ~owes,
              (is_in(module, "CLOSE") | advances) & (owes == (takes | draws))),
          (due + sum(on_way[1:], on_way[0])) % folds == Mux(fires, fold + advances, 0) % folds)
    if index == len(network.layers) - 1:
        m.d.comb += [
            Assert(queue.push == then.fires),
            Assert(~queue.drop),
            Assert(~then.fires | (word.first == (number == 0))),
            Assert(~then.fires | (word.final == (number == TIMESTEPS - 1)))]
    else:
        m.d.comb += [
            Assert(queue.push == (then.fires & matters)),
            Assert(queue.drop == (then.fires & ~matters)),
            Assert(~then.fires | (word.base == then.fold * spec.lanes[index]))]
        helps(m, word.base == due * spec.lanes[index])
    return m


class Then(NamedTuple):
    """Whether a fold fired some cycles ago, and which."""

    fires: Value
    round: Value
    fold: Value


def addresses(m: Module, layer: Layer, module: Module, n_input: int):
    """Let events have addresses of inputs, and assert that all addresses are in range then."""
    event = layer.events.payload
    m.d.comb += Assume(~event.spike | (event.address < n_input))
    adds = signal(module, "addressed_operation") == Operation.SYNAPSE
    counts = {"weight_memory.rows": adds, "weight_memory.rows.rows_0": adds}
    if hasattr(event, "second_spike"):
        m.d.comb += Assume(~event.second_spike | (event.second_address < n_input))
        counts["weight_memory.rows.1"] = adds & submodule(module, "weight_memory").second_counts
    in_range(m, layer, counts)


def loads(m: Module, layer: Layer, module: Module, network: IntegerNetwork, spec: AcceleratorSpec,
          index: int):
    """Let words be loaded into rows that there are; and help with what fetches parameters."""
    targets = load_format(network, spec).targets[2 * index:]
    for bus, target in zip((layer.load_weights, layer.load_thresholds), targets, strict=False):
        m.d.comb += [port.eq(AnySeq(len(port))) for port in (bus.enable, bus.row, bus.word,
                                                             bus.data)]
        m.d.comb += Assume(~bus.enable | (bus.row < target.rows))
    capacity, parts = spec.loaded[index], spec.parts(network, index)
    rows = inside(submodule(module, "parameter_rows"))
    store = inside(submodule(inside(submodule(module, "neurons")), "store"))
    helps(m, signal(rows, "row") < Mux(signal(rows, "round") == 0,
                                       capacity.bias_rows + capacity.initial_rows,
                                       max(capacity.bias_rows, 1)),
          signal(store, "read_part") < parts, signal(store, "write_part") < parts,
          signal(store, "of_fold") < spec.folds(network, index),
          ~is_in(module, "CLOSE") | ~signal(module, "fresh"))


def proof(kind: str, network: IntegerNetwork, spec: AcceleratorSpec, index: int,
          *faults: tuple[str, str, str], excused: Mapping[str, str] | None = None) -> Proof:
    """That of a layer."""
    return Proof(f"Layer, {kind}", "folds are closed in turn, in rounds as the image demands, and "
                 "are committed so, with a place reserved for each; addresses are in range; it "
                 "waits for nothing but events and room", partial(rounds, network, spec, index),
                 tuple(Mutation(*fault) for fault in (*FAULTS, *faults)),
                 spec.fire_latency(network, index) + 2, horizon=60, further=0,
                 excused=excused or {})


def proofs() -> Iterator[tuple[str, Proof]]:
    """Layers that have, together, whatever a layer can have but several banks of weights."""
    small = partial(random_network, (5, 5, 5), timesteps=TIMESTEPS, intensity_width=PLANES,
                    weight_width=2)
    spec = AcceleratorSpec((2, 2), 1)
    yield "layer_output", proof(
        "output, 3 folds, 5 inputs", small(), spec, 1,
        ("layer.py", "word.first.eq(executed.is_first)", "word.first.eq(executed.is_final)"),
        ("layer.py", "word.final.eq(executed.is_final)", "word.final.eq(executed.is_first)"),
        ("layer.py", "queue.push.eq(commit), ", "queue.push.eq(commit & neurons.spikes.any()), "),
        ("layer.py", "queue.push.eq(commit), ", "queue.push.eq(commit), queue.drop.eq(commit), "),
        ("layer.py", 'executed = fetched.delayed(m, "executed")', "executed = fetched"),
        ("layer.py", "with m.If(room):", "with m.If(1):"), ROWS, excused=ALWAYS_FIRES)
    yield "layer_direct", proof(
        "direct input, saturating, 3 folds, 5 inputs",
        replace(small(membrane_width=4), encoder="direct"), spec, 0,
        ("layer.py", "operation.eq(Operation[closes.name])", "operation.eq(Operation.KEEP)"),
        ("layer.py", 'm.next = "ADVANCE"', 'm.next = "ADD"'),
        ("layer.py", "region.eq(Region.STORED)", "region.as_value().eq(3)"),
        ("neuron_array.py", "read.addr.eq(self.fold), ", "read.addr.eq(self.fold + 1), "),
        FIRES, *WORDS, excused=FAR)
    yield "layer_ports", proof(
        "two ports, 17 folds, 2 inputs", random_network((2, 17, 3), timesteps=TIMESTEPS),
        AcceleratorSpec((1, 1), 1, ports=(2, 1)), 0,
        ("layer.py", "events.payload.second_address)", "events.payload.second_address + 1)"),
        ("neuron_array.py", "read.addr.eq(self.fold)\n", "read.addr.eq(self.fold + 1)\n"),
        *WORDS, excused=ALWAYS_FIRES | FAR)
    yield "layer_at_once", proof(
        "layer by layer, 3 folds, 5 inputs", replace(small(), schedule="layer_by_layer"), spec, 0,
        ("layer.py", "phase.eq(Mux(phase == len(parts) - 1, 0, phase + 1))", "phase.eq(0)"),
        ROWS, FIRES, *WORDS, excused=FAR)
    wide = small(weight_width=8)        # a parameter is a row or two
    yield "layer_loaded", proof(
        "loaded, 3 folds, 5 inputs", wide, replace(spec.with_loading(wide), store_parts=2), 0,
        ("parameter_rows.py", "self._n_input + row", "self._n_input + row + 1"),
        ("fold_store.py", "Mux(self.fold == self._folds - 1, 0, self.fold + 1)", "self.fold + 1"),
        ("layer.py", "left.eq(left - 1)", "left.eq(left)"), *WORDS,
        excused=ALWAYS_FIRES | FAR)


FAULTS = (
    ("layer.py", "Mux(events.payload.spike, ", "Mux(1, "),
    ("layer.py", "with m.If(events.payload.last):", "with m.If(events.payload.spike):"),
    ("layer.py", "operation.eq(Operation.IDLE)\n",
     "[operation.eq(Operation.IDLE), events.ready.eq(1)]\n"),
    ("layer.py", "Operation.IDLE))\n", "Operation.CURRENT))\n"),
    ("layer.py", "Operation.IDLE))\n", "Operation.SETTLE))\n"),
    ("layer.py", "queue.reserve.eq(1)]", "queue.reserve.eq(0)]"),
    ("layer.py", "with m.If(room):", "with m.If(0):"),
    ("layer.py", "trace.fold.eq(executed.fold)", "trace.fold.eq(executed.timestep)"),
    ("layer.py", "trace.timestep.eq(executed.timestep)", "trace.timestep.eq(executed.fold)"),
    ("layer.py", "last = executed.fold == self._folds - 1",
     "last = executed.fold == self._folds - 2"),
    ("layer.py", "word.spikes.eq(~neurons.spikes)", "word.spikes.eq(neurons.spikes)"),
    ("neuron_array.py", "m.d.comb += self.commit.eq(", "m.d.sync += self.commit.eq("))
"""Those of every layer."""
WORDS = (
    ("layer.py", "queue.push.eq(commit & matters)", "queue.push.eq(commit)"),
    ("layer.py", "queue.drop.eq(commit & ~matters)", "queue.drop.eq(commit)"),
    ("layer.py", "base.eq(Mux(last, 0, base + self._lanes))", "base.eq(base + self._lanes)"))
"""Of every layer but the output."""
ROWS = ("layer.py", "base.eq(Mux(is_last_fold, 0, base + n_rows))]", "base.eq(base + n_rows)]")
FIRES = ("layer.py", "operation.eq(Operation[closes.name])", "operation.eq(Operation.FIRE)")
ALWAYS_FIRES = {"~fire | fires": "all of its rounds fire"}
FAR = {"~fire | queue.room": "its queue is full too late for a search, but `layer_output` has it"}
PROOFS = dict(proofs())
