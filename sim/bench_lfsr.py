"""Bench of `gateware.lfsr`: draws are those of the golden model, however many are taken at a
time."""

import random
from itertools import islice
from typing import Any

import cocotb
from common import from_job

from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import run_cycles
from sc_neurocore.golden import lfsr_draws


class Steps:
    """Takes all, some or none of the draws, or restarts, at random, and follows the position."""

    def __init__(self, design: Any):
        self.design, self.parameters = design, job()
        network = from_job(self.parameters["network"])
        self.stream = list(islice(lfsr_draws(network), 100 * self.parameters["draws"]))
        self.width, self.position, self.compared = network.intensity_width, 0, 0

    def drive(self) -> None:
        self.step, self.partial = random.random() < 0.8, random.random() < 0.3
        self.restart = random.random() < 0.03
        self.design.step.value = self.step
        self.design.is_partial.value = self.partial
        self.design.restart.value = self.restart

    def sample(self, cycle: int) -> None:
        count, draws = self.parameters["draws"], int(self.design.draws.value)
        for index in range(count):
            got = draws >> index * self.width & (2**self.width - 1)
            want = self.stream[self.position + index]
            assert got == want, f"cycle {cycle}: draw {self.position + index} is {got}, not {want}"
            self.compared += 1
        if self.step:
            self.position += self.parameters["partial"] if self.partial else count
        if self.restart or self.position + count > len(self.stream):
            assert self.restart, "the golden stream ended before a restart"
            self.position = 0


@cocotb.test()
async def draws_are_those_of_the_golden_model(design: Any) -> None:
    steps = Steps(design)
    await run_cycles(design, [steps], lambda: steps.compared >= 400 * steps.parameters["draws"],
                     limit=500)
