"""Writes dev.lock: what pyproject's extra ``dev`` is installed as, with hashes of every file.

    python requirements/lock.py [--oldest]

It takes uv (``pip install uv``) and PyPI. PyTorch is left out, and what its CUDA builds bring:
which build is right depends on the machine, and pyproject pins its version. With ``--oldest`` it
writes ``oldest.txt``: the oldest versions that pyproject allows.
"""

import re
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent
LEFT_OUT = re.compile(r"(torch|triton|nvidia-[\w-]+|cuda-[\w-]+)==")
COMPILE = ["uv", "pip", "compile", "pyproject.toml", "requirements/build.in", "--extra", "dev",
           "--quiet", "--no-annotate", "--no-header"]
"""Of Python 3.11 and above, on any system."""


def compiled(*options: str) -> str:
    """What uv resolves pyproject to."""
    return subprocess.run([*COMPILE, *options], cwd=ROOT, check=True, text=True,
                          stdout=subprocess.PIPE).stdout


def entries(text: str) -> list[str]:
    """A requirement each, with the hashes in the lines below it."""
    return re.findall(r"^\S.*\n(?: .*\n)*", text, re.MULTILINE)


def main(options: list[str]) -> None:
    """Write one of the two files."""
    if options == ["--oldest"]:
        text = compiled("--resolution", "lowest-direct", "--python-version", "3.11")
        (HERE / "oldest.txt").write_text(
            "# Written by requirements/lock.py --oldest.\n" + text)
    elif not options:
        text = compiled("--universal", "--python-version", "3.11", "--generate-hashes", "--upgrade")
        kept = [entry for entry in entries(text) if not LEFT_OUT.match(entry)]
        (HERE / "dev.lock").write_text("# Written by requirements/lock.py.\n" + "".join(kept))
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
