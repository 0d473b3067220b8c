"""The event-driven engine's loops, compiled by numba.

Spikes of up to 32 timesteps are the bits of a mask, timestep 0 the lowest, one mask for each input
or neuron of an image.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

Array = npt.NDArray[Any]

ONE = np.uint32(1)


def compiled(function: Callable[..., Any]) -> Any:
    """Compile a function when it is called, and remember the result across runs if possible."""
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:   # neither this folder nor the user's cache can be written to
        return njit(nogil=True)(function)


@compiled
def encode(draws: Array, limits: Array, masks: Array) -> None:
    """Set ``masks``, (batch, n_input), to where draws, (timesteps, n_input), are below limits."""
    for image in range(masks.shape[0]):
        mask, limit = masks[image], limits[image]
        mask[:] = 0
        for t in range(draws.shape[0] - 1, -1, -1):
            for j in range(mask.shape[0]):
                mask[j] = mask[j] << ONE | np.uint32(draws[t, j] < limit[j])


@compiled
def bits(x: Any) -> Any:
    """Ones of 32 bits; the pattern becomes the processor's own instruction."""
    x = np.uint32(x - (x >> np.uint32(1) & np.uint32(0x55555555)))
    x = np.uint32((x & np.uint32(0x33333333)) + (x >> np.uint32(2) & np.uint32(0x33333333)))
    x = np.uint32(x + (x >> np.uint32(4)) & np.uint32(0x0F0F0F0F))
    return np.uint32(x * np.uint32(0x01010101)) >> np.uint32(24)


@compiled
def lowest_bit(x: Any) -> Any:
    """Position of the lowest one of ``x``, which is not 0."""
    return bits(np.uint32((x & np.uint32(-x)) - ONE))


@compiled
def add_row(drive: Array, mask: Any, weights: Array, offset: Any, target: Any, length: Any) -> None:
    """Add a row of weights to the drive of some neurons in the timesteps of ``mask``."""
    while mask:
        t = np.uintp(lowest_bit(mask))
        mask = np.uint32(mask & np.uint32(mask - ONE))
        for k in range(length):
            drive[t, target + k] += weights[offset + k]


@compiled
def subtract_row(drive: Array, mask: Any, weights: Array, offset: Any, target: Any, length: Any
                 ) -> None:
    """Subtract what `add_row` would add."""
    while mask:
        t = np.uintp(lowest_bit(mask))
        mask = np.uint32(mask & np.uint32(mask - ONE))
        for k in range(length):
            drive[t, target + k] -= weights[offset + k]


@compiled
def integrate(mask: Array, groups: Array, entries: Array, weights: Array, size: int, drive: Array
              ) -> None:
    """Add up what spikes of one image bring in each of ``size`` timesteps.

    Row ``size`` of the drive counts in all of them: the weights of an input that spikes in most
    are added there and subtracted where it does not.
    """
    drive[:] = 0
    all_timesteps = np.uint32((np.uint64(1) << np.uint64(size)) - np.uint64(1))
    for g in range(groups.shape[0]):
        first, step, count, stride, start, stop, base_offset, base_target = groups[g]
        for member in range(count):
            m = mask[first + member * step]
            if m == 0:
                continue
            often = 2 * bits(m) > size
            for e in range(start, stop):
                target = np.uintp(base_target + entries[e, 0])
                length = np.uintp(entries[e, 1])
                offset = np.uintp(base_offset + member * stride + entries[e, 2])
                if often:
                    for k in range(length):
                        drive[size, target + k] += weights[offset + k]
                    subtract_row(drive, np.uint32(m ^ all_timesteps), weights, offset, target,
                                 length)
                else:
                    add_row(drive, m, weights, offset, target, length)


@compiled
def fire(drive: Array, size: int, constant: Array, thresholds: Array, limit: int, membrane: Array,
         mask: Array) -> None:
    """Integrate and fire ``size`` timesteps of one image's neurons.

    Membranes saturate at −limit and limit − 1, unless it is 0.
    """
    neurons = range(mask.shape[0])
    steady = np.empty(mask.shape[0], np.int32)
    for k in neurons:
        steady[k] = np.int32(constant[k] + drive[size, k])
        mask[k] = 0
    for t in range(size):
        for k in neurons:
            integrated = np.int32(membrane[k] + np.int32(steady[k] + drive[t, k]))
            fires = integrated >= thresholds[k]
            membrane[k] = np.int32(integrated - (thresholds[k] if fires else np.int32(0)))
            mask[k] |= np.uint32(fires) << np.uint32(t)
        if limit:
            for k in neurons:
                membrane[k] = min(max(membrane[k], np.int32(-limit)), np.int32(limit - 1))


@compiled
def advance(masks: Array, segments: Array, groups: Array, entries: Array, weights: Array,
            width: int, size: int, constants: Array, thresholds: Array, limit: int,
            membranes: Array, fired: Array) -> None:
    """Take a layer ``size`` timesteps on, in each image of a chunk."""
    part = np.empty((size + 1, width), weights.dtype)
    whole = np.empty((size + 1, width), np.int32)
    for image in range(membranes.shape[0]):
        mask, constant = masks[image], constants[image % constants.shape[0]]
        if segments.shape[0] == 2:
            integrate(mask, groups, entries, weights, size, part)
            fire(part, size, constant, thresholds, limit, membranes[image], fired[image])
            continue
        whole[:] = 0
        for segment in range(segments.shape[0] - 1):
            some = groups[segments[segment]:segments[segment + 1]]
            integrate(mask, some, entries, weights, size, part)
            for t in range(size + 1):
                for k in range(width):
                    whole[t, k] += part[t, k]
        fire(whole, size, constant, thresholds, limit, membranes[image], fired[image])
