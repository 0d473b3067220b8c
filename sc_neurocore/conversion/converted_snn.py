"""The spiking network that conversion makes: integrate-and-fire layers in floats, numpy alone."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

TOLERANCE = 1e-9
"""Fraction of the threshold by which a membrane may miss it and still spike; see `ConvertedSNN`."""

_CHUNK_VALUES = 2**20
"""Values of the widest layer that are simulated at a time, so 8 MB an array."""


def check_at_least(name: str, value: Any, low: int) -> int:
    """Return ``value`` as an int of at least ``low``, or say what is wrong with it.

    Raises
    ------
    TypeError
        If it is not an integer (a bool is not one).
    ValueError
        If it is less than ``low``.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} must be an integer, not {value!r}")
    if value < low:
        raise ValueError(f"{name} must be at least {low}, not {value}")
    return int(value)


def check_real(name: str, value: Any) -> float:
    """Return ``value`` as a float; TypeError if it is not a real number (a bool is not one)."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a real number, not {value!r}")
    return float(value)


def real_array(name: str, values: Any, kinds: str = "fiub") -> FloatArray:
    """Copy ``values`` to a float64 array; TypeError unless they are an array of real numbers."""
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"{name} must be an array of real numbers: {error}") from error
    if array.dtype.kind not in kinds:
        found = type(values).__name__ if array.dtype.kind == "O" else array.dtype
        raise TypeError(f"{name} must be an array of real numbers, not {found}")
    return array.astype(np.float64)


def unit_array(name: str, values: Any) -> FloatArray:
    """Copy ``values`` to a float64 array, all in [0, 1]; TypeError or ValueError if they aren't."""
    array = real_array(name, values)
    _refuse(name, array, ~((array >= 0) & (array <= 1)), "in [0, 1]")
    return array


def _refuse(name: str, array: FloatArray, wrong: npt.NDArray[np.bool_], rule: str) -> None:
    """Raise ValueError about the first value that is wrong, if there is one."""
    if wrong.any():
        place = np.unravel_index(int(np.argmax(wrong)), array.shape)
        index = f"[{', '.join(str(i) for i in place)}]" if place else ""
        raise ValueError(f"{name}{index} must be {rule}, not {array[place]}")


@dataclass(eq=False, repr=False)
class ConvertedSNN:
    """A rate-coded network of integrate-and-fire neurons with reset by subtraction.

    In every timestep, layer by layer::

        integrated = membrane + W · spikes + b
        spike      = integrated >= threshold
        membrane   = integrated − threshold · spike

    starting from membrane = initial_membrane_fraction · threshold. The bias is a current for each
    timestep: it is added whole, T times. Hence, over T timesteps,

        threshold · count + final membrane − initial membrane = W · input counts + T · b

    (Rueckauer et al. 2017, eq. 7). The right side, which is all the current that a neuron received,
    is what `run` works with: membranes are derived from integer counts and never summed up, so the
    rounding error doesn't grow with the timesteps. What error remains, and differs with the order
    in which a matrix product adds, is kept from deciding about a spike by `TOLERANCE`: a membrane
    that reaches the threshold but for a fraction of 1e-9 spikes. So ten timesteps of b = 0.1 make
    one spike at threshold 1, as they should; repeated addition gets to 0.9999999999999999.

    Parameters
    ----------
    weights : sequence of (n_out, n_in) arrays
        One a layer; copied to float64.
    biases : sequence of (n_out,) arrays or None
        Current for each timestep; None where a layer has none.
    thresholds : sequence of float or (n_out,) array
        Greater than 0.
    T : int
        Timesteps, at least 1.
    initial_membrane_fraction : float in [0, 1)
        Membrane at the start of every image, in thresholds. 0.5 makes a neuron round where 0 makes
        it floor (Bu et al. 2022).

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong kind, shape or range, is NaN or infinite, or if the layers do
        not fit each other.

    References
    ----------
    Rueckauer et al. 2017, "Conversion of continuous-valued deep networks to efficient event-driven
    networks for image classification", Frontiers in Neuroscience 11:682.
    Bu et al. 2022, "Optimal ANN-SNN conversion for high-accuracy and ultra-low-latency spiking
    neural networks", ICLR.
    """

    weights: list[FloatArray]
    biases: list[FloatArray | None]
    thresholds: list[float | FloatArray]
    T: int = 16
    initial_membrane_fraction: float = 0.0

    def __post_init__(self) -> None:
        for name in ("weights", "biases", "thresholds"):
            values = getattr(self, name)
            if not isinstance(values, Sequence | np.ndarray) or isinstance(values, str | bytes):
                raise TypeError(f"{name} must be a list with one entry a layer, not {values!r}")
            if len(self.weights) == 0:
                raise ValueError("weights must have at least one layer, not 0")
            if len(values) != len(self.weights):
                raise ValueError(f"{name} must have {len(self.weights)} entries, as many as "
                                 f"weights, not {len(values)}")
        self.weights = [_weights(i, values) for i, values in enumerate(self.weights)]
        for i, (before, after) in enumerate(pairwise(self.weights), 1):
            if after.shape[1] != before.shape[0]:
                raise ValueError(f"weights[{i}] must have {before.shape[0]} columns, one for each "
                                 f"neuron of layer {i - 1}, not {after.shape[1]}")
        self.biases = [None if values is None else _vector(f"biases[{i}]", values, len(w))
                       for i, (values, w) in enumerate(zip(self.biases, self.weights, strict=True))]
        self.thresholds = [_threshold(f"thresholds[{i}]", values, len(w)) for i, (values, w)
                           in enumerate(zip(self.thresholds, self.weights, strict=True))]
        self.T = check_at_least("T", self.T, 1)
        fraction = check_real("initial_membrane_fraction", self.initial_membrane_fraction)
        if not 0 <= fraction < 1:
            raise ValueError(f"initial_membrane_fraction must be in [0, 1), not {fraction}")
        self.initial_membrane_fraction = fraction

    def __repr__(self) -> str:
        return (f"ConvertedSNN({'-'.join(str(n) for n in self.shape)}, T={self.T}, "
                f"initial_membrane_fraction={self.initial_membrane_fraction})")

    @property
    def n_layers(self) -> int:
        """Layers of neurons; the input is not one."""
        return len(self.weights)

    @property
    def shape(self) -> tuple[int, ...]:
        """Inputs and neurons a layer, as in 784-128-10."""
        return (self.weights[0].shape[1], *(len(w) for w in self.weights))

    def run(self, x: npt.ArrayLike, seed: int | None = None) -> FloatArray:
        """Count the output layer's spikes over T timesteps.

        The input is coded as Bernoulli spike trains: in timestep t input j spikes if
        r[t, j] < x[j], with r uniform on [0, 1) from ``numpy.random.default_rng(seed)``, so that
        0 never fires and 1 always does. All images share r: an image's result does not depend on
        what else is in the batch.

        Parameters
        ----------
        x : (n_input,) or (batch, n_input) reals in [0, 1]
        seed : int >= 0, optional
            The same seed gives the same result. By default the draws are fresh in every call.

        Returns
        -------
        (n_output,) or (batch, n_output) float64
            Spike counts, whole numbers in [0, T].

        Raises
        ------
        TypeError, ValueError
            If x is not an array of real numbers in [0, 1] (NaN is not), or has the wrong shape.
        """
        images = self._images(x)
        counts, _ = self._simulate(np.atleast_2d(images), seed)
        return counts if images.ndim == 2 else counts[0]

    def classify(self, x: npt.ArrayLike, seed: int | None = None
                 ) -> np.int64 | npt.NDArray[np.int64]:
        """Predict classes: the output neuron that received most current.

        That is the argmax of threshold · count + final membrane − initial membrane, which separates
        neurons of equal counts. What is still equal (to `TOLERANCE` thresholds) goes to the lowest
        index.

        Parameters
        ----------
        x, seed
            As for `run`; so are the errors.

        Returns
        -------
        int64, or (batch,) int64
            Class indices, in range(n_output).
        """
        images = self._images(x)
        _, currents = self._simulate(np.atleast_2d(images), seed)
        margin = TOLERANCE * np.min(self.thresholds[-1])
        classes = np.argmax(currents >= currents.max(axis=1, keepdims=True) - margin, axis=1)
        return classes if images.ndim == 2 else classes[0]

    def _images(self, x: npt.ArrayLike) -> FloatArray:
        images = unit_array("x", x)
        n_input = self.shape[0]
        if images.ndim not in (1, 2) or images.shape[-1] != n_input:
            raise ValueError(f"x must have shape ({n_input},) or (batch, {n_input}), "
                             f"not {images.shape}")
        return images

    def _simulate(self, images: FloatArray, seed: int | None) -> tuple[FloatArray, FloatArray]:
        """Counts and whole currents of the output layer, each (batch, n_output)."""
        sequence = np.random.SeedSequence(None if seed is None else check_at_least("seed", seed, 0))
        size = max(1, _CHUNK_VALUES // max(self.shape))
        chunks = [self._simulate_chunk(images[start:start + size], np.random.default_rng(sequence))
                  for start in range(0, max(1, len(images)), size)]
        counts, currents = zip(*chunks, strict=True)
        return np.concatenate(counts), np.concatenate(currents)

    def _simulate_chunk(self, images: FloatArray, rng: np.random.Generator
                        ) -> tuple[FloatArray, FloatArray]:
        layers = list(zip(self.weights, self.biases, self.thresholds, strict=True))
        input_counts = np.zeros_like(images)
        layer_counts = [np.zeros((len(images), len(w))) for w in self.weights]
        for timestep in range(1, self.T + 1):
            input_counts += rng.random(images.shape[1]) < images
            counts = input_counts
            for (weights, bias, threshold), fired in zip(layers, layer_counts, strict=True):
                current = counts @ weights.T
                if bias is not None:
                    current += timestep * bias
                initial = self.initial_membrane_fraction * threshold
                integrated = initial + current - threshold * fired
                fired += integrated >= threshold * (1 - TOLERANCE)
                counts = fired
        return counts, current


def _weights(layer: int, values: Any) -> FloatArray:
    name = f"weights[{layer}]"
    array = real_array(name, values, "fiu")
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"{name} must have shape (n_out, n_in), both at least 1, "
                         f"not {array.shape}")
    _refuse(name, array, ~np.isfinite(array), "finite")
    return array


def _vector(name: str, values: Any, size: int) -> FloatArray:
    array = real_array(name, values, "fiu")
    if array.shape != (size,):
        raise ValueError(f"{name} must have shape ({size},), one for each neuron, "
                         f"not {array.shape}")
    _refuse(name, array, ~np.isfinite(array), "finite")
    return array


def _threshold(name: str, values: Any, size: int) -> float | FloatArray:
    array = real_array(name, values, "fiu")
    if array.ndim:
        array = _vector(name, array, size)
    _refuse(name, array, ~((array > 0) & (array < np.inf)), "greater than 0 and finite")
    return array if array.ndim else float(array)
