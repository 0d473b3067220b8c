"""Fine-tuning with the weights that will be built: rounded forwards, trained behind the rounding.

::

    model = replace_relu_with_qcfs(model, T=8, calibration_data=images[:1000])
    fake_quantize(model, weight_width=4)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    for x, y in loader:                     # your own loop, for a few epochs
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(x), y).backward()
        optimizer.step()
    remove_fake_quantization(model)         # floats again, that round to what was trained
    network = quantize(convert(model.eval()), weight_width=4)

The gradient passes the rounding as if it weren't there (Bengio et al. 2013, "Estimating or
propagating gradients through stochastic neurons", section 4).

Libraries for this, torchao and Brevitas, choose scales of their own, from the greatest weight or
learned, and put layers of their own in the place of torch's. Here a scale has to be the one that
`sc_neurocore.quantization.quantize` will find, a whole threshold for each neuron, and torch's
parametrizations do all the rest.
"""

from collections.abc import Sequence
from typing import Any

from sc_neurocore.conversion.checks import check_at_least
from sc_neurocore.conversion.places import Place, find_places
from sc_neurocore.extras import require
from sc_neurocore.quantization import OVERSCALING

try:
    import torch
    from torch import nn
    from torch.nn.utils import parametrize
except ModuleNotFoundError:
    require("torch", "convert")
    raise

__all__ = ["fake_quantize", "remove_fake_quantization"]

SEARCH_EVERY = 32
"""Forward passes in training between two searches for the scales, which take as long as several."""


def fake_quantize(model: nn.Module, weight_width: int | Sequence[int] = 8) -> nn.Module:
    """Make every Linear and Conv of ``model`` compute with rounded weights and biases, in place.

    They are rounded as `sc_neurocore.quantization.quantize` will round those of the converted
    model: to the same integers, in evaluation mode. In training mode the scales are those of
    `SEARCH_EVERY` forward passes ago at most, and a BatchNorm after the layer counts with its
    running statistics, as conversion folds it.

    * A layer between QCFS activations, or between the input and one, has a whole threshold for
      each neuron or channel, measured in θ. Dropout, reshaping, max-pooling and average pooling of
      windows side by side may follow the activations.
    * The last layer has one scale. Scaling its rows differently afterwards undoes what was trained:
      that includes a BatchNorm which isn't part of ``model`` yet.
    * Next to anything else, such as a ReLU, λ isn't known before conversion. The scales are those
      of the row alone, not whole thresholds, and an integer may come out differently by 1; a bias
      is rounded if λ before its layer is known. What an addition sums up, as in a residual network,
      will have one scale, and here each summand has its own: there integers differ.

    Parameters
    ----------
    model : nn.Module
        One that torch.fx can trace, with an activation between any two layers with weights.
    weight_width : int in [2, 16], or one a layer, in the order of the forward pass
        Bits of a weight.

    Returns
    -------
    nn.Module
        ``model`` itself. Until `remove_fake_quantization`, ``weight`` and ``bias`` of its layers
        are the rounded ones, and the state dict has them as ``parametrizations.weight.original``.

    Raises
    ------
    TypeError
        If ``model`` is not a module or a width is not an integer.
    ValueError
        If a width is out of range, or if a layer can't be rounded; the message names it.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module, not {type(model).__name__}")
    places = find_places(model)
    widths = _widths(weight_width, len(places))
    for place in places:
        place.check()
    for place, width in zip(places, widths, strict=True):
        weight = _RoundedWeight(place, width).train(place.layer.training)
        parametrize.register_parametrization(place.layer, "weight", weight)
        biased = place.norm or place.layer
        if biased.bias is not None and place.before is not None:
            parametrize.register_parametrization(biased, "bias", _RoundedBias(weight))
    return model


def remove_fake_quantization(model: nn.Module) -> nn.Module:
    """Give the layers of ``model`` back the float weights and biases behind the rounded, in place.

    Converted and quantized to the same width, they become the integers that were trained.

    Returns
    -------
    nn.Module
        ``model`` itself.

    Raises
    ------
    TypeError
        If ``model`` is not a module.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module, not {type(model).__name__}")
    for module in list(model.modules()):
        for name in _rounded_names(module):
            # a deep copy shares the class that parametrize made, and would lose its weight, too
            kind: Any = type(module)
            module.__class__ = type(kind.__name__, kind.__bases__, dict(vars(kind)))
            parametrize.remove_parametrizations(module, name, leave_parametrized=False)
    return model


def _rounded_names(module: nn.Module) -> list[str]:
    """Parameters of a module that `fake_quantize` has rounded."""
    rounded: Any = module.parametrizations if parametrize.is_parametrized(module) else {}
    return [name for name, chain in rounded.items()
            if isinstance(chain[0], _RoundedWeight | _RoundedBias)]


def _widths(weight_width: int | Sequence[int], layers: int) -> list[int]:
    widths = (list(weight_width) if isinstance(weight_width, Sequence)
              else [weight_width] * layers)
    if len(widths) != layers:
        raise ValueError(f"weight_width must be one number, or one for each of {layers} layers, "
                         f"not {weight_width!r}")
    for width in widths:
        if check_at_least("weight_width", width, 2) > 16:
            raise ValueError(f"weight_width must be at most 16, not {width}")
    return widths


class _RoundedWeight(nn.Module):
    """(n_output, …) weights on the grid that quantization will find for them."""

    scales: torch.Tensor

    def __init__(self, place: Place, width: int) -> None:
        super().__init__()
        self.place, self.width, self.passes = place, width, 0

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        factors = self.place.factors()
        rows = weight.detach().double().flatten(1) * factors
        limit = 2 ** (self.width - 1) - 1
        if not self.training or self.passes % SEARCH_EVERY == 0:
            self.scales = _best_scales(rows.reshape(1, -1) if self.place.last else rows, limit,
                                       self.place.finest(rows.shape[1], self.width),
                                       self.place.whole)
        self.passes += self.training
        rounded = _rounded(rows, self.scales, limit) / (self.scales * factors)
        return _straight_through(weight, rounded.reshape(weight.shape))


class _RoundedBias(nn.Module):
    """(n_output,) biases on the grid of the weights, as these were last rounded."""

    def __init__(self, weight: _RoundedWeight) -> None:
        super().__init__()
        self.weight = (weight,)  # in a tuple it isn't a module of this one

    def forward(self, bias: torch.Tensor) -> torch.Tensor:
        place, scales = self.weight[0].place, self.weight[0].scales[:, 0]
        unit, shift = place.unit(), place.shift()
        rounded = torch.floor((bias.detach().double() + shift) / unit * scales + 0.5)
        return _straight_through(bias, rounded / scales * unit - shift)


def _straight_through(value: torch.Tensor, rounded: torch.Tensor) -> torch.Tensor:
    """``rounded``, with the gradient going to ``value``; where that is not finite, ``value``."""
    rounded = torch.where(rounded.isfinite(), rounded, value.detach())
    return rounded.to(value.dtype) + (value - value.detach())


def _best_scales(rows: torch.Tensor, limit: int, finest: float, whole: bool) -> torch.Tensor:
    """(n_rows, 1) scales of least squared error, as `sc_neurocore.quantization.quantize` does."""
    full = limit / rows.abs().amax(1, keepdim=True)
    best, least = torch.ones_like(full), torch.full_like(full, torch.inf)
    for factor in OVERSCALING.tolist():
        scales = (full * factor).clamp(max=finest)
        if whole:
            scales = torch.floor(scales * (1 + 1e-12)).clamp(min=1)
        error = rows - _rounded(rows, scales, limit) / scales
        squared = (error * error).sum(1, keepdim=True)
        best, least = torch.where(squared < least, scales, best), torch.minimum(squared, least)
    return best


def _rounded(rows: torch.Tensor, scales: torch.Tensor, limit: int) -> torch.Tensor:
    return torch.floor(rows * scales + 0.5).clamp(-limit, limit)
