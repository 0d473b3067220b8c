"""Bench of the AXI ports with flipped bits: what becomes of the packets, and of those after them.

The Verilog is that of `campaigns.flips`; the flips come one after another, a reset between.
"""

import json
from pathlib import Path
from typing import Any

import cocotb
import numpy as np
from bench_axi import BROKEN, STATUS, Bench, is_of
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiStreamFrame

from sc_neurocore.axi_ports import RESULT
from sc_neurocore.cosim.simulation import job

STUCK_CYC = 3000
"""Cycles without a result, after which none will come; several times what an image takes."""


class Experiment:
    """Packets, a flip among them, and packets after it."""

    def __init__(self, bench: Bench, packets: list[dict[str, Any]]):
        self._bench, self._packets = bench, packets

    async def reset(self) -> None:
        design = self._bench.design
        design.flip_number.value = 0
        design.aresetn.value = 0
        await ClockCycles(design.aclk, 3)
        self._bench.source.clear()
        self._bench.sink.clear()
        design.aresetn.value = 1
        await ClockCycles(design.aclk, 2)

    async def exchange(self) -> list[np.ndarray]:
        """Result packets of all packets, until nothing more comes."""
        for packet in self._packets:
            self._bench.source.send_nowait(AxiStreamFrame(bytes.fromhex(packet["bytes"])))
        results: list[np.ndarray] = []
        quiet = 0
        while quiet < STUCK_CYC:
            await ClockCycles(self._bench.design.aclk, 50)
            quiet += 50
            while not self._bench.sink.empty():
                got = bytes(self._bench.sink.recv_nowait().tdata)
                results.append(np.frombuffer(got, RESULT))
                quiet = 0
            if len(results) >= len(self._packets):
                quiet += STUCK_CYC // 20
        return results

    async def run(self, flip: dict[str, int]) -> dict[str, Any]:
        design = self._bench.design
        await self.reset()
        design.flip_bit.value = flip["bit"]
        design.flip_row.value = flip["row"]
        design.flip_cycle.value = int(design.flip_now.value) + flip["cycle"]
        design.flip_number.value = flip["number"]
        first = await self.exchange()
        second = await self.exchange()
        outcome = self._outcome(first)
        heals = self._outcome(second) == "right"
        if len(second) < len(self._packets) - 1:
            outcome = "hangs"
        return {"outcome": outcome, "heals": heals, "flagged": sum(map(flagged, first))}

    def _outcome(self, results: list[np.ndarray]) -> str:
        sizes = [len(packet["counts"]) for packet in self._packets]
        if [len(beats) for beats in results] != sizes:
            return "lost"
        pairs = [pair for pair in zip(results, self._packets, strict=True) if not flagged(pair[0])]
        if any(beats[-1]["class"] != packet["predicted"] for beats, packet in pairs):
            return "another class"
        if any(not is_of(beats, packet) for beats, packet in pairs):
            return "other numbers"
        return "flagged" if len(pairs) < len(results) else "right"


def flagged(beats: np.ndarray) -> bool:
    """Whether a result says that it is broken; its first beats may be from before."""
    return bool(len(beats)) and bool(beats[-1]["count"] & BROKEN)


@cocotb.test()
async def flipped_bits(design: Any) -> None:
    bench = await Bench(design, watches=False).start()
    experiment = Experiment(bench, job()["packets"])
    outcomes = [await experiment.run(flip) for flip in job()["flips"]]
    Path(job()["output"]).write_text(json.dumps(outcomes))


@cocotb.test(skip=not job().get("stops"))
async def a_stop_is_told(design: Any) -> None:
    bench = await Bench(design).start()
    experiment = Experiment(bench, job()["packets"])
    before = await bench.counts()
    outcome = await experiment.run(job()["stops"])
    assert outcome["flagged"], outcome
    assert outcome["heals"], outcome
    # The reset before the flip has cleared the counters as well.
    assert not any(before.values())
    assert await bench.count("restarts") == 1
    assert await bench.read("STATUS") == STATUS["RESTARTED"]
    await bench.write("STATUS", STATUS["RESTARTED"])
    assert await bench.read("STATUS") == 0
    assert (await bench.counts())["images"] == 2 * len(job()["packets"])
