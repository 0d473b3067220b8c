"""The whole toolchain on one small problem: from training to a verified circuit and a bitstream."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import datasets, golden, plots, simulator, verilog
from .boards import Board, find_board
from .cosim import VerifyReport, verify
from .extras import require
from .files import replacing, write_text
from .network import IntegerArray, IntegerNetwork
from .quantization import quantize
from .storage import save_network, save_snn

if TYPE_CHECKING:
    from .bitstream import Build
    from .conversion import ConvertedSNN

TIMESTEPS = (4, 8, 16, 32, 64)
VERIFIED_TIMESTEPS = 16
"""T of the network that is written, co-simulated and plotted."""
WEIGHT_WIDTH = 8
HIDDEN = (64, 32)


@dataclass(frozen=True)
class AccuracyRow:
    """Accuracies on all test images at one T, one for each seed of the spiking input.

    ``float_snn``: of the `ConvertedSNN`, with Bernoulli input. ``integer_snn``: of the
    `IntegerNetwork`, with the input of its LFSR.
    """

    timesteps: int
    float_snn: tuple[float, ...]
    integer_snn: tuple[float, ...]

    @property
    def float_mean(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.float_snn))

    @property
    def integer_mean(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.integer_snn))


@dataclass(frozen=True)
class DemoReport:
    """What the demo measured; ``str()`` makes a table of it.

    ``verification`` compares the images that were co-simulated, ``waveform`` the one of which all
    signals were recorded. ``bitstream``: what was built for a board, if one was asked for.
    ``files`` are names in the output folder.
    """

    dataset: str
    shape: tuple[int, ...]
    train_images: int
    test_images: int
    weight_width: int
    ann_accuracy: float
    rows: tuple[AccuracyRow, ...]
    verification: VerifyReport
    waveform: VerifyReport
    bitstream: "Build | None"
    files: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every value that was compared is what the golden model says."""
        return self.verification.passed and self.waveform.passed

    @property
    def compared(self) -> int:
        """Values compared, in all simulations."""
        return self.verification.compared + self.waveform.compared

    @property
    def mismatched(self) -> int:
        """Mismatches found, in all simulations."""
        return self.verification.mismatched + self.waveform.mismatched

    def as_dict(self) -> dict[str, Any]:
        """For JSON: the same for the same seed, as nothing in it is a time of day or a duration."""
        rows = [asdict(row) | {"float_mean": row.float_mean, "integer_mean": row.integer_mean}
                for row in self.rows]
        return {
            "passed": self.passed, "dataset": self.dataset, "shape": list(self.shape),
            "train_images": self.train_images, "test_images": self.test_images,
            "weight_width": self.weight_width, "ann_accuracy": self.ann_accuracy,
            "accuracies": rows, "compared": self.compared, "mismatched": self.mismatched,
            "cosimulated_timesteps": VERIFIED_TIMESTEPS,
            "cosimulated_images": self.verification.images,
            "cycles_per_image": self.verification.cycles_per_image,
            "verification": self.verification.as_dict(), "waveform": self.waveform.as_dict(),
            "bitstream": self.bitstream and self.bitstream.as_dict(),
            "files": list(self.files)}

    def __str__(self) -> str:
        seeds = len(self.rows[0].integer_snn)
        lines = [
            f"{self.dataset}: {'-'.join(map(str, self.shape))}, {self.train_images} training and "
            f"{self.test_images} test images; SNN accuracies are means over {seeds} seeds", "",
            f"{'T':>4}  {'ANN':>8}  {'float SNN':>9}  {f'{self.weight_width}-bit SNN':>9}"
            f"  {'difference':>10}"]
        lines += [f"{row.timesteps:>4}  {self.ann_accuracy:>8.2%}  {row.float_mean:>9.2%}"
                  f"  {row.integer_mean:>9.2%}"
                  f"  {100 * (row.integer_mean - self.ann_accuracy):>+7.2f} pt"
                  for row in self.rows]
        verified = self.verification
        lines += ["", f"co-simulation at T = {VERIFIED_TIMESTEPS}, {verified.images} images: "
                  f"{self.compared} values compared, {self.mismatched} mismatches, "
                  f"{verified.cycles_per_image:.1f} cycles per image"]
        lines += [str(report) for report in (verified, self.waveform) if not report.passed]
        if self.bitstream is not None:
            lines += ["", f"bitstream: {self.bitstream}"]
        return "\n".join(lines)


def run(output: Path, progress: Callable[[str, int, int], None] | None = None, *,
        images: int = 20, timesteps: Sequence[int] = TIMESTEPS, seeds: int = 5,
        seed: int = 0, board: str | None = "icebreaker") -> DemoReport:
    """Train on digits, convert, quantize, co-simulate, measure, plot, and build a bitstream.

    Parameters
    ----------
    output : Path
        Folder for all files; it is made if it does not exist.
    progress : callable, optional
        Called with what is done next, the number of steps done, and of all steps.
    images : int
        Test images to be co-simulated.
    timesteps : sequence of int
        Values of T to measure accuracies at.
    seeds : int
        Seeds of the spiking input that accuracies are means over.
    seed : int
        Of the split into training and test images, and of the training.
    board : str, optional
        Board that the bitstream is for; None for no bitstream.

    Returns
    -------
    DemoReport
        Also written to ``report.json``.

    Raises
    ------
    BuildError
        If the network does not fit the board.
    MissingExtraError, ToolError
        If something is not installed, or a tool fails. A mismatch is not an error, but in the
        report.
    """
    steps = _Steps(progress, 5 + len(timesteps) + (board is not None))
    output.mkdir(parents=True, exist_ok=True)
    for module in ("matplotlib", "torch", "amaranth", "cocotb", "amaranth_boards"):
        require(module, "demo")  # before the first minute is spent
    found = None if board is None else find_board(board)
    data = datasets.digits(seed=seed)

    steps.begin("training")
    snn, ann_accuracy = _train_and_convert(data, seed)
    rows = []
    for T in timesteps:
        steps.begin(f"accuracy at T = {T}")
        rows.append(_accuracies(snn, data, T, seeds))

    steps.begin("Verilog")
    network = quantize(snn, WEIGHT_WIDTH, timesteps=VERIFIED_TIMESTEPS)
    save_snn(snn, output / "snn.safetensors")
    save_network(network, output / "network.safetensors")
    write_text(output / "accelerator.v", verilog.generate(network))
    intensities = network.intensities(data.test_images)
    verification, waveform = _cosimulate(network, intensities[:images], output, steps)

    steps.begin("plots")
    plotted = _plot(output, network, intensities[0].tolist(), rows, ann_accuracy)
    built = None if found is None else _build(found, network, intensities[:images], output, steps)
    report = DemoReport(
        data.name, network.shape, len(data.train_images), len(data.test_images), WEIGHT_WIDTH,
        ann_accuracy, tuple(rows), verification, waveform, built,
        ("snn.safetensors", "network.safetensors", "accelerator.v", "waves.vcd", *plotted,
         *([] if built is None else [str(built.bitstream.relative_to(output))]), "report.json"))
    write_text(output / "report.json", json.dumps(report.as_dict(), indent=1) + "\n")
    steps.begin("done")
    return report


class _Steps:
    """Counts what is begun for a progress callback."""

    def __init__(self, callback: Callable[[str, int, int], None] | None, total: int):
        self._callback, self._total, self._done = callback, total, -1

    def begin(self, name: str) -> None:
        self._done += 1
        if self._callback is not None:
            self._callback(name, self._done, self._total)


def _train_and_convert(data: datasets.Dataset, seed: int) -> tuple["ConvertedSNN", float]:
    from .conversion import convert
    from .conversion.loading import classify
    from .conversion.training import train_mlp

    model = train_mlp(data.train_images, data.train_labels, hidden=HIDDEN, seed=seed)
    accuracy = float(np.mean(classify(model, data.test_images) == data.test_labels))
    # Membranes that start at half a threshold round the rates of the neurons, where 0 floors them.
    snn = replace(convert(model, data.train_images), initial_membrane_fraction=0.5)
    return snn, accuracy


def _accuracies(snn: "ConvertedSNN", data: datasets.Dataset, T: int, seeds: int) -> AccuracyRow:
    images, labels = data.test_images, data.test_labels
    timed = replace(snn, T=T)
    float_snn = [float(np.mean(timed.classify(images, seed=seed) == labels))
                 for seed in range(1, seeds + 1)]
    network = quantize(snn, WEIGHT_WIDTH, timesteps=T)
    integer_snn = simulator.accuracy(network, network.intensities(images), labels,
                                     seeds=range(1, seeds + 1))
    return AccuracyRow(T, tuple(float_snn), tuple(np.asarray(integer_snn).tolist()))


def _cosimulate(network: IntegerNetwork, intensities: IntegerArray, output: Path,
                steps: _Steps) -> tuple[VerifyReport, VerifyReport]:
    steps.begin(f"co-simulation of {len(intensities)} images")
    folder = output / "cosimulation"
    verification = verify(network, intensities, folder=folder)
    steps.begin("waveform")
    with replacing(output / "waves.vcd") as part:
        # Of one image only: every signal in every cycle of 20 images is some 400 MB.
        waveform = verify(network, intensities[:1], folder=folder / "waves", waves=part,
                          cache=folder / "compiled")
    return verification, waveform


def _build(board: Board, network: IntegerNetwork, intensities: IntegerArray, output: Path,
           steps: _Steps) -> "Build":
    from . import bitstream, planning

    steps.begin(f"bitstream for {board.title}")
    planned = planning.plan(network, board.room, clock_hz=board.clock_hz, beats=1,
                            inputs=intensities)
    return bitstream.build(network, board, planned.spec, output / board.name, inputs=intensities)


def _plot(output: Path, network: IntegerNetwork, intensities: list[int],
          rows: Sequence[AccuracyRow], ann_accuracy: float) -> tuple[str, ...]:
    trace = golden.trace(network, intensities).trace
    plots.accuracy_against_timesteps(
        output / "accuracy.png", [row.timesteps for row in rows],
        {"float SNN": [row.float_snn for row in rows],
         f"{WEIGHT_WIDTH}-bit SNN": [row.integer_snn for row in rows]}, ann_accuracy,
        f"Digits, {'-'.join(map(str, network.shape))}: accuracy on the test images")
    plots.spike_raster(output / "spikes.png", trace)
    plots.membrane_trace(output / "membranes.png", network, trace)
    return "accuracy.png", "spikes.png", "membranes.png"
