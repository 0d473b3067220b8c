"""What flipped bits do: to results, and to whether there are any.

    python -m campaigns.faults [--per-group N] [--jobs N] [--seed N] [--output FOLDER]

Bits of weights are flipped in the network, and the simulator tells what is left of the accuracy.
Bits of the accelerator's state, and of a whole board's, are flipped in their Verilog, a bit at a
time; the board's host is `sc_neurocore.host`, which has to get along with what happens. Writes
``faults.json``, ``faults.md`` and ``flipped-bits.png``; fails if a flip hangs the board, or if
parity does not report just the rows that it should.
"""

import json
import subprocess
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from sc_neurocore import golden, host, verilog
from sc_neurocore.cosim import virtual_board
from sc_neurocore.datasets import digits
from sc_neurocore.gateware.layouts import result
from sc_neurocore.network import IntegerNetwork
from sc_neurocore.results import Result
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.storage import load_network
from sc_neurocore.timing import longest_image

from . import CACHE, ROOT, flipped_rows, flips
from .flipped_weights import accuracies, plot
from .tops import board_network

OUTPUT = Path("build/faults")
REFERENCE = ROOT / "hdl" / "reference.safetensors"
OUTCOMES = ("right", "other numbers", "another class", "lost", "hangs")
"""Of an experiment, from good to bad. Lost: there are not as many results as images. Hangs: there
are fewer of the second run, or none."""


@dataclass(frozen=True)
class Flip:
    """A bit of state, and the cycle at whose end it is inverted."""

    state: flips.State
    bit: int
    row: int
    cycle: int

    @property
    def arguments(self) -> list[str]:
        """For the simulation."""
        return [f"+flip={self.state.number}", f"+bit={self.bit}", f"+row={self.row}",
                f"+cycle={self.cycle}"]


@dataclass(frozen=True)
class Outcome:
    """What a flip did.

    ``images``: how many were not right. ``heals``: the last images of a second run were right,
    without help; the first of it may have been the one that the flip hit.
    ``noticed``: what the host mended. ``restarts``: times that the board restarted itself.
    """

    design: str
    group: str
    flip: Flip
    outcome: str
    images: int = 0
    heals: bool = True
    noticed: int = 0
    restarts: int = 0


def group(state: flips.State, row: int = 0) -> str:
    """What a register, or a row of a memory, is for."""
    path = state.module.split(".")
    name = state.name
    if "link" in path or path[-1] in ("receiver", "transmitter"):
        if state.rows > 1 or "ring" in name:
            return "link: buffers and counters"
        return "link: control"
    if "watchdog" in path[-1] or len(path) == 1:
        return "watchdogs"
    if "lfsr" in path:
        return "encoder: LFSR"
    if path[-1] == "encoder":
        wide = name in ("image", "_0_", "intensities", "spikes")
        return "encoder: image and spikes" if wide else "encoder: control"
    if is_constant(state, row):
        return "initial potentials, in RAM"
    if path[-1] == "neurons":
        data = name.startswith(("potential", "stored", "_0_"))
        return "membranes" if data else "layers: control"
    if path[-1] == "weight_memory":
        return "weights as they are read"
    if name in ("memory", "kept", "_0_", "group") and path[-1] != "readout":
        return "queues: contents"
    if path[-1] == "readout":
        return "readout"
    if path[-1].startswith("layer_"):
        return "layers: control"
    return "queues: control"


def is_constant(state: flips.State, row: int) -> bool:
    """Whether nothing is ever written there: initial potentials are in the upper half of the RAM
    of those that are worked on, and like weights they stay as they are flipped."""
    return state.module.endswith(".neurons") and state.name == "stored" and 2 * row >= state.rows


def choose(states: Sequence[flips.State], count: int, cycles: tuple[int, int],
           random: np.random.Generator) -> list[Flip]:
    """So many flips of each group, as many of each register or memory of it, by turns."""
    groups: dict[str, list[flips.State]] = {}
    for state in states:
        groups.setdefault(group(state), []).append(state)
    chosen = []
    for members in groups.values():
        for index in range(count):
            state = members[index % len(members)]
            chosen.append(Flip(state, int(random.integers(state.width)),
                               int(random.integers(state.rows)), int(random.integers(*cycles))))
    return chosen


def _judge(got: Sequence[Any], want: Sequence[Any]) -> tuple[str, int]:
    """Outcome of images whose results are lists of neurons' (count, current) and a class."""
    wrong = sum(one != other for one, other in zip(got, want, strict=True))
    classes = any(one[-1] != other[-1] for one, other in zip(got, want, strict=True))
    return ("another class" if classes else "other numbers" if wrong else "right"), wrong


def _healed(got: Sequence[Any], want: Sequence[Any]) -> bool:
    """Whether the second half of a second run is right."""
    half = len(want) // 2
    return len(got) == len(want) and got[half:] == want[half:]


class AcceleratorTest:
    """The accelerator without a top: images back to back, and after a pause some more."""

    def __init__(self, network: IntegerNetwork, spec: AcceleratorSpec, images: npt.NDArray,
                 folder: Path):
        self.name = f"accelerator, {', '.join(map(str, spec.lanes))} lanes"
        self._network, self._spec = network, spec
        text, self.states = flips.insert(verilog.generate(network, spec), verilog.TOP,
                                         constants=spec.parity)
        self._program = virtual_board.compile_board(text, CACHE, verilog.TOP,
                                                    Path(__file__).with_name("faults.cpp"))
        folder.mkdir(parents=True, exist_ok=True)
        half = len(images) // 2
        self._batches = images[:half], images[half:]
        self._file = folder / f"{len(spec.lanes)}-{spec.lanes[0]}.txt"
        self._file.write_text("\n".join([
            str(2 * longest_image(network, spec)),
            *(f"{len(transfers)} {' '.join(map(str, transfers))}"
              for transfers in map(self._transfers, self._batches))]))
        self._want = [_lists(golden.run(network, batch)) for batch in self._batches]
        got, self._cycles, _ = self._run([])
        assert got == self._want, f"{self.name} is wrong without a flip"
        # The first batch, but not the pause after it.
        self.cycles = (1, self._cycles // 2 - 2 * longest_image(network, spec))

    def _transfers(self, images: npt.NDArray) -> list[int]:
        beats, width = self._spec.beats, self._network.intensity_width
        padded = np.zeros((len(images), self._spec.transfers(self._network) * beats), dtype=object)
        padded[:, :images.shape[1]] = images
        return [sum(int(value) << width * place for place, value in enumerate(row))
                for row in padded.reshape(-1, beats)]

    def _run(self, arguments: list[str]) -> tuple[list[list[Any]], int, tuple[int, ...]]:
        """Results of both batches, cycles, and with parity what is reported."""
        done = subprocess.run([str(self._program), str(self._file), *arguments], check=True,
                              capture_output=True, text=True, timeout=120)
        *lines, end = done.stdout.splitlines()
        cycles, *report = map(int, end.split())
        network = self._network
        fields = dict(result(network.n_output, network.count_width,
                             self._spec.current_width(network)))
        images: list[list[Any]] = [[], []]
        current: list[Any] = []
        for line in lines:
            batch, _, payload = map(int, line.split())
            values = {key: payload >> field.offset & (1 << field.width) - 1
                      for key, field in fields.items()}
            sign = 1 << fields["current"].width - 1
            current.append((values["count"], (values["current"] ^ sign) - sign))
            if values["last"]:
                images[batch].append([*current, values["predicted"]])
                current = []
        return images, cycles, tuple(report)

    def run(self, flip: Flip) -> Outcome:
        """Flip a bit."""
        got, _, _ = self._run(flip.arguments)
        first, second = self._want
        at = self.name, group(flip.state, flip.row), flip
        if len(got[1]) < len(second):
            return Outcome(*at, "hangs", len(first), False)
        heals = _healed(got[1], second)
        if len(got[0]) != len(first):
            return Outcome(*at, "lost", len(first), heals)
        return Outcome(*at, *_judge(got[0], first), heals)


    def run_row(self, place: flipped_rows.Place) -> tuple[tuple[int, ...], bool]:
        """Flip a bit of a row of weights before there are images: the report, and whether the
        results are right."""
        got, _, report = self._run(place.arguments(1))
        return report, got == self._want


class BoardTest:
    """A whole board, with its host, which runs images, and then some more."""

    def __init__(self, network: IntegerNetwork, spec: AcceleratorSpec, images: npt.NDArray):
        self.name = "board"
        self._network = network
        text, self.states = flips.insert(virtual_board.board_text(network, spec),
                                         virtual_board.TOP)
        self._program = virtual_board.compile_board(text, CACHE)
        half = len(images) // 2
        self._batches = images[:half], images[half:]
        self._want = [_lists(golden.run(network, batch)) for batch in self._batches]
        # At 4 cycles a bit an image takes 40 for each of its bytes.
        self.cycles = (1, 40 * (half * (network.n_input + 8) + 150))

    def run(self, flip: Flip) -> Outcome:
        """Flip a bit."""
        at = self.name, group(flip.state, flip.row), flip
        try:
            with (virtual_board.VirtualBoard(self._program, plusargs=flip.arguments) as board,
                  host.open(board.port, self._network, timeout=0.25) as opened):
                got = [_lists(opened.run(batch)) for batch in self._batches]
                noticed, restarts = opened.activity.faults.total(), opened.status["restarts"]
        except (host.LinkError, host.WrongBoardError, ValueError) as error:
            click.echo(f"{flip}: {error}")
            return Outcome(*at, "hangs", len(self._want[0]), False)
        return Outcome(*at, *_judge(got[0], self._want[0]), _healed(got[1], self._want[1]),
                       noticed, restarts)


def _lists(results: Result) -> list[Any]:
    """For each image its neurons' counts and currents, and its class."""
    return [[*zip(counts, currents, strict=True), predicted] for counts, currents, predicted
            in zip(results.counts.tolist(), results.currents.tolist(),
                   results.predicted.tolist(), strict=True)]


def table(outcomes: Iterable[Outcome]) -> str:
    """A row for each design and group."""
    rows: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        rows.setdefault((outcome.design, outcome.group), []).append(outcome)
    lines = [f"| design | bits of | flips | {' | '.join(OUTCOMES)} | stays wrong "
             "| restarted |", "|---|---|" + "---|" * (len(OUTCOMES) + 3)]
    for (design, name), those in sorted(rows.items()):
        counts = [sum(one.outcome == outcome for one in those) for outcome in OUTCOMES]
        stays = sum(not one.heals for one in those)
        restarts = sum(one.restarts > 0 for one in those)
        lines.append(f"| {design} | {name} | {len(those)} | "
                     + " | ".join(str(count or "") for count in [*counts, stays, restarts]) + " |")
    return "\n".join(lines)


def attack(test: AcceleratorTest | BoardTest, count: int, jobs: int, seed: int) -> list[Outcome]:
    """So many flips of each group of a design's state."""
    chosen = choose(test.states, count, test.cycles, np.random.default_rng(seed))
    with ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(test.run, chosen))
    click.echo(f"{test.name}: {len(outcomes)} flips of {sum(s.bits for s in test.states)} bits, "
               f"{sum(one.outcome == 'hangs' for one in outcomes)} hang, "
               f"{sum(not one.heals for one in outcomes)} stay wrong")
    return outcomes


def attack_rows(network: IntegerNetwork, spec: AcceleratorSpec, images: npt.NDArray, folder: Path,
                count: int, jobs: int, seed: int) -> flipped_rows.Reports:
    """So many flips of weights that have parity."""
    test = AcceleratorTest(network, spec, images, folder)
    found = flipped_rows.places(test.states, network, spec, images)
    chosen = flipped_rows.choose(found, count, seed)
    with ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(test.run_row, chosen))
    return flipped_rows.judge(chosen, [report for report, _ in outcomes],
                              [is_right for _, is_right in outcomes])


@click.command()
@click.option("--per-group", default=100, show_default=True, help="Flips of each group of state.")
@click.option("--jobs", default=2, show_default=True, help="Simulations at a time.")
@click.option("--seed", default=1, show_default=True, help="Of the choice of bits and cycles.")
@click.option("--output", default=OUTPUT, show_default=True, type=click.Path(path_type=Path))
def main(per_group: int, jobs: int, seed: int, output: Path) -> None:
    """Flip bits of weights, of an accelerator, and of a board."""
    output.mkdir(parents=True, exist_ok=True)
    network, data = load_network(REFERENCE), digits()
    images = network.intensities(data.test_images)
    weights = accuracies(network, images, data.test_labels)
    plot(weights, output / "flipped-bits.png")

    small, lanes = board_network()
    inputs = np.random.default_rng(3).integers(0, 256, (24, small.n_input))
    tests = [AcceleratorTest(network, AcceleratorSpec((4, 5), 8), images[:8], output),
             AcceleratorTest(network, AcceleratorSpec.for_network(network), images[:8], output),
             BoardTest(small, lanes, inputs)]
    outcomes = [outcome for test in tests for outcome in attack(test, per_group, jobs, seed)]
    rows = attack_rows(network, AcceleratorSpec((4, 5), 8, parity=True), images[:8], output,
                       3 * per_group, jobs, seed)
    text = "\n".join([table(outcomes), "", weights.table(), "", rows.table()])
    (output / "faults.md").write_text(text + "\n")
    (output / "faults.json").write_text(json.dumps(
        {"weights": weights.summary(), "rows": asdict(rows),
         "flips": [asdict(outcome) for outcome in outcomes]}, indent=1) + "\n")
    click.echo("\n" + text)
    hanging = [outcome for outcome in outcomes
               if outcome.design == "board" and outcome.outcome == "hangs"]
    if rows.right != rows.read or rows.false:
        raise click.ClickException(f"Parity does not report what it should: {rows}")
    if hanging:
        raise click.ClickException(f"{len(hanging)} flips hang the board")


if __name__ == "__main__":
    main()
