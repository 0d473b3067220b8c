"""Bench of `gateware.replay`: each timestep comes once for each fold, in order."""

import random
from typing import Any

import cocotb
from common import exchange

from sc_neurocore.cosim.simulation import job
from sc_neurocore.timing import REPLAY_LATENCY


def random_timesteps(n_input: int) -> list[list[int]]:
    """Payloads of the events of 30 timesteps: none, all or some of the addresses."""
    width = max(1, (n_input - 1).bit_length())
    timesteps = []
    for number in range(30):
        density = (0.0, 1.0, 0.4)[number % 3]
        found = [address for address in range(n_input) if random.random() < density]
        timesteps.append([address | 1 << width | (address == found[-1]) << width + 1
                          for address in found] or [1 << width + 1])
    return timesteps


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.6])
async def each_timestep_comes_once_for_each_fold(design: Any, stall: float) -> None:
    n_input, folds = job()["n_input"], job()["folds"]
    timesteps = random_timesteps(n_input)
    want = [event for events in timesteps for _ in range(folds) for event in events]
    sink = await exchange(design, "collected", [event for events in timesteps for event in events],
                          "replayed", want, stall=stall)
    if stall:
        return
    complete = len(timesteps[0]) - 1
    assert sink.cycles[0] == complete + REPLAY_LATENCY
    # The second timestep is full, and was there when it was the first one's turn to be sent.
    begin = folds * len(timesteps[0])
    for fold in range(1, folds):
        first = begin + fold * len(timesteps[1])
        assert sink.cycles[first] == sink.cycles[first - 1] + REPLAY_LATENCY
        assert sink.cycles[first + len(timesteps[1]) - 1] == sink.cycles[first] + len(
            timesteps[1]) - 1, "an event a cycle"
