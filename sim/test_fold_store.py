import pytest

from sc_neurocore.gateware.fold_store import FoldStore
from sc_neurocore.parameters import Capacity, LoadFormat, Target, part_row


@pytest.mark.parametrize(("lanes", "folds", "parts"), [(4, 2, 1), (5, 3, 2), (7, 2, 7), (3, 4, 3)])
def test_each_fold_finds_what_it_left(simulate, lanes, folds, parts):
    capacity = Capacity(weight=4, threshold=9, potential=13, membrane=13, accumulator=13,
                        bias_rows=1, initial_rows=1)
    form = LoadFormat((Target(part_row(folds - 1, parts - 1, parts) + 1, -(-lanes // parts) * 9),))
    simulate(FoldStore(capacity, lanes, folds, parts, form), "bench_fold_store", lanes=lanes,
             folds=folds, parts=parts, potential=capacity.potential, threshold=capacity.threshold)
