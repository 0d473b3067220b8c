"""Bits of every number of a layer: intervals that hold for all inputs, so nothing can overflow.

``docs/number-format.md``, section Widths, has the equations.
"""

from dataclasses import dataclass, field

import numpy as np

from .layers import IntegerArray, IntegerLayer, Neurons


def unsigned_width(maximum: int) -> int:
    """Bits of the narrowest unsigned number that holds 0 to ``maximum``; at least 1."""
    return max(1, int(maximum).bit_length())


def signed_width(low: int, high: int) -> int:
    """Bits of the narrowest two's complement number that holds ``low`` to ``high``; at least 1."""
    return 1 + max(int(-low - 1).bit_length() if low < 0 else 0, max(int(high), 0).bit_length())


@dataclass(frozen=True)
class LayerWidths:
    """Bits of every number of a layer, and the ranges that they were chosen for.

    ``bias`` and ``membrane`` are signed, ``threshold`` is unsigned. ``accumulator`` is signed and
    holds every partial sum of membrane, bias and weights, and the difference to the threshold.
    ``membrane_range`` are the extreme stored membranes over all inputs and all timesteps.
    ``potentials``, one for each neuron, are those of its potential, signed: the membrane less the
    threshold, as the accelerator computes with it (``docs/architecture.md``).
    """

    weight: int
    bias: int
    threshold: int
    membrane: int
    accumulator: int
    membrane_range: tuple[int, int]
    saturates: bool
    potentials: tuple[int, ...] = field(repr=False)


def layer_widths(layer: IntegerLayer, timesteps: int, schedule: str = "pipelined",
                 scale: int = 1, *, is_direct: bool = False) -> LayerWidths:
    """Widths that no input can overflow; ``schedule`` and ``scale`` as of `IntegerNetwork`.

    ``is_direct``: it receives intensities as a current.
    """
    neurons, membrane_width = layer.neurons(scale), layer.membrane_width
    if schedule == "pipelined":
        ranges, saturates = _over_timesteps(neurons, membrane_width, timesteps)
    else:
        ranges, saturates = _at_once(neurons, timesteps), False
    (lowest, highest), partial = ranges
    membrane_range = int(lowest.min()), int(highest.max())
    return LayerWidths(
        weight=layer.weight_width,
        bias=signed_width(int(neurons.biases.min()), int(neurons.biases.max())),
        threshold=unsigned_width(int(neurons.thresholds.max())),
        membrane=membrane_width or signed_width(*membrane_range),
        accumulator=signed_width(int(partial[0].min()), int(partial[1].max())),
        membrane_range=membrane_range, saturates=saturates,
        potentials=_potentials(neurons, partial, is_direct=is_direct, saturates=saturates))


Range = tuple[IntegerArray, IntegerArray]


def _potentials(neurons: Neurons, partial: Range, *, is_direct: bool, saturates: bool
                ) -> tuple[int, ...]:
    """Bits of each neuron's potential: of partial sums, less the threshold.

    The threshold comes off before anything is added, but for a membrane that is compared with its
    limits; and the current of direct input is summed up with nothing taken off.
    """
    low, high = partial[0], partial[1] - (0 if saturates else neurons.thresholds)
    if is_direct:
        low = np.minimum(low, neurons.lowest + np.minimum(neurons.biases, 0))
        high = np.maximum(high, neurons.highest + np.maximum(neurons.biases, 0))
    return tuple(signed_width(int(lowest), int(highest))
                 for lowest, highest in zip(low, high, strict=True))


def _over_timesteps(neurons: Neurons, membrane_width: int | None, timesteps: int
                    ) -> tuple[tuple[Range, Range], bool]:
    """Stored membranes and partial sums of the pipelined schedule; whether a membrane saturates.

    With the drive of a timestep in [low, high] (all negative, all positive weights), a membrane in
    [a, b] integrates to [a + low, b + high]; firing maps what is at or above the threshold down by
    the threshold. The interval after each timestep contains every reachable membrane.
    """
    negative, positive = neurons.lowest, neurons.highest
    threshold, bias = neurons.thresholds, neurons.biases
    low = high = neurons.initial_membranes
    lowest, highest = low, high
    lowest_start, highest_start = low, high
    saturates = False
    for _ in range(timesteps):
        lowest_start, highest_start = np.minimum(lowest_start, low), np.maximum(highest_start, high)
        first, last = low + negative + bias, high + positive + bias
        low = np.where(first >= threshold, first - threshold,
                       np.where(last >= threshold, np.minimum(first, 0), first))
        high = np.where(first >= threshold, last - threshold,
                        np.where(last >= threshold, np.maximum(threshold - 1, last - threshold),
                                 last))
        if membrane_width is not None:
            limit = 2 ** (membrane_width - 1)
            saturates |= bool((low < -limit).any() or (high > limit - 1).any())
            low, high = np.clip(low, -limit, limit - 1), np.clip(high, -limit, limit - 1)
        lowest, highest = np.minimum(lowest, low), np.maximum(highest, high)
    partial_low = lowest_start + negative + np.minimum(bias, 0) - threshold
    partial_high = highest_start + positive + np.maximum(bias, 0)
    return ((lowest, highest), (partial_low, partial_high)), saturates


def _at_once(neurons: Neurons, timesteps: int) -> tuple[Range, Range]:
    """Stored membranes and partial sums of the layer-by-layer schedule.

    The membrane takes in all timesteps' drive and then only falls, by a threshold a spike, to no
    less than 0 or what it was.
    """
    start = neurons.initial_membranes
    low = start + timesteps * (neurons.lowest + neurons.biases)
    high = start + timesteps * (neurons.highest + neurons.biases)
    partial_low = start + timesteps * (neurons.lowest + np.minimum(neurons.biases, 0))
    partial_high = start + timesteps * (neurons.highest + np.maximum(neurons.biases, 0))
    lowest, highest = np.minimum(low, np.minimum(start, 0)), np.maximum(high, start)
    return (lowest, highest), (np.minimum(partial_low, lowest) - neurons.thresholds, partial_high)
