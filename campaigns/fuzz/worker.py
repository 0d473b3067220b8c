"""Reads mutants of one target, one after the other, and tells of each what became of it.

    python -m campaigns.fuzz.worker TARGET SEED FIRST

Runs until it is ended, in the current folder, which must be one of `surroundings`. It writes to
stdout the seconds that an input may take; then, of each, its number before it and JSON after it.
"""

import json
import os
import resource
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from random import Random
from time import perf_counter
from typing import Any

from . import surroundings
from .audit import changed
from .makers import MAKERS
from .mutate import damaged
from .target import Target

MEMORY_BYTES = 2**31
"""Address space beyond that of the process with all of its libraries loaded."""
LONGEST_MESSAGE = 1000
"""Characters. Paths and names in it may be long."""

_EXECUTION = ("exec", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system",
              "subprocess.Popen", "pickle.find_class", "socket.__new__", "ctypes.dlopen",
              "ctypes.dlsym")


class Guard:
    """Notices what an input must not bring about."""

    def __init__(self, folder: Path, is_codegen: bool = False, starts: str = "") -> None:
        self._readable = (f"{folder}/", *{sysconfig.get_path(name) for name in
                                         ("stdlib", "platstdlib", "purelib", "platlib")},
                          str(Path(__file__).parents[2]), f"{sys.base_prefix}/", "/proc/", "/sys/",
                          "/dev/")
        self._writable = (f"{folder}/", "/dev/null", "/dev/pts/", "/dev/ptmx")
        self._is_codegen, self._starts = is_codegen, starts
        self._watching = False
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch the block."""
        self.seen.clear()
        self._watching = True
        try:
            yield
        finally:
            self._watching = False

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if not self._watching:
            return
        outside = [path for path in changed(event, arguments)
                   if not f"{path}/".startswith(self._writable)]
        if outside:
            self.seen.append(f"{'writes' if event == 'open' else event} {outside[0]}")
        elif event == "open":
            path = arguments[0]
            if isinstance(path, str | bytes | os.PathLike) and not (
                    f"{os.path.abspath(os.fsdecode(path))}/".startswith(self._readable)):
                self.seen.append(f"reads {os.fsdecode(path)}")
        elif event in _EXECUTION and not self._is_allowed(event, arguments):
            self.seen.append(f"{event} {str(arguments)[:200]}")

    def _is_allowed(self, event: str, arguments: tuple[Any, ...]) -> bool:
        """Whether it is a module's code, what torch.fx or dataclasses write, or what is started."""
        if event == "subprocess.Popen":
            return bool(self._starts) and arguments[1][:3] == [sys.executable, "-m", self._starts]
        name = getattr(arguments[0], "co_filename", "<string>")
        return event == "exec" and (Path(name).is_file() or (
            self._is_codegen and name.startswith("<eval_with_key>")))


def judged(error: BaseException, path: Path, target: Target) -> str:
    """What is wrong with an error; empty if it is a documented one, of one line, with the file."""
    text = str(error)
    if not isinstance(error, target.errors):
        return f"{type(error).__name__}: {text[:LONGEST_MESSAGE]}"
    if target.names_file and path.name not in text and str(path.parent) not in text:
        return f"no file is named: {text[:LONGEST_MESSAGE]}"
    if not text.isprintable():
        return f"it is not one line of text: {text[:LONGEST_MESSAGE]!r}"
    if len(text) > LONGEST_MESSAGE:
        return f"it has {len(text)} characters: {text[:100]}"
    return ""


def mutant(target: Target, seed: int, number: int) -> bytes:
    """Input of a number: always the same for a seed."""
    random = Random(f"{seed}/{target.name}/{number}")
    if number < len(target.seeds):
        return target.seeds[number]
    data = random.choice(target.seeds)
    if target.reshape is not None and random.random() < 0.6:
        try:
            data = target.reshape(random, data)
        except Exception:       # of a seed that has no such structure
            data = damaged(random, data, target.seeds)
        if random.random() < 0.8:
            return data
    return random.randbytes(random.randrange(300)) if random.random() < 0.02 else damaged(
        random, data, target.seeds)


def attack(target: Target, guard: Guard, data: bytes, folder: Path) -> dict[str, Any]:
    """Read an input, and tell what became of it."""
    path = folder / target.file
    path.write_bytes(data)
    before, begun = surroundings.listing(folder.parent), perf_counter()
    finding, outcome = "", "accepted"
    with guard.watching():
        try:
            target.load(path)
        except BaseException as error:      # nothing may get past this
            outcome, finding = type(error).__name__, judged(error, path, target)
    seconds = perf_counter() - begun
    changes = surroundings.differences(before, surroundings.listing(folder.parent))
    faults = [*([finding] if finding else []), *guard.seen, *changes]
    for canary in folder.parent.rglob(surroundings.CANARY) if changes else ():
        surroundings.write_canary(canary)
    return {"outcome": outcome, "seconds": seconds, "findings": faults,
            "peak": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}


def main(name: str, seed: int, first: int) -> None:
    """Work until the end of the process."""
    results = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)       # whatever libraries print must not get in between
    target = MAKERS[name]()
    folder = Path.cwd()
    for file, content in target.beside.items():
        (folder / file).write_bytes(content)
    path = folder / target.file
    path.write_bytes(target.seeds[0])
    with suppress(*target.errors if target.refuses_seeds else ()):
        target.load(path)       # imports what is imported late
    if not target.starts:
        size = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (size + MEMORY_BYTES,) * 2)
    guard = Guard(folder, target.is_codegen, target.starts)
    results.write(f"{target.limit_s}\n")
    for number in count(first):
        data = mutant(target, seed, number)
        results.write(f"{number}\n")
        results.write(json.dumps(attack(target, guard, data, folder)) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
