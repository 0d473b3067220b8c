"""From a bitstream of an iCE40 back to Verilog of what it makes the FPGA do.

Nothing that Yosys or nextpnr were given or wrote goes in: LUTs, carries, flip-flops, block RAMs
with their contents, and the wires between them are those that the bits of the file stand for, by
the database of Project IceStorm (https://prjicestorm.readthedocs.io). Its icebox_vlog knows neither
SPRAM nor DSP blocks.
"""

import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from ..extras import ToolError
from . import tools
from .netlist import models

TOP = "recovered"
PROGRAM = "icebox_vlog"
PLL_MODEL = Path(__file__).with_name("SB_PLL40.v")

_MODULE = re.compile(rf"^module {TOP} \((.*?)\);\n(.*?)^endmodule$", re.MULTILINE | re.DOTALL)
_PLL = re.compile(r"^SB_PLL40_\w+ #\((.*?)^\)", re.MULTILINE | re.DOTALL)
_PAD_PLL = re.compile(r"^SB_PLL40_PAD\b(.*?)\.PACKAGEPIN\(\w+\)", re.MULTILINE | re.DOTALL)
_CELL = re.compile(r"^(SB_\w+) ", re.MULTILINE)


@dataclass(frozen=True)
class Recovered:
    """Logic that was recovered from a bitstream.

    Parameters
    ----------
    text : str
        Verilog of a module ``recovered`` with the ports that were asked for, and of its cells.
    clock_ratio : Fraction
        Its clock over that of the oscillator: what the PLL makes of it; 1 without a PLL. In
        simulation the two are one.
    """

    text: str
    clock_ratio: Fraction


def recover(bitstream: Path, inputs: Mapping[str, str], outputs: Mapping[str, str], clock: str,
            folder: Path) -> Recovered:
    """Recover Verilog of an iCE40's logic from a bitstream.

    Parameters
    ----------
    bitstream : Path
        For an iCE40UP5K in the package SG48, or an iCE40HX8K in CT256.
    inputs, outputs : mapping of str
        Pins of the package, by the names that the ports are to have.
    clock : str
        That of the inputs which is the oscillator's.
    folder : Path
        Where the files in between and the logs are left.

    Raises
    ------
    ToolError
        If a tool is missing or fails, or what it says can't be simulated.
    ValueError
        If a pin is not in use in the bitstream, or the other way round.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pins = {**inputs, **outputs}
    shutil.copyfile(bitstream, folder / f"{TOP}.bin")
    (folder / f"{TOP}.pcf").write_text(
        "".join(f"set_io {port} {pin}\n" for port, pin in pins.items()))
    tools.run("iceunpack", [f"{TOP}.bin", f"{TOP}.asc"], folder, "iceunpack.log")
    # Its log is the Verilog, and what Python may have to say of it.
    tools.run(PROGRAM, ["-s", "-n", TOP, "-p", f"{TOP}.pcf", f"{TOP}.asc"], folder, f"{TOP}.v")
    module = _MODULE.search((folder / f"{TOP}.v").read_text())
    if module is None:
        raise ToolError(f"{PROGRAM} wrote no module; its log is {folder / f'{TOP}.v'}")
    header, body = module.groups()
    directions = {name: direction for direction, name in map(str.split, header.split(", "))}
    for port, pin in pins.items():
        wanted = "input" if port in inputs else "output"
        if directions[port] != wanted:
            raise ValueError(f"Pin {pin} of {bitstream} must be an {wanted} in use, {port}")
    # Of the pin that feeds a PLL directly, icebox_vlog does not know the name.
    body = _PAD_PLL.sub(rf"SB_PLL40_CORE\1.REFERENCECLK({clock})", body)
    # It declares ports again as wires, which only this form of a header lets it do.
    declared = "".join(f"{direction} {name};\n" for name, direction in directions.items())
    text = f"module {TOP} ({', '.join(directions)});\n{declared}{body}endmodule\n"
    types = set(_CELL.findall(body))
    return Recovered("".join([text, PLL_MODEL.read_text(),
                              *models("ice40", types - {"SB_PLL40_CORE"})]), _clock_ratio(body))


def _clock_ratio(body: str) -> Fraction:
    """What a PLL multiplies the oscillator's clock with (Lattice TN1251, in its simple mode)."""
    ratio = Fraction(1)
    for parameters in _PLL.findall(body):
        said = dict(re.findall(r"\.(\w+)\(([^)]*)\)", parameters))
        modes = [said.get(name) for name in ("FEEDBACK_PATH", "PLLOUT_SELECT")]
        if modes != ['"SIMPLE"', '"GENCLK"']:
            raise ToolError("PLL must have one output and the modes SIMPLE and GENCLK to be "
                            f"simulated, not {said}")
        divr, divf, divq = (int(said[name].partition("'b")[2], 2)
                            for name in ("DIVR", "DIVF", "DIVQ"))
        ratio *= Fraction(divf + 1, (divr + 1) * 2**divq)
    return ratio
