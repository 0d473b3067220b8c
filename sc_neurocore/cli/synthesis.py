"""The command that says how large and how fast a circuit is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from .frame import Outcome, command, progress_bar
from .options import (
    COUNT,
    DATA,
    FOLDER,
    Layout,
    layout_options,
    load_inputs,
    load_network,
    network_argument,
    seed_option,
    with_plan,
)


@command
@network_argument
@layout_options
@click.option("--data", metavar="DATA", help=f"Count cycles and synaptic operations: {DATA}")
@click.option("--images", type=COUNT, default=10, show_default=True,
              help="Take the first N of DATA's test images.")
@click.option("--toggles", type=COUNT, metavar="N",
              help="Simulate the netlist with the first N of these, and count toggles.")
@click.option("--seeds", type=COUNT, default=5, show_default=True,
              help="Runs of nextpnr, with seeds 1 and up.")
@click.option("--no-place", is_flag=True, help="Map only, and say nothing about frequency.")
@click.option("--target", type=click.FloatRange(min=0, min_open=True), metavar="MHZ",
              help="Frequency that nextpnr works towards.  [default: the device's]")
@click.option("--jobs", type=COUNT, default=1, show_default=True, help="Runs at the same time.")
@click.option("--native", is_flag=True,
              help="Run yosys and nextpnr from PATH in place of those that pip installs.")
@seed_option
@click.option("--output", type=FOLDER, help="Folder for Verilog, netlists, reports and logs.")
def synth(network: Path, data: str | None, images: int, toggles: int | None, seeds: int,
          no_place: bool, target: float | None, jobs: int, native: bool, seed: int | None,
          output: Path | None, **layout: Any) -> Outcome:
    """Map and place the circuit: area, frequency, throughput.

    NETWORK is an integer network. Yosys maps its Verilog for a device, nextpnr places and routes
    it; with DATA, cycles are the golden model's for test images. The device is ecp5-25k by default,
    and may be xc7 as well, which is mapped alone and not planned for.
    """
    from .. import synthesis
    from ..files import check_folder, fill_folder
    from ..synthesis.tools import working_folder

    if output is not None:
        check_folder(output)
    if toggles is not None and data is None:
        raise ValueError("--toggles needs --data, the images to be counted with")
    asked = Layout(**layout)
    found = synthesis.find_device(asked.device or "ecp5-25k")
    if found.resources is None and asked.latency is None and asked.fps is None:
        asked = replace(asked, device=None, clock_hz=None)
    loaded = load_network(network, seed)
    inputs = None if data is None else load_inputs(loaded, data, images)[1]
    spec, plan = asked.choose(loaded, inputs)
    spec = replace(spec, family=found.family)
    with working_folder(None) as working, progress_bar("synthesizing") as show:
        report = synthesis.synthesize(
            loaded, spec, found, inputs=inputs, seeds=() if no_place else range(1, 1 + seeds),
            target_mhz=target, jobs=jobs, native=native, folder=working,
            progress=lambda step: show(0, 1, step))
        if toggles is not None and inputs is not None:
            from ..stages import count_toggles

            show(0, 1, "simulating the netlist")
            report = replace(report, toggles=count_toggles(report.mapped, loaded, inputs[:toggles],
                                                           spec))
        if output is not None:
            fill_folder(output, working)
    written = "" if output is None else f"\n\nfiles in {output}"
    return with_plan(report.as_dict(), f"{report}{written}", plan)
