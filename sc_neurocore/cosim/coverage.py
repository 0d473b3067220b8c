"""Verilator's coverage of simulations, when somebody wants it: `campaigns.coverage` does."""

import os
import tempfile
from pathlib import Path

folder: Path | None = None
"""Where the counts of each simulation go, beside the Verilog that it ran; None: none are kept."""

_SUFFIX = "-covered"


def options(text: str, *, lint: bool) -> list[str]:
    """Verilator's options for a design, if it says what lines it comes from.

    Netlists may do so, but are another's work; they are not linted either.
    """
    wanted = folder is not None and lint and "(* src = " in text
    return ["--coverage-line", "--coverage-toggle"] if wanted else []


def name(key: str, options: list[str]) -> str:
    """Name of the folder of a compiled design, which says whether it counts."""
    return key + _SUFFIX if options else key


def arguments(compiled: Path, top: str) -> list[str]:
    """Arguments of a run of what was compiled to a folder: a file of its own for its counts."""
    if folder is None or not compiled.name.endswith(_SUFFIX):
        return []
    key = compiled.name.removesuffix(_SUFFIX)
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / f"{key}.v").exists():
        # Copied and then renamed: other processes may be about to do the same.
        with tempfile.NamedTemporaryFile(dir=folder, delete=False) as copy:
            copy.write((compiled / f"{top}.v").read_bytes())
        Path(copy.name).rename(folder / f"{key}.v")
    handle, counts = tempfile.mkstemp(dir=folder, prefix=f"{key}-", suffix=".dat")
    os.close(handle)
    return [f"+verilator+coverage+file+{counts}"]
