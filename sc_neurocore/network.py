"""The type that flows between the stages: an integer spiking network.

`IntegerNetwork` is the waist of the toolchain. Whatever is above it (conversion, quantization)
knows floats; whatever is below it (golden model, simulator, gateware, host) knows these integers
alone. ``docs/number-format.md`` says what they mean.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

IntegerArray = npt.NDArray[np.int64]

ENCODERS = ("lfsr",)
SCHEDULES = ("pipelined",)

LFSR_WIDTH = 32
LFSR_TAPS = (32, 22, 2, 1)
"""The feedback polynomial x^32 + x^22 + x^2 + x + 1, primitive: the period is 2^32 − 1."""
LFSR_SEED_FACTOR = 0x9E3779B1
"""Odd, so seed ↦ seed · factor mod 2^32 is one to one and no seed but 0 gives the forbidden state
0; small seeds are spread over all 32 bits, as sparse states make runs of small draws."""

MAXIMUM_TIMESTEPS = 4096
MAXIMUM_PARAMETER = 2**31 - 1
MAXIMUM_FAN_IN = 2**16


def check_integer(name: str, value: Any, low: int, high: int) -> int:
    """Return ``value`` as an int in [low, high], or say what is wrong with it.

    Raises
    ------
    TypeError
        If it is not an integer (a bool is not one).
    ValueError
        If it is out of range.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if not low <= value <= high:
        raise ValueError(f"{name} must be in range({low}, {high + 1}), not {value}")
    return int(value)


def unsigned_width(maximum: int) -> int:
    """Bits of the narrowest unsigned number that holds 0 to ``maximum``; at least 1."""
    return max(1, int(maximum).bit_length())


def signed_width(low: int, high: int) -> int:
    """Bits of the narrowest two's complement number that holds ``low`` to ``high``; at least 1."""
    return 1 + max(int(-low - 1).bit_length() if low < 0 else 0, max(int(high), 0).bit_length())


def _frozen_integers(name: str, values: Any, ndim: int) -> IntegerArray:
    array = np.asarray(values)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be an array of integers, not of {array.dtype}")
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimension(s), not shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, but has shape {array.shape}")
    if array.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{name} must fit in 64 bits, signed, but reach {array.max()}")
    array = array.astype(np.int64)
    array.flags.writeable = False
    return array


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """One fully connected layer of integrate-and-fire neurons, in integers.

    Parameters
    ----------
    weights : (n_output, n_input) integers
        Two's complement of ``weight_width`` bits.
    biases : (n_output,) integers
        Added once a timestep; zeros where the layer has none. Magnitude below 2^31.
    thresholds : (n_output,) integers in [1, 2^31 − 1]
        A neuron spikes when its integrated membrane is at least this, and it is then subtracted.
    initial_membranes : (n_output,) integers
        Membranes at the start of every image; in [0, threshold − 1].
    weight_width : int in [2, 16]
        Bits of a weight.
    membrane_width : int in [2, 48], optional
        Bits of a stored membrane, which saturates there once a timestep. By default as many as it
        takes for no membrane to saturate, whatever the input (see `IntegerNetwork.widths`).

    Raises
    ------
    TypeError, ValueError
        If an array has the wrong kind, shape or range.
    """

    weights: IntegerArray
    biases: IntegerArray
    thresholds: IntegerArray
    initial_membranes: IntegerArray
    weight_width: int = 8
    membrane_width: int | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight_width",
                           check_integer("Weight width", self.weight_width, 2, 16))
        if self.membrane_width is not None:
            object.__setattr__(self, "membrane_width",
                               check_integer("Membrane width", self.membrane_width, 2, 48))
        object.__setattr__(self, "weights", _frozen_integers("Weights", self.weights, 2))
        for name in ("biases", "thresholds", "initial_membranes"):
            label = name.replace("_", " ").capitalize()
            array = _frozen_integers(label, getattr(self, name), 1)
            if array.shape != (self.n_output,):
                raise ValueError(f"{label} must have shape ({self.n_output},), one for each "
                                 f"neuron, not {array.shape}")
            object.__setattr__(self, name, array)
        half = 2 ** (self.weight_width - 1)
        self._check_range("Weight", self.weights, -half, half - 1)
        self._check_range("Bias", self.biases, -MAXIMUM_PARAMETER, MAXIMUM_PARAMETER)
        self._check_range("Threshold", self.thresholds, 1, MAXIMUM_PARAMETER)
        self._check_range("Initial membrane", self.initial_membranes, 0, self.thresholds - 1)
        if self.membrane_width is not None:
            self._check_range(f"Initial membrane in {self.membrane_width} bits",
                              self.initial_membranes, 0, 2 ** (self.membrane_width - 1) - 1)
        if self.n_input > MAXIMUM_FAN_IN or self.n_output > MAXIMUM_FAN_IN:
            raise ValueError(f"A layer must have at most {MAXIMUM_FAN_IN} inputs and neurons, "
                             f"not {self.n_input} and {self.n_output}")

    @staticmethod
    def _check_range(name: str, array: IntegerArray, low: Any, high: Any) -> None:
        wrong = np.argwhere((array < low) | (array > high))
        if len(wrong):
            place = tuple(int(i) for i in wrong[0])
            limits = [int(np.broadcast_to(limit, array.shape)[place]) for limit in (low, high)]
            raise ValueError(f"{name} of neuron {place[0]}"
                             + (f", input {place[1]}" if len(place) > 1 else "")
                             + f" must be in range({limits[0]}, {limits[1] + 1}), "
                             f"not {int(array[place])}")

    @property
    def n_input(self) -> int:
        """Inputs of the layer: the fan-in of each neuron."""
        return self.weights.shape[1]

    @property
    def n_output(self) -> int:
        """Neurons of the layer."""
        return self.weights.shape[0]


@dataclass(frozen=True)
class LayerWidths:
    """Bits of every number of a layer, and the ranges that they were chosen for.

    ``bias`` and ``membrane`` are signed, ``threshold`` is unsigned. ``accumulator`` is signed and
    holds every partial sum of membrane, bias and weights, and the difference to the threshold.
    ``membrane_range`` are the extreme stored membranes over all inputs and all timesteps.
    """

    weight: int
    bias: int
    threshold: int
    membrane: int
    accumulator: int
    membrane_range: tuple[int, int]
    saturates: bool


def layer_widths(layer: IntegerLayer, timesteps: int) -> LayerWidths:
    """Widths that no input can overflow, by interval arithmetic over the timesteps.

    With the drive of a timestep in [low, high] (all negative, all positive weights), a membrane in
    [a, b] integrates to [a + low, b + high]; firing maps what is at or above the threshold down by
    the threshold. The interval after each timestep contains every reachable membrane.
    """
    negative = np.minimum(layer.weights, 0).sum(axis=1)
    positive = np.maximum(layer.weights, 0).sum(axis=1)
    threshold, bias = layer.thresholds, layer.biases
    low = high = layer.initial_membranes
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
        if layer.membrane_width is not None:
            limit = 2 ** (layer.membrane_width - 1)
            saturates |= bool((low < -limit).any() or (high > limit - 1).any())
            low, high = np.clip(low, -limit, limit - 1), np.clip(high, -limit, limit - 1)
        lowest, highest = np.minimum(lowest, low), np.maximum(highest, high)
    partial_low = lowest_start + negative + np.minimum(bias, 0) - threshold
    partial_high = highest_start + positive + np.maximum(bias, 0)
    membrane_range = int(lowest.min()), int(highest.max())
    return LayerWidths(
        weight=layer.weight_width,
        bias=signed_width(int(bias.min()), int(bias.max())),
        threshold=unsigned_width(int(threshold.max())),
        membrane=layer.membrane_width or signed_width(*membrane_range),
        accumulator=signed_width(int(partial_low.min()), int(partial_high.max())),
        membrane_range=membrane_range, saturates=saturates)


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """A spiking network in integers: all that its results depend on.

    Parameters
    ----------
    layers : sequence of IntegerLayer
        At least one. The last one, the output layer, shares one threshold and one initial membrane,
        so that its neurons' currents can be compared, and never saturates.
    timesteps : int in [1, 4096]
        Timesteps an image, T.
    intensity_width : int in [1, 16]
        Bits of an input intensity.
    encoder : "lfsr"
        How intensities become spikes.
    seed : int in [1, 2^32 − 1]
        Seed of the encoder; every image starts from it.
    schedule : "pipelined"
        Every layer takes one timestep's spikes of the layer before it at a time.

    Raises
    ------
    TypeError, ValueError
        If a value is out of range or the layers do not fit each other.
    """

    layers: tuple[IntegerLayer, ...]
    timesteps: int
    intensity_width: int = 8
    encoder: str = "lfsr"
    seed: int = 1
    schedule: str = "pipelined"

    def __post_init__(self) -> None:
        object.__setattr__(self, "layers", tuple(self.layers))
        for name, high in (("timesteps", MAXIMUM_TIMESTEPS), ("intensity_width", 16),
                           ("seed", 2**LFSR_WIDTH - 1)):
            label = name.replace("_", " ").capitalize()
            object.__setattr__(self, name, check_integer(label, getattr(self, name), 1, high))
        for name, value, known in (("Encoder", self.encoder, ENCODERS),
                                   ("Schedule", self.schedule, SCHEDULES)):
            if value not in known:
                raise ValueError(f"{name} must be one of {', '.join(known)}, not {value!r}")
        if not self.layers:
            raise ValueError("A network must have at least one layer")
        for index, layer in enumerate(self.layers):
            if not isinstance(layer, IntegerLayer):
                raise TypeError(f"Layer {index} must be an IntegerLayer, not {layer!r}")
        for index, (before, layer) in enumerate(zip(self.layers, self.layers[1:], strict=False), 1):
            if layer.n_input != before.n_output:
                raise ValueError(f"Layer {index} must have {before.n_output} inputs, one for each "
                                 f"neuron of layer {index - 1}, not {layer.n_input}")
        self._check_output_layer()

    def _check_output_layer(self) -> None:
        output = self.layers[-1]
        for name in ("thresholds", "initial_membranes"):
            values = np.unique(getattr(output, name))
            if len(values) > 1:
                raise ValueError(f"The output layer must share one value of its "
                                 f"{name.replace('_', ' ')}, not {values.tolist()}")
        if self.widths[-1].saturates:
            raise ValueError("The output layer must not saturate, but its membranes reach "
                             f"{signed_width(*layer_bounds(output, self.timesteps))} bits "
                             f"and membrane width is {output.membrane_width}")

    @cached_property
    def widths(self) -> tuple[LayerWidths, ...]:
        """Widths of each layer."""
        return tuple(layer_widths(layer, self.timesteps) for layer in self.layers)

    @property
    def n_input(self) -> int:
        """Intensities of an image."""
        return self.layers[0].n_input

    @property
    def n_output(self) -> int:
        """Classes."""
        return self.layers[-1].n_output

    @property
    def shape(self) -> tuple[int, ...]:
        """Inputs and neurons a layer, as in 784-128-10."""
        return (self.n_input, *(layer.n_output for layer in self.layers))

    @property
    def full_scale(self) -> int:
        """The largest intensity."""
        return 2**self.intensity_width - 1

    @property
    def count_width(self) -> int:
        """Bits of an output neuron's spike count, unsigned."""
        return unsigned_width(self.timesteps)

    @cached_property
    def current_width(self) -> int:
        """Bits of the whole current that an output neuron can receive over an image, signed."""
        output = self.layers[-1]
        low = np.minimum(output.weights, 0).sum(axis=1) + output.biases
        high = np.maximum(output.weights, 0).sum(axis=1) + output.biases
        return signed_width(self.timesteps * int(low.min()), self.timesteps * int(high.max()))

    @property
    def lfsr_state(self) -> int:
        """State of the encoder's LFSR before the first draw of every image; never 0."""
        return self.seed * LFSR_SEED_FACTOR % 2**LFSR_WIDTH

    def intensities(self, images: npt.ArrayLike) -> IntegerArray:
        """Quantize images in [0, 1] to intensities: floor(x · (2^w − 1) + 0.5).

        Parameters
        ----------
        images : (n_input,) or (batch, n_input) reals in [0, 1]

        Raises
        ------
        TypeError, ValueError
            If a value is not a number in [0, 1], or the shape is wrong.
        """
        array = np.asarray(images)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"Images must be real numbers, not {array.dtype}")
        self._check_image_shape("Images", array)
        array = array.astype(np.float64)
        wrong = np.argwhere(~((array >= 0) & (array <= 1)))
        if len(wrong):
            place = tuple(int(i) for i in wrong[0])
            raise ValueError(f"Images must be in [0, 1], but {_image_place(place)} "
                             f"is {array[place]}")
        return np.floor(array * self.full_scale + 0.5).astype(np.int64)

    def check_intensities(self, intensities: npt.ArrayLike) -> IntegerArray:
        """Return intensities as int64 of the shape they came in.

        Parameters
        ----------
        intensities : (n_input,) or (batch, n_input) integers in [0, 2^intensity_width − 1]

        Raises
        ------
        TypeError, ValueError
            If a value is not an integer in range, or the shape is wrong.
        """
        array = np.asarray(intensities)
        if array.dtype.kind not in "iu":
            raise TypeError(f"Intensities must be integers, not {array.dtype}; "
                            "IntegerNetwork.intensities() makes them from images in [0, 1]")
        self._check_image_shape("Intensities", array)
        wrong = np.argwhere((array < 0) | (array > self.full_scale))
        if len(wrong):
            place = tuple(int(i) for i in wrong[0])
            raise ValueError(f"Intensities must be in range({self.full_scale + 1}), "
                             f"but {_image_place(place)} is {int(array[place])}")
        return array.astype(np.int64)

    def _check_image_shape(self, name: str, array: npt.NDArray[Any]) -> None:
        if array.ndim not in (1, 2) or array.shape[-1] != self.n_input:
            raise ValueError(f"{name} must have shape ({self.n_input},) or "
                             f"(batch, {self.n_input}), not {array.shape}")


def layer_bounds(layer: IntegerLayer, timesteps: int) -> tuple[int, int]:
    """Extreme membranes that a layer would reach if it had the width for them."""
    unbounded = IntegerLayer(layer.weights, layer.biases, layer.thresholds, layer.initial_membranes,
                             layer.weight_width)
    return layer_widths(unbounded, timesteps).membrane_range


def _image_place(place: Sequence[int]) -> str:
    return f"input {place[0]}" if len(place) == 1 else f"image {place[0]}, input {place[1]}"
