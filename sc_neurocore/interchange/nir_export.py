"""Write spiking networks as graphs of NIR, the Neuromorphic Intermediate Representation.

References
----------
Pedersen et al. 2024, "Neuromorphic intermediate representation: a unified instruction set for
interoperable brain-inspired computing", Nature Communications 15:8122.
"""

import errno
import os
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sc_neurocore.conversion.checks import FloatArray
from sc_neurocore.conversion.converted_snn import ConvertedSNN
from sc_neurocore.extras import require
from sc_neurocore.files import replacing
from sc_neurocore.interchange.nir_files import METADATA_KEY, PathLike
from sc_neurocore.interchange.nir_nodes import check_timestep
from sc_neurocore.synapses import INPUT, Convolution, Dense, Source, Synapses

__all__ = ["save_nir", "to_nir"]

Shape = tuple[int, ...]


def to_nir(snn: ConvertedSNN, dt: float = 1e-4) -> Any:
    """Describe a spiking network as a graph of NIR.

    Layer i is a node ``layer<i>`` of the kind IF, its synapses are nodes ``layer<i>_weights<j>``
    (Linear, Affine, Conv1d or Conv2d), and Flatten nodes are where shapes want them. NIR's neurons
    obey dv/dt = r·I, so r = 1/dt makes a timestep add its current whole, as here.

    What NIR has no words for is in the graph's metadata, under ``sc_neurocore``: ``reset``, which
    is ``subtract``; ``dt``; ``T``, ``initial_membrane_fraction`` and ``schedule`` as of
    `ConvertedSNN`; and ``scales``, if it has some, by the names of the neurons' nodes. Other tools
    don't look there. They take v_reset = 0 for the membrane after a spike, so have them subtract
    the threshold: SpikingJelly's neurons do once their v_reset is set to None. snntorch 1.0 makes
    leaky neurons of every IF.

    Parameters
    ----------
    snn : ConvertedSNN
    dt : float
        Seconds that a timestep stands for, greater than 0. snntorch and SpikingJelly take 0.0001.

    Returns
    -------
    nir.NIRGraph

    Raises
    ------
    MissingExtraError
        If nir is not installed.
    ValueError
        If NIR can't express the network: a max pool, a bias that differs within a channel of
        convolutions, or a convolution of what is no image.
    """
    nir = require("nir", "interchange")
    writer = _Writer(nir, snn, check_timestep(dt))
    for layer in range(snn.n_layers):
        writer.add(layer)
    return writer.graph()


def save_nir(snn: ConvertedSNN, path: PathLike, dt: float = 1e-4) -> None:
    """Write a spiking network to a NIR file, replacing what is there in one step.

    Parameters and errors are those of `to_nir`. nir.read checks types, and takes all kernels to be
    square and in one group: it needs ``type_check=False`` for others.

    Raises
    ------
    OSError
        If it can't be written.
    """
    graph = to_nir(snn, dt)
    with replacing(Path(path)) as part:
        try:
            require("nir", "interchange").write(part, graph)
        except (OSError, RuntimeError) as error:    # HDF5's, of several lines about another file
            code = getattr(error, "errno", None) or errno.EIO
            raise OSError(code, os.strerror(code), str(path)) from error


class _Writer:
    """Collects nodes and edges, layer by layer."""

    def __init__(self, nir: Any, snn: ConvertedSNN, dt: float) -> None:
        self._nir, self._snn, self._dt = nir, snn, dt
        self._shapes: dict[int, Shape] = {INPUT: _input_shape(snn)}
        self._nodes: dict[str, Any] = {"input": nir.Input(_type(self._shapes[INPUT]))}
        self._edges: list[tuple[str, str]] = []

    def graph(self) -> Any:
        """Make the graph, its types being known and not those that nir would infer."""
        snn, last = self._snn, self._snn.n_layers - 1
        self._nodes["output"] = self._nir.Output(_type(self._shapes[last], "output"))
        self._edges.append((_name(last), "output"))
        recorded = {"reset": "subtract", "dt": self._dt, "T": snn.T, "schedule": snn.schedule,
                    "initial_membrane_fraction": snn.initial_membrane_fraction}
        if snn.scales is not None:
            recorded["scales"] = {_name(i): scale for i, scale in enumerate(snn.scales)}
        return self._nir.NIRGraph(self._nodes, self._edges, type_check=False,
                                  metadata={METADATA_KEY: recorded})

    def add(self, layer: int) -> None:
        """Add the neurons of a layer, their synapses, and the edges to them."""
        ends = [self._add_synapses(layer, place) for place in range(len(self._sources(layer)))]
        shapes = {shape for _, shape in ends}
        shape = shapes.pop() if len(shapes) == 1 else (self._snn.shape[layer + 1],)
        for place, (end, found) in enumerate(ends):
            flat = end if found == shape else self._flattened(f"layer{layer}_currents{place}", end,
                                                              found)
            self._edges.append((flat, _name(layer)))
        threshold = np.broadcast_to(self._snn.thresholds[layer], prod(shape)).reshape(shape)
        self._nodes[_name(layer)] = self._nir.IF(
            r=np.full(shape, 1 / self._dt), v_threshold=threshold.copy(), v_reset=np.zeros(shape))
        self._shapes[layer] = shape

    def _sources(self, layer: int) -> tuple[Source, ...]:
        sources = self._snn.layer_sources(layer)
        if any(source.max_pool for source in sources):
            raise ValueError(f"sources[{layer}] has a max pool, for which NIR has no node")
        return sources

    def _add_synapses(self, layer: int, place: int) -> tuple[str, Shape]:
        """Name and shape of what comes out of the synapses from one source."""
        source, synapses = self._sources(layer)[place], self._snn.synapses(layer)
        shape, name, before = self._shapes[source.layer], f"layer{layer}_weights{place}", _name(
            source.layer)
        bias = self._snn.biases[layer] if place == _bias_place(synapses) else None
        one = synapses[place]
        if isinstance(one, Convolution):
            node = self._convolution(layer, one, shape, bias)
        else:
            if len(shape) > 1:
                before = self._flattened(f"layer{layer}_spikes{place}", before, shape)
            node = (self._nir.Linear(one.weights) if bias is None else
                    self._nir.Affine(one.weights, bias))
        self._nodes[name] = node
        self._edges.append((before, name))
        return name, tuple(int(size) for size in node.output_type["output"])

    def _flattened(self, name: str, before: str, shape: Shape) -> str:
        self._nodes[name] = self._nir.Flatten(_type(shape), start_dim=0, end_dim=-1)
        self._edges.append((before, name))
        return name

    def _convolution(self, layer: int, one: Convolution, shape: Shape, bias: FloatArray | None
                     ) -> Any:
        kernel = one.kernel
        windows = {name: getattr(one, name) for name in ("stride", "padding", "dilation")}
        by_channel = (np.zeros((len(kernel), 1)) if bias is None else
                      bias.reshape(len(kernel), one.positions))
        if (by_channel != by_channel[:, :1]).any():
            raise ValueError(f"biases[{layer}] must be the same all over a channel, as a "
                             "convolution of NIR has one for each; calibrate() with dither=False "
                             "makes it so")
        common = {"groups": one.groups, "bias": by_channel[:, 0]}
        if len(shape) == 2 and shape == _row(one):
            node = self._nir.Conv1d(
                input_shape=shape[1], weight=kernel[:, :, 0], **common,
                **{name: value[1] for name, value in windows.items()})
        elif shape == one.input_shape:
            node = self._nir.Conv2d(input_shape=shape[1:], weight=kernel, **common, **windows)
        else:
            raise ValueError(f"weights[{layer}] must get an image of the shape {one.input_shape} "
                             f"from its source, which has the shape {shape}, as NIR has no node "
                             "that makes an image")
        # nir infers types as if all kernels were square and had one group
        node.input_type = _type(shape)
        node.output_type = _type(one.output_shape if len(shape) == 3 else
                                 (len(kernel), one.windows.size[1]), "output")
        return node


def _name(layer: int) -> str:
    return "input" if layer == INPUT else f"layer{layer}"


def _type(shape: Shape, key: str = "input") -> dict[str, npt.NDArray[np.int64]]:
    return {key: np.array(shape, dtype=np.int64)}


def _bias_place(synapses: tuple[Synapses, ...]) -> int:
    """Which synapses of a layer bring its bias along: the first dense ones, if there are any."""
    return next((place for place, one in enumerate(synapses) if isinstance(one, Dense)), 0)


def _row(one: Convolution) -> Shape | None:
    """Channels and width of the input if this is a convolution of one dimension."""
    flat = one.input_shape[1] == one.kernel.shape[2] == 1 and one.padding[0] == 0
    return (one.input_shape[0], one.input_shape[2]) if flat else None


def _input_shape(snn: ConvertedSNN) -> Shape:
    """Shape of the images: what the first convolution takes, or a vector."""
    takers = [one for layer in range(snn.n_layers)
              for source, one in zip(snn.layer_sources(layer), snn.synapses(layer), strict=True)
              if source.layer == INPUT and isinstance(one, Convolution)]
    if not takers:
        return (snn.shape[0],)
    rows = [_row(one) for one in takers]
    return takers[0].input_shape if None in rows else rows[0] or ()
