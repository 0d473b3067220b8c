"""A layer of an integer network: synapses from earlier layers, and the neurons they reach."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from .synapses import Convolution, Dense, Source, Synapses

IntegerArray = npt.NDArray[np.int64]
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
class Neurons:
    """What the neurons of a layer compute with, each array (n_output,), in units of the membrane.

    ``lowest`` and ``highest`` are the extreme sums of weights over all inputs, one timestep's.
    """

    lowest: IntegerArray
    highest: IntegerArray
    biases: IntegerArray
    thresholds: IntegerArray
    initial_membranes: IntegerArray


@dataclass(frozen=True, eq=False)
class IntegerLayer:
    """One layer of integrate-and-fire neurons, in integers.

    Parameters
    ----------
    synapses : Dense, Convolution, (n_output, n_input) integers for Dense, or a sequence of these
        One for each source. The weights are two's complement of ``weight_width`` bits.
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
    sources : sequence of Source, optional
        Where the synapses begin, one for each. By default all the spikes of the layer before, or
        the input.

    Raises
    ------
    TypeError, ValueError
        If an array has the wrong kind, shape or range.
    """

    synapses: tuple[Synapses, ...]
    biases: IntegerArray
    thresholds: IntegerArray
    initial_membranes: IntegerArray
    weight_width: int = 8
    membrane_width: int | None = None
    sources: tuple[Source, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "weight_width",
                           check_integer("Weight width", self.weight_width, 2, 16))
        if self.membrane_width is not None:
            object.__setattr__(self, "membrane_width",
                               check_integer("Membrane width", self.membrane_width, 2, 48))
        object.__setattr__(self, "synapses", integer_synapses(self.synapses))
        self._check_synapses()
        for name in ("biases", "thresholds", "initial_membranes"):
            label = name.replace("_", " ").capitalize()
            array = _frozen_integers(label, getattr(self, name), 1)
            if array.shape != (self.n_output,):
                raise ValueError(f"{label} must have shape ({self.n_output},), one for each "
                                 f"neuron, not {array.shape}")
            object.__setattr__(self, name, array)
        half = 2 ** (self.weight_width - 1)
        for one in self.synapses:
            self._check_range("Weight", one.rows, -half, half - 1)
        self._check_range("Bias", self.biases, -MAXIMUM_PARAMETER, MAXIMUM_PARAMETER)
        self._check_range("Threshold", self.thresholds, 1, MAXIMUM_PARAMETER)
        self._check_range("Initial membrane", self.initial_membranes, 0, self.thresholds - 1)
        if self.membrane_width is not None:
            self._check_range(f"Initial membrane in {self.membrane_width} bits",
                              self.initial_membranes, 0, 2 ** (self.membrane_width - 1) - 1)
        if self.n_input > MAXIMUM_FAN_IN or self.n_output > MAXIMUM_FAN_IN:
            raise ValueError(f"A layer must have at most {MAXIMUM_FAN_IN} inputs and neurons, "
                             f"not {self.n_input} and {self.n_output}")

    def _check_synapses(self) -> None:
        shapes = {(one.n_output, one.positions) for one in self.synapses}
        if len(shapes) > 1:
            raise ValueError("The synapses of a layer must reach the same neurons, not "
                             + " and ".join(f"{n} in channels of {positions}"
                                            for n, positions in sorted(shapes)))
        if self.sources is None:
            if len(self.synapses) > 1:
                raise ValueError(f"Sources must be given for {len(self.synapses)} synapses")
            return
        sources = tuple(self.sources)
        object.__setattr__(self, "sources", sources)
        if len(sources) != len(self.synapses):
            raise ValueError(f"Sources must be {len(self.synapses)}, one for each synapses, "
                             f"not {len(sources)}")
        for source in sources:
            if not isinstance(source, Source):
                raise TypeError(f"Sources must be Source objects, not {source!r}")

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
        """Inputs of the layer, those of all of its synapses one after another."""
        return sum(one.n_input for one in self.synapses)

    @property
    def n_output(self) -> int:
        """Neurons of the layer."""
        return self.synapses[0].n_output

    @cached_property
    def weights(self) -> IntegerArray:
        """(n_output, n_input) weights of all synapses, 0 where a convolution has none."""
        weights = np.concatenate([one.matrix() for one in self.synapses], axis=1)
        weights.flags.writeable = False
        return weights

    def neurons(self, scale: int = 1) -> Neurons:
        """Parameters of the neurons and the range of their drive, all ``scale`` times as large."""
        lowest, highest = (
            sum(one.with_rows(bound(one.rows, 0)).apply(np.ones((1, one.n_input), np.int64))[0]
                for one in self.synapses) * scale for bound in (np.minimum, np.maximum))
        return Neurons(lowest, highest, self.biases * scale, self.thresholds * scale,
                       self.initial_membranes * scale)


def integer_synapses(values: Any) -> tuple[Synapses, ...]:
    """Make synapses with read-only int64 weights of what `IntegerLayer` takes."""
    several = isinstance(values, Sequence) and len(values) and all(
        isinstance(one, Dense | Convolution) for one in values)
    frozen: list[Synapses] = []
    for one in values if several else [values]:
        if isinstance(one, Convolution):
            frozen.append(one.with_rows(_frozen_integers("Weights", one.rows, 2)))
        else:
            weights = one.weights if isinstance(one, Dense) else one
            frozen.append(Dense(_frozen_integers("Weights", weights, 2)))
    return tuple(frozen)
