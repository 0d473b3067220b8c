"""Why a spiking network differs from the one that it was converted from, layer by layer.

::

    answer = report(model, snn, images, labels, network)
    print(answer)                           # a table, and what to do about it
    json.dumps(answer.as_dict())

Between the trained network and the integers there is a chain of networks, each with one more cause
of error: see `sc_neurocore.conversion.report.causes`. With A_0, …, A_K the values of a layer in
each of them, all neurons and images,

    d_k = A_k − A_{k−1}             what cause k changes
    e   = A_K − A_0 = Σ d_k         what is wrong in the end
    error of a cause  = √⟨d_k, d_k⟩ / √⟨A_0, A_0⟩
    share of a cause  = ⟨d_k, e⟩ / ⟨e, e⟩

Shares add up to 1; that of a cause which makes up for others is negative. A layer's errors include
those that it receives from the layers before.
"""

from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Union

import numpy as np
import numpy.typing as npt

from sc_neurocore.conversion.ann import AnnGraph
from sc_neurocore.conversion.checks import FloatArray, check_at_least, refuse, unit_array
from sc_neurocore.conversion.converted_snn import ENCODERS, TOLERANCE, ConvertedSNN
from sc_neurocore.conversion.report.advice import NOTABLE_ERROR, advice
from sc_neurocore.conversion.report.causes import Chain
from sc_neurocore.network import IntegerNetwork

if TYPE_CHECKING:
    from torch import nn

SATURATED_IMAGES = 0.01
"""Share of the images in which a neuron must spike in every timestep, and should more often."""

_NOISE = 1e-12
"""Variance, relative to the squared mean, that rounding errors make of equal values."""


@dataclass(frozen=True)
class LayerReport:
    """One layer; ratios, not percent.

    ``path``: its name in the model. ``correlation``: Pearson's, of the last network's values with
    the trained network's, over neurons and images; None if either are all the same. ``error``: the
    root mean square of their difference, relative to that of the trained network's (to λ's if those
    are 0). ``errors`` and ``shares``: of each cause, see the module; shares are 0 if there is no
    error.

    The others are indices of hidden neurons. ``dead``: no spike in any image, though the activation
    is positive in some. ``silent``: neither. ``saturated``: at T spikes with an activation above λ
    in more than `SATURATED_IMAGES` of the images.
    """

    path: str
    neurons: int
    correlation: float | None
    error: float
    errors: dict[str, float]
    shares: dict[str, float]
    dead: tuple[int, ...]
    silent: tuple[int, ...]
    saturated: tuple[int, ...]

    @property
    def main_cause(self) -> str | None:
        """The one with the greatest share, of an error that is at least `NOTABLE_ERROR`."""
        notable = self.error >= NOTABLE_ERROR
        return max(self.shares, key=self.shares.__getitem__) if notable else None


@dataclass(frozen=True)
class ConversionReport:
    """All layers; ``str()`` makes a table of them.

    ``accuracy``: of the trained network, ``ann``, and after each cause; None without labels.
    """

    layers: tuple[LayerReport, ...]
    accuracy: dict[str, float] | None
    images: int
    timesteps: int
    schedule: str
    encoder: str
    suggestions: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Numbers, strings, lists and None alone, as JSON has them."""
        values = {name: list(value) if isinstance(value, tuple) else value
                  for name, value in asdict(self).items()}
        values["layers"] = [{name: list(value) if isinstance(value, tuple) else value
                             for name, value in layer.items()} for layer in values["layers"]]
        return values

    def __str__(self) -> str:
        lines = [f"{self.images} images, T = {self.timesteps}, schedule {self.schedule}, "
                 f"encoder {self.encoder}"]
        if self.accuracy is not None:
            steps = (f"{'ANN' if name == 'ann' else _words(name)} {100 * value:.2f} %"
                     for name, value in self.accuracy.items())
            lines.append("accuracy: " + " → ".join(steps))
        columns = [["layer", "path", "neurons", "correlation", "error",
                    *map(_words, self.layers[0].errors), "dead", "silent", "saturated"],
                   *(_column(index, layer) for index, layer in enumerate(self.layers))]
        widths = [max(map(len, column)) for column in columns]
        table = ["  ".join([row[0].ljust(widths[0]), *(
            text.rjust(width) for text, width in zip(row[1:], widths[1:], strict=True))])
            for row in zip(*columns, strict=True)]
        lines += ["", *table, "", "Of each cause: its error and, in brackets, its share of the "
                                  "layer's, both in percent.", *self.suggestions]
        return "\n".join(lines)


def _words(name: str) -> str:
    return name.replace("_", " ")


def _column(index: int, layer: LayerReport) -> list[str]:
    correlation = "–" if layer.correlation is None else f"{layer.correlation:.4f}"
    causes = (f"{100 * error:.2f} ({round(100 * layer.shares[name]):4d})"
              for name, error in layer.errors.items())
    neurons = (str(len(some)) for some in (layer.dead, layer.silent, layer.saturated))
    return [str(index), layer.path, str(layer.neurons), correlation,
            f"{100 * layer.error:.2f}", *causes, *neurons]


def report(model: Union["nn.Module", AnnGraph], snn: ConvertedSNN, images: Any,
           labels: npt.ArrayLike | None = None, network: IntegerNetwork | None = None, *,
           encoder: str | None = None, seed: int = 0) -> ConversionReport:
    """Compare a spiking network with the one that it was converted from.

    A few hundred images tell the causes; tell accuracies from more.

    Parameters
    ----------
    model : nn.Module or AnnGraph
        The trained network, read as `convert` does; or what `trace` has read, which takes images in
        any shape.
    snn : ConvertedSNN
        What it was converted to, with scales.
    images : (n, …) reals in [0, 1]
        As a tensor or an array. With the encoder ``events``, spikes, (n, T, n_input): the trained
        network gets their means.
    labels : (n,) integers, optional
        Classes, to tell the accuracy after each cause.
    network : IntegerNetwork, optional
        What ``snn`` was quantized to. T, schedule, encoder and seed are its own then.
    encoder : str, optional
        As of `ConvertedSNN.run`, where there is no ``network``; by default ``poisson``.
    seed : int
        Of ``poisson``, at least 0.

    Raises
    ------
    TypeError, ValueError
        If the networks don't belong together, ``snn`` has no scales, or a parameter is out of
        range.
    """
    chain_encoder = _encoder(encoder, network)
    data = _images(images, snn.shape[0], chain_encoder)
    graph = model if isinstance(model, AnnGraph) else _traced(model, data, chain_encoder)
    if network is not None:
        snn = replace(snn, T=network.timesteps, schedule=network.schedule)
    chain = Chain(graph, snn, network, chain_encoder, check_at_least("seed", seed, 0))
    classes = None if labels is None else _labels(labels, len(data), snn.shape[-1])
    layers, right = _compared(chain, data, classes)
    accuracy = None if classes is None else {
        name: int(n) / len(data) for name, n in zip(("ann", *chain.causes), right, strict=True)}
    return ConversionReport(layers, accuracy, len(data), snn.T, snn.schedule, chain_encoder,
                            advice(layers, chain))


def _encoder(encoder: str | None, network: IntegerNetwork | None) -> str:
    if network is None:
        encoder = "poisson" if encoder is None else encoder
        if encoder not in ENCODERS:
            raise ValueError(f"encoder must be one of {', '.join(ENCODERS)}, not {encoder!r}")
    elif encoder not in (None, network.encoder):
        raise ValueError(f"encoder must be that of network, {network.encoder}, not {encoder!r}")
    else:
        encoder = network.encoder
    return encoder


def _images(images: Any, n_input: int, encoder: str) -> FloatArray:
    array = unit_array("images", images.detach().cpu() if hasattr(images, "detach") else images)
    if encoder == "events":
        if array.ndim != 3:
            raise ValueError(f"images must be spikes, (n, T, {n_input}), not {array.shape}")
        refuse("images", array, (array != 0) & (array != 1), "0 or 1")
    size = array.shape[2] if encoder == "events" else int(np.prod(array.shape[1:]))
    if array.ndim < 2 or len(array) == 0 or size != n_input:
        raise ValueError(f"images must have {n_input} values each, and be at least one, "
                         f"not {array.shape}")
    return array


def _traced(model: Any, images: FloatArray, encoder: str) -> AnnGraph:
    from sc_neurocore.conversion.graph import TracedModel, nn
    if not isinstance(model, nn.Module):
        raise TypeError(f"model must be an nn.Module or an AnnGraph, not {type(model).__name__}")
    traced = TracedModel(model)
    flat = images.ndim == 2 or encoder == "events"
    return traced.layers(traced.input_shape or (None if flat else images.shape[1:]))


def _labels(labels: npt.ArrayLike, n: int, n_output: int) -> npt.NDArray[Any]:
    classes = np.asarray(labels)
    if classes.dtype.kind not in "iu":
        raise TypeError(f"labels must be integers, not {classes.dtype}")
    if classes.shape != (n,):
        raise ValueError(f"labels must have shape ({n},), one for each image, not {classes.shape}")
    wrong = np.flatnonzero((classes < 0) | (classes >= n_output))
    if len(wrong):
        raise ValueError(f"labels[{wrong[0]}] must be in range({n_output}), "
                         f"not {classes[wrong[0]]}")
    return classes


def _compared(chain: Chain, images: FloatArray, classes: npt.NDArray[Any] | None
              ) -> tuple[tuple[LayerReport, ...], npt.NDArray[np.int64]]:
    """Reports of the layers, and how many images the network of each step classifies rightly."""
    sums = [_Sums(scale, 1 + len(chain.causes)) for scale in chain.scales]
    right = np.zeros(1 + len(chain.causes), np.int64)
    for start in range(0, len(images), chain.chunk):
        part = slice(start, start + chain.chunk)
        steps = chain.steps(images[part])
        for layer, one in enumerate(sums):
            one.add([values[layer] for values in steps])
        if classes is not None:
            right += [np.count_nonzero(chain.predicted(values[-1]) == classes[part])
                      for values in steps]
    hidden = [True] * (len(sums) - 1) + [False]
    return tuple(one.report(layer.path, chain.causes, some) for layer, one, some
                 in zip(chain.graph.layers, sums, hidden, strict=True)), right


_ONE, _ANN, _SNN, _ERROR, _CHANGES = range(5)
"""Rows of the products that are summed up; a change for each cause comes last."""


class _Sums:
    """What is known of a layer after some of the images."""

    def __init__(self, scale: FloatArray, n_steps: int) -> None:
        self.scale, self.images = scale, 0
        self.products = np.zeros((_CHANGES + n_steps - 1,) * 2)
        self.active, self.fired = np.zeros((2, len(scale)), bool)
        self.saturated = np.zeros(len(scale), int)

    def add(self, steps: list[FloatArray]) -> None:
        """Take in the layer's values after each step, (n, n_output)."""
        ann, snn = steps[0], steps[-1]
        rows = np.stack([np.ones_like(ann), ann, snn, snn - ann,
                         *(after - before for before, after in pairwise(steps))])
        rows = rows.reshape(len(rows), -1)
        self.products += rows @ rows.T
        self.images += len(ann)
        self.active |= (ann > 0).any(axis=0)
        self.fired |= (snn > 0).any(axis=0)
        full = (snn > self.scale * (1 - TOLERANCE)) & (ann > self.scale * (1 + TOLERANCE))
        self.saturated += full.sum(axis=0)

    def report(self, path: str, causes: tuple[str, ...], hidden: bool) -> LayerReport:
        """Draw the conclusions; those about neurons if the layer is ``hidden``."""
        squares = self.products.diagonal()
        unit = squares[_ANN] or self.images * float(np.square(self.scale).sum())
        errors = np.sqrt(squares / unit)
        shares = self.products[_ERROR] / (squares[_ERROR] or 1.0)
        if errors[_ERROR] < TOLERANCE:      # rounding errors of the comparison
            shares = np.zeros_like(shares)
        neurons = (~self.fired & self.active, ~self.fired & ~self.active,
                   self.saturated > SATURATED_IMAGES * self.images)
        return LayerReport(
            path, len(self.scale), self._correlation(), float(errors[_ERROR]),
            dict(zip(causes, errors[_CHANGES:].tolist(), strict=True)),
            dict(zip(causes, shares[_CHANGES:].tolist(), strict=True)),
            *(tuple(np.flatnonzero(some & hidden).tolist()) for some in neurons))

    def _correlation(self) -> float | None:
        means = self.products[_ONE] / self.products[_ONE, _ONE]
        covariances = self.products / self.products[_ONE, _ONE] - np.outer(means, means)
        a, b, both = (covariances[i, j] for i, j in ((_ANN, _ANN), (_SNN, _SNN), (_ANN, _SNN)))
        if a <= _NOISE * means[_ANN] ** 2 or b <= _NOISE * means[_SNN] ** 2:
            return None
        return float(np.clip(both / np.sqrt(a * b), -1, 1))
