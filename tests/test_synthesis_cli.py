"""The command synth: what it prints, what it writes, and what it refuses."""

import json
from pathlib import Path

import pytest

from sc_neurocore import cli

REFERENCE = Path(__file__).parents[1] / "hdl" / "reference.safetensors"


def run(capfd, *arguments):
    with pytest.raises(SystemExit) as caught:
        cli.main(["synth", *(str(argument) for argument in arguments)])
    return caught.value.code, *capfd.readouterr()


def test_json_and_files(capfd, tmp_path):
    made = tmp_path / "made"
    code, out, err = run(capfd, REFERENCE, "--device", "ice40-hx8k", "--data", "digits", "--images",
                         3, "--seeds", 1, "--output", made, "--json")
    assert code == 0, err
    document = json.loads(out)
    assert document["device"] == "ice40-hx8k"
    assert document["images"] == 3
    assert document["fmax_mhz"] > 20
    assert document["images_per_second"] > 10_000
    assert {path.name for path in made.iterdir()} == {
        "accelerator.v", "accelerator.json", "map.ys", "yosys.log", "in_harness.json",
        "nextpnr-1.log", "report-1.json"}
    assert list(json.loads((made / "accelerator.json").read_text())["modules"]) == ["accelerator"]


def test_mapping_alone_prints_a_table(capfd):
    code, out, err = run(capfd, REFERENCE, "--device", "xc7", "--no-place", "--lanes", 8)
    assert code == 0, err
    assert out.startswith("64-16-10, lanes 8, 8, on AMD 7 series, mapping only\n\nLUT equivalents")


@pytest.mark.parametrize(("arguments", "message"), [
    (["--device", "ecp6"], "Device must be one of"),
    (["--output", "missing/made"], "Folder missing of the output folder does not exist"),
    (["--lanes", "17,10"], "Lanes of layer 0 must be in range(1, 17), not 17")])
def test_errors_come_before_the_work(capfd, arguments, message):
    code, out, err = run(capfd, REFERENCE, *arguments)
    assert (code, out) == (cli.FAILURE, "")
    assert message in err


def test_nothing_is_written_after_an_error(capfd, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", "/nowhere")
    code, _, err = run(capfd, REFERENCE, "--native", "--output", tmp_path / "made")
    assert code == cli.FAILURE
    assert "yosys was not found on PATH" in err
    assert not list(tmp_path.iterdir())
