from dataclasses import replace

import pytest
from common import as_job, random_network

from sc_neurocore.gateware.encoder import SpikeEncoder
from sc_neurocore.spec import AcceleratorSpec


@pytest.mark.parametrize(("encoder", "n_input", "beats", "lanes", "width", "timesteps"), [
    ("lfsr", 1, 1, 1, 8, 3), ("lfsr", 10, 4, 4, 8, 5), ("lfsr", 6, 8, 8, 1, 2),
    ("lfsr", 9, 1, 4, 16, 4), ("lfsr", 35, 2, 16, 8, 3),
    ("low_discrepancy", 10, 4, 8, 8, 5), ("low_discrepancy", 9, 2, 2, 2, 16),
    ("low_discrepancy", 3, 1, 4, 4, 1),
    ("direct", 10, 2, 4, 8, 5), ("direct", 5, 8, 8, 1, 3)])
def test_words_are_those_of_the_golden_model(simulate, encoder, n_input, beats, lanes, width,
                                             timesteps):
    network = replace(random_network((n_input, 2), intensity_width=width, timesteps=timesteps),
                      encoder=encoder)
    spec = AcceleratorSpec((1,), beats, lanes)
    simulate(SpikeEncoder(network, spec), "bench_encoder", network=as_job(network), beats=beats,
             lanes=lanes)
