"""Random cases for hypothesis: networks, images, layouts and stalls; all that has hardware.

A case is drawn in few choices, so that hypothesis can shrink it: weights are of a kind, and only
kinds that need it have a seed. Sizes are bounded by what a simulation takes.
"""

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from sc_neurocore.families import FAMILIES
from sc_neurocore.network import (
    ENCODERS,
    MAXIMUM_PARAMETER,
    MAXIMUM_TIMESTEPS,
    SCHEDULES,
    IntegerLayer,
    IntegerNetwork,
)
from sc_neurocore.parameters import Capacity, load_format
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.storage import load_network, save_network
from sc_neurocore.synapses import Convolution, Dense, Synapses
from sc_neurocore.timing import longest_image
from sc_neurocore.widths import layer_widths

NEURONS, SYNAPSES = 80, 1200
"""Neurons of a layer, and synapses of a network, at most."""
CYCLES = 20_000
"""Of all images together, about; a single one may take longer."""
LOADED_WORDS = 4000
"""Of parameters that are loaded, one a cycle."""
LAYOUT = "layout.json"


@dataclass(frozen=True, eq=False)
class Case:
    """What one verification is given; ``images`` are intensities, or spikes for events."""

    network: IntegerNetwork
    images: npt.NDArray[np.int64]
    spec: AcceleratorSpec
    stall_seed: int

    def save(self, folder: Path) -> None:
        """Write it in files that ``sc-neurocore verify`` reads, and its layout."""
        folder.mkdir(parents=True, exist_ok=True)
        save_network(self.network, folder / "network.safetensors")
        events = self.network.encoder == "events"
        np.save(folder / "images.npy",
                self.images if events else self.images / self.network.full_scale)
        (folder / LAYOUT).write_text(json.dumps(
            {"spec": asdict(self.spec), "stall_seed": self.stall_seed}, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> "Case":
        """Read what `save` wrote."""
        network, images = load_network(folder / "network.safetensors"), np.load(
            folder / "images.npy")
        layout = json.loads((folder / LAYOUT).read_text())
        loaded = tuple(Capacity(**each) for each in layout["spec"]["loaded"])
        return cls(network, images if network.encoder == "events" else network.intensities(images),
                   AcceleratorSpec(**layout["spec"] | {"loaded": loaded}), layout["stall_seed"])


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Draw a whole case."""
    network = draw(networks())
    spec = draw(layouts(network))
    return Case(network, draw(images(network, spec)), spec, draw(st.integers(0, 2**31 - 1)))


KINDS = ("none", "high", "low", "any", "ends", "few")
"""Of arrays: all the same, random ones, at either end, or random where they are not none."""


@st.composite
def arrays(draw: st.DrawFn, shape: tuple[int, ...], low: int, high: int,
           kinds: tuple[str, ...] = (*KINDS, "any", "any")) -> npt.NDArray[Any]:
    """Draw integers in [low, high]; those of a smaller shape are the first of a larger one."""
    kind = draw(st.sampled_from(kinds))
    nearest = min(max(0, low), high)
    if kind in ("none", "high", "low"):
        return np.full(shape, {"none": nearest, "high": high, "low": low}[kind])
    number = draw(st.integers(0, 2**16))

    def numbers(purpose: int, low: int, high: int) -> npt.NDArray[np.int64]:
        rows = np.empty(shape, np.int64).reshape(-1, shape[-1])
        for index, row in enumerate(rows):
            random = np.random.default_rng([number, purpose, index])
            row[:] = random.integers(low, high, len(row), endpoint=True)
        return rows.reshape(shape)

    if kind == "ends":
        return np.where(numbers(0, 0, 1), high, low)
    values = numbers(0, low, high)
    return np.where(numbers(1, 0, 4), nearest, values) if kind == "few" else values


@st.composite
def networks(draw: st.DrawFn) -> IntegerNetwork:
    """Draw a network of one to six layers."""
    encoder, schedule = draw(st.sampled_from(ENCODERS)), draw(st.sampled_from(SCHEDULES))
    count, size, left = draw(st.integers(1, 3) | st.integers(1, 6)), draw(_sizes(NEURONS)), SYNAPSES
    layers: list[IntegerLayer] = []
    work = 10       # cycles of a timestep, at most
    for index in range(count):
        synapses = draw(_synapses(size, left // (count - index)))
        work = max(work, size * synapses.n_output)
        left -= size * synapses.n_output
        size = synapses.n_output
        layers.append(draw(_layers(synapses, index == count - 1, schedule)))
    longest = max(1, min(MAXIMUM_TIMESTEPS, 2 * CYCLES // work))
    powers = [2**power for power in range(longest.bit_length())]
    network = IntegerNetwork(
        tuple(layers), draw(st.integers(1, min(8, longest)) | st.integers(1, min(24, longest))
                            | st.sampled_from(powers)),
        draw(st.integers(1, 16)), encoder,
        draw(st.integers(1, 2**32 - 1)) if encoder == "lfsr" else 1, schedule)
    return replace(network, layers=(*layers[:-1], draw(_wide_output(network))))


def _sizes(most: int) -> st.SearchStrategy[int]:
    return (st.integers(1, min(4, most)) | st.integers(1, min(8, most))
            | st.integers(1, min(24, most)) | st.integers(1, min(NEURONS, most)))


@st.composite
def _synapses(draw: st.DrawFn, n_input: int, most: int) -> Synapses:
    """Draw as many as ``most``, or one neuron's; the width of weights is that of all kernels."""
    if n_input > 3 and draw(st.integers(0, 3)) == 3:
        channels = draw(st.sampled_from([n for n in range(1, n_input) if n_input % n == 0]))
        pixels = n_input // channels
        height = draw(st.sampled_from([n for n in range(1, pixels + 1) if pixels % n == 0]))
        size = height, pixels // height
        padding = draw(st.tuples(st.integers(0, 1), st.integers(0, 1)))
        kernel = tuple(draw(st.integers(1, min(4, each + 2 * pad)))
                       for each, pad in zip(size, padding, strict=True))
        stride = draw(st.tuples(st.integers(1, 3), st.integers(1, 3)))
        groups = draw(st.sampled_from([1, channels]))
        wanted = Convolution(
            np.zeros((groups * draw(st.integers(1, 2)), channels // groups, *kernel), np.int64),
            (channels, *size), stride, padding, groups=groups)
        if wanted.n_output <= min(NEURONS, most // n_input):
            return wanted
    return Dense(np.zeros((draw(_sizes(max(1, most // n_input))), n_input), np.int64))


@st.composite
def _layers(draw: st.DrawFn, synapses: Synapses, is_output: bool, schedule: str) -> IntegerLayer:
    """Draw the neurons of a layer, and weights; two of three are likely to be neither silent nor
    to fire always, the others have anything that they may have."""
    weight_width, membrane_width = draw(st.integers(2, 16)), None
    half, neurons = 2**(weight_width - 1), synapses.n_output
    if draw(st.integers(0, 2)) < 2:
        weights = arrays(synapses.rows.shape, draw(st.sampled_from([-half // 4, 0, -half])),
                         half - 1, ("any",))
        thresholds = arrays((neurons,), 1, 2 * half, ("any",))
        biases = arrays((neurons,), -half // 2, half // 2, ("none", "any"))
    else:
        weights = arrays(synapses.rows.shape, -half, half - 1)
        limits = [1, half, half * synapses.n_input, MAXIMUM_PARAMETER]
        largest = min(draw(st.sampled_from([0, *limits])), MAXIMUM_PARAMETER)
        thresholds = arrays((neurons,), 1, draw(st.sampled_from(limits)))
        biases = arrays((neurons,), -largest, largest)
    drawn = draw(thresholds)
    if is_output:
        drawn[:] = drawn[0]
    part = draw(st.sampled_from([0.0, 0.5, 1.0, draw(st.floats(0, 1))]))
    initial = np.minimum((drawn * part).astype(np.int64), drawn - 1)
    if not is_output and schedule == "pipelined" and draw(st.integers(0, 2)) == 2:
        membrane_width = draw(st.integers(2, weight_width + 8) | st.integers(2, 48))
        initial = np.minimum(initial, 2**(membrane_width - 1) - 1)
    return IntegerLayer(synapses.with_rows(draw(weights)), draw(biases), drawn, initial,
                        weight_width, membrane_width)


@st.composite
def _wide_output(draw: st.DrawFn, network: IntegerNetwork) -> IntegerLayer:
    """Draw the output layer's membrane width, which must be enough for whatever comes."""
    output, index = network.layers[-1], len(network.layers) - 1
    enough = layer_widths(output, network.timesteps, network.schedule, network.scale(index),
                          is_direct=network.scale(index) > 1).membrane
    if network.schedule != "pipelined" or enough > 48 or not draw(st.booleans()):
        return output
    return replace(output, membrane_width=draw(st.integers(max(2, enough), 48)))


@st.composite
def layouts(draw: st.DrawFn, network: IntegerNetwork) -> AcceleratorSpec:
    """Draw a layout of a network; where all rows are in RAM they may have parity."""
    lanes = tuple(draw(st.integers(1, layer.n_output)) for layer in network.layers)
    count = len(lanes)
    beats, encoder_lanes = sorted(draw(st.tuples(st.integers(0, 6), st.integers(0, 6))))
    spec = AcceleratorSpec(lanes, 1 << beats, 1 << encoder_lanes,
                           family=draw(st.sampled_from(["", *FAMILIES])))

    def each(values: list[Any]) -> tuple[Any, ...]:
        return tuple(draw(st.sampled_from(values)) for _ in range(count))

    spec = replace(spec, parity=draw(st.integers(0, 3)) == 3)
    if draw(st.integers(0, 2)) == 2 and (loaded := _loaded(network, spec)):
        spare = draw(st.sampled_from([st.just(0), st.integers(0, 2)]))
        kinds = ["block", "spram", "spram"] if spec.family == "ice40" else ["block"]
        room = tuple(Capacity(**{name: bits + (0 if name == "weight" else draw(spare))
                                 for name, bits in vars(one).items()}) for one in loaded.loaded)
        return replace(loaded, memories=each(kinds), loaded=room,
                       store_parts=draw(st.integers(1, 4) | st.integers(1, 64)))
    return replace(spec, memories=each(["block"] if spec.parity else ["block", "logic"]),
                   ports=each([1, 2]))


def _loaded(network: IntegerNetwork, spec: AcceleratorSpec) -> AcceleratorSpec | None:
    """The layout with parameters that are loaded, if they can be, and in a short time."""
    if network.encoder == "direct" or any(widths.saturates for widths in network.widths):
        return None
    loaded = spec.with_loading(network)
    words = sum(target.rows * target.words for target in load_format(network, loaded).targets)
    return loaded if words <= LOADED_WORDS else None


@st.composite
def images(draw: st.DrawFn, network: IntegerNetwork, spec: AcceleratorSpec) -> npt.NDArray[Any]:
    """Draw images that follow each other."""
    events = network.encoder == "events"
    shape = (network.timesteps, network.n_input) if events else (network.n_input,)
    most = max(1, min(6, CYCLES // longest_image(network, spec)))
    high = 1 if events else network.full_scale
    return np.array([draw(arrays(shape, 0, high)) for _ in range(draw(st.integers(1, most)))])
