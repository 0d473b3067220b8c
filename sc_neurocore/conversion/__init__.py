"""From a trained PyTorch network to a spiking one: the only place of torch in this package.

::

    from sc_neurocore.conversion import convert

    snn = convert(model, calibration_data=train_images)     # a ConvertedSNN
    counts = snn.run(images, seed=0)                        # (batch, n_output) spike counts

The names below are imported on first use: importing the package loads no torch, and `ConvertedSNN`
works without it. The others raise `sc_neurocore.extras.MissingExtraError` where it is missing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sc_neurocore.conversion.ann_to_snn import convert
    from sc_neurocore.conversion.calibration import calibrate
    from sc_neurocore.conversion.converted_snn import ConvertedSNN
    from sc_neurocore.conversion.finetuning import fake_quantize, remove_fake_quantization
    from sc_neurocore.conversion.qcfs import QCFSActivation, replace_relu_with_qcfs

__all__ = ["ConvertedSNN", "QCFSActivation", "calibrate", "convert", "fake_quantize",
           "remove_fake_quantization", "replace_relu_with_qcfs"]

_HOMES = {
    "ConvertedSNN": "converted_snn",
    "QCFSActivation": "qcfs",
    "calibrate": "calibration",
    "convert": "ann_to_snn",
    "fake_quantize": "finetuning",
    "remove_fake_quantization": "finetuning",
    "replace_relu_with_qcfs": "qcfs",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
