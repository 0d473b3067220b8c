"""Bench of `gateware.fold_store`: each fold finds what it left, and its thresholds, in time."""

import random
from typing import Any

import cocotb

from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import run_cycles
from sc_neurocore.timing import STORE_LATENCY

WORD = 16


class Folds:
    """Loads thresholds, and then works through the folds, each as short as it may be or longer."""

    def __init__(self, design: Any):
        self.design = design
        for name in ("lanes", "folds", "parts", "potential", "threshold"):
            setattr(self, name, job()[name])
        self.share = -(-self.lanes // self.parts)
        self.limits = [[random.getrandbits(self.threshold) for _ in range(self.lanes)]
                       for _ in range(self.folds)]
        self.loads = list(self.words())
        self.stored: dict[int, int] = {}
        self.fold, self.cycle_of_fold, self.length = 0, 0, 0
        self.compared = 0

    def words(self):
        """Row, word and data of every threshold."""
        for fold, limits in enumerate(self.limits):
            for part in range(self.parts):
                row = (fold << (self.parts - 1).bit_length()) + part
                value = sum(limit << self.threshold * lane for lane, limit in enumerate(
                    limits[part * self.share:(part + 1) * self.share]))
                for word in range(-(-self.share * self.threshold // WORD)):
                    yield row, word, value >> WORD * word & 2**WORD - 1

    def drive(self) -> None:
        design = self.design
        self.loading = bool(self.loads)
        design.load__enable.value = self.loading
        design.begins.value = design.closes.value = 0
        if self.loading:
            design.load__row.value, design.load__word.value, design.load__data.value = (
                self.loads.pop(0))
            return
        if self.cycle_of_fold == 0:
            self.length = self.parts + STORE_LATENCY + random.choice((0, 0, 1, 5))
        self.closes = self.cycle_of_fold == self.length
        self.totals = random.getrandbits(self.lanes * self.potential)
        design.fold.value = self.fold
        design.begins.value = self.cycle_of_fold == 0
        design.closes.value = self.closes
        design.totals.value = self.totals

    def sample(self, cycle: int) -> None:
        if self.loading:
            return
        self.cycle_of_fold += 1
        if not self.closes:
            return
        got = int(self.design.thresholds.value)
        want = sum(limit << self.threshold * lane
                   for lane, limit in enumerate(self.limits[self.fold]))
        assert got == want, f"cycle {cycle}, fold {self.fold}: thresholds {got:#x}, not {want:#x}"
        behind = (self.fold + 1) % self.folds
        if behind in self.stored:
            got = int(self.design.potentials.value)
            assert got == self.stored[behind], (f"cycle {cycle}, fold {self.fold}: potentials "
                                                f"{got:#x}, not {self.stored[behind]:#x}")
            self.compared += 1
        self.stored[self.fold] = self.totals
        self.fold, self.cycle_of_fold = behind, 0


@cocotb.test()
async def each_fold_finds_what_it_left(design: Any) -> None:
    folds = Folds(design)
    await run_cycles(design, [folds], lambda: folds.compared >= 60, limit=5000)
