"""A layer: its folds commit in turn, in every timestep, and what it reads and sends is in range."""

from amaranth.hdl import Assert, Module, Mux, Signal
from common import random_network
from test_mutations import Mutation

from sc_neurocore.gateware.layer import Layer
from sc_neurocore.gateware.neuron_array import Operation
from sc_neurocore.spec import AcceleratorSpec

from .harness import (
    Proof,
    helps,
    in_range,
    inside,
    is_in,
    new,
    offers,
    past,
    signal,
    submodule,
    waits,
)
from .neurons import STAGES, ascends, potentials
from .spike_words import FALLS, commits_in_order, neurons_of

SHAPE, LANES, TIMESTEPS = (5, 5, 3), 2, 2
"""Three folds, the last of them not full, and 15 rows of weights: no power of two."""


def folds() -> Module:
    """The hidden layer of a small network."""
    m = new()
    network, spec = random_network(SHAPE, timesteps=TIMESTEPS), AcceleratorSpec((LANES, 3), 1)
    n_input, count = SHAPE[0], spec.folds(network, 0)
    m.submodules.layer = layer = Layer(network, spec, 0)
    module = inside(layer)
    queue = submodule(module, "queue")
    in_range(m, layer, {"weight_memory.rows":
                        signal(module, "addressed_operation") == Operation.SYNAPSE})
    events = layer.events
    offers(m, events, "events")
    lowest = ascends(m, events, n_input)
    place, owed = commits_in_order(m, layer, layer.trace.fold, queue, LANES, count, TIMESTEPS)

    # A timestep's events, once for each fold, are as many commits: none is lost on the way.
    on_way = Signal(range(STAGES + 2))
    closed = events.valid & events.ready & events.payload.last
    m.d.sync += on_way.eq(on_way + closed - layer.trace.valid)
    m.d.comb += [Assert(~layer.trace.valid | (on_way > 0)), Assert(on_way <= STAGES),
                 Assert(~layer.trace.valid | (layer.trace.spikes & ~neurons_of(
                     place % count, LANES, SHAPE[1]) == 0)),
                 Assert(queue.word.spikes == ~layer.trace.spikes)]
    waits(m, events.valid & ~events.ready & queue.room, 1)
    waits(m, (on_way > 0) & (queue.room | (owed > 0)) & ~layer.trace.valid, STAGES)

    fires, issued = signal(module, "operation") == Operation.FIRE, []
    for stage in range(STAGES):
        fires = past(m, fires, f"fires_{stage}")
        issued.append(fires)
    fold, round_ = signal(module, "fold"), signal(module, "round")
    ahead = place + sum(issued[1:], issued[0])
    helps(m, signal(module, "phase") == 0, fold < count, round_ < TIMESTEPS,
          signal(module, "base") == fold * n_input,
          round_ * count + fold == Mux(ahead >= count * TIMESTEPS, ahead - count * TIMESTEPS,
                                       ahead),
          place < count * TIMESTEPS, owed == sum(issued[1:], issued[0]), lowest <= n_input,
          on_way == owed + is_in(module, "CLOSE"),
          queue.word.base == (place % count) * LANES)
    # A lane without a neuron stays where it began, below its threshold.
    array, is_last = submodule(module, "neurons"), place % count == count - 1
    kept, initial = potentials(m, array, LANES - 1, count - 1, count)
    idle = signal(inside(array), f"potential_{LANES - 1}")
    helps(m, initial == -1, ~is_last | (idle == -1), is_last | (place < count) | (kept == -1))
    return m


PROOFS = {
    "layer_folds": Proof(
        "Layer, 3 folds, 5 inputs", "a commit a fold and timestep, in order, for each of which a "
        "place is reserved; no lane without a neuron spikes; addresses of weights are in range; it "
        "waits for nothing but events and room; offers stand", folds,
        (FALLS, Mutation("neuron_array.py", "self._rows(self._initial, unused=-1) + empty",
                         "self._rows(self._initial, unused=0) + empty"),
         *(Mutation("layer.py", *change) for change in (
            ("base.eq(Mux(is_last_fold, 0, base + n_rows))]", "base.eq(base + n_rows)]"),
            ("[operation.eq(Operation.FIRE), queue.reserve.eq(1)]",
             "[operation.eq(Operation.FIRE)]"),
            ("queue.push.eq(commit & matters)", "queue.push.eq(commit)"),
            ("queue.drop.eq(commit & ~matters)", "queue.drop.eq(commit)"),
            ("word.spikes.eq(~neurons.spikes)", "word.spikes.eq(neurons.spikes)"),
            ("base.eq(Mux(last, 0, base + self._lanes))", "base.eq(base + self._lanes)"),
            ('executed = fetched.delayed(m, "executed")', "executed = fetched"),
            ("with m.If(events.valid):", "with m.If(events.valid & ~events.payload.last):"),
            ("events.ready.eq(1)", "events.ready.eq(0)"),
            ("fold.eq(Mux(is_last_fold, 0, fold + 1))", "fold.eq(fold + 1)")))), 5),
}
