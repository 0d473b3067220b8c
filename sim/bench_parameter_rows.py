"""Bench of `gateware.parameter_rows`: the rows of parameters follow the events of each timestep."""

import random
from typing import Any

import cocotb
from bench_replay import random_timesteps
from common import exchange

from sc_neurocore.cosim.simulation import job


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.6])
async def rows_follow_the_events(design: Any, stall: float) -> None:
    n_input, folds, rounds = job()["n_input"], job()["folds"], job()["rounds"]
    biases, initial = job()["bias_rows"], job()["initial_rows"]
    random.seed(3)
    rows = n_input + biases + initial
    narrow, wide = (max(1, (count - 1).bit_length()) for count in (n_input, rows))
    sent, want = [], []
    for number, timestep in enumerate(random_timesteps(n_input)):
        sent += timestep
        completed = [(event & 2**narrow - 1, event >> narrow & 1) for event in timestep]
        is_first = number // folds % rounds == 0
        completed += [(n_input + row, 1) for row in range(biases + initial * is_first)]
        want += [address | spike << wide | (place == len(completed) - 1) << wide + 1
                 for place, (address, spike) in enumerate(completed)]
    sink = await exchange(design, "events", sent, "completed", want, stall=stall)
    if not stall:
        assert sink.cycles == list(range(len(want))), "an event a cycle, without latency"
