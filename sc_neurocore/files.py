"""Output files that are there as a whole, or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the block a path to write to; what it wrote becomes ``path`` when it ends.

    If the block raises, ``path`` is what it was before. The path given has the name of ``path``, in
    a temporary folder beside it, so that renaming is all that is left to be done. A device or a
    pipe is written to instead of replaced.

    Raises
    ------
    OSError
        If the folder of ``path`` does not exist or can't be written to, before the block begins.
    """
    if path.is_dir():
        raise IsADirectoryError(f"Output file {path} is a folder")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"Folder {path.parent} of the output file does not exist")
    special = path.exists() and not path.is_file()
    target = path if special else path.resolve()
    if not special and not os.access(target.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"Folder {path.parent} of the output file can't be written to")
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=None if special else target.parent,
                                     ignore_cleanup_errors=True) as folder:
        part = Path(folder) / target.name
        yield part
        if special:
            with part.open("rb") as source, path.open("wb") as sink:
                shutil.copyfileobj(source, sink)
        else:
            _sync(part)
            part.replace(target)


def _sync(path: Path) -> None:
    """Have a file's contents on disk: its new name must not outlive a power cut alone."""
    with path.open("rb") as written:
        os.fsync(written.fileno())


def write_text(path: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def check_folder(path: Path) -> None:
    """Raise OSError unless `fill_folder` can make or fill this folder."""
    if path.exists() and not path.is_dir():
        raise NotADirectoryError(f"Output folder {path} is a file")
    existing = path if path.exists() else path.resolve().parent
    if not existing.is_dir():
        raise FileNotFoundError(f"Folder {path.parent} of the output folder does not exist")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(f"Folder {existing} can't be written to")


def fill_folder(path: Path, source: Path) -> None:
    """Copy the files of a folder to another, which appears with all of them.

    If ``path`` is there, its files of other names stay; those of the same names are replaced, each
    as a whole.

    Raises
    ------
    OSError
        If ``path`` can't be made or filled.
    """
    check_folder(path)
    target = path.resolve()
    with tempfile.TemporaryDirectory(prefix=".partial-", dir=target.parent) as folder:
        part = Path(folder) / target.name
        part.mkdir()
        for file in source.iterdir():
            shutil.copyfile(file, part / file.name)
            _sync(part / file.name)
        if not target.exists():
            part.rename(target)
            return
        for file in sorted(part.iterdir()):
            file.replace(target / file.name)
