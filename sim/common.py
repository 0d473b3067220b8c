"""What the benches share: networks from the job, and an exchange over a component's two streams."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from sc_neurocore.cosim.streams import Part, Sink, Source, run_cycles
from sc_neurocore.network import IntegerLayer, IntegerNetwork

CACHE = Path(__file__).parents[1] / "build" / "simulations"
"""Compiled simulations, kept from run to run."""


def random_network(shape: Sequence[int], *, timesteps: int = 5, weight_width: int = 8,
                   intensity_width: int = 8, membrane_width: int | None = None,
                   biases: bool = True, seed: int = 0) -> IntegerNetwork:
    """A network whose neurons fire now and then, with extreme weights among the random ones."""
    random = np.random.default_rng(seed)
    half = 2 ** (weight_width - 1)
    layers = []
    for index, (n_input, n_output) in enumerate(pairwise(shape)):
        is_output = index == len(shape) - 2
        weights = random.integers(-half, half, (n_output, n_input))
        weights[random.random(weights.shape) < 0.1] = half - 1
        weights[random.random(weights.shape) < 0.1] = -half
        thresholds = random.integers(1, 2 * half + 2, n_output)
        if is_output:
            thresholds[:] = half
        limit = min(thresholds.max(), 2 ** (membrane_width - 1) if membrane_width else half * 4)
        layers.append(IntegerLayer(
            weights, random.integers(-half, half, n_output) * biases, thresholds,
            np.minimum(thresholds // 2, limit - 1), weight_width,
            None if is_output else membrane_width))
    return IntegerNetwork(tuple(layers), timesteps, intensity_width, seed=seed + 1)


def as_job(network: IntegerNetwork) -> dict[str, Any]:
    """A network as JSON, for a bench."""
    return {"timesteps": network.timesteps, "intensity_width": network.intensity_width,
            "seed": network.seed, "encoder": network.encoder, "schedule": network.schedule,
            "layers": [{"synapses": layer.weights.tolist(), "biases": layer.biases.tolist(),
                        "thresholds": layer.thresholds.tolist(),
                        "initial_membranes": layer.initial_membranes.tolist(),
                        "weight_width": layer.weight_width,
                        "membrane_width": layer.membrane_width} for layer in network.layers]}


def from_job(entry: dict[str, Any]) -> IntegerNetwork:
    """The network that `as_job` was given."""
    layers = [IntegerLayer(**{key: np.array(value) if isinstance(value, list) else value
                              for key, value in layer.items()}) for layer in entry["layers"]]
    return IntegerNetwork(tuple(layers), entry["timesteps"], entry["intensity_width"],
                          entry["encoder"], entry["seed"], entry["schedule"])


def signed(value: int, width: int) -> int:
    """The lowest ``width`` bits as two's complement."""
    value &= 2**width - 1
    return value - (value >> (width - 1) << width)


async def exchange(design: Any, source: str, items: Sequence[int], sink: str, want: Sequence[int],
                   *, stall: float = 0.0, monitors: Sequence[Part] = (),
                   relevant: Callable[[int], int] = int) -> Sink:
    """Send items, and check that just the wanted ones come back, in order, and nothing after them.

    ``relevant`` clears what does not matter of an item that came back. Returns the sink.
    """
    assert want, "nothing to compare"
    sender, receiver = Source(design, source, items, stall), Sink(design, sink, stall)
    await run_cycles(design, [sender, receiver, *monitors],
                     lambda: sender.done and len(receiver.items) >= len(want),
                     limit=1000 + 40 * (len(items) + len(want)), linger=30)
    for index, (got, expected) in enumerate(zip(receiver.items, want, strict=False)):
        assert relevant(got) == expected, (f"{sink}[{index}], cycle {receiver.cycles[index]}: "
                                 f"{got:#x}, model says {expected:#x}")
    assert len(receiver.items) == len(want), f"{len(receiver.items)} items, not {len(want)}"
    return receiver
