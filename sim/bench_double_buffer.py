"""Bench of `gateware.double_buffer`: halves alternate, and nothing is filled or drained too
early."""

import random
from typing import Any

import cocotb

from sc_neurocore.cosim.streams import run_cycles


class Model:
    """Fills and drains at random; ``full`` counts the halves that are full."""

    def __init__(self, design: Any, eagerness: float):
        self.design, self.eagerness = design, eagerness
        self.full = self.fills = self.drains = 0

    def drive(self) -> None:
        self.fill = self.full < 2 and random.random() < self.eagerness
        self.drain = self.full > 0 and random.random() < self.eagerness
        self.design.filled.value, self.design.drained.value = self.fill, self.drain

    def sample(self, cycle: int) -> None:
        got = tuple(int(getattr(self.design, name).value)
                    for name in ("can_fill", "can_drain", "fill", "drain"))
        want = (self.full < 2, self.full > 0, self.fills % 2, self.drains % 2)
        assert got == want, f"cycle {cycle}: {got}, model says {want}"
        self.fills += self.fill
        self.drains += self.drain
        self.full += self.fill - self.drain


@cocotb.test()
@cocotb.parametrize(eagerness=[0.3, 0.7, 1.0])
async def halves_alternate(design: Any, eagerness: float) -> None:
    model = Model(design, eagerness)
    await run_cycles(design, [model], lambda: model.drains >= 100, limit=2000)
