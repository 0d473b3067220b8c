"""The bench: replays images on a generated accelerator and records whatever its trace ports show.

It runs inside the simulator and knows ports and packing, but no golden model: what it records is
compared outside (`compare`), so a simulation is judged by ordinary, testable Python.
"""

from pathlib import Path
from typing import Any

import cocotb
import numpy as np

from .observation import Observation, StageRecord, fields
from .simulation import job
from .streams import Monitor, Sink, Source, run_cycles

LINGER = 100
"""Cycles in which nothing more must come after the last result."""


def pack(values: list[int], width: int) -> int:
    """Numbers of ``width`` bits in one, the first in the lowest bits."""
    return sum(value << index * width for index, value in enumerate(values))


def transfers(images: list[list[int]], beats: int, width: int) -> list[int]:
    """Payloads of the input stream for back-to-back images, padded with what would surely spike."""
    padding = [2**width - 1] * (-len(images[0]) % beats)
    return [pack([*image, *padding][start:start + beats], width)
            for image in images for start in range(0, len(image), beats)]


def _record(monitor: Monitor, names: list[str], lanes: int, membrane_width: int = 0) -> StageRecord:
    columns = {name: np.array([record[index] for record in monitor.records], dtype=np.int64)
               for index, name in enumerate(names)}
    spikes = fields([record[len(names)] for record in monitor.records], 1, lanes)
    membranes = (fields([record[-1] for record in monitor.records], membrane_width, lanes,
                        signed=True) if membrane_width else None)
    return StageRecord(np.array(monitor.cycles, dtype=np.int64), columns["timestep"],
                       columns[names[1]], spikes.astype(bool), membranes)


def _trace(design: Any, layers: int) -> tuple[list[Monitor], list[Monitor]]:
    """Monitors of the encoder and of the layers."""
    encoder = Monitor(design.trace_encoder__valid, [
        design.trace_encoder__timestep, design.trace_encoder__word, design.trace_encoder__spikes])
    monitors = []
    for index in range(layers):
        ports = [getattr(design, f"trace_layer_{index}__{name}")
                 for name in ("valid", "timestep", "fold", "spikes", "membranes")]
        monitors.append(Monitor(ports[0], ports[1:]))
    return [encoder], monitors


@cocotb.test()
async def replay(design: Any) -> None:
    """Send the job's images, and record commits and results until the last result.

    Before that, parameters are loaded, where they are, and the design works on the images for
    ``interrupted_after`` cycles and is then reset.
    """
    parameters = job()
    stall = parameters["stall"]
    payloads = transfers(parameters["images"], parameters["beats"], parameters["input_width"])
    port = parameters["input"]
    if parameters["load"]:
        loader = Source(design, "load", parameters["load"])
        await run_cycles(design, [loader], lambda: loader.done, limit=len(parameters["load"]) + 1,
                         linger=3)
    if interrupted := parameters["interrupted_after"]:
        await run_cycles(design, [Source(design, port, payloads), Sink(design, "results")],
                         lambda: True, limit=1, linger=interrupted)
    source = Source(design, port, payloads, stall)
    sink = Sink(design, "results", stall)
    encoder, layers = _trace(design, len(parameters["lanes"])) if parameters["trace"] else ([], [])

    fault = ""
    try:
        await run_cycles(design, [source, sink, *encoder, *layers],
                         lambda: len(sink.items) >= parameters["results"], parameters["limit"],
                         linger=LINGER)
    except AssertionError as error:
        fault = str(error)
    results = [fields([item >> offset for item in sink.items], width, 1, signed=signed)[:, 0]
               for offset, width, signed in parameters["result_fields"]]
    Observation(
        fault, np.array(source.cycles, dtype=np.int64),
        _record(encoder[0], ["timestep", "word"], parameters["word_lanes"]) if encoder else None,
        [_record(monitor, ["timestep", "fold"], lanes, width) for monitor, lanes, width in zip(
            layers, parameters["lanes"], parameters["membrane_widths"], strict=False)],
        np.array(sink.cycles, dtype=np.int64), np.array(results, dtype=np.int64).reshape(5, -1)
    ).save(Path(parameters["observation"]))
