"""Why there is no layout for a goal, in plain words, and what there would be one for."""

from math import ceil, floor, log10
from typing import Protocol

from ..estimation import weight_block_rams
from ..network import IntegerNetwork
from ..spec import AcceleratorSpec
from ..synthesis.devices import Device
from .goal import FILL, Goal, fits, other_devices, resources, shape_name, shares
from .search import Candidate, Search

_WEIGHT_WIDTHS = (12, 8, 6, 5, 4, 3, 2)


class Searches(Protocol):
    """What looks for layouts on a device, where parameters are loaded or as the user has it."""

    def __call__(self, device: Device, /, loading: bool = ...) -> Search:
        """Look on a device."""


class PlanError(ValueError):
    """No layout does what is asked for."""


def explained(network: IntegerNetwork, device: Device, goal: Goal, searches: Searches) -> PlanError:
    """Say what cannot be, and what can."""
    search = searches(device)
    fitting = [each for each in (search.fastest(), search.quickest())
               if each is not None and fits(each.area, search.has)]
    if not fitting:
        return PlanError(_does_not_fit(network, device, search.most_compact(), searches))
    return PlanError(_too_slow(network, device, goal, searches, search, fitting))


def _does_not_fit(network: IntegerNetwork, device: Device, least: Candidate, searches: Searches
                  ) -> str:
    has = resources(device)
    wanting = shares(least.area, has)
    name = max(wanting, key=lambda each: wanting[each])
    needed, available = {"LUTs": (least.area.lut_equivalents, has.luts),
                         "flip-flops": (least.area.flip_flops, has.flip_flops),
                         "block RAMs": (least.area.block_rams, has.block_rams),
                         "SPRAMs": (least.area.spram, has.spram),
                         "LUTs as RAM": (least.area.lut_rams, has.lut_rams)}[name]
    advice = [f"use {each.name}" for each in other_devices(device)
              if searches(each).fastest() is not None][:1]
    text = f"{shape_name(network)} takes at least {needed} {name}"
    if name == "block RAMs":
        weights = sum(weight_block_rams(network, least.spec, device.family))
        text += (f", {weights} of them for weights of {_bits(network)} bits, and {device.name} has "
                 f"{available}")
        advice = [*_fewer_bits(network, least.spec, device, needed - weights), *advice]
    else:
        text += f", and {FILL:.0%} of the {available} of {device.name} may be used"
    if _can_use_spram(network, device, least.spec, searches):
        advice.insert(0, "load the parameters, which puts weights into SPRAM (--loaded)")
    return f"{text}: " + (", or ".join(advice) or "no device that is known is large enough; use "
                                                  "fewer neurons")


def _can_use_spram(network: IntegerNetwork, device: Device, spec: AcceleratorSpec,
                   searches: Searches) -> bool:
    """Whether it would fit if its parameters were loaded."""
    if spec.loaded or not resources(device).spram:
        return False
    try:
        return searches(device, loading=True).fastest() is not None
    except ValueError:      # such a network's can't be
        return False


def _bits(network: IntegerNetwork) -> str:
    return " and ".join(map(str, sorted({layer.weight_width for layer in network.layers})))


def _fewer_bits(network: IntegerNetwork, spec: AcceleratorSpec, device: Device, others: int
                ) -> list[str]:
    """The most bits of a weight with which the block RAMs suffice, if there is such a number."""
    widest = max(layer.weight_width for layer in network.layers)
    for width in _WEIGHT_WIDTHS:
        rams = others + sum(weight_block_rams(network, spec, device.family, width))
        if width < widest and rams <= resources(device).block_rams:
            return [f"use {width}-bit weights ({rams} block RAMs)"]
    return []


def _too_slow(network: IntegerNetwork, device: Device, goal: Goal, searches: Searches,
              search: Search, fitting: list[Candidate]) -> str:
    paces = [search.pace(each) for each in fitting]
    latency, interval = (min(pace.latency_cyc for pace in paces),
                         min(pace.interval_cyc for pace in paces))
    mhz = goal.clock_hz / 1e6
    if latency > goal.latency_cyc:
        asked = (f"A latency of {goal.latency_us:g} us is {goal.latency_cyc:.0f} cycles at "
                 f"{mhz:g} MHz")
        takes, faster = f"{latency} cycles", latency / goal.latency_cyc
        advice = [f"ask for {_up(latency / mhz)} us"]
    else:
        asked = (f"{goal.images_per_s:g} images per second are one every {goal.interval_cyc:.0f} "
                 f"cycles at {mhz:g} MHz")
        takes, faster = f"{interval:.0f} cycles an image", interval / goal.interval_cyc
        advice = [f"ask for {goal.clock_hz // interval:.0f}"]
    if faster > 1:
        advice.append(f"use a clock of {_up(mhz * faster)} MHz")
    else:       # each goal can be reached, but not both at a time
        takes += ", with nothing left for the other goal"
        beside = min(pace.latency_cyc for pace in paces if pace.interval_cyc <= goal.interval_cyc)
        advice = [f"ask for a latency of {_up(beside / mhz)} us beside it"]
    advice += [f"use {each.name}" for each in other_devices(device)
               if each.family == device.family and searches(each).cheapest(goal) is not None][:1]
    advice.append(f"use fewer timesteps than {network.timesteps}" if network.timesteps > 1
                  else "use fewer neurons")
    return (f"{asked}, and the fastest layout of {shape_name(network)} that fits {device.name} "
            f"takes {takes} (counted with {search.workload.origin}): {', or '.join(advice)}")


def _up(value: float) -> str:
    """With three digits or none behind the point, rounded up, so that it is enough."""
    digits = max(0, 2 - floor(log10(value)))
    return f"{ceil(value * 10**digits) / 10**digits:.{digits}f}"
