"""Read graphs of NIR, the Neuromorphic Intermediate Representation, as spiking networks.

NIR describes dynamics, not timesteps: what a timestep is, how many there are and how neurons reset
has to be said, where our own metadata don't. `nir_nodes` says which nodes can be read.
"""

import heapq
import os
import re
from dataclasses import dataclass, fields, replace
from graphlib import CycleError, TopologicalSorter
from typing import Any

from sc_neurocore.conversion.checks import FloatArray, check_at_least, check_real
from sc_neurocore.conversion.converted_snn import ConvertedSNN, Weights
from sc_neurocore.conversion.tracing.affine import UnsupportedError
from sc_neurocore.conversion.tracing.values import Value
from sc_neurocore.interchange.nir_files import METADATA_KEY, PathLike, Tree, read_tree
from sc_neurocore.interchange.nir_nodes import OPERATIONS, REASONS, Node, check_timestep, neurons
from sc_neurocore.messages import one_line
from sc_neurocore.network_file import NetworkFileError
from sc_neurocore.synapses import INPUT, Dense, Source

__all__ = ["from_nir", "load_nir"]


def from_nir(graph: Any, T: int | None = None, *, reset: str | None = None,
             dt: float | None = None, initial_membrane_fraction: float | None = None,
             schedule: str | None = None) -> ConvertedSNN:
    """Read a network of integrate-and-fire neurons that reset by subtraction.

    Every IF becomes a layer, in float64. So does an LIF of infinite time constant, which doesn't
    leak: what snntorch makes of ``Leaky(beta=1)``. Between them may be Linear, Affine, Conv1d,
    Conv2d, Scale, Flatten, SumPool2d and AvgPool2d; where several edges meet, what comes along them
    is added up, as in residual networks. A current I adds r·dt·I to the membrane in a timestep.

    What is not in the graph has to be given; what `to_nir` wrote has it all. NIR's neurons spike
    above the threshold, as snntorch's do; these spike at the threshold, too, as SpikingJelly's do.

    Parameters
    ----------
    graph : nir.NIRGraph or path
    T : int
        Timesteps, at least 1.
    reset : "subtract"
        To say that the threshold is subtracted after a spike, which NIR can't: frameworks write
        v_reset = 0 whether or not that is what becomes of the membrane. SpikingJelly writes nothing
        for v_reset=None: set it to 0.0 for the export.
    dt : float
        Seconds that a timestep stands for: 0.0001 in SpikingJelly. Not asked for where nothing
        depends on it.
    initial_membrane_fraction : float in [0, 1), optional
        By default 0.
    schedule : "pipelined" or "layer_by_layer", optional
        By default pipelined.

    Raises
    ------
    MissingExtraError
        If h5py is not installed and a file is to be read.
    OSError
        If there is no such file, or it must not be read.
    TypeError, ValueError
        If something has to be given, or is out of range; if the graph holds anything else, or can't
        be a network. The message names the node.
    """
    if isinstance(graph, str | os.PathLike):
        return load_nir(graph, T, reset=reset, dt=dt, schedule=schedule,
                        initial_membrane_fraction=initial_membrane_fraction)
    given = _Settings(T, reset, dt, initial_membrane_fraction, schedule)
    return _network(graph.to_dict(), given)


def load_nir(path: PathLike, T: int | None = None, *, reset: str | None = None,
             dt: float | None = None, initial_membrane_fraction: float | None = None,
             schedule: str | None = None) -> ConvertedSNN:
    """Read a NIR file; parameters, result and errors are those of `from_nir`.

    What is wrong with the file, or missing in it, is a `NetworkFileError`, which names it. Nothing
    in the file is executed, and no other file is opened.
    """
    given = _Settings(T, reset, dt, initial_membrane_fraction, schedule)
    tree = read_tree(path)
    try:
        return _network(tree, given)
    except (TypeError, ValueError) as error:
        raise NetworkFileError(f"{os.fspath(path)}: {one_line(error)}") from error


@dataclass(frozen=True)
class _Settings:
    """What nodes and edges don't say; None where it isn't known."""

    T: int | None = None
    reset: str | None = None
    dt: float | None = None
    initial_membrane_fraction: float | None = None
    schedule: str | None = None

    def __post_init__(self) -> None:
        if self.T is not None:
            check_at_least("T", self.T, 1)
        if self.reset not in (None, "subtract"):
            raise ValueError("reset must be 'subtract', as neurons that reset in another way can't "
                             f"be converted, not {self.reset!r}")
        if self.dt is not None:
            check_timestep(self.dt)
        if self.initial_membrane_fraction is not None:
            check_real("initial_membrane_fraction", self.initial_membrane_fraction)

    def completed(self, recorded: Any) -> "_Settings":
        """Take from a graph's metadata what isn't given."""
        if not isinstance(recorded, dict):
            raise TypeError(f"metadata {METADATA_KEY} must be a group, not {recorded!r}")
        known = _Settings(**{field.name: recorded.get(field.name) for field in fields(self)})
        if None not in (self.dt, known.dt) and self.dt != known.dt:
            raise ValueError(f"dt must be {known.dt}, which is recorded, not {self.dt}")
        return replace(known, **{name: value for name, value in vars(self).items()
                                 if value is not None})


@dataclass(frozen=True, eq=False)
class _Layer:
    """A layer as `ConvertedSNN` takes it, and the name of its neurons' node."""

    name: str
    weights: Weights
    bias: FloatArray | None
    threshold: float | FloatArray
    sources: tuple[Source, ...] | None


def _network(tree: Tree, given: _Settings) -> ConvertedSNN:
    recorded = tree["metadata"].get(METADATA_KEY, {})
    settings = given.completed(recorded)
    if settings.T is None:
        raise ValueError("T must be given: how many timesteps there are isn't recorded")
    if settings.reset is None:
        raise ValueError("reset must be given: NIR doesn't say whether neurons subtract the "
                         "threshold when they spike. Pass reset='subtract' if they do; if they "
                         "don't, they can't be converted")
    layers = _layers(tree, settings.dt)
    return ConvertedSNN(
        [layer.weights for layer in layers], [layer.bias for layer in layers],
        [layer.threshold for layer in layers], settings.T,
        settings.initial_membrane_fraction or 0.0, settings.schedule or "pipelined",
        [layer.sources for layer in layers],
        _scales(recorded.get("scales"), [layer.name for layer in layers]))


def _scales(recorded: Any, names: list[str]) -> list[Any] | None:
    """Scales of the layers, if those of all of them are recorded."""
    known = isinstance(recorded, dict) and all(name in recorded for name in names)
    return [recorded[name] for name in names] if known else None


def _layers(tree: Tree, dt: float | None) -> list[_Layer]:
    """Layers in the order of their spikes."""
    for key, expected in (("nodes", dict), ("edges", list)):
        if tree.get("type") != "NIRGraph" or not isinstance(tree.get(key), expected):
            raise ValueError(f"a graph must be of the type NIRGraph and have {key}")
    nodes = {name: Node(name, values) for name, values in tree["nodes"].items()}
    before = _predecessors(nodes, tree["edges"])
    _only(nodes, "Input")
    output = _only(nodes, "Output")
    needed = _reaching(output.name, before)
    values: dict[str, Value] = {}
    layers: list[_Layer] = []
    for name in _order(before):
        if name not in needed:
            continue
        try:
            values[name] = _value(nodes[name], [values[one] for one in before[name]], layers, dt)
        except UnsupportedError as error:
            raise nodes[name].refuse(error) from error
    if not layers or values[output.name].source != Source(len(layers) - 1):
        raise output.refuse("must come right after neurons that spike, and nothing else")
    return layers


def _value(node: Node, inputs: list[Value], layers: list[_Layer], dt: float | None) -> Value:
    """What a node gives; neurons complete a layer."""
    if node.kind == "Input":    # of a chain in front of it the first node is refused, below
        return Value(node.shape("shape"), ((Source(INPUT), ()),))
    if not inputs:
        raise node.refuse("must come after another node")
    value = inputs[0]
    for other in inputs[1:]:
        if other.shape != value.shape:
            raise node.refuse(f"must add up what has the same shape, not {value.shape} and "
                              f"{other.shape}")
        value = value.plus(other)
    if node.kind in OPERATIONS:
        return OPERATIONS[node.kind](node, value)
    if node.kind in ("IF", "LIF"):
        found = neurons(node, value, dt)
        layers.append(_layer_of(node.name, found.current, found.thresholds, len(layers)))
        return Value(value.shape, ((Source(len(layers) - 1), ()),))
    if node.kind == "Output":
        return value
    raise node.refuse(f"{REASONS.get(node.kind, 'is not known here')}: it can't be converted")


def _layer_of(name: str, current: Value, thresholds: FloatArray, index: int) -> _Layer:
    synapses, sources = current.synapses(), tuple(source for source, _ in current.terms)
    one = synapses[0].weights if isinstance(synapses[0], Dense) else synapses[0]
    flat, bias = thresholds.reshape(-1), current.bias
    return _Layer(name, one if len(synapses) == 1 else synapses,
                  bias if bias is not None and bias.any() else None,
                  float(flat[0]) if (flat == flat[0]).all() else flat,
                  None if sources == (Source(index - 1),) else sources)


def _only(nodes: dict[str, Node], kind: str) -> Node:
    found = [node for node in nodes.values() if node.kind == kind]
    if len(found) != 1:
        raise ValueError(f"a graph must have one {kind}, not {len(found)}")
    return found[0]


def _predecessors(nodes: dict[str, Node], edges: Any) -> dict[str, list[str]]:
    """For each node those before it, in the order of the edges."""
    before: dict[str, list[str]] = {name: [] for name in nodes}
    for edge in edges:
        if not isinstance(edge, list | tuple) or len(edge) != 2 or not all(
                isinstance(name, str) and name in nodes for name in edge):
            raise ValueError(f"an edge must be between two nodes, not {edge!r}")
        if edge[0] in before[edge[1]]:
            raise ValueError(f"an edge must be there once, which {edge!r} isn't")
        before[edge[1]].append(edge[0])
    return before


def _reaching(name: str, before: dict[str, list[str]]) -> set[str]:
    """Nodes on a way to this one, itself included."""
    found, left = {name}, [name]
    while left:
        new = set(before[left.pop()]) - found
        found |= new
        left.extend(new)
    return found


def _order(before: dict[str, list[str]]) -> list[str]:
    """Nodes after those before them, else by name; files have no other order."""
    sorter = TopologicalSorter(before)
    try:
        sorter.prepare()
    except CycleError as error:
        raise ValueError("edges must not lead in a circle, as in recurrent networks: "
                         + " → ".join(map(repr, error.args[1]))) from error
    order: list[str] = []
    ready: list[tuple[list[str | int], str]] = []
    while sorter.is_active():
        for name in sorter.get_ready():
            heapq.heappush(ready, (_natural(name), name))
        order.append(heapq.heappop(ready)[1])
        sorter.done(order[-1])
    return order


def _natural(name: str) -> list[str | int]:
    """Key that puts layer10 after layer9."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", name)]
