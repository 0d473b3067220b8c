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
        self.asked: list[int] = []
        self.compared = 0

    def drive(self) -> None:
        self.asked.append(len(self.asked) * 7 % self.rows)
        self.design.row.value = self.asked[-1]

    def sample(self, cycle: int) -> None:
        if cycle < self.latency:
            return
        fold, j = divmod(self.asked[cycle - self.latency], self.layer.n_input)
        width, word = self.layer.weight_width, int(self.design.weights.value)
        for lane in range(self.lanes):
            neuron = fold * self.lanes + lane
            want = self.layer.weights[neuron, j] if neuron < self.layer.n_output else 0
            got = signed(word >> lane * width, width)
            assert got == want, f"cycle {cycle}: weight {got} of neuron {neuron}, not {want}"
            self.compared += 1


@cocotb.test()
async def rows_hold_their_weights(design: Any) -> None:
    reader = Reader(design)
    await run_cycles(design, [reader], lambda: reader.compared >= 8 * reader.rows * reader.lanes,
                     limit=9 * reader.rows + 10)
