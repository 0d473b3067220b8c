import pytest
from common import as_job, random_network

from sc_neurocore.gateware.encoder import SpikeEncoder
from sc_neurocore.spec import AcceleratorSpec


@pytest.mark.parametrize(("n_input", "beats", "width", "timesteps"), [
    (1, 1, 8, 3), (10, 4, 8, 5), (6, 6, 1, 2), (5, 8, 3, 1), (9, 3, 16, 4)])
def test_words_are_those_of_the_golden_model(simulate, n_input, beats, width, timesteps):
    network = random_network((n_input, 2), intensity_width=width, timesteps=timesteps)
    spec = AcceleratorSpec((1,), beats)
    simulate(SpikeEncoder(network, spec), "bench_encoder", network=as_job(network), beats=beats)
