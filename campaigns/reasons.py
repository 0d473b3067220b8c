"""Reasons why checks miss something, and what has none."""

import re
import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path


@dataclass(frozen=True)
class Missed:
    """Something that no check reaches, or notices: a file of the package, or a design; what; and a
    line of the file or 0."""

    where: str
    what: str
    line: int

    def __str__(self) -> str:
        return f"{self.where}{f':{self.line}' if self.line else ''}: `{self.what}`"


@dataclass(frozen=True)
class Explanation:
    """Why something of a file, of each file of a folder, or of a design is missed.

    ``what`` is that of what is missed, or a regular expression for the whole of it between slashes;
    it has no line numbers, which change. ``sometimes``: it depends on the machine, or on time.
    """

    where: str
    what: str
    reason: str
    sometimes: bool = False

    def explains(self, missed: Missed) -> bool:
        """Whether this is the reason."""
        is_there = missed.where == self.where or (self.where.endswith("/")
                                                  and missed.where.startswith(self.where))
        return is_there and (self.what == missed.what or (
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
            f"{len(self.missed)} missed, {len(self.unexplained)} of them without a reason",
            *(f"no reason: {missed}" for missed in self.unexplained),
            *(f"needless reason: {why.where}: {why.what}" for why in self.needless)])

    def text(self) -> str:
        """In Markdown, by reason."""
        lines = ["## Missed, by reason", ""]
        for why in dict.fromkeys(why for _, why in self.missed if why is not None):
            lines += [f"### {why.reason}", "",
                      *(f"- {missed}" for missed, its in self.missed if its is why), ""]
        return "\n".join([*lines, "## Not explained", "",
                          *(f"- {missed}" for missed in self.unexplained),
                          *(f"- needless: {why.where}: `{why.what}`" for why in self.needless), ""])


def explanations(path: Path) -> list[Explanation]:
    """Those of a TOML file, which is a list of tables with the fields of `Explanation`, ``where``
    and ``what`` perhaps lists: one for each of both. A table for machines that have a program says
    ``with`` it, one for those that lack it ``without``.

    Raises
    ------
    ValueError
        If a table has other keys, or a regular expression is none.
    """
    read = []
    (entries,) = tomllib.loads(path.read_text()).values()
    for number, entry in enumerate(entries, 1):
        try:
            if not (_is_there(entry.pop("with", None), True)
                    and _is_there(entry.pop("without", None), False)):
                continue
            places, patterns = (each if isinstance(each, list) else [each]
                                for each in (entry.pop("where"), entry.pop("what")))
            for where, pattern in product(places, patterns):
                re.compile(pattern[1:-1] if pattern.startswith("/") else "")
                read.append(Explanation(where, pattern, **entry))
        except (KeyError, TypeError, re.error) as error:
            raise ValueError(f"{path}: entry {number} must have where, what and reason: {error}"
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
