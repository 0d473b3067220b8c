"""The readout: counts, currents and class of every image are what their equations say."""

from amaranth.asserts import AnyConst
from amaranth.hdl import Assert, Assume, Module, Mux, Signal
from amaranth.lib import data
from common import random_network
from test_mutations import Mutation

from sc_neurocore.gateware.readout import Readout
from sc_neurocore.spec import AcceleratorSpec

from .harness import (
    Proof,
    helps,
    holds,
    in_range,
    inside,
    is_taken,
    new,
    offers,
    signal,
    submodule,
    takes,
    waits,
)

N_OUTPUT, LANES, TIMESTEPS = 5, 2, 2
FOLDS = -(-N_OUTPUT // LANES)
LAST, POSITIONS = N_OUTPUT - 1, FOLDS * TIMESTEPS


def results() -> Module:
    """A neuron is followed through an image; the others are compared with it by the solver's
    choice of the neuron."""
    m = new()
    network = random_network((3, N_OUTPUT), timesteps=TIMESTEPS, weight_width=3)
    threshold = int(network.layers[-1].thresholds[0])
    initial = int(network.layers[-1].initial_membranes[0])
    m.submodules.readout = readout = Readout(network, AcceleratorSpec((LANES,), 1))
    in_range(m, readout)
    module = inside(readout)
    words, word, sent = readout.words, readout.words.payload, readout.results.payload
    waited = offers(m, words, "words")
    takes(m, readout.results, "results")

    # A word a fold and timestep, as rounds.py has proved of what comes before it.
    position = Signal(range(POSITIONS))
    fold = position % FOLDS
    is_final = position // FOLDS == TIMESTEPS - 1
    m.d.comb += [Assume(word.first == (position // FOLDS == 0)), Assume(word.final == is_final),
                 Assume(word.last == (fold == FOLDS - 1))]
    with m.If(is_taken(words)):
        m.d.sync += position.eq(Mux(position == POSITIONS - 1, 0, position + 1))

    neuron = AnyConst(range(N_OUTPUT))
    m.d.comb += Assume(neuron < N_OUTPUT)
    lane, its_fold = neuron % LANES, neuron // LANES
    seen = Signal(range(TIMESTEPS + 1))
    before = Mux(word.first, 0, seen)
    spike = word.spikes.bit_select(lane, 1)
    count, current = Signal.like(sent.count), Signal.like(sent.current)
    final_count, final_current = Signal.like(sent.count), Signal.like(sent.current)
    m.d.comb += [final_count.eq(before + spike), final_current.eq(
        word.potentials[lane] + threshold * (before + 1) - initial)]
    is_its = words.valid & (fold == its_fold) & is_final
    with m.If(is_its):
        m.d.sync += [count.eq(final_count), current.eq(final_current)]
    with m.If(is_taken(words) & (fold == its_fold)):
        m.d.sync += seen.eq(before + spike)

    # Results, one after another, and the best of those that were taken.
    number, best, winner = (Signal.like(sent.neuron), Signal.like(sent.current),
                            Signal.like(sent.predicted))
    leads = (number == 0) | (sent.current > best)
    valid = readout.results.valid
    with m.If(is_taken(readout.results)):
        m.d.sync += number.eq(Mux(number == LAST, 0, number + 1))
        with m.If(leads):
            m.d.sync += [best.eq(sent.current), winner.eq(number)]
    m.d.comb += [Assert(~valid | ((sent.neuron == number) & (sent.last == (number == LAST)))),
                 Assert(~(valid & (number == neuron)) | ((sent.count == count)
                                                         & (sent.current == current))),
                 Assert(~valid | (sent.predicted == Mux(leads, number, winner)))]
    waits(m, words.valid & ~words.ready & (~valid | readout.results.ready), LANES)

    summed = data.View(sent.shape(), signal(module, "summed"))
    summing = signal(module, "summing")
    selected = number + valid + summing
    follows = summing & (summed.neuron == LAST)
    kept = holds(m, submodule(module, "counts"), its_fold)
    at_lane = signal(module, "lane")
    helps(m, (at_lane == 0) | waited,
          ~(is_its & (at_lane > lane)) | ((count == final_count) & (current == final_current)),
          position < POSITIONS, number < N_OUTPUT, signal(module, "fold") == fold,
          signal(module, "neuron") == Mux(selected >= N_OUTPUT, selected - N_OUTPUT, selected),
          Mux(is_final, signal(module, "neuron") == fold * LANES + at_lane,
              (signal(module, "neuron") == 0) & (at_lane == 0)),
          ~summing | (summed.neuron == Mux(valid & (number == LAST), 0, number + valid)),
          ~summing | (summed.last == (summed.neuron == LAST)),
          ~(summing & (summed.neuron == neuron)) | ((summed.count == count)
                                                    & (summed.current == current)),
          ~summing | Mux(summed.neuron == LAST, position == 0, is_final),
          ~valid | Mux(number == LAST, ~summing & (position <= 1), follows | is_final),
          (position <= its_fold) | (kept.word_select(lane, len(sent.count)) == seen),
          signal(module, "best") == Mux(valid & leads, sent.current, best),
          signal(module, "winner") == Mux(valid & leads, number, winner))
    return m


PROOFS = {
    "readout_results": Proof(
        f"Readout, {N_OUTPUT} neurons, {LANES} lanes", "a result a neuron, in order: its count, "
        "its current, and the first of the largest; offers stand", results,
        (Mutation("readout.py", "currents.current > best", "currents.current >= best"),
         Mutation("readout.py", "Mux(word.first, 0, stored[lane])", "stored[lane]"),
         Mutation("readout.py", "known & advance, advance, currents", "known, advance, currents"),
         Mutation("readout.py", "fold.eq(Mux(word.last, 0, fold + 1))", "fold.eq(fold + 1)"),
         Mutation("readout.py", "self.words.ready.eq(may_select & (", "self.words.ready.eq(0 & ("),
         Mutation("readout.py", "advance.eq(~self.results.valid | self.results.ready)",
                  "advance.eq(1)")),
        3),
}
