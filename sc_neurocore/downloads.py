"""Fetch MNIST and Fashion-MNIST for users who are online; nothing else here opens a connection."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from .extras import require


@dataclass(frozen=True)
class Download:
    """Where a data set is, and what its four files are.

    ``files``: SHA-256 of each file, decompressed, by its name. On the server they end in ``.gz``.
    """

    url: str
    files: Mapping[str, str]


DOWNLOADS = {
    "mnist": Download("https://ossci-datasets.s3.amazonaws.com/mnist/", {
        "train-images-idx3-ubyte":
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        "train-labels-idx1-ubyte":
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        "t10k-images-idx3-ubyte":
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        "t10k-labels-idx1-ubyte":
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"}),
    "fashion-mnist": Download("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/", {
        "train-images-idx3-ubyte":
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        "train-labels-idx1-ubyte":
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        "t10k-images-idx3-ubyte":
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        "t10k-labels-idx1-ubyte":
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"}),
}


class DownloadError(OSError):
    """A file could not be fetched, or is not the one that it should be."""


def download(name: str, folder: Path, url: str | None = None) -> Path:
    """Fetch the files of a data set that ``folder`` lacks; see `datasets.idx_folder`.

    Each file is checked before it gets its name: what is there is whole and right, and a download
    that was interrupted can be run again.

    Parameters
    ----------
    name : "mnist" or "fashion-mnist"
    folder : Path
        It is made if it does not exist.
    url : str, optional
        Of a mirror, ending in a slash.

    Returns
    -------
    Path
        ``folder``.

    Raises
    ------
    MissingExtraError
        If pooch is not installed.
    ValueError
        If there is no such data set.
    DownloadError
        If a file can't be fetched, or is another than it should be.
    """
    if name not in DOWNLOADS:
        raise ValueError(f"Data set must be one of {', '.join(DOWNLOADS)}, not {name!r}")
    pooch = require("pooch", "download")
    source = DOWNLOADS[name]
    folder.mkdir(parents=True, exist_ok=True)
    pooch.get_logger().setLevel("WARNING")
    with TemporaryDirectory(prefix=".partial-", dir=folder) as part:
        for file, digest in source.files.items():
            if not (folder / file).exists():
                fetched = _fetch(f"{url or source.url}{file}.gz", Path(part), file)
                found = pooch.file_hash(str(fetched))
                if found != digest:
                    raise DownloadError(f"{file} of {name} must have the SHA-256 {digest}, "
                                        f"not {found}")
                fetched.replace(folder / file)
    return folder


def _fetch(url: str, folder: Path, name: str) -> Path:
    pooch = require("pooch", "download")
    try:
        return Path(pooch.retrieve(url, known_hash=None, fname=f"{name}.gz", path=folder,
                                   processor=pooch.Decompress(name=name)))
    except (OSError, ValueError, EOFError) as error:
        raise DownloadError(f"{url} can't be fetched: {error}") from error
