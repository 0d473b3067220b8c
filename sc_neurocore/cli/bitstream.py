"""Commands from a network to a programmed board."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from .frame import Outcome, command, progress_bar
from .options import (
    COUNT,
    DATA,
    FOLDER,
    FREQUENCY,
    Layout,
    board_layout_options,
    load_inputs,
    load_network,
    network_argument,
    seed_option,
    with_plan,
)

board_option = click.option("--board", default="icebreaker", show_default=True, metavar="NAME",
                            help="One of those that `boards` lists.")


@command
def boards() -> Outcome:
    """List the boards that bitstreams are built for."""
    from ..boards import BOARDS

    head = ("board", "FPGA", "LUTs", "block RAMs", "SPRAMs", "clock", "baud")
    rows = [head] + [
        (board.name, board.device.title, str(board.resources.luts),
         str(board.resources.block_rams), str(board.resources.spram),
         f"{board.clock_hz / 1e6:g} MHz", str(board.baud)) for board in BOARDS.values()]
    widths = [max(len(row[index]) for row in rows) for index in range(len(head))]
    table = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
             for row in rows]
    notes = [f"{board.name}: {board.title}; {board.notes}" for board in BOARDS.values()]
    return Outcome({"boards": [board.as_dict() for board in BOARDS.values()]},
                   "\n".join([*table, "", *notes]))


@command
@network_argument
@board_option
@board_layout_options
@click.option("--clock-hz", type=FREQUENCY, metavar="N",
              help="Clock that the PLL makes.  [default: the board's]")
@click.option("--baud", type=COUNT, metavar="N", help="Bits a second.  [default: the board's]")
@click.option("--beats", type=int, default=1, show_default=True,
              help="Intensities in an input transfer; a UART has one in ten bits' time anyway.")
@click.option("--data", metavar="DATA", help=f"Count cycles: {DATA}")
@click.option("--images", type=COUNT, default=10, show_default=True,
              help="Take the first N of DATA's test images.")
@click.option("--native", is_flag=True,
              help="Run yosys, nextpnr and the packer from PATH in place of those that pip "
                   "installs.")
@seed_option
@click.option("--output", type=FOLDER, default=Path("build/board"), show_default=True,
              help="Folder for bitstream, report, sources and logs.")
def build(network: Path, board: str, clock_hz: float | None, baud: int | None, data: str | None,
          images: int, native: bool, seed: int | None, output: Path, **layout: Any) -> Outcome:
    """Build a board's bitstream.

    NETWORK is an integer network. Without --lanes its layout is chosen: the fastest that leaves
    room for the link, or the smallest that reaches --latency or --fps. What is unchanged is not
    built again.
    """
    from .. import bitstream
    from ..boards import find_board
    from ..files import check_folder

    found = find_board(board)
    clock_hz = clock_hz or found.clock_hz
    asked = Layout(device=found.device.name, clock_hz=clock_hz, **layout)
    loaded = load_network(network, seed)
    output.parent.mkdir(parents=True, exist_ok=True)
    check_folder(output)
    inputs = None if data is None else load_inputs(loaded, data, images)[1]
    with progress_bar("building") as show:
        spec, plan = asked.choose(loaded, inputs, found.room)
        made = bitstream.build(
            loaded, found, replace(spec, family=found.device.family), output, clock_hz=clock_hz,
            baud=baud, inputs=inputs, native=native, progress=lambda step: show(0, 1, step))
    document = made.as_dict() | {"output": str(output), "repeated": made.repeated}
    return with_plan(document, str(made), plan)


@command
@board_option
@click.argument("folder", type=FOLDER)
def program(board: str, folder: Path) -> Outcome:
    """Write a bitstream to a board.

    FOLDER is what `build` made. This takes openFPGALoader, and a board at the USB.
    """
    from .. import bitstream

    path = bitstream.program(folder, board)
    return Outcome({"bitstream": str(path), "board": board}, f"{path} is on the {board}")
