"""The command that says how large and how fast a circuit is."""

from pathlib import Path

import click

from .frame import Outcome, command, progress_bar
from .options import (
    COUNT,
    DATA,
    FOLDER,
    accelerator_spec,
    layout_options,
    load_network,
    network_argument,
    seed_option,
)


@command
@network_argument
@click.option("--device", default="ecp5-25k", show_default=True,
              help="ecp5-25k, -45k, -85k, ice40-up5k, ice40-hx8k, or xc7, which is mapped alone.")
@layout_options
@click.option("--data", metavar="DATA", help=f"Count cycles and synaptic operations: {DATA}")
@click.option("--images", type=COUNT, default=10, show_default=True,
              help="Take the first N of DATA's test images.")
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
def synth(network: Path, device: str, lanes: int | tuple[int, ...], beats: int, data: str | None,
          images: int, seeds: int, no_place: bool, target: float | None, jobs: int, native: bool,
          seed: int | None, output: Path | None) -> Outcome:
    """Map and place the circuit: area, frequency, throughput.

    NETWORK is an integer network. Yosys maps its Verilog for a device, nextpnr places and routes
    it; with DATA, cycles are the golden model's for test images.
    """
    from .. import synthesis
    from ..datasets import load_images
    from ..files import check_folder, fill_folder
    from ..synthesis.tools import working_folder

    if output is not None:
        check_folder(output)
    found = synthesis.find_device(device)
    loaded = load_network(network, seed)
    spec = accelerator_spec(loaded, lanes, beats)
    inputs = None if data is None else loaded.intensities(load_images(data, limit=images).images)
    with working_folder(None) as working, progress_bar("synthesizing") as show:
        report = synthesis.synthesize(
            loaded, spec, found, inputs=inputs, seeds=() if no_place else range(1, 1 + seeds),
            target_mhz=target, jobs=jobs, native=native, folder=working,
            progress=lambda step: show(0, 1, step))
        if output is not None:
            fill_folder(output, working)
    written = "" if output is None else f"\n\nfiles in {output}"
    return Outcome(report.as_dict(), f"{report}{written}")
