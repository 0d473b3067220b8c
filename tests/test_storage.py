"""Network files come back as they went, or are refused with the file and the fault."""

import json
import pickle
import struct
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from sc_neurocore.conversion.converted_snn import ConvertedSNN
from sc_neurocore.network import IntegerLayer, IntegerNetwork
from sc_neurocore.storage import (
    NetworkFileError,
    load_network,
    load_snn,
    save_network,
    save_snn,
)


def example_network(weight_widths=(8, 12), membrane_width=14):
    random = np.random.default_rng(0)
    layers = []
    for index, (n_input, n_output) in enumerate(pairwise((7, 5, 3))):
        half = 2 ** (weight_widths[index] - 1)
        weights = random.integers(-half, half, (n_output, n_input))
        weights[0, :2] = -half, half - 1
        layers.append(IntegerLayer(weights, random.integers(-(2**31) + 1, 2**31, n_output),
                                   np.full(n_output, 2**31 - 1 - index), np.full(n_output, 77),
                                   weight_widths[index], None if index else membrane_width))
    return IntegerNetwork(tuple(layers), 25, 6, seed=2**32 - 1)


def example_snn():
    random = np.random.default_rng(0)
    return ConvertedSNN([random.normal(size=(5, 7)), random.normal(size=(3, 5))],
                        [None, random.normal(size=3)], [random.random(5) + 0.1, 1 / 3], 25, 0.1)


def assert_same_network(one, other):
    for name in ("timesteps", "intensity_width", "encoder", "seed", "schedule"):
        assert getattr(one, name) == getattr(other, name)
    for mine, theirs in zip(one.layers, other.layers, strict=True):
        assert mine.weight_width == theirs.weight_width
        assert mine.membrane_width == theirs.membrane_width
        for name in ("weights", "biases", "thresholds", "initial_membranes"):
            assert np.array_equal(getattr(mine, name), getattr(theirs, name))


def parts(data):
    """Header as a dictionary and data of a safetensors file."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8:8 + length]), data[8 + length:]


def joined(header, data):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "network.safetensors"
    save_network(example_network(), path)
    return path


def change(path, **values):
    """Rewrite values of the header's parameters; None removes one."""
    header, data = parts(path.read_bytes())
    parameters = json.loads(header["__metadata__"]["sc_neurocore"]) | values
    parameters = {key: value for key, value in parameters.items() if value is not None}
    header["__metadata__"]["sc_neurocore"] = json.dumps(parameters)
    path.write_bytes(joined(header, data))


def refusal(path, load=load_network):
    """Message about the file, after its name."""
    with pytest.raises(NetworkFileError) as caught:
        load(path)
    prefix = f"{path}: "
    assert str(caught.value).startswith(prefix)
    return str(caught.value).removeprefix(prefix)


# What is written

@pytest.mark.parametrize("weight_widths", [(2, 8), (8, 9), (16, 16)])
@pytest.mark.parametrize("membrane_width", [None, 14])
def test_networks_come_back_as_they_went(tmp_path, weight_widths, membrane_width):
    network = example_network(weight_widths, membrane_width)
    save_network(network, tmp_path / "a")
    assert_same_network(load_network(tmp_path / "a"), network)


def test_float_networks_come_back_bit_by_bit(tmp_path):
    snn = example_snn()
    save_snn(snn, str(tmp_path / "a"))
    loaded = load_snn(str(tmp_path / "a"))
    assert (loaded.T, loaded.initial_membrane_fraction) == (25, 0.1)
    assert loaded.biases[0] is None
    assert loaded.thresholds[1] == 1 / 3
    for mine, theirs in ((snn.weights[0], loaded.weights[0]), (snn.biases[1], loaded.biases[1]),
                         (snn.weights[1], loaded.weights[1]),
                         (snn.thresholds[0], loaded.thresholds[0])):
        assert mine.tobytes() == theirs.tobytes()


def test_equal_networks_make_equal_bytes_in_every_process(tmp_path, file):
    script = ("import sys, test_storage as t; t.save_network(t.example_network(), sys.argv[1]);"
              "t.save_snn(t.example_snn(), sys.argv[2])")
    subprocess.run([sys.executable, "-c", script, tmp_path / "b", tmp_path / "c"], check=True,
                   env={"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": "77"})
    save_snn(example_snn(), tmp_path / "d")
    assert (tmp_path / "b").read_bytes() == file.read_bytes()
    assert (tmp_path / "c").read_bytes() == (tmp_path / "d").read_bytes()


def test_the_header_is_the_documented_one(file):
    header, data = parts(file.read_bytes())
    assert header["__metadata__"] == {"sc_neurocore": json.dumps({
        "encoder": "lfsr", "format": "sc_neurocore.integer_network", "intensity_width": 6,
        "membrane_widths": [14, None], "schedule": "pipelined", "seed": 2**32 - 1,
        "timesteps": 25, "version": "1", "weight_widths": [8, 12]})}
    arrays = {name: (entry["dtype"], entry["shape"]) for name, entry in header.items()
              if name != "__metadata__"}
    assert arrays == {
        "layer0.weights": ("I8", [5, 7]), "layer1.weights": ("I16", [3, 5]),
        **{f"layer{index}.{name}": ("I32", [size]) for index, size in enumerate((5, 3))
           for name in ("biases", "thresholds", "initial_membranes")}}
    assert len(data) == 35 + 2 * 15 + 3 * 4 * (5 + 3)


def test_saving_replaces_the_file_and_leaves_nothing_beside_it(tmp_path, file):
    save_network(example_network((4, 4)), file)
    assert load_network(file).layers[0].weight_width == 4
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_failed_save_leaves_the_old_file_and_no_other(tmp_path, file, monkeypatch):
    before = file.read_bytes()

    def fail(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        save_network(example_network((4, 4)), file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_files_are_as_readable_as_others(tmp_path, file):
    (tmp_path / "other").write_bytes(b"")
    assert file.stat().st_mode == (tmp_path / "other").stat().st_mode


# What is refused

def test_a_missing_file_is_not_found(tmp_path):
    for load in (load_network, load_snn):
        with pytest.raises(FileNotFoundError):
            load(tmp_path / "none")


@pytest.mark.parametrize("load", [load_network, load_snn])
def test_truncated_files_are_refused_at_every_length(file, load):
    if load is load_snn:
        save_snn(example_snn(), file)
    whole = file.read_bytes()
    for length in [*range(0, 40), *range(40, len(whole), 13), len(whole) - 1]:
        file.write_bytes(whole[:length])
        assert refusal(file, load)


def test_trailing_bytes_are_refused(file):
    file.write_bytes(file.read_bytes() + b"\0")
    assert refusal(file)


@pytest.mark.parametrize("content", [
    b"", b"\0" * 8, b"\0" * 100, b"\xff" * 100, b"PK\x03\x04" + b"\0" * 60, b"module top;\n" * 20,
    pickle.dumps({"layers": list(range(100))}), joined({}, b""), joined([], b""), joined(None, b""),
    joined({"__metadata__": {}}, b""), joined({"__metadata__": {"sc_neurocore": "{"}}, b""),
    joined({"__metadata__": {"sc_neurocore": "[]"}}, b""),
    joined({"__metadata__": {"sc_neurocore": "[" * 100_000}}, b""),
    joined({"__metadata__": {"sc_neurocore": "1" * 5_000}}, b""),
    joined({"__metadata__": {"format": "pt"}}, b"")])
def test_foreign_files_are_refused(file, content):
    file.write_bytes(content)
    assert refusal(file, load_network)
    assert refusal(file, load_snn)


def test_pickles_are_not_executed(file):
    class Trap:
        def __reduce__(self):
            return (pytest.fail, ("executed",))

    file.write_bytes(pickle.dumps(Trap()))
    assert refusal(file)


def test_one_kind_of_network_is_not_the_other(file, tmp_path):
    assert refusal(file, load_snn) == ("format must be 'sc_neurocore.converted_snn', "
                                       "not 'sc_neurocore.integer_network'")
    save_snn(example_snn(), tmp_path / "snn")
    assert refusal(tmp_path / "snn") == ("format must be 'sc_neurocore.integer_network', "
                                         "not 'sc_neurocore.converted_snn'")


@pytest.mark.parametrize(("values", "message"), [
    ({"version": "2"}, "version must be '1', not '2'"),
    ({"version": 1}, "version must be '1', not 1"),
    ({"seed": None}, "key seed is missing"),
    ({"extra": 1}, "key extra is unknown"),
    ({"seed": 0}, "Seed must be in range(1, 4294967296), not 0"),
    ({"seed": "1"}, "Seed must be an integer, not '1'"),
    ({"timesteps": 25.0}, "Timesteps must be an integer, not 25.0"),
    ({"timesteps": 10**9}, "Timesteps must be in range(1, 4097), not 1000000000"),
    ({"timesteps": True}, "Timesteps must be an integer, not True"),
    ({"encoder": ["lfsr"]}, "Encoder must be one of lfsr, low_discrepancy, direct, events, "
     "not ['lfsr']"),
    ({"weight_widths": 8}, "weight_widths must be a list with one entry a layer, not 8"),
    ({"weight_widths": []}, "membrane_widths must have 0 entries, not 2"),
    ({"weight_widths": [8, 12, 8], "membrane_widths": [14, 14, 14]},
     "array layer2.biases is missing"),
    ({"weight_widths": [8], "membrane_widths": [14]}, "array layer1.biases is unknown"),
    ({"weight_widths": [8, "12"]}, "Weight width of layer 1 must be an integer, not '12'"),
    ({"weight_widths": [12, 12]}, "array layer0.weights must be of I16, not I8"),
    ({"weight_widths": [7, 12]},
     "Weight of neuron 0, input 0 must be in range(-64, 64), not -128"),
    ({"membrane_widths": [14.5, 14]}, "Membrane width must be an integer, not 14.5"),
    ({"membrane_widths": {}}, "membrane_widths must be a list with one entry a layer, not {}"),
])
def test_parameters_that_lie_are_refused(file, values, message):
    change(file, **values)
    assert refusal(file) == message


@pytest.mark.parametrize(("values", "message"), [
    ({"T": 0}, "T must be at least 1, not 0"),
    ({"T": "25"}, "T must be an integer, not '25'"),
    ({"initial_membrane_fraction": 1.0}, "initial_membrane_fraction must be in [0, 1), not 1.0"),
    ({"initial_membrane_fraction": float("nan")},
     "initial_membrane_fraction must be in [0, 1), not nan"),
    ({"layers": [["thresholds", "weights"]] * 2}, "array layer1.biases is unknown"),
    ({"layers": [["biases", "thresholds", "weights"]] * 2}, "array layer0.biases is missing"),
    ({"layers": [["thresholds", "weights"], ["weights"]]},
     "layers[1] must be ['biases', 'thresholds', 'weights'] or ['thresholds', 'weights'], "
     "not ['weights']"),
    ({"layers": 2}, "layers must be a list with one entry a layer, not 2"),
])
def test_parameters_of_float_networks_that_lie_are_refused(file, values, message):
    save_snn(example_snn(), file)
    change(file, **values)
    assert refusal(file, load_snn) == message


@pytest.mark.parametrize("entry", [
    {"shape": [5, 8]}, {"shape": [7, 5]}, {"shape": [35]}, {"shape": [2**62, 2**62]},
    {"shape": [-5, -7]}, {"shape": [5, 7, 1]}, {"dtype": "U8"}, {"dtype": "BOOL"},
    {"dtype": "F8_E4M3"}, {"dtype": "I7"}, {"data_offsets": [0, 2**60]}, {"data_offsets": [5, 0]},
    {"shape": [2**40, 0], "data_offsets": [0, 0]}])
def test_array_headers_that_lie_are_refused(file, entry):
    header, data = parts(file.read_bytes())
    header["layer0.weights"] |= entry
    file.write_bytes(joined(header, data))
    assert refusal(file)


@pytest.mark.parametrize("kind", ["BF16", "F16", "I16", "U16"])
def test_types_that_numpy_lacks_or_nobody_writes_are_refused(file, kind):
    header, data = parts(file.read_bytes())
    header["layer1.weights"]["dtype"] = kind
    file.write_bytes(joined(header, data))
    if kind == "I16":
        assert_same_network(load_network(file), example_network())
    else:
        assert refusal(file) == f"array layer1.weights must be of I16, not {kind}"


@pytest.mark.parametrize("length", [2**20 + 1, 2**27, 2**63, 2**64 - 1])
def test_absurd_header_lengths_are_refused(file, length):
    file.write_bytes(struct.pack("<Q", length) + b"{" + b" " * (2**20 + 100))
    assert refusal(file).startswith(("header must be at most 1048576 bytes, not",
                                     "it is truncated or no safetensors file"))


def test_values_out_of_range_are_refused(file):
    header, data = parts(file.read_bytes())
    start = header["layer1.thresholds"]["data_offsets"][0]
    file.write_bytes(joined(header, data[:start] + b"\0" * 4 + data[start + 4:]))
    assert refusal(file) == "Threshold of neuron 0 must be in range(1, 2147483648), not 0"


def test_values_that_are_not_finite_are_refused(file):
    save_snn(example_snn(), file)
    header, data = parts(file.read_bytes())
    start = header["layer0.weights"]["data_offsets"][0]
    file.write_bytes(joined(header, data[:start] + struct.pack("<d", np.nan) + data[start + 8:]))
    assert refusal(file, load_snn) == "weights[0][0, 0] must be finite, not nan"


def test_what_its_header_cannot_hold_is_not_saved(tmp_path):
    layer = IntegerLayer(np.array([[1]]), np.array([0]), np.array([1]), np.array([0]))
    network = IntegerNetwork((layer,) * 4000, 1)
    with pytest.raises(ValueError, match=r"^16000 arrays are too many for the header of "):
        save_network(network, tmp_path / "a")
    assert not list(tmp_path.iterdir())
