"""GHDL: clock cycles of a VHDL design, and its Verilog for tools that read no VHDL.

The Verilog that GHDL 2.0 (Debian 12) writes lacks something; ``verilog`` puts it back.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from ecp5 import call, program

_LONGEST_LITERAL = 4096
"""Bits; Yosys's scanner takes no token of more than 16 kB."""


class Design:
    """A folder of VHDL files, analysed.

    Parameters
    ----------
    folder : Path
        All ``*.vhd`` in it are read; the library and what is written go to ``ghdl`` in it.
    top : str
        The entity on top.
    """

    def __init__(self, folder: Path, top: str) -> None:
        self.folder = folder.absolute()
        self.top = top
        self.work = self.folder / "ghdl"
        self.work.mkdir(exist_ok=True)
        files = sorted(path.name for path in self.folder.glob("*.vhd"))
        self._call("import", "-i", *files)
        self._call("make", "-m", top)

    def _call(self, title: str, command: str, *arguments: str | Path,
              options: tuple[str, ...] = ()) -> str:
        ghdl = program("ghdl", "apt install ghdl")
        output = call([ghdl, command, "--std=08", f"--workdir={self.work}", *options, *arguments],
                      self.folder, self.work / f"{title}.txt")
        return output.read_text()

    def simulate(self, bench: Path, generics: Mapping[str, int]) -> dict[str, int]:
        """Run a bench, an entity named as its file, until it stops.

        Returns
        -------
        dict of str to int
            Lines of a name and a number that it printed.
        """
        self._call("bench", "-a", bench)
        values = [f"-g{name}={value}" for name, value in generics.items()]
        printed = self._call("simulate", "--elab-run", bench.stem, *values,
                             "--ieee-asserts=disable")
        return {name: int(value) for name, value in re.findall(r"^(\w+) (\d+)$", printed, re.M)}

    def verilog(self) -> Path:
        """Synthesize to Verilog that has the defaults of all ``case`` statements.

        GHDL 2.0 leaves them out of Verilog but not of VHDL; it gives both the same names.
        """
        text, reference = (self._call(f"as_{language}", "--synth", self.top,
                                      options=(f"--out={language}",))
                           for language in ("verilog", "vhdl"))
        path = self.folder / f"{self.top}.v"
        path.write_text(split_literals(add_defaults(text, defaults(reference))))
        return path


def defaults(vhdl: str) -> dict[str, str]:
    """Verilog of the value that each signal of a selected assignment has for ``others``."""
    return {target: _verilog_value(choices.rpartition(",")[2])
            for target, choices in re.findall(r"with \w+ select (\w+) <=([^;]*);", vhdl)}


def _verilog_value(choice: str) -> str:
    """Verilog of the value in the VHDL choice ``value when others``."""
    name = re.fullmatch(r"\s*(\w+) when others", choice)
    literal = re.fullmatch(r"""\s*["']([01X]+)["'] when others""", choice)
    unknown = re.fullmatch(r"\s*\((\d+) downto 0 => 'X'\) when others", choice)
    if name:
        return name[1]
    if literal:
        return f"{len(literal[1])}'b{literal[1].lower()}"
    if unknown:
        return f"{int(unknown[1]) + 1}'bx"
    raise RuntimeError(f"GHDL wrote a default that is neither a name nor bits: {choice.strip()}")


def add_defaults(verilog: str, values: Mapping[str, str]) -> str:
    """Add a default to each ``case`` statement; every one assigns to one signal."""
    statement = re.compile(r"(\bcase \([^)]*\)\s*\S+: (\w+) <=.*?)\bendcase\b", re.S)
    targets = {target for _, target in statement.findall(verilog)}
    if targets != set(values):
        raise RuntimeError("GHDL's Verilog and VHDL differ in the case statements of "
                           f"{sorted(targets ^ set(values))}")
    return statement.sub(lambda case: f"{case[1]}  default: {case[2]} <= {values[case[2]]};\n"
                                      "    endcase", verilog)


def split_literals(verilog: str) -> str:
    """Write binary literals that are too long for Yosys as concatenations."""
    def split(literal: re.Match) -> str:
        pieces = re.findall(f"[01]{{1,{_LONGEST_LITERAL}}}", literal[1])
        return "{" + ", ".join(f"{len(bits)}'b{bits}" for bits in pieces) + "}"

    return re.sub(rf"\b\d+'b([01]{{{_LONGEST_LITERAL + 1},}})", split, verilog)
