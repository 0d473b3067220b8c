"""Bench of `gateware.counters`: every byte comes by, and is right once nothing is added."""

import random
from typing import Any

import cocotb

from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import run_cycles


class Adder:
    """Adds for a while, at random or all it can, and then waits and compares, again and again."""

    def __init__(self, design: Any, counters: list[list[int]]):
        self._design, self._counters = design, counters
        self._size = sum(size for _, size in counters)
        self._left, self._most = 0, False
        self.totals = [0] * len(counters)
        self.rounds = self.compared = 0
        self._quiet = 0
        self._places: list[int] = []

    def drive(self) -> None:
        if self._left == 0 and self._quiet >= 3 * self._size:
            self._left = random.choice([1, 2, 7, 300, 2500])
            self._most, self._quiet = random.random() < 0.5, 0
            self.rounds += 1
        adding = self._left > 0
        for index, (largest, size) in enumerate(self._counters):
            add = (largest if self._most else random.randrange(largest + 1)) if adding else 0
            getattr(self._design, f"add_{index}").value = add
            self.totals[index] = (self.totals[index] + add) % 256**size
        self._left -= adding
        self._quiet += not adding

    def sample(self, cycle: int) -> None:
        place = int(self._design.place.value)
        self._places.append(place)
        assert place == cycle % self._size
        if self._quiet <= 2 * self._size + 1:
            return
        want = [byte for (_, size), total in zip(self._counters, self.totals, strict=True)
                for byte in total.to_bytes(size, "little")]
        assert self._design.byte.value == want[place], f"cycle {cycle}, byte {place}"
        self.compared += 1


@cocotb.test()
async def counters_count(design: Any) -> None:
    adder = Adder(design, job()["counters"])
    await run_cycles(design, [adder], lambda: adder.rounds == 60, limit=200_000)
    assert adder.compared > 40 * (sum(size for _, size in job()["counters"]) - 1)
