"""The encoders' numbers: an input spikes in a timestep if its number there is below its limit.

All images see the same numbers, so they are made once a network.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from ..network import LFSR_TAPS, LFSR_WIDTH, IntegerNetwork

Images = npt.NDArray[Any]
"""Images of a chunk: intensities, (batch, n_input) int32, or spikes, (batch, timesteps, n) bool."""

Numbers = npt.NDArray[np.int32]


def limits(intensities: Images, width: int) -> Numbers:
    """What the draws of inputs of these intensities, of ``width`` bits, are below for a spike."""
    return intensities + (intensities >> (width - 1))


def encoder_draws(network: IntegerNetwork) -> Numbers:
    """Numbers that limits are compared with, (timesteps, n_input); none under direct and events."""
    if network.encoder == "lfsr":
        return lfsr_draws(network)
    if network.encoder == "low_discrepancy":
        return low_discrepancy_draws(network)
    return np.empty((network.timesteps, 0), dtype=np.int32)


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


def lfsr_draws(network: IntegerNetwork) -> Numbers:
    """Draws of the LFSR in the order in which timesteps and inputs take them."""
    width, count = network.intensity_width, network.timesteps * network.n_input
    bits = lfsr_bits(network.lfsr_state, count * width)
    draws = np.zeros(count, dtype=np.int32)
    for position in range(width):
        draws <<= 1
        draws |= bits[position::width]
    return draws.reshape(network.timesteps, network.n_input)


def low_discrepancy_draws(network: IntegerNetwork) -> Numbers:
    """Evenly spread numbers: (2·phase + 1) · 2^w / 2^(k + 1), floored.

    Flooring loses nothing: a < b · 2^(k + 1) and ⌊a / 2^(k + 1)⌋ < b are the same for integers.
    """
    width = (network.timesteps - 1).bit_length()
    timesteps = np.arange(network.timesteps, dtype=np.int64)[:, None]
    counter = (timesteps ^ np.arange(network.n_input)) % 2**width
    phases = np.zeros_like(counter)
    for _ in range(width):
        phases = phases << 1 | counter & 1
        counter >>= 1
    return ((2 * phases + 1 << network.intensity_width) >> (width + 1)).astype(np.int32)
