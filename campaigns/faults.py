"""What flipped bits do: to results, and to whether there are any.

    python -m campaigns.faults [--per-group N] [--jobs N] [--seed N] [--output FOLDER] [--update]
    python -m campaigns.faults --design NAME --flip NUMBER BIT ROW CYCLE

Bits of weights are flipped in the network, and the simulator tells what is left of the accuracy.
Bits of the state of an accelerator, alone and behind AXI, and of whole boards are flipped in their
Verilog, a bit at a time; the boards' host is `sc_neurocore.host`, which has to get along with what
happens. Writes ``faults.json``, ``faults.md`` and ``flipped-bits.png``; fails if a flip hangs a
design that has a watchdog, or leaves it wrong where it need not (`flip_choice.STAYS`), or if parity
does not report just the rows that it should. The second form does one flip again.
"""

import json
import shlex
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from functools import partial
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from benchmarks.readme import updated
from sc_neurocore.datasets import digits
from sc_neurocore.extras import require
from sc_neurocore.network import IntegerNetwork
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.storage import load_network

from . import ROOT, flipped_rows
from .flip_choice import STAYS, STAYS_LOADED, Flip, choose
from .flipped_designs import OUTCOMES, AcceleratorTest, AxiTest, BoardTest, Outcome, Test
from .flipped_weights import Accuracies, accuracies, draw
from .tops import board_network

OUTPUT = Path("build/faults")
REFERENCE = ROOT / "hdl" / "reference.safetensors"
DOCUMENT = ROOT / "docs" / "verification.md"
PLOT = "flipped-bits.png"
IMAGES = 60
"""Of an experiment; a bit flips during the first third. A board's are `BOARD_IMAGES`."""
BOARD_IMAGES = 36
FEWER = {"board, loaded": 3}
"""Designs in which so many times fewer bits are flipped: each experiment of it begins with loading,
and most of its state is that of another design."""


def designs(output: Path) -> dict[str, Callable[[], Test]]:
    """How to make each design that bits of state are flipped in, by its name."""
    network = load_network(REFERENCE)
    images = network.intensities(digits().test_images[:IMAGES])
    small, lanes = board_network()
    inputs = np.random.default_rng(3).integers(0, 256, (IMAGES, small.n_input))
    made = {f"accelerator, {', '.join(map(str, spec.lanes))} lanes":
            partial(AcceleratorTest, network, spec, images, output)
            for spec in (AcceleratorSpec((4, 5), 8), AcceleratorSpec.for_network(network))}
    boards = {"board": lanes, "board, loaded": lanes.with_loading(small)}
    return made | {"AXI": partial(AxiTest, small, lanes, inputs, output)} | {
        name: partial(BoardTest, name, small, spec, inputs[:BOARD_IMAGES])
        for name, spec in boards.items()}


def has_watchdog(design: str) -> bool:
    """Whether it restarts by itself; the accelerator alone can't know that anything is missing."""
    return not design.startswith("accelerator")


def is_fault(outcome: Outcome) -> bool:
    """Whether it is something that must not be."""
    return has_watchdog(outcome.design) and (
        outcome.outcome == "hangs" or not outcome.mended
        or (not outcome.heals and not may_stay(outcome)))


def may_stay(outcome: Outcome) -> bool:
    """Whether what such a flip leaves wrong may stay so until the design is loaded again."""
    return outcome.group in STAYS or (outcome.design.endswith("loaded")
                                      and outcome.group in STAYS_LOADED)


def by_group(outcomes: Iterable[Outcome]) -> dict[tuple[str, str], list[Outcome]]:
    """Outcomes of each design and group."""
    rows: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        rows.setdefault((outcome.design, outcome.group), []).append(outcome)
    return dict(sorted(rows.items()))


def changed(outcomes: Sequence[Outcome]) -> float:
    """Percent of the images under way that have another class, or none, after a flip."""
    return 100 * sum(one.changed for one in outcomes) / sum(one.images for one in outcomes)


def table(outcomes: Sequence[Outcome]) -> str:
    """A row for each design and group, and what designs with and without a watchdog came to."""
    lines = [f"| design | bits of | flips | {' | '.join(OUTCOMES)} | stays wrong "
             "| restarted | images of another class |",
             "|---|---|---|" + "---|" * (len(OUTCOMES) + 3)]
    for (design, name), those in by_group(outcomes).items():
        counts = [sum(one.outcome == outcome for one in those) for outcome in OUTCOMES]
        stays = sum(not one.heals for one in those)
        restarts = sum(one.restarts > 0 for one in those)
        lines.append(f"| {design} | {name} | {len(those)} | "
                     + " | ".join(str(count or "") for count in [*counts, stays, restarts])
                     + f" | {changed(those):.2f} % |")
    for guarded, what in ((False, "the accelerator alone"), (True, "designs with a watchdog")):
        those = [one for one in outcomes if has_watchdog(one.design) == guarded]
        hang = sum(one.outcome == "hangs" for one in those)
        wrong = [one for one in those if not one.heals and one.outcome != "hangs"]
        excused = sum(map(may_stay, wrong))
        lines += ["", f"Of {len(those)} flips in {what} {hang} hang it, and {len(wrong)} others "
                  f"leave it wrong, {excused} of them until parameters are loaded or the FPGA is "
                  "configured again."]
    return "\n".join(lines)


def plot(weights: Accuracies, outcomes: Sequence[Outcome], path: Path) -> None:
    """Accuracy with flipped bits of weights; and images of another class, for a bit of state."""
    require("matplotlib", "demo")
    from matplotlib.figure import Figure

    rows = by_group(outcomes)
    names = sorted({name for _, name in rows}, reverse=True)
    figure = Figure(figsize=(8, 7.5), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=[3, 4.5])
    draw(weights, *above.subplots(1, 2, sharey=True))
    axes = below.subplots()
    for design, marker in zip(dict.fromkeys(design for design, _ in rows), "os^Dv", strict=False):
        points = [(changed(those), names.index(name))
                  for (of, name), those in rows.items() if of == design]
        axes.plot(*zip(*points, strict=True), marker, label=design, alpha=0.7)
    axes.set(xlabel="images under way of another class, or of none, after one flipped bit (%)",
             yticks=range(len(names)), yticklabels=names)
    axes.grid(axis="y", alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120, metadata={"Software": None})


def attack(test: Test, count: int, jobs: int, seed: int) -> list[Outcome]:
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


def again(outcome: Outcome) -> str:
    """A flip, what it did, and the command that does it again."""
    state = outcome.flip.state
    command = shlex.join(["python", "-m", "campaigns.faults", "--design", outcome.design, "--flip",
                          *map(str, outcome.flip.place)])
    heals = "" if outcome.heals else ", stays wrong"
    return (f"{outcome.design}, {state.module} {state.name}, {outcome.group}: {outcome.outcome}"
            f"{heals}\n  {command}")


def flip_once(test: Test, place: tuple[int, int, int, int]) -> None:
    """Do a single flip, and tell what became of it."""
    number, *rest = place
    found = [state for state in test.states if state.number == number]
    if not found:
        raise click.UsageError(f"--flip must begin with a number from 1 to {len(test.states)}, "
                               f"not {number}")
    click.echo(again(test.run(Flip(found[0], *rest))))


@click.command()
@click.option("--per-group", default=100, show_default=True, help="Flips of each group of state.")
@click.option("--jobs", default=2, show_default=True, help="Simulations at a time.")
@click.option("--seed", default=1, show_default=True, help="Of the choice of bits and cycles.")
@click.option("--output", default=OUTPUT, show_default=True, type=click.Path(path_type=Path))
@click.option("--update", is_flag=True, help=f"Write tables and plot into {DOCUMENT.name}, too.")
@click.option("--design", help="Of --flip.")
@click.option("--flip", "place", nargs=4, type=int, help="Do just this flip of one design.")
def main(per_group: int, jobs: int, seed: int, output: Path, update: bool, design: str | None,
         place: tuple[int, int, int, int] | None) -> None:
    """Flip bits of weights, of an accelerator, alone and behind AXI, and of boards."""
    output.mkdir(parents=True, exist_ok=True)
    made = designs(output)
    if place is not None:
        if design not in made:
            raise click.UsageError(f"--design must be one of {'; '.join(made)}, not {design}")
        return flip_once(made[design](), place)
    network, data = load_network(REFERENCE), digits()
    images = network.intensities(data.test_images)
    weights = accuracies(network, images, data.test_labels)
    outcomes = [outcome for name, make in made.items()
                for outcome in attack(make(), -(-per_group // FEWER.get(name, 1)), jobs, seed)]
    plot(weights, outcomes, output / PLOT)
    rows = attack_rows(network, AcceleratorSpec((4, 5), 8, parity=True), images[:8], output,
                       3 * per_group, jobs, seed)
    tables = {"flipped weights": weights.table(), "flipped rows": rows.table(),
              "flipped state": table(outcomes)}
    text = "\n\n".join(tables.values()) + "\n"
    (output / "faults.md").write_text(text)
    (output / "faults.json").write_text(json.dumps(
        {"weights": weights.summary(), "rows": asdict(rows),
         "flips": [asdict(outcome) for outcome in outcomes]}, indent=1) + "\n")
    click.echo("\n" + text)
    for outcome in outcomes:
        if outcome.outcome == "hangs" or is_fault(outcome):
            click.echo(again(outcome))
    if rows.right != rows.read or rows.false:
        raise click.ClickException(f"Parity does not report what it should: {rows}")
    if faults := sum(map(is_fault, outcomes)):
        raise click.ClickException(f"{faults} flips hang a design with a watchdog, or leave it "
                                   "wrong")
    if update:
        document = DOCUMENT.read_text()
        for name, made_table in tables.items():
            document = updated(document, name, made_table + "\n")
        DOCUMENT.write_text(document)
        (DOCUMENT.parent / "images" / PLOT).write_bytes((output / PLOT).read_bytes())


if __name__ == "__main__":
    main()
