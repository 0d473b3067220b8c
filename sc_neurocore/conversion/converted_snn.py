"""The spiking network that conversion makes: integrate-and-fire layers in floats, numpy alone."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sc_neurocore.conversion.checks import (
    FloatArray,
    check_at_least,
    check_real,
    real_array,
    refuse,
    unit_array,
)
from sc_neurocore.network import SCHEDULES
from sc_neurocore.synapses import INPUT, Convolution, Dense, Source, Synapses, source_sizes

__all__ = ["TOLERANCE", "Activity", "ConvertedSNN", "FloatArray", "check_at_least", "check_real",
           "real_array", "unit_array"]

TOLERANCE = 1e-9
"""Fraction of the threshold by which a membrane may miss it and still spike; see `ConvertedSNN`."""

MAXIMUM_T = 2**15
"""Timesteps, eight times those of an integer network: all are simulated, so a file that asks for
2^62 would never be done with."""

ENCODERS = ("poisson", "low_discrepancy", "direct", "events")

_CHUNK_VALUES = 2**20
"""Values of the widest layer that are simulated at a time, so 8 MB an array."""

Weights = FloatArray | Convolution | tuple[Synapses, ...]


@dataclass(frozen=True, eq=False)
class Activity:
    """What happened in a run, every array (batch, …).

    ``inputs``: (batch, n_input) what was put in over all timesteps, spikes or current. ``counts``:
    one (batch, n_output) a layer, spikes. ``currents``: likewise, the whole current received.
    """

    inputs: FloatArray
    counts: list[FloatArray]
    currents: list[FloatArray]


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

    Under the schedule layer_by_layer a layer first takes in all timesteps' input and then fires
    min(⌊membrane / threshold⌋, T) times, if that is positive: the order in which spikes arrive
    makes no difference then, and with T timesteps and half a threshold to begin with the count is
    the QCFS activation (Bu et al. 2022).

    Parameters
    ----------
    weights : sequence of (n_out, n_in) arrays, Convolution, or tuples of Dense and Convolution
        One a layer, copied to float64; a tuple has one for each source.
    biases : sequence of (n_out,) arrays or None
        Current for each timestep; None where a layer has none.
    thresholds : sequence of float or (n_out,) array
        Greater than 0.
    T : int
        Timesteps, 1 to `MAXIMUM_T`.
    initial_membrane_fraction : float in [0, 1)
        Membrane at the start of every image, in thresholds. 0.5 makes a neuron round where 0 makes
        it floor (Bu et al. 2022).
    schedule : "pipelined" or "layer_by_layer"
        Layers take one timestep's spikes at a time, or all timesteps' before they first spike.
    sources : sequence of (sequence of Source, or None), optional
        Where the synapses of each layer begin; None is the layer before, or the input.
    scales : sequence of float or (n_out,) array, optional
        Greater than 0, one a layer: the activation of the trained network that a rate of 1 stands
        for; in the output layer the logit that a current of one threshold a timestep stands for.
        They explain the network, and change nothing that it does.

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

    weights: list[Weights]
    biases: list[FloatArray | None]
    thresholds: list[float | FloatArray]
    T: int = 16
    initial_membrane_fraction: float = 0.0
    schedule: str = "pipelined"
    sources: list[tuple[Source, ...] | None] | None = None
    scales: list[float | FloatArray] | None = None

    def __post_init__(self) -> None:
        n_layers = self._check_lengths()
        self.weights = [_weights(i, values) for i, values in enumerate(self.weights)]
        if self.schedule not in SCHEDULES:
            raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, "
                             f"not {self.schedule!r}")
        sources = self.sources or [None] * n_layers
        self.sources = [None if some is None else tuple(some) for some in sources]
        sizes = [synapses[0].n_output for synapses in map(self.synapses, range(n_layers))]
        for i in range(n_layers):
            self._check_layer(i, sizes)
        self.biases = [None if values is None else _vector(f"biases[{i}]", values, size)
                       for i, (values, size) in enumerate(zip(self.biases, sizes, strict=True))]
        self.thresholds = _all_positive("thresholds", self.thresholds, sizes)
        if self.scales is not None:
            self.scales = _all_positive("scales", self.scales, sizes)
        self.T = check_at_least("T", self.T, 1)
        if self.T > MAXIMUM_T:
            raise ValueError(f"T must be at most {MAXIMUM_T}, not {self.T}")
        fraction = check_real("initial_membrane_fraction", self.initial_membrane_fraction)
        if not 0 <= fraction < 1:
            raise ValueError(f"initial_membrane_fraction must be in [0, 1), not {fraction}")
        self.initial_membrane_fraction = fraction

    def _check_lengths(self) -> int:
        for name in ("weights", "biases", "thresholds", "sources", "scales"):
            values = getattr(self, name)
            if values is None and name in ("sources", "scales"):
                continue
            if not isinstance(values, Sequence | np.ndarray) or isinstance(values, str | bytes):
                raise TypeError(f"{name} must be a list with one entry a layer, not {values!r}")
            if len(self.weights) == 0:
                raise ValueError("weights must have at least one layer, not 0")
            if len(values) != len(self.weights):
                raise ValueError(f"{name} must have {len(self.weights)} entries, as many as "
                                 f"weights, not {len(values)}")
        return len(self.weights)

    def _check_layer(self, i: int, sizes: list[int]) -> None:
        sources, synapses = self.layer_sources(i), self.synapses(i)
        if len(sources) != len(synapses):
            raise ValueError(f"sources[{i}] must have {len(synapses)} entries, one for each "
                             f"synapses of weights[{i}], not {len(sources)}")
        if any(source.max_pool for source in sources) and self.schedule != "layer_by_layer":
            raise ValueError(f"sources[{i}] has a max pool, which is exact under the schedule "
                             f"layer_by_layer alone, not {self.schedule}")
        expected = source_sizes(f"sources[{i}]", sources,
                                {INPUT: self.synapses(0)[0].n_input, **dict(enumerate(sizes[:i]))})
        for source, one, size in zip(sources, synapses, expected, strict=True):
            if one.n_input != size:
                neurons = "input" if source.layer == INPUT else f"neuron of layer {source.layer}"
                raise ValueError(f"weights[{i}] must have {size} columns, one for each {neurons}, "
                                 f"not {one.n_input}")

    def __repr__(self) -> str:
        return (f"ConvertedSNN({'-'.join(str(n) for n in self.shape)}, T={self.T}, "
                f"initial_membrane_fraction={self.initial_membrane_fraction}"
                + (f", schedule={self.schedule!r})" if self.schedule != "pipelined" else ")"))

    @property
    def n_layers(self) -> int:
        """Layers of neurons; the input is not one."""
        return len(self.weights)

    @property
    def shape(self) -> tuple[int, ...]:
        """Inputs and neurons a layer, as in 784-128-10."""
        return (self.synapses(0)[0].n_input,
                *(self.synapses(i)[0].n_output for i in range(self.n_layers)))

    def synapses(self, layer: int) -> tuple[Synapses, ...]:
        """Synapses of a layer, one for each of its sources."""
        weights = self.weights[layer]
        if isinstance(weights, tuple):
            return weights
        return (weights if isinstance(weights, Convolution) else Dense(weights),)

    def layer_sources(self, layer: int) -> tuple[Source, ...]:
        """Where the synapses of a layer begin, one for each."""
        given = self.sources[layer] if self.sources else None
        return (Source(layer - 1),) if given is None else given

    def run(self, x: npt.ArrayLike, seed: int | None = None, encoder: str = "poisson"
            ) -> FloatArray:
        """Count the output layer's spikes over T timesteps.

        How the input is coded:

        * ``poisson``: Bernoulli spike trains; in timestep t input j spikes if r[t, j] < x[j], with
          r uniform on [0, 1) from ``numpy.random.default_rng(seed)``, so that 0 never fires and 1
          always does. All images share r: an image's result does not depend on what else is in the
          batch.
        * ``low_discrepancy``: r[t, j] are the bits of t ⊕ j in reverse, log2 T of them, so that
          counts miss x · T by at most half a spike if T is a power of two.
        * ``direct``: x is a constant current, no spikes (Rueckauer et al. 2017, section 2.3).
        * ``events``: x is spike trains.

        Parameters
        ----------
        x : (n_input,) or (batch, …) reals in [0, 1]
            Each image of a batch has n_input values, in any shape. For ``events`` (T, n_input) or
            (batch, T, n_input).
        seed : int >= 0, optional
            The same seed gives the same result. By default the draws are fresh in every call.
        encoder : "poisson", "low_discrepancy", "direct" or "events"

        Returns
        -------
        (n_output,) or (batch, n_output) float64
            Spike counts, whole numbers in [0, T].

        Raises
        ------
        TypeError, ValueError
            If x is not an array of real numbers in [0, 1] (NaN is not), or has the wrong shape.
        """
        images, is_batch = self._images(x, encoder)
        counts = np.concatenate([part.counts[-1]
                                 for part in self._simulate(images, seed, encoder)])
        return counts if is_batch else counts[0]

    def classify(self, x: npt.ArrayLike, seed: int | None = None, encoder: str = "poisson"
                 ) -> np.int64 | npt.NDArray[np.int64]:
        """Predict classes: the output neuron that received most current.

        That is the argmax of threshold · count + final membrane − initial membrane, which separates
        neurons of equal counts. What is still equal (to `TOLERANCE` thresholds) goes to the lowest
        index.

        Parameters
        ----------
        x, seed, encoder
            As for `run`; so are the errors.

        Returns
        -------
        int64, or (batch,) int64
            Class indices, in range(n_output).
        """
        images, is_batch = self._images(x, encoder)
        currents = np.concatenate([part.currents[-1]
                                   for part in self._simulate(images, seed, encoder)])
        margin = TOLERANCE * np.min(self.thresholds[-1])
        classes = np.argmax(currents >= currents.max(axis=1, keepdims=True) - margin, axis=1)
        return classes if is_batch else classes[0]

    def activity(self, x: npt.ArrayLike, seed: int | None = None, encoder: str = "poisson"
                 ) -> Activity:
        """Run a batch and keep every layer's counts and currents; parameters as of `run`."""
        images, _ = self._images(x, encoder)
        parts = list(self._simulate(images, seed, encoder))
        return Activity(
            np.concatenate([part.inputs for part in parts]),
            [np.concatenate(arrays) for arrays in zip(*(part.counts for part in parts),
                                                      strict=True)],
            [np.concatenate(arrays) for arrays in zip(*(part.currents for part in parts),
                                                      strict=True)])

    def _images(self, x: npt.ArrayLike, encoder: str) -> tuple[FloatArray, bool]:
        """Return ``x`` as a batch, and whether it was one."""
        if encoder not in ENCODERS:
            raise ValueError(f"encoder must be one of {', '.join(ENCODERS)}, not {encoder!r}")
        images, n_input = unit_array("x", x), self.shape[0]
        if encoder == "events":
            if images.ndim not in (2, 3) or images.shape[-2:] != (self.T, n_input):
                raise ValueError(f"x must have shape ({self.T}, {n_input}) or (batch, {self.T}, "
                                 f"{n_input}), not {images.shape}")
            refuse("x", images, (images != 0) & (images != 1), "0 or 1")
            return images.reshape(-1, self.T, n_input), images.ndim == 3
        if (images.shape if images.ndim < 2 else (np.prod(images.shape[1:]),)) != (n_input,):
            raise ValueError(f"x must have shape ({n_input},) or (batch, {n_input}), "
                             f"not {images.shape}")
        return images.reshape(-1, n_input), images.ndim > 1

    def _simulate(self, images: FloatArray, seed: int | None, encoder: str) -> Iterator[Activity]:
        """Run the images chunk by chunk, at least one, with the same draws."""
        sequence = np.random.SeedSequence(None if seed is None else check_at_least("seed", seed, 0))
        widest = max(one.n_output * (one.rows.shape[1] if one.positions > 1 else 1)
                     for i in range(self.n_layers) for one in self.synapses(i))
        size = max(1, _CHUNK_VALUES // max(widest, *self.shape))
        for start in range(0, max(1, len(images)), size):
            part, rng = images[start:start + size], np.random.default_rng(sequence)
            yield (self._pipelined if self.schedule == "pipelined" else self._layer_by_layer)(
                self._inputs(part, rng, encoder), len(part))

    def _inputs(self, images: FloatArray, rng: np.random.Generator, encoder: str
                ) -> Iterator[FloatArray]:
        """What is put in, (batch, n_input), timestep after timestep."""
        for timestep in range(self.T):
            if encoder == "events":
                yield images[:, timestep]
            elif encoder == "direct":
                yield images
            elif encoder == "poisson":
                yield (rng.random(images.shape[1]) < images).astype(np.float64)
            else:
                yield (phases(timestep, self.T, images.shape[1]) < images).astype(np.float64)

    def _current(self, layer: int, inputs: FloatArray, counts: list[FloatArray], timesteps: int
                 ) -> FloatArray:
        """Whole current that a layer received over so many timesteps, (batch, n_output)."""
        current: Any = 0.0
        for source, synapses in zip(self.layer_sources(layer), self.synapses(layer), strict=True):
            values = inputs if source.layer == INPUT else counts[source.layer]
            current = current + synapses.apply(
                values if source.max_pool is None else source.max_pool.apply(values))
        bias = self.biases[layer]
        return current if bias is None else current + timesteps * bias

    def _pipelined(self, inputs: Iterator[FloatArray], batch: int) -> Activity:
        total = np.zeros((batch, self.shape[0]))
        counts = [np.zeros((batch, size)) for size in self.shape[1:]]
        currents = list(counts)
        for timestep, values in enumerate(inputs, 1):
            total = total + values
            for layer, (fired, threshold) in enumerate(zip(counts, self.thresholds, strict=True)):
                currents[layer] = self._current(layer, total, counts, timestep)
                initial = self.initial_membrane_fraction * threshold
                integrated = initial + currents[layer] - threshold * fired
                fired += integrated >= threshold * (1 - TOLERANCE)
        return Activity(total, counts, currents)

    def _layer_by_layer(self, inputs: Iterator[FloatArray], batch: int) -> Activity:
        total = sum(inputs, np.zeros((batch, self.shape[0])))
        counts: list[FloatArray] = []
        currents: list[FloatArray] = []
        for layer, threshold in enumerate(self.thresholds):
            currents.append(self._current(layer, total, counts, self.T))
            thresholds = currents[-1] / threshold + (self.initial_membrane_fraction + TOLERANCE)
            counts.append(np.clip(np.floor(thresholds), 0, self.T))
        return Activity(total, counts, currents)


def phases(timestep: int, timesteps: int, n_input: int) -> FloatArray:
    """Thresholds of low_discrepancy, (n_input,) in (0, 1): the bits of t ⊕ j in reverse."""
    width = (timesteps - 1).bit_length()
    mixed = (timestep ^ np.arange(n_input)) % 2**width
    reverse = sum((mixed >> bit & 1) << (width - 1 - bit) for bit in range(width))
    return np.broadcast_to((2 * reverse + 1) / 2 ** (width + 1), (n_input,))


def _weights(layer: int, values: Any) -> Weights:
    name = f"weights[{layer}]"
    if isinstance(values, tuple) and values and all(
            isinstance(one, Dense | Convolution) for one in values):
        synapses = tuple(one.with_rows(_finite(name, one.rows)) for one in values)
        reached = {(one.n_output, one.positions) for one in synapses}
        if len(reached) > 1:
            raise ValueError(f"{name} must reach the same neurons from every source, not "
                             + " and ".join(str(n) for n, _ in sorted(reached)))
        return synapses
    if isinstance(values, Convolution):
        return values.with_rows(_finite(name, values.rows))
    array = _finite(name, values.weights if isinstance(values, Dense) else values)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"{name} must have shape (n_out, n_in), both at least 1, "
                         f"not {array.shape}")
    return array


def _finite(name: str, values: Any) -> FloatArray:
    array = real_array(name, values, "fiu")
    refuse(name, array, ~np.isfinite(array), "finite")
    return array


def _vector(name: str, values: Any, size: int) -> FloatArray:
    array = _finite(name, values)
    if array.shape != (size,):
        raise ValueError(f"{name} must have shape ({size},), one for each neuron, "
                         f"not {array.shape}")
    return array


def _all_positive(name: str, values: Sequence[Any], sizes: list[int]) -> list[float | FloatArray]:
    return [_positive(f"{name}[{i}]", one, size)
            for i, (one, size) in enumerate(zip(values, sizes, strict=True))]


def _positive(name: str, values: Any, size: int) -> float | FloatArray:
    array = real_array(name, values, "fiu")
    if array.ndim:
        array = _vector(name, array, size)
    refuse(name, array, ~((array > 0) & (array < np.inf)), "greater than 0 and finite")
    return array if array.ndim else float(array)
