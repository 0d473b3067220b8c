"""Bench of `gateware.spike_input`: words are the spikes from outside, without the silent ones."""

from typing import Any

import cocotb
import numpy as np
from bench_encoder import words_of
from common import exchange, from_job

from sc_neurocore.cosim.bench import transfers
from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import Monitor
from sc_neurocore.timing import QUEUE_LATENCY


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def words_are_the_spikes_from_outside(design: Any, stall: float) -> None:
    network, beats = from_job(job()["network"]), job()["beats"]
    shape = (network.timesteps, network.n_input)
    images = [np.random.default_rng(1).random(shape) < density for density in (0.0, 1.0, 0.2)]
    monitor = Monitor(design.trace__valid, [design.trace__timestep, design.trace__word])
    rows = np.concatenate(images).astype(int).tolist()
    sink = await exchange(design, "spikes", transfers(rows, beats, 1), "words",
                          [word for image in images for word in words_of(image, beats)],
                          stall=stall, monitors=[monitor])
    words = -(-network.n_input // beats)
    assert monitor.records == [(timestep, word) for _ in images
                               for timestep in range(network.timesteps) for word in range(words)]
    if not stall:
        assert monitor.cycles == list(range(len(monitor.records))), "a transfer a cycle"
        assert sink.cycles[0] == words - 1 + QUEUE_LATENCY
