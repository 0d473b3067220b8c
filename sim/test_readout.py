import pytest
from common import as_job, random_network

from sc_neurocore.gateware.readout import Readout
from sc_neurocore.spec import AcceleratorSpec


@pytest.mark.parametrize(("n_output", "lanes", "timesteps"), [
    (1, 1, 3), (5, 5, 4), (5, 2, 1), (7, 1, 9)])
def test_results_follow_the_equations(simulate, n_output, lanes, timesteps):
    network = random_network((6, n_output), timesteps=timesteps, seed=n_output)
    simulate(Readout(network, AcceleratorSpec((lanes,))), "bench_readout",
             network=as_job(network), lanes=lanes)
