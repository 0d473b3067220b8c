"""Network files: safetensors, so a JSON header and raw arrays, and nothing that could be executed.

``docs/number-format.md`` lists every key. Equal networks make equal bytes; a file is complete or
not there; and whatever is wrong with a file, reading it raises one `NetworkFileError`.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .conversion.converted_snn import ConvertedSNN
from .files import replacing
from .network import IntegerLayer, IntegerNetwork, check_integer

PathLike = str | os.PathLike[str]
Arrays = dict[str, npt.NDArray[Any]]

NETWORK_FORMAT = "sc_neurocore.integer_network"
SNN_FORMAT = "sc_neurocore.converted_snn"
VERSION = "1"

METADATA_KEY = "sc_neurocore"
"""One entry: safetensors writes several in an order that differs from process to process."""

MAXIMUM_HEADER = 2**20
"""Bytes; some 3,000 layers. Checked before anything parses the header."""

_SAFETENSORS_DTYPES = {"int8": "I8", "int16": "I16", "int32": "I32", "float64": "F64"}

_NETWORK_KEYS = {"encoder", "format", "intensity_width", "membrane_widths", "schedule", "seed",
                 "timesteps", "version", "weight_widths"}
_SNN_KEYS = {"T", "format", "initial_membrane_fraction", "layers", "version"}


class NetworkFileError(ValueError):
    """A file is not the network file it should be; the message names the file and the fault."""


def save_network(network: IntegerNetwork, path: PathLike) -> None:
    """Write an integer network to ``path``, replacing what is there in one step."""
    arrays: Arrays = {}
    for index, layer in enumerate(network.layers):
        for name, dtype in _layer_dtypes(layer.weight_width).items():
            arrays[f"layer{index}.{name}"] = getattr(layer, name).astype(dtype)
    _write(path, arrays, {
        "format": NETWORK_FORMAT, "version": VERSION, "timesteps": network.timesteps,
        "intensity_width": network.intensity_width, "encoder": network.encoder,
        "seed": network.seed, "schedule": network.schedule,
        "weight_widths": [layer.weight_width for layer in network.layers],
        "membrane_widths": [layer.membrane_width for layer in network.layers]})


def load_network(path: PathLike) -> IntegerNetwork:
    """Read an integer network that `save_network` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    NetworkFileError
        If the file is not an integer network of this version, or a value in it is invalid.
    """
    with _reading(path) as file:
        header = file.header(NETWORK_FORMAT, _NETWORK_KEYS)
        widths = header["weight_widths"], header["membrane_widths"]
        count = len(_list("weight_widths", widths[0]))
        if len(_list("membrane_widths", widths[1])) != count:
            raise ValueError(f"membrane_widths must have {count} entries, not {len(widths[1])}")
        dtypes = [_layer_dtypes(check_integer(f"Weight width of layer {index}", width, 2, 16))
                  for index, width in enumerate(widths[0])]
        arrays = file.arrays({f"layer{index}.{name}": dtype for index, layer in enumerate(dtypes)
                              for name, dtype in layer.items()})
        layers = [IntegerLayer(**{name: arrays[f"layer{index}.{name}"] for name in dtypes[index]},
                               weight_width=weight_width, membrane_width=membrane_width)
                  for index, (weight_width, membrane_width) in enumerate(zip(*widths, strict=True))]
        return IntegerNetwork(tuple(layers), **{key: header[key] for key in (
            "timesteps", "intensity_width", "encoder", "seed", "schedule")})


def save_snn(snn: ConvertedSNN, path: PathLike) -> None:
    """Write a float network to ``path``, replacing what is there in one step."""
    arrays: Arrays = {}
    layers = []
    for index in range(snn.n_layers):
        values = {"weights": snn.weights[index], "biases": snn.biases[index],
                  "thresholds": snn.thresholds[index]}
        present = {name: np.asarray(value) for name, value in values.items() if value is not None}
        arrays |= {f"layer{index}.{name}": value for name, value in present.items()}
        layers.append(sorted(present))
    _write(path, arrays, {"format": SNN_FORMAT, "version": VERSION, "T": snn.T,
                          "initial_membrane_fraction": snn.initial_membrane_fraction,
                          "layers": layers})


def load_snn(path: PathLike) -> ConvertedSNN:
    """Read a float network that `save_snn` wrote.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    NetworkFileError
        If the file is not a float network of this version, or a value in it is invalid.
    """
    with _reading(path) as file:
        header = file.header(SNN_FORMAT, _SNN_KEYS)
        layers = _list("layers", header["layers"])
        complete = ["biases", "thresholds", "weights"]
        for index, names in enumerate(layers):
            if names not in (complete, complete[1:]):
                raise ValueError(f"layers[{index}] must be {complete} or {complete[1:]}, "
                                 f"not {names!r}")
        arrays = file.arrays({f"layer{index}.{name}": "float64"
                              for index, names in enumerate(layers) for name in names})
        columns: dict[str, Any] = {
            name: [arrays.get(f"layer{index}.{name}") for index in range(len(layers))]
            for name in complete}
        return ConvertedSNN(**columns, T=header["T"],
                            initial_membrane_fraction=header["initial_membrane_fraction"])


def _layer_dtypes(weight_width: int) -> dict[str, str]:
    """Arrays of a layer of an integer network, in the order of `IntegerLayer`, and their types."""
    return {"weights": "int8" if weight_width <= 8 else "int16", "biases": "int32",
            "thresholds": "int32", "initial_membranes": "int32"}


def _list(key: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{key} must be a list with one entry a layer, not {value!r}")
    return value


def _write(path: PathLike, arrays: Arrays, header: dict[str, Any]) -> None:
    text = json.dumps(header, sort_keys=True, allow_nan=False)
    data = save(arrays, {METADATA_KEY: text})
    if int.from_bytes(data[:8], "little") > MAXIMUM_HEADER:
        raise ValueError(f"{len(arrays)} arrays are too many for the header of {path}, "
                         f"which must be at most {MAXIMUM_HEADER} bytes")
    with replacing(Path(path)) as part:
        part.write_bytes(data)


class _File:
    """An open safetensors file, of which nothing is taken on trust."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def header(self, name: str, keys: set[str]) -> dict[str, Any]:
        """Parameters of a file of the format ``name``, whose header has exactly these ``keys``."""
        metadata = self._handle.metadata() or {}
        if set(metadata) != {METADATA_KEY}:
            raise ValueError(f"metadata must have the one key {METADATA_KEY!r}, "
                             f"not {sorted(metadata)}")
        header = json.loads(metadata[METADATA_KEY])
        if not isinstance(header, dict):
            raise TypeError(f"{METADATA_KEY} must be a JSON object, not {header!r}")
        for key, expected in (("format", name), ("version", VERSION)):
            if header.get(key) != expected:
                raise ValueError(f"{key} must be {expected!r}, not {header.get(key)!r}")
        _check_names("key", set(header), keys)
        return header

    def arrays(self, dtypes: dict[str, str]) -> Arrays:
        """Arrays of the file, which must have exactly these names and types."""
        _check_names("array", set(self._handle.keys()), set(dtypes))
        for name, dtype in dtypes.items():
            found = self._handle.get_slice(name).get_dtype()
            if found != _SAFETENSORS_DTYPES[dtype]:
                raise TypeError(f"array {name} must be of {_SAFETENSORS_DTYPES[dtype]}, "
                                f"not {found}")
        return {name: self._handle.get_tensor(name) for name in dtypes}


def _check_names(kind: str, found: set[str], expected: set[str]) -> None:
    for fault, names in (("is missing", expected - found), ("is unknown", found - expected)):
        if names:
            raise ValueError(f"{kind} {min(names)} {fault}")


@contextmanager
def _reading(path: PathLike) -> Iterator[_File]:
    """Open ``path``; whatever goes wrong inside is a `NetworkFileError` that names it."""
    with open(path, "rb") as file:
        prefix, size = file.read(8), file.seek(0, os.SEEK_END)
    try:
        length = int.from_bytes(prefix, "little")
        if not len(prefix) == 8 <= size - length:
            raise ValueError(f"it is truncated or no safetensors file: its {size} bytes can't hold "
                             f"a header of {length}")
        if length > MAXIMUM_HEADER:
            raise ValueError(f"header must be at most {MAXIMUM_HEADER} bytes, not {length}")
        with safe_open(path, framework="numpy") as handle:
            yield _File(handle)
    except (SafetensorError, TypeError, ValueError, RecursionError) as error:
        raise NetworkFileError(f"{os.fspath(path)}: {error}") from error
