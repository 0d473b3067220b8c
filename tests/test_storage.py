"""Network files come back as they went, or are refused with the file and the fault."""

import json
import pickle
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest

from sc_neurocore.conversion.converted_snn import ConvertedSNN
from sc_neurocore.network import IntegerLayer, IntegerNetwork
from sc_neurocore.storage import (
    NetworkFileError,
    load_network,
    load_snn,
    parameters_crc32,
    save_network,
    save_snn,
)
from sc_neurocore.synapses import INPUT, Convolution, Dense, MaxPool, Source

DATA = Path(__file__).parent / "data"


def example_network(weight_widths=(8, 12), membrane_width=14):
    rng = np.random.default_rng(0)
    layers = []
    for index, (n_input, n_output) in enumerate(((7, 5), (5, 3))):
        half = 2 ** (weight_widths[index] - 1)
        weights = rng.integers(-half, half, (n_output, n_input))
        weights[0, :2] = -half, half - 1
        layers.append(IntegerLayer(weights, rng.integers(-(2**31) + 1, 2**31, n_output),
                                   np.full(n_output, 2**31 - 1 - index), np.full(n_output, 77),
                                   weight_widths[index], None if index else membrane_width))
    return IntegerNetwork(tuple(layers), 25, 6, seed=2**32 - 1)


def residual(draw):
    """Synapses and sources of three layers, with everything that they can have."""
    image = (2, 4, 5)
    synapses = [
        Convolution(draw((4, 1, 3, 2)), image, stride=(1, 2), padding=(1, 0), groups=2),
        (Convolution(draw((2, 4, 2, 2)), (4, 4, 2), padding=(1, 0), dilation=(3, 1)),
         Convolution(draw((2, 2, 2, 2)), image, stride=(1, 4))),
        (Dense(draw((3, 4))), Dense(draw((3, 32))))]
    pool = MaxPool((2, 3, 1), (2, 1), (1, 1))
    return synapses, [None, (Source(0), Source(INPUT)), (Source(1, pool), Source(0))]


def residual_network():
    rng = np.random.default_rng(1)
    synapses, sources = residual(lambda shape: rng.integers(-8, 8, shape))
    layers = []
    for one, some, n_output in zip(synapses, sources, (32, 6, 3), strict=True):
        layers.append(IntegerLayer(one, rng.integers(-9, 9, n_output), np.full(n_output, 99),
                                   np.full(n_output, 3), 4, sources=some))
    return IntegerNetwork(tuple(layers), 4, 5, "direct", schedule="layer_by_layer")


def example_snn():
    rng = np.random.default_rng(0)
    return ConvertedSNN([rng.normal(size=(5, 7)), rng.normal(size=(3, 5))],
                        [None, rng.normal(size=3)], [rng.random(5) + 0.1, 1 / 3], 25, 0.1)


def residual_snn():
    rng = np.random.default_rng(2)
    synapses, sources = residual(lambda shape: rng.normal(size=shape))
    return ConvertedSNN(synapses, [rng.normal(size=32), None, rng.normal(size=3)],
                        [1.0, rng.random(6) + 0.1, 0.7], 4, 0.5, "layer_by_layer", sources)


def assert_same_network(one, other):
    for name in ("timesteps", "intensity_width", "encoder", "seed", "schedule"):
        assert getattr(one, name) == getattr(other, name)
    for mine, theirs in zip(one.layers, other.layers, strict=True):
        for name in ("weight_width", "membrane_width", "sources"):
            assert getattr(mine, name) == getattr(theirs, name)
        for name in ("biases", "thresholds", "initial_membranes"):
            assert np.array_equal(getattr(mine, name), getattr(theirs, name))
        assert_same_synapses(mine.synapses, theirs.synapses)


def assert_same_snn(one, other):
    for name in ("T", "initial_membrane_fraction", "schedule", "sources"):
        assert getattr(one, name) == getattr(other, name)
    for index in range(max(one.n_layers, other.n_layers)):
        assert type(one.weights[index]) is type(other.weights[index])
        assert_same_synapses(one.synapses(index), other.synapses(index))
    for mine, theirs in zip((*one.biases, *one.thresholds), (*other.biases, *other.thresholds),
                            strict=True):
        assert type(mine) is type(theirs)
        assert np.asarray(mine).tobytes() == np.asarray(theirs).tobytes()


def assert_same_synapses(some, others):
    for mine, theirs in zip(some, others, strict=True):
        assert type(mine) is type(theirs)
        assert mine.rows.tobytes() == theirs.rows.tobytes()
        if isinstance(mine, Convolution):
            assert mine.windows == theirs.windows
            assert mine.groups == theirs.groups


def parts(data):
    """Header as a dictionary and data of a safetensors file."""
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8:8 + length]), data[8 + length:]


def joined(header, data):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def parameters(header, data):
    """Bytes of the arrays in the order of the checksum, as documented."""
    def order(name):
        layer, kind = name.split(".")
        kinds = ("weights", "biases", "thresholds", "initial_membranes")
        return int(layer[5:]), kinds.index(kind.rstrip("0123456789")), kind

    names = sorted((name for name in header if name != "__metadata__"), key=order)
    return b"".join(data[slice(*header[name]["data_offsets"])] for name in names)


def seal(path, header=None, data=None):
    """Write a file again, the checksum mended as the documentation says."""
    old = parts(path.read_bytes())
    header, data = header or old[0], old[1] if data is None else data
    settings = json.loads(header["__metadata__"]["sc_neurocore"])
    settings.pop("crc32")
    text = json.dumps(settings, sort_keys=True)
    settings["crc32"] = zlib.crc32(parameters(header, data) + text.encode())
    header["__metadata__"]["sc_neurocore"] = json.dumps(settings)
    path.write_bytes(joined(header, data))


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "network.safetensors"
    save_network(example_network(), path)
    return path


def change(path, **values):
    """Rewrite values of the header's parameters; None removes one."""
    header, data = parts(path.read_bytes())
    settings = json.loads(header["__metadata__"]["sc_neurocore"]) | values
    settings = {key: value for key, value in settings.items() if value is not None}
    header["__metadata__"]["sc_neurocore"] = json.dumps(settings)
    path.write_bytes(joined(header, data))
    if "crc32" in settings and "crc32" not in values:
        seal(path)


def change_layer(path, *place, value):
    """Rewrite one value of the entries of the header's layers, and the checksum."""
    header, _ = parts(path.read_bytes())
    layers = json.loads(header["__metadata__"]["sc_neurocore"])["layers"]
    entry = layers
    for key in place[:-1]:
        entry = entry[key]
    if value is None:
        del entry[place[-1]]
    else:
        entry[place[-1]] = value
    change(path, layers=layers)


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


def test_convolutions_and_several_sources_come_back_as_they_went(tmp_path):
    save_network(residual_network(), tmp_path / "a")
    assert_same_network(load_network(tmp_path / "a"), residual_network())
    save_snn(residual_snn(), tmp_path / "a")
    assert_same_snn(load_snn(tmp_path / "a"), residual_snn())


def test_float_networks_come_back_bit_by_bit(tmp_path):
    snn = example_snn()
    snn.weights[0] = np.asfortranarray(snn.weights[0])
    save_snn(snn, str(tmp_path / "a"))
    assert_same_snn(load_snn(str(tmp_path / "a")), example_snn())


def test_files_of_version_1_can_be_read():
    assert_same_network(load_network(DATA / "network-version1.safetensors"), example_network())
    assert_same_snn(load_snn(DATA / "snn-version1.safetensors"), example_snn())


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
    dense = {"sources": None, "synapses": [{"kind": "dense"}]}
    settings = {
        "encoder": "lfsr", "format": "sc_neurocore.integer_network", "intensity_width": 6,
        "layers": [{"membrane_width": 14, **dense, "weight_width": 8},
                   {"membrane_width": None, **dense, "weight_width": 12}],
        "schedule": "pipelined", "seed": 2**32 - 1, "timesteps": 25, "version": "2"}
    crc32 = zlib.crc32(parameters(header, data) + json.dumps(settings).encode())
    assert header["__metadata__"] == {
        "sc_neurocore": json.dumps({"crc32": crc32, **settings})}
    arrays = {name: (entry["dtype"], entry["shape"]) for name, entry in header.items()
              if name != "__metadata__"}
    assert arrays == {
        "layer0.weights0": ("I8", [5, 7]), "layer1.weights0": ("I16", [3, 5]),
        **{f"layer{index}.{name}": ("I32", [size]) for index, size in enumerate((5, 3))
           for name in ("biases", "thresholds", "initial_membranes")}}
    assert len(data) == 35 + 2 * 15 + 3 * 4 * (5 + 3)


def test_layers_are_described_as_documented(file):
    save_network(residual_network(), file)
    header, _ = parts(file.read_bytes())
    assert json.loads(header["__metadata__"]["sc_neurocore"])["layers"][1:] == [{
        "weight_width": 4, "membrane_width": None,
        "sources": [{"layer": 0, "max_pool": None}, {"layer": -1, "max_pool": None}],
        "synapses": [
            {"kind": "convolution", "input_shape": [4, 4, 2], "stride": [1, 1], "padding": [1, 0],
             "dilation": [3, 1], "groups": 1},
            {"kind": "convolution", "input_shape": [2, 4, 5], "stride": [1, 4], "padding": [0, 0],
             "dilation": [1, 1], "groups": 1}]}, {
        "weight_width": 4, "membrane_width": None,
        "sources": [{"layer": 1, "max_pool": {
            "input_shape": [2, 3, 1], "kernel_size": [2, 1], "stride": [1, 1], "padding": [0, 0],
            "dilation": [1, 1]}}, {"layer": 0, "max_pool": None}],
        "synapses": [{"kind": "dense"}, {"kind": "dense"}]}]
    assert header["layer1.weights1"]["shape"] == [2, 2, 2, 2]


def test_the_checksum_of_the_parameters_is_that_of_their_bytes():
    layer = IntegerLayer(np.array([[1, -2]]), np.array([3]), np.array([256]), np.array([0]), 4)
    wide = IntegerLayer(np.array([[-300], [7]]), np.array([0, 1]), np.array([9, 9]),
                        np.array([4, 4]), 10)
    written = bytes.fromhex("01 fe 03000000 00010000 00000000"
                            "d4fe 0700 00000000 01000000 09000000 09000000 04000000 04000000")
    assert parameters_crc32(IntegerNetwork((layer, wide), 4)) == zlib.crc32(written)


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
    ({"version": "3"}, "version must be one of '1', '2', not '3'"),
    ({"version": 2}, "version must be one of '1', '2', not 2"),
    ({"version": ["2"]}, "version must be one of '1', '2', not ['2']"),
    ({"version": "1"}, "key membrane_widths is missing"),
    ({"seed": None}, "key seed is missing"),
    ({"crc32": None}, "key crc32 is missing"),
    ({"extra": 1}, "key extra is unknown"),
    ({"seed": 0}, "Seed must be in range(1, 4294967296), not 0"),
    ({"seed": "1"}, "Seed must be an integer, not '1'"),
    ({"timesteps": 25.0}, "Timesteps must be an integer, not 25.0"),
    ({"timesteps": 10**9}, "Timesteps must be in range(1, 4097), not 1000000000"),
    ({"timesteps": True}, "Timesteps must be an integer, not True"),
    ({"encoder": ["lfsr"]}, "Encoder must be one of lfsr, low_discrepancy, direct, events, "
     "not ['lfsr']"),
    ({"layers": 8}, "layers must be a list, not 8"),
    ({"layers": [8]}, "layers[0] must be a JSON object, not 8"),
    ({"layers": []}, "array layer0.biases is unknown"),
])
def test_parameters_that_lie_are_refused(file, values, message):
    change(file, **values)
    assert refusal(file) == message


DENSE = {"kind": "dense"}
CONVOLUTION = {"kind": "convolution", "input_shape": [1, 1, 7], "stride": [1, 1], "padding": [0, 0],
               "dilation": [1, 1], "groups": 1}


@pytest.mark.parametrize(("place", "value", "message"), [
    ([0, "weight_width"], None, "key layers[0].weight_width is missing"),
    ([1, "bias_width"], 8, "key layers[1].bias_width is unknown"),
    ([1, "weight_width"], "12", "layers[1].weight_width must be an integer, not '12'"),
    ([1, "weight_width"], 17, "layers[1].weight_width must be in range(2, 17), not 17"),
    ([0, "weight_width"], 12, "array layer0.weights0 must be of I16, not I8"),
    ([0, "weight_width"], 7,
     "layers[0]: Weight of neuron 0, input 0 must be in range(-64, 64), not -128"),
    ([0, "membrane_width"], 14.5, "layers[0]: Membrane width must be an integer, not 14.5"),
    ([0, "synapses"], [], "layers[0].synapses must have at least one entry"),
    ([0, "synapses"], {}, "layers[0].synapses must be a list, not {}"),
    ([0, "synapses"], [DENSE] * 2, "array layer0.weights1 is missing"),
    ([0, "synapses"], ["dense"],
     "layers[0].synapses[0] must be of kind 'dense' or 'convolution', not 'dense'"),
    ([0, "synapses", 0, "kind"], ["dense"],
     "layers[0].synapses[0] must be of kind 'dense' or 'convolution', not {'kind': ['dense']}"),
    ([0, "synapses", 0, "groups"], 1, "key layers[0].synapses[0].groups is unknown"),
    ([0, "synapses", 0, "kind"], "convolution",
     "key layers[0].synapses[0].dilation is missing"),
    ([0, "synapses", 0], CONVOLUTION,
     "layers[0].synapses[0]: Kernel must have shape (channels_out, channels_in / groups, height, "
     "width), none of them 0, not (5, 7)"),
    ([0, "sources"], 0, "layers[0].sources must be a list, not 0"),
    ([0, "sources"], [], "layers[0]: Sources must be 1, one for each synapses, not 0"),
    ([0, "sources"], [-1], "layers[0].sources[0] must be a JSON object, not -1"),
    ([0, "sources"], [{"layer": -1}], "key layers[0].sources[0].max_pool is missing"),
    ([0, "sources"], [{"layer": "-1", "max_pool": None}],
     "layers[0].sources[0]: Source must be 1 integers, not ('-1',)"),
    ([0, "sources"], [{"layer": 1, "max_pool": None}],
     "Sources of layer 0 must be the input or earlier layers, not 1"),
    ([1, "sources"], [{"layer": 0, "max_pool": 2}],
     "layers[1].sources[0].max_pool must be a JSON object, not 2"),
    ([1, "sources"], [{"layer": 0, "max_pool": {"kernel_size": [2, 2]}}],
     "key layers[1].sources[0].max_pool.dilation is missing"),
])
def test_layers_that_lie_are_refused(file, place, value, message):
    change_layer(file, *place, value=value)
    assert refusal(file) == message


@pytest.mark.parametrize(("place", "value", "message"), [
    ([0, "synapses", 0, "stride"], [1], "layers[0].synapses[0]: Stride must be 2 integers, "
     "not [1]"),
    ([0, "synapses", 0, "padding"], [True, 0], "layers[0].synapses[0]: Padding must be 2 integers, "
     "not [True, 0]"),
    ([0, "synapses", 0, "dilation"], [0, 1], "layers[0].synapses[0]: Dilation must be at least 1, "
     "not [0, 1]"),
    ([0, "synapses", 0, "groups"], 3, "layers[0].synapses[0]: Kernel of shape (4, 1, 3, 2) in 3 "
     "group(s) must take 3 channels and divide its own by the groups, but the input has 2 "
     "channels"),
    ([0, "synapses", 0, "padding"], [2**40, 0], "layers[0].synapses[0]: Windows must see at most "
     "134217728 inputs, all added up, not 52776558133296"),
    ([0, "synapses", 0, "input_shape"], [2, 10**20, 5], "layers[0].synapses[0]: Windows must see "
     "at most 134217728 inputs, all added up, not 2400000000000000000000"),
    ([0, "synapses", 0, "stride"], [1, 10**30], "layers[0].synapses[0]: Windows must be made of "
     "numbers up to 134217728, not 1000000000000000000000000000000"),
    ([2, "sources", 0, "max_pool", "stride"], [0, 1], "layers[2].sources[0]: Stride must be at "
     "least 1, not [0, 1]"),
    ([2, "sources", 0, "max_pool"], {
        "input_shape": [1, 2**30, 2**30], "kernel_size": [2**29, 1], "stride": [1, 1],
        "padding": [0, 0], "dilation": [1, 1]},
     "layers[2].sources[0]: Windows must see at most 134217728 inputs, all added up, not "
     "309485010397805821028204544"),
    ([2, "sources", 0, "layer"], -1, "layers[2].sources[0]: Max pool must follow a layer of "
     "neurons, not the input: pool the images before they are encoded"),
    ([2, "sources", 0, "layer"], 2**70, "Sources of layer 2 must be the input or earlier layers, "
     "not 1180591620717411303424"),
])
def test_windows_that_lie_are_refused(file, place, value, message):
    save_network(residual_network(), file)
    change_layer(file, *place, value=value)
    assert refusal(file) == message


@pytest.mark.parametrize(("values", "message"), [
    ({"weight_widths": 8}, "weight_widths must be a list, not 8"),
    ({"weight_widths": []}, "membrane_widths must have 0 entries, not 2"),
    ({"weight_widths": [8, 12, 8], "membrane_widths": [14, 14, 14]},
     "array layer2.biases is missing"),
    ({"weight_widths": [8], "membrane_widths": [14]}, "array layer1.biases is unknown"),
    ({"weight_widths": [12, 12]}, "array layer0.weights must be of I16, not I8"),
    ({"membrane_widths": {}}, "membrane_widths must be a list, not {}"),
    ({"crc32": 0}, "key crc32 is unknown"),
])
def test_parameters_of_version_1_that_lie_are_refused(file, values, message):
    file.write_bytes((DATA / "network-version1.safetensors").read_bytes())
    change(file, **values)
    assert refusal(file) == message


def test_layers_of_version_1_that_lie_are_refused(file):
    file.write_bytes((DATA / "snn-version1.safetensors").read_bytes())
    change(file, layers=[["thresholds", "weights"], ["weights"]])
    assert refusal(file, load_snn) == (
        "layers[1] must be ['biases', 'thresholds', 'weights'] or ['thresholds', 'weights'], "
        "not ['weights']")


@pytest.mark.parametrize(("values", "message"), [
    ({"T": 0}, "T must be at least 1, not 0"),
    ({"T": 2**62}, "T must be at most 32768, not 4611686018427387904"),
    ({"T": "25"}, "T must be an integer, not '25'"),
    ({"initial_membrane_fraction": 1.0}, "initial_membrane_fraction must be in [0, 1), not 1.0"),
    ({"initial_membrane_fraction": float("nan")},
     "initial_membrane_fraction must be in [0, 1), not nan"),
    ({"schedule": None}, "key schedule is missing"),
    ({"schedule": "eager"}, "schedule must be one of pipelined, layer_by_layer, not 'eager'"),
    ({"layers": 2}, "layers must be a list, not 2"),
])
def test_parameters_of_float_networks_that_lie_are_refused(file, values, message):
    save_snn(example_snn(), file)
    change(file, **values)
    assert refusal(file, load_snn) == message


@pytest.mark.parametrize(("biases", "message"), [
    ((True, True), "array layer0.biases is missing"),
    ((False, False), "array layer1.biases is unknown"),
    (("yes", True), "layers[0].biases must be true or false, not 'yes'")])
def test_biases_of_float_networks_that_lie_are_refused(file, biases, message):
    save_snn(example_snn(), file)
    for index, value in enumerate(biases):
        change_layer(file, index, "biases", value=value)
    assert refusal(file, load_snn) == message


@pytest.mark.parametrize(("save", "load", "example", "same"), [
    (save_network, load_network, residual_network, assert_same_network),
    (save_snn, load_snn, residual_snn, assert_same_snn)])
def test_no_byte_can_change_unnoticed(file, save, load, example, same):
    save(example(), file)
    whole, rng = file.read_bytes(), np.random.default_rng(0)
    for place in range(0, len(whole), 3):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << rng.integers(8)])
                         + whole[place + 1:])
        try:
            loaded = load(file)
        except NetworkFileError:
            continue
        same(loaded, example())     # it was a space of the header


def test_what_has_changed_is_said(file):
    data = bytearray(file.read_bytes())
    crc32 = json.loads(parts(data)[0]["__metadata__"]["sc_neurocore"])["crc32"]
    data[-1] ^= 1
    file.write_bytes(data)
    found = refusal(file).removeprefix("crc32 must be ").partition(",")[0]
    assert refusal(file) == (f"crc32 must be {found}, which is that of what is in the file, not "
                             f"{crc32}: it was damaged, or changed by hand")
    change(file, crc32=int(found))
    assert not np.array_equal(load_network(file).layers[0].weights,
                              example_network().layers[0].weights)


@pytest.mark.parametrize("entry", [
    {"shape": [5, 8]}, {"shape": [7, 5]}, {"shape": [35]}, {"shape": [2**62, 2**62]},
    {"shape": [-5, -7]}, {"shape": [5, 7, 1]}, {"dtype": "U8"}, {"dtype": "BOOL"},
    {"dtype": "F8_E4M3"}, {"dtype": "I7"}, {"data_offsets": [0, 2**60]}, {"data_offsets": [5, 0]},
    {"shape": [2**40, 0], "data_offsets": [0, 0]}])
def test_array_headers_that_lie_are_refused(file, entry):
    header, data = parts(file.read_bytes())
    header["layer0.weights0"] |= entry
    file.write_bytes(joined(header, data))
    assert refusal(file)


@pytest.mark.parametrize("kind", ["BF16", "F16", "I16", "U16"])
def test_types_that_numpy_lacks_or_nobody_writes_are_refused(file, kind):
    header, data = parts(file.read_bytes())
    header["layer1.weights0"]["dtype"] = kind
    file.write_bytes(joined(header, data))
    if kind == "I16":
        assert_same_network(load_network(file), example_network())
    else:
        assert refusal(file) == f"array layer1.weights0 must be of I16, not {kind}"


@pytest.mark.parametrize("length", [2**20 + 1, 2**27, 2**63, 2**64 - 1])
def test_absurd_header_lengths_are_refused(file, length):
    file.write_bytes(struct.pack("<Q", length) + b"{" + b" " * (2**20 + 100))
    assert refusal(file).startswith(("header must be at most 1048576 bytes, not",
                                     "it is truncated or no safetensors file"))


def test_values_out_of_range_are_refused(file):
    header, data = parts(file.read_bytes())
    start = header["layer1.thresholds"]["data_offsets"][0]
    seal(file, data=data[:start] + b"\0" * 4 + data[start + 4:])
    assert refusal(file) == ("layers[1]: Threshold of neuron 0 must be in range(1, 2147483648), "
                             "not 0")


def test_values_that_are_not_finite_are_refused(file):
    save_snn(example_snn(), file)
    header, data = parts(file.read_bytes())
    start = header["layer0.weights0"]["data_offsets"][0]
    seal(file, data=data[:start] + struct.pack("<d", np.nan) + data[start + 8:])
    assert refusal(file, load_snn) == "weights[0][0, 0] must be finite, not nan"


def test_scales_of_some_layers_are_refused(file):
    snn = example_snn()
    snn.scales = [np.ones(5), None]
    save_snn(snn, file)
    assert refusal(file, load_snn) == "scales must be those of all layers or of none"


def test_what_its_header_cannot_hold_is_not_saved(tmp_path):
    layer = IntegerLayer(np.array([[1]]), np.array([0]), np.array([1]), np.array([0]))
    network = IntegerNetwork((layer,) * 4000, 1)
    with pytest.raises(ValueError, match=r"^16000 arrays are too many for the header of "):
        save_network(network, tmp_path / "a")
    assert not list(tmp_path.iterdir())
