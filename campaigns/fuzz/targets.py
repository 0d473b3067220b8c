"""What is attacked: valid inputs, what reads them, and the errors that it documents."""

import gzip
import io
import pickle
import sys
import tempfile
import zipfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from .. import ROOT
from . import mutate
from .mutate import INTEGERS, ODD
from .surroundings import CANARY, HOME
from .target import Target

sys.path.insert(0, str(ROOT / "tests"))     # networks with everything that they can have


class Trap:
    """Executes a command when it is unpickled, if anyone does that."""

    def __reduce__(self) -> Any:
        import os
        return os.system, ("touch executed",)


def saved(save: Callable[[Path], object], name: str = "seed") -> bytes:
    """What a function writes to a file."""
    with tempfile.TemporaryDirectory() as folder:
        save(Path(folder) / name)
        return (Path(folder) / name).read_bytes()


# --- network files ------------------------------------------------------------------------------

def networks() -> Target:
    """Integer networks."""
    import test_storage as examples

    from sc_neurocore.storage import NetworkFileError, load_network, save_network
    made = [saved(partial(save_network, network)) for network in (
        examples.example_network(), examples.residual_network())]
    old = (ROOT / "tests/data/network-version1.safetensors").read_bytes()
    return Target("network files", "network.safetensors", [*made, old], load_network,
                  (NetworkFileError, OSError), mutate.safetensors)


def floats() -> Target:
    """Float networks."""
    import test_storage as examples

    from sc_neurocore.storage import NetworkFileError, load_snn, save_snn
    made = [saved(partial(save_snn, network)) for network in (
        examples.example_snn(), examples.residual_snn())]
    old = (ROOT / "tests/data/snn-version1.safetensors").read_bytes()
    return Target("float network files", "snn.safetensors", [*made, old], load_snn,
                  (NetworkFileError, OSError), mutate.safetensors)


# --- weights of torch ----------------------------------------------------------------------------

def make_model() -> Any:
    """A perceptron, for `load_model`."""
    from torch import nn
    return nn.Sequential(nn.Linear(3, 2), nn.ReLU(), nn.Linear(2, 2))


def _load_weights(path: Path) -> object:
    from sc_neurocore.conversion.loading import load_model
    return load_model(f"{__name__}:make_model", path)


def weights_safetensors() -> Target:
    """State dicts in safetensors."""
    from safetensors.torch import save
    return Target("weights, safetensors", "weights.safetensors", [save(make_model().state_dict())],
                  _load_weights, reshape=mutate.safetensors)


def weights_torch() -> Target:
    """State dicts that torch.save wrote, in both of its formats, and what else it can write."""
    import torch

    state = make_model().state_dict()

    def saved(value: Any, **options: Any) -> bytes:
        sink = io.BytesIO()
        torch.save(value, sink, **options)
        return sink.getvalue()

    first = next(iter(state))
    others = [tensor(state[first]) for tensor in (
        torch.Tensor.to_sparse, torch.Tensor.to_sparse_csr, lambda old: old.to("meta"),
        lambda old: old.to(torch.complex64), lambda old: old.to(torch.bool),
        lambda old: torch.zeros(1).expand(2, 3), lambda old: torch.zeros(1).expand(2**40, 3),
        lambda old: torch.quantize_per_tensor(old, 0.1, 0, torch.qint8), torch.nn.Parameter)]
    seeds = [saved(state), saved(state, _use_new_zipfile_serialization=False),
             *(saved(state | {first: other}) for other in others),
             saved({**state, first: Trap()}), pickle.dumps(Trap()), pickle.dumps({first: Trap()}),
             saved(Trap(), _use_new_zipfile_serialization=False)]
    return Target("weights, torch", "weights.pt", seeds, _load_weights, reshape=_rezipped)


def _rezipped(random: Random, data: bytes) -> bytes:
    """Damage a member of a zip file, whose checksum is then right."""
    source, sink = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    chosen = random.choice(source.namelist())
    with zipfile.ZipFile(sink, "w", random.choice((0, zipfile.ZIP_DEFLATED))) as made:
        for name in source.namelist():
            content = source.read(name)
            if name == chosen:
                kind = random.randrange(12)
                if kind == 0:
                    continue
                if kind == 1:
                    name = random.choice(("../escaped", "/escaped", "a\nb", "", name * 50))
                elif kind == 2:
                    content = bytes(2**25)
                else:
                    content = mutate.damaged(random, content, [content])
            made.writestr(name, content)
    return sink.getvalue()


# --- images -------------------------------------------------------------------------------------

def _idx(*shape: int) -> bytes:
    values = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    return (bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes() + values.tobytes())


def _redimensioned(random: Random, data: bytes) -> bytes:
    """Change what the header of an IDX file says, and sometimes give it all the zeros for it."""
    place = random.choice((2, 3, 4, 8, 12))
    if place < 4:
        return data[:place] + bytes([random.randrange(256)]) + data[place + 1:]
    if random.random() < 0.05:
        many = random.choice((2**14, 2**17, 2**20))
        return data[:4] + np.array([many, 2**5, 2**5], ">u4").tobytes() + bytes(
            min(many * 2**10, 2**27))
    size = random.choice((*INTEGERS, 5, 6, 7)) % 2**32
    return data[:place] + size.to_bytes(4, "big") + data[place + 4:]


def _load_idx(path: Path) -> object:
    from sc_neurocore.datasets import idx_images
    return idx_images(path.parent, train=False)


def idx() -> Target:
    """IDX files."""
    return Target("IDX", "t10k-images-idx3-ubyte", [_idx(6, 4, 5)], _load_idx,
                  reshape=_redimensioned, beside={"t10k-labels-idx1-ubyte": _idx(6)})


def idx_labels() -> Target:
    """IDX files of labels."""
    return Target("IDX, labels", "t10k-labels-idx1-ubyte", [_idx(6)], _load_idx,
                  reshape=_redimensioned, beside={"t10k-images-idx3-ubyte": _idx(6, 4, 5)})


def idx_compressed() -> Target:
    """Compressed IDX files."""
    return Target("IDX, gzip", "t10k-images-idx3-ubyte.gz", [gzip.compress(_idx(6, 4, 5))],
                  _load_idx, reshape=mutate.zipped(_redimensioned),
                  beside={"t10k-labels-idx1-ubyte": _idx(6)})


def npy(array: Any) -> bytes:
    """A file of one array."""
    sink = io.BytesIO()
    np.save(sink, array)
    return sink.getvalue()


def npz(**arrays: Any) -> bytes:
    """A file of several."""
    sink = io.BytesIO()
    np.savez_compressed(sink, **arrays)
    return sink.getvalue()


def _reworded(random: Random, data: bytes) -> bytes:
    """Change the Python literal in the header of a npy file."""
    end = data.index(b"\n", 10)
    text = data[10:end].decode("latin1").rstrip()
    old, new = random.choice((
        ("'<f8'", random.choice(("'|O'", "'>f8'", "'<i8'", "'|S9'", "'<U1'", "'<M8[s]'", "'<c16'",
                                 "'|V8'", "[('a', '<f8')]", "[]", "'x'", "('<f8', (2**9,))",
                                 "('<f8', 99999999999)", "None", "'\\x00'", "'<f8,'"))),
        ("(", random.choice(("(" * 300, "(-1, ", "(10**9, ", "(0, ", "(True, ", "(1.5, ",
                             f"({2**62}, ", f"({2**65}, ", "(2**40, ", "[", "('a', ", "{", "(\n"))),
        ("False", random.choice(("True", "None", "0", "Fals",
                                 "__import__('os').system('touch x')"))),
        ("}", random.choice(("", ", 'a': 1}", "}}", "}\n\n ", "\\", "}'", '}"""')))))
    text = text.replace(old, new, 1)
    size = len(text) + random.choice((1, 1, 1, 1, 100))
    return data[:8] + (size % 2**16).to_bytes(2, "little") + text.encode("latin1") + b"\n" + (
        data[end + 1:])


def arrays() -> Target:
    """Files of numpy."""
    from sc_neurocore.datasets import load_images
    images, labels = np.random.default_rng(0).random((6, 20)), np.arange(6)
    trap = np.array([Trap()], object)
    seeds = [npz(images=images, labels=labels), npz(images=images), npz(images=trap),
             npz(images=images, labels=trap), pickle.dumps(Trap())]
    return Target("numpy, npz", "images.npz", seeds, lambda path: load_images(str(path)),
                  reshape=_rezipped_npy)


def _rezipped_npy(random: Random, data: bytes) -> bytes:
    if random.random() < 0.5:
        return _rezipped(random, data)
    source, sink = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
    with zipfile.ZipFile(sink, "w") as made:
        for name in source.namelist():
            made.writestr(name, _reworded(random, source.read(name)))
    return sink.getvalue()


def array() -> Target:
    """A file of one numpy array."""
    from sc_neurocore.datasets import load_images
    seeds = [npy(np.random.default_rng(0).random((6, 20))), npy(np.array([Trap()], object))]
    return Target("numpy, npy", "images.npy", seeds, lambda path: load_images(str(path)),
                  reshape=_reworded)


def spikes(form: str) -> Target:
    """Spike trains, in a file of numpy of either form."""
    from sc_neurocore.datasets import load_images
    trains, labels = np.random.default_rng(0).integers(0, 2, (4, 5, 6)), np.arange(4)
    seeds = ([npy(trains.astype(kind)) for kind in (bool, np.uint8, float)] if form == "npy" else
             [npz(images=trains.astype(bool), labels=labels), npz(images=trains.astype(float))])
    return Target(f"spikes, {form}", f"spikes.{form}", seeds,
                  lambda path: load_images(str(path), spikes=True),
                  reshape=_reworded if form == "npy" else _rezipped_npy)


# --- other people's networks ---------------------------------------------------------------------

def onnx(of_weights: bool = False) -> Target:
    """ONNX files, some with their weights beside them; or the files of such weights."""
    import warnings

    warnings.simplefilter("ignore")
    import onnx
    import test_onnx_import as examples

    from sc_neurocore.interchange import load_onnx

    names = ("perceptron", "residual block", "view by sizes", "pools", "QCFS")
    seeds = [saved(partial(examples.export, examples.trained(examples.MODELS[name]()),
                            examples.images_of(examples.shape_of(name)))) for name in names]
    split = onnx.load_model_from_string(seeds[0])
    with tempfile.TemporaryDirectory() as folder:
        onnx.save(split, f"{folder}/a.onnx", save_as_external_data=True, location="weights",
                  size_threshold=0)
        seeds.append(Path(folder, "a.onnx").read_bytes())
        weights = Path(folder, "weights").read_bytes()
    if of_weights:
        return Target("ONNX, weights", "weights", [weights],
                      lambda path: load_onnx(path.with_name("network.onnx")),
                      beside={"network.onnx": seeds[-1]}, is_codegen=True)
    return Target("ONNX", "network.onnx", seeds, load_onnx, reshape=_reassembled,
                  beside={"weights": weights}, is_codegen=True)


def _reassembled(random: Random, data: bytes) -> bytes:
    """Change fields of a message of protobuf, wherever they are."""
    import onnx
    model = onnx.load_model_from_string(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        message: Any = model
        while True:
            fields = message.ListFields()
            if not fields:
                break
            descriptor, value = random.choice(fields)
            is_list = hasattr(value, "append")
            if is_list and random.random() < 0.15:
                _relisted(random, value)
                break
            index = random.randrange(len(value)) if is_list else None
            chosen = value[index] if index is not None else value
            if descriptor.type != descriptor.TYPE_MESSAGE:
                _reset(random, message, descriptor.name, index, chosen)
                break
            message = chosen
    return bytes(model.SerializeToString())


def _relisted(random: Random, values: Any) -> None:
    index = random.randrange(len(values))
    if random.random() < 0.5:
        del values[index]
    else:
        values.extend([values[index]] * random.choice((1, 2, 40)))


def _reset(random: Random, message: Any, name: str, index: int | None, old: Any) -> None:
    odd: Sequence[Any]
    if isinstance(old, bool | int):
        odd = (old + 1, old - 1, -1, *INTEGERS)
    elif isinstance(old, float):
        odd = (0.0, -1.0, 1e38, float("nan"), float("inf"))
    elif isinstance(old, bytes):
        odd = (b"", old[:-1], old * 2, b"\xff", b"../secret", b"\x1b[2J\n")
    else:
        odd = ("", "../secret", "/etc/passwd", "a\nb", "\x1b[2J", "x" * 5000, old + "_",
               "__import__('os').system('touch x')", "forward", "class")
    try:
        if index is None:
            setattr(message, name, random.choice(odd))
        else:
            getattr(message, name)[index] = random.choice(odd)
    except (ValueError, TypeError):     # a field holds less than that
        return


def nir() -> Target:
    """NIR files."""
    import test_storage as examples

    from sc_neurocore.interchange import load_nir, save_nir
    seeds = [gzip.decompress((ROOT / "tests/data" / f"{name}.nir.gz").read_bytes())
             for name in ("snntorch", "spikingjelly")]
    seeds.append(saved(partial(save_nir, examples.example_snn())))

    def load(path: Path) -> object:
        return load_nir(path, 8, reset="subtract", dt=1e-4)

    return Target("NIR", "network.nir", seeds, load, reshape=_regrown)


def _regrown(random: Random, data: bytes) -> bytes:
    """Put something else in the place of members of a HDF5 file."""
    import h5py

    sink = io.BytesIO(data)
    with h5py.File(sink, "r+") as file:
        names: list[str] = []
        file.visit(names.append)
        for _ in range(random.choice((1, 1, 2))):
            name = random.choice(names)
            if name not in file:
                continue
            old = file[name][()] if isinstance(file[name], h5py.Dataset) else None
            del file[name]
            kind = random.randrange(11)
            if kind == 0:
                continue
            if kind == 1:
                file[name] = h5py.SoftLink(random.choice(("/", "/node", "/nowhere", f"/{name}")))
            elif kind == 2:
                file[name] = file[random.choice(("/", "/node"))]
            elif kind == 3:
                file.create_dataset(name, random.choice(((2**20, 2**20), (0,), (2**28, 2))), "f8",
                                    compression="gzip" if random.random() < 0.5 else None,
                                    chunks=True)
            elif kind == 4 and isinstance(old, np.ndarray) and old.dtype.kind in "if":
                file[name] = old.reshape(-1) if random.random() < 0.5 else old[..., None]
            elif kind == 5 and isinstance(old, np.ndarray) and old.dtype.kind in "if":
                changed = old.copy().reshape(-1)
                changed[random.randrange(changed.size)] = random.choice((0, -1, 2**31 - 1))
                file[name] = changed.reshape(old.shape)
            elif kind in (6, 7, 8):
                _elsewhere(random, file, name, (6, 7, 8).index(kind))
            else:
                value = random.choice(ODD)
                file[name] = value if isinstance(value, bool | int | float | str) and (
                    "\0" not in str(value)) and abs(hash(value)) < 2**62 else np.zeros(3, np.int64)
    return sink.getvalue()


def _elsewhere(random: Random, file: Any, name: str, kind: int) -> None:
    """Have a member of a HDF5 file be in another one: by a link, its storage, or a part of it."""
    import h5py

    path = random.choice((f"../{CANARY}", f"../{HOME}/{CANARY}", "network.nir", "/etc/passwd",
                          "nowhere"))
    if kind == 0:
        file[name] = h5py.ExternalLink(path, random.choice(("/", "/node", f"/{name}")))
    elif kind == 1:
        file.create_dataset(name, (2, 3), "f8", external=[(path, 0, h5py.h5f.UNLIMITED)])
    else:
        layout = h5py.VirtualLayout((2, 3), "f8")
        layout[:] = h5py.VirtualSource(path, f"/{name}", (2, 3))
        file.create_virtual_dataset(name, layout)
