import pytest

from sc_neurocore.gateware.serializer import Serializer


@pytest.mark.parametrize(("n_neurons", "lanes", "ports"), [
    (1, 1, 1), (10, 1, 1), (13, 5, 1), (16, 16, 1), (70, 35, 1), (1, 1, 2), (13, 5, 2),
    (64, 32, 2), (100, 50, 2)])
def test_each_spike_becomes_an_event(simulate, n_neurons, lanes, ports):
    simulate(Serializer(n_neurons, lanes, ports), "bench_serializer", n_neurons=n_neurons,
             lanes=lanes, ports=ports)
