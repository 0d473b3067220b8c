"""Images that stop as soon as their class is clear, and how many timesteps they took."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..network import IntegerArray, IntegerNetwork, check_integer
from .encoding import Images
from .running import Progress, Runner, currents


@dataclass(frozen=True, eq=False)
class EarlyExit:
    """Classes, and timesteps after which they were clear: (batch,) int64, or () for one image."""

    predicted: IntegerArray
    timesteps: IntegerArray

    @property
    def mean_timesteps(self) -> float:
        """Timesteps that an image took, on average."""
        return float(np.mean(self.timesteps))


def run_early_exit(network: IntegerNetwork, inputs: npt.ArrayLike, margin: float,
                   minimum_timesteps: int = 1, progress: Progress | None = None, *,
                   engine: str = "auto", device: str | None = None, threads: int | None = None
                   ) -> EarlyExit:
    """Stop each image when one output neuron has received clearly more than all others.

    After a timestep t ≥ ``minimum_timesteps`` the image is done if the largest of the currents that
    the output neurons have received so far is at least ``margin`` thresholds above the second
    largest. Currents add up evidence, so this is a sequential probability ratio test (A. Wald,
    1945); confidence decides in the same way in SEENN (Y. Li et al., NeurIPS 2023). The class is
    that of the largest current, of equal ones the first; after all timesteps it is that of `run`.

    Parameters
    ----------
    margin : real number, at least 0
        In thresholds of the output layer. The larger, the later and surer.
    minimum_timesteps : int in [1, timesteps]
    inputs, progress, engine, device, threads
        As for `run`.

    Raises
    ------
    MissingExtraError
        If a package is not installed that the engine or the device needs.
    TypeError, ValueError
        If a parameter is out of range, the inputs do not fit the network, or its schedule is not
        pipelined.
    """
    _check_margin(margin)
    minimum = check_integer("Minimum timesteps", minimum_timesteps, 1, network.timesteps)
    if network.schedule != "pipelined":
        raise ValueError(f"Schedule must be pipelined for an early exit, not {network.schedule}")
    runner = Runner(network, engine, device, threads)
    images, is_batch = runner.batch(inputs)
    predicted, timesteps = np.zeros((2, len(images)), dtype=np.int64)
    enough = margin * int(network.neurons(len(network.layers) - 1).thresholds[0])

    def work(part: slice, chunk: Images) -> None:
        for timestep, state in enumerate(runner.engine.simulate(chunk, every=True), 1):
            received = currents(network, state)
            clear = (timestep >= minimum) & (_lead(received) >= enough)
            done = (timesteps[part] == 0) & (clear | (timestep == network.timesteps))
            predicted[part][done] = received.argmax(axis=1)[done]
            timesteps[part][done] = timestep
            if timesteps[part].all():
                break

    runner.each_chunk(images, work, progress)
    return EarlyExit(*(array if is_batch else array[0] for array in (predicted, timesteps)))


def _check_margin(margin: float) -> None:
    if isinstance(margin, bool) or not isinstance(margin, int | float | np.integer | np.floating):
        raise TypeError(f"Margin must be a real number, not {margin!r}")
    if not margin >= 0:
        raise ValueError(f"Margin must be at least 0, not {margin}")


def _lead(received: IntegerArray) -> npt.NDArray[np.float64]:
    """How far the largest current is above the second, (batch,); infinitely if it is alone."""
    if received.shape[1] == 1:
        return np.full(len(received), np.inf)
    second, first = np.partition(received, -2, axis=1)[:, -2:].T
    return (first - second).astype(np.float64)
