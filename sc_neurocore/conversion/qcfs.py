"""QCFS: the activation that a spiking neuron computes exactly, for networks trained to be spiking.

References
----------
Bu et al. 2022, "Optimal ANN-SNN conversion for high-accuracy and ultra-low-latency spiking neural
networks", ICLR: the activation, and fine-tuning with it.
Li et al. 2021, "A free lunch from ANN: towards efficient, accurate spiking neural networks
calibration", ICML, section 4.1: the threshold of least squared error for a number of timesteps.
"""

import math
from typing import Any

import numpy as np

from sc_neurocore.conversion.checks import check_at_least, check_real, unit_array
from sc_neurocore.conversion.functional import in_mode, is_rectifier, with_relu_modules
from sc_neurocore.extras import require

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "convert")
    raise

__all__ = ["QCFSActivation", "replace_relu_with_qcfs"]

SMALLEST_THETA = 2.0**-10
"""What a learned θ becomes when a step of the optimizer takes it to 0 or below."""

_CANDIDATES = np.geomspace(1 / 64, 1, 128)
"""θs that are tried, in greatest activations: 3 % apart, where the error is flat."""

_BATCH = 500
_SAMPLES = 2**17
"""Activations of a ReLU that its θ is calibrated on, spread evenly over all."""


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

    A learned θ stays positive: where a step of an optimizer leaves it at 0 or below, it is set to
    `SMALLEST_THETA` the next time that anything reads ``theta``. Activations are above that, so
    dy/dθ is 1 and it can grow again.

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

    def __getattr__(self, name: str) -> Any:
        value = super().__getattr__(name)
        # A tracer, such as that of torch.onnx.export, can't follow a decision about a value.
        traced = torch.compiler.is_compiling() or torch.jit.is_tracing()
        if name == "theta" and isinstance(value, nn.Parameter) and not traced and value <= 0:
            with torch.no_grad():
                value.fill_(SMALLEST_THETA)
        return value

    def _save_to_state_dict(self, *args: Any) -> None:
        _ = self.theta  # made positive, if need be
        super()._save_to_state_dict(*args)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Quantize ``x``, of any shape, to multiples of θ/T in [0, θ]."""
        return _QCFS.apply(x, self.theta, self.T)

    def extra_repr(self) -> str:
        """Show T and θ in the module's repr."""
        learned = isinstance(self.theta, nn.Parameter)
        return f"T={self.T}, theta={self.theta.item():.4g}, learn_theta={learned}"


def replace_relu_with_qcfs(model: nn.Module, T: int = 8, theta: float = 1.0,
                           learn_theta: bool = True, calibration_data: Any = None,
                           percentile: float | None = None) -> nn.Module:
    """Swap every ReLU in ``model`` for a `QCFSActivation`, and so ReLU6 and Hardtanh from 0 on.

    What comes next is a few epochs of training, for θ and the weights to settle. They need fewer
    with calibration data: each θ then starts where that ReLU's activations, rounded and clipped to
    T + 1 levels, differ least from what they are, in squares (Li et al. 2021), or at a percentile.

    Modules are swapped in place. An instance that the model uses in several places is replaced by
    one that it uses in the same places. Where a ``forward`` calls functions or methods, be it relu,
    relu6, hardtanh or clamp from 0 on, a ``torch.fx.GraphModule`` of the model is returned, with
    modules for these and for dropout. It shares the weights of ``model``, keeps the names in the
    state dict, and leaves ``model`` as it was.

    Parameters
    ----------
    model : nn.Module
        One that torch.fx can trace.
    T, theta, learn_theta
        As for `QCFSActivation`. With calibration data, ``theta`` is for ReLUs that were never
        active.
    calibration_data : (n, ...) reals in [0, 1], optional
        Some of the training images, as a tensor or an array, n at least 1.
    percentile : float in (0, 100], optional
        Take this percentile of a ReLU's positive activations for its θ.

    Returns
    -------
    nn.Module
        ``model`` itself; a `QCFSActivation` if it is a ReLU itself; a ``GraphModule`` if there are
        functions to replace.

    Raises
    ------
    TypeError
        If ``model`` is not a module, or a parameter is of the wrong kind.
    ValueError
        If a parameter is out of range, or if the model can't be traced: the message names the line.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module, not {type(model).__name__}")
    QCFSActivation(T, theta)  # complains about either, be there a ReLU or not
    images = None if calibration_data is None else _images(calibration_data)
    if percentile is not None:
        percentile = check_real("percentile", percentile)
        if not 0 < percentile <= 100:
            raise ValueError(f"percentile must be in (0, 100], not {percentile}")
        if images is None:
            raise ValueError("percentile needs calibration_data to take it of")
    model = with_relu_modules(model)
    relus = [module for module in model.modules() if is_rectifier(module)]
    thetas = dict.fromkeys(relus, theta)
    if images is not None:
        thetas |= {relu: _best_theta(values, T, percentile)
                   for relu, values in _activations(model, relus, images).items() if len(values)}
    return _replaced(model, {relu: QCFSActivation(T, value, learn_theta).train(relu.training)
                             for relu, value in thetas.items()})


def _replaced(model: nn.Module, replacements: dict[nn.Module, QCFSActivation]) -> nn.Module:
    for parent in list(model.modules()):
        # named_children() would pass over the second place of a shared instance
        for name, child in parent._modules.items():
            if child in replacements:
                setattr(parent, name, replacements[child])
    return replacements.get(model, model)


def _images(data: Any) -> torch.Tensor:
    images = unit_array("calibration_data",
                        data.detach().cpu() if isinstance(data, torch.Tensor) else data)
    if images.ndim == 0 or images.size == 0:
        raise ValueError("calibration_data must have shape (n, ...) with n at least 1, "
                         f"not {images.shape}")
    return torch.from_numpy(images)


def _activations(model: nn.Module, relus: list[nn.Module], images: torch.Tensor
                 ) -> dict[nn.Module, np.ndarray]:
    """Positive outputs of each ReLU over the images, at most about `_SAMPLES` of them."""
    found: dict[nn.Module, list[torch.Tensor]] = {relu: [] for relu in relus}

    def keep(relu: nn.Module, _: Any, output: torch.Tensor) -> None:
        positive = output[output > 0]
        found[relu].append(positive[::1 + positive.numel() * len(images) // (_BATCH * _SAMPLES)])

    like = next(model.parameters(), images.float())
    hooks = [relu.register_forward_hook(keep) for relu in relus]
    try:
        with in_mode(model, False), torch.no_grad():
            for batch in images.split(_BATCH):
                model(batch.to(like.device, like.dtype))
    finally:
        for hook in hooks:
            hook.remove()
    return {relu: torch.cat([torch.empty(0), *(values.cpu() for values in parts)]).double().numpy()
            for relu, parts in found.items()}


def _best_theta(values: np.ndarray, T: int, percentile: float | None) -> float:
    """θ for positive activations: their percentile, or the one of least squared error at T."""
    if percentile is not None:
        return float(np.percentile(values, percentile))
    candidates = values.max() * _CANDIDATES
    steps = candidates / T
    errors = [np.square(np.minimum(np.floor(values / step + 0.5), T) * step - values).sum()
              for step in steps]
    return float(candidates[int(np.argmin(errors))])
