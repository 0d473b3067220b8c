"""Options that several commands have, and what they stand for."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .frame import Outcome

if TYPE_CHECKING:
    from ..datasets import Images
    from ..network import IntegerNetwork
    from ..spec import AcceleratorSpec

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUTPUT = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
COUNT = click.IntRange(min=1)
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


def layout_options(function: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Add the options of an accelerator's layout."""
    beats = click.option("--beats", type=int, default=8, show_default=True,
                         help="Intensities in an input transfer.")
    lanes = click.option("--lanes", type=Integers(), default=16, show_default=True,
                         help="Neurons that a layer updates in parallel: at most N in each layer, "
                              "or one number a layer.")
    return lanes(beats(function))


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


def accelerator_spec(network: "IntegerNetwork", lanes: int | tuple[int, ...],
                     beats: int) -> "AcceleratorSpec":
    """Layout with at most so many lanes, or with exactly those of each layer."""
    from ..spec import AcceleratorSpec

    if isinstance(lanes, int):
        return AcceleratorSpec.for_network(network, lanes, beats)
    spec = AcceleratorSpec(lanes, beats)
    spec.check(network)
    return spec
