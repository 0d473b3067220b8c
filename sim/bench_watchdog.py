"""Bench of `gateware.watchdog`."""

import random
from typing import Any

import cocotb

from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import run_cycles


class Model:
    """Counts cycles without a move, and drives at random: mostly working, moves now and then."""

    def __init__(self, design: Any, limit: int):
        self._design, self._limit = design, limit
        self._still = 0
        self.expirations = 0

    def drive(self) -> None:
        self.working, self.moves = random.random() < 0.99, random.random() < 1 / self._limit
        self._design.working.value, self._design.moves.value = self.working, self.moves

    def sample(self, cycle: int) -> None:
        expires = self._still == self._limit
        assert int(self._design.expired.value) == expires, f"cycle {cycle}"
        self.expirations += expires
        rests = expires or self.moves or not self.working
        self._still = 0 if rests else self._still + 1


@cocotb.test()
async def it_expires_after_the_limit(design: Any) -> None:
    model = Model(design, job()["limit"])
    await run_cycles(design, [model], lambda: model.expirations == 20, limit=50_000)
