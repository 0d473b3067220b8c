"""The trained networks as plain PyTorch, from a job's description and a file of weights."""

from itertools import pairwise
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn


class QCFS(nn.Module):
    """The QCFS activation (Bu et al. 2022), for the accuracy of the ANN alone."""

    def __init__(self, T: int) -> None:
        super().__init__()
        self.T = T
        self.theta = nn.Parameter(torch.tensor(1.0))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        steps = torch.floor(x * self.T / self.theta + 0.5)
        return steps.clamp(0, self.T) * self.theta / self.T


def load_network(description: dict[str, Any], activation: Any = None) -> nn.Sequential:
    """Make the network of a job's description.

    Parameters
    ----------
    description : dict
        ``widths``, ``channels``, ``T`` (0 for ReLU) and ``weights``, a file of safetensors.
    activation : callable, optional
        Makes a QCFS activation from T; a module whose only parameter is ``theta``.
    """
    T, channels, widths = description["T"], description["channels"], description["widths"]
    modules: list[nn.Module] = []
    for n_input, n_output in zip([1, *channels], channels, strict=False):
        modules += [nn.Conv2d(n_input, n_output, 5), _activation(T, activation), nn.AvgPool2d(2)]
    if channels:
        modules.append(nn.Flatten())
    for n_input, n_output in pairwise(widths):
        modules += [nn.Linear(n_input, n_output), _activation(T, activation)]
    model = nn.Sequential(*modules[:-1])
    model.load_state_dict(load_file(description["weights"]))
    return model.eval().requires_grad_(False)


def _activation(T: int, activation: Any) -> nn.Module:
    return (activation or QCFS)(T) if T else nn.ReLU()
