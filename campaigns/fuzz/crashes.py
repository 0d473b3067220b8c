"""What writes files is killed at any time, and its disk is full: what it leaves is whole.

Each subject runs once undisturbed, which gives its output, how long it takes and how often it
changes a file there. Then it runs in processes that are killed, half of them at any time and half
of them right before such a change, or that may not write so much. What is there must be what was
there before or what there is to be; and to run once more, beside whatever a kill has left, must
give what there is to be.
"""

import mmap
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic, sleep
from typing import Any

from .audit import changed

Contents = dict[str, bytes]
LATEST = 0.95
"""Of the time that a subject takes undisturbed: no kill by time comes later."""
REFUSED = 2
"""Exit code of a subject that raises a documented error."""
LIMIT_S = 600
"""That a subject may take; longer, and it stands still."""


@dataclass(frozen=True)
class Subject:
    """Something that writes below a folder.

    ``run`` writes there, after ``before``, which is not disturbed. ``kills`` are processes that are
    to be killed, ``fills`` those whose disk is full. ``pieces`` says that files are replaced one by
    one, so that old and new ones may be there together. ``arguments`` are those of a command.
    """

    name: str
    run: Callable[[Path], object]
    kills: int
    fills: int
    before: Callable[[Path], object] = Path.exists      # nothing
    pieces: bool = False
    arguments: list[str] = field(default_factory=list)


@dataclass
class Survey:
    """What became of a subject's output: how often it was what it had been, and how often whole.

    ``kills`` hit if the process had not ended before.
    """

    target: str
    kills: int = 0
    hits: int = 0
    filled: int = 0
    as_before: int = 0
    whole: int = 0
    left: int = 0
    seconds: float = 0.0
    findings: list[str] = field(default_factory=list)

    def row(self) -> str:
        """Its row of the table."""
        return (f"| {self.target} | {self.kills} | {self.hits} | {self.filled} | "
                f"{self.as_before} | {self.whole} | {self.left} | {self.seconds:.0f} s | "
                f"{len(self.findings)} |")


HEAD = ("| output | kills | of them hit | full disks | as before | whole | temporary folders left "
        "| time | findings |\n|---|---|---|---|---|---|---|---|---|")


def contents(folder: Path) -> Contents:
    """All files below a folder, but temporary ones and logs, in which tools write their times."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*"))
            if path.is_file() and ".partial-" not in str(path.relative_to(folder))
            and path.suffix != ".log"}


def survey(subject: Subject, seed: int) -> Survey:
    """Kill a subject, fill its disk, and look at what is there."""
    found, random, begun = Survey(subject.name), Random(f"{seed}/{subject.name}"), monotonic()
    with tempfile.TemporaryDirectory(prefix="fuzz-") as working:
        folder = Path(working) / "output"
        folder.mkdir()
        subject.before(folder)
        old, new, seconds, changes = _undisturbed(subject, folder)
        for index in range(subject.kills):
            _again(subject, folder)
            part = (index + random.random()) / subject.kills
            how = (_Kill(after_s=LATEST * seconds * part) if index % 2 else
                   _Kill(folder, 1 + changes * index // subject.kills))
            code = in_child(lambda: subject.run(folder), how)
            found.kills += 1
            found.hits += code == -signal.SIGKILL
            _judge(found, subject, contents(folder), old, new, f"killed {how}")
            found.left += len(list(folder.glob(".partial-*")))
            if code not in (0, -signal.SIGKILL):
                found.findings.append(f"killed {how}: it ends with {code}")
            is_whole, again = contents(folder) == new, monotonic()
            if in_child(lambda: subject.run(folder)) or contents(folder) != new:
                found.findings.append(f"killed {how}: running again does not mend it")
            if not is_whole:    # the first run may have filled caches, and taken longer for that
                seconds = min(seconds, monotonic() - again)
        if subject.kills and found.hits <= subject.kills / 2:
            found.findings.append(f"{found.hits} of {subject.kills} kills hit")
        for index in range(subject.fills):
            _again(subject, folder)
            _fill(found, subject, folder, old, new, index)
    found.seconds = monotonic() - begun
    return found


@dataclass
class _Kill:
    """A kill after some seconds; or right before a process changes a file below a folder, the
    changes being counted from 1, and those that were done being in ``seen``."""

    folder: Path | None = None
    change: int | None = None
    after_s: float | None = None
    seen: mmap.mmap = field(default_factory=lambda: mmap.mmap(-1, mmap.PAGESIZE))

    def __str__(self) -> str:
        return (f"before change {self.change}" if self.after_s is None else
                f"after {self.after_s:.4f} s")

    def watch(self) -> None:
        """Count changes of this process from now on, and kill it in time."""
        beginning, count = f"{self.folder}/", 0

        def hook(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal count
            if any(path.startswith(beginning) for path in changed(event, arguments)):
                count += 1
                if count == self.change:
                    os.killpg(0, signal.SIGKILL)
                self.seen[:4] = count.to_bytes(4, "little")

        sys.addaudithook(hook)


def _undisturbed(subject: Subject, folder: Path) -> tuple[Contents, Contents, float, int]:
    """What is there before and after, the seconds it takes, and the changes of files."""
    old, begun, counting = contents(folder), monotonic(), _Kill(folder)
    code = in_child(lambda: subject.run(folder), counting)
    seconds, new = monotonic() - begun, contents(folder)
    if code or new == old:
        raise RuntimeError(f"{subject.name} ends with {code} undisturbed, and leaves {sorted(new)}")
    return old, new, seconds, int.from_bytes(counting.seen[:4], "little")


def _again(subject: Subject, folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    subject.before(folder)


def _judge(found: Survey, subject: Subject, now: Contents, old: Contents, new: Contents,
           what: str) -> None:
    if now == new:
        found.whole += 1
    elif now == old or (subject.pieces and old.keys() & new.keys() <= now.keys() and all(
            content in (old.get(name), new.get(name)) for name, content in now.items())):
        found.as_before += 1
    else:
        found.findings.append(f"{what}: {sorted(now)}, neither as before nor whole")


def _fill(found: Survey, subject: Subject, folder: Path, old: Contents, new: Contents, index: int
          ) -> None:
    """Run where the largest file can't be written as a whole, or a disk has no room for all."""
    size = max(map(len, new.values()))
    limit = size * index // subject.fills
    if index % 2 and os.geteuid() == 0:
        with _disk(folder, max(4096, limit)) as disk:
            if disk is None:
                return
            subject_before = contents(disk)
            code = in_child(lambda: subject.run(disk))
            now, want = contents(disk), subject_before
            partial = list(disk.glob(".partial-*"))
    else:
        code = in_child(lambda: subject.run(folder), limit=limit)
        now, want, partial = contents(folder), old, list(folder.glob(".partial-*"))
    found.filled += 1
    _judge(found, subject, now, want, new, f"room for {limit} bytes")
    if partial:
        found.findings.append(f"room for {limit} bytes: {partial[0].name} is left")
    if code not in (0, REFUSED) or (code == 0) != (now == new):
        found.findings.append(f"room for {limit} bytes: it ends with {code}")


@contextmanager
def _disk(folder: Path, size: int) -> Iterator[Path | None]:
    """A file system of so many bytes, or None if this system allows none."""
    disk = folder.parent / "disk"
    disk.mkdir(exist_ok=True)
    mount = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "none", disk],
                           capture_output=True, check=False)
    try:
        yield None if mount.returncode else disk
    finally:
        if not mount.returncode:
            subprocess.run(["umount", disk], check=True)


def in_child(run: Callable[[], object], kill: _Kill | None = None, limit: int | None = None) -> int:
    """Run in a process that may be killed, with all of its own; its exit code.

    It is -SIGKILL of one that was killed, and -SIGALRM of one that takes longer than `LIMIT_S`.
    """
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        code = 1
        try:
            null = os.open(os.devnull, os.O_RDWR)
            for stream in range(3):
                os.dup2(null, stream)
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            if kill is not None and kill.folder is not None:
                kill.watch()
            signal.alarm(LIMIT_S)
            run()
            code = 0
        except (OSError, ValueError):       # what commands document
            code = REFUSED
        finally:
            os._exit(code)
    os.setpgid(pid, pid)        # whoever of the two comes first
    try:
        if kill is not None and kill.after_s is not None:
            sleep(kill.after_s)
            os.killpg(pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    finally:
        with suppress(ProcessLookupError):      # what it has started, and did not wait for
            os.killpg(pid, signal.SIGKILL)
