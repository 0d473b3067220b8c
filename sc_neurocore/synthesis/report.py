"""Everything about a synthesized network in one place: area, frequency, cycles and work."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from .. import __version__, verilog
from ..network import IntegerNetwork
from ..spec import AcceleratorSpec
from .activity import Activity, observe
from .area import Area
from .devices import Device, Resources, find_device
from .mapping import Mapped, map_verilog
from .placement import SEEDS, Placement, check_fits, place
from .toggles import Toggles

Progress = Callable[[str], None]


@dataclass(frozen=True)
class SynthesisReport:
    """What a network costs on a device, and what it does there.

    Area is that of the accelerator alone; frequencies are estimates of nextpnr's timing model for
    it in its harness; cycles are the golden model's, which co-simulation compares with the circuit.

    Parameters
    ----------
    shape : tuple of int
    spec : AcceleratorSpec
    device : Device
    mapped : Mapped
    placement : Placement, optional
        None if it was not placed.
    activity : Activity, optional
        None if there was no data.
    toggles : Toggles, optional
        None if they were not asked for.
    """

    shape: tuple[int, ...]
    spec: AcceleratorSpec
    device: Device
    mapped: Mapped
    placement: Placement | None = None
    activity: Activity | None = None
    toggles: Toggles | None = None

    @property
    def area(self) -> Area:
        """Cells of the accelerator."""
        return self.mapped.area

    @property
    def images_per_second(self) -> float | None:
        """At the median frequency and the mean cycles, if both are known."""
        if self.placement is None or self.activity is None:
            return None
        return self.placement.fmax_mhz * 1e6 / self.activity.cycles_mean

    @property
    def latency_us(self) -> float | None:
        """From the first transfer of an image that comes alone to its last result."""
        if self.placement is None or self.activity is None:
            return None
        return self.activity.latency_cyc / self.placement.fmax_mhz

    def as_dict(self) -> dict[str, Any]:
        """All numbers, for machines."""
        document: dict[str, Any] = {
            "shape": list(self.shape), "lanes": list(self.spec.lanes), "beats": self.spec.beats,
            "device": self.device.name, "area": self.area.as_dict(), "cells": self.mapped.cells,
            "output_registers": self.mapped.absorbed,
            "versions": {"sc_neurocore": __version__, "yosys": self.mapped.yosys}}
        if self.placement is not None:
            document |= _timing(self.placement)
            document["versions"][self.device.program] = self.placement.nextpnr
        if self.activity is not None:
            document |= {
                "images": self.activity.images,
                "cycles": {"min": self.activity.cycles_min, "mean": self.activity.cycles_mean,
                           "max": self.activity.cycles_max},
                "latency_cyc": self.activity.latency_cyc,
                "lane_utilisation": list(self.activity.lane_utilisation),
                "synaptic_operations": self.activity.synaptic_operations}
        if self.toggles is not None:
            document["toggles"] = asdict(self.toggles) | {"total": self.toggles.total}
        if self.images_per_second is not None:
            document |= {"images_per_second": self.images_per_second, "latency_us": self.latency_us}
        return document

    def __str__(self) -> str:
        rows = [*self._area_rows(), *self._timing_rows(), *self._activity_rows()]
        width = max(len(name) for name, _ in rows)
        head = (f"{'-'.join(map(str, self.shape))}, lanes "
                f"{', '.join(map(str, self.spec.lanes))}, on {self.device.title}")
        return "\n".join([head, "", *(f"{name.ljust(width)}  {value}" for name, value in rows),
                          "", self._versions()])

    def _area_rows(self) -> list[tuple[str, str]]:
        area, has = self.area, self.device.resources or Resources(0, 0, 0)
        rows = [("LUT equivalents", _of(area.lut_equivalents, has.luts)),
                ("  LUTs, carries, LUT RAM", f"{area.luts}, {area.carries}, {area.lut_rams}"),
                ("flip-flops", _of(area.flip_flops, has.flip_flops)),
                ("block RAMs", _of(area.block_rams, has.block_rams))]
        if self.mapped.absorbed:
            rows.append(("  bits of output registers", str(self.mapped.absorbed)))
        if area.spram:
            rows.append(("SPRAMs", _of(area.spram, has.spram)))
        if area.multipliers:
            rows.append(("multipliers", str(area.multipliers)))
        return rows

    def _timing_rows(self) -> list[tuple[str, str]]:
        if self.placement is None:
            return []
        found = [run.fmax_mhz for run in self.placement.runs]
        path = self.placement.typical.path
        seeds = "seed" if len(found) == 1 else "seeds"
        return [("Fmax", f"{self.placement.fmax_mhz:.1f} MHz, median of {len(found)} {seeds} "
                         f"({min(found):.1f} to {max(found):.1f})"),
                ("  slowest path from", path.source), ("  to", path.sink),
                ("  through", f"{path.levels} cells: {path.logic_ns:.1f} ns logic, "
                              f"{path.routing_ns:.1f} ns routing")]

    def _activity_rows(self) -> list[tuple[str, str]]:
        did = self.activity
        if did is None:
            return []
        rows = [("cycles an image", f"{did.cycles_mean:.1f} ({did.cycles_min:.0f} to "
                                    f"{did.cycles_max:.0f}, {did.images} images)"),
                ("latency", f"{did.latency_cyc:.1f} cycles"
                 + ("" if self.latency_us is None else f", {self.latency_us:.1f} us")),
                ("lane utilisation", ", ".join(f"{used:.1%}" for used in did.lane_utilisation)),
                ("synaptic operations", f"{did.synaptic_operations:.0f} an image")]
        if (seen := self.toggles) is not None:
            rows.append(("toggles", f"{seen.total:.0f} an image ({seen.images} images): "
                         f"flip-flops {seen.flip_flops:.0f}, logic {seen.logic:.0f}, memories "
                         f"{seen.memories:.0f}"))
        if self.images_per_second is not None:
            rows.append(("images a second", f"{self.images_per_second:.0f}"))
        return rows

    def _versions(self) -> str:
        parts = [f"sc_neurocore {__version__}", f"Yosys {self.mapped.yosys}"]
        if self.placement is not None:
            parts.append(f"{self.device.program} {self.placement.nextpnr}")
        return ", ".join(parts)


def _of(used: int, available: int) -> str:
    return str(used) if not available else f"{used} of {available} ({used / available:.1%})"


def _timing(placement: Placement) -> dict[str, Any]:
    path = placement.typical.path
    return {"fmax_mhz": placement.fmax_mhz, "target_mhz": placement.target_mhz,
            "seeds": {str(run.seed): run.fmax_mhz for run in placement.runs},
            "critical_path": {"source": path.source, "sink": path.sink, "levels": path.levels,
                              "logic_ns": path.logic_ns, "routing_ns": path.routing_ns},
            "placed": {name: list(pair) for name, pair in placement.typical.utilisation.items()},
            "harness": dict(zip(("luts", "flip_flops"), placement.harness, strict=True))}


def synthesize(network: IntegerNetwork, spec: AcceleratorSpec | None = None,
               device: Device | str = "ecp5-25k", *, inputs: npt.ArrayLike | None = None,
               seeds: Sequence[int] = SEEDS, target_mhz: float | None = None, jobs: int = 1,
               folder: Path | None = None, native: bool = False,
               progress: Progress = lambda step: None) -> SynthesisReport:
    """Generate a network's circuit, map it, place it, and say how large and how fast it is.

    Parameters
    ----------
    network : IntegerNetwork
    spec : AcceleratorSpec, optional
        By default `AcceleratorSpec.for_network`.
    device : Device or str
    inputs : optional
        Images, as for `golden.run`, to count cycles and synaptic operations with.
    seeds : sequence of int
        Of nextpnr; with none, or a device that can only be mapped to, nothing is placed.
    target_mhz, jobs, folder, native
        As for `place` and `map_verilog`.
    progress : callable, optional
        Called with what is being done.

    Raises
    ------
    MissingExtraError
        If Amaranth is not installed.
    ToolError
        If a tool is missing or fails; the message has the log's path.
    TypeError, ValueError
        If the network does not fit the device, or the spec or the inputs do not fit the network.
    """
    spec = spec or AcceleratorSpec.for_network(network)
    device = find_device(device) if isinstance(device, str) else device
    activity = None
    if inputs is not None:
        progress("running the golden model")
        activity = observe(network, inputs, spec)
    progress("generating Verilog")
    text = verilog.generate(network, spec)
    progress("mapping")
    mapped = map_verilog(text, verilog.TOP, device, folder=folder, native=native)
    if folder is not None:
        mapped.write(folder / f"{verilog.TOP}.json")
    check_fits(mapped.area, device)
    placement = None
    if seeds and device.resources is not None:
        progress(f"placing and routing, {len(seeds)} seeds")
        placement = place(mapped, device, seeds, target_mhz=target_mhz, jobs=jobs, folder=folder,
                          native=native)
    return SynthesisReport(network.shape, spec, device, mapped, placement, activity)
