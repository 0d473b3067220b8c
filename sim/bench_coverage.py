"""Bench of `test_coverage`: counts to 3, and no further."""

from typing import Any

import cocotb

from sc_neurocore.cosim.streams import run_cycles


class Driver:
    """Lets it count in three cycles."""

    def __init__(self, design: Any):
        self._design, self.cycles = design, 0

    def drive(self) -> None:
        self._design.go.value = self.cycles < 3

    def sample(self, cycle: int) -> None:
        self.cycles += 1


@cocotb.test()
async def it_counts_to_three(design: Any) -> None:
    driver = Driver(design)
    await run_cycles(design, [driver], lambda: driver.cycles == 6, limit=10)
    assert int(design.count.value) == 3
