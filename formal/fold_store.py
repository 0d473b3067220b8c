"""The store of folds: its rows are in range; folds and parts do not fill an address."""

from amaranth.asserts import AnySeq
from amaranth.hdl import Assume, Module, Value
from test_mutations import Mutation

from sc_neurocore.gateware.fold_store import FoldStore
from sc_neurocore.parameters import Capacity, LoadFormat, Target

from .harness import Proof, helps, in_range, inside, new, signal, submodule

FOLDS, PARTS, LANES = 3, 3, 5
"""11 rows, addressed by four bits."""


def rows() -> Module:
    """Folds begin and close at any time."""
    m = new()
    form = LoadFormat((Target(11, LANES * 3),))
    m.submodules.store = store = FoldStore(Capacity(3, 3, 5, 5, 5, 1, 1), LANES, FOLDS, PARTS, form)
    m.d.comb += [Value.cast(port).eq(AnySeq(len(Value.cast(port)))) for port in (
        store.begins, store.closes, store.fold, store.totals, store.load.enable, store.load.row,
        store.load.word, store.load.data)]
    module = inside(store)
    rows = submodule(module, "stored").depth
    # As rounds.py has proved of it; and whoever loads has addresses of the store alone.
    m.d.comb += [Assume(store.fold < FOLDS), Assume(~store.load.enable | (store.load.row < rows))]
    in_range(m, store)
    helps(m, signal(module, "read_part") < PARTS, signal(module, "write_part") < PARTS,
          signal(module, "of_fold") < FOLDS)
    return m


PROOFS = {
    "fold_store": Proof(
        f"FoldStore, {FOLDS} folds, {PARTS} parts", "addresses are in range", rows,
        (Mutation("fold_store.py", "Mux(self.fold == self._folds - 1, 0, self.fold + 1)",
                  "self.fold + 1"),
         Mutation("fold_store.py", "with m.If(part == self._parts - 1):",
                  "with m.If(part == self._parts):"))),
}
