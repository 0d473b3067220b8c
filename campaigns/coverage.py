"""What the quick tests reach of the gateware and of the package.

    python -m campaigns.coverage [--jobs N] [--output FOLDER] [--update] [--add] [TESTS]...

Runs the tests once, with coverage.py for the package and Verilator's coverage for the gateware
(`covering`, `gateware_points`). Every point that none of them reaches must be explained in
``unreached.toml``, and each explanation must be needed. Writes ``report.md``, and ``python/`` with
the package's lines in HTML.
"""

import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import click

from benchmarks.readme import updated

from . import ROOT, python_points, reasons
from .gateware_points import Point, points

OUTPUT = Path("build/coverage")
DOCUMENT = ROOT / "docs" / "verification.md"
EXPLANATIONS = Path(__file__).with_name("unreached.toml")
TEXT_TESTS = ("the_text_names_no_tool_and_no_path",
              "the_same_network_gives_the_same_text_in_another_process")
"""They compare Verilog's text, which is another one here: it has positions."""


def run(tests: Iterable[str], jobs: int, output: Path) -> int:
    """Run tests and keep their counts; returns pytest's code."""
    (output / "python").mkdir(parents=True, exist_ok=True)
    deselected = " and ".join(f"not {name}" for name in TEXT_TESTS)
    command = [sys.executable, "-m", "coverage", "run", "-m", "pytest", *tests, "-m", "not slow",
               "-k", deselected, "-n", str(jobs), "--dist", "worksteal",
               "-p", f"{__package__}.covering", "--coverage-folder", str(output / "simulations")]
    counts = output.resolve() / "python" / "counts"
    return subprocess.run(command, cwd=ROOT, check=False,
                          env=os.environ | {"COVERAGE_FILE": str(counts)}).returncode


def table(counted: dict[Point, bool], modules: Iterable[python_points.Module]) -> str:
    """A row for each file of the gateware and for each other folder of the package."""
    rows: dict[str, Counter[str]] = {}
    for point, reached in counted.items():
        row = rows.setdefault(f"`gateware/{point.file}`", Counter())
        kind = "toggles" if point.is_toggle else "branches"
        row[kind] += 1
        row[f"reached {kind}"] += reached
    for module in modules:
        folder, _, file = module.file.rpartition("/")
        name = (f"`gateware/{file}`" if folder == "gateware" else f"`{folder}/`" if folder
                else "other files")
        rows.setdefault(name, Counter()).update(module.counts)
    rows = {name: row for name, row in sorted(rows.items()) if row.total()}
    rows["all"] = sum(rows.values(), Counter())
    kinds = ("branches", "toggles", "statements", "Python branches")
    lines = ["| | branches of the gateware | toggles | Python statements | Python branches |",
             "|---|---|---|---|---|"]
    lines += [f"| {name} | " + " | ".join(
        f"{row[f'reached {kind}']} of {row[kind]}" if row[kind] else "" for kind in kinds) + " |"
        for name, row in rows.items()]
    return "\n".join(lines) + "\n"


def report(output: Path) -> tuple[reasons.Judged, str]:
    """Write the report of all that was counted; returns what is not reached, and the table."""
    counted = points(output / "simulations")
    modules = python_points.modules(output / "python", ROOT)
    missed = [*(reasons.Missed(f"gateware/{point.file}", point.what, point.line)
                for point, reached in sorted(counted.items()) if not reached),
              *(missed for module in modules for missed in module.missed)]
    judged = reasons.judge(missed, reasons.explanations(EXPLANATIONS))
    rows = table(counted, modules)
    (output / "report.md").write_text(f"# Coverage\n\n{rows}\n{judged.text()}")
    return judged, rows


@click.command()
@click.argument("tests", nargs=-1)
@click.option("--jobs", default=2, show_default=True, help="Tests at a time.")
@click.option("--output", default=OUTPUT, show_default=True, type=click.Path(path_type=Path))
@click.option("--update", is_flag=True, help=f"Write the table into {DOCUMENT.name}, too.")
@click.option("--add", is_flag=True, help="Keep the counts of earlier runs.")
def main(tests: tuple[str, ...], jobs: int, output: Path, update: bool, add: bool) -> None:
    """Count what the quick tests reach, or those that are named."""
    if not add:
        shutil.rmtree(output, ignore_errors=True)
    failed = run(tests, jobs, output)
    judged, rows = report(output)
    if update:
        DOCUMENT.write_text(updated(DOCUMENT.read_text(), "coverage", rows))
    click.echo(f"{rows}\n{judged.summary()}\n{output / 'report.md'}")
    if failed:
        raise SystemExit("Tests failed")
    if not judged.holds:
        raise SystemExit("Points are unreached without a reason, or reasons without such a point")


if __name__ == "__main__":
    main()
