import pytest

from sc_neurocore.gateware.layouts import event
from sc_neurocore.gateware.replay import Replay


@pytest.mark.parametrize(("n_input", "folds"), [(1, 2), (8, 1), (13, 3)])
def test_each_timestep_comes_once_for_each_fold(simulate, n_input, folds):
    simulate(Replay(event(n_input), n_input, folds), "bench_replay", n_input=n_input, folds=folds)
