"""Reasons why something is not reached, and what has none."""

import re
import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path


@dataclass(frozen=True)
class Missed:
    """Something that no test reaches: a file of the package, what, and a line of it or 0."""

    file: str
    what: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}{f':{self.line}' if self.line else ''}: `{self.what}`"


@dataclass(frozen=True)
class Explanation:
    """Why something of a file, or of each file of a folder, is not reached.

    ``what`` is that of what is missed, or a regular expression for the whole of it between slashes;
    it has no line numbers, which change. ``sometimes``: it depends on the machine, or on time.
    """

    file: str
    what: str
    reason: str
    sometimes: bool = False

    def explains(self, missed: Missed) -> bool:
        """Whether this is the reason."""
        in_file = missed.file == self.file or (self.file.endswith("/")
                                               and missed.file.startswith(self.file))
        return in_file and (self.what == missed.what or (
            self.what[0] == self.what[-1] == "/"
            and re.fullmatch(self.what[1:-1], missed.what) is not None))


@dataclass(frozen=True)
class Judged:
    """What is missed, with the first explanation of each, and explanations that explain nothing."""

    missed: tuple[tuple[Missed, Explanation | None], ...]
    needless: tuple[Explanation, ...]

    @property
    def unexplained(self) -> list[Missed]:
        """What has no reason."""
        return [missed for missed, why in self.missed if why is None]

    @property
    def holds(self) -> bool:
        """Whether all has a reason, and each reason something to explain."""
        return not self.unexplained and not self.needless

    def summary(self) -> str:
        """What is wrong, line by line, after how much is explained."""
        return "\n".join([
            f"{len(self.missed)} not reached, {len(self.unexplained)} of them without a reason",
            *(f"no reason: {missed}" for missed in self.unexplained),
            *(f"needless reason: {why.file}: {why.what}" for why in self.needless)])

    def text(self) -> str:
        """In Markdown, by reason."""
        lines = ["## Not reached, by reason", ""]
        for why in dict.fromkeys(why for _, why in self.missed if why is not None):
            lines += [f"### {why.reason}", "",
                      *(f"- {missed}" for missed, its in self.missed if its is why), ""]
        return "\n".join([*lines, "## Not explained", "",
                          *(f"- {missed}" for missed in self.unexplained),
                          *(f"- needless: {why.file}: `{why.what}`" for why in self.needless), ""])


def explanations(path: Path) -> list[Explanation]:
    """Those of a TOML file: tables ``unreached`` with the fields of `Explanation`, ``file`` and
    ``what`` perhaps lists: one for each file and each of ``what``. A table for machines that have
    a program says ``with`` it, one for those that lack it ``without``.

    Raises
    ------
    ValueError
        If a table has other keys, or a regular expression is none.
    """
    read = []
    for number, entry in enumerate(tomllib.loads(path.read_text())["unreached"], 1):
        try:
            if not (_is_there(entry.pop("with", None), True)
                    and _is_there(entry.pop("without", None), False)):
                continue
            files, patterns = (each if isinstance(each, list) else [each]
                               for each in (entry.pop("file"), entry.pop("what")))
            for file, pattern in product(files, patterns):
                re.compile(pattern[1:-1] if pattern.startswith("/") else "")
                read.append(Explanation(file, pattern, **entry))
        except (KeyError, TypeError, re.error) as error:
            raise ValueError(f"{path}: entry {number} must have file, what and reason: {error}"
                             ) from None
    return read


def _is_there(program: str | None, wanted: bool) -> bool:
    return program is None or (shutil.which(program) is not None) == wanted


def judge(missed: Sequence[Missed], reasons: Sequence[Explanation]) -> Judged:
    """Find the reason of each."""
    with_reasons = tuple((each, next((why for why in reasons if why.explains(each)), None))
                         for each in missed)
    used = {why for _, why in with_reasons}
    return Judged(with_reasons, tuple(
        why for why in reasons if why not in used and not why.sometimes))
