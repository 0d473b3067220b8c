"""Makes a run of pytest count the coverage of the gateware: ``-p campaigns.covering``.

Simulations are compiled with Verilator's coverage, and Verilog says which lines of the gateware its
signals, operators and cases come from.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.back import verilog as back
from amaranth.hdl import _nir

from sc_neurocore.cosim import coverage

from .gateware_points import DRAWN, wholes

_DECLARED = re.compile(r"^  (?:input |output )?(?:wire|reg) (?:\[\d+:0\] )?"
                       r"\\?([^\s;]+) *(\[[^;\n]*)?(?: = [^;\n]*)?;$", re.MULTILINE)


DRAWING = ("test_random_networks.py",)
"""Tests whose networks are drawn at random, and layouts with them."""
CHANGED = ((_nir.Matches, "__init__"), (rtlil.Case, "emit"), (rtlil.Switch, "emit"),
           (back, "convert"), (coverage, "folder"))
"""What `begin` replaces."""


class _Patterns(tuple[str, ...]):
    """A case's patterns, and the line that it is in."""

    place: tuple[str, int] | None = None


def keep_positions() -> None:
    """Have Amaranth write the line of each ``m.If``, ``m.Case`` and ``m.State``.

    It knows them, but leaves them out of RTLIL. Attributes of a case become comments if Yosys
    writes a ``case`` statement, and are lost if it writes an ``if``, which has those of the switch.
    """
    init, emit_case, emit_switch = _nir.Matches.__init__, rtlil.Case.emit, rtlil.Switch.emit

    def keep(self: Any, *args: Any, patterns: Any, src_loc: Any, **rest: Any) -> None:
        init(self, *args, patterns=patterns, src_loc=src_loc, **rest)
        self.patterns = _Patterns(self.patterns)
        self.patterns.place = src_loc

    def tell(line: Any, cases: Iterable[Any]) -> None:
        places = [getattr(case.patterns, "place", None) or ("", 0) for case in cases]
        line(f'attribute \\src "{"|".join(f"{file}:{number}" for file, number in places)}"')

    def case(self: Any, line: Any) -> None:
        tell(line, [self])
        emit_case(self, line)

    def switch(self: Any, line: Any) -> None:
        tell(line, self.cases)
        emit_switch(self, line)

    _nir.Matches.__init__, rtlil.Case.emit, rtlil.Switch.emit = keep, case, switch


def mark(text: str) -> str:
    """Have Verilator count no toggles of memories, and of what has no name, or one a field."""
    left_out = wholes(text) | {"clk", "rst"}

    def marked(found: re.Match[str]) -> str:
        declaration, name, rows = found[0], found[1], found[2]
        if not rows and not name.startswith(("$", "_", "port$")) and name not in left_out:
            return declaration
        return f"  /* verilator coverage_off */\n{declaration}\n  /* verilator coverage_on */"

    return _DECLARED.sub(marked, text)


def pytest_addoption(parser: Any) -> None:
    """Where the counts go."""
    parser.addoption("--coverage-folder", required=True, type=Path)


def pytest_configure(config: Any) -> None:
    """Begin."""
    begin(config.getoption("--coverage-folder"))


def pytest_runtest_setup(item: Any) -> None:
    """Keep apart what counts in designs that are drawn at random."""
    folder = item.config.getoption("--coverage-folder").resolve()
    coverage.folder = folder / DRAWN if item.path.name in DRAWING else folder


def begin(folder: Path) -> None:
    """Count the coverage of all simulations that this process compiles from now on."""
    counting, coverage.folder = coverage.folder is not None, folder.resolve()
    if counting:
        return
    keep_positions()
    convert = back.convert

    def covered(*args: Any, **options: Any) -> str:
        return mark(convert(*args, **options | {"strip_internal_attrs": False, "emit_src": True}))

    back.convert = covered
