import pytest
from common import as_job, random_network

from sc_neurocore.gateware.lfsr import Lfsr


@pytest.mark.parametrize(("width", "draws", "partial"), [
    (8, 1, 1), (8, 8, 3), (5, 7, 7), (16, 4, 1)])
def test_draws_are_those_of_the_golden_model(simulate, width, draws, partial):
    network = random_network((3, 2), intensity_width=width, seed=width)
    simulate(Lfsr(network.lfsr_state, width, draws, partial), "bench_lfsr",
             network=as_job(network), draws=draws, partial=partial)
