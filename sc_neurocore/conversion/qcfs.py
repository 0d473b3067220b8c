"""QCFS: the activation that a spiking neuron computes exactly, for networks trained to be spiking.

Bu, Fang, Ding, Dai, Yu, Huang 2022, "Optimal ANN-SNN conversion for high-accuracy and
ultra-low-latency spiking neural networks", ICLR.
"""

import math
from typing import Any

from sc_neurocore.conversion.converted_snn import check_at_least, check_real
from sc_neurocore.extras import require

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "convert")
    raise

__all__ = ["QCFSActivation", "replace_relu_with_qcfs"]


class _QCFS(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, theta: torch.Tensor, T: int) -> torch.Tensor:
        y = torch.clamp(torch.floor(x * T / theta + 0.5), 0, T) * theta / T
        ctx.save_for_backward(x, theta, y)
        return y

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        (gradient,) = gradients
        x, theta, y = ctx.saved_tensors
        inside = (x >= 0) & (x <= theta)
        towards_x = towards_theta = None
        if ctx.needs_input_grad[0]:
            towards_x = torch.where(inside, gradient, 0.0)
        if ctx.needs_input_grad[1]:
            slope = torch.where(inside, (y - x) / theta, (x > theta).to(x.dtype))
            towards_theta = (gradient * slope).sum(dtype=theta.dtype)
        return towards_x, towards_theta, None


class QCFSActivation(nn.Module):
    """Quantization, clip, floor, shift: what a neuron's spike count says after T timesteps.

    ::

        y = clip(floor(x · T/θ + 0.5), 0, T) · θ/T

    That many spikes of size θ, over T, a neuron of threshold θ makes if it starts at θ/2 and gets
    the current x in each of T timesteps. The floor has no useful derivative, so the gradient goes
    straight through it: dy/dx = 1 for 0 <= x <= θ, otherwise 0. As for a learned step size (Esser
    et al. 2020, "Learned step size quantization", ICLR), dy/dθ = y/θ − x/θ there, 1 above, 0 below.

    Parameters
    ----------
    T : int
        Timesteps, at least 1: the activation has T + 1 levels.
    theta : float
        Greatest value, the neuron's threshold; greater than 0.
    learn_theta : bool
        Whether θ is a parameter to be trained, or a buffer. ``theta`` in the state dict either way.

    Raises
    ------
    TypeError, ValueError
        If T or theta has the wrong kind or range.
    """

    theta: torch.Tensor

    def __init__(self, T: int = 8, theta: float = 1.0, learn_theta: bool = False) -> None:
        super().__init__()
        self.T = check_at_least("T", T, 1)
        value = check_real("theta", theta)
        if not 0 < value < math.inf:
            raise ValueError(f"theta must be greater than 0 and finite, not {value}")
        if learn_theta:
            self.theta = nn.Parameter(torch.tensor(value))
        else:
            self.register_buffer("theta", torch.tensor(value))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Quantize ``x``, of any shape, to multiples of θ/T in [0, θ]."""
        return _QCFS.apply(x, self.theta, self.T)

    def extra_repr(self) -> str:
        """Show T and θ in the module's repr."""
        learned = isinstance(self.theta, nn.Parameter)
        return f"T={self.T}, theta={self.theta.item():.4g}, learn_theta={learned}"


def replace_relu_with_qcfs(model: nn.Module, T: int = 8, theta: float = 1.0,
                           learn_theta: bool = True) -> nn.Module:
    """Swap every nn.ReLU and nn.ReLU6 in ``model`` for a `QCFSActivation`, in place.

    What comes next is a few epochs of training, for θ and the weights to settle. An instance that
    the model uses in several places is replaced by one that it uses in the same places. Functions
    such as ``torch.relu`` in a ``forward`` are not modules, and stay.

    Parameters
    ----------
    model : nn.Module
    T, theta, learn_theta
        As for `QCFSActivation`.

    Returns
    -------
    nn.Module
        ``model`` itself; a `QCFSActivation` if it is a ReLU itself.

    Raises
    ------
    TypeError, ValueError
        If ``model`` is not a module, or T or theta has the wrong kind or range.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module, not {type(model).__name__}")
    replacements = {relu: QCFSActivation(T, theta, learn_theta).train(relu.training)
                    for relu in model.modules() if type(relu) in (nn.ReLU, nn.ReLU6)}
    for parent in list(model.modules()):
        # named_children() would pass over the second place of a shared instance
        for name, child in parent._modules.items():
            if child in replacements:
                setattr(parent, name, replacements[child])
    return replacements.get(model, model)
