"""Placing and routing a mapped netlist by nextpnr, with several seeds."""

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from . import tools
from .area import Area
from .devices import Device, find_device
from .harness import CLOCK, wrap
from .mapping import Mapped
from .routing import route

SEEDS = (1, 2, 3, 4, 5)
NETLIST, PINS = "in_harness.json", "pins.cst"


@dataclass(frozen=True)
class CriticalPath:
    """The slowest path from register to register: cell and pin at both ends, and its delays."""

    source: str
    sink: str
    logic_ns: float
    routing_ns: float
    levels: int
    """Cells that it goes through."""

    def __str__(self) -> str:
        return (f"{self.source} -> {self.sink}: {self.levels} levels, "
                f"{self.logic_ns:.1f} ns logic, {self.routing_ns:.1f} ns routing")


@dataclass(frozen=True)
class Run:
    """What one seed came to."""

    seed: int
    fmax_mhz: float
    path: CriticalPath
    utilisation: dict[str, tuple[int, int]]
    """Used and available, by nextpnr's names of what there is."""


@dataclass(frozen=True)
class Placement:
    """A netlist, placed and routed with several seeds.

    Parameters
    ----------
    device : Device
    target_mhz : float
        What nextpnr was asked for.
    runs : tuple of Run
        One a seed.
    harness : tuple of int
        LUTs and flip-flops of the harness, which the utilisation includes.
    nextpnr : str
        Version of nextpnr.
    """

    device: Device
    target_mhz: float
    runs: tuple[Run, ...]
    harness: tuple[int, int]
    nextpnr: str

    @property
    def fmax_mhz(self) -> float:
        """Median of all seeds."""
        return median(run.fmax_mhz for run in self.runs)

    @property
    def typical(self) -> Run:
        """The run whose frequency is next to the median."""
        return min(self.runs, key=lambda run: abs(run.fmax_mhz - self.fmax_mhz))


def place(mapped: Mapped, device: Device | str, seeds: Sequence[int] = SEEDS, *,
          target_mhz: float | None = None, jobs: int = 1, folder: Path | None = None,
          native: bool = False) -> Placement:
    """Place and route a mapped netlist, in a harness that needs four pins.

    Parameters
    ----------
    mapped : Mapped
        With a clock ``clk``, the only one.
    device : Device or str
        A device of its family, or the device's name.
    seeds : sequence of int
        Of nextpnr, one run each.
    target_mhz : float, optional
        Frequency that nextpnr tries to reach; by default the device's. Not reaching it is no error.
    jobs : int
        Runs at the same time; each takes a core, and a gigabyte of memory for a large netlist.
    folder : Path, optional
        Where netlist, reports and logs are kept; by default they are only if nextpnr fails.
    native : bool
        Run the nextpnr on PATH.

    Raises
    ------
    ValueError
        If the device is unknown, of another family, only to be mapped to, or too small, or if
        there are no seeds.
    ToolError
        If nextpnr is missing or fails; the message has the log's path.
    """
    device = find_device(device) if isinstance(device, str) else device
    if device.family != mapped.family:
        raise ValueError(f"Device {device.name} must be of the family that the netlist is mapped "
                         f"for, {mapped.family}")
    if not seeds:
        raise ValueError("Seeds must be at least one")
    check_fits(mapped.area, device)
    target = device.target_mhz if target_mhz is None else target_mhz
    harness = wrap(mapped.netlist, mapped.top, mapped.family)
    pins = ("--vopt", f"cst={PINS}") if device.harness_pins else ()

    def run(seed: int) -> Run:
        route(device, seed, [*pins, "--json", NETLIST, "--freq", str(target),
                             "--timing-allow-fail", "--report", f"report-{seed}.json"],
              working, native=native)
        return read_report(json.loads((working / f"report-{seed}.json").read_text()), seed)

    with tools.working_folder(folder) as working:
        (working / NETLIST).write_text(json.dumps(harness.netlist))
        if device.harness_pins:
            ports = harness.netlist["modules"][mapped.top]["ports"]
            (working / PINS).write_text("".join(
                f'IO_LOC "{port}" {pin};\n'
                for port, pin in zip(ports, device.harness_pins, strict=True)))
        with ThreadPoolExecutor(jobs) as pool:
            runs = tuple(pool.map(run, seeds))
    return Placement(device, target, runs, (harness.luts, harness.flip_flops),
                     tools.version(device.program, native=native))


def check_fits(area: Area, device: Device) -> None:
    """Raise ValueError if a device has less of something than a netlist needs."""
    if device.resources is None:
        return
    for name, needed, available in (
            ("LUTs", area.lut_equivalents, device.resources.luts),
            ("flip-flops", area.flip_flops, device.resources.flip_flops),
            ("block RAMs", area.block_rams, device.resources.block_rams),
            ("SPRAMs", area.spram, device.resources.spram),
            ("LUTs as RAM", area.lut_rams, device.resources.lut_rams)):
        if available is not None and needed > available:
            raise ValueError(f"Netlist needs {needed} {name}, more than the {available} of "
                             f"{device.name}")


def read_report(report: Mapping[str, Any], seed: int) -> Run:
    """Read what nextpnr's report says about the clock.

    Raises
    ------
    ValueError
        If there is not exactly one clock.
    """
    clocks = report["fmax"]
    if len(clocks) != 1 or CLOCK not in next(iter(clocks)):
        raise ValueError(f"Netlist must have one clock, {CLOCK}, not {', '.join(clocks) or 'none'}")
    (clock, frequency), = clocks.items()
    segments = next(path["path"] for path in report["critical_paths"]
                    if path["from"] == path["to"] == f"posedge {clock}")
    delays = {kind: sum(segment["delay"] for segment in segments
                        if (segment["type"] == "routing") == (kind == "routing"))
              for kind in ("routing", "logic")}
    path = CriticalPath(
        _end(segments[0]["from"]), _end(segments[-1]["to"]), delays["logic"], delays["routing"],
        sum(segment["type"] == "logic" for segment in segments))
    used = {name: (entry["used"], entry["available"])
            for name, entry in sorted(report["utilization"].items()) if entry["used"]}
    return Run(seed, frequency["achieved"], path, used)


def _end(pin: Mapping[str, Any]) -> str:
    return f"{pin['cell']}.{pin['port']}"
