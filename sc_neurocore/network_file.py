"""The container of network files: safetensors, so a JSON header and raw arrays.

Nothing in it could be executed. A file is complete or not there, a checksum shows what has changed,
and whatever is wrong with a file, reading it raises one `NetworkFileError`.
"""

import json
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from .files import replacing
from .layer_headers import Arrays, Json, check_names
from .messages import one_line

PathLike = str | os.PathLike[str]

VERSION = "2"

METADATA_KEY = "sc_neurocore"
"""One entry: safetensors writes several in an order that differs from process to process."""

MAXIMUM_HEADER = 2**20
"""Bytes; some 2,000 layers. Checked before anything parses the header."""

_SAFETENSORS_DTYPES = {"int8": "I8", "int16": "I16", "int32": "I32", "float64": "F64"}


class NetworkFileError(ValueError):
    """A file is not the network file it should be; the message names the file and the fault."""


def write(path: PathLike, header: Json, layers: list[Arrays]) -> None:
    """Write the arrays of each layer and all keys of the header but its version and checksum."""
    header = {**header, "version": VERSION}
    header["crc32"] = _header_crc32(header, layers)
    # safetensors writes memory as it lies, whatever the strides
    arrays = {f"layer{index}.{name}": np.asarray(array, order="C")
              for index, layer in enumerate(layers) for name, array in layer.items()}
    data = save(arrays, {METADATA_KEY: json.dumps(header, sort_keys=True, allow_nan=False)})
    if int.from_bytes(data[:8], "little") > MAXIMUM_HEADER:
        raise ValueError(f"{len(arrays)} arrays are too many for the header of {path}, "
                         f"which must be at most {MAXIMUM_HEADER} bytes")
    with replacing(Path(path)) as part:
        part.write_bytes(data)


def crc32(layers: list[Arrays]) -> int:
    """Checksum, that of zlib, of the bytes of all arrays, little endian, one after the other."""
    crc = 0
    for layer in layers:
        for array in layer.values():
            little = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
            crc = zlib.crc32(little.data, crc)
    return crc


def _header_crc32(header: Json, layers: list[Arrays]) -> int:
    """Checksum of a file: of the bytes of its arrays and the text of all its other keys."""
    others = {key: value for key, value in header.items() if key != "crc32"}
    return zlib.crc32(json.dumps(others, sort_keys=True).encode(), crc32(layers))


class NetworkFile:
    """A file that `reading` has opened, of which nothing is taken on trust."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._header: Json = {}

    def header(self, name: str, keys: dict[str, set[str]]) -> Json:
        """Header of a file of the format ``name``; ``keys`` are those of each of its versions."""
        metadata = self._handle.metadata() or {}
        if set(metadata) != {METADATA_KEY}:
            raise ValueError(f"metadata must have the one key {METADATA_KEY!r}, "
                             f"not {sorted(metadata)}")
        header = json.loads(metadata[METADATA_KEY])
        if not isinstance(header, dict):
            raise TypeError(f"{METADATA_KEY} must be a JSON object, not {header!r}")
        if header.get("format") != name:
            raise ValueError(f"format must be {name!r}, not {header.get('format')!r}")
        version = header.get("version")
        if version not in list(keys):   # not hashed, as it may be of any type
            raise ValueError(f"version must be one of {', '.join(map(repr, keys))}, "
                             f"not {version!r}")
        check_names("key ", set(header), keys[version] | {"format", "version"})
        self._header = header
        return header

    def arrays(self, dtypes: list[dict[str, str]]) -> list[Arrays]:
        """Arrays of each layer, of which there must be exactly these, with these types."""
        # in version 1 a layer has one array of weights, without a number
        number = "0" if self._header["version"] == "1" else ""
        stored = {f"layer{index}.{name.removesuffix(number)}": dtype
                  for index, layer in enumerate(dtypes) for name, dtype in layer.items()}
        check_names("array ", set(self._handle.keys()), set(stored))
        for name, dtype in stored.items():
            found = self._handle.get_slice(name).get_dtype()
            if found != _SAFETENSORS_DTYPES[dtype]:
                raise TypeError(f"array {name} must be of {_SAFETENSORS_DTYPES[dtype]}, "
                                f"not {found}")
        layers = [{name: self._handle.get_tensor(f"layer{index}.{name.removesuffix(number)}")
                   for name in layer} for index, layer in enumerate(dtypes)]
        self._check_crc32(layers)
        return layers

    def _check_crc32(self, layers: list[Arrays]) -> None:
        if self._header["version"] == "1":
            return
        expected, found = self._header["crc32"], _header_crc32(self._header, layers)
        if expected != found:
            raise ValueError(f"crc32 must be {found}, which is that of what is in the file, "
                             f"not {expected!r}: it was damaged, or changed by hand")


@contextmanager
def reading(path: PathLike) -> Iterator[NetworkFile]:
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
            yield NetworkFile(handle)
    except (SafetensorError, TypeError, ValueError, RecursionError) as error:
        raise NetworkFileError(f"{os.fspath(path)}: {one_line(error)}") from error
