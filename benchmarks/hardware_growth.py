"""How cycles, area and clock grow: random networks, one parameter varied at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hardware_area
import hardware_cycles
from hardware_networks import random_images, random_network
from kept import Store

from sc_neurocore.network import IntegerNetwork
from sc_neurocore.spec import AcceleratorSpec

NOTE = """\
Random networks of a fixed seed on random images, ECP5, LFSR, 16 intensities a beat, an output
layer of 10 lanes; where nothing else is said 128-64-10, 16 lanes, 4-bit weights, T = 8. Cycles
are predicted (50 images back to back), cells mapped by Yosys, Fmax placed by nextpnr with one seed
on an LFE5U-25F, which scatters by some MHz."""

Point = tuple[IntegerNetwork, AcceleratorSpec]


def _point(shape: Sequence[int], lanes: int = 16, width: int = 4, timesteps: int = 8) -> Point:
    hidden = tuple(min(lanes, neurons) for neurons in shape[1:-1])
    return (random_network(shape, width, timesteps),
            AcceleratorSpec((*hidden, 10), beats=16, encoder_lanes=16, family="ecp5"))


@dataclass(frozen=True)
class Sweep:
    """One parameter, the values it takes, and those of them that are placed."""

    name: str
    title: str
    values: tuple[int, ...]
    placed: tuple[int, ...]
    point: Callable[[int], Point]
    logarithmic: bool = True

    def measure(self, store: Store) -> list[dict[str, Any]]:
        """All points, in the order of the values."""
        return [self._measure(store, value) for value in self.values]

    def _measure(self, store: Store, value: int) -> dict[str, Any]:
        network, spec = self.point(value)
        took = hardware_cycles.cycles(store, network, spec, random_images(network.n_input))
        cells = hardware_area.measure(store, network, spec, "ecp5-25k",
                                      (1,) if value in self.placed else (), "growth")
        return {"x": value, "shape": "-".join(map(str, network.shape)),
                "lanes": ", ".join(map(str, spec.lanes)), "cycles": took["mean"],
                "bound": took["bound"], "lut_equivalents": cells["area"].lut_equivalents,
                "flip_flops": cells["area"].flip_flops, "block_rams": cells["area"].block_rams,
                "fmax": cells["fmax"][0] if cells["fmax"] else None}


SWEEPS = (
    Sweep("lanes", "lanes", (8, 16, 32, 64, 128, 256), (8, 64, 256),
          lambda lanes: _point((128, 256, 10), lanes)),
    Sweep("fan_in", "fan-in", (8, 32, 128, 512, 1024), (8, 128, 1024),
          lambda inputs: _point((inputs, 64, 10))),
    Sweep("layers", "layers of 64 neurons", (1, 2, 3, 4, 5), (1, 3, 5),
          lambda layers: _point((128, *(64,) * layers, 10)), logarithmic=False),
    Sweep("weight_width", "weight width", (2, 3, 4, 5, 6, 7, 8), (2, 4, 8),
          lambda width: _point((128, 64, 10), width=width), logarithmic=False),
    Sweep("timesteps", "T", (2, 4, 8, 16, 32, 64), (2, 8, 64),
          lambda timesteps: _point((128, 64, 10), timesteps=timesteps)),
)


def plot(path: Path, sweep: Sweep, points: Sequence[dict[str, Any]]) -> None:
    """Cycles, area and clock beside each other, as a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 3.4), layout="constrained")
    panels = figure.subplots(1, 3)
    for axes, label, curves in zip(panels, ("cycles an image", "cells", "MHz, one seed"), (
            {"mean": "cycles", "bound": "bound"},
            {"LUT equivalents": "lut_equivalents", "flip-flops": "flip_flops"},
            {"Fmax": "fmax"}), strict=True):
        highest = 0.0
        for marker, (name, key) in zip("os", curves.items(), strict=False):
            x, y = zip(*[(point["x"], point[key]) for point in points if point[key]], strict=True)
            axes.plot(x, y, marker=marker, label=name)
            highest = max(highest, *y)
        axes.set(xlabel=sweep.title, ylabel=label, ylim=(0, 1.1 * highest))
        if sweep.logarithmic:
            axes.set_xscale("log", base=2)
        ticks = sweep.values
        axes.set_xticks(ticks, [str(value) for value in ticks])
        axes.minorticks_off()
        axes.legend()
        axes.grid(alpha=0.3)
    figure.savefig(path, dpi=120, metadata={"Software": None})
