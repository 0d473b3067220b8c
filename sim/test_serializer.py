import pytest

from sc_neurocore.gateware.serializer import Serializer


@pytest.mark.parametrize(("n_neurons", "lanes"), [(1, 1), (10, 1), (13, 5), (16, 16), (70, 35)])
def test_each_spike_becomes_an_event(simulate, n_neurons, lanes):
    simulate(Serializer(n_neurons, lanes), "bench_serializer", n_neurons=n_neurons, lanes=lanes)
