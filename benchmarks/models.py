"""The trained networks that the benchmarks convert, made once and kept in a folder.

    python benchmarks/models.py --mnist FOLDER --fashion FOLDER [--fresh] [NAME ...]

Trains the networks that are missing or whose recipe has changed, about five minutes for all of
them on one core, and prints what they classify right.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from time import perf_counter

import click
import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from sc_neurocore.conversion.qcfs import QCFSActivation
from sc_neurocore.datasets import Dataset, idx_folder

FOLDER = Path("build/benchmarks/models")


@dataclass(frozen=True)
class Recipe:
    """All that a trained network depends on, beside the data and the machine.

    Parameters
    ----------
    data : str
        ``fashion`` or ``mnist``.
    widths : tuple of int
        Of a multilayer perceptron's layers, or of the Linear layers after the convolutions.
    channels : tuple of int
        Of the convolutions, 5×5 without padding, each followed by ReLU and 2×2 average pooling.
    T : int
        Levels of the QCFS activations; 0 for ReLU.
    start : str
        Network whose weights training starts from, and whose activations give the QCFS thresholds.
    """

    data: str
    widths: tuple[int, ...]
    channels: tuple[int, ...] = ()
    T: int = 0
    start: str = ""
    epochs: int = 15
    batch: int = 64
    learning_rate: float = 1e-3
    weight_decay: float = 0.0
    seed: int = 0

    @property
    def image_shape(self) -> tuple[int, ...]:
        """Shape of one image: what the network's first layer takes."""
        return (1, 28, 28) if self.channels else (784,)

    def key(self) -> str:
        """Hash of this recipe and of those it builds upon."""
        before = RECIPES[self.start].key() if self.start else ""
        text = json.dumps(asdict(self), sort_keys=True) + before
        return hashlib.sha256(text.encode()).hexdigest()[:16]


_FASHION_MLP = Recipe("fashion", (784, 256, 128, 10))
_FASHION_CNN = Recipe("fashion", (384, 64, 10), channels=(12, 24), epochs=10, learning_rate=2e-3)
_MNIST_MLP = Recipe("mnist", (784, 128, 10))

RECIPES: dict[str, Recipe] = {
    "fashion_mlp": _FASHION_MLP,
    "mnist_mlp": _MNIST_MLP,
    "fashion_cnn": _FASHION_CNN,
    "fashion_qcfs_t8": replace(_FASHION_MLP, T=8, start="fashion_mlp"),
    "fashion_qcfs_t4": replace(_FASHION_MLP, T=4, start="fashion_mlp"),
    "mnist_qcfs_t4": replace(_MNIST_MLP, T=4, start="mnist_mlp"),
    "fashion_cnn_qcfs_t8": replace(_FASHION_CNN, T=8, start="fashion_cnn", epochs=5,
                                   learning_rate=1e-3),
}
"""The networks by name, those that others start from first."""

TITLES = {
    "fashion_mlp": "Fashion-MNIST, 784-256-128-10", "mnist_mlp": "MNIST, 784-128-10",
    "fashion_cnn": "Fashion-MNIST, CNN", "fashion_qcfs_t8": "Fashion-MNIST, 784-256-128-10",
    "fashion_qcfs_t4": "Fashion-MNIST, 784-256-128-10", "fashion_cnn_qcfs_t8": "Fashion-MNIST, CNN",
    "mnist_qcfs_t4": "MNIST, 784-128-10"}
"""What the README calls them."""


def untrained(recipe: Recipe) -> nn.Sequential:
    """Make the network with weights as torch draws them, QCFS thresholds 1."""
    modules: list[nn.Module] = []
    for n_input, n_output in zip((1, *recipe.channels), recipe.channels, strict=False):
        modules += [nn.Conv2d(n_input, n_output, 5), _activation(recipe), nn.AvgPool2d(2)]
    if recipe.channels:
        modules.append(nn.Flatten())
    for n_input, n_output in pairwise(recipe.widths):
        modules += [nn.Linear(n_input, n_output), _activation(recipe)]
    return nn.Sequential(*modules[:-1])


def trained(name: str, data: Mapping[str, Dataset], folder: Path = FOLDER,
            fresh: bool = False) -> nn.Sequential:
    """Load a network, or train and keep it if there is none of this recipe.

    Parameters
    ----------
    name : str
        One of `RECIPES`.
    data : mapping of str to Dataset
        ``fashion`` and ``mnist``, as far as they are needed.
    folder : Path
        Where ``<name>.safetensors`` is, or will be: the state dict.
    fresh : bool
        Train it even so.

    Returns
    -------
    nn.Sequential
        In evaluation mode, float32. It takes images of shape (n, *recipe.image_shape).
    """
    recipe = RECIPES[name]
    path = folder / f"{name}.safetensors"
    model = untrained(recipe)
    if not fresh and _recipe_key(path) == recipe.key():
        model.load_state_dict(load_file(path))
        return model.eval()
    start = trained(recipe.start, data, folder) if recipe.start else None
    model = _train(recipe, start, data[recipe.data])
    folder.mkdir(parents=True, exist_ok=True)
    save_file(model.state_dict(), path, metadata={"recipe": recipe.key()})
    return model


def load_data(mnist: Path | None, fashion: Path | None) -> dict[str, Dataset]:
    """Load the data sets whose IDX folders are given."""
    folders = {"mnist": mnist, "fashion": fashion}
    return {name: idx_folder(folder) for name, folder in folders.items() if folder}


def images_for(name: str, images: np.ndarray) -> torch.Tensor:
    """Images, (n, 784) in [0, 1], as float32 of the shape that the network takes."""
    return torch.from_numpy(images).float().reshape(-1, *RECIPES[name].image_shape)


def accuracy(name: str, model: nn.Module, images: np.ndarray, labels: np.ndarray) -> float:
    """Fraction of the images that the ANN classifies right."""
    with torch.no_grad():
        predicted = [model(batch).argmax(1) for batch in images_for(name, images).split(1000)]
    return (torch.cat(predicted).numpy() == labels).mean().item()


def _activation(recipe: Recipe) -> nn.Module:
    return QCFSActivation(recipe.T, learn_theta=True) if recipe.T else nn.ReLU()


def _recipe_key(path: Path) -> str | None:
    if not path.exists():
        return None
    with safe_open(path, "pt") as file:
        return (file.metadata() or {}).get("recipe")


def _train(recipe: Recipe, start: nn.Sequential | None, data: Dataset) -> nn.Sequential:
    """Adam on the cross-entropy, the rate falling along a cosine: what most users would do."""
    x = torch.from_numpy(data.train_images).float().reshape(-1, *recipe.image_shape)
    y = torch.from_numpy(data.train_labels)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # sums in one order whatever the number of cores
    with torch.random.fork_rng():
        torch.manual_seed(recipe.seed)
        model = untrained(recipe)
        if recipe.channels:  # a quarter faster on a CPU
            model = model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        if start is not None:
            _take_over(model, start, x[:10000])
        _fit(model, recipe, x, y)
    torch.set_num_threads(threads)
    for parameter in model.parameters():
        parameter.data = parameter.data.contiguous()  # safetensors takes no other
    return model.eval()


def _take_over(model: nn.Sequential, start: nn.Sequential, x: torch.Tensor) -> None:
    """Copy weights, and set each θ to the 99.9th percentile of the activations of ``start``."""
    model.load_state_dict(start.state_dict(), strict=False)
    with torch.no_grad():
        for before, after in zip(start, model, strict=True):
            x = before(x)
            if isinstance(after, QCFSActivation):
                after.theta.fill_(float(np.percentile(x[x > 0].numpy(), 99.9)))


def _fit(model: nn.Module, recipe: Recipe, x: torch.Tensor, y: torch.Tensor) -> None:
    steps = recipe.epochs * -(-len(x) // recipe.batch)
    optimizer = torch.optim.Adam(model.parameters(), recipe.learning_rate,
                                 weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(recipe.epochs):
        for places in torch.randperm(len(x)).split(recipe.batch):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(x[places]), y[places]).backward()
            optimizer.step()
            schedule.step()


def table(rows: Iterable[tuple[str, float, float]]) -> str:
    """Markdown of (name, accuracy, seconds)."""
    lines = ["| network | ANN accuracy | seconds |", "|---|---|---|"]
    return "\n".join(lines + [f"| {name} | {right:.2%} | {seconds:.0f} |"
                              for name, right, seconds in rows])


@click.command()
@click.option("--mnist", type=Path, help="Folder of MNIST's IDX files.")
@click.option("--fashion", type=Path, help="Folder of Fashion-MNIST's IDX files.")
@click.option("--output", type=Path, default=FOLDER, show_default=True)
@click.option("--fresh", is_flag=True, help="Train again what is there.")
@click.argument("names", nargs=-1, type=click.Choice(list(RECIPES)))
def main(mnist: Path | None, fashion: Path | None, output: Path, fresh: bool,
         names: tuple[str, ...]) -> None:
    """Train the networks of the data sets that are given."""
    data = load_data(mnist, fashion)
    rows = []
    for name in names or [name for name in RECIPES if RECIPES[name].data in data]:
        begun = perf_counter()
        model = trained(name, data, output, fresh)
        seconds = perf_counter() - begun
        test = data[RECIPES[name].data]
        rows.append((name, accuracy(name, model, test.test_images, test.test_labels), seconds))
        click.echo(f"{name}: {seconds:.0f} s", err=True)
    print(table(rows))


if __name__ == "__main__":
    main()
