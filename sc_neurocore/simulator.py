"""The golden model's results for whole data sets, at the speed of matrix multiplication.

`run` gives the same integers as `sc_neurocore.golden.run` and shares no code with it. Images are
worked through in chunks, so memory does not grow with their number. The arithmetic is that of
floating point matrix products, which are exact as long as every partial sum is an integer that the
type holds: `LayerWidths.accumulator` bounds them all.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from .network import (
    LFSR_TAPS,
    LFSR_WIDTH,
    IntegerArray,
    IntegerLayer,
    IntegerNetwork,
    LayerWidths,
)
from .results import Result

FloatArray = npt.NDArray[np.floating]
BoolArray = npt.NDArray[np.bool_]
UnsignedArray = npt.NDArray[np.unsignedinteger]

CHUNK_VALUES = 2**20
"""Values of the widest layer that a chunk of images may have: a few megabytes, about a cache."""

SINGLE_PRECISION_WIDTH = 25
"""Signed integers of this many bits are exact in float32, whose significand has 24 bits.

Wider accumulators are float64's, which holds 54 bits: 4,096 timesteps of 2^16 weights of 16 bits
and a bias of 32 stay below 2^45.
"""


def lfsr_bits(state: int, count: int) -> npt.NDArray[np.uint8]:
    """Bits that the LFSR puts in, the first ``count`` after ``state``.

    Bit n is the exclusive or of the bits n − tap. The feedback polynomial to the power
    k = 2, 4, 8, … is p(x)^k = p(x^k) over GF(2), and what a polynomial annihilates its multiples
    do, so bit n is that of the bits n − k·tap just as well (S. W. Golomb, Shift Register Sequences,
    1967). As the smallest tap is 1, the k bits from n on are then one operation.
    """
    bits = np.empty(LFSR_WIDTH + count, dtype=np.uint8)
    bits[:LFSR_WIDTH] = [state >> position & 1 for position in reversed(range(LFSR_WIDTH))]
    start = LFSR_WIDTH
    while start < len(bits):
        stride = 2 ** ((start // LFSR_WIDTH).bit_length() - 1)
        stop = min(start + stride, len(bits))
        taps = [bits[start - stride * tap:stop - stride * tap] for tap in LFSR_TAPS]
        bits[start:stop] = np.bitwise_xor.reduce(taps)
        start = stop
    return bits[LFSR_WIDTH:]


def encoder_draws(network: IntegerNetwork) -> npt.NDArray[np.uint16]:
    """Random numbers of every input, (timesteps, n_input), that its intensity is compared with."""
    width, count = network.intensity_width, network.timesteps * network.n_input
    bits = lfsr_bits(network.lfsr_state, count * width)
    draws = np.zeros(count, dtype=np.uint16)
    for position in range(width):
        draws <<= 1
        draws |= bits[position::width]
    return draws.reshape(network.timesteps, network.n_input)


class _Population:
    """The neurons of one layer, in a chunk of images."""

    def __init__(self, layer: IntegerLayer, widths: LayerWidths) -> None:
        single = widths.accumulator <= SINGLE_PRECISION_WIDTH
        self.dtype: type[np.floating] = np.float32 if single else np.float64
        self.weights: FloatArray = layer.weights.T.astype(self.dtype, order="C")
        self.biases: FloatArray = layer.biases.astype(self.dtype)
        self.thresholds: FloatArray = layer.thresholds.astype(self.dtype)
        self.initial_membranes: FloatArray = layer.initial_membranes.astype(self.dtype)
        self.limit = 2 ** (widths.membrane - 1) if widths.saturates else None
        self.membranes: FloatArray

    def start(self, batch: int) -> None:
        """Begin a chunk of ``batch`` images."""
        self.membranes = np.tile(self.initial_membranes, (batch, 1))

    def step(self, events: BoolArray) -> tuple[FloatArray, BoolArray]:
        """Take one timestep's ``events``, (batch, n_input): return drives and spikes.

        Both are (batch, n_output); the drive is what was added to the membrane.
        """
        drive: FloatArray = events.astype(self.dtype) @ self.weights
        drive += self.biases
        self.membranes += drive
        fires = self.membranes >= self.thresholds
        self.membranes -= fires * self.thresholds
        if self.limit is not None:
            np.clip(self.membranes, -self.limit, self.limit - 1, out=self.membranes)
        return drive, fires


def _run_chunk(populations: list[_Population], limits: UnsignedArray, draws: UnsignedArray
               ) -> tuple[IntegerArray, FloatArray, FloatArray]:
    """Counts, membranes and currents, each (batch, n_output); the currents are summed up."""
    for population in populations:
        population.start(len(limits))
    shape = populations[-1].membranes.shape
    counts, currents = np.zeros(shape, dtype=np.int64), np.zeros(shape, dtype=np.float64)
    for drawn in draws:
        spikes: BoolArray = drawn < limits
        for population in populations:
            drive, spikes = population.step(spikes)
        counts += spikes
        currents += drive
    return counts, populations[-1].membranes, currents


def run(network: IntegerNetwork, intensities: npt.ArrayLike,
        progress: Callable[[int, int], None] | None = None) -> Result:
    """Run images through the network: the integers of `sc_neurocore.golden.run`.

    Parameters
    ----------
    intensities : (n_input,) or (batch, n_input) integers in [0, 2^intensity_width − 1]
        See `IntegerNetwork.intensities`.
    progress : callable, optional
        Called with the number of images done and of all images after each chunk.

    Returns
    -------
    Result
        Its arrays have the batch axis that ``intensities`` has.

    Raises
    ------
    TypeError, ValueError
        If the intensities do not fit the network.
    """
    checked = network.check_inputs(intensities)
    images = np.atleast_2d(checked)
    dtype = np.min_scalar_type(2**network.intensity_width)
    draws = encoder_draws(network).astype(dtype)
    populations = [_Population(layer, widths)
                   for layer, widths in zip(network.layers, network.widths, strict=True)]
    results = np.empty((3, len(images), network.n_output), dtype=np.int64)
    chunk = max(1, CHUNK_VALUES // max(network.shape))
    for start in range(0, len(images), chunk):
        part = images[start:start + chunk]
        limits = (part + (part >> (network.intensity_width - 1))).astype(dtype)
        for array, values in zip(results, _run_chunk(populations, limits, draws), strict=True):
            array[start:start + chunk] = values
        if progress is not None:
            progress(start + len(part), len(images))
    arrays = (*results, results[2].argmax(axis=-1))
    return Result(*(array[0] if checked.ndim == 1 else array for array in arrays))


def accuracy(network: IntegerNetwork, intensities: npt.ArrayLike, labels: npt.ArrayLike,
             seeds: Sequence[int] | None = None) -> float | npt.NDArray[np.float64]:
    """Fraction of the images that the network classifies as labelled.

    Parameters
    ----------
    intensities : (batch, n_input) integers in [0, 2^intensity_width − 1]
    labels : (batch,) integers in [0, n_output − 1]
    seeds : sequence of int in [1, 2^32 − 1], optional
        Seeds of the encoder to use in place of the network's.

    Returns
    -------
    float or (len(seeds),) float64
        In [0, 1]; one for each seed if there are ``seeds``.

    Raises
    ------
    TypeError, ValueError
        If the images or labels do not fit the network or each other, or a seed is out of range.
    """
    images, classes = network.check_inputs(intensities), np.asarray(labels)
    if images.ndim != 2 or not len(images):
        raise ValueError(f"Intensities must be a batch of at least one image, not {images.shape}")
    if classes.dtype.kind not in "iu":
        raise TypeError(f"Labels must be integers, not {classes.dtype}")
    if classes.shape != (len(images),):
        raise ValueError(f"Labels must have shape ({len(images)},), one for each image, "
                         f"not {classes.shape}")
    wrong = np.flatnonzero((classes < 0) | (classes >= network.n_output))
    if len(wrong):
        raise ValueError(f"Label of image {wrong[0]} must be in range({network.n_output}), "
                         f"not {classes[wrong[0]]}")
    networks = [network] if seeds is None else [replace(network, seed=seed) for seed in seeds]
    fractions = np.array([np.mean(run(each, images).predicted == classes) for each in networks])
    return float(fractions[0]) if seeds is None else fractions
