"""The networks whose hardware is measured: trained ones, and random ones for how things grow."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from kept import Store, digest, sources, versions
from safetensors.torch import load_file, save_file
from torch import nn

from sc_neurocore.conversion import calibrate
from sc_neurocore.conversion.training import train_mlp
from sc_neurocore.datasets import Dataset
from sc_neurocore.network import IntegerArray, IntegerLayer, IntegerNetwork
from sc_neurocore.quantization import quantize
from sc_neurocore.storage import load_network, save_network

CALIBRATION_IMAGES = 5000
INPUT_RATE = 0.13
"""Mean intensity of MNIST, of full scale."""


@dataclass(frozen=True)
class Recipe:
    """How a network is trained; ``shape`` counts the inputs and the neurons of each layer."""

    shape: tuple[int, ...]
    epochs: int


RECIPES = {"mnist": Recipe((784, 128, 10), 10), "fashion": Recipe((784, 128, 10), 10),
           "digits": Recipe((64, 32, 10), 80)}
"""By the data set."""


def trained(store: Store, name: str, data: Dataset) -> nn.Sequential:
    """The network of a recipe, trained as `train_mlp` does."""
    recipe = RECIPES[name]
    key = digest(asdict(recipe), data.train_images, data.train_labels,
                 sources("conversion/training.py"), versions(["torch"]))

    def make(path: Path) -> None:
        model = train_mlp(data.train_images, data.train_labels, hidden=recipe.shape[1:-1],
                          epochs=recipe.epochs)
        save_file(model.state_dict(), path)

    path = store.file(f"{name}-{key}.safetensors", make)
    modules = [module for pair in pairwise(recipe.shape)
               for module in (nn.Linear(*pair), nn.ReLU())][:-1]
    model = nn.Sequential(*modules)
    model.load_state_dict(load_file(path))
    return model.eval()


def network(store: Store, name: str, data: Dataset, timesteps: int, width: int) -> IntegerNetwork:
    """That network calibrated for so many timesteps, its weights of so many bits."""
    model = trained(store, name, data)
    images = data.train_images[:CALIBRATION_IMAGES]
    weights = [parameter.detach().numpy() for parameter in model.parameters()]
    key = digest(images, *weights, timesteps, width,
                 sources("conversion", "quantization.py", "network.py", "layers.py"))

    def make(path: Path) -> None:
        snn = calibrate(model, images, T=timesteps, encoder="poisson")
        save_network(quantize(snn, width), path)

    return load_network(store.file(f"{name}-T{timesteps}-{width}bit-{key}.safetensors", make))


def random_network(shape: Sequence[int], width: int = 4, timesteps: int = 8, seed: int = 0
                   ) -> IntegerNetwork:
    """A network of uniform weights, thresholds twice the deviation of what a timestep adds."""
    rng = np.random.default_rng(seed)
    limit = 2 ** (width - 1) - 1
    layers = []
    for n_input, n_output in pairwise(shape):
        weights = rng.integers(-limit, limit + 1, (n_output, n_input))
        threshold = max(2, round(2 * np.sqrt(INPUT_RATE * n_input * np.mean(weights**2))))
        layers.append(IntegerLayer(weights, np.zeros(n_output, dtype=np.int64),
                                   np.full(n_output, threshold),
                                   np.full(n_output, threshold // 2), width))
    return IntegerNetwork(layers, timesteps)


def random_images(n_input: int, images: int = 50, seed: int = 0) -> IntegerArray:
    """Intensities of 8 bits, half of them 0, whose mean is that of MNIST."""
    rng = np.random.default_rng(seed)
    values = rng.integers(0, round(4 * INPUT_RATE * 255) + 1, (images, n_input))
    return values * rng.integers(0, 2, values.shape)
