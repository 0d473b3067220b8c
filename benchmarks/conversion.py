"""What conversion loses, ours beside the peers', on the same trained networks and test images.

    python benchmarks/conversion.py --mnist FOLDER --fashion FOLDER [--output FILE] [--fresh]

Trains the networks of ``models.py``, has the peers run theirs (``peers.py``), runs ours, and writes
tables in Markdown: accuracy lost, in points of the trained network's accuracy over all test images.
Each result is kept, by the hash of what it comes from: a run that was stopped goes on where it was.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import click
import models
import numpy as np
import peers
import readme
import torch
from kept import Store, digest, sources, versions
from torch import nn

from sc_neurocore import simulator
from sc_neurocore.conversion import ConvertedSNN, calibrate, convert, fake_quantize
from sc_neurocore.conversion.finetuning import remove_fake_quantization
from sc_neurocore.conversion.training import finetune
from sc_neurocore.datasets import Dataset
from sc_neurocore.quantization import quantize

TIMESTEPS = (4, 8, 16, 32)
RELU = ("fashion_mlp", "fashion_cnn", "mnist_mlp")
QCFS = ("fashion_qcfs_t8", "fashion_qcfs_t4", "fashion_cnn_qcfs_t8", "mnist_qcfs_t4")
SEEDS = range(1, 6)
BY_LAYER = "calibrate, layer by layer"
IN_README = (("float", "calibrate"), ("8-bit", "calibrate"), ("8-bit", BY_LAYER))
"""Weights and methods of ours that the README has; the file has all."""

BALANCING_IMAGES, CALIBRATION_IMAGES = 10000, 20000
KEPT = Path("build/benchmarks/kept")
SOURCES = ("conversion", "simulator", "layers.py", "network.py", "quantization.py", "synapses.py")
"""What our results depend on, of the package."""


@dataclass(frozen=True)
class Case:
    """A trained network, the data that it is for, and where its results are kept."""

    name: str
    model: nn.Module
    data: Dataset
    store: Store

    @cached_property
    def key(self) -> str:
        """Hash of the network, the data and all that is done with them."""
        data = self.data
        return digest(*(values.numpy() for values in self.model.state_dict().values()),
                      data.train_images, data.train_labels, data.test_images, data.test_labels,
                      sources(*SOURCES), Path(__file__).read_bytes(), versions(["torch"]))

    def kept(self, title: str, make: Callable[[], Any]) -> Any:
        """What ``make`` returned, this time or in an earlier run."""
        return self.store.result(f"{self.name}-{digest(title)}", self.key, make)

    def images(self, values: np.ndarray) -> np.ndarray:
        """Images in the shape that the network takes."""
        return values.reshape(-1, *models.RECIPES[self.name].image_shape)

    def train(self, limit: int) -> np.ndarray:
        """The first training images."""
        return self.images(self.data.train_images[:limit])

    def right(self, classes: np.ndarray) -> float:
        """Fraction of the test images."""
        return float(np.mean(classes == self.data.test_labels))

    def ann(self) -> np.ndarray:
        """Classes that the trained network gives the test images, in double precision."""
        model = nn.Sequential(*self.model).double()
        images = torch.from_numpy(self.images(self.data.test_images))
        with torch.no_grad():
            classes = torch.cat([model(part).argmax(1) for part in images.split(1000)]).numpy()
        model.float()
        return classes


def in_integers(case: Case, snn: ConvertedSNN, width: int, encoder: str) -> float:
    """Accuracy of the integer network; of `lfsr`, the mean over the seeds."""
    network = quantize(snn, width, encoder=encoder)
    found = simulator.accuracy(network, network.intensities(case.data.test_images),
                               case.data.test_labels, SEEDS if encoder == "lfsr" else None)
    return float(np.mean(found))


def relu_rows(case: Case) -> dict[tuple[str, str, str], Callable[[int], float]]:
    """Accuracy for a number of timesteps, by weights, method and input."""
    @cache
    def network(encoder: str, T: int, schedule: str = "pipelined") -> ConvertedSNN:
        return calibrate(case.model, case.train(CALIBRATION_IMAGES), T, encoder=encoder,
                         schedule=schedule)

    def balanced(T: int) -> float:
        snn = convert(case.model, case.train(BALANCING_IMAGES), T, per_channel=True,
                      initial_membrane_fraction=0.5)
        return case.right(snn.classify(case.data.test_images, encoder="direct"))

    def floats(T: int) -> float:
        return case.right(network("direct", T).classify(case.data.test_images, encoder="direct"))

    def integers(calibrated_for: str, width: int, encoder: str, schedule: str = "pipelined"
                 ) -> Callable[[int], float]:
        return lambda T: in_integers(case, network(calibrated_for, T, schedule), width, encoder)

    return {
        ("float", "convert, 99.9 per channel, θ/2", "direct"): balanced,
        ("float", "calibrate", "direct"): floats,
        ("8-bit", "calibrate", "direct"): integers("direct", 8, "direct"),
        ("4-bit", "calibrate", "direct"): integers("direct", 4, "direct"),
        ("8-bit", "calibrate", "low_discrepancy"):
            integers("low_discrepancy", 8, "low_discrepancy"),
        ("8-bit", "calibrate", "lfsr"): integers("poisson", 8, "lfsr"),
        ("8-bit", BY_LAYER, "lfsr"): integers("poisson", 8, "lfsr", "layer_by_layer"),
        ("4-bit", "calibrate", "lfsr"): integers("poisson", 4, "lfsr"),
    }


@dataclass(frozen=True)
class Line:
    """A row of a table: who, weights, method and input, and the accuracy by T."""

    titles: tuple[str, str, str, str]
    right: Mapping[int, float]

    def text(self, ann: float) -> str:
        """Markdown: points more or less than the ANN."""
        cells = [f"{100 * (self.right[T] - ann):+.2f}" if T in self.right else ""
                 for T in TIMESTEPS]
        return f"| {' | '.join([*self.titles, *cells])} |"


def peer_lines(rows: list[dict[str, Any]]) -> list[Line]:
    """All of the peers' methods of one spike a timestep."""
    found: dict[tuple[str, str, str, str], dict[int, float]] = {}
    for row in rows:
        if not row["graded"]:
            titles = (peers.TITLES[row["peer"]], "float", row["method"], row["input"])
            found.setdefault(titles, {})[row["T"]] = row["accuracy"]
    return [Line(titles, right) for titles, right in found.items()]


def best_lines(lines: list[Line]) -> tuple[list[Line], str]:
    """Of each peer and input the best method at each T, and a sentence that says which."""
    best, names = [], []
    for who, coding in dict.fromkeys((line.titles[0], line.titles[3]) for line in lines):
        candidates = [line for line in lines if (line.titles[0], line.titles[3]) == (who, coding)]
        chosen = {T: max((line for line in candidates if T in line.right),
                         key=lambda line, T=T: line.right[T])
                  for T in TIMESTEPS if any(T in line.right for line in candidates)}
        best.append(Line((who, "float", "best at each T", coding),
                         {T: line.right[T] for T, line in chosen.items()}))
        methods: dict[str, list[str]] = {}
        for T, line in chosen.items():
            methods.setdefault(line.titles[2], []).append(str(T))
        names.append(f"{who}, {coding}: " + ", ".join(
            f"{method} (T = {', '.join(at)})" for method, at in methods.items()))
    return best, "Best were: " + "; ".join(names) + "."


def our_lines(case: Case) -> list[Line]:
    """All of ours."""
    lines = []
    for titles, accuracy in relu_rows(case).items():
        lines.append(Line(("**ours**", *titles), {
            T: case.kept(f"{titles}, T = {T}", partial(accuracy, T)) for T in TIMESTEPS}))
        print(case.name, lines[-1].text(0.0), flush=True)
    return lines


def relu_table(case: Case, theirs: list[Line], ours: list[Line]) -> str:
    """Points lost at each T by all methods; the README has the best ones of the peers, and ours."""
    ann = case.right(case.ann())
    head = ["| | weights | method | input | " + " | ".join(f"T = {T}" for T in TIMESTEPS) + " |",
            "|---" * (4 + len(TIMESTEPS)) + "|"]
    if theirs:
        best, names = best_lines(theirs)
        shown = [line for line in ours if line.titles[1:3] in IN_README]
        readme.write(case.name, "\n".join([
            f"{models.TITLES[case.name]}, ReLU, trained network {ann:.2%}:", "", *head,
            *(line.text(ann) for line in best + shown), "", names]))
    return "\n".join([f"**{case.name}**, ANN {ann:.2%}", "", *head,
                      *(line.text(ann) for line in theirs + ours)])


def qcfs_row(case: Case) -> str:
    """The trained QCFS network beside the spiking one under the layer-by-layer schedule."""
    line = f"| {' | '.join(case.kept('qcfs', partial(qcfs_cells, case)))} |"
    print(line, flush=True)
    return line


def qcfs_cells(case: Case) -> list[str]:
    """Cells of `qcfs_row`."""
    classes = case.ann()
    snn = convert(case.model, case.train(100), schedule="layer_by_layer")
    spiking = snn.classify(case.data.test_images, encoder="direct")
    tuned_model = tuned(case, 4)
    four = convert(tuned_model, case.train(100), schedule="layer_by_layer")
    pipelined = replace(snn, schedule="pipelined")
    return [models.TITLES[case.name], str(snn.T), f"{case.right(classes):.2%}",
            f"{np.count_nonzero(spiking == classes)} of {len(classes)}",
            *(f"{in_integers(case, one, width, encoder):.2%}" for one, width, encoder in (
                (snn, 8, "direct"), (snn, 4, "direct"), (four, 4, "direct"),
                (pipelined, 4, "lfsr")))]


def tuned(case: Case, width: int) -> nn.Module:
    """The network after three epochs with fake-quantized weights."""
    model = models.untrained(models.RECIPES[case.name])
    model.load_state_dict(case.model.state_dict())
    fake_quantize(model, width)
    finetune(model, case.images(case.data.train_images), case.data.train_labels, epochs=3)
    return remove_fake_quantization(model).eval()


QCFS_HEAD = """| network | T | QCFS ANN | same class | 8-bit | 4-bit | 4-bit, fine-tuned | \
4-bit, pipelined, lfsr |
|---|---|---|---|---|---|---|---|"""


@click.command()
@click.option("--mnist", type=Path, required=True, help="Folder of MNIST's IDX files.")
@click.option("--fashion", type=Path, required=True, help="Folder of Fashion-MNIST's IDX files.")
@click.option("--output", type=Path, default=Path("build/benchmarks/conversion.md"),
              show_default=True)
@click.option("--fresh", is_flag=True, help="Measure again what is kept.")
@click.option("--without-peers", is_flag=True)
@click.argument("names", nargs=-1, type=click.Choice([*RELU, *QCFS]))
def main(mnist: Path, fashion: Path, output: Path, fresh: bool, without_peers: bool,
         names: tuple[str, ...]) -> None:
    """Write the tables of the README."""
    data = models.load_data(mnist, fashion)
    names = names or (*RELU, *QCFS)
    store = Store(KEPT, fresh)
    cases = {name: Case(name, models.trained(name, data), data[models.RECIPES[name].data], store)
             for name in names}
    rows: list[dict[str, Any]] = []
    relu = [name for name in RELU if name in cases]
    if relu and not without_peers:
        rows = peers.run_peers(relu, data, ["accuracy"], fresh)["accuracy"]
    parts = [relu_table(cases[name], peer_lines([row for row in rows if row["network"] == name]),
                        our_lines(cases[name])) for name in relu]
    qcfs = [qcfs_row(cases[name]) for name in QCFS if name in cases]
    if qcfs:
        parts.append("\n".join([QCFS_HEAD, *qcfs]))
        if len(qcfs) == len(QCFS):
            readme.write("qcfs", parts[-1])
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    print(f"\n{output}")


if __name__ == "__main__":
    main()
