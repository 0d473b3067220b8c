"""What the peers do with layers that they can't convert: refuse them, leave them, drop them?"""

from collections.abc import Callable
from typing import Any

import numpy as np
import sinabs.layers as sl
import torch
from methods import sinabs_converted, spikingjelly_converted
from spikingjelly.activation_based import functional
from spikingjelly.activation_based.ann2snn import RateCodingRecipe
from spikingjelly.activation_based.neuron import BaseNode
from torch import nn

from sc_neurocore.conversion import convert as sc_neurocore_convert

TIMESTEPS = 256

_ANALOG = (nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.MaxPool2d)


class _Functional(nn.Module):
    """A ReLU that is no module."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.last = nn.Linear(64, 64), nn.Linear(64, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.relu(self.first(x)))


class _Residual(_Functional):
    def __init__(self) -> None:
        super().__init__()
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.relu(self.first(x)) + x)


def _perceptron(*between: nn.Module) -> nn.Sequential:
    return nn.Sequential(nn.Linear(64, 32), *between, nn.Linear(32, 10))


def _normalized() -> nn.Sequential:
    model = _perceptron(nn.BatchNorm1d(32), nn.ReLU())
    for _ in range(50):
        model.train()(torch.rand(256, 64))  # statistics that are not 0 and 1
    return model


def _convolutional(*between: nn.Module, width: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), *between, nn.Flatten(),
                         nn.Linear(width, 10))


PROBES: dict[str, Callable[[], nn.Module]] = {
    "ReLU": lambda: _perceptron(nn.ReLU()),
    "ReLU6": lambda: _perceptron(nn.ReLU6()),
    "LeakyReLU": lambda: _perceptron(nn.LeakyReLU(0.5)),
    "torch.relu": _Functional,
    "residual addition": _Residual,
    "BatchNorm1d": _normalized,
    "Conv2d": lambda: _convolutional(width=144),
    "MaxPool2d": lambda: _convolutional(nn.MaxPool2d(2), width=36),
}
"""Small networks by what is special about them; the first is a control."""


def measure(job: dict[str, Any]) -> list[dict[str, str]]:
    """Convert every small network with every peer and say what came of it."""
    torch.set_num_threads(1)
    rows = []
    for name, make in PROBES.items():
        for peer, probe in (("spikingjelly", _spikingjelly), ("sinabs", _sinabs),
                            ("sc-neurocore", _sc_neurocore)):
            torch.manual_seed(0)
            model = make().eval().requires_grad_(False)
            flat = isinstance(next(model.children()), nn.Linear)
            images = torch.rand((100, 64) if flat else (100, 1, 8, 8))
            try:
                outcome = probe(model, images)
            except Exception as error:  # whatever a peer raises is its answer
                text = " ".join(str(error).split())
                outcome = f"{type(error).__name__}: {text[:120]}"
            rows.append(dict(probe=name, peer=peer, outcome=outcome))
    return rows


def _spikingjelly(model: nn.Module, images: torch.Tensor) -> str:
    converted = spikingjelly_converted(model, RateCodingRecipe([images], mode="max"))
    functional.reset_net(converted)
    outputs = sum(converted(images) for _ in range(TIMESTEPS)) / TIMESTEPS
    return _left(converted, BaseNode) + _agreement(model(images), outputs)


def _sinabs(model: nn.Module, images: torch.Tensor) -> str:
    converted = sinabs_converted(model, TIMESTEPS)
    outputs = converted(images.repeat_interleave(TIMESTEPS, 0))
    return (_left(converted, sl.StatefulLayer)
            + _agreement(model(images), outputs.unflatten(0, (-1, TIMESTEPS)).mean(1)))


def _sc_neurocore(model: nn.Module, images: torch.Tensor) -> str:
    snn = sc_neurocore_convert(model, images, T=TIMESTEPS)
    rates = torch.from_numpy(snn.run(images.numpy().astype(np.float64)) / snn.T)
    layers = [module for module in model.modules() if not list(module.children())]
    kept = [module for module in layers if isinstance(module, nn.Linear | nn.Conv2d | nn.ReLU)]
    dropped = sorted({type(module).__name__ for module in layers if module not in kept})
    # its outputs are spikes of threshold 1: nothing below 0 or above 1 can be told apart
    return (f"converted, {len(snn.weights)} layers"
            + (f", without {', '.join(dropped)}" if dropped else "")
            + _agreement(model(images).clamp(0, 1), rates))


def _left(converted: nn.Module, spiking: type) -> str:
    """Say what is spiking, and which layers stayed as they were."""
    layers = sum(isinstance(module, spiking) for module in converted.modules())
    analog = sorted({type(module).__name__ for module in converted.modules()
                     if isinstance(module, _ANALOG)})
    return (f"converted, {layers} spiking layers"
            + (f", {', '.join(analog)} left as it was" if analog else ""))


def _agreement(ann: torch.Tensor, snn: torch.Tensor) -> str:
    correlation = np.corrcoef(ann.flatten().numpy(), snn.flatten().numpy())[0, 1]
    return f"; correlation with the ANN's outputs {correlation:.3f}"
