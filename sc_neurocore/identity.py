"""Which network a bitstream is of: numbers that a board tells and a host compares."""

import json
import zlib
from dataclasses import asdict
from typing import Any

from .layer_headers import connections, weight_arrays
from .network import IntegerNetwork
from .spec import AcceleratorSpec
from .storage import parameters_crc32

__all__ = ["layout_hash", "parameters_crc32", "shape_hash", "version_number"]


def shape_hash(network: IntegerNetwork) -> int:
    """CRC-32 of all that results depend on, and that no parameter is.

    These are the layers' connections, shapes and widths, timesteps, intensities, encoder and
    schedule; and the seed where there is an LFSR, since its draws are part of the circuit. The
    parameters themselves, which may be loaded, are in `parameters_crc32`.
    """
    layers = [{"weight_width": layer.weight_width, "membrane_width": layer.membrane_width,
               "weights": {name: list(array.shape)
                           for name, array in weight_arrays(layer.synapses).items()},
               **connections(layer.synapses, layer.sources)} for layer in network.layers]
    return _crc32({
        "layers": layers, "timesteps": network.timesteps, "encoder": network.encoder,
        "intensity_width": network.intensity_width, "schedule": network.schedule,
        "seed": network.seed if network.encoder == "lfsr" else None})


def layout_hash(spec: AcceleratorSpec) -> int:
    """CRC-32 of a layout: what cycles depend on, and where parameters are in memory."""
    layout = asdict(spec)
    if not spec.parity:     # as it was before there was any
        del layout["parity"]
    return _crc32(layout)


def version_number(version: str) -> int:
    """Major, minor and patch of a version, a byte each, the major one in the lowest."""
    major, minor, patch = (int(part) for part in version.split(".")[:3])
    return major | minor << 8 | patch << 16


def _crc32(thing: Any) -> int:
    return zlib.crc32(json.dumps(thing, sort_keys=True).encode("ascii"))
