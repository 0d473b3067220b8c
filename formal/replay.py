"""Replay: every timestep is sent as it came in, and as often as there are folds.

One item is followed: the solver chooses a half of the memory, a place in it and a moment, and the
item that is written there then. When its place is sent it must be that item, in every fold.
"""

from functools import partial

from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal
from amaranth.lib import data
from amaranth.utils import ceil_log2
from test_mutations import Mutation

from sc_neurocore.gateware.replay import Replay

from .double_buffer import full_halves
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

ITEM = data.StructLayout({"value": 3, "last": 1})
"""Any item behaves alike, but for ``last``: it is only moved."""


def folds_of_timesteps(most: int, folds: int) -> Module:
    """Timesteps of up to ``most`` items, each sent ``folds`` times."""
    m = new()
    m.submodules.replay = replay = Replay(ITEM, most, folds)
    in_range(m, replay)
    offers(m, replay.collected, "collected")
    takes(m, replay.replayed, "replayed")
    came, went = is_taken(replay.collected), is_taken(replay.replayed)
    item, sent = replay.collected.payload, replay.replayed.payload

    # Where the next item comes in and goes out: which timestep, modulo 4, which item, which fold.
    written, filled = Signal(range(most)), Signal(2)
    index, drained, fold = Signal(range(most)), Signal(2), Signal(range(folds))
    m.d.comb += Assume(~replay.collected.valid | item.last | (written < most - 1))
    with m.If(came):
        m.d.sync += [written.eq(Mux(item.last, 0, written + 1)), filled.eq(filled + item.last)]
    with m.If(went):
        m.d.sync += index.eq(Mux(sent.last, 0, index + 1))
        with m.If(sent.last):
            m.d.sync += fold.eq(Mux(fold == folds - 1, 0, fold + 1))
            with m.If(fold == folds - 1):
                m.d.sync += drained.eq(drained + 1)

    half, place = AnyConst(1), AnyConst(len(written))
    m.d.comb += Assume(place < most)
    followed, value = Signal(), Signal(ITEM)
    is_there = (drained[0] == half) & (index == place)
    done = went & is_there & (fold == folds - 1)
    with m.If(came & (filled[0] == half) & (written == place) & AnySeq(1)):
        m.d.sync += [followed.eq(1), value.eq(item)]
    with m.Elif(done):
        m.d.sync += followed.eq(0)
    m.d.comb += [Assert(~(replay.replayed.valid & is_there & followed) | (sent == value)),
                 Assert((filled - drained)[:2] <= 2),
                 Assert(replay.collected.ready == ((filled - drained)[:2] != 2)),
                 Assert(~replay.replayed.valid | (filled != drained))]
    waits(m, (filled != drained) & ~replay.replayed.valid, 1)

    module = inside(replay)
    full_halves(m, submodule(module, "halves"), filled, drained)
    row = Cat(place[:ceil_log2(most)], half)
    ends = signal(module, "ends")
    last = data.View(data.ArrayLayout(len(ends) // 2, 2), ends)
    ahead, valid = signal(module, "index"), replay.replayed.valid
    is_full = ((filled - drained)[:2] == 2) | ((filled != drained) & (drained[0] == half))
    helps(m, signal(module, "written") == written, signal(module, "fold") == fold,
          written < most, index < most, fold < folds, last[0] < most, last[1] < most,
          ahead == (index + valid)[:len(ahead)],
          ~valid | (sent.last == (index == last[drained[0]])),
          Mux(filled != drained, index <= last[drained[0]], (index == 0) & (fold == 0)),
          ~followed | (holds(m, submodule(module, "kept"), row) == value.value),
          ~followed | Mux(is_full, (place <= last[half])
                          & (value.last == (place == last[half])),
                          (filled[0] == half) & (place < written) & ~value.last),
          ~(followed & is_full & (drained[0] == half) & (fold == folds - 1)) | (index <= place))
    return m


PROPERTY = ("every item is sent once a fold, unchanged, in order; it takes items while a half is "
            "empty; offers stand")
FAULTS = tuple(Mutation("replay.py", *change) for change in (
    ("collected.ready.eq(halves.can_fill)", "collected.ready.eq(0)"),
    ("collected.ready.eq(halves.can_fill)", "collected.ready.eq(1)"),
    ("fetch.eq(halves.can_drain & (", "fetch.eq(("),
    ("sent.valid.eq(fetch | (sent.valid & ~taken))", "sent.valid.eq(fetch)"),
    ("sent.valid.eq(fetch | (sent.valid & ~taken))", "sent.valid.eq(0)")))
PROOFS = {
    "replay_three_folds": Proof(
        "Replay, 6 items, 3 folds", PROPERTY, partial(folds_of_timesteps, 6, 3),
        (*FAULTS,
         Mutation("replay.py", "with m.If(fold == self._folds - 1):",
                  "with m.If(fold == max(self._folds - 2, 0)):"),
         Mutation("replay.py", "read.en.eq(~sent.valid | sent.ready)", "read.en.eq(1)")), 2),
    "replay_one_item": Proof(
        "Replay, 1 item, 2 folds", PROPERTY, partial(folds_of_timesteps, 1, 2),
        (*FAULTS,
         Mutation("replay.py", "(~sent.valid | taken) & ~closes)", "(~sent.valid | taken))")), 2),
}
