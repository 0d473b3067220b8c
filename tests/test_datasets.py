"""Images come in as they are in their files, or are refused with the file and the fault."""

import gzip
import struct
import zipfile

import numpy as np
import pytest

from sc_neurocore import datasets
from sc_neurocore.datasets import digits, idx_folder, load_images

IMAGES = np.arange(5 * 2 * 3, dtype=np.uint8).reshape(5, 2, 3) * 8
LABELS = np.array([3, 1, 4, 1, 5], dtype=np.uint8)


def idx(array):
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


@pytest.fixture
def folder(tmp_path):
    for prefix, count in (("train", 5), ("t10k", 2)):
        (tmp_path / f"{prefix}-images-idx3-ubyte").write_bytes(idx(IMAGES[:count]))
        (tmp_path / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(LABELS[:count]))
    return tmp_path


def test_digits_hold_back_a_quarter_of_each_class():
    data = digits()
    assert data.train_images.shape == (1347, 64)
    assert data.test_images.shape == (450, 64)
    assert data.train_images.dtype == np.float64
    assert (data.train_images.min(), data.train_images.max()) == (0, 1)
    counts = np.bincount(data.test_labels)
    assert counts.min() >= 43
    assert counts.max() <= 46


def test_digits_are_split_by_the_seed():
    assert np.array_equal(digits(seed=3).test_images, digits(seed=3).test_images)
    assert not np.array_equal(digits(seed=3).test_labels, digits(seed=4).test_labels)


def test_idx_folder(folder):
    data = idx_folder(folder)
    assert np.array_equal(data.train_images, IMAGES.reshape(5, 6) / 255)
    assert np.array_equal(data.train_labels, LABELS)
    assert np.array_equal(data.test_images, IMAGES[:2].reshape(2, 6) / 255)
    assert data.test_labels.tolist() == [3, 1]


def test_compressed_idx_files_are_the_same(folder):
    plain = idx_folder(folder)
    for path in list(folder.iterdir()):
        path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()
    compressed = idx_folder(folder)
    assert np.array_equal(plain.train_images, compressed.train_images)
    assert np.array_equal(plain.test_labels, compressed.test_labels)


HEADER = idx(IMAGES)[:16]


@pytest.mark.parametrize(("content", "message"), [
    (b"", "truncated: 0 bytes where 4 are due"),
    (idx(IMAGES)[:-1], "truncated: 29 bytes where 30 are due"),
    (idx(IMAGES)[:10], "truncated: 6 bytes where 12 are due"),
    (idx(IMAGES) + b"x", "longer than its header says, 30 values"),
    (idx(LABELS), "magic number must be 0x00000803.* not 0x00000801"),
    (gzip.compress(idx(IMAGES), mtime=0), "magic number must be 0x00000803"),
    (idx(IMAGES.astype(np.uint8)[:0]), r"values must be in range\(1, .* shape is \(0, 2, 3\)"),
    (HEADER[:4] + b"\xff" * 12, r"values must be in range\(1, "),
    (HEADER[:4] + struct.pack(">3I", 2**10, 2**10, 2**10) + b"x", "truncated: 1 bytes where"),
    (idx(IMAGES[:4]), "train must have one label for each image, not 5 for 4"),
])
def test_wrong_idx_file_is_refused(folder, content, message):
    (folder / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(ValueError, match=message) as caught:
        idx_folder(folder)
    assert str(folder) in str(caught.value)


@pytest.mark.parametrize("damage", [
    lambda data: data[:-9], lambda data: data[:20] + bytes([data[20] ^ 0xff]) + data[21:],
    lambda data: idx(LABELS)])
def test_damaged_compressed_file_is_refused(folder, damage):
    path = folder / "train-labels-idx1-ubyte"
    path.unlink()
    path.with_name(f"{path.name}.gz").write_bytes(damage(gzip.compress(idx(LABELS))))
    with pytest.raises(ValueError, match=r"train-labels-idx1-ubyte\.gz: "):
        idx_folder(folder)


def test_missing_idx_file_is_named(folder):
    (folder / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(FileNotFoundError, match="has no file t10k-labels-idx1-ubyte, nor"):
        idx_folder(folder)


def test_source_is_digits_a_folder_or_a_file(folder):
    assert len(load_images("digits").images) == 450
    assert len(load_images("digits", train=True).images) == 1347
    assert np.array_equal(load_images("digits", limit=3).labels, digits().test_labels[:3])
    assert np.array_equal(load_images(str(folder)).labels, LABELS[:2])
    assert np.array_equal(load_images(str(folder), train=True, limit=4).labels, LABELS[:4])
    with pytest.raises(ValueError, match=r"Data must be digits, .* not 'nowhere'"):
        load_images("nowhere")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.npz"):
        load_images("nowhere.npz")


def test_numpy_files(tmp_path):
    images = np.linspace(0, 1, 12).reshape(2, 2, 3)
    np.save(tmp_path / "a.npy", images)
    loaded = load_images(str(tmp_path / "a.npy"))
    assert loaded.labels is None
    assert np.array_equal(loaded.images, images.reshape(2, 6))
    np.savez(tmp_path / "a.npz", images=images, labels=[7, 8])
    loaded = load_images(str(tmp_path / "a.npz"), limit=1)
    assert loaded.images.shape == (1, 6)
    assert loaded.labels.tolist() == [7]


def test_spikes_keep_their_timesteps(tmp_path):
    spikes = np.random.default_rng(0).random((5, 4, 3)) < 0.5
    path = str(tmp_path / "a.npz")
    np.savez(path, images=spikes.astype(np.float32), labels=np.arange(5))
    loaded = load_images(path, limit=2, spikes=True)
    assert loaded.images.dtype == bool
    assert np.array_equal(loaded.images, spikes[:2])
    assert loaded.labels.tolist() == [0, 1]


@pytest.mark.parametrize(("images", "message"), [
    (np.zeros((2, 3)), r"must have shape \(n, timesteps, n_input\), all at least 1, not \(2, 3\)"),
    (np.array([[[0, 1], [2, 0]]]), "must be 0 or 1, but image 0, timestep 1, input 0 is 2"),
    (np.full((1, 1, 1), np.nan), "must be 0 or 1, but .* is nan"),
    (np.array([[["a"]]]), "must be numbers"),
])
def test_what_are_no_spikes_is_refused(tmp_path, images, message):
    path = tmp_path / "a.npy"
    np.save(path, images)
    with pytest.raises(ValueError, match=rf"a\.npy: spikes {message}"):
        load_images(str(path), spikes=True)


def test_spikes_come_from_a_file():
    with pytest.raises(ValueError, match=r"must be an \.npz or \.npy file of spikes, .* 'digits'"):
        load_images("digits", spikes=True)


@pytest.mark.parametrize(("arrays", "message"), [
    ({"pictures": np.zeros((2, 3))}, "must have an array called images"),
    ({"images": np.full((2, 3), 1.5)}, r"must be in \[0, 1\], but image 0, input 0 is 1.5"),
    ({"images": np.array([[0, 1], [0, np.nan]])}, "image 1, input 1 is nan"),
    ({"images": np.zeros(3)}, r"must have shape \(n, n_input\), both at least 1, not \(3,\)"),
    ({"images": np.zeros((0, 3))}, r"not \(0, 3\)"),
    ({"images": np.array([["a"]])}, "must be real numbers"),
    ({"images": np.array([[None]])}, "Object arrays cannot be loaded"),
    ({"images": np.zeros((2, 3)), "labels": [1.0, 2.0]}, "labels must be integers"),
    ({"images": np.zeros((2, 3)), "labels": [1]}, r"labels must have shape \(2,\)"),
])
def test_wrong_arrays_are_refused(tmp_path, arrays, message):
    path = tmp_path / "a.npz"
    np.savez(path, **arrays)
    with pytest.raises(ValueError, match=message) as caught:
        load_images(str(path))
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
@pytest.mark.parametrize("content", [b"", b"\x93NUMPY", b"PK\x03\x04", b"junk"])
def test_damaged_numpy_files_are_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=name):
        load_images(str(tmp_path / name))


def test_header_that_promises_too_much_is_refused(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, np.zeros((2, 3)))
    honest, promised = b"(2, 3), }" + b" " * 12, b"(2000000000000, 300), }"
    assert honest in path.read_bytes()
    path.write_bytes(path.read_bytes().replace(honest, promised))
    with pytest.raises(ValueError, match=r"a\.npy"):
        load_images(str(path))


@pytest.mark.parametrize("literal", ["{'descr': '<f8', 'a", "('" * 200, "[(\n", "{'descr': '<f8"])
def test_headers_that_are_no_python_are_refused(tmp_path, literal):
    text = literal.encode() + b"\n"
    path = tmp_path / "images.npy"
    path.write_bytes(b"\x93NUMPY\1\0" + struct.pack("<H", len(text)) + text)
    with pytest.raises(ValueError, match=f"^{path}: ") as caught:
        load_images(str(path))
    assert "\n" not in str(caught.value)


def test_members_that_are_no_arrays_are_refused(tmp_path):
    path = tmp_path / "images.npz"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("images", b"text")
    with pytest.raises(ValueError, match=rf"^{path}: images and labels must be arrays"):
        load_images(str(path))


def test_files_of_many_zeros_are_refused_before_they_are_read(tmp_path, monkeypatch):
    monkeypatch.setattr(datasets, "MAXIMUM_BYTES", 2**20)
    path = tmp_path / "images.npz"
    np.savez_compressed(path, images=np.zeros((2, 2**18)))
    assert path.stat().st_size < 2**14
    with pytest.raises(ValueError, match=f"^{path}: arrays must take at most 1048576 bytes"):
        load_images(str(path))
