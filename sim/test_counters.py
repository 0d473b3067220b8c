import pytest

from sc_neurocore.gateware.counters import Counters


@pytest.mark.parametrize("counters", [[(1, 1), (1, 4), (1, 4), (1, 4)], [(7, 2), (1, 3), (100, 2)],
                                      [(1, 2)]])
def test_counters_count(simulate, counters):
    simulate(Counters(counters), "bench_counters", counters=counters)
