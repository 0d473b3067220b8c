"""Designs that are attacked, and the checks that are to notice it."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import test_axi
import test_link
import test_parity
from common import random_network

from sc_neurocore import cosim, golden, verilog
from sc_neurocore.cosim import simulation
from sc_neurocore.cosim.simulation import SimulationError
from sc_neurocore.gateware import frame_buffer, framing, uart
from sc_neurocore.gateware.link import Link
from sc_neurocore.gateware.watchdog import Watchdog
from sc_neurocore.network import IntegerNetwork
from sc_neurocore.spec import AcceleratorSpec

from . import CACHE, SIM, flips
from .tops import AxiPorts, Board, board_network

RUNS = 3
"""Of `cosim.verify`, with other stalls and with a reset at another time."""


def lively_network(shape: tuple[int, ...], *, membrane_width: int | None = None, **changes: Any
                   ) -> tuple[IntegerNetwork, npt.NDArray]:
    """A random network and images that make each of its neurons fire, and not always.

    A neuron that never fires hides what happens on its way to the next layer. Hidden neurons of a
    ``membrane_width`` saturate.
    """
    for seed in range(1000):
        network = replace(random_network(shape, timesteps=6, membrane_width=membrane_width,
                                         seed=seed), **changes)
        images = _images(network, seed)
        spikes = golden.trace(network, images).trace.spikes
        rates = [of_layer.mean(axis=(0, 1)) for of_layer in spikes]
        if all(rate.min() > 0 and rate.max() < 1 for rate in rates):
            return network, images
    raise AssertionError("no seed makes all neurons fire")


def _images(network: IntegerNetwork, seed: int) -> npt.NDArray:
    random = np.random.default_rng(seed)
    if network.encoder == "events":
        spikes = random.random((24, network.timesteps, network.n_input)) < 0.3
        spikes[3] = False
        return spikes
    images = random.integers(0, 256, (24, network.n_input))
    images[3:6, :-2] = 0        # whole words are silent, more of them than a queue has places
    # Multiples of 32, and what is next to them.
    steps = 32 * random.integers(0, 9, (24, network.n_input)) + random.integers(-1, 2, (24, 1))
    # As far up and as far down as each neuron of the first layer goes.
    up = network.layers[0].weights > 0
    return np.concatenate([images, steps.clip(0, network.full_scale), up * network.full_scale,
                           ~up * network.full_scale])


@dataclass(frozen=True)
class Accelerator:
    """An accelerator; `cosim.verify` is its check."""

    name: str
    network: IntegerNetwork
    images: npt.NDArray
    spec: AcceleratorSpec
    parts: tuple[str, ...] = ()
    """Kinds of modules that are attacked here; all if there are none."""
    others: tuple[IntegerNetwork, ...] = ()
    """Networks that the same circuit is loaded with, too."""
    top: str = verilog.TOP

    @cached_property
    def text(self) -> str:
        """Its Verilog."""
        return verilog.generate(self.network, self.spec, trace=True)

    def check(self, text: str, plusargs: list[str], folder: Path) -> str:
        """What differs from the golden model first; empty if nothing does."""
        for network in (self.network, *self.others):
            for seed in range(1, RUNS + 1):
                try:
                    report = cosim.verify(network, self.images, self.spec, text=text, lint=False,
                                          folder=folder, cache=CACHE, plusargs=plusargs,
                                          stall_seed=seed, fail_fast=True)
                except SimulationError:
                    return "the simulation breaks off"
                if report.mismatches:
                    return report.mismatches[0].quantity
        return ""


@dataclass(frozen=True)
class Parity(Accelerator):
    """One with parity: its check flips bits of weights as well, and looks at what is reported.

    ``key``: of the layout in `sim/test_parity.py`.
    """

    key: str = ""

    def check(self, text: str, plusargs: list[str], folder: Path) -> str:
        """What differs first, or the bench of the reports; empty if nothing does."""
        if difference := super().check(text, plusargs, folder):
            return difference
        try:
            test_parity.run(*flips.insert(text, self.top, constants=True), self.key, folder,
                            plusargs=plusargs)
        except SimulationError:
            return "report"
        return ""


def parity(name: str, key: str, parts: tuple[str, ...]) -> Parity:
    """One of the layouts of `sim/test_parity.py`."""
    network = test_parity.network_of(key)
    images = np.random.default_rng(1).integers(0, 256, (24, network.n_input))
    images[8:] >>= np.repeat([1, 3], 8)[:, None]    # bright ones drive all neurons to their limits
    return Parity(name, network, images, test_parity.SPECS[key], parts, key=key)


@dataclass(frozen=True)
class Component:
    """A component with a bench of its own."""

    name: str
    make: Callable[[], Any]
    bench: str
    parameters: dict[str, Any]
    parts: tuple[str, ...] = ()

    @property
    def top(self) -> str:
        """Name of its top module."""
        return self.bench.removeprefix("bench_")

    @cached_property
    def text(self) -> str:
        """Its Verilog."""
        return verilog.component_text(self.make(), self.top)

    def check(self, text: str, plusargs: list[str], folder: Path) -> str:
        """Whether its bench finds anything; empty if it does not."""
        compiled = simulation.compile_verilog(text, self.top, CACHE, lint=False)
        try:
            simulation.run(compiled, self.top, self.bench, self.parameters, folder,
                           python_path=[SIM], plusargs=plusargs)
        except SimulationError:
            return "bench"
        return ""


Subject = Accelerator | Component | AxiPorts | Board


def _mirrored(network: IntegerNetwork, threshold: int) -> IntegerNetwork:
    """A network that the same circuit can hold, of which each parameter is another one.

    ``threshold``: of the output layer.
    """
    hidden, output = network.layers
    return replace(network, layers=(
        replace(hidden, synapses=hidden.weights[::-1], biases=hidden.biases[::-1],
                thresholds=hidden.thresholds[::-1],
                initial_membranes=hidden.initial_membranes[::-1]),
        replace(output, synapses=output.weights[:, ::-1],
                thresholds=0 * output.thresholds + threshold,
                initial_membranes=0 * output.initial_membranes + threshold - 123)))


def subjects() -> list[Subject]:
    """All of them, the accelerator with all its parts first."""
    network, images = lively_network((10, 7, 4))
    folds = AcceleratorSpec((3, 1), 4, 8)
    direct = lively_network((10, 7, 4), encoder="direct")
    even, images_of_even = lively_network((10, 7, 4), encoder="low_discrepancy")
    # All intensities that it compares with: the lowest bit of each decides.
    levels = np.arange(0, even.full_scale + 1, 16)[:, None].repeat(even.n_input, axis=1)
    events = lively_network((10, 7, 4), encoder="events")
    layerwise = lively_network((10, 7, 4), schedule="layer_by_layer")
    saturating = lively_network((10, 7, 4), membrane_width=9)
    many_folds = lively_network((6, 18, 17), membrane_width=9)
    link = {"format": asdict(test_link.FORMAT), "constants": list(test_link.CONTENT)}
    return [
        Accelerator("folds", network, images, folds),
        Accelerator("one word", network, images, AcceleratorSpec((3, 1), 4, 16),
                    ("replay", "serializer")),
        Accelerator("ECP5", network, images, replace(folds, lanes=(7, 1), family="ecp5"),
                    ("weight_memory", "neurons")),
        Accelerator("loaded", network, images,
                    replace(folds.with_loading(network), store_parts=2),
                    ("layer", "neurons", "weight_memory", "store", "parameter_rows", "limits",
                     "readout"), (_mirrored(network, 0b10110101), _mirrored(network, 0b11001010))),
        Accelerator("two rows", network, images, replace(folds, ports=(2, 2)),
                    ("layer", "weight_memory", "serializer")),
        Accelerator("direct", *direct, folds, ("encoder", "layer", "neurons")),
        Accelerator("low discrepancy", even, np.concatenate([images_of_even, levels]), folds,
                    ("encoder",)),
        Accelerator("events", *events, folds, ("encoder",)),
        Accelerator("layer by layer", *layerwise, folds,
                    ("layer", "neurons", "encoder", "readout")),
        Accelerator("saturating, logic", *saturating, replace(folds, memories=("logic", "logic")),
                    ("layer", "neurons", "weight_memory")),
        Accelerator("ROM, saturating", *many_folds, AcceleratorSpec((1, 1), 4, 8), ("neurons",)),
        Component("UART receiver", lambda: uart.UartReceiver(8), "bench_uart",
                  {"part": "receiver", "divisor": 8}),
        Component("UART transmitter", lambda: uart.UartTransmitter(8), "bench_uart",
                  {"part": "transmitter", "divisor": 8}),
        Component("frames in", framing.FrameReceiver, "bench_framing", {"part": "receiver"}),
        Component("frames out", framing.FrameTransmitter, "bench_framing",
                  {"part": "transmitter"}),
        Component("frame buffer", lambda: frame_buffer.FrameBuffer(64), "bench_frame_buffer",
                  {"depth": 64}),
        Component("link", lambda: Link(test_link.FORMAT, test_link.CONTENT, 0xDEADBEEF),
                  "bench_link", link | {"parameters": 0xDEADBEEF, "address_width": 0,
                                        "count": 150}),
        Component("link that loads", test_link.LoadedMemory, "bench_link",
                  test_link.LOADED,
                  ("link", "images", "words")),
        Component("watchdog", lambda: Watchdog(29), "bench_watchdog", {"limit": 29}),
        parity("parity", "folds", ("parity", "weight_memory")),
        parity("parity, loaded", "loaded", ("accelerator", "parity", "weight_memory", "rows")),
        parity("parity, two rows", "two ports", ("weight_memory",)),
        parity("parity, SPRAM", "SPRAM", ("weight_memory", "rows")),
        parity("parity, three banks", "three banks", ("weight_memory",)),
        AxiPorts("AXI", *test_axi.CASES["padded"],
                 ("axi", "images", "results", "registers", "counters")),
        AxiPorts("AXI that loads", *test_axi.CASES["loaded"], ("axi", "registers", "bus")),
        Board("board", *board_network(), ("board",)),
    ]
