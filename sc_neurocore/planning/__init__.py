"""From a goal to a layout: lanes and memories of each layer, chosen for a device.

Cycles are those of `timing.predict`, exact for the spikes that they are counted with; area is that
of `sc_neurocore.estimation`.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt

from ..estimation import estimate
from ..network import IntegerNetwork
from ..spec import AcceleratorSpec
from ..synthesis.area import Area
from ..synthesis.devices import Device
from . import failures
from .choices import encoder_choices, layer_choices
from .goal import CLOCKS_HZ, FILL, Goal, named, resources
from .search import Search
from .workload import EXPECTED_ACTIVITY, Pace, Workload

__all__ = ["CLOCKS_HZ", "EXPECTED_ACTIVITY", "FILL", "Goal", "Pace", "Plan", "PlanError", "assess",
           "plan"]

PlanError = failures.PlanError
STORE_PARTS = {"ice40": 6}
"""Parts in which loaded potentials are stored on a family without LUT RAM: few block RAMs, and
hardly a timestep is so short that it has to wait."""


@dataclass(frozen=True)
class Plan:
    """A layout that was chosen for a goal, and what is expected of it.

    Parameters
    ----------
    shape, folds : tuple of int
        Of the network; of each of its layers.
    spec : AcceleratorSpec
    device : Device
    goal : Goal
    area : Area
        Estimated.
    pace : Pace
        Exact for the spikes that it was counted with.
    origin : str
        Which these are: those of so many images, or an expected activity.
    """

    shape: tuple[int, ...]
    folds: tuple[int, ...]
    spec: AcceleratorSpec
    device: Device
    goal: Goal
    area: Area
    pace: Pace
    origin: str

    @property
    def latency_us(self) -> float:
        """Of an image that comes alone."""
        return self.pace.latency_cyc / self.goal.clock_hz * 1e6

    @property
    def images_per_s(self) -> float:
        """Of images that follow each other without a pause."""
        return self.goal.clock_hz / self.pace.interval_cyc

    def as_dict(self) -> dict[str, Any]:
        """All numbers, for machines."""
        return {"device": self.device.name, "lanes": list(self.spec.lanes),
                "folds": list(self.folds), "encoder_lanes": self.spec.encoder_lanes,
                "beats": self.spec.beats, "memories": list(self.spec.memories),
                "ports": list(self.spec.ports), "loaded": bool(self.spec.loaded),
                "store_parts": self.spec.store_parts, "parity": self.spec.parity,
                "estimated_area": self.area.as_dict(), "clock_hz": self.goal.clock_hz,
                "latency_cyc": self.pace.latency_cyc, "interval_cyc": self.pace.interval_cyc,
                "latency_us": self.latency_us, "images_per_s": self.images_per_s,
                "counted_with": self.origin}

    def __str__(self) -> str:
        has = resources(self.device)
        rows = [("lanes", _listed(self.spec.lanes)), ("folds", _listed(self.folds)),
                ("encoder lanes", str(self.spec.encoder_lanes)),
                ("weights in", ", ".join(self.spec.memories)
                 + ", loaded" * bool(self.spec.loaded) + ", with parity" * self.spec.parity),
                ("rows a cycle", _listed(self.spec.ports)),
                ("LUTs", _of(self.area.lut_equivalents, has.luts)),
                ("flip-flops", _of(self.area.flip_flops, has.flip_flops)),
                ("block RAMs", _of(self.area.block_rams, has.block_rams)),
                *([("SPRAMs", _of(self.area.spram, has.spram))] if self.area.spram else []),
                ("latency", f"{self.pace.latency_cyc} cycles, {self.latency_us:.1f} us at "
                            f"{self.goal.clock_hz / 1e6:g} MHz"),
                ("throughput", f"{self.pace.interval_cyc:.0f} cycles an image, "
                               f"{self.images_per_s:.0f} images per second"),
                ("counted with", self.origin)]
        width = max(len(name) for name, _ in rows)
        return "\n".join([f"Plan for {'-'.join(map(str, self.shape))} on {self.device.title}; "
                          "area is estimated", "",
                          *(f"{name.ljust(width)}  {value}" for name, value in rows)])


def plan(network: IntegerNetwork, device: Device | str, *, latency_us: float | None = None,
         images_per_s: float | None = None, clock_hz: float | None = None, beats: int = 8,
         inputs: npt.ArrayLike | None = None, activity: float = EXPECTED_ACTIVITY,
         loaded: bool = False, parity: bool = False) -> Plan:
    """Choose a layout for a device.

    With a goal it is the smallest one that reaches it, by what is found; without, the fastest one
    that fits, no stage of which is faster than the slowest one needs.

    Parameters
    ----------
    network : IntegerNetwork
    device : Device or str
    latency_us : float, optional
        At most so many microseconds from an image's first transfer to its last result.
    images_per_s : float, optional
        At least so many images a second.
    clock_hz : float, optional
        By default that of `CLOCKS_HZ`.
    beats : int
        Intensities in a transfer of the input stream.
    inputs : optional
        Images that cycles are counted with, as for `golden.run`; a handful is enough.
    activity : float in [0, 1]
        Without them: share of inputs and neurons that spike in a timestep.
    loaded : bool
        Parameters are to be loaded into the running circuit; then weights may be in SPRAM.
    parity : bool
        Rows of weights are to have parity; then they are not made of logic.

    Returns
    -------
    Plan
        Its ``spec`` is the layout.

    Raises
    ------
    PlanError
        If the network does not fit the device, or nothing that fits reaches the goal; the message
        says what would. It is a ValueError.
    TypeError, ValueError
        If a value is out of range, the inputs do not fit the network, there is no gateware for it,
        or the device's resources are not known.
    """
    device = named(device)
    goal = _goal(device, clock_hz, latency_us, images_per_s)
    base = AcceleratorSpec.for_network(network, 1, beats)
    base.check(network)
    workload = _workload(network, inputs, activity)

    def search(each: Device, loading: bool = loaded) -> Search:
        shaped = replace(base, family=each.family, parity=parity)
        if loading:
            shaped = replace(shaped.with_loading(network),
                             store_parts=STORE_PARTS.get(each.family, 1))
            shaped.check(network)
        return Search(workload, resources(each), shaped, [
            encoder_choices(workload, shaped, each.family),
            *(layer_choices(workload, shaped, each.family, index)
              for index in range(len(network.layers)))])

    looking = search(device)
    found = looking.fastest() if goal.is_open else looking.cheapest(goal)
    if found is None:
        raise failures.explained(network, device, goal, search)
    return _as_plan(network, found.spec, device, goal, workload)


def assess(network: IntegerNetwork, spec: AcceleratorSpec, device: Device | str, *,
           clock_hz: float | None = None, inputs: npt.ArrayLike | None = None,
           activity: float = EXPECTED_ACTIVITY) -> Plan:
    """Say of a layout that is given what `plan` says of the one that it chooses."""
    device = named(device)
    has = resources(device)
    spec.check(network)
    if "spram" in spec.memories and not has.spram:
        raise ValueError(f"Memories must be block on {device.name}, which has no SPRAM")
    return _as_plan(network, spec, device, _goal(device, clock_hz),
                    _workload(network, inputs, activity))


def _goal(device: Device, clock_hz: float | None, latency_us: float | None = None,
          images_per_s: float | None = None) -> Goal:
    resources(device)       # of a device that is only mapped, neither these nor its clock are known
    return Goal(CLOCKS_HZ[device.name] if clock_hz is None else clock_hz, latency_us, images_per_s)


def _workload(network: IntegerNetwork, inputs: npt.ArrayLike | None, activity: float) -> Workload:
    return (Workload.expected(network, activity) if inputs is None
            else Workload.of_images(network, inputs))


def _as_plan(network: IntegerNetwork, spec: AcceleratorSpec, device: Device, goal: Goal,
             workload: Workload) -> Plan:
    folds = tuple(spec.folds(network, index) for index in range(len(network.layers)))
    return Plan(network.shape, folds, spec, device, goal,
                estimate(network, spec, device.family), workload.pace(spec), workload.origin)


def _listed(numbers: tuple[int, ...]) -> str:
    return ", ".join(map(str, numbers))


def _of(used: int, available: int) -> str:
    return f"{used} of {available} ({used / available:.0%})"
