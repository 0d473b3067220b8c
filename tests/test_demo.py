"""The demo keeps what the README promises, measured on fewer images than it takes itself."""

import json
from pathlib import Path

import pytest

from sc_neurocore import bitstream, demo, verilog
from sc_neurocore.storage import load_network


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """Report, output folder, and the calls of the progress callback."""
    output = tmp_path_factory.mktemp("demo")
    # Simulations that are already compiled take most of the time away.
    cache = Path(__file__).parents[1] / "build" / "simulations"
    cache.mkdir(parents=True, exist_ok=True)
    (output / "cosimulation").mkdir()
    (output / "cosimulation" / "compiled").symlink_to(cache)
    steps = []
    report = demo.run(output, lambda *step: steps.append(step), images=2, timesteps=(16, 64),
                      board=None)
    return report, output, steps


def test_accuracy_is_within_its_margin_of_the_ann(ran):
    report, _, _ = ran
    assert report.ann_accuracy > 0.97
    for row, margin in zip(report.rows, (0.015, 0.005), strict=True):
        assert len(row.float_snn) == len(row.integer_snn) == 5
        assert row.float_mean >= report.ann_accuracy - margin
        assert row.integer_mean >= report.ann_accuracy - margin


def test_nothing_differs_from_the_golden_model(ran):
    report, _, _ = ran
    assert report.passed
    assert report.mismatched == 0
    assert report.compared > 10_000
    assert (report.verification.images, report.waveform.images) == (2, 1)


def test_files_are_all_there(ran):
    report, output, _ = ran
    assert {file.name for file in output.iterdir()} == {*report.files, "cosimulation"}
    assert all((output / name).stat().st_size > 0 for name in report.files)
    assert (output / "waves.vcd").stat().st_size < 30e6
    network = load_network(output / "network.safetensors")
    assert network.shape == report.shape
    assert (output / "accelerator.v").read_text() == verilog.generate(network)


def test_report_is_the_same_as_json_and_as_text(ran):
    report, output, _ = ran
    assert json.loads((output / "report.json").read_text()) == json.loads(
        json.dumps(report.as_dict()))
    assert f"{report.ann_accuracy:.2%}" in str(report)
    assert f"{report.compared} values compared, 0 mismatches" in str(report)


def test_progress_counts_up_to_all_steps(ran):
    _, _, steps = ran
    total = steps[0][2]
    assert [step[1:] for step in steps] == [(done, total) for done in range(total + 1)]


@pytest.mark.slow
def test_it_ends_with_a_bitstream(tmp_path):
    report = demo.run(tmp_path, images=2, timesteps=(16,), seeds=1)
    built = report.bitstream
    assert built.board.name == "icebreaker"
    assert built.shape == report.shape
    assert built.fmax_mhz > 24
    assert bitstream.read_layout(tmp_path / "icebreaker") == built.spec
    assert "icebreaker/board.bin" in report.files
    assert f"{built.activity.cycles_mean:.1f}" in str(report)
