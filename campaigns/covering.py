"""Makes a run of pytest count the coverage of the gateware: ``-p campaigns.covering``.

Simulations are compiled with Verilator's coverage, and Verilog says which lines of the gateware its
signals, operators and cases come from.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from amaranth.back import rtlil
from amaranth.hdl import _nir

from sc_neurocore import verilog
from sc_neurocore.cosim import coverage


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


def pytest_addoption(parser: Any) -> None:
    """Where the counts go."""
    parser.addoption("--coverage-folder", required=True, type=Path)


def pytest_configure(config: Any) -> None:
    """Begin."""
    keep_positions()
    verilog.positions = True
    coverage.folder = config.getoption("--coverage-folder").resolve()
