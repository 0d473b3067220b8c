"""Read a torch model: its layers, ready to be scaled.

::

    graph = trace(model, input_shape=(1, 28, 28))
    currents = graph.currents(images)               # pre-activations, layer by layer

torch.fx records what the forward pass does; then every operation is done to affine functions of
activations instead of tensors, and each activation completes a layer. Biases go through all
operations in float64, so that they are right at the borders of padded images, too.
"""

from dataclasses import replace
from typing import Any

from sc_neurocore.conversion.ann import Activation, AnnGraph, AnnLayer
from sc_neurocore.conversion.tracing.forward import refusal, trace_forward
from sc_neurocore.conversion.tracing.linear_operators import linear
from sc_neurocore.conversion.tracing.operator_table import PASSING, RESHAPING, SUPPORTED
from sc_neurocore.conversion.tracing.reading import Reader, attribute_of, operation_of, plain
from sc_neurocore.conversion.tracing.values import LayerList, Value
from sc_neurocore.extras import require
from sc_neurocore.synapses import INPUT, Source

try:
    from torch import fx, nn
except ModuleNotFoundError:
    require("torch", "convert")
    raise

__all__ = ["Activation", "AnnGraph", "AnnLayer", "TracedModel", "trace"]


def trace(model: nn.Module, input_shape: tuple[int, ...] | None = None, max_pool: bool = True
          ) -> AnnGraph:
    """Read a model; parameters, result and errors are those of `TracedModel` and its ``layers``."""
    return TracedModel(model).layers(input_shape, max_pool)


class TracedModel:
    """A model's operations, before the shape of its images is known.

    Parameters
    ----------
    model : nn.Module
        Read as it is in evaluation mode, and never changed.

    Attributes
    ----------
    input_shape : tuple of int or None
        Shape of an image, (n_input,), if a Linear comes first.
    flattens : bool
        Whether images are flattened before that, so that they may have any shape.

    Raises
    ------
    ValueError
        If torch.fx can't trace it; the message names module and line.
    """

    def __init__(self, model: nn.Module) -> None:
        self._graph, self._root, self._complaints = trace_forward(model)
        self.input_shape, self.flattens = self._first_linear()

    def layers(self, input_shape: tuple[int, ...] | None = None, max_pool: bool = True) -> AnnGraph:
        """Compute the layers for images of ``input_shape``, by default the one that was found.

        Raises
        ------
        ValueError
            About all that can't be converted, max-pooling included unless ``max_pool``; if nothing
            has weights; if the shape of the images isn't known.
        """
        shape = input_shape or self.input_shape
        layers = LayerList(max_pool)
        reader = Reader(self._root, layers)
        output = reader.read(self._graph, shape)
        complaints = [*self._complaints, *reader.complaints]
        if not reader.weighted:
            unsupported = f"not supported: {'; '.join(complaints)}; " if complaints else ""
            raise ValueError(f"No Linear layers found in model; {unsupported}{SUPPORTED}")
        if complaints:
            raise refusal(complaints)
        if shape is None:
            raise ValueError("input_shape must be given, such as (1, 28, 28), or calibration_data "
                             "with images of that shape: the model does not begin with a Linear, "
                             "which would tell")
        return AnnGraph(_used(layers.layers, output), tuple(shape))

    def _first_linear(self) -> tuple[tuple[int, ...] | None, bool]:
        flattened: dict[Any, bool] = {}
        for node in self._graph.nodes:
            first = node.args[0] if node.args else None
            if node.op == "placeholder":
                flattened[node] = False
            elif isinstance(first, fx.Node) and first in flattened:
                operation, arguments = operation_of(node, self._root)
                if operation is linear:
                    weight = arguments.get("weight", (*node.args, None)[1])
                    if isinstance(weight, fx.Node) and weight.op == "get_attr":
                        weight = attribute_of(self._root, weight.target)
                    size = getattr(weight, "shape", None)
                    return (int(size[1]),) if size else None, flattened[first]
                if plain(operation) in PASSING | RESHAPING:
                    flattened[node] = flattened[first] or operation in RESHAPING
        return None, False


def _used(layers: list[AnnLayer], output: Value) -> tuple[AnnLayer, ...]:
    """Layers that the output depends on, numbered anew."""
    assert output.source is not None
    needed = {output.source.layer}
    for i in range(len(layers) - 1, -1, -1):
        if i in needed:
            needed |= {source.layer for source in layers[i].sources}
    places = {INPUT: INPUT} | {i: place for place, i in enumerate(sorted(needed - {INPUT}))}
    return tuple(replace(layers[i], sources=tuple(
        Source(places[source.layer], source.max_pool) for source in layers[i].sources))
        for i in places if i != INPUT)
