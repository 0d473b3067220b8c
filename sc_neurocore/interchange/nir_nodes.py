"""What each node of a NIR graph does to the values that come to it.

A graph may come from a file that anyone wrote: errors name the node and what is wrong with it, and
nothing takes more memory than the arrays that are there suggest.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from sc_neurocore.conversion.checks import FloatArray, check_real
from sc_neurocore.conversion.tracing.affine import image_shape
from sc_neurocore.conversion.tracing.values import Value
from sc_neurocore.layer_headers import bounded
from sc_neurocore.synapses import Convolution, Dense, Pair

Shape = tuple[int, ...]

MAXIMUM_INPUTS = 2**24
"""Values of an image: no array vouches for them."""


class Node:
    """A node by its name and its fields, which it gives if they are what they should be."""

    def __init__(self, name: str, fields: Any) -> None:
        kind = fields.get("type") if isinstance(fields, dict) else None
        if not isinstance(kind, str):
            raise ValueError(f"node {name!r} must have a type")
        self.name, self.kind, self._fields = name, kind, fields

    def refuse(self, reason: object) -> ValueError:
        """Make the error that says why this node can't be read."""
        return ValueError(f"node {self.name!r} ({self.kind}) {reason}")

    def has(self, key: str) -> bool:
        """Whether there is such a field."""
        return self._fields.get(key) is not None

    def array(self, key: str, dims: int | None = None, finite: bool = True) -> FloatArray:
        """Numbers of a field as float64, not empty, of so many dimensions."""
        values = np.asarray(self._fields.get(key))
        if values.dtype.kind not in "biuf" or values.size == 0:
            raise self.refuse(f"must have numbers as its {key}")
        if dims is not None and values.ndim != dims:
            raise self.refuse(f"must have a {key} of {dims} dimension(s), not of shape "
                              f"{values.shape}")
        values = values.astype(np.float64)
        if finite and not np.isfinite(values).all():
            raise self.refuse(f"must have a finite {key}, not {values[~np.isfinite(values)][0]}")
        return values

    def integers(self, key: str, count: int) -> tuple[int, ...]:
        """So many integers; a single one stands for all."""
        values = np.asarray(self._fields.get(key))
        if values.dtype.kind not in "iu" or values.shape not in ((), (1,), (count,)):
            raise self.refuse(f"must have {count} integer(s) as its {key}, "
                              f"not {self._fields.get(key)!r}")
        return tuple(np.broadcast_to(values, count).tolist())

    def text(self, key: str) -> str | None:
        """Text of a field that may also hold something else."""
        value = self._fields.get(key)
        return value if isinstance(value, str) else None

    def shape(self, key: str) -> Shape:
        """Shape of an image, from 1 to 3 dimensions."""
        values = np.asarray(self._fields.get(key))
        shape = tuple(values.tolist()) if values.ndim == 1 and values.dtype.kind in "iu" else ()
        if not 1 <= len(shape) <= 3 or min(shape) < 1 or prod(shape) > MAXIMUM_INPUTS:
            raise self.refuse(f"must have 1 to 3 numbers of at least 1 as its {key}, not more than "
                              f"{MAXIMUM_INPUTS} values in all, not {self._fields.get(key)!r}")
        return shape


# --- linear maps -------------------------------------------------------------------------------

def _linear(node: Node, value: Value) -> Value:
    weights = node.array("weight", 2)
    if value.shape != weights.shape[1:]:
        raise node.refuse(f"must take vectors of {weights.shape[1]} values, not {value.shape}")
    bias = node.array("bias") if node.kind == "Affine" else None
    if bias is not None and bias.shape != weights.shape[:1]:
        raise node.refuse(f"must have a bias of shape {weights.shape[:1]}, not {bias.shape}")
    return value.through(Dense(weights), weights.shape[:1], bias)


def _convolve(node: Node, value: Value) -> Value:
    dims = 1 if node.kind == "Conv1d" else 2
    kernel, bias = node.array("weight", dims + 2), node.array("bias")
    if bias.shape != kernel.shape[:1]:
        raise node.refuse(f"must have a bias of shape {kernel.shape[:1]}, not {bias.shape}")
    (groups,) = node.integers("groups", 1)
    kernel = kernel.reshape(*kernel.shape[:2], *(1,) * (2 - dims), *kernel.shape[2:])
    dilation = _pair(node, "dilation", dims, 1)
    return _slid(node, value, kernel, _pair(node, "stride", dims, 1),
                 _padding(node, kernel, dilation, dims), dilation, groups, bias)


def _padding(node: Node, kernel: FloatArray, dilation: Pair, dims: int) -> Pair:
    name = node.text("padding")
    if name is None:
        return _pair(node, "padding", dims, 0)
    total = [d * (size - 1) for d, size in zip(dilation, kernel.shape[2:], strict=True)]
    if name == "valid":
        return (0, 0)
    if name != "same" or any(amount % 2 for amount in total):
        raise node.refuse(f"must have a padding that is the same on both sides, not {name!r}")
    return (total[0] // 2, total[1] // 2)


def _pool(node: Node, value: Value) -> Value:
    size = _pair(node, "kernel_size", 2, 1)
    if min(size) < 1 or prod(size) > MAXIMUM_INPUTS:
        raise node.refuse(f"must have a kernel_size from 1 to that of its images, not {size}")
    channels = value.shape[0]
    kernel = np.full((channels, 1, *size), 1 / prod(size) if node.kind == "AvgPool2d" else 1.0)
    return _slid(node, value, kernel, _pair(node, "stride", 2, 1), _pair(node, "padding", 2, 0),
                 (1, 1), channels, None)


def _slid(node: Node, value: Value, kernel: FloatArray, stride: Pair, padding: Pair, dilation: Pair,
          groups: int, bias: FloatArray | None) -> Value:
    """Apply a convolution; a bias of 0 is none, as NIR's convolutions always have one."""
    dims = 1 if node.kind == "Conv1d" else 2
    if len(value.shape) != dims + 1:
        raise node.refuse(f"must take images of {dims + 1} dimensions, not {value.shape}")
    try:
        convolution = bounded(Convolution(kernel, image_shape(value.shape), stride, padding,
                                          dilation, groups))
    except ValueError as error:
        raise node.refuse(f"does not fit its images: {error}") from error
    shape = (len(kernel), *convolution.output_shape[3 - dims:])
    return value.through(convolution, shape, None if bias is None or not bias.any() else
                         np.repeat(bias, convolution.positions))


def _pair(node: Node, key: str, dims: int, absent: int) -> Pair:
    """Rows and columns; ``absent`` for the rows where there is one dimension."""
    numbers = node.integers(key, dims)
    return (absent, numbers[0]) if dims == 1 else (numbers[0], numbers[1])


def _scale(node: Node, value: Value) -> Value:
    return value.scaled(_each(node, "scale", value.shape))


def _flatten(node: Node, value: Value) -> Value:
    rank = len(value.shape)
    start, end = (number + rank if number < 0 else number
                  for key in ("start_dim", "end_dim") for number in node.integers(key, 1))
    if not 0 <= start <= end < rank:
        raise node.refuse(f"must flatten dimensions in range({rank}), not {start} to {end}")
    return value.reshaped((*value.shape[:start], prod(value.shape[start:end + 1]),
                           *value.shape[end + 1:]))


OPERATIONS: dict[str, Callable[[Node, Value], Value]] = {
    "Linear": _linear, "Affine": _linear, "Conv1d": _convolve, "Conv2d": _convolve,
    "SumPool2d": _pool, "AvgPool2d": _pool, "Scale": _scale, "Flatten": _flatten}

REASONS = {
    "CubaLIF": "has currents that decay",
    "CubaLI": "has currents that decay, and does not spike",
    "LI": "leaks, and does not spike",
    "I": "does not spike",
    "Threshold": "has no membrane",
    "Delay": "delays spikes",
    "NIRGraph": "is a graph within the graph, as recurrent layers are",
}
"""Why the other nodes can't be read."""


# --- neurons -----------------------------------------------------------------------------------

def check_timestep(dt: Any) -> float:
    """Return seconds as a float that can be divided by; TypeError or ValueError if they can't."""
    seconds = check_real("dt", dt)
    if not 1e-300 < seconds < 1e300:
        raise ValueError(f"dt must be greater than 0 and finite, not {dt}")
    return seconds


@dataclass(frozen=True, eq=False)
class Neurons:
    """Neurons of a layer: the current that they receive in a timestep, and their thresholds."""

    current: Value
    thresholds: FloatArray


def neurons(node: Node, value: Value, dt: float | None) -> Neurons:
    """Read a node that spikes."""
    thresholds = _each(node, "v_threshold", value.shape)
    if (thresholds <= 0).any():
        raise node.refuse(f"must have a v_threshold greater than 0, not {thresholds.min()}")
    if node.has("v_reset") and (reset := _each(node, "v_reset", value.shape)).any():
        raise node.refuse(f"resets to v_reset = {reset[reset != 0][0]:g}, which is no subtraction "
                          "of the threshold")
    gain = _gain(node, value.shape, dt)
    return Neurons(value if (gain == 1).all() else value.scaled(gain), thresholds)


def _gain(node: Node, shape: Shape, dt: float | None) -> FloatArray:
    """By how much of its current a neuron's membrane grows in a timestep, r·dt."""
    resistance = _each(node, "r", shape, finite=False)
    if node.kind == "LIF":
        tau = _each(node, "tau", shape, finite=False)
        if not np.isposinf(tau).all():
            raise node.refuse(f"leaks, with a time constant of {tau.min():g} s: only neurons "
                              "without a leak can be converted")
        if not np.isposinf(resistance).all():
            raise node.refuse("must have an r that is infinite as its tau is: nothing reaches its "
                              "membrane otherwise")
        return np.ones(shape)   # snntorch writes r = tau/dt, so r·dt/tau is 1 whatever tau is
    if not (np.isfinite(resistance) & (resistance > 0)).all():
        raise node.refuse(f"must have an r that is greater than 0 and finite, not "
                          f"{resistance.min()}")
    if dt is None:
        whole = f"; if a timestep adds the whole current, it is {1 / resistance.item(0):g}" if (
            resistance == resistance.flat[0]).all() else ""
        raise node.refuse("has a membrane that follows dv/dt = r·I, and how long a timestep is "
                          f"isn't recorded: pass dt{whole}")
    with np.errstate(over="ignore", under="ignore"):
        gain = resistance / (1 / dt)
    if not (np.isfinite(gain) & (gain > 0)).all():
        raise node.refuse(f"must have an r for which r·dt is a number, not {resistance.max()}")
    return gain


def _each(node: Node, key: str, shape: Shape, finite: bool = True) -> FloatArray:
    """One number for each value of an image, which a single one may stand for."""
    values = node.array(key, finite=finite)
    if values.size == 1:
        values = np.full(shape, values.item())
    if values.shape != shape:
        raise node.refuse(f"must have a {key} of the shape {shape} of what comes to it, not "
                          f"{values.shape}")
    return values
