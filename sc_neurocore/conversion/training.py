"""A small reference training loop: the multilayer perceptron of the demo, in seconds on a CPU.

It serves to fine-tune any model, too; `sc_neurocore.conversion.finetuning` says for what.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

from sc_neurocore.conversion.checks import check_at_least, check_real, real_array, unit_array
from sc_neurocore.extras import require

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "convert")
    raise

__all__ = ["finetune", "train_mlp"]

BATCH = 64
LEARNING_RATE = 8e-3
"""Greatest rate of the one-cycle schedule (Smith & Topin 2019, "Super-convergence")."""


def train_mlp(images: Any, labels: Any, hidden: Sequence[int] = (64, 32), epochs: int = 80,
              seed: int = 0, spike_samples: int = 4) -> nn.Sequential:
    """Train Linear-ReLU-...-Linear with Adam on the cross-entropy.

    Every time a batch is drawn, its images are replaced by the rates of Bernoulli spike trains of
    ``spike_samples`` timesteps: what the spiking network will see of them, only noisier. Trained
    on that, the network tolerates the encoder's noise: in cross-validation on the digits the loss
    of accuracy at T = 16 falls to less than half, and the network itself is better for it, too, as
    with any such augmentation.

    Parameters
    ----------
    images : (n, n_input) reals in [0, 1]
    labels : (n,) integers, at least 0
        Classes; there are as many outputs as the greatest label + 1.
    hidden : sequence of int
        Neurons of each hidden layer, at least 1.
    epochs : int
        Passes over the images, at least 1.
    seed : int
        Of the weights, the order of the images and the spikes. The same seed gives the same
        network on the same machine, and torch's global random state is not touched.
    spike_samples : int
        Timesteps of the spike trains; 0 trains on the images as they are.

    Returns
    -------
    nn.Sequential
        In evaluation mode, float32.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong kind, shape or range.
    """
    x, y = _examples(images, labels)
    widths = [check_at_least("Hidden neurons", width, 1) for width in hidden]
    epochs = check_at_least("epochs", epochs, 1)
    spike_samples = check_at_least("spike_samples", spike_samples, 0)
    generator = torch.Generator().manual_seed(check_at_least("seed", seed, 0))
    model = _mlp([x.shape[1], *widths, int(y.max()) + 1], generator)
    _fit(model, x, y, epochs, LEARNING_RATE, spike_samples, generator)
    return model.eval()


def finetune(model: nn.Module, images: Any, labels: Any, epochs: int = 3,
             learning_rate: float = 1e-3, seed: int = 0, spike_samples: int = 0) -> nn.Module:
    """Train a model for a few epochs more, in place, as `train_mlp` does.

    Parameters
    ----------
    model : nn.Module
        A classifier, for instance one whose weights `fake_quantize` has rounded.
    images : (n, ...) reals in [0, 1]
        As the model takes them.
    labels : (n,) integers, at least 0
    epochs, spike_samples
        As for `train_mlp`.
    learning_rate : float
        Greatest rate of the one-cycle schedule, greater than 0.
    seed : int
        Of the order of the images, the spikes, and dropout. The same seed gives the same network on
        the same machine, and torch's global random state is not touched.

    Returns
    -------
    nn.Module
        ``model`` itself, in evaluation mode.

    Raises
    ------
    TypeError, ValueError
        If a parameter has the wrong kind, shape or range.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module, not {type(model).__name__}")
    x, y = _examples(images, labels, flat=False)
    epochs = check_at_least("epochs", epochs, 1)
    spike_samples = check_at_least("spike_samples", spike_samples, 0)
    if not 0 < check_real("learning_rate", learning_rate) < math.inf:
        raise ValueError(f"learning_rate must be greater than 0 and finite, not {learning_rate}")
    generator = torch.Generator().manual_seed(check_at_least("seed", seed, 0))
    x = x.to(next(model.parameters()).dtype)
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed)  # what dropout draws from
        _fit(model.train(), x, y, epochs, learning_rate, spike_samples, generator)
    return model.eval()


def _fit(model: nn.Module, x: torch.Tensor, y: torch.Tensor, epochs: int, learning_rate: float,
         spike_samples: int, generator: torch.Generator) -> None:
    optimizer = torch.optim.Adam(model.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, learning_rate,
                                                   total_steps=epochs * -(-len(x) // BATCH))
    with _one_thread():
        for _ in range(epochs):
            for places in torch.randperm(len(x), generator=generator).split(BATCH):
                inputs = _spike_rates(x[places], spike_samples, generator)
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(inputs), y[places]).backward()
                optimizer.step()
                schedule.step()


@contextmanager
def _one_thread() -> Iterator[None]:
    """Sums in one order whatever the number of cores; matrices this small gain nothing by more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _examples(images: Any, labels: Any, flat: bool = True) -> tuple[torch.Tensor, torch.Tensor]:
    x = torch.from_numpy(unit_array("images", images)).to(torch.float32)
    y = torch.from_numpy(real_array("labels", labels, "iu")).to(torch.int64)
    if x.ndim < 2 or (flat and x.ndim > 2) or x.numel() == 0:
        shape = "(n, n_input), both" if flat else "(n, ...), all"
        raise ValueError(f"images must have shape {shape} at least 1, not {tuple(x.shape)}")
    if y.shape != x.shape[:1]:
        raise ValueError(f"labels must have shape ({len(x)},), one for each image, "
                         f"not {tuple(y.shape)}")
    if y.min() < 0:
        raise ValueError(f"labels must be at least 0, not {int(y.min())}")
    return x, y


def _mlp(widths: Sequence[int], generator: torch.Generator) -> nn.Sequential:
    """Linear layers of the given widths with a ReLU between them, He-initialised."""
    modules: list[nn.Module] = []
    for n_input, n_output in pairwise(widths):
        # nn.Linear(...) itself would draw from the global random state
        linear = nn.utils.skip_init(nn.Linear, n_input, n_output, dtype=torch.float32)
        nn.init.kaiming_uniform_(linear.weight, nonlinearity="relu", generator=generator)
        nn.init.zeros_(linear.bias)
        modules += [linear, nn.ReLU()]
    return nn.Sequential(*modules[:-1])


def _spike_rates(x: torch.Tensor, timesteps: int, generator: torch.Generator) -> torch.Tensor:
    """Rates of Bernoulli spike trains; ``x`` itself for 0 timesteps."""
    if timesteps == 0:
        return x
    return torch.bernoulli(x.expand(timesteps, *x.shape), generator=generator).mean(0)
