"""Bench of `gateware.frame_buffer`: what is kept comes out, in order, and nothing else."""

import random
from typing import Any

import cocotb

from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import Sink, run_cycles
from sc_neurocore.protocol import CRC_BYTES

FRAMES = 200


class Writer:
    """Writes frames, some too long, keeps some, and checks lengths in every cycle."""

    def __init__(self, design: Any, sink: Sink, depth: int, density: float):
        self._design, self._sink, self._depth, self._density = design, sink, depth, density
        self._operations: list[str] = []
        for _ in range(FRAMES):
            size = random.choice([0, 3, 4, 5, random.randrange(depth), depth - 1, depth,
                                  random.randrange(2 * depth)])
            self._operations += ["write"] * size + ["end", "pause"]
        self._next = 0
        self._frame: list[int] = []
        self._overflow = False
        self.kept: list[int] = []
        self.overflows = 0

    @property
    def done(self) -> bool:
        return self._next == len(self._operations) and len(self._sink.items) == len(self.kept)

    def drive(self) -> None:
        design = self._design
        design.write.value = design.end.value = design.keep.value = 0
        self._operation = "pause"
        if self._next < len(self._operations) and random.random() < self._density:
            self._operation = self._operations[self._next]
            self._next += 1
        if self._operation == "write":
            self._byte = random.randrange(256)
            design.data.value, design.write.value = self._byte, 1
        if self._operation == "end":
            self._keeps = (not self._overflow and len(self._frame) >= CRC_BYTES
                           and random.random() < 0.8)
            design.end.value, design.keep.value = 1, self._keeps

    def sample(self, cycle: int) -> None:
        design = self._design
        # A byte on offer has left the ring.
        pending = len(self.kept) - len(self._sink.items) - int(design.bytes__valid.value)
        if self._operation != "pause":
            assert design.length.value == len(self._frame), f"cycle {cycle}"
            assert bool(design.overflow.value) == self._overflow, f"cycle {cycle}"
            assert pending or not design.bytes__valid.value or design.last.value == 1
        if self._operation == "write" and pending + len(self._frame) < self._depth:
            self._frame.append(self._byte)
        elif self._operation == "write":
            self._overflow = True
        if self._operation == "end":
            self.kept += self._frame[:-CRC_BYTES] if self._keeps else []
            self.overflows += self._overflow
            self._frame, self._overflow = [], False


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.3, 0.95], density=[1.0, 0.3])
async def what_is_kept_comes_out(design: Any, stall: float, density: float) -> None:
    depth = job()["depth"]
    sink = Sink(design, "bytes", stall)
    writer = Writer(design, sink, depth, density)
    await run_cycles(design, [writer, sink], lambda: writer.done, 200_000, linger=20)
    assert sink.items == writer.kept
    assert len(writer.kept) > depth * (5 if stall < 0.5 else 1)
    assert writer.overflows > 5
    assert design.empty.value == 1
    if not stall and density == 1.0:
        bursts = [after - before for before, after in zip(sink.cycles, sink.cycles[1:],
                                                          strict=False)]
        assert bursts.count(1) > 3 * depth, "a byte a cycle"
