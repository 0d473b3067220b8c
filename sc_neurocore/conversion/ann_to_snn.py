"""Convert a trained torch network to a rate-coded spiking one.

A rectified neuron's activation is a spiking neuron's rate, in units of its scale λ: with inputs in
[0, 1] (λ = 1), a layer fires at a rate of activation / λ if its weights are W · λ_source / λ, its
biases b / λ and its threshold 1. Where branches of a residual network meet, each weight has the λ
of the branch that it comes from, so that all count in the same units.

References
----------
Diehl et al. 2015, "Fast-classifying, high-accuracy spiking deep networks through weight and
threshold balancing", IJCNN: λ is the greatest activation.
Rueckauer et al. 2017, "Conversion of continuous-valued deep networks to efficient event-driven
networks for image classification", Frontiers in Neuroscience 11:682: λ is a high percentile, and
biases and batch normalization are converted along.
Li et al. 2021, "A free lunch from ANN: towards efficient, accurate spiking neural networks
calibration", ICML: λ is what loses least in so many timesteps.
Hu et al. 2021, "Spiking deep residual networks", IEEE TNNLS 34:5200: residual blocks.
Bu et al. 2022, "Optimal ANN-SNN conversion for high-accuracy and ultra-low-latency spiking neural
networks", ICLR: λ is the trained threshold θ, and membranes start at θ/2.
"""

from collections.abc import Sequence
from math import prod
from typing import Any

from sc_neurocore.conversion.ann import AnnGraph, AnnLayer
from sc_neurocore.conversion.converted_snn import (
    ConvertedSNN,
    FloatArray,
    check_at_least,
    check_real,
    unit_array,
)
from sc_neurocore.conversion.graph import TracedModel
from sc_neurocore.conversion.qcfs import replace_relu_with_qcfs
from sc_neurocore.conversion.scales import Balancing
from sc_neurocore.extras import require
from sc_neurocore.network import SCHEDULES
from sc_neurocore.synapses import INPUT, Dense, Source, Synapses

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "convert")
    raise

__all__ = ["ConvertedSNN", "convert", "replace_relu_with_qcfs", "scaled_network"]

_DEFAULT_T = 16


def convert(model: nn.Module, calibration_data: Any = None, T: int | None = None,
            percentile: float = 99.9, *, scale: str = "percentile", per_channel: bool = False,
            initial_membrane_fraction: float | None = None, schedule: str = "pipelined",
            input_shape: Sequence[int] | None = None) -> ConvertedSNN:
    """Convert a trained network to a spiking one, its scales calibrated on data.

    ``model`` is made of Linear, Conv1d, Conv2d, BatchNorm1d, BatchNorm2d, ReLU, ReLU6,
    QCFSActivation, AvgPool, AdaptiveAvgPool, MaxPool, Flatten, Dropout and Identity, as modules,
    functions or methods, in any order, and of sums of their results, as in residual networks. Its
    forward pass is traced with torch.fx: it must not decide by values. It is never changed. Its
    meaning is that of ``model.eval()``: batch normalization is folded with its running statistics
    and dropout does nothing. All that lies between two activations becomes the synapses of one
    layer, exactly. An activation at the end of the model makes its outputs spike counts; the class
    is still that of the largest logit, also where a ReLU would have made all of them 0.

    The scale λ of a layer is

    * θ of its QCFSActivation;
    * for a ReLU, and for the logits of an output layer without activation, the given percentile of
      its positive pre-activations over the calibration data (their greatest magnitude if none is
      positive, 1 if all are zero); 1 without calibration data;
    * for a ReLU6 the same but at most 6, at which it clips; 6 without calibration data.

    Parameters
    ----------
    model : nn.Module
    calibration_data : (n, …) reals in [0, 1], optional
        Some of the training images, as a tensor or an array, of the shape that the model takes; or
        (n, n_input), which is reshaped to ``input_shape``. Without them, the rate of a ReLU whose
        activation is above 1 saturates.
    T : int, optional
        Timesteps, at least 1. By default those of the QCFS layers, otherwise 16. If it is given,
        the QCFS layers may have been trained with any T, or several: each keeps its θ, which now
        makes T steps, and the accuracy of T = 1, 2, … of them is for the user to find out.
    percentile : float in (0, 100]
        A little less than 100 leaves out the outliers, which make every other rate small (Rueckauer
        et al. 2017).
    scale : "percentile", "max" or "mse"
        ``max`` is the greatest activation (Diehl et al. 2015). ``mse`` is the λ for which
        clip(⌊a · T/λ + initial membrane⌋, 0, T) · λ/T has the least squared error from the
        activations a (Li et al. 2021); logits have the percentile.
    per_channel : bool
        A λ for each neuron of a dense layer and each channel of a convolution; one that is never
        active has that of its layer. The output layer always shares one.
    initial_membrane_fraction : float in [0, 1), optional
        By default 0.5 if there is a QCFS layer, otherwise 0.
    schedule : "pipelined" or "layer_by_layer"
        See `ConvertedSNN`. Max-pooling is exact under layer_by_layer and refused otherwise.
    input_shape : sequence of int, optional
        Of one image as the model takes it, such as (1, 28, 28); by default that of the calibration
        data, or what a Linear at the beginning takes.

    Returns
    -------
    ConvertedSNN
        With thresholds 1.

    Raises
    ------
    TypeError
        If a parameter is of the wrong kind.
    ValueError
        If the model has no weights or holds something that can't be converted, or if a value is out
        of range. The message names all such modules by their paths.
    """
    Balancing(scale, percentile, per_channel)
    graph, images, timesteps = read_model(model, calibration_data, T, schedule, input_shape)
    initial = _initial_membrane(graph, initial_membrane_fraction)
    balancing = Balancing(scale, percentile, per_channel, timesteps, initial)
    return scaled_network(graph, balancing.scales(graph, images), timesteps, initial, schedule)


def read_model(model: nn.Module, calibration_data: Any, T: int | None, schedule: str,
               input_shape: Sequence[int] | None) -> tuple[AnnGraph, FloatArray | None, int]:
    """Layers of the model, calibration images (n, …) if there are, timesteps; as of `convert`."""
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module, not {type(model).__name__}")
    if T is not None:
        T = check_at_least("T", T, 1)
    if schedule not in SCHEDULES:
        raise ValueError(f"schedule must be one of {', '.join(SCHEDULES)}, not {schedule!r}")
    traced = TracedModel(model)
    shape = None if input_shape is None else _shape(input_shape)
    images = None
    if calibration_data is not None:
        images = _calibration_images(calibration_data, shape, traced)
        shape = images.shape[1:]
    graph = traced.layers(shape, max_pool=schedule == "layer_by_layer")
    return graph, images, _common_timesteps(graph) if T is None else T


def scaled_network(graph: AnnGraph, scales: list[FloatArray], T: int,
                   initial_membrane_fraction: float = 0.0, schedule: str = "pipelined"
                   ) -> ConvertedSNN:
    """Make the spiking network whose neurons fire at activation / λ.

    Parameters
    ----------
    graph : AnnGraph
    scales : list of (n_output,) arrays
        λ of each layer's neurons, greater than 0, the same all over a channel.
    T, initial_membrane_fraction, schedule
        Of the `ConvertedSNN`.
    """
    weights: list[Any] = []
    for layer, scale in zip(graph.layers, scales, strict=True):
        parts = tuple(_scaled(synapses, source, scales, scale) for synapses, source
                      in zip(layer.synapses, layer.sources, strict=True))
        weights.append(parts if len(parts) > 1 else
                       parts[0].weights if isinstance(parts[0], Dense) else parts[0])
    return ConvertedSNN(
        weights=weights,
        biases=[None if layer.bias is None else layer.bias / scale
                for layer, scale in zip(graph.layers, scales, strict=True)],
        thresholds=[1.0] * len(weights), T=T,
        initial_membrane_fraction=initial_membrane_fraction, schedule=schedule,
        sources=[None if layer.sources == (Source(i - 1),) else layer.sources
                 for i, layer in enumerate(graph.layers)], scales=list(scales))


def _scaled(synapses: Synapses, source: Source, scales: list[FloatArray], scale: FloatArray
            ) -> Synapses:
    """Synapses in units of the λs on either side."""
    by_row = scale.reshape(-1, synapses.positions)[:, :1]
    synapses = synapses.with_rows(synapses.rows / by_row)
    if source.layer == INPUT:
        return synapses
    before = scales[source.layer]
    return synapses.scale_inputs(
        before if source.max_pool is None else source.max_pool.apply(before[None])[0])


def _shape(input_shape: Sequence[int]) -> tuple[int, ...]:
    if not isinstance(input_shape, Sequence) or not input_shape:
        raise TypeError(f"input_shape must be a sequence of integers, not {input_shape!r}")
    return tuple(check_at_least(f"input_shape[{i}]", size, 1)
                 for i, size in enumerate(input_shape))


def _calibration_images(data: Any, given: tuple[int, ...] | None, traced: TracedModel
                        ) -> FloatArray:
    """Calibration data as (n, …) float64, of the shape that the model takes."""
    if isinstance(data, torch.Tensor):
        data = data.detach().cpu()
    images = unit_array("calibration_data", data)
    found, expected = images.shape[1:], given or traced.input_shape
    fits = len(found) > 0 and images.size > 0
    if fits and expected is not None:
        fits = found == expected or (prod(found) == prod(expected) and (
            given is not None or traced.flattens))
    if not fits:
        sizes = "…" if expected is None else ", ".join(map(str, expected))
        raise ValueError(f"calibration_data must have shape (n, {sizes}) with n at least 1, "
                         f"not {images.shape}")
    return images if given is None else images.reshape(-1, *given)


def _qcfs(graph: AnnGraph) -> list[AnnLayer]:
    return [layer for layer in graph.layers if layer.activation and layer.activation.T is not None]


def _common_timesteps(graph: AnnGraph) -> int:
    """T of the QCFS layers, if they agree, or the default where there is none."""
    trained = {layer.path: layer.activation.T for layer in _qcfs(graph)
               if layer.activation and layer.activation.T}
    if len(set(trained.values())) > 1:
        found = ", ".join(f"{path}: {T}" for path, T in trained.items())
        raise ValueError(f"The QCFS layers must share one T unless T is given, not {found}")
    return next(iter(trained.values()), _DEFAULT_T)


def _initial_membrane(graph: AnnGraph, given: float | None) -> float:
    if given is None:
        return 0.5 if _qcfs(graph) else 0.0
    fraction = check_real("initial_membrane_fraction", given)
    if not 0 <= fraction < 1:
        raise ValueError(f"initial_membrane_fraction must be in [0, 1), not {fraction}")
    return fraction
