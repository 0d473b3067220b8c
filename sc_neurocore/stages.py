"""The same images through every stage from Verilog down, each compared with the golden model."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy.typing as npt

from . import bitstream, cosim, verilog
from .boards import BOARDS, DEFAULT, Board, find_board
from .cosim.pins import verify_at_pins
from .cosim.virtual_board import compile_board
from .extras import require
from .identity import parameters_crc32
from .network import IntegerNetwork
from .spec import AcceleratorSpec
from .synthesis import recovery, tools
from .synthesis.devices import Device, find_device
from .synthesis.mapping import Mapped, map_verilog
from .synthesis.netlist import FAMILIES, netlist_verilog
from .synthesis.toggles import Toggles, toggles_of

STAGES = {"rtl": "every spike, membrane, result and cycle",
          "netlist": "every spike, membrane, result and cycle",
          "bitstream": "results and cycles at the pins"}
"""What can be verified, and what is compared there: the Verilog, what Yosys makes of it for a
family of FPGAs, and the logic in the bitstream of a board with an iCE40."""


@dataclass(frozen=True)
class StageReport:
    """What was compared in a stage.

    ``target``: the device or family of a netlist, the board of a bitstream, or empty.
    """

    stage: str
    target: str
    report: cosim.Report

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"stage": self.stage, "target": self.target, **self.report.as_dict()}

    def __str__(self) -> str:
        lines = [f"{self.stage} {self.target}".ljust(24) + STAGES[self.stage],
                 *f"{self.report}".splitlines()]
        if isinstance(self.report, cosim.VerifyReport):
            lines.append(f"{self.report.cycles_per_image:.1f} cycles per image")
        return "\n  ".join(lines)


def verify_stages(network: IntegerNetwork, inputs: npt.ArrayLike, spec: AcceleratorSpec,
                  stages: Sequence[str] = ("rtl", "netlist"), device: Device | str | None = None, *,
                  build: Path | None = None, folder: Path | None = None, cache: Path | None = None,
                  waves: Path | None = None, stall_seed: int = 1,
                  progress: Callable[[str], None] = lambda stage: None) -> list[StageReport]:
    """Verify stage after stage.

    Parameters
    ----------
    network, inputs, spec
        As for `cosim.verify`.
    stages : sequence of str
        Some of `STAGES`. Of a netlist every spike and membrane is compared as well, so it has the
        trace ports, and is not the smallest that could be; a bitstream is that of a board.
    device : Device or str, optional
        That a netlist is mapped for, by default one of each family that can be simulated; and
        whose board a bitstream is built for, by default `boards.DEFAULT`.
    build : Path, optional
        Folder of the bitstream, as `bitstream.build` makes it, of this layout; by default it is
        built.
    folder, cache : Path, optional
        Where logs are kept, and compiled simulations; by default these are in ``folder`` as well.
    waves : Path, optional
        VCD file of the first stage's run without stalls.
    stall_seed : int
        Of the Verilog's and the netlists' stalls.
    progress : callable, optional
        Called with what is being verified.

    Raises
    ------
    TypeError, ValueError
        If a stage is unknown, or inputs or spec do not fit the network, the stage or the build.
    MissingExtraError, ToolError
        If a tool is missing or fails. A mismatch is not an error, but in the reports.
    """
    for stage in stages:
        if stage not in STAGES:
            raise ValueError(f"Stage must be one of {', '.join(STAGES)}, not {stage!r}")
    if not stages:
        raise ValueError("Stages must be at least one")
    chosen = find_device(device) if isinstance(device, str) else device
    if "netlist" in stages and chosen is not None and chosen.family not in FAMILIES:
        raise ValueError(f"Family must be one of {', '.join(FAMILIES)} for a netlist to be "
                         f"simulated, not {chosen.family!r}")
    if "bitstream" in stages:
        board = _check_bitstream(network, spec, chosen, build)
        tools.find(recovery.PROGRAM)        # before a build that takes minutes
        require("amaranth_boards", "boards")
        require("serial", "host")
    cache = cache or (None if folder is None else folder / "compiled")
    reports: list[StageReport] = []
    for stage, target, text in _texts(network, spec, stages, chosen, progress):
        reports.append(StageReport(stage, target, cosim.verify(
            network, inputs, spec, text=text, lint=stage == "rtl",
            folder=None if folder is None else folder / f"{stage}{target}", cache=cache,
            waves=None if reports else waves, stall_seed=stall_seed)))
    if "bitstream" in stages:
        with tools.working_folder(None if folder is None else folder / "bitstream") as working:
            if build is None:
                build = working / board.name
                bitstream.build(network, board, spec, build, progress=progress)
            progress(f"simulating the bitstream for {board.name}")
            reports.append(StageReport("bitstream", board.name, verify_bitstream(
                network, inputs, build, working, cache or working / "compiled")))
    return reports


def _texts(network: IntegerNetwork, spec: AcceleratorSpec, stages: Sequence[str],
           device: Device | None, progress: Callable[[str], None]
           ) -> Iterable[tuple[str, str, str]]:
    """Stage, target and Verilog of those that have the accelerator's ports."""
    text = verilog.generate(network, spec, trace=True) if {"rtl", "netlist"} & set(stages) else ""
    if "rtl" in stages:
        progress("co-simulating the Verilog")
        yield "rtl", "", text
    if "netlist" not in stages:
        return
    chosen: list[Device | str] = list(FAMILIES)
    if device is not None:
        chosen = [device]
    elif "spram" in spec.memories:
        chosen = [find_device("ice40-up5k")]
    for each in chosen:
        name = each if isinstance(each, str) else each.name
        progress(f"mapping for {name}")
        mapped = map_verilog(text, verilog.TOP, each)
        progress(f"co-simulating the netlist for {name}")
        yield "netlist", name, netlist_verilog(mapped)


def _check_bitstream(network: IntegerNetwork, spec: AcceleratorSpec, device: Device | None,
                     build: Path | None) -> Board:
    """The board of a bitstream that can be verified."""
    if "spram" in spec.memories:
        raise ValueError("Memories must not be spram in the stage bitstream: "
                         f"{recovery.PROGRAM} can't recover SPRAM from one")
    if build is None:
        device = device or BOARDS[DEFAULT].device
        boards = [board for board in BOARDS.values() if board.device.name == device.name
                  and device.family == "ice40"]
        if not boards:
            raise ValueError("Device must be an iCE40 that there is a board with, in the stage "
                             f"bitstream, not {device.name}")
        return boards[0]
    manifest = bitstream.read_manifest(build)
    board = find_board(manifest["board"])
    if board.device.family != "ice40":
        raise ValueError(f"{build} must be built for a board with an iCE40 in the stage bitstream, "
                         f"not for {board.name}")
    if bitstream.read_layout(build) != replace(spec, family="ice40"):
        raise ValueError(f"{build} must be of the layout that is verified")
    if not spec.loaded and manifest["parameters"] != parameters_crc32(network):
        raise ValueError(f"{build} must be built of the network that is verified")
    return board


def verify_bitstream(network: IntegerNetwork, inputs: npt.ArrayLike, build: Path, folder: Path,
                     cache: Path) -> cosim.Report:
    """Simulate the logic that a board's bitstream file consists of, at the board's pins.

    Nothing but that file goes into the simulation; the manifest says of which board and layout it
    is, and how fast its UART is.

    Parameters
    ----------
    network, inputs
        As for `cosim.verify`.
    build : Path
        Folder that `bitstream.build` made, for a board with an iCE40.
    folder, cache : Path
        Where the recovered Verilog and logs are kept, and compiled simulations.

    Raises
    ------
    TypeError, ValueError
        If inputs do not fit the network, or the bitstream is not of such a board.
    MissingExtraError, ToolError
        If a tool is missing or fails.
    """
    from .boards.recovered import recover_board

    manifest = bitstream.read_manifest(build)
    found = recover_board(build / manifest["bitstream"], find_board(manifest["board"]), folder)
    program = compile_board(found.text, cache, lint=False)
    return verify_at_pins(network, inputs, bitstream.read_layout(build), program,
                          round(found.clock_hz / manifest["baud"]))


def count_toggles(mapped: Mapped, network: IntegerNetwork, inputs: npt.ArrayLike,
                  spec: AcceleratorSpec, *, cache: Path | None = None) -> Toggles:
    """Simulate a netlist, compare its results with the golden model's, and count toggles.

    Parameters
    ----------
    mapped : Mapped
        The accelerator without trace ports.
    network, inputs, spec, cache
        As for `cosim.verify`.

    Raises
    ------
    TypeError, ValueError
        If inputs or spec do not fit the network.
    MissingExtraError
        If cocotb is not installed.
    ToolError
        If a tool fails, or the netlist does not do what the golden model does.
    """
    images, _ = network.check_batch(inputs)
    text = netlist_verilog(mapped)
    with TemporaryDirectory(prefix="sc-neurocore-toggles-") as folder:
        waves = Path(folder) / "netlist.vcd"
        report = cosim.verify(network, images, spec, text=text, lint=False, trace=False,
                              waves=waves, folder=Path(folder), cache=cache)
        if not report.passed:
            raise cosim.ToolError(f"The netlist does not do what the golden model does: {report}")
        return toggles_of(mapped, waves, len(images))
