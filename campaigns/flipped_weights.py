"""Accuracy with flipped bits of weights, by the bit-exact simulator."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from sc_neurocore import simulator
from sc_neurocore.network import IntegerNetwork

COUNTS = (1, 3, 10, 30, 100, 300)
SEEDS = 20


@dataclass(frozen=True)
class Accuracies:
    """Accuracies in percent.

    ``whole``: of the network itself. ``flipped``: (counts, seeds) with so many bits flipped, of
    ``bits``, anywhere. ``places``: (positions, seeds) with 10 bits flipped, all of them at this
    position of their weights, the lowest first.
    """

    whole: float
    bits: int
    counts: tuple[int, ...]
    flipped: npt.NDArray[np.float64]
    places: npt.NDArray[np.float64]

    def summary(self) -> dict[str, Any]:
        """As JSON."""
        return {"accuracy": self.whole, "bits": self.bits, "counts": list(self.counts),
                "flipped": self.flipped.tolist(), "places": self.places.tolist()}

    def table(self) -> str:
        """Means and extremes, as Markdown."""
        rows = [(f"{count} of {self.bits}, anywhere", values)
                for count, values in zip(self.counts, self.flipped, strict=True)]
        rows += [(f"10, all of them bit {place} of a weight", values)
                 for place, values in enumerate(self.places)]
        lines = ["| flipped bits of weights | accuracy, mean | worst | best |",
                 "|---|---|---|---|", f"| none | {self.whole:.2f} % | | |"]
        lines += [f"| {what} | {values.mean():.2f} % | {values.min():.2f} % | "
                  f"{values.max():.2f} % |" for what, values in rows]
        return "\n".join(lines)


def flip_weights(network: IntegerNetwork, places: npt.NDArray[np.int64]) -> IntegerNetwork:
    """The network with bits of weights flipped.

    Parameters
    ----------
    network : IntegerNetwork
        Of dense layers.
    places : (n,) int64
        Numbers of bits, as if all weights stood one after another, the first layer's first and the
        lowest bit of each first.
    """
    layers, begin = [], 0
    for layer in network.layers:
        width, weights = layer.weight_width, layer.weights.copy()
        here = places[(places >= begin) & (places < begin + width * weights.size)] - begin
        flat = weights.reshape(-1)
        for place in here:
            index, bit = divmod(int(place), width)
            pattern = (int(flat[index]) ^ 1 << bit) & (1 << width) - 1
            flat[index] = pattern - (pattern >> width - 1 << width)
        layers.append(replace(layer, synapses=weights))
        begin += width * weights.size
    return replace(network, layers=tuple(layers))


def accuracies(network: IntegerNetwork, images: npt.NDArray, labels: npt.NDArray,
               counts: tuple[int, ...] = COUNTS, seeds: int = SEEDS) -> Accuracies:
    """Accuracies with bits flipped at random, without replacement."""
    widths = np.concatenate([np.full(layer.weights.size, layer.weight_width)
                             for layer in network.layers])
    position = np.concatenate([np.arange(width) for width in widths])

    def accuracy(places: npt.NDArray) -> float:
        predicted = simulator.run(flip_weights(network, places), images).predicted
        return 100 * float((predicted == labels).mean())

    def several(candidates: npt.NDArray, count: int) -> list[float]:
        return [accuracy(np.random.default_rng(seed).choice(candidates, count, replace=False))
                for seed in range(seeds)]

    everywhere = np.arange(len(position))
    return Accuracies(
        accuracy(everywhere[:0]), len(position), counts,
        np.array([several(everywhere, count) for count in counts]),
        np.array([several(everywhere[position == place], 10) for place in range(widths.max())]))


def draw(found: Accuracies, left: Any, right: Any) -> None:
    """Accuracy over the number of flipped bits, and by their position, on axes of matplotlib."""
    left.fill_between(found.counts, found.flipped.min(1), found.flipped.max(1), alpha=0.2)
    left.plot(found.counts, found.flipped.mean(1), marker="o")
    left.axhline(found.whole, color="gray", linewidth=1, linestyle=":")
    left.set(xscale="log", xlabel=f"flipped bits of weights, of {found.bits}",
             ylabel="accuracy (%)")
    positions = np.arange(len(found.places))
    right.bar(positions, found.places.mean(1), width=0.6, yerr=[
        found.places.mean(1) - found.places.min(1), found.places.max(1) - found.places.mean(1)])
    right.axhline(found.whole, color="gray", linewidth=1, linestyle=":")
    right.set(xlabel="10 flipped bits of weights, all of this position", xticks=positions)
