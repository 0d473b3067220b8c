from sc_neurocore.gateware.reserved_queue import ReservedQueue


def test_nothing_is_lost(simulate):
    simulate(ReservedQueue(7), "bench_reserved_queue")
