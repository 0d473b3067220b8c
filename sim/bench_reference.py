"""Bench of `hdl/reference.v`: what is checked in, without trace ports, gives the golden results."""

from typing import Any

import cocotb
from common import exchange

from sc_neurocore.cosim.bench import transfers
from sc_neurocore.cosim.simulation import job


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.4])
async def results_are_those_of_the_golden_model(design: Any, stall: float) -> None:
    parameters = job()
    await exchange(design, "intensities", transfers(parameters["images"], parameters["beats"], 8),
                   "results", parameters["want"], stall=stall)
