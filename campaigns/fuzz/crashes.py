"""Commands that are killed at any time, and those whose disk is full: what they leave is whole.

Each subject runs once undisturbed, which gives its output and how long it takes. Then it runs in
processes that are killed, or may not write so much, and what is there must be what was there
before or what there is to be. In the end it runs once more, beside whatever the others left.
"""

import os
import resource
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from time import monotonic, sleep

from sc_neurocore import cli, files
from sc_neurocore.network import IntegerNetwork
from sc_neurocore.storage import save_network

from .links import ROOT  # noqa: F401, it makes the tests' networks importable

Contents = dict[str, bytes]


@dataclass(frozen=True)
class Subject:
    """Something that writes below a folder.

    ``run`` writes there; ``pieces`` says that files are replaced one by one, so that old and new
    ones may be there together.
    """

    name: str
    run: Callable[[Path], object]
    kills: int
    fills: int
    before: Callable[[Path], object] = Path.exists      # nothing
    pieces: bool = False


@dataclass
class Survey:
    """What became of a subject's output: how often it was what it had been, and how often whole."""

    target: str
    killed: int = 0
    filled: int = 0
    as_before: int = 0
    whole: int = 0
    left: int = 0
    seconds: float = 0.0
    findings: list[str] = field(default_factory=list)

    def row(self) -> str:
        """Its row of the table."""
        return (f"| {self.target} | {self.killed} | {self.filled} | {self.as_before} | "
                f"{self.whole} | {self.left} | {self.seconds:.0f} s | {len(self.findings)} |")


HEAD = ("| output | kills | full disks | as before | whole | temporary folders left | time | "
        "findings |\n|---|---|---|---|---|---|---|---|")


def _command(*arguments: str) -> None:
    try:
        cli.main(arguments)
    except SystemExit as error:
        if error.code:
            raise OSError(f"exit code {error.code}") from error


def _networks() -> tuple[IntegerNetwork, IntegerNetwork, IntegerNetwork]:
    from common import random_network
    return (random_network((8, 6, 4), seed=1), random_network((8, 6, 4), seed=2),
            random_network((4, 4, 2), seed=1))


def _input(folder: Path) -> Path:
    return folder.parent / "network.safetensors"


def _filled(folder: Path, value: bytes) -> None:
    with tempfile.TemporaryDirectory() as source:
        for index in range(4):
            Path(source, f"file{index}").write_bytes(value * 5000)
        files.fill_folder(folder / "made", Path(source))


def subjects() -> list[Subject]:
    """Of each way to write something."""
    one, other, tiny = _networks()
    return [
        Subject("save_network", lambda folder: save_network(other, folder / "saved"), 60, 8,
                lambda folder: save_network(one, folder / "saved")),
        Subject("fill_folder, new", lambda folder: _filled(folder, b"new"), 40, 8),
        Subject("fill_folder, again", lambda folder: _filled(folder, b"new"), 40, 8,
                lambda folder: _filled(folder, b"old"), pieces=True),
        Subject("command verilog", lambda folder: _command(
            "verilog", str(_input(folder)), "--lanes", "2", "--output", str(folder / "a.v")), 10, 6,
            lambda folder: save_network(one, _input(folder))),
        Subject("command build", lambda folder: _command(
            "build", str(_input(folder)), "--lanes", "2", "--output", str(folder / "board")), 2, 0,
            lambda folder: save_network(tiny, _input(folder)))]


NAMES = ("save_network", "fill_folder, new", "fill_folder, again", "command verilog",
         "command build")


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
        old, new, seconds = _undisturbed(subject, folder)
        for _ in range(subject.kills):
            _again(subject, folder)
            # half of them near the end, where outputs appear
            delay = seconds * random.choice((random.random(), random.uniform(0.9, 1.1)))
            _in_child(lambda: subject.run(folder), delay)
            found.killed += 1
            _judge(found, subject, contents(folder), old, new, f"killed after {delay:.4f} s")
            found.left += len(list(folder.glob(".partial-*")))
        _in_child(lambda: subject.run(folder), None)    # beside what the last one left
        if contents(folder) != new:
            found.findings.append("running again does not mend it")
        for index in range(subject.fills):
            _again(subject, folder)
            _fill(found, subject, folder, old, new, index)
    found.seconds = monotonic() - begun
    return found


def _undisturbed(subject: Subject, folder: Path) -> tuple[Contents, Contents, float]:
    subject.before(folder)
    old, begun = contents(folder), monotonic()
    _in_child(lambda: subject.run(folder), None)
    return old, contents(folder), monotonic() - begun


def _again(subject: Subject, folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    subject.before(folder)


def _judge(found: Survey, subject: Subject, now: Contents, old: Contents, new: Contents,
           what: str) -> None:
    if now == new:
        found.whole += 1
    elif now == old or (subject.pieces and all(
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
            code = _in_child(lambda: subject.run(disk), None)
            now, want = contents(disk), subject_before
            partial = list(disk.glob(".partial-*"))
    else:
        code = _in_child(lambda: subject.run(folder), None, limit)
        now, want, partial = contents(folder), old, list(folder.glob(".partial-*"))
    found.filled += 1
    _judge(found, subject, now, want, new, f"room for {limit} bytes")
    if partial:
        found.findings.append(f"room for {limit} bytes: {partial[0].name} is left")
    if (code == 0) != (now == new):
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


def _in_child(run: Callable[[], object], delay: float | None, limit: int | None = None) -> int:
    """Run in a process that may be killed, with all of its own; its exit code."""
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
            run()
            code = 0
        except (OSError, ValueError):       # what commands document
            code = 2
        finally:
            os._exit(code)
    os.setpgid(pid, pid)        # whoever of the two comes first
    try:
        if delay is not None:
            sleep(delay)
            os.killpg(pid, signal.SIGKILL)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    except KeyboardInterrupt:
        os.killpg(pid, signal.SIGKILL)
        raise
