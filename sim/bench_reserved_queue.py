"""Bench of `gateware.reserved_queue`: nothing is lost, and no more is promised than there is
room."""

import random
from typing import Any

import cocotb

from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import Sink, run_cycles
from sc_neurocore.timing import QUEUE_LATENCY

DROPPED = -1


class Pipeline:
    """Reserves at random, and ``latency`` cycles later pushes, or now and then drops."""

    def __init__(self, design: Any, sink: Sink, latency: int, eagerness: float):
        self.design, self.sink, self.eagerness = design, sink, eagerness
        self.depth = job()["depth"]
        self.flying: list[int | None] = [None] * latency
        self.pushed: list[int] = []
        self.push_cycles: list[int] = []
        self.in_use, self.taken = 0, 0
        self.reserves = self.drops = False

    def drive(self) -> None:
        self.reserves = self.in_use < self.depth and random.random() < self.eagerness
        self.flying.append((DROPPED if random.random() < 0.3 else random.getrandbits(7))
                           if self.reserves else None)
        word = self.flying.pop(0)
        self.drops = word == DROPPED
        pushes = word is not None and not self.drops
        self.design.reserve.value = self.reserves
        self.design.drop.value = self.drops
        self.design.push.value = pushes
        self.design.word.value = word if pushes else 0
        if pushes:
            self.pushed.append(word)

    def sample(self, cycle: int) -> None:
        # Room shows before this cycle's reservation, and what became free before this cycle.
        room = int(self.design.room.value)
        assert room == (self.in_use < self.depth), f"cycle {cycle}: room is {room}, " \
                                                   f"{self.in_use} of {self.depth} in use"
        taken = len(self.sink.items) - self.taken
        self.taken += taken
        self.in_use += self.reserves - self.drops - taken
        if len(self.push_cycles) < len(self.pushed):
            self.push_cycles.append(cycle)


@cocotb.test()
@cocotb.parametrize(latency=[1, 3], eagerness=[0.4, 1.0], stall=[0.0, 0.5])
async def nothing_is_lost(design: Any, latency: int, eagerness: float, stall: float) -> None:
    sink = Sink(design, "words", stall)
    pipeline = Pipeline(design, sink, latency, eagerness)
    await run_cycles(design, [sink, pipeline], lambda: len(sink.items) >= 100, limit=20000)
    assert sink.items == pipeline.pushed[:len(sink.items)]
    if not stall:
        latency = 1 if pipeline.depth == 1 else QUEUE_LATENCY
        assert all(taken - pushed == latency for taken, pushed in zip(
            sink.cycles, pipeline.push_cycles, strict=False)), "latency"
