"""Convert a trained torch network to a rate-coded spiking one.

A rectified neuron's activation is a spiking neuron's rate, in units of its layer's scale λ: with
inputs in [0, 1] (λ = 1), layer l fires at a rate of activation / λ_l if its weights are
W_l · λ_{l−1}/λ_l, its biases b_l/λ_l and its threshold 1.

References
----------
Diehl et al. 2015, "Fast-classifying, high-accuracy spiking deep networks through weight and
threshold balancing", IJCNN: λ is the greatest activation.
Rueckauer et al. 2017, "Conversion of continuous-valued deep networks to efficient event-driven
networks for image classification", Frontiers in Neuroscience 11:682: λ is a high percentile, and
biases and batch normalization are converted along.
Bu et al. 2022, "Optimal ANN-SNN conversion for high-accuracy and ultra-low-latency spiking neural
networks", ICLR: λ is the trained threshold θ, and membranes start at θ/2.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from sc_neurocore.conversion.converted_snn import (
    ConvertedSNN,
    FloatArray,
    check_at_least,
    check_real,
    unit_array,
)
from sc_neurocore.conversion.qcfs import QCFSActivation, replace_relu_with_qcfs
from sc_neurocore.extras import require

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "convert")
    raise

__all__ = ["ConvertedSNN", "convert", "replace_relu_with_qcfs"]

_AFFINE = (nn.Linear, nn.BatchNorm1d)
_ACTIVATIONS = (nn.ReLU, nn.ReLU6, QCFSActivation)
_TRANSPARENT = (nn.Dropout, nn.Identity, nn.Flatten)
_SUPPORTED = {*_AFFINE, *_ACTIVATIONS, *_TRANSPARENT}
_DEFAULT_T = 16


def convert(model: nn.Module, calibration_data: Any = None, T: int | None = None,
            percentile: float = 99.9) -> ConvertedSNN:
    """Convert a trained network to a spiking one, its scales calibrated on data.

    ``model`` is a Sequential, nested or not, of Linear, BatchNorm1d, ReLU, ReLU6, QCFSActivation,
    Dropout, Identity and Flatten, or a single Linear. It is read and never run or changed. Its
    meaning is that of ``model.eval()``: batch normalization is folded with its running statistics
    and dropout does nothing. Linear layers without an activation between them become one. An
    activation at the end of the model makes its outputs spike counts; the class is still that of
    the largest logit, also where a ReLU would have made all of them 0.

    The scale λ of a layer is

    * θ of its QCFSActivation;
    * for a ReLU, and for the logits of an output layer without activation, the given percentile of
      its positive pre-activations over the calibration data (their greatest magnitude if none is
      positive, 1 if all are zero); 1 without calibration data;
    * for a ReLU6 the same but at most 6, at which it clips; 6 without calibration data.

    Parameters
    ----------
    model : nn.Module
    calibration_data : (n, n_input) reals in [0, 1], optional
        Some of the training images, as a tensor or an array; (n, ...) if ``model`` begins with
        Flatten. Without them, the rate of a ReLU whose activation is above 1 saturates.
    T : int, optional
        Timesteps, at least 1. By default those of the QCFS layers, otherwise 16.
    percentile : float in (0, 100]
        100 is the greatest activation (Diehl et al. 2015); a little less leaves out the outliers,
        which make every other rate small (Rueckauer et al. 2017).

    Returns
    -------
    ConvertedSNN
        With thresholds 1, and membranes that start at 0.5 if there is a QCFS layer, otherwise at 0.

    Raises
    ------
    TypeError
        If a parameter is of the wrong kind.
    ValueError
        If the model has no Linear or holds something that can't be converted, or if a value is out
        of range. The message names the layers by their paths.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module, not {type(model).__name__}")
    if T is not None:
        T = check_at_least("T", T, 1)
    percentile = check_real("percentile", percentile)
    if not 0 < percentile <= 100:
        raise ValueError(f"percentile must be in (0, 100], not {percentile}")
    leaves = _supported_leaves(model)
    layers = _layers(leaves)
    qcfs = [layer for layer in layers if isinstance(layer.activation, QCFSActivation)]
    timesteps = _common_timesteps(qcfs) if T is None else T
    images = None
    if calibration_data is not None:
        images = _calibration_images(calibration_data, layers[0].map.n_input,
                                     flatten=_begins_with_flatten(leaves))
    scales = _scales(layers, images, percentile)
    return ConvertedSNN(
        weights=[layer.map.matrix() * (before / scale) for layer, before, scale
                 in zip(layers, [1.0, *scales], scales, strict=False)],
        biases=[None if layer.map.bias is None else layer.map.bias / scale
                for layer, scale in zip(layers, scales, strict=True)],
        thresholds=[1.0] * len(layers), T=timesteps,
        initial_membrane_fraction=0.5 if qcfs else 0.0)


@dataclass(frozen=True)
class _Affine:
    """x ↦ W·x + b. A vector as ``weight`` is the diagonal of W; b = None is exactly absent."""

    weight: FloatArray
    bias: FloatArray | None

    @property
    def n_input(self) -> int:
        return self.weight.shape[-1]

    @property
    def n_output(self) -> int:
        return self.weight.shape[0]

    def matrix(self) -> FloatArray:
        return self.weight if self.weight.ndim == 2 else np.diag(self.weight)

    def apply(self, x: FloatArray) -> FloatArray:
        """Map each row of (n, n_input) to one of (n, n_output)."""
        y = x @ self.weight.T if self.weight.ndim == 2 else x * self.weight
        return y if self.bias is None else y + self.bias

    def after(self, first: "_Affine") -> "_Affine":
        """The map that does ``first`` and then this one."""
        # W·diag(v) scales columns, which is what broadcasting does; diag(v)·W scales rows
        if first.weight.ndim == 1:
            weight = self.weight * first.weight
        elif self.weight.ndim == 1:
            weight = self.weight[:, None] * first.weight
        else:
            weight = self.weight @ first.weight
        return _Affine(weight, self.bias if first.bias is None else self.apply(first.bias))


@dataclass(frozen=True)
class _Layer:
    """A layer of neurons: an affine map and the activation after it, None for logits."""

    path: str
    map: _Affine
    activation: Any


def _leaves(path: str, module: Any) -> Iterator[tuple[str, Any]]:
    """Modules in the order of the forward pass, Sequentials opened."""
    if _runs_in_order(module) and not _obstacle(module):
        # named_children() would pass over the second place of a shared module
        for name, child in module._modules.items():
            yield from _leaves(f"{path}.{name}", child)
    else:
        yield path, module


def _runs_in_order(module: Any) -> bool:
    """Whether this is a Sequential, or a subclass that leaves the forward pass as it is."""
    return isinstance(module, nn.Sequential) and all(
        getattr(type(module), name) is getattr(nn.Sequential, name)
        for name in ("forward", "__call__", "__iter__"))


def _obstacle(module: Any) -> str | None:
    """Why a module of a supported type can't be converted."""
    if module._forward_hooks or module._forward_pre_hooks:
        return "has forward hooks"
    if "forward" in vars(module):
        return "has a forward of its own"
    if type(module) is nn.BatchNorm1d and module.running_mean is None:
        return "has no running statistics"
    if type(module) is nn.Flatten and (module.start_dim, module.end_dim) != (1, -1):
        return (f"flattens dimensions {module.start_dim} to {module.end_dim}, "
                "not 1 to -1, all of an image")
    return None


def _supported_leaves(model: nn.Module) -> list[tuple[str, Any]]:
    """Leaves of the model, or one error about all that can't be converted."""
    leaves = list(_leaves("model", model))
    complaints = []
    for path, module in leaves:
        if type(module) not in _SUPPORTED and not _runs_in_order(module):
            complaints.append(f"{path} ({_type_name(module)})")
        elif reason := _obstacle(module):
            complaints.append(f"{path} ({_type_name(module)}) {reason}")
    supported = ("supported are Sequential of "
                 f"{', '.join(sorted(kind.__name__ for kind in _SUPPORTED))}")
    if not any(isinstance(module, nn.Linear) for module in model.modules()):
        unsupported = f"not supported: {'; '.join(complaints)}; " if complaints else ""
        raise ValueError(f"No Linear layers found in model; {unsupported}{supported}")
    if complaints:
        raise ValueError(f"Can't convert {'; '.join(complaints)}; {supported}")
    return leaves


def _type_name(module: Any) -> str:
    kind = type(module)
    known = kind in _SUPPORTED or kind.__module__.startswith("torch.nn.modules.")
    return kind.__name__ if known else f"{kind.__module__}.{kind.__qualname__}"


def _layers(leaves: list[tuple[str, Any]]) -> list[_Layer]:
    """Compose affine maps; each activation closes a layer, and so does the end of the model."""
    layers: list[_Layer] = []
    pending: _Affine | None = None
    for path, module in leaves:
        if isinstance(module, _TRANSPARENT):
            continue
        width = pending.n_output if pending else layers[-1].map.n_output if layers else None
        if isinstance(module, _AFFINE):
            step = _affine(path, module)
            if width is not None and step.n_input != width:
                raise ValueError(f"{path} ({_type_name(module)}) must take {width} values, as many "
                                 f"as the layer before it gives, not {step.n_input}")
            pending = step.after(pending) if pending else step
            continue
        _check_activation(path, module)
        if pending is None:
            if isinstance(module, nn.ReLU):
                continue  # activations and inputs are never negative
            if width is None:
                raise ValueError(f"{path} ({_type_name(module)}) must come after a Linear or "
                                 "BatchNorm1d, not first")
            pending = _Affine(np.ones(width), None)
        layers.append(_Layer(path, pending, module))
        pending = None
    if pending is not None:
        layers.append(_Layer(path, pending, None))
    return layers


def _affine(path: str, module: Any) -> _Affine:
    """The map of a Linear or, in evaluation mode, a BatchNorm1d, in float64."""
    if isinstance(module, nn.Linear):
        weight = _numbers(f"{path}.weight", module.weight)
        return _Affine(weight, None if module.bias is None
                       else _numbers(f"{path}.bias", module.bias))
    mean = _numbers(f"{path}.running_mean", module.running_mean)
    variance = _numbers(f"{path}.running_var", module.running_var)
    if (variance + module.eps <= 0).any():
        raise ValueError(f"{path}.running_var must be greater than -eps, not {variance.min()}")
    scale = 1 / np.sqrt(variance + module.eps)
    if module.weight is not None:
        scale = scale * _numbers(f"{path}.weight", module.weight)
    shift = 0.0 if module.bias is None else _numbers(f"{path}.bias", module.bias)
    return _Affine(scale, shift - mean * scale)


def _numbers(name: str, tensor: torch.Tensor) -> FloatArray:
    if tensor.is_complex():
        raise ValueError(f"{name} must be real, not {tensor.dtype}")
    array = tensor.detach().to("cpu", torch.float64).numpy()
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite, but holds {array[~np.isfinite(array)][0]}")
    return array


def _check_activation(path: str, module: Any) -> None:
    if isinstance(module, QCFSActivation):
        check_at_least(f"{path}.T", module.T, 1)
        theta = _numbers(f"{path}.theta", module.theta).item()
        if theta <= 0:
            raise ValueError(f"{path}.theta must be greater than 0, not {theta}")


def _common_timesteps(qcfs: list[_Layer]) -> int:
    """T of the QCFS layers, if they agree, or the default where there is none."""
    trained = {layer.path: layer.activation.T for layer in qcfs}
    if len(set(trained.values())) > 1:
        found = ", ".join(f"{path}: {T}" for path, T in trained.items())
        raise ValueError(f"The QCFS layers must share one T unless T is given, not {found}")
    return next(iter(trained.values()), _DEFAULT_T)


def _begins_with_flatten(leaves: list[tuple[str, Any]]) -> bool:
    first = next(module for _, module in leaves
                 if not isinstance(module, nn.Dropout | nn.Identity | nn.ReLU))
    return isinstance(first, nn.Flatten)


def _calibration_images(data: Any, n_input: int, flatten: bool) -> FloatArray:
    """Calibration data as (n, n_input) float64."""
    if isinstance(data, torch.Tensor):
        data = data.detach().cpu()
    images = unit_array("calibration_data", data)
    shape = images.shape
    if flatten and len(shape) > 2 and shape[0] > 0:
        images = images.reshape(shape[0], -1)
    if images.ndim != 2 or images.shape[1] != n_input or len(images) == 0:
        raise ValueError(f"calibration_data must have shape (n, {n_input}) with n at least 1, "
                         f"not {shape}")
    return images


def _scales(layers: list[_Layer], images: FloatArray | None, percentile: float) -> list[float]:
    """λ of each layer, from the activations that flow through the ANN if there are images."""
    scales = []
    for layer in layers:
        currents = None if images is None else layer.map.apply(images)
        scales.append(_scale(layer.activation, currents, percentile))
        images = None if currents is None else _activate(layer.activation, currents)
    return scales


def _scale(activation: Any, currents: FloatArray | None, percentile: float) -> float:
    """λ of a layer; ``currents`` are its pre-activations over the calibration data."""
    if isinstance(activation, QCFSActivation):
        return activation.theta.item()
    limit = 6.0 if isinstance(activation, nn.ReLU6) else np.inf
    if currents is None:
        return limit if limit < np.inf else 1.0
    positive = currents[currents > 0]
    if positive.size:
        return min(float(np.percentile(positive, percentile)), limit)
    return min(float(np.abs(currents).max()) or 1.0, limit)


def _activate(activation: Any, currents: FloatArray) -> FloatArray:
    """What the ANN's activation makes of ``currents``, in float64."""
    if isinstance(activation, QCFSActivation):
        T, theta = activation.T, activation.theta.item()
        return np.clip(np.floor(currents * T / theta + 0.5), 0, T) * theta / T
    return np.clip(currents, 0, 6.0 if isinstance(activation, nn.ReLU6) else None)
