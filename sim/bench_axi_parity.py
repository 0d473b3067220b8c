"""Bench of the AXI ports of an accelerator with parity: its registers tell the corrupted row."""

from typing import Any

import cocotb
from bench_axi import Bench
from cocotb.triggers import ClockCycles
from cocotbext.axi import AxiStreamFrame

from sc_neurocore.axi_ports import BY_NAME
from sc_neurocore.cosim.simulation import job


@cocotb.test()
async def registers_tell_the_row(design: Any) -> None:
    bench = await Bench(design, watches=False).start()
    features = BY_NAME["FEATURES"].bits
    assert await bench.read("FEATURES") == 1 << features["PARITY"][0]

    async def report() -> tuple[int, int]:
        await bench.source.send(AxiStreamFrame(bytes.fromhex(job()["image"])))
        await bench.sink.recv()
        await ClockCycles(design.aclk, 20)      # the accelerator is reset meanwhile
        return await bench.read("CORRUPTED_LAYER"), await bench.read("CORRUPTED_ROW")

    assert await report() == (0, 0)
    design.flip_bit.value = job()["flip"]["bit"]
    design.flip_row.value = job()["flip"]["row"]
    design.flip_cycle.value = int(design.flip_now.value) + 5
    design.flip_number.value = job()["flip"]["number"]
    for _ in range(2):
        assert await report() == tuple(job()["report"])
