import pytest
from common import as_job, random_network

from sc_neurocore.gateware.weight_memory import WeightMemory


@pytest.mark.parametrize("kind", ["block", "logic"])
@pytest.mark.parametrize(("shape", "lanes", "width"), [((6, 5), 2, 8), ((9, 4), 4, 3),
                                                       ((1, 1), 1, 16)])
def test_rows_hold_their_weights(simulate, kind, shape, lanes, width):
    network = random_network(shape, weight_width=width)
    simulate(WeightMemory(network.layers[0], lanes, kind), "bench_weight_memory",
             network=as_job(network), lanes=lanes)
