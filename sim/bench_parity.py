"""Bench of an accelerator's parity: the row with a flipped bit is reported, and no other.

The Verilog is that of `campaigns.flips`.
"""

from typing import Any

import cocotb

from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import Part, Sink, Source, run_cycles


class Flips(Part):
    """Inverts bits of memories, one a cycle."""

    def __init__(self, design: Any, flips: list[dict[str, int]]):
        self._design, self._left = design, list(flips)

    @property
    def done(self) -> bool:
        """Whether all are inverted."""
        return not self._left and int(self._design.flip_number.value) == 0

    def drive(self) -> None:
        design = self._design
        flip = self._left.pop(0) if self._left else {"number": 0, "bit": 0, "row": 0}
        design.flip_number.value = flip["number"]
        design.flip_bit.value, design.flip_row.value = flip["bit"], flip["row"]
        design.flip_cycle.value = int(design.flip_now.value)

    def sample(self, cycle: int) -> None:
        pass


class Bench:
    """Images, with bits flipped before them."""

    def __init__(self, design: Any):
        self._design = design

    async def flip(self, flips: list[dict[str, int]]) -> None:
        changes = Flips(self._design, flips)
        await run_cycles(self._design, [changes], lambda: changes.done, limit=len(flips) + 2)

    async def load(self) -> None:
        """Load all parameters, if they are loaded; otherwise clear what was reported."""
        design = self._design
        if words := job()["load"]:
            loader = Source(design, "load", words)
            await run_cycles(design, [loader], lambda: loader.done, limit=len(words) + 1, linger=3)
            return
        # No port does that, but flips can.
        await self.flip([
            {"number": number, "bit": bit, "row": 0}
            for name, number in job()["registers"].items()
            for bit in range(len(getattr(design, name)))
            if int(getattr(design, name).value) >> bit & 1])

    async def report(self, images: bool = True) -> tuple[int, int]:
        """Reset, run the images, and return the layer, from 1, and the row that are reported."""
        design = self._design
        if not images:
            await run_cycles(design, [], lambda: True, limit=1)
            return int(design.corrupted_layer.value), int(design.corrupted_row.value)
        source = Source(design, "intensities", job()["transfers"])
        sink = Sink(design, "results")
        await run_cycles(design, [source, sink], lambda: len(sink.items) >= job()["results"],
                         limit=job()["limit"])
        return int(design.corrupted_layer.value), int(design.corrupted_row.value)


@cocotb.test()
async def rows_are_reported(design: Any) -> None:
    bench = Bench(design)
    await bench.load()
    assert await bench.report() == (0, 0)
    for case in job()["cases"]:
        await bench.flip(case["flips"])
        assert await bench.report() == tuple(case["report"]), case
        assert await bench.report(images=False) == tuple(case["report"]), "a reset forgets it"
        if not job()["load"]:
            await bench.flip(case["flips"])
        await bench.load()
        assert await bench.report() == (0, 0), f"after {case} was mended"
