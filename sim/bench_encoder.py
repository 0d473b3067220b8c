"""Bench of `gateware.encoder`: the spike words are those of the golden model, image after image."""

from typing import Any

import cocotb
import numpy as np
from common import exchange, from_job

from sc_neurocore import golden
from sc_neurocore.cosim.bench import transfers
from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import Monitor
from sc_neurocore.timing import ENCODE_LATENCY, QUEUE_LATENCY


def words_of(spikes: np.ndarray, lanes: int) -> list[int]:
    """Spike words of one image, (rounds, n_neurons): with a spike, or the last of a round."""
    words = []
    for timestep in spikes:
        for start in range(0, len(timestep), lanes):
            bits = timestep[start:start + lanes]
            last = start + lanes >= len(timestep)
            if last or bits.any():
                words.append(sum(int(bit) << lane for lane, bit in enumerate(bits))
                             | last << lanes | start << lanes + 1)
    return words


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def words_are_those_of_the_golden_model(design: Any, stall: float) -> None:
    network, beats, lanes = from_job(job()["network"]), job()["beats"], job()["lanes"]
    images = np.random.default_rng(1).integers(0, network.full_scale + 1, (4, network.n_input))
    images[0], images[1] = 0, network.full_scale
    planes = golden.trace(network, images).trace.input_spikes
    monitor = Monitor(design.trace__valid, [design.trace__timestep, design.trace__word,
                                            design.trace__spikes])
    sink = await exchange(design, "intensities",
                          transfers(images.tolist(), beats, network.intensity_width), "words",
                          [word for image in planes for word in words_of(image, lanes)],
                          stall=stall, monitors=[monitor])
    words, rounds = -(-network.n_input // lanes), planes.shape[1]
    assert [record[:2] for record in monitor.records] == [
        (timestep, word) for _ in images for timestep in range(rounds) for word in range(words)]
    padded = np.zeros((len(images) * rounds, words * lanes), dtype=bool)
    padded[:, :network.n_input] = planes.reshape(len(padded), -1)
    want = padded.reshape(-1, lanes) @ (1 << np.arange(lanes, dtype=object))
    assert [record[2] for record in monitor.records] == want.tolist()
    if not stall:
        loaded = -(-network.n_input // beats)
        assert monitor.cycles[0] == loaded + ENCODE_LATENCY, "an image is encoded when it is loaded"
        # The first image is silent: the words that close its rounds are all that is sent.
        assert sink.cycles[0] == monitor.cycles[words - 1] + QUEUE_LATENCY
        steps = np.diff(monitor.cycles[:words * rounds])
        assert (steps == 1).all(), "a word a cycle"
