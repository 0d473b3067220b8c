import pytest

from sc_neurocore.gateware.watchdog import Watchdog


@pytest.mark.parametrize("limit", [29, 32])
def test_it_expires_after_the_limit(simulate, limit):
    simulate(Watchdog(limit), "bench_watchdog", limit=limit)
