"""Images to calibrate, run and verify networks with: sklearn's digits, IDX folders, numpy files."""

import gzip
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedIOBase
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .extras import require
from .messages import one_line

FloatArray = npt.NDArray[np.float64]
IntegerArray = npt.NDArray[np.int64]

MAXIMUM_VALUES = 2**30
"""Values that an array of a file may have; some 20 times MNIST, and 8 GB as float64."""

MAXIMUM_BYTES = 8 * MAXIMUM_VALUES
"""What the arrays of an .npz file may take; the file can be a thousandth of that."""

_CHUNK_BYTES = 2**20
_NUMPY = (".npz", ".npy")


@dataclass(frozen=True, eq=False)
class Dataset:
    """Labelled images, some held back for tests.

    Images are (n, n_input) float64 in [0, 1], labels (n,) int64.
    """

    train_images: FloatArray
    train_labels: IntegerArray
    test_images: FloatArray
    test_labels: IntegerArray
    name: str


@dataclass(frozen=True, eq=False)
class Images:
    """Images, (n, n_input) float64 in [0, 1], with (n,) int64 labels if they have some.

    Spike trains are (n, timesteps, n_input) bools.
    """

    images: npt.NDArray[Any]
    labels: IntegerArray | None
    name: str


def digits(test_size: float = 0.25, seed: int = 0) -> Dataset:
    """Load the 1,797 handwritten digits of 8×8 pixels that scikit-learn ships; no network needed.

    Parameters
    ----------
    test_size : float in (0, 1)
        Fraction of each class that is held back: 450 images by default.
    seed : int
        Of the choice which.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    """
    loaded = require("sklearn.datasets", "demo").load_digits()
    split = require("sklearn.model_selection", "demo").train_test_split
    train_images, test_images, train_labels, test_labels = split(
        loaded.data / 16, loaded.target.astype(np.int64), test_size=test_size, random_state=seed,
        stratify=loaded.target)
    return Dataset(train_images, train_labels, test_images, test_labels, "digits")


def idx_folder(path: str | Path) -> Dataset:
    """Load a folder in the format of MNIST: ``train-images-idx3-ubyte`` and its three companions.

    Each file may be compressed, its name then ends in ``.gz``. Pixels are divided by 255.

    Raises
    ------
    FileNotFoundError
        If a file is missing.
    ValueError
        If a file has the wrong magic number, is truncated or longer than its header says, or if
        there are more images than labels or fewer.
    """
    folder = Path(path)
    train, test = idx_images(folder, train=True), idx_images(folder, train=False)
    assert train.labels is not None
    assert test.labels is not None
    return Dataset(train.images, train.labels, test.images, test.labels, folder.name)


def idx_images(folder: Path, *, train: bool, limit: int | None = None) -> Images:
    """Load one half of an IDX folder, or the first ``limit`` images of it; see `idx_folder`."""
    prefix = "train" if train else "t10k"
    images = _idx_array(folder, f"{prefix}-images-idx3-ubyte", 3)
    labels = _idx_array(folder, f"{prefix}-labels-idx1-ubyte", 1)
    if len(images) != len(labels):
        raise ValueError(f"{folder}: {prefix} must have one label for each image, "
                         f"not {len(labels)} for {len(images)}")
    chosen = images[:limit]
    with _named_errors(folder):     # all of them may be more than there is memory for
        return Images(chosen.reshape(len(chosen), -1) / 255, labels[:limit].astype(np.int64),
                      folder.name)


def load_images(source: str, *, train: bool = False, limit: int | None = None,
                spikes: bool = False) -> Images:
    """Load the images that a command line calls ``source``.

    Parameters
    ----------
    source : str
        ``digits``; a folder of IDX files; or an ``.npz`` or ``.npy`` file, the first with an array
        ``images`` and perhaps ``labels``, the second with images alone.
    train : bool
        Of ``digits`` and IDX files take the training images, by default those held back.
    limit : int, optional
        Take the first of them only.
    spikes : bool
        The images are spike trains, which only a file has: (n, timesteps, n_input) of 0 and 1.

    Raises
    ------
    FileNotFoundError
        If there is no such file or folder.
    ValueError
        If something is wrong with it; the message names it.
    """
    if spikes and not source.endswith(_NUMPY):
        raise ValueError("Data for the encoder events must be an .npz or .npy file of spikes, "
                         f"(n, timesteps, n_input), not {source!r}")
    if source == "digits":
        data = digits()
        images, labels = ((data.train_images, data.train_labels) if train
                          else (data.test_images, data.test_labels))
        return Images(images[:limit], labels[:limit], data.name)
    path = Path(source)
    if path.is_dir():
        return idx_images(path, train=train, limit=limit)
    if path.suffix not in _NUMPY:
        raise ValueError(f"Data must be digits, a folder of IDX files, or an .npz or .npy file, "
                         f"not {source!r}")
    return _numpy_images(path, limit, _checked_spikes if spikes else _checked_images)


def _idx_array(folder: Path, name: str, ndim: int) -> npt.NDArray[np.uint8]:
    path = next((file for file in (folder / name, folder / f"{name}.gz") if file.exists()), None)
    if path is None:
        raise FileNotFoundError(f"{folder} has no file {name}, nor {name}.gz")
    with _named_errors(path), _open(path) as file:
        magic = _read(file, 4)
        if magic != bytes([0, 0, 8, ndim]):
            raise ValueError(f"magic number must be {0x800 + ndim:#010x}, unsigned bytes in {ndim} "
                             f"dimension(s), not 0x{magic.hex()}")
        shape = np.frombuffer(_read(file, 4 * ndim), ">u4").tolist()
        _check_size(shape)
        values = np.frombuffer(_read(file, math.prod(shape)), np.uint8)
        if file.read(1):
            raise ValueError(f"file is longer than its header says, {math.prod(shape)} values")
        return values.reshape(shape)


def _open(path: Path) -> BufferedIOBase:
    return gzip.open(path) if path.suffix == ".gz" else path.open("rb")


def _read(file: BufferedIOBase, size: int) -> bytearray:
    """Read ``size`` bytes, allocating no more than the file turns out to have."""
    data = bytearray()
    while len(data) < size:
        chunk = file.read(min(size - len(data), _CHUNK_BYTES))
        if not chunk:
            raise ValueError(f"file is truncated: {len(data)} bytes where {size} are due")
        data += chunk
    return data


def _check_size(shape: list[int]) -> None:
    if not 0 < math.prod(shape) <= MAXIMUM_VALUES:
        raise ValueError(f"values must be in range(1, {MAXIMUM_VALUES + 1}), but their shape is "
                         f"{tuple(shape)}")


@contextmanager
def _named_errors(path: Path) -> Iterator[None]:
    """Whatever is wrong with the content of a file is a ValueError that names the file."""
    try:
        yield
    except Exception as error:      # numpy, zipfile and gzip raise many kinds
        if isinstance(error, OSError) and error.filename is not None:
            raise                   # it can't be opened
        raise ValueError(f"{path}: {one_line(error)}") from error


def _numpy_images(path: Path, limit: int | None,
                  checked: Callable[[npt.NDArray[Any]], npt.NDArray[Any]]) -> Images:
    with _named_errors(path), path.open("rb") as file:
        if not file.read(6).startswith((b"\x93NUMPY", b"PK")):
            raise ValueError("file must be one that numpy.save or numpy.savez wrote")
        file.seek(0)
        # Nothing is unpickled: an array of objects is a ValueError.
        loaded: Any = np.load(file, allow_pickle=False)
        arrays = {"images": loaded}
        if isinstance(loaded, np.lib.npyio.NpzFile):
            with loaded:
                members: Any = loaded.zip
                if sum(member.file_size for member in members.infolist()) > MAXIMUM_BYTES:
                    raise ValueError(f"arrays must take at most {MAXIMUM_BYTES} bytes")
                arrays = {name: loaded[name] for name in ("images", "labels") if name in loaded}
        if "images" not in arrays:
            raise ValueError("file must have an array called images")
        if not all(isinstance(array, np.ndarray) for array in arrays.values()):
            raise ValueError("images and labels must be arrays that numpy wrote")
        labels = arrays.get("labels")
        return Images(checked(arrays["images"])[:limit],
                      None if labels is None else _checked_labels(labels, arrays["images"])[:limit],
                      path.name)


def _checked_images(array: npt.NDArray[Any]) -> FloatArray:
    if array.dtype.kind not in "fiub":
        raise ValueError(f"images must be real numbers, not {array.dtype}")
    if array.ndim < 2 or array.size == 0:
        raise ValueError(f"images must have shape (n, n_input), both at least 1, "
                         f"not {array.shape}")
    flat = array.reshape(len(array), -1).astype(np.float64)
    wrong = np.argwhere(~((flat >= 0) & (flat <= 1)))
    if len(wrong):
        image, pixel = wrong[0].tolist()
        hint = "; divide bytes by 255" if array.dtype == np.uint8 else ""
        raise ValueError(f"images must be in [0, 1], but image {image}, input {pixel} "
                         f"is {flat[image, pixel]:g}{hint}")
    return flat


def _checked_spikes(array: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    if array.dtype.kind not in "fiub":
        raise ValueError(f"spikes must be numbers, not {array.dtype}")
    if array.ndim != 3 or array.size == 0:
        raise ValueError(f"spikes must have shape (n, timesteps, n_input), all at least 1, "
                         f"not {array.shape}")
    wrong = np.argwhere((array != 0) & (array != 1))
    if len(wrong):
        image, timestep, neuron = wrong[0].tolist()
        raise ValueError(f"spikes must be 0 or 1, but image {image}, timestep {timestep}, "
                         f"input {neuron} is {array[image, timestep, neuron]:g}")
    return array.astype(bool)


def _checked_labels(array: npt.NDArray[Any], images: npt.NDArray[Any]) -> IntegerArray:
    if array.dtype.kind not in "iu":
        raise ValueError(f"labels must be integers, not {array.dtype}")
    if array.shape != (len(images),):
        raise ValueError(f"labels must have shape ({len(images)},), one for each image, "
                         f"not {array.shape}")
    return array.astype(np.int64)
