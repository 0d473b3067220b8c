import pytest

from sc_neurocore.gateware.parameter_rows import ParameterRows
from sc_neurocore.parameters import Capacity


@pytest.mark.parametrize(("n_input", "bias_rows", "initial_rows", "folds", "rounds"), [
    (8, 1, 3, 1, 2), (5, 0, 1, 2, 3), (1, 2, 2, 3, 1)])
def test_rows_follow_the_events(simulate, n_input, bias_rows, initial_rows, folds, rounds):
    capacity = Capacity(4, 5, 8, 8, 8, bias_rows, initial_rows)
    simulate(ParameterRows(n_input, capacity, folds, rounds), "bench_parameter_rows",
             n_input=n_input, bias_rows=bias_rows, initial_rows=initial_rows, folds=folds,
             rounds=rounds)
