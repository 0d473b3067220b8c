"""Synapses as one kind of table, for dense and convolutional ones: what the event loop walks.

Inputs come in groups that reach the same neurons: inputs of dense synapses, or channels of a
convolution at one pixel. For each run of neurons that a group reaches there is an entry, and each
member of the group has a row of weights for it. Neurons are numbered channel last here, so that
runs are long.

Rows are added up in int16 where that serves, as a vector instruction then adds twice as many
numbers. The groups come in segments, and no sum over one segment can overflow.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..layers import IntegerArray
from ..synapses import Convolution, Dense, Synapses

ALIGNMENT = 64
"""Bytes of a cache line: rows of weights that straddle two take twice as long to add."""

LARGEST_SUM = 2**15 - 1

WORTHWHILE = 64
"""Inputs a neuron that segments must have on average; adding up segments takes time, too."""


@dataclass(frozen=True, eq=False)
class Table:
    """All synapses of a layer.

    ``segments``: (n + 1,), the group that each begins with, and the number of groups. ``groups``:
    (n, 8), a row for each group: its first input, the step to the next, how many there are, the
    step between their weights, its first and last + 1 entry, and what is added to their offsets and
    targets. ``entries``: (n, 3): first neuron, number of neurons, offset in the weights of the
    first member. ``weights``: (n,) int16 or int32. ``width``: neurons, padding included.
    """

    segments: IntegerArray
    groups: IntegerArray
    entries: IntegerArray
    weights: npt.NDArray[np.signedinteger]
    width: int


def table(synapses: Sequence[Synapses], n_output: int, scale: int = 1) -> Table:
    """Make the table of a layer with these synapses, whose inputs follow one another.

    Weights become ``scale`` times as large. There may be no synapses.
    """
    width = -(-n_output // 16) * 16
    ranges = _segmented(synapses, scale)
    dtype = np.int32 if ranges is None else np.int16
    groups, entries, weights = np.empty((0, 8), int), np.empty((0, 3), int), np.empty(0, int)
    segments, first_input = [0], 0
    for index, one in enumerate(synapses):
        parts = _dense(one, width) if isinstance(one, Dense) else _convolution(one)
        shift = (first_input, 0, 0, 0, len(entries), len(entries), len(weights), 0)
        own = parts[0] + np.array(shift)
        for start, stop in [(0, own[0, 2])] if ranges is None else ranges[index]:
            groups = np.concatenate([groups, _members(own, start, stop)])
            segments.append(len(groups))
        entries = np.concatenate([entries, parts[1]])
        weights = np.concatenate([weights, parts[2]])
        first_input += one.n_input
    return Table(np.array(segments), groups, entries, _aligned(weights * scale, dtype), width)


def _members(groups: IntegerArray, start: int, stop: int) -> IntegerArray:
    """Groups of the members ``start`` to ``stop`` − 1 of these."""
    some = groups.copy()
    some[:, 0] += start * groups[:, 1]
    some[:, 2] = stop - start
    some[:, 6] += start * groups[:, 3]
    return some


def _segmented(synapses: Sequence[Synapses], scale: int) -> list[list[tuple[int, int]]] | None:
    """Members of each segment, for each of the synapses; None if int16 does not serve."""
    inputs = sum(one.rows.shape[1] for one in synapses)
    left = max(inputs // WORTHWHILE, len(synapses))
    segmented = []
    for one in synapses:
        ranges = []
        for start, stop in _ranges(_magnitudes(one) * scale):
            left -= 1
            if left < 0 or start == stop:
                return None
            ranges.append((start, stop))
        segmented.append(ranges)
    return segmented


def _magnitudes(synapses: Synapses) -> IntegerArray:
    """Sum of the absolute weights that each neuron or channel has for a member of a group."""
    if isinstance(synapses, Dense):
        return np.abs(synapses.weights.T)
    return np.abs(synapses.kernel).sum(axis=(2, 3)).T


def _ranges(magnitudes: IntegerArray) -> Iterator[tuple[int, int]]:
    """Yield ranges of rows, as long as their sums allow; an empty one where a row alone exceeds."""
    sums = np.concatenate([np.zeros_like(magnitudes[:1]), magnitudes.cumsum(axis=0)])
    start = 0
    while start < len(magnitudes):
        largest = (sums[start + 1:] - sums[start]).max(axis=1)
        stop = start + int(np.searchsorted(largest, LARGEST_SUM, side="right"))
        yield start, stop
        start = stop


def _aligned(values: IntegerArray, dtype: type[np.signedinteger]) -> npt.NDArray[np.signedinteger]:
    """Copy of a flat array that begins at a multiple of `ALIGNMENT`."""
    size = np.dtype(dtype).itemsize
    room = np.empty(values.size + ALIGNMENT // size, dtype)
    first = -room.ctypes.data % ALIGNMENT // size
    room[first:first + values.size] = values
    return room[first:first + values.size]


def _dense(synapses: Dense, width: int) -> tuple[IntegerArray, IntegerArray, IntegerArray]:
    n_output, n_input = synapses.weights.shape
    weights = np.zeros((n_input, width), dtype=np.int64)
    weights[:, :n_output] = synapses.weights.T
    groups = np.array([[0, 1, n_input, width, 0, 1, 0, 0]])
    return groups, np.array([[0, width, 0]]), weights.ravel()


def _convolution(synapses: Convolution) -> tuple[IntegerArray, IntegerArray, IntegerArray]:
    channels_out, members = synapses.kernel.shape[:2]
    pixels = synapses.input_shape[1] * synapses.input_shape[2]
    length = channels_out // synapses.groups
    # Taps in reverse: then taps that see a pixel from neighbouring positions are neighbours, too
    taps = synapses.kernel.reshape(synapses.groups, length, members, -1)[..., ::-1]
    weights = np.ascontiguousarray(taps.transpose(0, 2, 3, 1))
    entries, starts = _runs(synapses.windows.indices()[::-1], pixels, channels_out, length)
    pixel, group = (axis.ravel() for axis in np.indices((pixels, synapses.groups)))
    stride = weights[0, 0].size
    groups = np.stack([group * members * pixels + pixel, np.full_like(pixel, pixels),
                       np.full_like(pixel, members), np.full_like(pixel, stride),
                       starts[pixel], starts[pixel + 1], group * members * stride, group * length],
                      axis=1)
    return groups, entries, weights.ravel()


def _runs(seen: npt.NDArray[np.intp], pixels: int, channels_out: int, length: int
          ) -> tuple[IntegerArray, IntegerArray]:
    """Entries of each pixel, and where those of pixel 0, 1, … begin.

    ``seen`` is the pixel that each tap sees from each position, (taps, positions). Entries whose
    neurons and weights both follow those of the entry before are merged.
    """
    tap, position = np.nonzero(seen >= 0)
    pixel = seen[tap, position]
    order = np.lexsort((position, pixel))
    pixel = pixel[order]
    target, offset = position[order] * channels_out, tap[order] * length
    follows = (np.diff(pixel) == 0) & (np.diff(target) == length) & (np.diff(offset) == length)
    first = np.flatnonzero(np.concatenate([[True], ~follows])[:len(pixel)])
    lengths = np.diff(first, append=len(pixel)) * length
    entries = np.stack([target[first], lengths, offset[first]], axis=1).astype(np.int64)
    return entries, np.searchsorted(pixel[first], np.arange(pixels + 1)).astype(np.int64)
