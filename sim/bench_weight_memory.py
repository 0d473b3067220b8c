"""Bench of `gateware.weight_memory`: each row's weights come `latency` cycles after its address."""

from typing import Any

import cocotb
from common import from_job, signed

from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import run_cycles


class Reader:
    """Reads row after row, one a cycle."""

    def __init__(self, design: Any):
        self.design, self.lanes = design, job()["lanes"]
        self.layer = from_job(job()["network"]).layers[0]
        self.latency = job()["latency"]
        self.rows = -(-self.layer.n_output // self.lanes) * self.layer.n_input
        self.ports = job()["ports"]
        self.asked: list[int] = []
        self.beside: list[int | None] = []
        self.compared = 0

    def drive(self) -> None:
        self.asked.append(len(self.asked) * 7 % self.rows)
        self.design.row.value = self.asked[-1]
        if self.ports == 2:
            second = len(self.asked) * 5 % self.rows
            self.beside.append(second if len(self.asked) % 3 else None)
            self.design.second_row.value = second
            self.design.second_counts.value = self.beside[-1] is not None

    def sample(self, cycle: int) -> None:
        if cycle < self.latency:
            return
        rows = [self.asked[cycle - self.latency]]
        if self.ports == 2:
            rows += [row for row in [self.beside[cycle - self.latency]] if row is not None]
        width, word = self.layer.weight_width + self.ports - 1, int(self.design.weights.value)
        for lane in range(self.lanes):
            want = sum(self.weight(row, lane) for row in rows)
            got = signed(word >> lane * width, width)
            assert got == want, f"cycle {cycle}: weight {got} in lane {lane}, not {want}"
            self.compared += 1

    def weight(self, row: int, lane: int) -> int:
        fold, j = divmod(row, self.layer.n_input)
        neuron = fold * self.lanes + lane
        return int(self.layer.weights[neuron, j]) if neuron < self.layer.n_output else 0


@cocotb.test()
async def rows_hold_their_weights(design: Any) -> None:
    reader = Reader(design)
    await run_cycles(design, [reader], lambda: reader.compared >= 8 * reader.rows * reader.lanes,
                     limit=9 * reader.rows + 10)
