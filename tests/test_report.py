"""Networks that are wrong for one reason, and the report that finds it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from torch import manual_seed, nn

from sc_neurocore import golden
from sc_neurocore.conversion import ConvertedSNN, calibrate, convert
from sc_neurocore.conversion.ann import Activation, AnnGraph, AnnLayer
from sc_neurocore.conversion.ann_to_snn import scaled_network
from sc_neurocore.conversion.graph import trace
from sc_neurocore.conversion.report import report
from sc_neurocore.conversion.report.causes import CAUSES, Chain
from sc_neurocore.quantization import quantize
from sc_neurocore.synapses import INPUT, Convolution, Dense, MaxPool, Source

RELU = Activation("relu")


def dense(*weights, activation=RELU, biases=None):
    """An AnnGraph of dense layers, the last one without an activation."""
    layers = []
    for i, values in enumerate(weights):
        matrix = np.atleast_2d(np.asarray(values, float))
        layers.append(AnnLayer(f"model.{i}", (len(matrix),), (Dense(matrix),), (Source(i - 1),),
                               None if biases is None else np.asarray(biases[i], float),
                               activation if i < len(weights) - 1 else None))
    return AnnGraph(tuple(layers), (layers[0].synapses[0].n_input,))


def random_graph(seed=0, shape=(12, 10, 8, 5), activation=RELU):
    random = np.random.default_rng(seed)
    return dense(*(random.normal(0.05, 0.4, size) for size in zip(shape[1:], shape, strict=False)),
                 biases=[random.normal(0, 0.1, size) for size in shape[1:]],
                 activation=activation)


def spiking(graph, scales=1.0, T=8, fraction=0.0, schedule="pipelined"):
    """The spiking network of scales λ, one for all or one a layer."""
    each = [np.broadcast_to(np.asarray(scale, float), layer.n_output) for layer, scale in zip(
        graph.layers, scales if isinstance(scales, list) else [scales] * len(graph.layers),
        strict=True)]
    return replace(scaled_network(graph, each, T, fraction, schedule), scales=each)


def peaks(graph, images):
    return [max(float(values.max()), 1e-3) for values in graph.currents(images)]


def grid(steps, n=60, n_input=4, seed=0):
    return np.random.default_rng(seed).integers(0, steps + 1, (n, n_input)) / steps


def only(answer, cause, layers):
    """Whether nothing but ``cause`` is wrong, and with these layers."""
    for index, layer in enumerate(answer.layers):
        wrong = index in layers
        assert layer.main_cause == (cause if wrong else None)
        for name, error in layer.errors.items():
            assert error == pytest.approx(layer.error if name == cause else 0, abs=1e-12)
            assert not wrong or layer.shares[name] == pytest.approx(1.0 if name == cause else 0.0)
    return True


# --- one cause ---------------------------------------------------------------------------------


def test_clipping():
    graph = dense(2 * np.eye(4), np.eye(4))
    answer = report(graph, spiking(graph), grid(8), encoder="direct")
    assert only(answer, "clipping", {0, 1})
    assert answer.suggestions[0] == (
        "Layer 0 and the output layer: the main cause of error is clipping; try a higher "
        'percentile, a scale for each channel, or scale="mse" in convert()')


@pytest.mark.parametrize(("fraction", "remedy"), [
    (0.0, "an initial_membrane_fraction of 0.5, or more timesteps"),
    (0.5, "more timesteps, calibrate(), or fine-tuning with QCFS")])
def test_time_quantization(fraction, remedy):
    graph = dense(np.eye(4), np.eye(4))
    answer = report(graph, spiking(graph, T=2, fraction=fraction), grid(8), encoder="direct")
    assert only(answer, "time_quantization", {0, 1})
    assert answer.suggestions[0].endswith(f"time quantization; try {remedy}")


def test_who_has_calibrated_is_not_told_to():
    manual_seed(0)
    model = nn.Sequential(nn.Linear(12, 20), nn.ReLU(), nn.Linear(20, 20), nn.ReLU(),
                          nn.Linear(20, 5))
    images = np.random.default_rng(0).random((200, 12))
    converted = convert(model, images, 2, per_channel=True, initial_membrane_fraction=0.5)
    found = {name: report(model, snn, images, encoder="direct").suggestions
             for name, snn in (("convert", converted), ("calibrate", calibrate(model, images, 2)))}
    assert "calibrate()" in " ".join(found["convert"])
    assert found["calibrate"]
    assert not any(hint in " ".join(found["calibrate"]) for hint in ("calibrate()", "convert()"))


def test_unevenness():
    # counts are whole at T = 8, but the inhibition comes after the excitation
    graph = dense(np.eye(4), [[1, -1, -1, 0]], [[1]])
    images = grid(8)
    answer = report(graph, spiking(graph), images, encoder="direct")
    assert only(answer, "unevenness", {1, 2})
    assert "schedule layer_by_layer" in answer.suggestions[0]
    snn = spiking(graph, schedule="layer_by_layer")
    assert only(report(graph, snn, images, encoder="direct"), "unevenness", set())


@pytest.mark.parametrize(("encoder", "width", "T", "remedy"), [
    ("lfsr", 8, 8, "more timesteps, or the encoder low_discrepancy or direct"),
    ("low_discrepancy", 8, 6, "a T that is a power of two, more timesteps, or the encoder direct"),
    ("direct", 1, 8, "a greater intensity_width")])
def test_input_coding(encoder, width, T, remedy):
    # identity needs no more than a threshold of 1, so the integers are exact
    graph = dense(np.eye(4), np.eye(4))
    snn, images = spiking(graph, T=T), grid(T)
    network = quantize(snn, encoder=encoder, intensity_width=width)
    answer = report(graph, snn, images, network=network)
    assert only(answer, "input_coding", {0, 1})
    assert answer.suggestions[0].endswith(f"input coding; try {remedy}")


def test_input_coding_without_integers():
    graph = dense(np.eye(4), np.eye(4))
    answers = [report(graph, spiking(graph), grid(8), seed=seed) for seed in (0, 0, 1)]
    assert all(only(answer, "input_coding", {0, 1}) for answer in answers)
    assert answers[0] == answers[1] != answers[2]
    assert "weight_quantization" not in answers[0].layers[0].errors


def test_input_coding_by_events():
    # as much inhibition as excitation, but later
    graph = dense([[1, -1], [1, 0]], np.eye(2))
    spikes = np.zeros((2, 8, 2))
    spikes[:, :4, 0] = spikes[:, 4:, 1] = 1
    snn = spiking(graph)
    for network in (None, quantize(snn, encoder="events")):
        answer = report(graph, snn, spikes, network=network, encoder="events")
        assert only(answer, "input_coding", {0, 1})
        # activations are 0 and 1/2, rates both 1/2
        assert answer.layers[0].error == pytest.approx(1)
        assert answer.layers[0].silent == ()


def test_weight_quantization():
    graph = random_graph(activation=Activation("qcfs", 1.5, 8))
    snn = spiking(graph, [1.5, 1.5, 4.0], fraction=0.5, schedule="layer_by_layer")
    images = np.random.default_rng(1).integers(0, 256, (60, 12)) / 255
    answers = [report(graph, snn, images, network=quantize(snn, width, encoder="direct"))
               for width in (3, 16)]
    assert only(answers[0], "weight_quantization", {0, 1, 2})
    assert only(answers[1], "weight_quantization", set())
    assert answers[0].suggestions == (
        "Layers 0, 1 and the output layer: the main cause of error is weight quantization; try a "
        "weight_width greater than 3, or fine-tuning with fake_quantize()",)
    assert answers[1].suggestions == ()


def test_membranes_that_saturate():
    # as much inhibition as excitation, but earlier, and the membrane forgets most of it
    graph = dense([[-1, 1]], [[1]])
    spikes = np.zeros((1, 8, 2))
    spikes[:, :4, 0] = spikes[:, 4:, 1] = 1
    snn = spiking(graph)
    network = quantize(snn, 4, encoder="events", membrane_width=5)
    answer = report(graph, snn, spikes, network=network)
    assert only(answer, "weight_quantization", {0, 1})
    assert answer.suggestions[0].endswith("try a greater membrane_width: membranes can saturate")


def test_qcfs_has_no_error():
    graph = random_graph(activation=Activation("qcfs", 1.5, 8))
    snn = spiking(graph, [1.5, 1.5, 4.0], fraction=0.5, schedule="layer_by_layer")
    images = np.random.default_rng(1).random((60, 12))
    answer = report(graph, snn, images, images.argmax(axis=1) % 5, encoder="direct")
    for layer in answer.layers:
        assert layer.error == pytest.approx(0, abs=1e-12)
        assert list(layer.errors.values()) == pytest.approx([0] * 4, abs=1e-12)
        assert set(layer.shares.values()) == {0.0}
        assert layer.correlation == pytest.approx(1)
    assert len(set(answer.accuracy.values())) == 1
    assert answer.suggestions == ()


@pytest.mark.parametrize(("T", "fraction", "remedy"), [
    (3, 0.5, "the T that QCFS was trained for, 8"),
    (8, 0.0, "an initial_membrane_fraction of 0.5, or more timesteps")])
def test_qcfs_run_otherwise_than_trained(T, fraction, remedy):
    graph = random_graph(activation=Activation("qcfs", 1.5, 8))
    snn = spiking(graph, [1.5, 1.5, 4.0], T, fraction, "layer_by_layer")
    answer = report(graph, snn, np.random.default_rng(1).random((60, 12)), encoder="direct")
    assert only(answer, "time_quantization", {0, 1, 2})
    assert answer.suggestions[0].endswith(f"time quantization; try {remedy}")


# --- all causes --------------------------------------------------------------------------------


@pytest.mark.parametrize("schedule", ["pipelined", "layer_by_layer"])
@pytest.mark.parametrize("encoder", ["lfsr", "low_discrepancy", "direct"])
def test_shares_add_up(encoder, schedule):
    graph, images = random_graph(2), np.random.default_rng(3).random((70, 12))
    snn = spiking(graph, [0.7 * peak for peak in peaks(graph, images)], 5, 0.5, schedule)
    network = quantize(snn, 4, encoder=encoder)
    answer = report(graph, snn, images, network=network)
    for layer in answer.layers:
        assert sum(layer.shares.values()) == pytest.approx(1)
        assert layer.errors["clipping"] > 0
        assert layer.errors["time_quantization"] > 0
    assert any(layer.errors["unevenness"] > 0 for layer in answer.layers) == (
        schedule == "pipelined")


def test_definitions():
    graph, images = random_graph(2), np.random.default_rng(3).random((70, 12))
    snn = spiking(graph, peaks(graph, images), 5, 0.5)
    steps = Chain(graph, snn, None, "poisson", 7).steps(images)
    layer, values = report(graph, snn, images, seed=7).layers[1], [step[1] for step in steps]
    norm, error = np.linalg.norm(values[0]), values[-1] - values[0]
    assert layer.error == pytest.approx(np.linalg.norm(error) / norm)
    assert layer.correlation == pytest.approx(
        np.corrcoef(values[0].ravel(), values[-1].ravel())[0, 1])
    for name, before, after in zip(CAUSES, values, values[1:], strict=False):
        assert layer.errors[name] == pytest.approx(np.linalg.norm(after - before) / norm)
        assert layer.shares[name] == pytest.approx(np.vdot(after - before, error)
                                                   / np.vdot(error, error))


def test_what_weighs_most_comes_first():
    graph = dense(2 * np.eye(4), 0.1 * np.eye(4), np.eye(4))
    answer = report(graph, spiking(graph), grid(8), encoder="direct")
    assert [text.partition(";")[0] for text in answer.suggestions[:2]] == [
        "Layer 1 and the output layer: the main cause of error is time quantization",
        "Layer 0: the main cause of error is clipping"]


@pytest.mark.parametrize("encoder", ["poisson", "low_discrepancy", "direct"])
def test_classes_are_those_of_the_networks(encoder):
    graph, images = random_graph(2), np.random.default_rng(3).random((200, 12))
    # a ReLU after the logits changes no class, even where it makes all of them 0
    graph = replace(graph, layers=(*graph.layers[:-1],
                                   replace(graph.layers[-1], activation=RELU)))
    snn = spiking(graph, peaks(graph, images), 8, 0.5)
    labels = snn.classify(images, 7, encoder)
    assert report(graph, snn, images, labels, encoder=encoder, seed=7).accuracy["input_coding"] == 1
    logits = graph.currents(images)[-1]
    answer = report(graph, snn, images, logits.argmax(axis=1))
    assert answer.accuracy["ann"] == 1
    assert answer.layers[-1].error < 0.5


def test_ties_go_to_the_lowest_class():
    # 10 · 0.1, 1 and 0.7 + 0.3 differ by rounding errors alone
    graph = dense([[0.1] * 10, [1] + [0] * 9, [0.7, 0.3] + [0] * 8])
    answer = report(graph, spiking(graph), np.ones((1, 10)), [0])
    assert set(answer.accuracy.values()) == {1.0}


def convolutional(seed, pool=None):
    """Convolution, then another one behind a max pool or a sum of two branches, then logits."""
    random = np.random.default_rng(seed)
    if pool:
        middle = (Convolution(random.normal(0.1, 0.5, (3, 3, 1, 1)), pool.output_shape),)
        sources = (Source(0, pool),)
    else:
        middle = tuple(Dense(random.normal(0.02, 0.1, (75, n_input))) for n_input in (108, 36))
        sources = (Source(0), Source(INPUT))
    first = Convolution(random.normal(0.1, 0.5, (3, 1, 3, 3)), (1, 6, 6), padding=(1, 1))
    return AnnGraph((
        AnnLayer("a", (3, 6, 6), (first,), (Source(INPUT),), random.normal(0, 0.1, 108), RELU),
        AnnLayer("b", (3, 5, 5), middle, sources, None, RELU),
        AnnLayer("c", (4,), (Dense(random.normal(0, 0.2, (4, 75))),), (Source(1),), None, None),
    ), (1, 6, 6))


POOL = MaxPool((3, 6, 6), (2, 2), (1, 1))


@pytest.mark.parametrize(("encoder", "schedule", "membrane_width", "kind"), [
    ("lfsr", "pipelined", None, "dense"), ("lfsr", "pipelined", 5, "dense"),
    ("low_discrepancy", "pipelined", None, "sum"), ("direct", "pipelined", None, "sum"),
    ("direct", "layer_by_layer", None, "dense"), ("events", "pipelined", 6, "sum")])
def test_last_steps_are_those_of_the_golden_model(encoder, schedule, membrane_width, kind):
    graph = random_graph(4) if kind == "dense" else convolutional(4)
    random = np.random.default_rng(5)
    images = random.random((6, np.prod(graph.input_shape)))
    snn = spiking(graph, [2.0] * len(graph.layers), 7, 0.5, schedule)
    network = quantize(snn, 5, encoder=encoder, membrane_width=membrane_width)
    if encoder == "events":
        images = random.integers(0, 2, (6, 7, images.shape[1]))
    inputs = images if encoder == "events" else network.intensities(images)
    result = golden.trace(network, inputs)
    steps = Chain(graph, snn, network, encoder, 0).steps(images.astype(float))
    for values, spikes in zip(steps[-1][:-1], result.trace.spikes[:-1], strict=True):
        np.testing.assert_allclose(values, spikes.sum(axis=1) * 2 / 7)
    unit = network.neurons(len(network.layers) - 1).thresholds[0]
    np.testing.assert_allclose(steps[-1][-1], result.currents / unit * 2 / 7)
    activity = (snn.activity(inputs / 255, encoder="direct") if encoder == "direct" else
                snn.activity(result.trace.input_spikes, encoder="events"))
    np.testing.assert_allclose(steps[-2][0], activity.counts[0] * 2 / 7)
    answer = report(graph, snn, images, result.predicted, network)
    assert answer.accuracy["weight_quantization"] == 1


@pytest.mark.parametrize("pool", [None, POOL])
def test_many_timesteps_reach_the_analog_limit(pool):
    graph, images = convolutional(6, pool), np.random.default_rng(7).random((9, 36))
    scales = [np.random.default_rng(8).uniform(1, 3, 3).repeat(36), 2.0, 3.0]
    snn = spiking(graph, scales, 3000, 0.5, "layer_by_layer")
    steps = Chain(graph, snn, None, "direct", 0).steps(images)
    for before, after in zip(steps[1], steps[2], strict=True):
        np.testing.assert_allclose(before, after, atol=0.02)
    unclipped = spiking(graph, [50.0] * 3, 1, 0, "layer_by_layer")
    steps = Chain(graph, unclipped, None, "direct", 0).steps(images)
    for before, after in zip(steps[0], steps[1], strict=True):
        np.testing.assert_allclose(before, after, atol=1e-9)


def test_thresholds_cancel():
    graph, images = random_graph(2), np.random.default_rng(3).random((40, 12))
    snn = spiking(graph, peaks(graph, images), 5, 0.5)
    factors = [np.exp2(np.arange(10.0)), 4.0, 0.5]
    scaled = replace(
        snn, weights=[(w.T * f).T for w, f in zip(snn.weights, factors, strict=True)],
        biases=[b * f for b, f in zip(snn.biases, factors, strict=True)], thresholds=factors)
    answers = [report(graph, one, images, np.zeros(40, int), quantize(one))
               for one in (snn, scaled)]
    assert answers[0] == answers[1]


def test_chunks_make_no_difference(monkeypatch):
    graph, images = random_graph(2), np.random.default_rng(3).random((40, 12))
    snn = spiking(graph, peaks(graph, images), 5)
    network = quantize(snn)
    labels = np.zeros(40, int)
    whole = report(graph, snn, images, labels, network).as_dict()
    monkeypatch.setattr("sc_neurocore.conversion.report.causes._CHUNK_VALUES", 400)
    parts = report(graph, snn, images, labels, network).as_dict()
    assert parts["accuracy"] == whole["accuracy"]
    for one, other in zip(parts["layers"], whole["layers"], strict=True):
        assert one["shares"] == pytest.approx(other["shares"])
        assert one["correlation"] == pytest.approx(other["correlation"])


# --- neurons -----------------------------------------------------------------------------------


def test_dead_silent_and_saturated_neurons():
    graph = dense([[0.01, 0], [-1, 0], [3, 0], [0, 1]], np.eye(4))
    snn = spiking(graph, T=8, fraction=0.5)
    answer = report(graph, snn, grid(8, n_input=2), encoder="direct")
    assert answer.layers[0].dead == (0,)
    assert answer.layers[0].silent == (1,)
    assert answer.layers[0].saturated == (2,)
    assert answer.layers[1].dead == answer.layers[1].silent == answer.layers[1].saturated == ()
    assert answer.suggestions[-2:] == (
        "Layer 0: 1 of 4 neurons are dead; try a scale for each channel, or more timesteps",
        "Layer 0: 1 of 4 neurons are saturated; try a scale for each channel, or a higher "
        "percentile")


def test_neurons_with_scales_of_their_own():
    graph = dense([[0.01, 0], [-1, 0], [3, 0], [0, 1]], np.eye(4))
    snn = spiking(graph, [[0.01, 1, 3, 1], [1] * 4], T=8, fraction=0.5)
    answer = report(graph, snn, grid(8, n_input=2), encoder="direct")
    assert answer.layers[0].dead == answer.layers[0].saturated == ()
    assert answer.layers[0].error == pytest.approx(0, abs=1e-12)
    snn = spiking(graph, [[0.01, 1, 1.5, 1], [1] * 4], T=8, fraction=0.5)
    answer = report(graph, snn, grid(8, n_input=2), encoder="direct")
    assert answer.layers[0].saturated == (2,)
    assert "saturated" not in "".join(answer.suggestions)


# --- what it is made of ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def answer():
    graph, images = random_graph(2), np.random.default_rng(3).random((40, 12))
    snn = spiking(graph, peaks(graph, images), 5)
    return report(graph, snn, images, np.zeros(40, int), quantize(snn))


def test_json_round_trip(answer):
    assert json.loads(json.dumps(answer.as_dict(), allow_nan=False)) == answer.as_dict()
    assert list(answer.as_dict()["accuracy"]) == ["ann", *CAUSES]


def test_table(answer):
    lines = str(answer).splitlines()
    assert lines[0] == "40 images, T = 5, schedule pipelined, encoder lfsr"
    assert lines[1].startswith(f"accuracy: ANN {100 * answer.accuracy['ann']:.2f} % → clipping ")
    table = lines[lines.index("") + 1:]
    table = table[:table.index("")]
    assert len({len(line) for line in table}) == 1
    assert [line[:19].strip() for line in table] == [
        "layer", "path", "neurons", "correlation", "error", "clipping", "time quantization",
        "unevenness", "input coding", "weight quantization", "dead", "silent", "saturated"]
    assert lines[-len(answer.suggestions):] == list(answer.suggestions)


def test_values_that_are_all_the_same():
    graph = dense(np.zeros((3, 2)), np.zeros((2, 3)))
    answer = report(graph, spiking(graph), grid(8, n_input=2))
    assert answer.layers[0].correlation is None
    assert answer.layers[0].error == 0
    assert answer.layers[0].silent == (0, 1, 2)
    assert "–" in str(answer)
    json.dumps(answer.as_dict(), allow_nan=False)


def test_model_is_traced():
    manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 3, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(),
                          nn.Linear(12, 4))
    graph, images = trace(model, (1, 6, 6)), np.random.default_rng(1).random((20, 1, 6, 6))
    snn = spiking(graph, peaks(graph, images))
    answers = [report(model, snn, images), report(graph, snn, images.reshape(20, -1))]
    assert answers[0] == answers[1]
    assert answers[0].layers[0].path == "model.1"
    perceptron = nn.Sequential(nn.Flatten(), nn.Linear(36, 4))
    snn = spiking(trace(perceptron))
    assert report(perceptron, snn, images) == report(perceptron, snn, images.reshape(20, -1))


@pytest.mark.parametrize(("change", "message"), [
    (dict(snn=lambda snn: replace(snn, scales=None)), "snn must have scales, the activations"),
    (dict(snn=lambda snn: replace(snn, scales=[1.0, 1.0, [1, 1, 1, 1, 2]])),
     "output layer must share one scale and one threshold, but their quotients are 1 to 2"),
    (dict(graph=lambda graph: random_graph(shape=(12, 9, 8, 5))),
     "model must have the layers 12-10-8-5 of snn, not 12-9-8-5"),
    (dict(images=lambda images: images[:, 1:]), "images must have 12 values each"),
    (dict(images=lambda images: images[:0]), "images must have 12 values each, and be at least"),
    (dict(images=lambda images: images - 1), r"images\[0, 0\] must be in \[0, 1\]"),
    (dict(encoder=lambda _: "lfsr"), "encoder must be one of poisson, .*, not 'lfsr'"),
    (dict(encoder=lambda _: "events"), r"images must be spikes, \(n, T, 12\), not"),
    (dict(labels=lambda _: [0]), r"labels must have shape \(4,\), one for each image"),
    (dict(labels=lambda _: [0, 1, 5, 0]), r"labels\[2\] must be in range\(5\), not 5")])
def test_what_does_not_fit_is_refused(change, message):
    given = dict(graph=random_graph(), images=np.zeros((4, 12)), encoder="direct", labels=None)
    given["snn"] = spiking(given["graph"])
    given |= {name: make(given[name]) for name, make in change.items()}
    with pytest.raises(ValueError, match=message):
        report(given["graph"], given["snn"], given["images"], given["labels"],
               encoder=given["encoder"])


def test_network_must_be_that_of_the_snn():
    graph = random_graph()
    snn, images = spiking(graph), np.zeros((4, 12))
    other = quantize(spiking(random_graph(shape=(12, 9, 8, 5))))
    with pytest.raises(ValueError, match="network must have the layers 12-10-8-5 of snn, not 12-9"):
        report(graph, snn, images, network=other)
    with pytest.raises(ValueError, match="encoder must be that of network, lfsr, not 'direct'"):
        report(graph, snn, images, network=quantize(snn), encoder="direct")
    with pytest.raises(TypeError, match="labels must be integers"):
        report(graph, snn, images, [0.5] * 4)
    with pytest.raises(TypeError, match=r"model must be an nn\.Module or an AnnGraph, not int"):
        report(3, snn, images)


def test_timesteps_and_schedule_are_the_networks():
    graph, images = random_graph(2), np.random.default_rng(3).random((40, 12))
    snn = spiking(graph, peaks(graph, images), 5)
    network = replace(quantize(snn, timesteps=9), schedule="layer_by_layer")
    answer = report(graph, snn, images, network=network)
    assert (answer.timesteps, answer.schedule) == (9, "layer_by_layer")
    assert answer == report(graph, replace(snn, T=9, schedule="layer_by_layer"), images,
                            network=network)


def test_scales_explain_and_change_nothing():
    bare = ConvertedSNN([[[1.0, 2.0]], [[1.0]]], [None, None], [1.0, 1.0])
    scaled = replace(bare, scales=[2, [3.0]])
    assert scaled.scales[0] == 2.0
    assert scaled.scales[1].tolist() == [3.0]
    assert bare.run([0.3, 0.2], seed=1) == scaled.run([0.3, 0.2], seed=1)
    for wrong, message in (([0.0, 1.0], r"scales\[0\] must be greater than 0"),
                           ([1.0], "scales must have 2 entries"),
                           ([1.0, [1.0, 1.0]], r"scales\[1\] must have shape \(1,\)")):
        with pytest.raises(ValueError, match=message):
            replace(bare, scales=wrong)
