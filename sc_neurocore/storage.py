"""Network files: safetensors, so a JSON header and raw arrays, and nothing that could be executed.

``docs/number-format.md`` lists every key. Equal networks make equal bytes; a file is complete or
not there; and whatever is wrong with a file, reading it raises one `NetworkFileError`.
"""

from typing import Any

import numpy as np

from .conversion.converted_snn import ConvertedSNN, Weights
from .layer_headers import (
    Arrays,
    Json,
    check_layers,
    check_list,
    connections,
    placed,
    read_sources,
    read_synapses,
    weight_arrays,
)
from .network import IntegerLayer, IntegerNetwork, check_integer
from .network_file import VERSION, NetworkFileError, PathLike, crc32, reading, write
from .synapses import Dense, Synapses

__all__ = ["NetworkFileError", "load_network", "load_snn", "parameters_crc32", "save_network",
           "save_snn"]

NETWORK_FORMAT = "sc_neurocore.integer_network"
SNN_FORMAT = "sc_neurocore.converted_snn"

_PARAMETERS = ("biases", "thresholds", "initial_membranes")
_NETWORK_SETTINGS = ("timesteps", "intensity_width", "encoder", "seed", "schedule")
_NETWORK_KEYS = {"1": {*_NETWORK_SETTINGS, "weight_widths", "membrane_widths"},
                 VERSION: {*_NETWORK_SETTINGS, "layers", "crc32"}}
_SNN_SETTINGS = ("T", "initial_membrane_fraction", "schedule")
_SNN_KEYS = {"1": {"T", "initial_membrane_fraction", "layers"},
             VERSION: {*_SNN_SETTINGS, "layers", "crc32"}}
_DENSE: Json = {"sources": None, "synapses": [{"kind": "dense"}]}
"""What every layer of version 1 is."""


def save_network(network: IntegerNetwork, path: PathLike) -> None:
    """Write an integer network to ``path``, replacing what is there in one step."""
    layers = [{"weight_width": layer.weight_width, "membrane_width": layer.membrane_width,
               **connections(layer.synapses, layer.sources)} for layer in network.layers]
    write(path, {"format": NETWORK_FORMAT, "layers": layers,
                 **{name: getattr(network, name) for name in _NETWORK_SETTINGS}},
          _network_arrays(network))


def load_network(path: PathLike) -> IntegerNetwork:
    """Read an integer network that `save_network` wrote, in this version or an earlier one.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    NetworkFileError
        If the file is not an integer network, or something in it is invalid or has changed.
    """
    with reading(path) as file:
        header = file.header(NETWORK_FORMAT, _NETWORK_KEYS)
        entries = check_layers(_network_layers(header), {"weight_width", "membrane_width"})
        arrays = file.arrays([
            dict.fromkeys(_names(entry), _weight_dtype(index, entry["weight_width"]))
            | dict.fromkeys(_PARAMETERS, "int32") for index, entry in enumerate(entries)])
        layers = [_integer_layer(index, entry, arrays[index])
                  for index, entry in enumerate(entries)]
        return IntegerNetwork(tuple(layers), **{name: header[name] for name in _NETWORK_SETTINGS})


def parameters_crc32(network: IntegerNetwork) -> int:
    """CRC-32, as zlib's, of a network's weights, biases, thresholds and initial membranes.

    ``docs/number-format.md``, section Files, says of which bytes.
    """
    return crc32(_network_arrays(network))


def save_snn(snn: ConvertedSNN, path: PathLike) -> None:
    """Write a float network to ``path``, replacing what is there in one step."""
    layers, arrays = [], []
    for index, (bias, threshold) in enumerate(zip(snn.biases, snn.thresholds, strict=True)):
        synapses = snn.synapses(index)
        scale = None if snn.scales is None else snn.scales[index]
        given = {"biases": bias, "thresholds": threshold, "scales": scale}
        layers.append({"biases": bias is not None, "scales": scale is not None,
                       **connections(synapses, snn.sources[index] if snn.sources else None)})
        arrays.append({**weight_arrays(synapses), **{
            name: np.asarray(value) for name, value in given.items() if value is not None}})
    write(path, {"format": SNN_FORMAT, "layers": layers,
                 **{name: getattr(snn, name) for name in _SNN_SETTINGS}}, arrays)


def load_snn(path: PathLike) -> ConvertedSNN:
    """Read a float network that `save_snn` wrote, in this version or an earlier one.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    NetworkFileError
        If the file is not a float network, or something in it is invalid or has changed.
    """
    with reading(path) as file:
        header = file.header(SNN_FORMAT, _SNN_KEYS)
        entries = check_layers(_snn_layers(header), {"biases", "scales"})
        arrays = file.arrays([dict.fromkeys(_float_names(index, entry), "float64")
                              for index, entry in enumerate(entries)])
        return ConvertedSNN(
            [_float_weights(read_synapses(index, entry, arrays[index]))
             for index, entry in enumerate(entries)],
            [layer.get("biases") for layer in arrays], [layer["thresholds"] for layer in arrays],
            sources=[read_sources(index, entry) for index, entry in enumerate(entries)],
            scales=_scales(arrays),
            **{name: header[name] for name in _SNN_SETTINGS if name in header})


def _network_arrays(network: IntegerNetwork) -> list[Arrays]:
    """Arrays of each layer, of the types and in the order in which they are written."""
    return [{**{name: array.astype(_weight_dtype(index, layer.weight_width))
                for name, array in weight_arrays(layer.synapses).items()},
             **{name: getattr(layer, name).astype("int32") for name in _PARAMETERS}}
            for index, layer in enumerate(network.layers)]


def _integer_layer(index: int, entry: Json, arrays: Arrays) -> IntegerLayer:
    synapses, sources = read_synapses(index, entry, arrays), read_sources(index, entry)
    with placed(f"layers[{index}]"):
        return IntegerLayer(synapses, arrays["biases"], arrays["thresholds"],
                            arrays["initial_membranes"], entry["weight_width"],
                            entry["membrane_width"], sources)


def _float_weights(synapses: tuple[Synapses, ...]) -> Weights:
    """Weights as `ConvertedSNN` has them where a layer has one source."""
    if len(synapses) > 1:
        return synapses
    return synapses[0].weights if isinstance(synapses[0], Dense) else synapses[0]


def _weight_dtype(index: int, width: Any) -> str:
    return "int8" if check_integer(f"layers[{index}].weight_width", width, 2, 16) <= 8 else "int16"


def _names(entry: Json) -> list[str]:
    return [f"weights{place}" for place in range(len(entry["synapses"]))]


def _float_names(index: int, entry: Json) -> list[str]:
    for name in ("biases", "scales"):
        if not isinstance(entry[name], bool):
            raise TypeError(f"layers[{index}].{name} must be true or false, not {entry[name]!r}")
    return [*_names(entry), *(["biases"] if entry["biases"] else []), "thresholds",
            *(["scales"] if entry["scales"] else [])]


def _scales(arrays: list[Arrays]) -> list[Any] | None:
    """Scales of all layers, or None if no layer has them."""
    found = [layer.get("scales") for layer in arrays]
    if all(scale is None for scale in found):
        return None
    if any(scale is None for scale in found):
        raise ValueError("scales must be those of all layers or of none")
    return found


def _network_layers(header: Json) -> Any:
    """Entries of the layers; version 1 has two lists in their place."""
    if header["version"] == VERSION:
        return header["layers"]
    keys = ("weight_width", "membrane_width")
    columns = [check_list(f"{key}s", header[f"{key}s"]) for key in keys]
    if len(columns[0]) != len(columns[1]):
        raise ValueError(f"membrane_widths must have {len(columns[0])} entries, "
                         f"not {len(columns[1])}")
    return [{**dict(zip(keys, widths, strict=True)), **_DENSE}
            for widths in zip(*columns, strict=True)]


def _snn_layers(header: Json) -> Any:
    """Entries of the layers; version 1 has the sorted names of their arrays in their place."""
    if header["version"] == VERSION:
        return header["layers"]
    layers, complete = check_list("layers", header["layers"]), ["biases", "thresholds", "weights"]
    for index, names in enumerate(layers):
        if names not in (complete, complete[1:]):
            raise ValueError(f"layers[{index}] must be {complete} or {complete[1:]}, not {names!r}")
    return [{"biases": names == complete, "scales": False, **_DENSE} for names in layers]
