from sc_neurocore.gateware.double_buffer import DoubleBuffer


def test_halves_alternate(simulate):
    simulate(DoubleBuffer(), "bench_double_buffer")
