"""Bench of `gateware.event_buffer`: a timestep can be read, in any order, until it is released."""

import random
from typing import Any

import cocotb

from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import Source, run_cycles


class Reader:
    """Reads each timestep at random places, now and then pausing, and releases it."""

    def __init__(self, design: Any, timesteps: list[list[int]], source: Source, closing: list[int]):
        self.design, self.timesteps = design, timesteps
        self.source, self.closing = source, closing
        self.released, self.reads, self.asked = 0, 0, None

    def drive(self) -> None:
        length = len(self.timesteps[self.released]) if self.released < len(self.timesteps) else 0
        written = self.released < len(self.timesteps) and (
            len(self.source.cycles) > self.closing[self.released])
        self.ask = random.randrange(length) if written and length else None
        self.release = written and random.random() < 0.2
        self.design.index.value = 0 if self.ask is None else self.ask
        self.design.release.value = self.release
        self.full = written

    def sample(self, cycle: int) -> None:
        assert int(self.design.full.value) == self.full, f"cycle {cycle}: full is not {self.full}"
        if self.full:
            want = len(self.timesteps[self.released])
            assert int(self.design.length.value) == want, f"cycle {cycle}: length is not {want}"
        if self.asked is not None:
            got = int(self.design.address.value)
            assert got == self.asked, f"cycle {cycle}: address {got}, not {self.asked}"
            self.reads += 1
        self.asked = None if self.ask is None else self.timesteps[self.released][self.ask]
        self.released += self.release


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.6])
async def timesteps_can_be_read_until_released(design: Any, stall: float) -> None:
    n_input = job()["n_input"]
    width = max(1, (n_input - 1).bit_length())
    timesteps, items, closing = [], [], []
    for number in range(30):
        density = (0.0, 1.0, 0.4)[number % 3]
        timesteps.append([])
        for address in range(n_input):
            spike, last = random.random() < density, address == n_input - 1
            if spike:
                timesteps[-1].append(address)
            items.append(address | spike << width | last << width + 1)
        closing.append(len(items) - 1)
    source = Source(design, "events", items, stall)
    reader = Reader(design, timesteps, source, closing)
    await run_cycles(design, [source, reader], lambda: reader.released == len(timesteps),
                     limit=100 * len(items))
    assert reader.reads > 20
