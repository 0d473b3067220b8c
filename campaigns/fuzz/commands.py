"""Commands, and the manifests of what one of them makes, as targets."""

import io
import json
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import asdict, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from . import mutate, targets
from .hostile_board import Behaviour, HostileBoard
from .links import SPEC, network_and_images
from .target import Target

_MODEL = f"{targets.__name__}:make_model"


def manifest() -> Target:
    """Manifests of bitstreams."""
    from sc_neurocore import bitstream

    content = b"not a bitstream, but whole"
    seed = json.dumps({
        "bitstream": "board.bin", "sha256": sha256(content).hexdigest(), "area": {}, "absorbed": 0,
        "run": {}, "inputs": "", "board": "icebreaker", "shape": [21, 7, 3],
        "layout": asdict(SPEC), "clock_hz": 24e6, "baud": 1_000_000, "parameters": 0,
        "versions": {}}).encode()

    def load(path: Path) -> object:
        return bitstream.read_layout(path.parent)

    return Target("manifest", bitstream.MANIFEST, [seed], load, reshape=_changed_json,
                  beside={"board.bin": content})


def _changed_json(random: Random, data: bytes) -> bytes:
    return mutate.json_text(random, json.loads(data)).encode("utf-8", "surrogatepass")


def called(arguments: Sequence[str]) -> str:
    """Run a command; returns the line that it says if it refuses something, else nothing.

    Raises
    ------
    AssertionError
        If it ends in any other way.
    """
    from sc_neurocore import cli

    said, code = io.StringIO(), None
    try:
        with redirect_stderr(said), redirect_stdout(io.StringIO()):
            cli.main(arguments)
    except SystemExit as error:
        code = error.code
    if not code:
        return ""
    text = said.getvalue()
    if code != cli.FAILURE or not text.startswith("Error: ") or text.count("\n") != 1:
        raise AssertionError(f"exit code {code}: {text}")
    return text.rstrip("\n")


def _run(arguments: str, path: Path, **words: str) -> None:
    """Run a command; what it refuses is made an error.

    FILE is the input, and so are the keys of ``words`` what they stand for; what is called written
    has to be there afterwards.
    """
    given = [({"FILE": str(path)} | words).get(word, word) for word in arguments.split()]
    outputs = [path.parent / word for word in given if word.startswith("written")]
    for output in outputs:
        output.unlink(missing_ok=True)
    if refused := called(given):
        raise ValueError(refused)
    for output in outputs:
        output.unlink()


def command(source: Callable[[], Target], arguments: str, name: str = "", **changes: Any) -> Target:
    """A command that reads a kind of file; inputs are those of its loader."""
    return replace(source(), name=f"command {name or arguments.split()[0]}",
                   load=partial(_run, arguments), errors=(ValueError,), names_file=False, **changes)


def _images(n_input: int) -> dict[str, bytes]:
    return {"images.npz": targets.npz(images=np.random.default_rng(1).random((3, n_input)))}


def simulate() -> Target:
    """The command, with hostile networks."""
    return command(targets.networks, "simulate FILE --data images.npz --output written.npz",
                   beside=_images(7))


def report(of_integers: bool = False) -> Target:
    """The command, with hostile float networks, or integer ones that are said to be made of one."""
    import torch

    from sc_neurocore.conversion import convert
    from sc_neurocore.quantization import quantize
    from sc_neurocore.storage import save_network, save_snn

    torch.manual_seed(1)
    model = targets.make_model()
    snn = convert(model, None, T=4)
    files = {"snn": targets.saved(partial(save_snn, snn)),
             "network": targets.saved(partial(save_network, quantize(snn))),
             "weights.pt": targets.saved(partial(torch.save, model.state_dict()))}
    words = f"report {_MODEL} {{}} --weights weights.pt --data images.npz --plot written.png"
    beside = _images(3) | files
    if of_integers:
        return command(targets.networks, words.format("snn --network FILE"), "report --network",
                       seeds=[files["network"]], beside=beside, limit_s=60.0)
    return command(targets.floats, words.format("FILE"), seeds=[files["snn"]], beside=beside,
                   limit_s=60.0)


def with_build(name: str) -> Target:
    """A command with a folder that a bitstream was built in, and where it is said what that is."""
    from sc_neurocore.storage import save_network

    network, images = network_and_images()
    # Only those of a full range become the same intensities again.
    beside = {"network": targets.saved(partial(save_network, network)),
              "images.npz": targets.npz(images=images / 255)}
    of = command(manifest, f"{name} network --data images.npz --build .",
                 f"{name} --build")
    of = replace(of, beside={**of.beside, **beside})
    if name == "verify":
        # The bitstream is of other parameters, so nothing is simulated.
        return replace(of, load=partial(_run, "verify network --data images.npz --build . "
                                              "--stage bitstream"), refuses_seeds=True)
    rates = [json.loads(of.seeds[0]) | {"baud": baud} for baud in mutate.INTEGERS]
    of = replace(of, seeds=[*of.seeds, *(json.dumps(each).encode() for each in rates)])
    behaviour = Behaviour.of(network, SPEC, network.intensities(images / 255))

    def load(path: Path) -> None:
        board = HostileBoard(bytes(8), behaviour)
        try:
            _run("run network --data images.npz --build . --port PORT", path, PORT=board.port)
        finally:
            board.close()

    return replace(of, load=load)
