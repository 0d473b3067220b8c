"""Verilog to a netlist of a family's cells, by Yosys."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..extras import ToolError
from ..verilog import without_brackets
from . import memory_files, output_registers, tools, write_clocks
from .area import Area, cell_counts, measure
from .devices import FAMILIES, Device, find_device

SCRIPTS = {
    # Without the muxes that make LUTs of 5 to 7 inputs, which tie LUTs to each other's places:
    # docs/synthesis.md has the numbers.
    "ecp5": "synth_ecp5 -nowidelut",
    "gowin": "synth_gowin -noiopads -nowidelut",
    "ice40": "synth_ice40",
    "xc7": "synth_xilinx -family xc7 -flatten -noiopad -noclkbuf",
}
"""Yosys's command of a family, without the name of the top module."""

DEVICE_OPTIONS = {"ice40-up5k": "-device u"}
"""What it is told besides of a single device."""


@dataclass(frozen=True)
class Mapped:
    """A netlist of a family's cells.

    Parameters
    ----------
    netlist : dict
        What Yosys writes as JSON, the only module with contents being ``top``.
    top : str
    family : str
    cells : dict
        Number of cells by type.
    area : Area
    absorbed : int
        Flip-flops that became output registers of block RAMs, and are not counted any more.
    yosys : str
        Version of Yosys.
    """

    netlist: dict[str, Any]
    top: str
    family: str
    cells: dict[str, int]
    area: Area
    absorbed: int
    yosys: str

    @property
    def module(self) -> dict[str, Any]:
        """The module ``top``."""
        module: dict[str, Any] = self.netlist["modules"][self.top]
        return module

    def write(self, path: Path) -> None:
        """Write the netlist as JSON, as nextpnr reads it."""
        path.write_text(json.dumps(self.netlist, separators=(",", ":")), encoding="utf-8")


def map_verilog(text: str, top: str, device: Device | str, *, use_output_registers: bool = True,
                options: str = "", folder: Path | None = None, native: bool = False) -> Mapped:
    """Map Verilog to the cells of a device.

    Parameters
    ----------
    text : str
        Verilog source.
    top : str
        Name of its top module.
    device : Device or str
        A device, its name, or just a family of `FAMILIES`.
    use_output_registers : bool
        On ECP5, let block RAMs take in the registers behind them.
    options : str
        Further options of Yosys's command.
    folder : Path, optional
        Where source, script and log are kept; by default they are only if Yosys fails.
    native : bool
        Run the Yosys on PATH.

    Raises
    ------
    ValueError
        If the device is unknown.
    ToolError
        If Yosys is missing or fails; the message has the log's path.
    """
    family, extra = _target(device)
    command = " ".join(part for part in (SCRIPTS[family], extra, options) if part)
    with tools.working_folder(folder) as working:
        source = memory_files.write(without_brackets(text), top, working)
        (working / "map.ys").write_text(f"read_verilog {source}\n{command} -top {top}\n"
                                        "delete t:$scopeinfo\nwrite_json mapped.json\n")
        run_yosys(working, native=native)
        netlist = json.loads((working / "mapped.json").read_text(encoding="utf-8"))
        (working / "mapped.json").unlink()
    # Cells that are used are described by modules without contents, which would only be in the way.
    netlist["modules"] = {top: netlist["modules"][top]}
    module = netlist["modules"][top]
    absorbed = (output_registers.absorb(module)
                if family == "ecp5" and use_output_registers else 0)
    if family == "ice40":
        write_clocks.connect(module)
    cells = cell_counts(module)
    return Mapped(netlist, top, family, cells, measure(cells, family), absorbed,
                  tools.version("yosys", native=native))


def run_yosys(folder: Path, *, native: bool = False) -> None:
    """Run ``map.ys`` in a folder, and leave ``yosys.log`` there."""
    console, log = folder / "yosys.out", folder / "yosys.log"
    try:
        # Yosys writes its log by itself: its last words are lost on their way to stdout if it
        # aborts. What there is on stdout, or of WebAssembly's, is about an error.
        tools.run("yosys", ["-q", "-l", log.name, "-s", "map.ys"], folder, console.name,
                  native=native)
    except ToolError as error:
        said = tools.tail(log) if log.exists() else ""
        raise ToolError(f"{error}\nand of {log}:\n{said}") from None
    console.unlink()


def _target(device: Device | str) -> tuple[str, str]:
    """Family of a device, and the options that Yosys is given for it alone."""
    if isinstance(device, str):
        if device in FAMILIES:
            return device, ""
        device = find_device(device)
    return device.family, DEVICE_OPTIONS.get(device.name, "")
