"""Bench of `gateware.layer`: spikes, membranes and cycles are those of the golden model."""

from typing import Any

import cocotb
import numpy as np
from bench_encoder import words_of
from common import exchange, from_job

from sc_neurocore import golden
from sc_neurocore.cosim.observation import fields
from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import Monitor
from sc_neurocore.spec import FIRE_LATENCY
from sc_neurocore.timing import CLOSE_CYC


def events_of(spikes: np.ndarray, folds: int) -> list[int]:
    """Events of one image, (timesteps, n_input), those of a timestep once for each fold; an empty
    one closes with an empty event."""
    width = max(1, (spikes.shape[1] - 1).bit_length())
    events = []
    for timestep in spikes:
        addresses = np.flatnonzero(timestep).tolist()
        events += folds * ([address | 1 << width | (address == addresses[-1]) << width + 1
                            for address in addresses] or [1 << width + 1])
    return events


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def commits_are_those_of_the_golden_model(design: Any, stall: float) -> None:
    network, lanes = from_job(job()["network"]), job()["lanes"]
    layer, widths = network.layers[0], network.widths[0]
    folds = -(-layer.n_output // lanes)
    random = np.random.default_rng(2)
    images = [random.random((network.timesteps, layer.n_input)) < density
              for density in (0.0, 1.0, 0.3, 0.6)]
    traces = [golden.integrate_and_fire(layer, image, network.schedule) for image in images]
    want = [word for spikes, _ in traces for word in words_of(spikes, lanes)]
    monitor = Monitor(design.trace__valid, [design.trace__timestep, design.trace__fold,
                                            design.trace__spikes, design.trace__membranes])
    events = [event for image in images for event in events_of(image, folds)]
    await exchange(design, "events", events, "words", want, stall=stall, monitors=[monitor])

    assert [record[:2] for record in monitor.records] == [
        (timestep, fold) for _ in images for timestep in range(network.timesteps)
        for fold in range(folds)]
    got = fields([record[3] for record in monitor.records], widths.membrane, lanes, signed=True)
    got = got.reshape(len(images) * network.timesteps, folds * lanes)[:, :layer.n_output]
    membranes = np.concatenate([membranes for _, membranes in traces])
    np.testing.assert_array_equal(got, membranes)
    if not stall and network.schedule == "pipelined":
        # The second image has the most events, so from its second timestep on the layer never
        # waits.
        busy = monitor.cycles
        first = network.timesteps * folds + folds
        steps = np.diff(busy[first:2 * network.timesteps * folds])
        fold_cyc = layer.n_input + CLOSE_CYC + widths.saturates
        assert (steps == fold_cyc).all(), "an operation a cycle"
        assert busy[0] == 1 + FIRE_LATENCY, "an empty timestep: in, fire"
