"""Products of synapses with what they receive, in numpy or on a torch device, and exact.

Floating point is exact where every partial sum is an integer that the type holds, in whatever order
it is added up.
"""

from typing import Any

import numpy as np

from ..extras import require
from ..layers import IntegerArray
from ..synapses import Convolution, MaxPool, Synapses

EXACT_WIDTHS = {"float32": 25, "float64": 54}
"""Signed integers of so many bits are exact: the significands have 24 and 53."""


def number_type(width: int, single: bool = True) -> str:
    """Name of the fastest type that is exact for signed integers of ``width`` bits."""
    return next((name for name, exact in EXACT_WIDTHS.items()
                 if width <= exact and (single or name != "float32")), "int64")


class Arrays:
    """Where arrays live and what computes with them: an array namespace and a device of it."""

    def __init__(self, device: str | None = None) -> None:
        self.device, self.single = device, True
        self.xp: Any = np
        if device is not None:
            torch = require("torch", "convert")
            self.xp = require("array_api_compat.torch", "convert")
            try:
                torch.empty(0, device=device)
            except (AssertionError, RuntimeError) as error:
                raise ValueError(f"Device must be one that torch finds here, not {device!r}: "
                                 f"{str(error).splitlines()[0]}") from error
            # Shortened significands, TF32 or bfloat16, would round
            self.single = torch.get_float32_matmul_precision() == "highest"

    def array(self, values: Any, dtype: str | None = None) -> Any:
        """Bring a numpy array here."""
        array = self.xp.asarray(values, device=self.device, copy=None if self.xp is np else True)
        return array if dtype is None else self.astype(array, dtype)

    def astype(self, array: Any, dtype: str) -> Any:
        """Convert an array of this place."""
        return self.xp.astype(array, getattr(self.xp, dtype))

    def integers(self, array: Any) -> IntegerArray:
        """Take an array to numpy, as int64."""
        return np.asarray(array if self.device is None else array.cpu()).astype(np.int64)

    def patches(self, windows: Any, x: Any) -> Any:
        """Values of (batch, channels · pixels) that each tap of a kernel sees, 0 in the padding.

        They are (batch, channels, taps, positions).
        """
        xp, (channels, height, width) = self.xp, windows.input_shape
        images = xp.reshape(x, (x.shape[0], channels, height * width))
        padded = xp.concat([images, xp.zeros_like(images[:, :, :1])], axis=2)
        seen = windows.indices() % (height * width + 1)
        found = xp.take(padded, self.array(seen.ravel()), axis=2)
        return xp.reshape(found, (x.shape[0], channels, *seen.shape))

    def pooled(self, pool: MaxPool, x: Any) -> Any:
        """Return the largest of each window of (batch, n_input) values, none of them negative."""
        return self.xp.reshape(self.xp.max(self.patches(pool.windows, x), axis=2),
                               (x.shape[0], -1))


class Product:
    """The drive that one layer's synapses make of their inputs."""

    def __init__(self, synapses: Synapses, arrays: Arrays, dtype: str) -> None:
        self.arrays = arrays
        self.windows, self.groups = None, 1
        weights = synapses.rows.T
        if isinstance(synapses, Convolution):
            self.windows, self.groups = synapses.windows, synapses.groups
            weights = synapses.kernel.reshape(self.groups, len(synapses.kernel) // self.groups, -1)
        self.weights = arrays.array(np.ascontiguousarray(weights), dtype)

    def __call__(self, x: Any) -> Any:
        """Map (batch, n_input) to (batch, n_output)."""
        if self.windows is None:
            return x @ self.weights
        xp, batch = self.arrays.xp, x.shape[0]
        patches = self.arrays.patches(self.windows, x)
        grouped = xp.reshape(patches, (batch, self.groups, -1, patches.shape[3]))
        return xp.reshape(self.weights @ grouped, (batch, -1))
