"""The command synth: what it prints, what it writes, and what it refuses."""

import json

import numpy as np
import pytest

from sc_neurocore import cli
from sc_neurocore.network import IntegerLayer, IntegerNetwork
from sc_neurocore.storage import save_network


@pytest.fixture(autouse=True)
def files(monkeypatch, tmp_path):
    """A small network and images, in the current folder."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    layers = tuple(IntegerLayer(random.integers(-8, 8, (outputs, inputs)), np.zeros(outputs, int),
                                np.full(outputs, 8), np.zeros(outputs, int), 4)
                   for inputs, outputs in ((8, 4), (4, 2)))
    save_network(IntegerNetwork(layers, 3), tmp_path / "network.safetensors")
    np.save(tmp_path / "images.npy", random.random((5, 8)))


def run(capfd, *arguments):
    capfd.readouterr()
    with pytest.raises(SystemExit) as caught:
        cli.main(["synth", "network.safetensors", *(str(argument) for argument in arguments)])
    return caught.value.code, *capfd.readouterr()


def test_json_and_files(capfd, tmp_path):
    made = tmp_path / "made"
    code, out, err = run(capfd, "--device", "ice40-hx8k", "--data", "images.npy", "--images", 3,
                         "--seeds", 1, "--output", made, "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["device"] == "ice40-hx8k"
    assert document["images"] == 3
    assert document["fmax_mhz"] > 20
    assert document["images_per_second"] > 10_000
    assert {path.name for path in made.iterdir()} == {
        "accelerator.v", "accelerator.json", "map.ys", "yosys.log", "in_harness.json",
        "nextpnr-1-router2.log", "report-1.json"}
    assert list(json.loads((made / "accelerator.json").read_text())["modules"]) == ["accelerator"]


def test_mapping_alone_prints_a_table(capfd):
    code, out, err = run(capfd, "--no-place", "--lanes", 2)
    assert code == 0, err
    assert out.startswith("8-4-2, lanes 2, 2, on Lattice LFE5U-25F, CABGA381, speed grade 6\n\n"
                          "LUT equivalents")
    assert "Fmax" not in out


@pytest.mark.slow
def test_toggles_are_counted_with_the_first_images(capfd):
    code, out, err = run(capfd, "--no-place", "--lanes", 2, "--data", "images.npy", "--images", 3,
                         "--toggles", 1, "--json")
    assert code == 0, err
    document = json.loads(out)
    assert (document["images"], document["toggles"]["images"]) == (3, 1)
    assert min(document["toggles"].values()) > 0


@pytest.mark.parametrize(("arguments", "message"), [
    (["--device", "ecp6"], "Device must be one of"),
    (["--output", "missing/made"], "Folder missing of the output folder does not exist"),
    (["--toggles", 2], "--toggles needs --data, the images to be counted with"),
    (["--device", "xc7", "--clock-hz", "1e6", "--lanes", "5,2"],     # mapped, and not planned for
     "Lanes of layer 0 must be in range(1, 5), not 5"),
    (["--lanes", "5,2"], "Lanes of layer 0 must be in range(1, 5), not 5")])
def test_errors_come_before_the_work(capfd, arguments, message):
    code, out, err = run(capfd, *arguments)
    assert (code, out) == (cli.FAILURE, "")
    assert message in err


def test_nothing_is_written_after_an_error(capfd, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "/nowhere")
    code, _, err = run(capfd, "--native", "--output", "made")
    assert code == cli.FAILURE
    assert "yosys was not found on PATH" in err
    assert {path.name for path in tmp_path.iterdir()} == {"network.safetensors", "images.npy"}
