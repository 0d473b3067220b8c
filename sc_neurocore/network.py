"""The type that flows between the stages: an integer spiking network.

`IntegerNetwork` is the waist of the toolchain. Whatever is above it (conversion, quantization)
knows floats; whatever is below it (golden model, simulator, gateware, host) knows these integers
alone. ``docs/number-format.md`` says what they mean.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .layers import (
    MAXIMUM_FAN_IN,
    MAXIMUM_PARAMETER,
    IntegerArray,
    IntegerLayer,
    Neurons,
    check_integer,
)
from .synapses import INPUT, Source, source_sizes
from .widths import LayerWidths, layer_widths, signed_width, unsigned_width

__all__ = ["MAXIMUM_FAN_IN", "MAXIMUM_PARAMETER", "IntegerArray", "IntegerLayer", "IntegerNetwork",
           "LayerWidths", "check_integer"]

ENCODERS = ("lfsr", "low_discrepancy", "direct", "events")
SCHEDULES = ("pipelined", "layer_by_layer")

LFSR_WIDTH = 32
LFSR_TAPS = (32, 22, 2, 1)
"""The feedback polynomial x^32 + x^22 + x^2 + x + 1, primitive: the period is 2^32 − 1."""
LFSR_SEED_FACTOR = 0x9E3779B1
"""Odd, so seed ↦ seed · factor mod 2^32 is one to one and no seed but 0 gives the forbidden state
0; small seeds are spread over all 32 bits, as sparse states make runs of small draws."""

MAXIMUM_TIMESTEPS = 4096


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
    encoder : "lfsr", "low_discrepancy", "direct" or "events"
        How intensities become spikes: compared with random numbers or with evenly spread ones, not
        at all (they are a current, added whole in every timestep), or outside of the network.
    seed : int in [1, 2^32 − 1]
        Seed of the encoder lfsr; every image starts from it.
    schedule : "pipelined" or "layer_by_layer"
        Layers take one timestep's spikes at a time, or all timesteps' before they first spike.

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
        for index, layer in enumerate(self.layers):
            self._check_sources(index, layer)
            if self.schedule == "layer_by_layer" and layer.membrane_width is not None:
                raise ValueError(f"Layer {index} must have no membrane width under the schedule "
                                 f"layer_by_layer, where membranes take in all timesteps, "
                                 f"not {layer.membrane_width}")
        self._check_output_layer()

    def _check_sources(self, index: int, layer: IntegerLayer) -> None:
        sizes = {INPUT: self.n_input, **{i: one.n_output for i, one
                                         in enumerate(self.layers[:index])}}
        sources = self.sources(index)
        if any(source.max_pool for source in sources) and self.schedule != "layer_by_layer":
            raise ValueError(f"Layer {index} has a max pool, which is exact under the schedule "
                             f"layer_by_layer alone, not {self.schedule}")
        expected = source_sizes(f"Sources of layer {index}", sources, sizes)
        for source, synapses, size in zip(sources, layer.synapses, expected, strict=True):
            if synapses.n_input != size:
                neurons = "input" if source.layer == INPUT else f"neuron of layer {source.layer}"
                raise ValueError(f"Layer {index} must have {size} inputs, one for each {neurons}, "
                                 f"not {synapses.n_input}")

    def _check_output_layer(self) -> None:
        output = self.layers[-1]
        for name in ("thresholds", "initial_membranes"):
            values = np.unique(getattr(output, name))
            if len(values) > 1:
                raise ValueError(f"The output layer must share one value of its "
                                 f"{name.replace('_', ' ')}, not {values.tolist()}")
        if self.widths[-1].saturates:
            index = len(self.layers) - 1
            free = layer_widths(replace(output, membrane_width=None), self.timesteps,
                                self.schedule, self.scale(index),
                                is_direct=self._receives_intensities(index))
            raise ValueError(f"The output layer must not saturate, but its membranes reach "
                             f"{free.membrane} bits and membrane width is {output.membrane_width}")

    @cached_property
    def widths(self) -> tuple[LayerWidths, ...]:
        """Widths of each layer."""
        return tuple(layer_widths(layer, self.timesteps, self.schedule, self.scale(index),
                                  is_direct=self._receives_intensities(index))
                     for index, layer in enumerate(self.layers))

    def sources(self, index: int) -> tuple[Source, ...]:
        """Where the synapses of a layer begin, one for each."""
        return self.layers[index].sources or (Source(index - 1),)

    def scale(self, index: int) -> int:
        """Factor between a layer's parameters and what it computes with.

        A layer that receives intensities as a current, encoder direct, has membranes in units of
        1 / full scale: its bias, thresholds and initial membranes, and a spike of another layer
        that it receives, count `full_scale` times. Nothing is ever divided.
        """
        return self.full_scale if self._receives_intensities(index) else 1

    def _receives_intensities(self, index: int) -> bool:
        """Whether a layer receives them as a current."""
        return self.encoder == "direct" and any(
            source.layer == INPUT for source in self.sources(index))

    def neurons(self, index: int) -> Neurons:
        """What a layer computes with, in units of its membranes."""
        return self.layers[index].neurons(self.scale(index))

    @property
    def n_input(self) -> int:
        """Intensities of an image."""
        return self.layers[0].synapses[0].n_input

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
        output = self.neurons(len(self.layers) - 1)
        low, high = output.lowest + output.biases, output.highest + output.biases
        return signed_width(self.timesteps * int(low.min()), self.timesteps * int(high.max()))

    @property
    def lfsr_state(self) -> int:
        """State of the encoder's LFSR before the first draw of every image; never 0."""
        return self.seed * LFSR_SEED_FACTOR % 2**LFSR_WIDTH

    def intensities(self, images: npt.ArrayLike) -> IntegerArray:
        """Quantize images in [0, 1] to intensities: floor(x · (2^w − 1) + 0.5).

        Parameters
        ----------
        images : (n_input,) or (batch, …) reals in [0, 1]
            Each image of the batch has n_input values, in any shape.

        Returns
        -------
        (n_input,) or (batch, n_input) int64

        Raises
        ------
        TypeError, ValueError
            If a value is not a number in [0, 1], or the shape is wrong.
        """
        array = np.asarray(images)
        if array.dtype.kind not in "fiub":
            raise TypeError(f"Images must be real numbers, not {array.dtype}")
        array = self._flattened("Images", array).astype(np.float64)
        _refuse("Images must be in [0, 1]", array, ~((array >= 0) & (array <= 1)))
        return np.floor(array * self.full_scale + 0.5).astype(np.int64)

    def check_inputs(self, inputs: npt.ArrayLike) -> IntegerArray:
        """Return what the network runs on as int64, with a batch axis if and only if it came so.

        Parameters
        ----------
        inputs : (n_input,) or (batch, …) integers in [0, 2^intensity_width − 1]
            Intensities. With the encoder events, spikes: (timesteps, n_input) or (batch, timesteps,
            n_input), bools or integers in [0, 1].

        Raises
        ------
        TypeError, ValueError
            If a value is not an integer in range, or the shape is wrong.
        """
        array = np.asarray(inputs)
        events = self.encoder == "events"
        if array.dtype.kind not in ("iub" if events else "iu"):
            raise TypeError(
                f"Spikes must be bools or integers, not {array.dtype}" if events else
                f"Intensities must be integers, not {array.dtype}; "
                "IntegerNetwork.intensities() makes them from images in [0, 1]")
        if not events:
            array = self._flattened("Intensities", array)
        elif array.ndim not in (2, 3) or array.shape[-2:] != (self.timesteps, self.n_input):
            raise ValueError(f"Spikes must have shape ({self.timesteps}, {self.n_input}) or "
                             f"(batch, {self.timesteps}, {self.n_input}), not {array.shape}")
        limit = 1 if events else self.full_scale
        _refuse(f"{'Spikes' if events else 'Intensities'} must be in range({limit + 1})",
                array, (array < 0) | (array > limit),
                ("image", "timestep", "input") if events else ("image", "input"))
        return array.astype(np.int64)

    def check_batch(self, inputs: npt.ArrayLike) -> tuple[IntegerArray, bool]:
        """Return inputs as `check_inputs` does but always as a batch; and whether it was one."""
        array = self.check_inputs(inputs)
        is_batch = array.ndim == (3 if self.encoder == "events" else 2)
        return (array if is_batch else array[None]), is_batch

    def _flattened(self, name: str, array: npt.NDArray[Any]) -> npt.NDArray[Any]:
        size = array.shape if array.ndim < 2 else (int(np.prod(array.shape[1:])),)
        if size != (self.n_input,):
            raise ValueError(f"{name} must have shape ({self.n_input},) or "
                             f"(batch, {self.n_input}), not {array.shape}")
        return array if array.ndim == 1 else array.reshape(len(array), self.n_input)


def _refuse(rule: str, array: npt.NDArray[Any], wrong: npt.NDArray[np.bool_],
            axes: tuple[str, ...] = ("image", "input")) -> None:
    """Raise ValueError about the first value that is wrong, if there is one."""
    places = np.argwhere(wrong)
    if len(places):
        place = tuple(int(i) for i in places[0])
        text = ", ".join(f"{axis} {i}" for axis, i in zip(axes[-len(place):], place, strict=True))
        raise ValueError(f"{rule}, but {text} is {array[place]}")
