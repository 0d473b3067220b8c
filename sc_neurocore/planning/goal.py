"""What a user asks of a layout, and on what device."""

from dataclasses import dataclass

from ..network import IntegerNetwork
from ..synthesis.area import Area
from ..synthesis.devices import DEVICES, Device, Resources, find_device
from .workload import Pace

CLOCKS_HZ = {"ecp5-25k": 100e6, "ecp5-45k": 100e6, "ecp5-85k": 100e6, "ice40-up5k": 24e6,
             "ice40-hx8k": 48e6, "gw1nr-9c": 27e6}
"""Clocks that the accelerator is taken to reach on a device, where no other is given."""
FILL = 0.85
"""Share of a device's LUTs and flip-flops that may be used; routing what is fuller takes long, and
the clock suffers."""


@dataclass(frozen=True)
class Goal:
    """At most so many microseconds an image, at least so many images a second, or neither."""

    clock_hz: float
    latency_us: float | None = None
    images_per_s: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("Clock", self.clock_hz), ("Latency", self.latency_us),
                            ("Images per second", self.images_per_s)):
            if value is not None and not 0 < value < float("inf"):
                raise ValueError(f"{name} must be a positive number, not {value}")

    @property
    def is_open(self) -> bool:
        """Whether nothing is asked for but the fastest layout that fits."""
        return self.latency_us is None and self.images_per_s is None

    @property
    def latency_cyc(self) -> float:
        """Most cycles that an image may take."""
        return (float("inf") if self.latency_us is None
                else self.latency_us * 1e-6 * self.clock_hz)

    @property
    def interval_cyc(self) -> float:
        """Most cycles from image to image."""
        return (float("inf") if self.images_per_s is None else self.clock_hz / self.images_per_s)

    def reached(self, pace: Pace) -> bool:
        """Whether a layout of this pace does what is asked for."""
        return pace.latency_cyc <= self.latency_cyc and pace.interval_cyc <= self.interval_cyc


def resources(device: Device) -> Resources:
    """What a device has.

    Raises
    ------
    ValueError
        If that is not known.
    """
    if device.resources is None:
        raise ValueError(f"Device {device.name} must be one whose resources are known: "
                         + ", ".join(name for name, each in DEVICES.items() if each.resources))
    return device.resources


def shares(area: Area, has: Resources) -> dict[str, float]:
    """How much of what may be used of a device an area takes, by resource; 1 is all of it."""
    return {"LUTs": area.lut_equivalents / (FILL * has.luts),
            "flip-flops": area.flip_flops / (FILL * has.flip_flops),
            "block RAMs": area.block_rams / has.block_rams,
            "SPRAMs": area.spram / has.spram if area.spram and has.spram
            else float("inf") if area.spram else 0.0,
            "LUTs as RAM": area.lut_rams / has.lut_rams if has.lut_rams else 0.0}


def fits(area: Area, has: Resources) -> bool:
    """Whether a device may hold it."""
    return all(share <= 1 for share in shares(area, has).values())


def other_devices(device: Device) -> list[Device]:
    """Devices that can be planned for, those of the same family first, the smallest first."""
    return sorted((each for each in DEVICES.values() if each.resources and each != device),
                  key=lambda each: (each.family != device.family, resources(each).luts))


def named(device: Device | str) -> Device:
    """A device, given as such or by name."""
    return find_device(device) if isinstance(device, str) else device


def shape_name(network: IntegerNetwork) -> str:
    """As in 784-128-10."""
    return "-".join(map(str, network.shape))
