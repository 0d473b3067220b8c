"""`sc-neurocore run --build`: a board that is known by the folder that its bitstream is in."""

import json
from dataclasses import asdict, replace
from hashlib import sha256

import numpy as np
import pytest
from common import CACHE, random_network

from sc_neurocore import bitstream, cli
from sc_neurocore.cosim import virtual_board
from sc_neurocore.parameters import Capacity, capacities
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.storage import save_network
from sc_neurocore.synthesis.area import measure
from sc_neurocore.synthesis.placement import CriticalPath, Run

NETWORKS = [replace(random_network((21, 7, 3), seed=seed), seed=9) for seed in (4, 5)]
ROOM = tuple(Capacity(*(max(pair) for pair in zip(*(asdict(room).values() for room in rooms),
                                                  strict=True)))
             for rooms in zip(*map(capacities, NETWORKS), strict=True))
SPEC = AcceleratorSpec((3, 2), 4, family="ice40")


def placed(source, board, working, native, progress):
    """In place of mapping and placing: a file for a bitstream, and what a manifest says of it."""
    (working / "board.bin").write_bytes(b"bits")
    return {"bitstream": "board.bin", "sha256": sha256(b"bits").hexdigest(), "absorbed": 0,
            "area": measure({}, "ice40").as_dict(),
            "run": asdict(Run(1, 30.0, CriticalPath("", "", 0.0, 0.0, 0), {}))}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(bitstream, "_make", placed)
    for index, network in enumerate(NETWORKS):
        save_network(network, tmp_path / f"{index}.safetensors")
    np.save("images.npy", np.random.default_rng(3).random((12, 21)))
    return tmp_path / "build"


def run(capfd, *arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main(["run", *map(str, arguments), "--data", "images.npy", "--json"])
    return caught.value.code, json.loads(capfd.readouterr().out)


def test_parameters_are_loaded_into_the_layout_of_the_build(folder, capfd):
    bitstream.build(NETWORKS[0], "icebreaker", replace(SPEC, loaded=ROOM), folder)
    with virtual_board.start(NETWORKS[0], bitstream.read_layout(folder), CACHE) as board:
        for index in (0, 1, 0):
            code, said = run(capfd, f"{index}.safetensors", "--port", board.port, "--build",
                             folder)
            assert code == 0, said
            assert said["images"] == 12
            assert said["compared"] > 0 == said["different"]
        code, said = run(capfd, "0.safetensors", "--port", board.port, "--build", folder,
                         "--loaded")
        assert code == 2
        assert "--loaded must not be given with --build, which knows the layout" in said["error"]


def test_a_board_of_another_layout_is_refused(folder, capfd):
    bitstream.build(NETWORKS[0], "icebreaker", SPEC, folder)
    with virtual_board.start(NETWORKS[0], replace(SPEC, lanes=(7, 1)), CACHE) as board:
        code, said = run(capfd, "0.safetensors", "--port", board.port, "--build", folder)
    assert code == 2
    assert "another layout" in said["error"]
