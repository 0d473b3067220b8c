"""Commands about boards."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .frame import Outcome, command, progress_bar
from .options import (
    COUNT,
    FOLDER,
    Layout,
    data_option,
    layout_options,
    load_inputs,
    load_network,
    network_argument,
    seed_option,
)

if TYPE_CHECKING:
    from ..cosim.virtual_board import VirtualBoard
    from ..host import Activity

SHOWN = 10
"""Differences that are listed; all of them are counted."""


@command
@network_argument
@click.option("--port", required=True, help="Serial port of the board, or of a virtual one.")
@data_option
@click.option("--images", type=COUNT, help="Take the first N only.")
@click.option("--baud", type=COUNT, help="Bits a second.  [default: 1000000, or the build's]")
@click.option("--build", type=FOLDER,
              help="Folder of the board's bitstream: its layout is checked, and parameters are "
                   "loaded, if they are not built in.")
@layout_options
@seed_option
def run(network: Path, port: str, data: str, images: int | None, baud: int | None,
        build: Path | None, seed: int | None, **layout: Any) -> Outcome:
    """Run images on a board and compare its results.

    NETWORK is the integer network that the board was built of; it runs on the test images of DATA.
    The layout matters with --loaded alone: then parameters are loaded, unless the board has them.
    The exit code is 1 if a result is not the simulator's, which are the golden model's, or if the
    board found weights corrupted.
    """
    import numpy as np

    from .. import host, simulator
    from ..results import differences
    from .simulation import check_labels

    asked = Layout(**layout)
    loaded = load_network(network, seed)
    source, inputs = load_inputs(loaded, data, images)
    check_labels(source.labels, loaded.n_output)
    spec = asked.choose(loaded, inputs)[0] if asked.loaded else None
    if build is not None:
        from .. import bitstream

        if spec is not None:
            raise ValueError("--loaded must not be given with --build, which knows the layout")
        spec, baud = bitstream.read_layout(build), baud or bitstream.read_manifest(build)["baud"]
    with (host.open(port, loaded, spec=spec, baud=baud or host.BAUD) as board,
          progress_bar("running") as show):
        result = board.run(inputs, show)
        activity, corrupted = board.activity, board.corrupted
    with progress_bar("comparing") as show:
        want = simulator.run(loaded, inputs, show)
    found = differences(result, want)
    compared = sum(array.size for array in result.arrays())
    accuracy = (None if source.labels is None
                else float(np.mean(result.predicted == source.labels)))
    lines = [f"{len(inputs)} images of {source.name} on {port}: "
             + ("no labels" if accuracy is None else f"accuracy {accuracy:.2%}")
             + f", {activity.images_per_second:.0f} images/s",
             per_image(activity),
             f"{compared} values compared with the simulator's, {len(found)} of them different",
             *found[:SHOWN]]
    if activity.faults:
        lines.append(f"on the line, and mended: {host.summary(activity.faults)}")
    if corrupted is not None:
        lines.append("weights of layer {}, row {}, are corrupted: {}".format(
            *corrupted, "run again with --loaded or --build, which loads them again"
            if board.status["loads"] else "configure the FPGA again"))
    return Outcome(
        {"images": len(inputs), "accuracy": accuracy,
         "images_per_second": activity.images_per_second, "cycles": activity.cycles,
         "events": activity.events, "spikes": activity.spikes, "faults": dict(activity.faults),
         "corrupted": None if corrupted is None else
         {"layer": corrupted[0], "row": corrupted[1]},
         "compared": compared, "different": len(found), "differences": found[:SHOWN]},
        "\n".join(lines), not found and corrupted is None)


def per_image(activity: "Activity") -> str:
    """What an image took in the mean."""
    return ", ".join(f"{getattr(activity, name) / activity.images:.1f} {name}"
                     for name in ("cycles", "events", "spikes")) + " an image"


@command
@network_argument
@layout_options
@seed_option
@click.option("--folder", type=FOLDER,
              help="Folder for compiled simulations, which are used again.")
def virtual_board(network: Path, seed: int | None, folder: Path | None, **layout: Any) -> Outcome:
    """Simulate a board behind a serial port, until Ctrl-C.

    NETWORK is an integer network. The gateware of its board, UART included, runs under Verilator;
    what is printed is the path of the port, for `run` or any other program.
    """
    from ..cosim import virtual_board as simulation

    asked = Layout(**layout)
    loaded = load_network(network, seed)
    with progress_bar("compiling"):
        spec, _ = asked.choose(loaded)
        board = simulation.start(loaded, spec, folder)
    return Outcome({"port": board.port, "lanes": list(spec.lanes), "beats": spec.beats},
                   board.port, then=lambda: serve(board))


def serve(board: "VirtualBoard") -> None:
    """Keep a board running until Ctrl-C, or until something goes wrong."""
    with board, suppress(KeyboardInterrupt):
        board.wait()
