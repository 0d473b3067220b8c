import pytest
from common import as_job, random_network

from sc_neurocore.families import Shape
from sc_neurocore.gateware.weight_memory import WeightMemory
from sc_neurocore.timing import MEMORY_LATENCY


def check(simulate, network, lanes, kind, shape=None, ports=1):
    weights = WeightMemory(network.layers[0], lanes, kind, shape, ports)
    simulate(weights, "bench_weight_memory", network=as_job(network), lanes=lanes,
             latency=weights.latency, ports=ports)
    return weights.latency


@pytest.mark.parametrize("kind", ["block", "logic"])
@pytest.mark.parametrize(("shape", "lanes", "width"), [((6, 5), 2, 8), ((9, 4), 4, 3),
                                                       ((1, 1), 1, 16)])
def test_rows_hold_their_weights(simulate, kind, shape, lanes, width):
    check(simulate, random_network(shape, weight_width=width), lanes, kind)


@pytest.mark.parametrize(("shape", "latency"), [
    (Shape(1, 32, (9, 7)), MEMORY_LATENCY), (Shape(3, 8, (16,)), MEMORY_LATENCY + 1),
    (Shape(5, 4, (4, 4, 4, 4)), MEMORY_LATENCY + 1)])
def test_it_is_put_together_of_columns_and_banks(simulate, shape, latency):
    assert check(simulate, random_network((6, 5)), 2, "block", shape) == latency


@pytest.mark.parametrize(("kind", "shape", "latency"), [
    ("block", None, MEMORY_LATENCY + 1), ("logic", None, MEMORY_LATENCY + 1),
    ("block", Shape(3, 8, (9, 7)), MEMORY_LATENCY + 2)])
def test_two_rows_are_added_up(simulate, kind, shape, latency):
    assert check(simulate, random_network((6, 5)), 2, kind, shape, 2) == latency
