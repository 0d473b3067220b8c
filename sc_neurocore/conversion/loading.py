"""Models by name: ``package.module:factory`` and a file of weights, and what they predict."""

import importlib
import pickle
import re
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sc_neurocore.extras import MissingExtraError, require
from sc_neurocore.messages import one_line

try:
    import torch
    from torch import nn
except ModuleNotFoundError:
    require("torch", "convert")
    raise


def load_model(spec: str, weights: Path | None = None) -> nn.Module:
    """Make the model that ``spec`` names and give it its weights.

    Parameters
    ----------
    spec : str
        ``package.module:factory``: a function or class that returns an ``nn.Module`` when it is
        called without arguments. The module may be in the current folder.
    weights : Path, optional
        State dict of the model, every key and shape the same: ``.safetensors``, or else what
        ``torch.save`` wrote. Nothing in it is executed: tensors are all that it may hold.

    Returns
    -------
    nn.Module
        In evaluation mode.

    Raises
    ------
    FileNotFoundError
        If there is no such file of weights.
    ValueError
        If module or factory do not exist, raise an error or give something else than a model, or if
        the file is not a state dict of this model.
    """
    model = _make(spec)
    if weights is not None:
        state = _read_state(weights)
        _check_state(weights, model.state_dict(), state)
        model.load_state_dict(state)
    return model.eval()


def classify(model: nn.Module, images: npt.ArrayLike) -> npt.NDArray[np.int64]:
    """Predict the class of each image, (batch, n_input) reals: the first of the largest logits."""
    dtype = next(model.parameters()).dtype
    with torch.no_grad():
        logits: torch.Tensor = model(torch.as_tensor(np.asarray(images), dtype=dtype))
    return logits.numpy().argmax(axis=1).astype(np.int64)


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    before = list(sys.path)
    sys.path.insert(0, str(Path.cwd()))
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path[:] = before


def _make(spec: str) -> nn.Module:
    if not re.fullmatch(r"[^\W\d][\w.]*:[^\W\d]\w*", spec):
        raise ValueError(f"Model must be given as package.module:factory, not {spec!r}")
    module_name, _, name = spec.partition(":")
    with _current_folder_importable():
        try:
            module = importlib.import_module(module_name)
        except MissingExtraError:
            raise
        except Exception as error:
            raise ValueError(f"Model {spec}: {module_name} can't be imported: "
                             f"{_text(error)}") from error
        factory = getattr(module, name, None)
        if not callable(factory) or isinstance(factory, nn.Module):
            raise ValueError(f"Model {spec}: {module_name} must have a function or class {name}"
                             + ("" if factory is None else f", not {type(factory).__name__}"))
        try:
            model = factory()
        except Exception as error:
            raise ValueError(f"Model {spec}: {name}() failed: {_text(error)}") from error
    if not isinstance(model, nn.Module):
        raise ValueError(f"Model {spec}: {name}() must return an nn.Module, "
                         f"not {type(model).__name__}")
    return model


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _read_state(path: Path) -> Mapping[str, torch.Tensor]:
    """Tensors of a file, by name."""
    state: Any
    with path.open("rb"):
        pass  # a missing or forbidden file is an OSError that says so
    try:
        if path.suffix == ".safetensors":
            state = require("safetensors.torch", "convert").load_file(path)
        else:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about formats that are then refused
                state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ValueError(f"Weights {path} must be tensors alone, as torch.save writes "
                         "model.state_dict(); whatever else is pickled is refused") from error
    except Exception as error:      # pickle and torch raise many kinds
        reason = one_line(str(error).partition("\n")[0] or type(error).__name__)
        raise ValueError(f"Weights {path} can't be read: {reason}") from error
    if not isinstance(state, Mapping) or not all(
            isinstance(name, str) and isinstance(tensor, torch.Tensor)
            for name, tensor in state.items()):
        raise ValueError(f"Weights {path} must be a state dict, tensors by name, "
                         f"not {type(state).__name__}" + (
                             " of something else" if isinstance(state, Mapping) else ""))
    return state


def _check_state(path: Path, expected: Mapping[str, torch.Tensor],
                 found: Mapping[str, torch.Tensor]) -> None:
    for fault, names in (("lack", expected.keys() - found.keys()),
                         ("have unexpected", found.keys() - expected.keys())):
        if names:
            raise ValueError(f"Weights {path} {fault} {one_line(', '.join(sorted(names)))}")
    for name, tensor in expected.items():
        if found[name].shape != tensor.shape:
            raise ValueError(f"Weights {path}: {name} must have shape {tuple(tensor.shape)}, "
                             f"not {tuple(found[name].shape)}")
        kind = found[name]
        if kind.layout != torch.strided or kind.is_meta or kind.is_quantized or kind.is_complex():
            raise ValueError(f"Weights {path}: {name} must be a dense tensor of real numbers, "
                             f"not {kind.layout}, {kind.dtype}, device {kind.device}")
