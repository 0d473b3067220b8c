from dataclasses import replace

import pytest
from common import as_job, random_network

from sc_neurocore.gateware.spike_input import SpikeInput
from sc_neurocore.spec import AcceleratorSpec


@pytest.mark.parametrize(("n_input", "beats"), [(1, 1), (10, 4), (8, 8), (40, 32)])
def test_words_are_the_spikes_from_outside(simulate, n_input, beats):
    network = replace(random_network((n_input, 2)), encoder="events")
    simulate(SpikeInput(network, AcceleratorSpec((1,), beats)), "bench_spike_input",
             network=as_job(network), beats=beats)
