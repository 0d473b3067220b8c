"""Bench of `gateware.encoder`: the spike words are those of the golden model, image after image."""

from typing import Any

import cocotb
import numpy as np
from common import exchange, from_job

from sc_neurocore import golden
from sc_neurocore.cosim.bench import transfers
from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import Monitor
from sc_neurocore.timing import ENCODE_LATENCY


def words_of(spikes: np.ndarray, beats: int) -> list[int]:
    """Spike words of one image, (timesteps, n_input)."""
    words = []
    for timestep in spikes:
        for start in range(0, len(timestep), beats):
            bits = timestep[start:start + beats]
            words.append(sum(int(bit) << lane for lane, bit in enumerate(bits))
                         | (start + beats >= len(timestep)) << beats)
    return words


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def words_are_those_of_the_golden_model(design: Any, stall: float) -> None:
    network, beats = from_job(job()["network"]), job()["beats"]
    images = np.random.default_rng(1).integers(0, network.full_scale + 1, (4, network.n_input))
    images[0], images[1] = 0, network.full_scale
    want = [word for image in images for word in words_of(golden.encode(network, image), beats)]
    monitor = Monitor(design.trace__valid, [design.trace__timestep, design.trace__word,
                                            design.trace__spikes])
    sink = await exchange(design, "intensities",
                          transfers(images.tolist(), beats, network.intensity_width), "words", want,
                          stall=stall, monitors=[monitor])
    words = -(-network.n_input // beats)
    assert [record[:2] for record in monitor.records] == [
        (timestep, word) for _ in images for timestep in range(network.timesteps)
        for word in range(words)]
    assert [record[2] for record in monitor.records] == [word % 2**beats for word in want]
    if not stall:
        assert monitor.cycles[0] == words + ENCODE_LATENCY, "an image is encoded when it is loaded"
        assert sink.cycles[0] == monitor.cycles[0] + 1
        steps = np.diff(monitor.cycles[:words * network.timesteps])
        assert (steps == 1).all(), "a word a cycle"
