import pytest

from sc_neurocore.gateware.reserved_queue import ReservedQueue


@pytest.mark.parametrize("depth", [1, 2, 8])
def test_nothing_is_lost(simulate, depth):
    simulate(ReservedQueue(7, depth), "bench_reserved_queue", depth=depth)
