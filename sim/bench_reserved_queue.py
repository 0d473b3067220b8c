"""Bench of `gateware.reserved_queue`: nothing is lost, and no more is promised than there is
room."""

import random
from typing import Any

import cocotb

from sc_neurocore.cosim.streams import Sink, run_cycles
from sc_neurocore.timing import QUEUE_DEPTH


class Pipeline:
    """Reserves at random and pushes ``latency`` cycles later."""

    def __init__(self, design: Any, sink: Sink, latency: int, eagerness: float):
        self.design, self.sink, self.eagerness = design, sink, eagerness
        self.flying: list[int | None] = [None] * latency
        self.reserved: list[int] = []
        self.may_reserve, self.taken_before = True, 0

    def drive(self) -> None:
        reserves = self.may_reserve and random.random() < self.eagerness
        word = random.getrandbits(7) if reserves else None
        self.flying.append(word)
        if word is not None:
            self.reserved.append(word)
        pushed = self.flying.pop(0)
        self.design.reserve.value = reserves
        self.design.push.value = pushed is not None
        self.design.word.value = 0 if pushed is None else pushed

    def sample(self, cycle: int) -> None:
        # Room shows before this cycle's reservation, and what was taken before this cycle.
        room = int(self.design.room.value)
        in_use = len(self.reserved) - (self.flying[-1] is not None) - self.taken_before
        assert room == (in_use < QUEUE_DEPTH), f"cycle {cycle}: room is {room}, {in_use} in use"
        self.taken_before = len(self.sink.items)
        self.may_reserve = len(self.reserved) - self.taken_before < QUEUE_DEPTH


@cocotb.test()
@cocotb.parametrize(latency=[1, 3], eagerness=[0.4, 1.0], stall=[0.0, 0.5])
async def nothing_is_lost(design: Any, latency: int, eagerness: float, stall: float) -> None:
    sink = Sink(design, "words", stall)
    pipeline = Pipeline(design, sink, latency, eagerness)
    await run_cycles(design, [sink, pipeline], lambda: len(sink.items) >= 100, limit=20000)
    assert sink.items == pipeline.reserved[:len(sink.items)]
