"""What writes files, for `crashes`: functions, and every command that has an output."""

import atexit
import shutil
import tempfile
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from itertools import pairwise
from pathlib import Path

import click
import numpy as np

from sc_neurocore import files
from sc_neurocore.cli.frame import commands
from sc_neurocore.storage import save_network

from .. import ROOT
from .commands import called
from .crashes import Subject, in_child

CACHE = ROOT / "build" / "fuzz" / "verify"
MODEL = "campaigns.fuzz.targets:make_model"
READ = (("verify", "build"), ("run", "build"), ("program", "folder"))
"""Commands and their parameters that could be outputs, but are inputs."""
UNTRIED = {
    ("demo", "output"): "what it does is done by the others",
    ("download", "output"): "it takes the servers of the data sets",
    ("verify", "folder"): "logs, and a cache of compiled simulations, which is not read in pieces",
    ("virtual-board", "folder"): "the same cache"}
"""Outputs that are not tried, and why."""
MODULES = ("sc_neurocore.bitstream", "sc_neurocore.conversion.graph", "sc_neurocore.interchange",
           "sc_neurocore.planning", "sc_neurocore.plots", "sc_neurocore.simulator.kernels",
           "sc_neurocore.stages", "sc_neurocore.verilog", "h5py", "matplotlib.pyplot", "nir",
           "rich.progress", "safetensors.torch", "torch.fx")
"""Imported before processes are forked, so that kills hit what comes after that."""


def outputs() -> set[tuple[str, str]]:
    """Commands, and their parameters that are files or folders to be written."""
    return {(name, str(parameter.name)) for name, command in commands.commands.items()
            for parameter in command.params
            if isinstance(parameter.type, click.Path) and not parameter.type.exists} - {*READ}


def _called(*arguments: str) -> None:
    if refused := called(arguments):
        raise OSError(refused)


@cache
def given() -> Path:
    """A folder with what commands read, of a small perceptron."""
    for module in MODULES:
        import_module(module)
    folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
    atexit.register(shutil.rmtree, folder)
    random = np.random.default_rng(1)
    np.savez(folder / "images.npz", images=random.random((4, 3)), labels=[0, 1, 0, 1])
    if in_child(partial(_give, folder)):
        raise RuntimeError("What commands read can't be made")
    return folder


def _give(folder: Path) -> None:
    import torch
    from safetensors.torch import save_file

    from .targets import make_model
    torch.manual_seed(1)
    save_file(make_model().state_dict(), folder / "weights.safetensors")
    for words in (
            f"convert {_MODEL} --timesteps 4 --output GIVEN/snn",
            "export GIVEN/snn --output GIVEN/nir", "quantize GIVEN/snn --output GIVEN/network"):
        _called(*_filled_in(words, folder))


def _filled_in(arguments: str, given: Path, made: Path = Path()) -> list[str]:
    return arguments.replace("GIVEN", str(given)).replace("MADE", str(made)).split()


def _command(arguments: str, kills: int, fills: int, *, pieces: bool = False,
             before: Callable[[], object] = given) -> Subject:
    """A command, which reads what `given` gives in GIVEN and writes to MADE."""
    words = arguments.split()

    def run(folder: Path) -> None:
        _called(*_filled_in(arguments, given(), folder))

    return Subject(" ".join(words[:1] + _written(words)), run, kills, fills,
                   lambda folder: before(), pieces, words)


def _written(words: list[str]) -> list[str]:
    """Options that say what is written."""
    return [option for option, value in pairwise(words) if value.startswith("MADE/")]


def _saved(seed: int, folder: Path) -> None:
    from common import random_network
    save_network(random_network((8, 6, 4), seed=seed), folder / "saved")


def _filled(value: bytes, folder: Path) -> None:
    with tempfile.TemporaryDirectory() as source:
        for index in range(4):
            Path(source, f"file{index}").write_bytes(value * 5000)
        files.fill_folder(folder / "made", Path(source))


@cache
def _compiled() -> None:
    """Compile what `verify` simulates, which is then in its folder."""
    folder = given()
    with tempfile.TemporaryDirectory() as made:
        if in_child(lambda: _called(*_filled_in(_VERIFY, folder, Path(made)))):
            raise RuntimeError("verify fails")


_MODEL, _DATA = f"{MODEL} --weights GIVEN/weights.safetensors", "--data GIVEN/images.npz"
_VERIFY = f"verify GIVEN/network {_DATA} --images 1 --folder {CACHE} --waves MADE/a.vcd"
SUBJECTS = {subject.name: subject for subject in (
    Subject("save_network", partial(_saved, 2), 60, 8, partial(_saved, 1)),
    Subject("fill_folder, new", partial(_filled, b"new"), 40, 8),
    Subject("fill_folder, again", partial(_filled, b"new"), 40, 8, partial(_filled, b"old"), True),
    _command(f"convert {_MODEL} --timesteps 4 --output MADE/snn", 12, 6),
    _command("export GIVEN/snn --output MADE/nir", 12, 6),
    _command("import GIVEN/nir --output MADE/snn", 12, 6),
    _command("quantize GIVEN/snn --output MADE/network", 12, 6),
    _command(f"report {_MODEL} GIVEN/snn {_DATA} --network GIVEN/network --plot MADE/a.png", 12, 6),
    _command(f"simulate GIVEN/network {_DATA} --output MADE/a.npz", 12, 6),
    _command("verilog GIVEN/network --lanes 2 --output MADE/a.v", 6, 2),
    _command("verilog GIVEN/network --axi --header MADE/a.h --output MADE/a.v", 6, 2, pieces=True),
    _command(_VERIFY, 4, 2, before=_compiled),
    _command("synth GIVEN/network --lanes 2 --no-place --output MADE/synth", 4, 2),
    _command("build GIVEN/network --lanes 2 --output MADE/board", 4, 2))}


def tried() -> set[tuple[str, str]]:
    """Those of `outputs` that a subject writes."""
    return {(subject.arguments[0], option.removeprefix("--"))
            for subject in SUBJECTS.values() for option in _written(subject.arguments)}
