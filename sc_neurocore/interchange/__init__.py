"""Networks of other tools: ONNX in, NIR both ways. Files are read without executing anything."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sc_neurocore.interchange.nir_export import save_nir, to_nir
    from sc_neurocore.interchange.nir_import import from_nir, load_nir
    from sc_neurocore.interchange.onnx_import import load_onnx

__all__ = ["from_nir", "load_nir", "load_onnx", "save_nir", "to_nir"]

_HOMES = {"from_nir": "nir_import", "load_nir": "nir_import", "load_onnx": "onnx_import",
          "save_nir": "nir_export", "to_nir": "nir_export"}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
