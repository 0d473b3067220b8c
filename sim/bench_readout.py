"""Bench of `gateware.readout`: counts, currents and class, ties included."""

from typing import Any

import cocotb
import numpy as np
from common import exchange, from_job

from sc_neurocore.cosim.simulation import job
from sc_neurocore.network import IntegerNetwork
from sc_neurocore.timing import RESULT_LATENCY


def words_of(spikes: np.ndarray, potentials: np.ndarray, lanes: int, width: int) -> list[int]:
    """Output words of one image: (timesteps, n_output) spikes and potentials before them."""
    words = []
    timesteps, n_output = spikes.shape
    for timestep in range(timesteps):
        for start in range(0, n_output, lanes):
            word = ((start + lanes >= n_output) << lanes | (timestep == 0) << lanes + 1
                    | (timestep == timesteps - 1) << lanes + 2)
            for lane, neuron in enumerate(range(start, min(start + lanes, n_output))):
                word |= int(spikes[timestep, neuron]) << lane
                potential = int(potentials[timestep, neuron]) & 2**width - 1
                word |= potential << lanes + 3 + lane * width
            words.append(word)
    return words


def model(network: IntegerNetwork, spikes: np.ndarray, membranes: np.ndarray) -> list[int]:
    """Payloads of the results of one image."""
    output = network.layers[-1]
    index_width = max(1, (network.n_output - 1).bit_length())
    results, best, winner = [], None, 0
    for neuron in range(network.n_output):
        count = int(spikes[:, neuron].sum())
        current = (int(output.thresholds[neuron]) * count + int(membranes[-1, neuron])
                   - int(output.initial_membranes[neuron]))
        if best is None or current > best:
            best, winner = current, neuron
        fields = [(neuron, index_width), (count, network.count_width),
                  (current, network.current_width), (winner, index_width),
                  (neuron == network.n_output - 1, 1)]
        word = shift = 0
        for value, width in fields:
            word |= (value & 2**width - 1) << shift
            shift += width
        results.append(word)
    return results


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.5])
async def results_follow_the_equations(design: Any, stall: float) -> None:
    network, lanes = from_job(job()["network"]), job()["lanes"]
    low, high = network.widths[-1].membrane_range
    random = np.random.default_rng(3)
    shape = (network.timesteps, network.n_output)
    words, want = [], []
    for image in range(12):
        spikes = random.random(shape) < (0.0, 1.0, 0.5)[image % 3]
        membranes = random.integers(low, high + 1, shape)
        if image % 4 == 0:      # all equal: the lowest index wins
            spikes[:], membranes[:] = spikes[:, :1], membranes[:, :1]
        limit = 2 ** (network.current_width - 1)
        currents = network.layers[-1].thresholds * spikes.sum(axis=0) + membranes[-1]
        if (abs(currents) >= limit - 2 ** network.layers[-1].weight_width).any():
            membranes[-1] = -network.layers[-1].thresholds * spikes.sum(axis=0)
        potentials = membranes - network.layers[-1].thresholds * ~spikes
        words += words_of(spikes, potentials, lanes, network.widths[-1].accumulator)
        want += model(network, spikes, membranes)
    sink = await exchange(design, "words", words, "results", want, stall=stall)
    if not stall:
        folds = -(-network.n_output // lanes)
        word_cyc = 1 if folds == 1 else 2
        # With several folds, the first count is read in the cycle after reset.
        assert sink.cycles[0] == ((network.timesteps - 1) * folds * word_cyc + (folds > 1)
                                  + RESULT_LATENCY)
        steps = np.diff(sink.cycles[:network.n_output])
        within = np.arange(1, network.n_output) % lanes != 0
        assert (steps == np.where(within, 1, word_cyc)).all(), "a neuron a cycle"
