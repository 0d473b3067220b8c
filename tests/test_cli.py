"""The command line: every command works, and says what is wrong in one line and its exit code."""

import json
import os
import re
import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sc_neurocore import __version__, cli, golden, verilog
from sc_neurocore.network import IntegerNetwork
from sc_neurocore.storage import load_network, load_snn

CACHE = Path(__file__).parents[1] / "build" / "simulations"
"""Compiled simulations, kept from run to run."""

MODULE = """
from torch import nn

print("a model that talks")

def make():
    return nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))

def stop():
    raise KeyboardInterrupt
"""


def run(capfd, *arguments):
    """Exit code, stdout and stderr of the command line."""
    capfd.readouterr()
    with pytest.raises(SystemExit) as caught:
        cli.main([str(argument) for argument in arguments])
    return caught.value.code, *capfd.readouterr()


def succeeds(capfd, *arguments):
    """The JSON that a command prints."""
    code, out, err = run(capfd, *arguments, "--json")
    assert code == 0, err
    return json.loads(out)


def fails(capfd, *arguments):
    """The one line that a command says on stderr, which is also its JSON's."""
    before = set(os.listdir())
    code, out, err = run(capfd, *arguments)
    assert (code, out) == (cli.FAILURE, "")
    line = err.splitlines()[-1]
    assert line.startswith("Error: ")
    assert "Traceback" not in err
    code, out, _ = run(capfd, *arguments, "--json")
    assert code == cli.FAILURE
    assert json.loads(out) == {"error": line.removeprefix("Error: ")}
    assert set(os.listdir()) == before
    return line


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Folder with a model, its weights, images, and the networks made of them."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "cli_models.py").write_text(MODULE)
    torch.manual_seed(0)
    state = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)).state_dict()
    save_file(state, folder / "weights.safetensors")
    images = np.random.default_rng(0).random((12, 6))
    np.savez(folder / "data.npz", images=images, labels=np.arange(12) % 3)
    np.save(folder / "images.npy", images)
    np.save(folder / "wide.npy", np.zeros((2, 7)))
    CACHE.mkdir(parents=True, exist_ok=True)
    (folder / "simulations").mkdir()
    (folder / "simulations" / "compiled").symlink_to(CACHE)
    before = os.getcwd()
    os.chdir(folder)
    try:
        for line in ("convert cli_models:make --weights weights.safetensors --timesteps 6 "
                     "--calibration data.npz --output snn.safetensors",
                     "quantize snn.safetensors --output network.safetensors"):
            with pytest.raises(SystemExit, match="0"):
                cli.main(line.split())
    finally:
        os.chdir(before)
    return folder


@pytest.fixture
def folder(files, monkeypatch):
    monkeypatch.chdir(files)
    return files


def test_help_and_version(capfd):
    code, out, err = run(capfd)
    assert (code, err) == (0, "")
    names = ["demo", "download", "convert", "import", "export", "quantize", "report", "simulate",
             "verilog", "verify", "synth", "boards", "build", "program", "virtual-board", "run"]
    assert [line.split()[0] for line in out.splitlines()[-len(names):]] == names
    for name in names:
        code, out, _ = run(capfd, name, "--help")
        assert code == 0
        assert "--json" in out
    assert run(capfd, "--version")[1] == f"sc-neurocore, version {__version__}\n"


def test_convert(folder, capfd):
    arguments = ["convert", "cli_models:make", "--weights", "weights.safetensors", "--timesteps", 6,
                 "--calibration", "data.npz", "--output", folder / "again.safetensors"]
    assert succeeds(capfd, *arguments) == {
        "output": str(folder / "again.safetensors"), "shape": [6, 5, 3], "timesteps": 6,
        "initial_membrane": 0, "schedule": "pipelined", "calibration_images": 12}
    made = (folder / "again.safetensors").read_bytes()
    assert made == (folder / "snn.safetensors").read_bytes()
    assert succeeds(capfd, *arguments, "--initial-membrane", 0.5)["initial_membrane"] == 0.5
    assert load_snn("again.safetensors").initial_membrane_fraction == 0.5


def test_convert_warns_of_what_it_was_not_given(folder, capfd):
    arguments = ["convert", "cli_models:make", "--output", "untrained.safetensors"]
    given = {"--weights": "weights.safetensors", "--calibration": "data.npz"}
    warned = {
        "--weights": "Warning: without --weights, the parameters are those that MODEL begins with",
        "--calibration": "Warning: without --calibration, ReLU activations above 1 saturate"}
    for option, warning in warned.items():
        others = [text for name in given if name != option for text in (name, given[name])]
        code, out, err = run(capfd, *arguments, *others)
        assert code == 0
        assert out.endswith("written to untrained.safetensors\n")
        assert err.splitlines() == ["a model that talks", warning] or err == f"{warning}\n"
    assert load_snn("untrained.safetensors").shape == (6, 5, 3)


def test_convert_takes_the_methods(folder, capfd):
    arguments = ["convert", "cli_models:make", "--weights", "weights.safetensors",
                 "--calibration", "data.npz", "--output", "methods.safetensors"]
    made = {}
    for options in ("--scale max", "--scale mse --per-channel", "--calibrate poisson",
                    "--schedule layer_by_layer"):
        summary = succeeds(capfd, *arguments, *options.split())
        made[options] = load_snn("methods.safetensors")
        assert summary["initial_membrane"] == (0.5 if "calibrate" in options else 0)
    assert made["--schedule layer_by_layer"].schedule == "layer_by_layer"
    assert len({snn.weights[0].tobytes() for snn in made.values()}) == 4
    assert "--calibrate needs the images" in fails(
        capfd, "convert", "cli_models:make", "--calibrate", "direct", *OUT)


def test_calibrate_refuses_the_options_of_scales(folder, capfd):
    arguments = ["convert", "cli_models:make", "--weights", "weights.safetensors",
                 "--calibration", "data.npz", "--calibrate", "direct"]
    for option in ("--scale", "max"), ("--percentile", 99):
        assert f"{option[0]} can't be given with --calibrate" in fails(
            capfd, *arguments, *option, *OUT)
    assert "--percentile is for --scale percentile, not for mse" in fails(
        capfd, *arguments[:6], "--scale", "mse", "--percentile", 99, *OUT)
    scales = {}
    for option in ([], ["--per-channel"], ["--per-layer"]):
        succeeds(capfd, *arguments, *option, "--output", "calibrated.safetensors")
        scales["".join(option)] = load_snn("calibrated.safetensors").scales[0]
    assert np.array_equal(scales[""], scales["--per-channel"])
    assert len(np.unique(scales["--per-channel"])) > 1
    assert len(np.unique(scales["--per-layer"])) == 1


def test_convert_takes_onnx(folder, capfd):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)     # the exporter's about itself
        torch.onnx.export(model, (torch.zeros(1, 6),), "model.onnx", dynamo=False)
    succeeds(capfd, "convert", "model.onnx", "--timesteps", 6, "--calibration", "data.npz",
             "--output", "from_onnx.safetensors")
    one, other = load_snn("from_onnx.safetensors"), load_snn("snn.safetensors")
    assert all(np.allclose(a, b) for a, b in zip(one.weights, other.weights, strict=True))
    assert "--weights can't be given for model.onnx" in fails(
        capfd, "convert", "model.onnx", "--weights", "weights.safetensors", *OUT)
    (folder / "broken.onnx").write_bytes(b"nothing")
    assert "broken.onnx" in fails(capfd, "convert", "broken.onnx", *OUT)


def test_networks_go_to_nir_and_back(folder, capfd):
    succeeds(capfd, "export", "snn.safetensors", "--output", "snn.nir")
    again = succeeds(capfd, "import", "snn.nir", "--output", "from_nir.safetensors")
    assert (again["shape"], again["timesteps"]) == ([6, 5, 3], 6)
    one, other = load_snn("from_nir.safetensors"), load_snn("snn.safetensors")
    assert all(np.array_equal(a, b) for a, b in zip(one.weights, other.weights, strict=True))
    assert "weights.safetensors" in fails(capfd, "import", "weights.safetensors", *OUT)
    assert "not 0" in fails(capfd, "import", "snn.nir", "--timesteps", 0, *OUT)


def test_report(folder, capfd):
    arguments = ["report", "cli_models:make", "snn.safetensors", "--weights",
                 "weights.safetensors", "--data", "data.npz"]
    found = succeeds(capfd, *arguments, "--network", "network.safetensors", "--plot", "causes.png")
    assert [layer["neurons"] for layer in found["layers"]] == [5, 3]
    assert (folder / "causes.png").read_bytes().startswith(b"\x89PNG")
    code, out, _ = run(capfd, *arguments, "--encoder", "direct")
    assert code == 0
    assert "time quantization" in out
    assert "weight quantization" not in out


def test_download_refuses_what_is_not_there(folder, capfd):
    (folder / "mnist").mkdir()
    message = fails(capfd, "download", "mnist", "--output", "mnist", "--url",
                    "http://127.0.0.1:9/")
    assert list((folder / "mnist").iterdir()) == []
    assert "http://127.0.0.1:9/train-images-idx3-ubyte.gz can't be fetched" in message


def test_quantize(folder, capfd):
    summary = succeeds(capfd, "quantize", "snn.safetensors", "--weight-width", "6,9", "--timesteps",
                       9, "--intensity-width", 5, "--membrane-width", 12, "--seed", 7,
                       "--output", "other.safetensors")
    assert [layer["weight_width"] for layer in summary["layers"]] == [6, 9]
    network = load_network("other.safetensors")
    assert (network.timesteps, network.intensity_width, network.seed) == (9, 5, 7)
    assert network.layers[0].membrane_width == 12
    code, out, _ = run(capfd, "quantize", "snn.safetensors", "--output", "other.safetensors")
    assert code == 0
    assert "weight format" in out


def test_simulate(folder, capfd):
    measured = succeeds(capfd, "simulate", "network.safetensors", "--data", "data.npz",
                        "--limit", 9, "--seeds", 4, "--seed", 5, "--output", "results.npz")
    assert measured["seeds"] == [5, 6, 7, 8]
    assert measured["accuracy"] == pytest.approx(np.mean(measured["accuracies"]))
    with np.load("results.npz") as results:
        assert results["counts"].shape == (4, 9, 3)
        right = results["predicted"] == np.arange(9) % 3
    assert right.mean(axis=1).tolist() == measured["accuracies"]


def test_simulate_says_how_it_ran(folder, capfd):
    measured = succeeds(capfd, "simulate", "network.safetensors", "--data", "data.npz",
                        "--engine", "products", "--exit-margin", 0)
    assert measured["engine"] == "products"
    assert measured["exit"]["mean_timesteps"] == 1
    code, out, _ = run(capfd, "simulate", "network.safetensors", "--data", "data.npz",
                       "--exit-margin", 1e9)
    assert code == 0
    assert "exit at a margin of 1e+09 thresholds: 6.00 timesteps" in out


def test_early_exit_honours_seeds_and_engine(folder, capfd):
    arguments = ["simulate", "network.safetensors", "--data", "data.npz", "--exit-margin", 1]
    found = [succeeds(capfd, *arguments, "--seed", seed)["exit"] for seed in (1, 2, 3)]
    several = succeeds(capfd, *arguments, "--seeds", 3)["exit"]
    for name in ("mean_timesteps", "accuracy"):
        assert several[name] == pytest.approx(np.mean([one[name] for one in found]))
    assert several != found[0]
    on_device = succeeds(capfd, *arguments, "--seeds", 3, "--device", "cpu")
    assert (on_device["engine"], on_device["exit"]) == ("products", several)


def test_events_come_from_a_file_of_spikes(folder, capfd):
    succeeds(capfd, "quantize", "snn.safetensors", "--encoder", "events",
             "--output", "events.safetensors")
    network, spikes = load_network("events.safetensors"), np.zeros((12, 6, 6), dtype=np.uint8)
    spikes[:] = np.random.default_rng(0).random(spikes.shape) < 0.4
    np.savez("spikes.npz", images=spikes, labels=np.arange(12) % 3)
    measured = succeeds(capfd, "simulate", "events.safetensors", "--data", "spikes.npz",
                        "--exit-margin", 1e9, "--output", "results.npz")
    expected = golden.run(network, spikes)
    with np.load("results.npz") as results:
        assert np.array_equal(results["counts"], expected.counts)
    assert measured["accuracy"] == measured["exit"]["accuracy"]
    explained = ["report", "cli_models:make", "snn.safetensors", "--weights",
                 "weights.safetensors", "--data", "spikes.npz"]
    for option in (["--network", "events.safetensors"], ["--encoder", "events"]):
        found = succeeds(capfd, *explained, *option)
        assert (found["encoder"], found["images"]) == ("events", 12)
    assert "spikes must have shape (n, timesteps, n_input)" in fails(
        capfd, "simulate", "events.safetensors", "--data", "data.npz")
    np.save("short.npy", spikes[:, :5])
    assert "must have shape (6, 6) or (batch, 6, 6), not (1, 5, 6)" in fails(
        capfd, "simulate", "events.safetensors", "--data", "short.npy")


def test_quantize_takes_the_encoder(folder, capfd):
    summary = succeeds(capfd, "quantize", "snn.safetensors", "--encoder", "low_discrepancy",
                       "--output", "even.safetensors")
    assert (summary["encoder"], summary["schedule"]) == ("low_discrepancy", "pipelined")
    assert load_network("even.safetensors").encoder == "low_discrepancy"
    succeeds(capfd, "verilog", "even.safetensors", "--output", "even.v")
    text = (folder / "even.v").read_text()
    assert "encoder    low_discrepancy\n" in text
    assert "lfsr" not in text


def test_simulate_writes_the_same_bytes_again(folder, capfd):
    written = []
    for name in ("a.npz", "b.npz"):
        measured = succeeds(capfd, "simulate", "network.safetensors", "--data", "images.npy",
                            "--output", name)
        written.append((folder / name).read_bytes())
    assert measured["accuracy"] is None
    assert written[0] == written[1]
    with np.load("a.npz") as results:
        assert results["predicted"].shape == (12,)


def test_verilog(folder, capfd):
    arguments = ["verilog", "network.safetensors", "--beats", 4, "--lanes"]
    assert succeeds(capfd, *arguments, 4, "--output", "a.v")["lanes"] == [4, 3]
    succeeds(capfd, *arguments, "4,3", "--output", "b.v")
    plain = (folder / "a.v").read_text()
    assert plain == (folder / "b.v").read_text()
    succeeds(capfd, *arguments, "2,3", "--trace", "--name", "brain", "--output", "a.v")
    assert "module brain(" in (folder / "a.v").read_text()
    assert "output trace_encoder__valid;" in (folder / "a.v").read_text()
    assert "output trace_" not in plain
    assert "corrupted" not in plain
    succeeds(capfd, *arguments, "2,3", "--parity", "--output", "a.v")
    assert "output [1:0] corrupted_layer;" in (folder / "a.v").read_text()


def test_verilog_with_axi(folder, capfd):
    arguments = ["verilog", "network.safetensors", "--lanes", 4, "--axi", "--output", "axi.v"]
    succeeds(capfd, *arguments)
    plain = (folder / "axi.v").read_text()
    succeeds(capfd, *arguments, "--loaded", "--name", "brain", "--header", "axi.h")
    text = (folder / "axi.v").read_text()
    assert "module accelerator(" in plain
    assert "module brain(" in text
    assert "input s_axis_tvalid;" in text
    assert "#define SCNC_LOAD_DATA 0x40u" in (folder / "axi.h").read_text()


def test_verilog_for_a_goal(folder, capfd):
    arguments = ["verilog", "network.safetensors", "--device", "ecp5-25k"]
    fastest = succeeds(capfd, *arguments, "--output", "a.v")
    assert fastest["plan"]["lanes"] == fastest["lanes"]
    made = succeeds(capfd, *arguments, "--latency", "0.01ms", "--clock-hz", 50e6, "--data",
                    "data.npz", "--output", "b.v")
    assert made["plan"]["latency_us"] <= 10
    assert made["plan"]["counted_with"] == "5 images"
    assert succeeds(capfd, *arguments, "--fps", 1e5, "--output", "b.v")["plan"][
        "images_per_s"] >= 1e5
    code, out, _ = run(capfd, *arguments, "--lanes", "2,1", "--encoder-lanes", 32, "--output",
                       "b.v")
    assert code == 0
    assert out.startswith("Plan for 6-5-3 on Lattice LFE5U-25F")
    assert "encoder lanes  32\n" in out
    assert "written to b.v" in out


def test_verify(folder, capfd):
    report = succeeds(capfd, "verify", "network.safetensors", "--data", "data.npz", "--images", 2,
                      "--waves", "waves.vcd", "--folder", folder / "simulations")
    assert report["passed"]
    stage, = report["stages"]
    assert stage["stage"] == "rtl"
    assert stage["images"] == 2
    assert stage["compared"] > 500
    assert (folder / "waves.vcd").read_text().startswith("$version")
    for layout in (["--loaded", "--lanes", "2,1", "--store-parts", 2], ["--ports", "2,1"]):
        assert succeeds(capfd, "verify", "network.safetensors", "--data", "data.npz", "--images", 2,
                        *layout, "--folder", folder / "simulations", "--stall-seed", 7)["passed"]
    log = folder / "simulations" / "rtl" / "stalled" / "simulation.log"
    assert "Seeding Python random module with 7" in log.read_text()


def test_mismatch_has_an_exit_code_of_its_own(folder, capfd, monkeypatch):
    generate = verilog.generate

    def faulty(network: IntegerNetwork, *arguments, **options):
        layers = [replace(layer, biases=layer.biases + 1) for layer in network.layers]
        return generate(replace(network, layers=tuple(layers)), *arguments, **options)

    monkeypatch.setattr(verilog, "generate", faulty)
    arguments = ["verify", "network.safetensors", "--data", "data.npz", "--images", 1,
                 "--folder", folder / "simulations"]
    code, out, _ = run(capfd, *arguments, "--json")
    assert code == cli.MISMATCH
    report = json.loads(out)
    assert not report["passed"]
    assert report["stages"][0]["mismatches"][0]["stage"] == "layer 0"
    code, out, _ = run(capfd, *arguments)
    assert code == cli.MISMATCH
    assert re.match(r"rtl +every spike, membrane, result and cycle\n  FAIL: ", out)
    assert "golden model says" in out


OUT = ["--output", "new.safetensors"]
LAST = ["network.safetensors", *OUT]


@pytest.mark.parametrize(("arguments", "message"), [
    (["nonsense"], "No such command 'nonsense'"),
    (["convert", "cli_models:make"], "Missing option '--output'"),
    (["convert", "cli_models:nope", *OUT], "must have a function or class nope"),
    (["convert", "cli_models:make", "--timesteps", "0", *OUT], "T must be at least 1, not 0"),
    (["convert", "cli_models:make", "--percentile", "101", *OUT], "percentile must be in"),
    (["convert", "cli_models:make", "--initial-membrane", "1", *OUT], "must be in [0, 1)"),
    (["convert", "cli_models:make", "--calibration", "digits", *OUT], "must have shape (n, 6)"),
    (["convert", "cli_models:make", "--weights", "snn.safetensors", *OUT], "lack 0.bias, "),
    (["quantize", "network.safetensors", *OUT], "network.safetensors: format must be"),
    (["quantize", "data.npz", *OUT], "data.npz: "),
    (["quantize", "none.safetensors", *OUT], "'none.safetensors' does not exist"),
    (["quantize", "snn.safetensors", "--weight-width", "1", *OUT], "must be in range(2, 17)"),
    (["quantize", "snn.safetensors", "--weight-width", "8,x", *OUT], "'8,x' is neither an integer"),
    (["quantize", "snn.safetensors", "--output", "no/where"], "Folder no of the output file"),
    (["quantize", "snn.safetensors", "--output", "snn.safetensors"], "must not be the input"),
    (["simulate", "network.safetensors", "--data", "wide.npy"], "must have shape (6,)"),
    (["simulate", "network.safetensors", "--data", "data.npz", *OUT], "must end in .npz"),
    (["verify", "network.safetensors", "--data", "data.npz", "--waves", "w.fst"],
     "must end in .vcd"),
    (["simulate", "network.safetensors", "--data", "nothing"], "Data must be digits, a folder"),
    (["simulate", "network.safetensors", "--data", "data.npz", "--seed", "0"], "Seed must be in"),
    (["verilog", *LAST, "--lanes", "4,4,4"], "Lanes must be given for 2 layers, not for 3"),
    (["verilog", *LAST, "--lanes", "4,9"], "Lanes of layer 1 must be in range(1, 4), not 9"),
    (["verilog", *LAST, "--beats", "0"], "Beats must be in range(1, 65), not 0"),
    (["verilog", *LAST, "--axi", "--trace"], "--trace must not be given with --axi"),
    (["verilog", *LAST, "--header", "a.h"], "--header needs --axi"),
    (["verilog", *LAST, "--axi", "--header", OUT[1]], "--header and --output must be two files"),
    (["verilog", *LAST, "--name", "not a name"], "must be a Verilog identifier"),
    (["verilog", *LAST, "--name", "module"], "must be a Verilog identifier, not 'module'"),
    (["verilog", "network.safetensors", "--output", "./network.safetensors"],
     "must not be the input"),
    (["verify", "network.safetensors", "--data", "data.npz", "--images", "0"], "'--images'"),
    (["verilog", *LAST, "--latency", "20us"], "--latency and --fps need --device"),
    (["verilog", *LAST, "--latency", "20"], "'20' is not a time with its unit, as in 20us"),
    (["verilog", *LAST, "--clock-hz", "1e6"], "--clock-hz needs --device"),
    (["verilog", *LAST, "--device", "ecp5-25k", "--fps", "9", "--lanes", "4"],
     "--lanes must not be given with --latency or --fps, which choose lanes"),
    (["verilog", *LAST, "--device", "ecp5-25k", "--ports", "2"], "--ports needs --lanes"),
    (["verilog", *LAST, "--device", "ecp5-25k", "--memories", "logic,block"],
     "--memories needs --lanes"),
    (["verilog", *LAST, "--store-parts", "2"], "--store-parts needs --loaded"),
    (["verilog", *LAST, "--memories", "spram,block"], "unless parameters are loaded"),
    (["verilog", *LAST, "--ports", "3"], "Ports of layer 0 must be in range(1, 3), not 3"),
    (["verilog", *LAST, "--device", "ecp5-25k", "--encoder-lanes", "8"],
     "--encoder-lanes needs --lanes"),
    (["verilog", *LAST, "--device", "ecp5-25k", "--latency", "0.1us"],
     "A latency of 0.1 us is 10 cycles at 100 MHz"),
    (["verify", "network.safetensors", "--data", "data.npz", "--device", "ecp6"],
     "Device must be one of"),
    (["verify", "network.safetensors", "--data", "data.npz", "--build", "made", "--lanes", "2"],
     "Options of the layout must not be given with --build, which has one"),
    (["verify", "network.safetensors", "--data", "data.npz", "--build", "made"],
     "made has no manifest.json"),
])
def test_bad_input_is_one_line_and_leaves_no_file(folder, capfd, arguments, message):
    assert message in fails(capfd, *arguments)


def test_labels_have_to_be_classes(folder, capfd):
    np.savez("wrong.npz", images=np.zeros((2, 6)), labels=[0, 3])
    assert "Label of image 1 must be in range(3), not 3" in fails(
        capfd, "simulate", "network.safetensors", "--data", "wrong.npz")


def test_debug_shows_the_traceback(folder, capfd):
    code, _, err = run(capfd, "quantize", "data.npz", "--output", "new.safetensors", "--debug")
    assert code == cli.FAILURE
    assert "Traceback" in err
    assert err.splitlines()[-1].startswith("Error: data.npz: ")


@pytest.mark.parametrize("option", [[], ["--json"]])
def test_an_interrupt_has_an_exit_code_of_its_own_and_leaves_no_file(folder, capfd, option):
    before = set(os.listdir())
    code, out, err = run(capfd, "convert", "cli_models:stop", *OUT, *option)
    assert code == cli.INTERRUPTED
    if option:
        assert json.loads(out) == {"error": "interrupted"}
    else:
        assert err.splitlines()[-1] == "Error: interrupted"
    assert set(os.listdir()) == before


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(("line", "message"), [
    ("quantize none.safetensors --output new.safetensors", "'none.safetensors' does not exist"),
    ("boards", "No space left on device")])
def test_what_stdout_does_not_take_is_said_on_stderr(folder, line, message, unbuffered):
    with open("/dev/full", "w") as full:
        ran = subprocess.run([sys.executable, "-c", "from sc_neurocore.cli import main; main()",
                              *line.split(), "--json"], stdout=full, stderr=subprocess.PIPE,
                             env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path),
                                  "PYTHONUNBUFFERED": unbuffered}, text=True)
    assert ran.returncode == cli.FAILURE
    assert re.fullmatch(rf"Error: .*{re.escape(message)}.*\n", ran.stderr)


def test_failed_output_leaves_the_old_file(folder, capfd):
    old = folder / "old.safetensors"
    old.write_text("old")
    fails(capfd, "quantize", "snn.safetensors", "--weight-width", "99", "--output", old)
    assert old.read_text() == "old"


def test_full_disk_is_an_error(folder, capfd):
    assert "No space left" in fails(capfd, "quantize", "snn.safetensors", "--output", "/dev/full")


@pytest.mark.parametrize(("missing", "extra", "line"), [
    ("torch", "convert", "convert cli_models:make --output new.safetensors"),
    ("amaranth", "build", "verilog network.safetensors --output new.v"),
    ("cocotb", "cosim", "verify network.safetensors --data data.npz"),
    ("sklearn", "demo", "simulate network.safetensors --data digits"),
    ("matplotlib", "demo", "demo --output demo")])
def test_missing_extra_is_named_with_its_command(folder, missing, extra, line):
    code = f"import sys; sys.modules[{missing!r}] = None; from sc_neurocore.cli import main; main()"
    ran = subprocess.run([sys.executable, "-c", code, *line.split()], capture_output=True,
                         env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, text=True)
    assert ran.returncode == cli.FAILURE
    assert ran.stderr == (f"Error: {missing} is not installed; install it with: "
                          f"pip install 'sc-neurocore-fpga[{extra}]'\n")


def test_help_is_quick_and_imports_nothing_heavy():
    code = ("import sys; from sc_neurocore import cli; "
            "heavy = {'torch', 'amaranth', 'cocotb', 'numpy', 'rich'} & set(sys.modules); "
            "assert not heavy, heavy")
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
