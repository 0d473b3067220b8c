"""Downloads from a server on this machine: whole and right files, or one error and none."""

import gzip
import hashlib
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from sc_neurocore import downloads
from sc_neurocore.downloads import Download, DownloadError, download

FILES = {"train-images-idx3-ubyte": b"some images", "t10k-labels-idx1-ubyte": b"some labels"}


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        self.server.requested.append(self.path)


@pytest.fixture
def server(tmp_path, monkeypatch):
    folder = tmp_path / "served"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / f"{name}.gz").write_bytes(gzip.compress(content))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=folder)) as running:
        running.folder, running.requested = folder, []
        url = f"http://127.0.0.1:{running.server_address[1]}/"
        digests = {name: hashlib.sha256(content).hexdigest() for name, content in FILES.items()}
        monkeypatch.setitem(downloads.DOWNLOADS, "some", Download(url, digests))
        thread = Thread(target=running.serve_forever)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def test_files_come_decompressed_and_only_once(server, tmp_path):
    folder = tmp_path / "new" / "data"
    for _ in range(2):
        assert download("some", folder) == folder
        assert {path.name: path.read_bytes() for path in folder.iterdir()} == FILES
    assert len(server.requested) == len(FILES)


@pytest.mark.parametrize(("served", "message"), [
    (gzip.compress(b"other images"), "train-images-idx3-ubyte of some must have the SHA-256"),
    (b"no archive", "can't be fetched: Not a gzipped file"),
    (gzip.compress(b"some images")[:-9], "can't be fetched: "),
    (None, "can't be fetched: 404"),
], ids=["other", "no archive", "cut", "missing"])
def test_what_is_wrong_is_refused_and_not_left_behind(server, tmp_path, served, message):
    path = server.folder / "train-images-idx3-ubyte.gz"
    path.unlink()
    if served is not None:
        path.write_bytes(served)
    with pytest.raises(DownloadError, match=message):
        download("some", tmp_path / "data")
    assert list((tmp_path / "data").iterdir()) == []


def test_the_known_files_are_those_of_mnist_like_folders():
    with pytest.raises(ValueError, match="Data set must be one of mnist, fashion-mnist, not 'x'"):
        download("x", None)
    for known in (downloads.DOWNLOADS["mnist"], downloads.DOWNLOADS["fashion-mnist"]):
        assert sorted(known.files) == [
            f"{half}-{kind}-ubyte" for half in ("t10k", "train")
            for kind in ("images-idx3", "labels-idx1")]
        assert all(len(digest) == 64 for digest in known.files.values())
