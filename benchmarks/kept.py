"""Results that are kept in files, under the hash of all that they come from."""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import sc_neurocore

PACKAGE = Path(sc_neurocore.__file__).parent


def digest(*parts: Any) -> str:
    """Hash of bytes, of arrays, and of what JSON can write."""
    total = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            part = np.ascontiguousarray(part).tobytes()
        elif not isinstance(part, bytes):
            part = json.dumps(part, sort_keys=True).encode()
        total.update(hashlib.sha256(part).digest())
    return total.hexdigest()[:16]


def sources(*names: str) -> str:
    """Hash of modules and folders of the package, by their paths within it."""
    files: list[Path] = []
    for name in names:
        path = PACKAGE / name
        files += sorted(path.rglob("*.py")) if path.is_dir() else [path]
    return digest(*(path.read_bytes() for path in files))


def versions(names: Iterable[str]) -> dict[str, str]:
    """Versions of packages from PyPI."""
    return {name: version(name) for name in names}


@dataclass(frozen=True)
class Store:
    """A folder of results.

    Parameters
    ----------
    folder : Path
    fresh : bool
        Make each result again, once in this run.
    """

    folder: Path
    fresh: bool = False
    _made: set[Path] = field(default_factory=set, compare=False)

    def file(self, name: str, make: Callable[[Path], None]) -> Path:
        """Path of a file, which ``make`` writes if it is not there; its name has the hash in it."""
        path = self.folder / name
        if not path.exists() or (self.fresh and path not in self._made):
            print(f"Making {path}", file=sys.stderr, flush=True)
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = path.with_name(f"unfinished-{os.getpid()}-{path.name}")
            make(unfinished)
            unfinished.rename(path)
        self._made.add(path)
        return path

    def result(self, title: str, key: str, make: Callable[[], Any]) -> Any:
        """What ``make`` returned, this time or an earlier one; JSON can write it."""
        path = self.file(f"{title}-{key}.json", lambda new: _write(new, make()))
        return json.loads(path.read_text())


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1) + "\n")
