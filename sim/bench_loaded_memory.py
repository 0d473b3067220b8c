"""Bench of `gateware.loaded_memory`: a row holds the words that were loaded into it last."""

import random
from typing import Any

import cocotb

from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import run_cycles

WORD = 16


class Reader:
    """Loads all words, and then reads rows, one a cycle, and now and then loads a word again."""

    def __init__(self, design: Any):
        self.design, self.rows, self.width = design, job()["rows"], job()["width"]
        words = -(-self.width // WORD)
        self.pending = [(row, word) for row in range(self.rows) for word in range(words)]
        self.held = [0] * self.rows
        self.asked: list[int | None] = []
        self.compared = 0

    def drive(self) -> None:
        loads = bool(self.pending) or random.random() < 0.2
        self.design.load__enable.value = loads
        if loads:
            row, word = self.pending.pop(0) if self.pending else (
                random.randrange(self.rows), random.randrange(-(-self.width // WORD)))
            data = random.getrandbits(WORD)
            self.design.load__row.value, self.design.load__word.value = row, word
            self.design.load__data.value = data
            mask = 2**WORD - 1 << WORD * word
            self.held[row] = (self.held[row] & ~mask | data << WORD * word) & 2**self.width - 1
        # A memory that is being loaded is not read: SPRAM can't.
        self.asked.append(None if loads else random.randrange(self.rows))
        self.design.row.value = self.asked[-1] or 0

    def sample(self, cycle: int) -> None:
        if cycle == 0 or (row := self.asked[cycle - 1]) is None:
            return
        # What is loaded in this cycle is not what was read in the last one.
        if self.asked[cycle] is None:
            return
        got = int(self.design.held.value)
        assert got == self.held[row], f"cycle {cycle}: row {row} {got:#x}, not {self.held[row]:#x}"
        self.compared += 1


@cocotb.test()
async def rows_hold_what_was_loaded(design: Any) -> None:
    reader = Reader(design)
    await run_cycles(design, [reader], lambda: reader.compared >= 300, limit=5000)
