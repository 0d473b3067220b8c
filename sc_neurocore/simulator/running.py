"""Data sets through a network: which engine, in what chunks, on how many threads."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..extras import MissingExtraError, require
from ..network import IntegerArray, IntegerNetwork, check_integer
from ..results import Result
from .encoding import Images
from .products import Products, State

ENGINES = ("auto", "events", "products")
MAXIMUM_THREADS = 1024
EVENTS_WIDTH = 32
"""Bits of the widest accumulator that the engine events has: its membranes are int32."""

Progress = Callable[[int, int], None]


class Engine(Protocol):
    """What runs a chunk of images; ``chunk`` is how many of them at most."""

    chunk: int

    def simulate(self, images: Images, every: bool = False) -> Iterator[State]:
        """Yield the state of the output neurons after the last timestep, or after every one."""


@dataclass(frozen=True)
class EngineReport:
    """The engine that runs a network, "events" or "products", and why that one."""

    engine: str
    reason: str

    def __str__(self) -> str:
        return f"{self.engine}: {self.reason}"


def engine_report(network: IntegerNetwork, engine: str = "auto", device: str | None = None
                  ) -> EngineReport:
    """Say which engine `run` takes, given the same ``engine`` and ``device``.

    Raises
    ------
    MissingExtraError
        If a package is not installed that the engine asked for needs.
    ValueError
        If the engine asked for can't run the network there.
    """
    if engine not in ENGINES:
        raise ValueError(f"Engine must be one of {', '.join(ENGINES)}, not {engine!r}")
    reason = "asked for" if engine == "products" else _obstacle(network, device)
    if engine == "events" and reason is not None:
        raise ValueError(f"Engine must be products, not events: {reason}")
    if reason is None:
        try:
            numba = require("numba", "fast")
            return EngineReport("events",
                                f"driven by spikes, compiled by numba {numba.__version__}")
        except MissingExtraError as error:
            if engine == "events":
                raise
            reason = str(error)
    return EngineReport("products", reason)


def _obstacle(network: IntegerNetwork, device: str | None) -> str | None:
    """Why the engine events can't run a network, or should not, if there is a reason."""
    if device is not None:
        return f"torch computes, on the device {device}"
    if network.schedule == "layer_by_layer":
        return "under the schedule layer_by_layer a layer is one product"
    for index, widths in enumerate(network.widths):
        if widths.accumulator > EVENTS_WIDTH:
            return (f"the accumulators of layer {index} have {widths.accumulator} bits, "
                    f"which is more than {EVENTS_WIDTH}")
    return None


class Runner:
    """Takes images in chunks through the engine that suits a network.

    Parameters are those of `run`.
    """

    def __init__(self, network: IntegerNetwork, engine: str, device: str | None,
                 threads: int | None) -> None:
        self.network = network
        self.in_parallel = engine_report(network, engine, device).engine == "events"
        if threads is not None:
            threads = check_integer("Threads", threads, 1, MAXIMUM_THREADS)
            if device is not None:
                raise ValueError("Threads must not be given with a device: "
                                 "torch.set_num_threads() is for these")
        self.threads = threads
        self.engine: Engine
        if self.in_parallel:
            from .events import events
            self.engine = events(network)
        else:
            self.engine = Products(network, device)

    def batch(self, inputs: npt.ArrayLike) -> tuple[npt.NDArray[Any], bool]:
        """Return inputs as a batch, their kind and shape checked; and whether they were one."""
        array = np.asarray(inputs)
        if array.ndim < (3 if self.network.encoder == "events" else 2) or not len(array):
            return self.network.check_batch(array)
        self.network.check_inputs(array[:1])
        return (array if self.network.encoder == "events" else array.reshape(len(array), -1)), True

    def each_chunk(self, images: npt.NDArray[Any], work: Callable[[slice, Images], None],
                   progress: Progress | None) -> None:
        """Call ``work`` with the place and the images of each chunk, in several threads maybe."""
        workers = self._workers()
        # As many for every worker, and of one size: none is left with the last of them alone
        n_parts = -(-len(images) // (self.engine.chunk * workers)) * workers
        size = max(1, -(-len(images) // max(1, n_parts)))
        parts = [slice(start, min(start + size, len(images)))
                 for start in range(0, len(images), size)]

        def check_and_work(part: slice) -> int:
            work(part, self._checked(images, part))
            return part.stop

        with self._blas_threads(), ThreadPoolExecutor(workers) as pool:
            for done in (pool.map if self.in_parallel else map)(check_and_work, parts):
                if progress is not None:
                    progress(done, len(images))

    def _checked(self, images: npt.NDArray[Any], part: slice) -> Images:
        chunk = images[part]
        limit = 1 if self.network.encoder == "events" else self.network.full_scale
        if chunk.min() < 0 or chunk.max() > limit:
            self.network.check_inputs(images)   # says which of all images is wrong
        return chunk.astype(bool if self.network.encoder == "events" else np.int32)

    def _workers(self) -> int:
        if not self.in_parallel:
            return 1
        if self.threads is not None:
            return self.threads
        affinity = getattr(os, "sched_getaffinity", None)
        return len(affinity(0)) if affinity else os.cpu_count() or 1

    def _blas_threads(self) -> AbstractContextManager[Any]:
        """Keep BLAS from starting threads beside those that there already are."""
        threads = self.threads
        if self.in_parallel:
            threads = 1 if self.network.encoder == "direct" else None
        return nullcontext() if threads is None else _controller().limit(
            limits=threads, user_api="blas")


@cache
def _controller() -> Any:
    return require("threadpoolctl", "fast").ThreadpoolController()


def currents(network: IntegerNetwork, state: State) -> IntegerArray:
    """Whole currents that the output neurons have received: threshold · count + what remains."""
    counts, membranes = state
    output = network.neurons(len(network.layers) - 1)
    return output.thresholds * counts + membranes - output.initial_membranes


def run(network: IntegerNetwork, inputs: npt.ArrayLike, progress: Progress | None = None, *,
        engine: str = "auto", device: str | None = None, threads: int | None = None) -> Result:
    """Run images through the network: the integers of `sc_neurocore.golden.run`.

    Parameters
    ----------
    inputs : (n_input,) or (batch, …) integers in [0, 2^intensity_width − 1]
        Intensities, see `IntegerNetwork.intensities`; with the encoder events spikes, (timesteps,
        n_input) or (batch, timesteps, n_input).
    progress : callable, optional
        Called with the number of images done and of all images after each chunk.
    engine : "auto", "events" or "products"
        See `engine_report`.
    device : str, optional
        Device of torch, such as "cuda", which then computes the products.
    threads : int in [1, 1024], optional
        Of the engine; by default those that the process may use.

    Returns
    -------
    Result
        Its arrays have a batch axis if ``inputs`` has one.

    Raises
    ------
    MissingExtraError
        If a package is not installed that the engine or the device needs.
    TypeError, ValueError
        If the inputs do not fit the network, or the engine can't run it.
    """
    runner = Runner(network, engine, device, threads)
    images, is_batch = runner.batch(inputs)
    states = np.empty((2, len(images), network.n_output), dtype=np.int64)

    def work(part: slice, chunk: Images) -> None:
        for states[:, part] in runner.engine.simulate(chunk):
            pass

    runner.each_chunk(images, work, progress)
    received = currents(network, (states[0], states[1]))
    arrays = (*states, received, received.argmax(axis=-1))
    return Result(*(array if is_batch else array[0] for array in arrays))


def accuracy(network: IntegerNetwork, intensities: npt.ArrayLike, labels: npt.ArrayLike,
             seeds: Sequence[int] | None = None, **options: Any
             ) -> float | npt.NDArray[np.float64]:
    """Fraction of the images that the network classifies as labelled.

    Parameters
    ----------
    intensities : (batch, …)
        A batch of inputs, as for `run`.
    labels : (batch,) integers in [0, n_output − 1]
    seeds : sequence of int in [1, 2^32 − 1], optional
        Seeds of the encoder to use in place of the network's.
    options
        Keywords of `run`.

    Returns
    -------
    float or (len(seeds),) float64
        In [0, 1]; one for each seed if there are ``seeds``.

    Raises
    ------
    TypeError, ValueError
        If the images or labels do not fit the network or each other, or a seed is out of range.
    """
    images, classes = np.asarray(intensities), np.asarray(labels)
    if images.ndim < (3 if network.encoder == "events" else 2) or not len(images):
        network.check_inputs(images)
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
    fractions = np.array([np.mean(run(each, images, **options).predicted == classes)
                          for each in networks])
    return float(fractions[0]) if seeds is None else fractions
