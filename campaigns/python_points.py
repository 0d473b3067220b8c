"""What coverage.py counted in the package: statements, and branches between them."""

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coverage import Coverage

from .reasons import Missed

PACKAGE = "sc_neurocore"


@dataclass(frozen=True)
class Module:
    """A file of the package: counts by kind, and what is missed in it."""

    file: str
    counts: Counter[str]
    missed: tuple[Missed, ...]


def modules(folder: Path, root: Path) -> list[Module]:
    """All files of the package, from the counts of all processes; writes ``html`` to the folder."""
    coverage = Coverage(data_file=str(folder / "counts"), config_file=str(root / "pyproject.toml"))
    coverage.combine([str(folder)], keep=True)
    coverage.save()
    coverage.html_report(directory=str(folder / "html"), show_contexts=False)
    report = folder / "report.json"
    coverage.json_report(outfile=str(report))
    return [_module(Path(name), entry, root)
            for name, entry in json.loads(report.read_text())["files"].items()]


def _module(path: Path, entry: dict[str, Any], root: Path) -> Module:
    file = path.relative_to(root / PACKAGE if path.is_absolute() else PACKAGE).as_posix()
    source = (root / PACKAGE / file).read_text().splitlines()
    summary, missing = entry["summary"], entry["missing_lines"]

    def code(line: int) -> str:
        return source[abs(line) - 1].strip() if line > 0 else "the end"

    statements = sorted([*missing, *entry["executed_lines"]])
    # Of statements after each other the first one stands for them all.
    gaps = [line for line in missing
            if line == statements[0] or statements[statements.index(line) - 1] not in missing]
    missed = [Missed(file, code(line), line) for line in gaps]
    missed += [Missed(file, f"{code(start)} -> {code(end)}", start)
               for start, end in entry["missing_branches"]
               if start not in missing and end not in missing]
    counts = Counter({
        "statements": summary["num_statements"], "reached statements": summary["covered_lines"],
        "Python branches": summary["num_branches"],
        "reached Python branches": summary["covered_branches"]})
    return Module(file, counts, tuple(missed))
