"""Options that several commands have, and what they stand for."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import click

from .frame import Outcome

if TYPE_CHECKING:
    from ..datasets import Images
    from ..network import IntegerNetwork
    from ..planning import Plan
    from ..spec import AcceleratorSpec
    from ..synthesis import Device

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUTPUT = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
PLANNED_IMAGES = 5
"""Images that a plan's cycles are counted with, at most."""
COUNT = click.IntRange(min=1)
FREQUENCY = click.FloatRange(min=0, min_open=True)
DATA = ("digits, a folder of IDX files, or an .npz or .npy file: images, (n, n_input) in [0, 1], "
        "and labels, (n,) integers.")
TEST_DATA = (f"{DATA} For the encoder events, images are spikes, (n, timesteps, n_input) of 0 and "
             "1.")


class Integers(click.ParamType):
    """One integer for all layers, or one a layer separated by commas."""

    name = "N|N,N,…"

    def convert(self, value: Any, param: click.Parameter | None,
                ctx: click.Context | None) -> int | tuple[int, ...]:
        """Parse ``16`` to an int and ``16,8`` to a tuple."""
        if not isinstance(value, str):
            return value
        try:
            numbers = tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is neither an integer nor one a layer, separated by commas",
                      param, ctx)
        return numbers if "," in value else numbers[0]


network_argument = click.argument("network", type=FILE)
seed_option = click.option("--seed", type=int,
                           help="Seed of the encoder.  [default: the network's]")
data_option = click.option("--data", required=True, metavar="DATA", help=TEST_DATA)


def model_options(function: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Add what a trained model is given by."""
    model = click.argument("model")
    weights = click.option("--weights", type=FILE,
                           help="State dict of a torch model: .safetensors, or from torch.save.")
    shape = click.option("--input-shape", type=Integers(), metavar="N,N,…",
                         help="Of one image as the model takes it, such as 1,28,28.  [default: "
                              "what its first Linear takes]")
    return model(weights(shape(function)))


class Latency(click.ParamType):
    """A time with its unit."""

    name = "TIME"
    units: ClassVar = {"us": 1.0, "µs": 1.0, "ms": 1e3, "s": 1e6}

    def convert(self, value: Any, param: click.Parameter | None,
                ctx: click.Context | None) -> float:
        """Parse ``20us`` or ``1.5ms`` to microseconds."""
        found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)\s*(us|µs|ms|s)", value)
        if not found:
            self.fail(f"{value!r} is not a time with its unit, as in 20us or 1.5ms", param, ctx)
        return float(found[1]) * self.units[found[2]]


def layout_options(function: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Add the options of an accelerator's layout: the layout itself, or a goal for it."""
    options = [
        click.option("--device", metavar="NAME",
                     help="ecp5-25k, -45k, -85k, gw1nr-9c, ice40-up5k or ice40-hx8k: without "
                          "--lanes, choose the layout for it."),
        click.option("--clock-hz", type=FREQUENCY, metavar="N",
                     help="Clock that these are reckoned with.  [default: 100e6 on ECP5, 27e6 on "
                          "gw1nr-9c, 24e6 on ice40-up5k, 48e6 on ice40-hx8k]"),
        click.option("--beats", type=int, default=8, show_default=True,
                     help="Intensities in an input transfer.")]
    function = board_layout_options(function)
    for option in reversed(options):
        function = option(function)
    return function


def board_layout_options(function: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Add those of them that are left to be said where a board has a device and a clock."""
    options = [
        click.option("--latency", type=Latency(),
                     help="The smallest layout that takes at most TIME an image, as in 20us.  "
                          "[default: the fastest that fits the device]"),
        click.option("--fps", type=click.FloatRange(min=0, min_open=True), metavar="N",
                     help="The smallest layout that takes N images per second."),
        click.option("--lanes", type=Integers(),
                     help="Neurons that a layer updates in parallel: at most N in each layer, or "
                          "one number a layer.  [default: 16, if no device is given]"),
        click.option("--encoder-lanes", type=int, metavar="N",
                     help="Inputs that the encoder examines in a cycle.  [default: 16, or BEATS if "
                          "that is more]"),
        click.option("--ports", type=Integers(),
                     help="Rows of weights that a layer reads in a cycle, 1 or 2: N in each layer, "
                          "or one number a layer.  [default: 1]"),
        click.option("--memories", metavar="KIND,…",
                     help="What weights are in, of each layer: block, logic, or spram with "
                          "--loaded.  [default: block]"),
        click.option("--loaded", is_flag=True,
                     help="Parameters are loaded into the running circuit, which serves every "
                          "network of its shape, timesteps, schedule, encoder and seed."),
        click.option("--parity", is_flag=True,
                     help="A parity bit for each row of weights; corrupted rows are reported."),
        click.option("--store-parts", type=int, metavar="N",
                     help="With --loaded: parts in which potentials come from block RAM.  "
                          "[default: 1]")]
    for option in reversed(options):
        function = option(function)
    return function


def load_network(path: Path, seed: int | None) -> "IntegerNetwork":
    """Load an integer network, and replace its seed if there is one."""
    from .. import storage

    network = storage.load_network(path)
    return network if seed is None else replace(network, seed=seed)


def load_inputs(network: "IntegerNetwork", data: str, limit: int | None) -> tuple["Images", Any]:
    """Load test images, and make of them what the network runs on: intensities or spikes."""
    from ..datasets import load_images

    events = network.encoder == "events"
    source = load_images(data, limit=limit, spikes=events)
    return source, source.images if events else network.intensities(source.images)


@dataclass(frozen=True)
class Layout:
    """What the options of `layout_options` say."""

    device: str | None = None
    latency: float | None = None
    fps: float | None = None
    clock_hz: float | None = None
    lanes: int | tuple[int, ...] | None = None
    encoder_lanes: int | None = None
    ports: int | tuple[int, ...] | None = None
    memories: str | None = None
    loaded: bool = False
    store_parts: int | None = None
    parity: bool = False
    beats: int = 8

    def __post_init__(self) -> None:
        has_goal = self.latency is not None or self.fps is not None
        if has_goal and self.lanes is not None:
            raise ValueError("--lanes must not be given with --latency or --fps, "
                             "which choose lanes")
        if has_goal and self.device is None:
            raise ValueError("--latency and --fps need --device, the device to plan for")
        if self.clock_hz is not None and self.device is None:
            raise ValueError("--clock-hz needs --device, the device to plan for")
        if self.is_planned and self.encoder_lanes is not None:
            raise ValueError("--encoder-lanes needs --lanes where there is a device; without "
                             "these, both are chosen for it")
        if self.is_planned:
            for name, value in (("--ports", self.ports), ("--memories", self.memories),
                                ("--store-parts", self.store_parts)):
                if value is not None:
                    raise ValueError(f"{name} needs --lanes where there is a device; without "
                                     "these, all are chosen for it")

    @property
    def is_planned(self) -> bool:
        """Whether it is to be chosen for a device."""
        return self.device is not None and self.lanes is None

    def choose(self, network: "IntegerNetwork", inputs: Any = None, room: "Device | None" = None
               ) -> "tuple[AcceleratorSpec, Plan | None]":
        """The layout; and, if there is a device, what is expected of it there.

        ``room`` is what there is for it of the device, if not all of it.
        """
        from .. import planning

        images = None if inputs is None else inputs[:PLANNED_IMAGES]
        if self.is_planned:
            plan = planning.plan(network, room or self.device or "", latency_us=self.latency,
                                 images_per_s=self.fps, clock_hz=self.clock_hz, beats=self.beats,
                                 inputs=images, loaded=self.loaded, parity=self.parity)
            return plan.spec, plan
        spec = self._stated(network)
        if self.device is None:
            return spec, None
        return spec, planning.assess(network, spec, self.device, clock_hz=self.clock_hz,
                                     inputs=images)

    def _stated(self, network: "IntegerNetwork") -> "AcceleratorSpec":
        """The layout that the options give."""
        from ..planning import named

        spec = accelerator_spec(network, 16 if self.lanes is None else self.lanes, self.beats,
                                self.encoder_lanes or 0)
        ports = 1 if self.ports is None else self.ports
        if isinstance(ports, int):
            ports = (ports,) * len(spec.lanes)
        spec = replace(spec, ports=ports,
                       memories=tuple(self.memories.split(",")) if self.memories else (),
                       family=named(self.device).family if self.device else "",
                       parity=self.parity)
        if self.loaded:
            spec = replace(spec.with_loading(network),
                           store_parts=1 if self.store_parts is None else self.store_parts)
        elif self.store_parts is not None:
            raise ValueError("--store-parts needs --loaded")
        spec.check(network)
        return spec


def with_plan(document: dict[str, Any], text: str, plan: "Plan | None", passed: bool = True
              ) -> Outcome:
    """An outcome that shows the plan as well, if there is one."""
    if plan is None:
        return Outcome(document, text, passed)
    return Outcome(document | {"plan": plan.as_dict()}, f"{plan}\n\n{text}", passed)


def accelerator_spec(network: "IntegerNetwork", lanes: int | tuple[int, ...], beats: int,
                     encoder_lanes: int = 0) -> "AcceleratorSpec":
    """Layout with at most so many lanes, or with exactly those of each layer."""
    from ..spec import AcceleratorSpec

    spec = (AcceleratorSpec.for_network(network, lanes, beats) if isinstance(lanes, int)
            else AcceleratorSpec(lanes, beats))
    spec.check(network)
    return replace(spec, encoder_lanes=encoder_lanes) if encoder_lanes else spec
