"""NIR files are read as data, whatever is in them."""

import pickle

import h5py
import numpy as np
import pytest

from sc_neurocore.conversion.converted_snn import ConvertedSNN
from sc_neurocore.interchange import nir_files
from sc_neurocore.interchange.nir_export import save_nir
from sc_neurocore.interchange.nir_import import load_nir
from sc_neurocore.network_file import NetworkFileError

SNN = ConvertedSNN([np.arange(-3.0, 3.0).reshape(2, 3)], [np.array([0.5, 0.25])], [1.0], 8)


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "network.nir"
    save_nir(SNN, path)
    return path


def refusal(path, **given):
    """Message about the file, after its name."""
    with pytest.raises(NetworkFileError) as caught:
        load_nir(path, **given)
    prefix = f"{path}: "
    assert str(caught.value).startswith(prefix)
    return str(caught.value).removeprefix(prefix)


def damaged(path):
    """What is wrong with a file."""
    message = refusal(path)
    assert message.startswith("it is no NIR file, or damaged: ")
    return message.removeprefix("it is no NIR file, or damaged: ")


def test_a_missing_file_is_not_found(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_nir(tmp_path / "none")
    with pytest.raises(IsADirectoryError):
        load_nir(tmp_path)


@pytest.mark.parametrize("content", [b"", b"\0" * 100, b"\x89HDF\r\n\x1a\n", b"PK\3\4" + b"\0" * 60,
                                     b"module top;\n" * 20])
def test_foreign_files_are_refused(file, content):
    file.write_bytes(content)
    assert damaged(file)


def test_pickles_are_not_executed(file):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("executed",))

    file.write_bytes(pickle.dumps(Trap()))
    assert damaged(file)
    with h5py.File(file, "w") as other:
        other["node/type"] = np.void(pickle.dumps(Trap()))
    assert damaged(file) == "/node/type must hold numbers or text, not |V" + str(
        len(pickle.dumps(Trap())))


def test_truncated_files_are_refused_at_every_length(file):
    whole = file.read_bytes()
    for length in [*range(0, 100), *range(100, len(whole), 331), len(whole) - 1]:
        file.write_bytes(whole[:length])
        assert damaged(file)


def test_changed_bytes_are_refused_or_make_another_network(file):
    rng = np.random.default_rng(0)
    whole = file.read_bytes()
    used = np.flatnonzero(np.frombuffer(whole, np.uint8))
    refused = 0
    for _ in range(300):
        data = bytearray(whole)
        for place in rng.choice(used, rng.integers(1, 4)):
            data[place] = rng.integers(256)
        file.write_bytes(data)
        try:
            load_nir(file)
        except NetworkFileError:
            refused += 1
    assert refused > 100


def test_strings_without_an_end_are_refused(file):
    data = bytearray(file.read_bytes())
    heap = data.index(b"GCOL")
    data[heap + 16:heap + 32] = bytes(16)       # an object of no size, before all others
    file.write_bytes(data)
    assert damaged(file) == f"the heap at byte {heap} has an object of 0 bytes"


def test_other_files_are_not_opened(file, tmp_path):
    (tmp_path / "secret").write_bytes(b"secret" * 100)
    with h5py.File(tmp_path / "other.nir", "w") as other:
        other["weights"] = np.ones((2, 3))
    weights = "node/nodes/layer0_weights0/weight"
    whole = file.read_bytes()

    def changed(change):
        file.write_bytes(whole)
        with h5py.File(file, "r+") as opened:
            del opened[weights]
            change(opened)
        return damaged(file)

    link = f"/{weights} must be a member of it, not missing or a link"
    assert changed(lambda opened: opened.__setitem__(
        weights, h5py.ExternalLink(tmp_path / "other.nir", "weights"))) == link
    assert changed(lambda opened: opened.__setitem__(
        weights, h5py.SoftLink("/node/nodes/layer0/r"))) == link
    beside = f"/{weights} must be in this file, not in another"
    assert changed(lambda opened: opened.create_dataset(
        weights, (2, 3), "f8", external=[(str(tmp_path / "secret"), 0, 48)])) == beside
    layout = h5py.VirtualLayout((2, 3), "f8")
    layout[:] = h5py.VirtualSource(tmp_path / "other.nir", "weights", (2, 3))
    assert changed(lambda opened: opened.create_virtual_dataset(weights, layout)) == beside


@pytest.mark.parametrize(("dataset", "shape", "options"), [
    ("weight", (2**20, 2**20), {"chunks": (1, 1024), "compression": "gzip"}),
    ("weight", (2**28, 2), {}),
    ("weight", (1, 1), {"chunks": (2**14, 2**13), "maxshape": (None, None)}),
])
def test_small_files_of_many_bytes_are_refused(file, dataset, shape, options):
    with h5py.File(file, "r+") as opened:
        del opened["node/nodes/layer0_weights0/weight"]
        opened.create_dataset("node/nodes/layer0_weights0/weight", shape, "f8", **options)
    assert file.stat().st_size < 2**18
    assert damaged(file) == "it must take at most 1073741824 bytes in memory"


def test_strings_add_up_however_often_they_are_the_same(file, monkeypatch):
    monkeypatch.setattr(nir_files, "MAXIMUM_BYTES", 5_000)
    with h5py.File(file, "r+") as opened:
        del opened["node/edges"]
        opened["node/edges"] = [["input" + "_" * 1000, "layer0"]] * 5
    assert damaged(file) == "it must take at most 5000 bytes in memory"


def test_groups_within_themselves_are_refused(file):
    with h5py.File(file, "r+") as opened:
        opened["node/nodes/again"] = opened["node/nodes"]
    assert damaged(file)


def test_groups_that_multiply_are_refused(file):
    with h5py.File(file, "r+") as opened:
        group = opened["node"]
        for _ in range(20):
            inner = group.create_group("a")
            group["b"] = inner
            group = inner
    assert damaged(file) == "it must have at most 16384 members and strings"


@pytest.mark.parametrize(("place", "value", "message"), [
    ("T", 0, "T must be at least 1, not 0"),
    ("T", "8", "T must be an integer, not '8'"),
    ("T", [8, 8], "T must be an integer, not array([8, 8])"),
    ("dt", -1.0, "dt must be greater than 0 and finite, not -1.0"),
    ("reset", "zero", "reset must be 'subtract', as neurons that reset in another way can't be "
     "converted, not 'zero'"),
    ("initial_membrane_fraction", 2.0, "initial_membrane_fraction must be in [0, 1), not 2.0"),
    ("schedule", "eager", "schedule must be one of pipelined, layer_by_layer, not 'eager'"),
])
def test_metadata_that_lie_are_refused(file, place, value, message):
    with h5py.File(file, "r+") as opened:
        group = opened["node/metadata/sc_neurocore"]
        del group[place]
        group[place] = value
    assert refusal(file) == message


def test_metadata_of_others_are_left_alone(file):
    with h5py.File(file, "r+") as opened:
        opened["node/metadata/other"] = np.void(b"anything")
        opened["node/nodes/layer0/metadata/link"] = h5py.SoftLink("/nowhere")
    assert load_nir(file).T == 8


@pytest.mark.parametrize(("place", "value", "message"), [
    ("node/type", "IF", "a graph must be of the type NIRGraph and have nodes"),
    ("node/edges", 3, "a graph must be of the type NIRGraph and have edges"),
    ("node/edges", [["input"], ["output"]], "an edge must be between two nodes, not ['input']"),
    ("node/nodes", 3, "a graph must be of the type NIRGraph and have nodes"),
    ("node/nodes/layer0", 3, "node 'layer0' must have a type"),
    ("node/nodes/layer0/type", 3, "node 'layer0' must have a type"),
    ("node/nodes/layer0/type", "Any", "node 'layer0' (Any) is not known here: it can't be "
     "converted"),
    ("node/nodes/layer0/r", "1", "node 'layer0' (IF) must have numbers as its r"),
    ("node/nodes/layer0_weights0/weight", np.zeros((2, 0)),
     "node 'layer0_weights0' (Affine) must have numbers as its weight"),
    ("node/nodes/input/shape", 3, "node 'input' (Input) must have 1 to 3 numbers of at least 1 as "
     "its shape, not more than 16777216 values in all, not np.int64(3)"),
])
def test_graphs_that_lie_are_refused(file, place, value, message):
    with h5py.File(file, "r+") as opened:
        del opened[place]
        opened[place] = value
    assert refusal(file) == message


def test_groups_that_are_too_deep_are_refused(file):
    with h5py.File(file, "r+") as opened:
        opened["node/nodes/again"] = opened["node"]
    assert damaged(file) == "groups must be nested at most 32 deep"


def test_metadata_that_are_no_group_are_refused(file):
    with h5py.File(file, "r+") as opened:
        del opened["node/metadata"]
        opened["node/metadata"] = np.zeros(3)
    assert damaged(file) == "/node/metadata must be a group"


def test_an_endless_array_in_place_of_our_metadata_is_refused_at_once(file):
    with h5py.File(file, "r+") as opened:
        del opened["node/metadata/sc_neurocore"]
        opened["node/metadata"].create_dataset("sc_neurocore", (2**28, 2), "f8", chunks=True)
    assert damaged(file) == "/node/metadata/sc_neurocore must be a group"
