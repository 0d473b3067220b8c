"""What is around the folder of an input, watched from outside: native code tells Python nothing.

::

    folder/         "/" and its files are listed by name as well
        canary      as in each of the following
        home/       $HOME
        inputs/     the current folder, which has the input
        temporary/  $TMPDIR

Times of access show that a canary is read, where the file system keeps them.
"""

import os
from collections.abc import Iterator
from pathlib import Path

INPUTS, HOME, TEMPORARY = "inputs", "home", "temporary"
CANARY = "canary"
_CACHE = "wasmtime"
"""Where machines of WebAssembly keep what they compile."""
_UNREAD_NS = 0

Listing = dict[str, tuple[int, int, int]]
"""Sizes, and times of modification and access, in ns; those of access of canaries alone."""


def make(folder: Path) -> dict[str, str]:
    """Make the folders and canaries; returns the environment of a process in there."""
    for name in ("", INPUTS, HOME, TEMPORARY):
        (folder / name).mkdir(exist_ok=True)
        if name != INPUTS:
            write_canary(folder / name / CANARY)
    return {"HOME": str(folder / HOME), "TMPDIR": str(folder / TEMPORARY)}


def write_canary(path: Path) -> None:
    """Write a file that nothing must change or read."""
    path.write_bytes(bytes(range(256)) * 16)
    os.utime(path, ns=(_UNREAD_NS, path.stat().st_mtime_ns))


def listing(folder: Path) -> Listing:
    """All that is there now, and what is in the root."""
    return dict(_states(str(folder))) | {f"/{name}": (0, 0, 0) for name in os.listdir("/")}


def _states(folder: str) -> Iterator[tuple[str, tuple[int, int, int]]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name == _CACHE:
                continue
            if entry.is_dir(follow_symlinks=False):
                yield entry.path, (0, 0, 0)
                yield from _states(entry.path)
            else:
                state = entry.stat(follow_symlinks=False)
                yield entry.path, (state.st_size, state.st_mtime_ns,
                                   state.st_atime_ns if entry.name == CANARY else 0)


def differences(before: Listing, after: Listing) -> list[str]:
    """What was done between two listings; empty if nothing was."""
    return [f"{_what(before.get(path), after.get(path))} {path}, seen from outside"
            for path in sorted({*before, *after}) if before.get(path) != after.get(path)]


def _what(old: tuple[int, int, int] | None, new: tuple[int, int, int] | None) -> str:
    if old is None or new is None:
        return "makes" if old is None else "removes"
    return "reads" if old[:2] == new[:2] else "changes"
