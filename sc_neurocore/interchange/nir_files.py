"""Read NIR files, which are HDF5, without trusting them.

Nothing in them is executed, and nothing but the file itself is opened, also where HDF5 has means to
do so. Small files that stand for many gigabytes are refused before those are read.
"""

import io
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from sc_neurocore.extras import require
from sc_neurocore.messages import one_line
from sc_neurocore.network_file import NetworkFileError

PathLike = str | os.PathLike[str]
Tree = dict[str, Any]
"""Groups are dicts; datasets are numbers, strings, arrays of numbers, or lists of strings."""

METADATA_KEY = "sc_neurocore"
"""All that this package reads and writes of a graph's metadata, which anyone may add to."""

MAXIMUM_BYTES = 2**30
"""Of all arrays. A compressed file can be a thousandth of what is in it."""

MAXIMUM_MEMBERS = 2**14
"""Groups, datasets and strings. A group can be a member of many others, and of itself."""

MAXIMUM_DEPTH = 32
"""Of groups in groups: a graph's nodes are three deep, and those of a graph in it five."""


def read_tree(path: PathLike) -> Tree:
    """Read the graph of a NIR file, as `nir.NIRGraph.to_dict` has it; of metadata only ours.

    Raises
    ------
    OSError
        If there is no such file, or it must not be read.
    NetworkFileError
        If it is no NIR file, is damaged, or needs anything beside it.
    """
    h5py = require("h5py", "interchange")
    data = Path(path).read_bytes()
    try:
        _check_heaps(data)
        with h5py.File(io.BytesIO(data), "r") as file:
            reader = _Reader(h5py)
            return {**reader.tree(file, "node"), "metadata": {METADATA_KEY: reader.metadata(file)}}
    except Exception as error:      # HDF5 and its wrapper raise many kinds
        raise NetworkFileError(f"{os.fspath(path)}: it is no NIR file, or damaged: "
                               f"{one_line(error)}") from error


_HEAP = b"GCOL\1\0\0\0"
"""What a collection of strings begins with: signature, version and reserved bytes."""


def _check_heaps(data: bytes) -> None:
    """Raise ValueError if the library would never come to the end of the file's strings.

    It goes from one to the next by their sizes, of which some lead nowhere: h5py issue 2088. The
    HDF5 File Format Specification, Global Heap, has the layout.
    """
    start = data.find(_HEAP)
    while start >= 0:
        end = start + int.from_bytes(data[start + 8:start + 16], "little")
        place = start + 16
        while place + 16 <= end <= len(data):
            index, size = (int.from_bytes(data[place + first:place + last], "little")
                           for first, last in ((0, 2), (8, 16)))
            if index == 0 and size < 16:    # what is free includes its own header
                raise ValueError(f"the heap at byte {start} has an object of {size} bytes")
            place += 16 + -(-size // 8) * 8 if index else size
        if place > end or end > len(data):
            raise ValueError(f"the heap at byte {start} is not {end - start} bytes long")
        start = data.find(_HEAP, place)


class _Reader:
    """Reads members of a file until they are too many."""

    def __init__(self, h5py: Any) -> None:
        self._h5py = h5py
        self._bytes = MAXIMUM_BYTES
        self._members = MAXIMUM_MEMBERS

    def tree(self, parent: Any, name: str) -> Any:
        """Read a group or a dataset, without metadata."""
        member = self._member(parent, name)
        if isinstance(member, self._h5py.Dataset):
            return self._values(member)
        return {key: self.tree(member, key) for key in member if key != "metadata"}

    def metadata(self, file: Any) -> Tree:
        """Read our part of the graph's metadata."""
        group = file
        for name in ("node", "metadata", METADATA_KEY):
            if name not in group:
                return {}
            group = self._member(group, name)
            if not isinstance(group, self._h5py.Group):     # rows of an array could be endless
                raise ValueError(f"{group.name} must be a group")
        return {key: self.tree(group, key) for key in group}

    def _member(self, parent: Any, name: str) -> Any:
        place = f"{parent.name.rstrip('/')}/{name}"
        self._count(1)
        if place.count("/") > MAXIMUM_DEPTH:
            raise ValueError(f"groups must be nested at most {MAXIMUM_DEPTH} deep")
        if not isinstance(parent.get(name, getlink=True), self._h5py.HardLink):
            raise ValueError(f"{place} must be a member of it, not missing or a link")
        member = parent[name]
        if not isinstance(member, self._h5py.Group | self._h5py.Dataset):
            raise ValueError(f"{place} must be a group or a dataset")
        return member

    def _values(self, dataset: Any) -> Any:
        if dataset.external or dataset.is_virtual:
            raise ValueError(f"{dataset.name} must be in this file, not in another")
        text = self._h5py.check_string_dtype(dataset.dtype) is not None
        if not text and dataset.dtype.kind not in "biuf":
            raise ValueError(f"{dataset.name} must hold numbers or text, not {dataset.dtype}")
        chunk = dataset.dtype.itemsize * math.prod(dataset.chunks or ())
        self._take(max(chunk, dataset.nbytes))
        return self._strings(dataset) if text else dataset[()]

    def _strings(self, dataset: Any) -> Any:
        self._count(dataset.size)
        strings = np.empty(dataset.shape, object)
        for index in np.ndindex(dataset.shape):
            found = dataset[index]      # one by one, as all may be the same long one
            self._take(len(found))
            strings[index] = found.decode()
        return strings.tolist()

    def _count(self, members: int) -> None:
        self._members -= members
        if self._members < 0:
            raise ValueError(f"it must have at most {MAXIMUM_MEMBERS} members and strings")

    def _take(self, size: int) -> None:
        self._bytes -= size
        if self._bytes < 0:
            raise ValueError(f"it must take at most {MAXIMUM_BYTES} bytes in memory")
