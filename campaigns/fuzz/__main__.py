"""The command; see the package."""

import json
import os
import select
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import click

from benchmarks.readme import updated

from .. import ROOT
from . import crashes, surroundings, worker, writers
from .makers import MAKERS, PATIENCE, SLOW

OUTPUT = Path("build/fuzz")
DOCUMENT = ROOT / "docs" / "verification.md"
START_S = 300.0
"""Seconds until a target is ready: torch is imported, a board is compiled."""
MOST = 20
"""Findings of a target, at which it is left."""


@dataclass
class Report:
    """What became of the inputs of a target."""

    target: str
    seed: int
    inputs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    slowest: float = 0.0
    peak_bytes: int = 0
    findings: list[str] = field(default_factory=list)

    def enter_finding(self, number: int, what: str) -> None:
        """Enter what is wrong with an input, and how to see it again."""
        again = shlex.join(["python", "-m", __package__, "--target", self.target, "--seed",
                            str(self.seed), "--input", str(number)])
        self.findings.append(f"input {number}: {what}; again: {again}")

    def row(self) -> str:
        """Its row of the table."""
        refused = ", ".join(f"{name} {count}" for name, count in self.outcomes.most_common()
                            if name != "accepted")
        return (f"| {self.target} | {self.inputs} | {self.outcomes['accepted']} | {refused} | "
                f"{self.seconds:.0f} s | {self.slowest * 1000:.0f} ms | "
                f"{self.peak_bytes / 2**20:.0f} MiB | {len(self.findings)} |")


HEAD = ("| target | inputs | accepted | refused | time | slowest | peak memory | findings |\n"
        "|---|---|---|---|---|---|---|---|")


class Worker:
    """A process that reads mutants of a target, from a number on."""

    def __init__(self, target: str, seed: int, first: int):
        self._folder = Path(tempfile.mkdtemp(prefix="fuzz-"))
        self.inputs = self._folder / surroundings.INPUTS
        self._log = tempfile.TemporaryFile()    # noqa: SIM115, end() closes it
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-m", worker.__name__, target, str(seed), str(first)],
            cwd=self.inputs, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=self._log,
            env=os.environ | surroundings.make(self._folder) | {"PYTHONPATH": path})
        self._rest = b""

    def line(self, limit_s: float) -> str | None:
        """What it says next; None if it says nothing in time, or has ended."""
        assert self._process.stdout is not None
        end = monotonic() + limit_s
        while b"\n" not in self._rest:
            if not select.select([self._process.stdout], [], [], max(0, end - monotonic()))[0]:
                return None
            read = os.read(self._process.stdout.fileno(), 2**16)
            if not read:
                self._process.wait()
                return None
            self._rest += read
        line, self._rest = self._rest.split(b"\n", 1)
        return line.decode()

    def end(self) -> tuple[int | None, str]:
        """End it; returns its exit code, if it had ended, and the end of what it printed."""
        code = self._process.poll()
        self._process.kill()
        self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)
        with self._log as log:
            log.seek(0)
            return code, log.read()[-2000:].decode(errors="replace")


def attack(name: str, seconds: float, seed: int, output: Path, only: int | None = None) -> Report:
    """Attack a target for some time, or with one input; what ends its process is a finding."""
    report, number = Report(name, seed), only or 0
    while not report.inputs or (only is None and report.seconds < seconds
                                and len(report.findings) < MOST):
        working = Worker(name, seed, number)
        limit_s = float(working.line(START_S) or 0)     # nothing comes from one that has ended
        said, begun = working.line(limit_s), monotonic()
        while said is not None:
            number = int(said)
            answer = working.line(limit_s)
            if answer is None:
                break
            _enter(report, json.loads(answer), number, working.inputs, output)
            if only is not None or (report.seconds + monotonic() - begun > seconds
                                    or len(report.findings) >= MOST):
                break
            said = working.line(limit_s)
        else:
            code, log = working.end()
            raise RuntimeError(f"{name}: the worker ended with {code}:\n{log}")
        report.seconds += monotonic() - begun
        if answer is None:
            report.inputs += 1
            _keep(name, number, working.inputs, output)
        code, log = working.end()
        if answer is None:
            what = f"takes more than {limit_s} s" if code is None else f"ends the process: {code}"
            report.outcomes["no answer" if code is None else "crash"] += 1
            report.enter_finding(number, f"{what} {log[-500:]}")
        number += 1
    return report


def _enter(report: Report, answer: dict[str, Any], number: int, folder: Path, output: Path) -> None:
    report.inputs += 1
    report.outcomes[answer["outcome"]] += 1
    report.slowest = max(report.slowest, answer["seconds"])
    report.peak_bytes = max(report.peak_bytes, answer["peak"])
    if answer["findings"]:
        report.enter_finding(number, "; ".join(answer["findings"]))
        _keep(report.target, number, folder, output)


def _keep(name: str, number: int, folder: Path, output: Path) -> None:
    """Keep the folder of an input of a finding; a later input may have overwritten it."""
    kept = output / "findings" / f"{name.replace(', ', '-').replace(' ', '-')}-{number}"
    shutil.copytree(folder, kept, dirs_exist_ok=True)


@click.command()
@click.option("--seconds", default=8.0, show_default=True,
              help=f"For each target; {PATIENCE} times as long for hosts and boards.")
@click.option("--seed", default=1, show_default=True, help="Of the inputs.")
@click.option("--target", "names", multiple=True, type=click.Choice([*MAKERS, *writers.SUBJECTS]),
              help="What is attacked.  [default: all]")
@click.option("--input", "only", type=click.IntRange(min=0), metavar="N",
              help="Give input N of the targets alone, that of a finding.")
@click.option("--output", default=OUTPUT, show_default=True, type=click.Path(path_type=Path))
@click.option("--update", is_flag=True,
              help=f"Write the rows of what is attacked into {DOCUMENT.name}, too.")
def main(seconds: float, seed: int, names: tuple[str, ...], only: int | None, output: Path,
         update: bool) -> None:
    """Give hostile input to what reads files and talks to boards."""
    if only is not None and not set(names) <= set(MAKERS):
        raise click.UsageError("--input needs targets that have inputs")
    shutil.rmtree(output / "findings", ignore_errors=True)
    output.mkdir(parents=True, exist_ok=True)
    reports: list[Report] = []
    surveys: list[crashes.Survey] = []
    for name in names or (*MAKERS, *writers.SUBJECTS):
        if name in MAKERS:
            patience = PATIENCE if name in SLOW else 1
            reports.append(attack(name, patience * seconds, seed, output, only))
            _tell(reports[-1])
        else:
            surveys.append(crashes.survey(writers.SUBJECTS[name], seed))
            _tell(surveys[-1])
    (output / "fuzz.json").write_text(
        json.dumps([vars(each) for each in (*reports, *surveys)], indent=1))
    tables = {"hostile input": (HEAD, MAKERS, reports),
              "kills": (crashes.HEAD, writers.SUBJECTS, surveys)}
    (output / "fuzz.md").write_text("\n".join(
        _table(head, all_names, found) for head, all_names, found in tables.values()))
    if update:
        for table, (head, all_names, found) in tables.items():
            text = DOCUMENT.read_text()
            old = text.partition(f"<!-- table: {table} -->")[2].partition("<!-- end")[0]
            DOCUMENT.write_text(updated(text, table, _table(head, all_names, found, old)))
    sys.exit(any(each.findings for each in (*reports, *surveys)))


def _table(head: str, names: Iterable[str], found: Sequence[Report | crashes.Survey],
           text: str = "") -> str:
    """A table, with the rows of what was not attacked now as they are in a text."""
    rows = {name: line for name in names for line in text.splitlines()
            if line.startswith(f"| {name} |")} | {each.target: each.row() for each in found}
    return "\n".join([head, *(rows[name] for name in names if name in rows)]) + "\n"


def _tell(found: Report | crashes.Survey) -> None:
    click.echo(found.row())
    for finding in found.findings:
        click.echo(f"  {finding}")


if __name__ == "__main__":
    main()
