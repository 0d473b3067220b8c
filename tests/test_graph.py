"""Layers of a traced model against the model itself, in float64."""

import copy
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402
from torch.nn.utils import parametrizations  # noqa: E402

from sc_neurocore.conversion.graph import Activation, TracedModel, trace  # noqa: E402
from sc_neurocore.conversion.qcfs import (  # noqa: E402
    QCFSActivation,
    replace_relu_with_qcfs,
)
from sc_neurocore.conversion.tracing import affine  # noqa: E402
from sc_neurocore.synapses import INPUT, Convolution, Dense, MaxPool, Source  # noqa: E402


def randomized(model, seed=0):
    """The model with parameters and running statistics unlike their defaults."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not name.endswith("theta"):
            positive = name.endswith("running_var")
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * (1 if positive else 1.2)
                         + (0.5 if positive else -0.5))
    return model


def function(forward, **modules):
    """A module of the given parts that does ``forward(self, x)``."""
    made = type("Made", (nn.Module,), {"forward": forward})()
    for name, module in modules.items():
        setattr(made, name, module)
    return made


def outputs(model, images):
    with torch.no_grad():
        return copy.deepcopy(model).double().eval()(torch.from_numpy(images)).flatten(1).numpy()


def agrees(model, shape, seed=0):
    """The graph, once its logits are seen to be the model's."""
    model = randomized(model, seed)
    images = np.random.default_rng(seed).random((3, *shape))
    graph = trace(model, shape)
    np.testing.assert_allclose(graph.activations(images)[-1], outputs(model, images),
                               rtol=1e-9, atol=1e-12)
    assert graph.input_shape == shape
    return graph


def kinds(graph):
    return [tuple(type(one).__name__ for one in layer.synapses) for layer in graph.layers]


# --- one operation at a time -------------------------------------------------------------------

IMAGE = (4, 7, 6)


def arithmetic_in_place(self, x):
    y = self.c(x)
    y -= x
    y /= 4
    y *= 3
    return y


ONE_LAYER = {
    "conv": (nn.Conv2d(4, 6, 3), IMAGE),
    "conv, stride and padding": (nn.Conv2d(4, 6, (3, 2), (2, 1), (1, 2)), IMAGE),
    "conv, dilation": (nn.Conv2d(4, 6, 2, dilation=(3, 2)), IMAGE),
    "conv, groups": (nn.Conv2d(4, 6, 3, groups=2, padding=1), IMAGE),
    "conv, depthwise": (nn.Conv2d(4, 8, 3, groups=4, bias=False), IMAGE),
    "conv, same": (nn.Conv2d(4, 3, 3, padding="same", dilation=2), IMAGE),
    "conv, same and even": (nn.Conv2d(4, 3, (4, 2), padding="same", dilation=(1, 3)), IMAGE),
    "conv, valid": (nn.Conv2d(4, 3, 2, padding="valid"), IMAGE),
    "conv1d": (nn.Conv1d(3, 5, 4, 2, 3, 2), (3, 11)),
    "conv1d, same": (nn.Conv1d(3, 5, 4, padding="same"), (3, 11)),
    "conv functions": (function(
        lambda self, x: F.conv2d(x, self.a.weight, stride=2) + self.a.bias[:, None, None],
        a=nn.Conv2d(4, 2, 3)), IMAGE),
    "norm, conv": (nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 6, 3, padding=2)), IMAGE),
    "conv, norm": (nn.Sequential(nn.Conv2d(4, 6, 3, dilation=2), nn.BatchNorm2d(6)), IMAGE),
    "conv1d, norm": (nn.Sequential(nn.BatchNorm1d(3), nn.Conv1d(3, 2, 3), nn.BatchNorm1d(2)),
                     (3, 8)),
    "norm alone": (nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(),
                                 nn.BatchNorm2d(4, affine=False)), IMAGE),
    "norm function": (function(lambda self, x: F.batch_norm(
        self.c(x), self.b.running_mean, self.b.running_var, eps=0.5),
        c=nn.Conv2d(4, 2, 3), b=nn.BatchNorm2d(2)), IMAGE),
    "conv, conv": (nn.Sequential(nn.Conv2d(4, 6, 3, 2, 1, 2), nn.Conv2d(6, 4, 2, groups=2)), IMAGE),
    "conv, grouped convs": (nn.Sequential(nn.Conv2d(4, 4, 2, groups=4),
                                          nn.Conv2d(4, 6, 2, groups=2)), IMAGE),
    "avg pool": (nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(4, 3, 2)), IMAGE),
    "avg pool, overlapping": (nn.Sequential(nn.AvgPool2d(3, 2, 1), nn.Conv2d(4, 3, 2)), IMAGE),
    "avg pool, tiling, padded conv": (nn.Sequential(nn.AvgPool2d((7, 2)),
                                                    nn.Conv2d(4, 3, 3, padding=1)), IMAGE),
    "conv, avg pool": (nn.Sequential(nn.Conv2d(4, 3, 2, padding=1), nn.AvgPool2d(3, 2)), IMAGE),
    "avg pool1d": (nn.Sequential(nn.Conv1d(3, 4, 2), nn.AvgPool1d(3)), (3, 11)),
    "avg pool functions": (function(
        lambda self, x: self.c(F.avg_pool2d(x, 2, divisor_override=3)), c=nn.Conv2d(4, 2, 2)),
        IMAGE),
    "avg pool, ceil_mode": (nn.Sequential(nn.AvgPool2d((3, 2), (2, 2), ceil_mode=True),
                                          nn.Conv2d(4, 3, 2)), IMAGE),
    "global pool": (nn.Sequential(nn.Conv2d(4, 3, 2), nn.AdaptiveAvgPool2d(1)), IMAGE),
    "adaptive pool": (nn.Sequential(nn.AdaptiveAvgPool2d((1, 3)), nn.Conv2d(4, 3, 1)), IMAGE),
    "adaptive pool, nothing to do": (nn.Sequential(nn.AdaptiveAvgPool2d((7, None)),
                                                   nn.Conv2d(4, 3, 1)), IMAGE),
    "adaptive pool1d": (nn.Sequential(nn.Conv1d(3, 2, 2), nn.AdaptiveAvgPool1d(1)), (3, 11)),
    "mean": (function(lambda self, x: self.f(self.c(x).mean([2, 3])),
                      c=nn.Conv2d(4, 3, 2), f=nn.Linear(3, 2)), IMAGE),
    "mean, dimension after dimension": (function(
        lambda self, x: self.f(self.c(x).mean(-1).mean(dim=2)),
        c=nn.Conv2d(4, 3, 2), f=nn.Linear(3, 2)), IMAGE),
    "mean, kept": (function(lambda self, x: torch.mean(self.c(x), (2, 3), keepdim=True),
                            c=nn.Conv2d(4, 3, 2)), IMAGE),
    "linear, linear": (nn.Sequential(nn.Linear(5, 4), nn.Linear(4, 3, bias=False)), (5,)),
    "linear, norm": (nn.Sequential(nn.BatchNorm1d(5), nn.Linear(5, 4), nn.BatchNorm1d(4)), (5,)),
    "linear function": (function(lambda self, x: F.linear(x, self.a.weight * 2), a=nn.Linear(5, 2)),
                        (5,)),
    "flatten, norm": (nn.Sequential(nn.Conv2d(4, 2, 3), nn.Flatten(), nn.BatchNorm1d(40)), IMAGE),
    "constants": (function(lambda self, x: 1 - 3 * (self.c((x - self.c.bias[:, None, None]) / 2)
                                                    + self.w) - 0.5,
                           c=nn.Conv2d(4, 4, 1), w=nn.Parameter(torch.zeros(1, 1, 7, 6))), IMAGE),
    "constant functions": (function(lambda self, x: torch.sub(torch.mul(self.c(x), 2), 3).neg()
                                    .add(1).div(4), c=nn.Conv2d(4, 4, 1)), IMAGE),
    "scaled by pixel": (function(lambda self, x: self.f((x * self.w).flatten(1)),
                                 w=nn.Parameter(torch.zeros(7, 6)), f=nn.Linear(168, 2)), IMAGE),
    "normalized images": (function(lambda self, x: self.c((x - 0.5) / 0.25),
                                   c=nn.Conv2d(4, 2, 3, padding=1)), IMAGE),
    "unsqueezed": (function(lambda self, x: self.c(x.unsqueeze(1)).squeeze(1),
                            c=nn.Conv1d(1, 1, 3)), (9,)),
    "arithmetic in place": (function(arithmetic_in_place, c=nn.Conv2d(4, 4, 1)), IMAGE),
    "method of a parameter": (function(lambda self, x: self.c(x) * self.w.abs(),
                                       w=nn.Parameter(torch.zeros(7, 6)), c=nn.Conv2d(4, 2, 1)),
                              IMAGE),
    "images from vectors": (function(lambda self, x: self.c(x.view(-1, 1, 4, 5)),
                                     c=nn.Conv2d(1, 2, 3)), (20,)),
}


@pytest.mark.filterwarnings("ignore:Using padding='same'")
@pytest.mark.parametrize("case", ONE_LAYER)
def test_operations_do_what_they_do_in_torch(case):
    model, shape = ONE_LAYER[case]
    agrees(model, shape)
    after = nn.Sequential(nn.Conv2d(4, 4, 1) if shape == IMAGE else nn.BatchNorm1d(shape[0]),
                          nn.ReLU(), copy.deepcopy(model), nn.ReLU())
    if case not in ("images from vectors", "unsqueezed"):
        assert len(agrees(after, shape, seed=1).layers) >= 2


FLATTENED = {
    "Flatten": nn.Flatten(),
    "flatten": function(lambda self, x: torch.flatten(x, 1)),
    "x.flatten": function(lambda self, x: x.flatten(start_dim=1)),
    "x.flatten to the end": function(lambda self, x: x.flatten(1, 3)),
    "x.flatten by dimensions": function(lambda self, x: x.flatten(x.ndim - 3, x.dim() - 1)),
    "x.view": function(lambda self, x: x.view(x.size(0), -1)),
    "x.view by shape": function(lambda self, x: x.view(x.shape[0], x.shape[1] * x.shape[2]
                                                       * x.shape[3])),
    "x.view by numbers": function(lambda self, x: x.view(-1, 4 * 7 * 6)),
    "x.view of a tuple": function(lambda self, x: x.view((x.size()[0], -1))),
    "x.reshape": function(lambda self, x: x.reshape(len([1]) - 2, 168)),
    "torch.reshape": function(lambda self, x: torch.reshape(x, (x.size(0), -1))),
    "in two steps": function(lambda self, x: x.flatten(2).view(x.size(0), -1)),
    "unpacked": function(lambda self, x: (lambda n, c, h, w: x.view(n, c * h * w))(
        *(x.size(i) for i in range(4)))),
}


@pytest.mark.parametrize("case", FLATTENED)
def test_every_way_to_flatten_keeps_the_order(case):
    for pool in (nn.Identity(), nn.AvgPool2d(1, 1)):
        graph = agrees(nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), pool, FLATTENED[case],
                                     nn.Linear(168, 3)), IMAGE)
        assert kinds(graph) == [("Convolution",), ("Dense",)]


ACTIVATIONS = {
    "relu": (Activation("relu"), [
        nn.ReLU(), nn.ReLU(inplace=True), function(lambda self, x: F.relu(x)),
        function(lambda self, x: torch.relu(x)), function(lambda self, x: x.relu()),
        function(lambda self, x: x.relu_()), function(lambda self, x: torch.relu_(x)),
        function(lambda self, x: x.clamp(min=0)), function(lambda self, x: x.clamp_min(0.0)),
        function(lambda self, x: F.relu(x, inplace=True))]),
    "relu6": (Activation("relu6", 6.0), [
        nn.ReLU6(), function(lambda self, x: F.relu6(x)), nn.Hardtanh(0, 6),
        function(lambda self, x: torch.clamp(x, 0, 6)), function(lambda self, x: x.clip(0, max=6)),
        function(lambda self, x: F.hardtanh(x, 0.0, 6.0))]),
    "clamp": (Activation("clamp", 2.0), [function(lambda self, x: x.clamp(0, 2)),
                                         nn.Hardtanh(0, 2)]),
    "qcfs": (Activation("qcfs", 1.5, 4), [QCFSActivation(4, 1.5)]),
}


@pytest.mark.parametrize("case", ACTIVATIONS)
def test_activations_as_modules_functions_and_methods(case):
    expected, modules = ACTIVATIONS[case]
    for module in modules:
        graph = agrees(nn.Sequential(nn.Linear(4, 9), copy.deepcopy(module), nn.Linear(9, 2)), (4,))
        assert [layer.activation for layer in graph.layers] == [expected, None]
    assert expected.theta == (1.5 if case == "qcfs" else None)


def test_an_activation_that_changes_nothing_is_no_layer():
    first = nn.Sequential(nn.ReLU(), nn.ReLU6(), nn.Linear(4, 3))
    assert len(agrees(nn.Sequential(first, nn.ReLU6(), nn.Dropout(), nn.ReLU()), (4,)).layers) == 1
    graph = agrees(nn.Sequential(first, nn.ReLU(), nn.ReLU6(), QCFSActivation(4)), (4,))
    assert [layer.activation.kind for layer in graph.layers] == ["relu", "relu6", "qcfs"]


def test_dropout_and_the_like_do_nothing():
    idle = function(lambda self, x: F.dropout(x, 0.9, self.training).contiguous().clone())
    model = nn.Sequential(nn.Dropout(0.9), nn.Linear(4, 3), idle, nn.Identity(),
                          nn.AlphaDropout()).train()
    graph = agrees(model, (4,))
    assert kinds(graph) == [("Dense",)]
    assert all(module.training for module in model.modules())


# --- structure ---------------------------------------------------------------------------------

def test_convolutions_with_norms_and_pools_stay_convolutions():
    model = nn.Sequential(
        nn.BatchNorm2d(1), nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(4, 6, 3, 2, 1, groups=2), nn.AvgPool2d(2), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(6, 3))
    graph = agrees(model, (1, 18, 18))
    assert kinds(graph) == [("Convolution",), ("Convolution",), ("Dense",)]
    second = graph.layers[1].synapses[0]
    assert second.kernel.shape == (6, 2, 10, 10)
    assert (second.stride, second.padding, second.groups) == ((8, 8), (2, 2), 2)
    assert [(layer.n_output, layer.channels, layer.positions) for layer in graph.layers] == [
        (1024, 4, 256), (24, 6, 4), (3, 3, 1)]
    assert [layer.path for layer in graph.layers] == ["model.3", "model.7", "model.10"]


def test_where_no_convolution_computes_the_same_it_is_a_matrix():
    # the padding of the convolution is around the means, of which the last column has none
    inexact = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.AvgPool2d(2),
                            nn.Conv2d(4, 3, 3, padding=1), nn.ReLU())
    assert kinds(agrees(inexact, (4, 7, 7))) == [("Convolution",), ("Dense",)]
    graph = agrees(nn.Sequential(nn.AvgPool2d(3, 2, 1, count_include_pad=False),
                                 nn.Conv2d(4, 3, 2), nn.ReLU()), IMAGE)
    assert kinds(graph) == [("Dense",)]
    assert (graph.layers[0].channels, graph.layers[0].positions) == (3, 6)
    with pytest.raises(ValueError, match=r"model\.4 \(ReLU\) would need a matrix of 10800×58564 "):
        trace(inexact[:4].append(nn.ReLU()), (4, 121, 121))


def test_a_bias_before_padding_is_right_at_the_borders():
    model = nn.Sequential(nn.BatchNorm2d(1), nn.Conv2d(1, 1, 3, padding=1, bias=False))
    graph = agrees(model, (1, 3, 3))
    assert len(set(graph.layers[0].bias.reshape(3, 3)[[0, 0, 1], [0, 1, 1]])) == 3
    assert trace(nn.Conv2d(1, 1, 3, bias=False), (1, 3, 3)).layers[0].bias is None


numbers = st.integers(1, 3)


@st.composite
def stacks(draw):
    """Convolutions with norms and pools around them, of one or two dimensions."""
    dims = draw(st.sampled_from([1, 2]))
    conv, norm, pool = ((nn.Conv1d, nn.BatchNorm1d, nn.AvgPool1d) if dims == 1 else
                        (nn.Conv2d, nn.BatchNorm2d, nn.AvgPool2d))
    each = st.tuples(*[numbers] * dims)
    modules, channels = [], draw(st.sampled_from([1, 2, 4]))
    first = channels
    for _ in range(draw(st.integers(1, 3))):
        if draw(st.booleans()):
            modules.append(norm(channels))
        if draw(st.booleans()):
            size = draw(numbers)
            modules.append(pool(size, draw(numbers), draw(st.integers(0, size // 2))))
        wider = draw(st.sampled_from([2, 4]))
        groups = draw(st.sampled_from([n for n in (1, 2, 4) if channels % n == wider % n == 0]))
        modules.append(conv(channels, wider, draw(each), draw(each), draw(numbers) - 1,
                            draw(each), groups, draw(st.booleans())))
        channels = wider
        if draw(st.booleans()):
            modules.append(nn.ReLU())
    shape = (first, *draw(st.tuples(*[st.integers(7, 12)] * dims)))
    return nn.Sequential(*modules), shape


@settings(max_examples=50, deadline=None)
@given(stacks(), st.integers(0, 99))
def test_stacks_of_convolutions_are_the_models(stack, seed):
    model, shape = stack
    try:
        model.eval()(torch.zeros(1, *shape))
    except RuntimeError:  # a kernel is larger than what is left of the image
        with pytest.raises(ValueError, match="does not fit its images"):
            trace(model, shape)
        return
    agrees(model, shape, seed)


# --- branches ----------------------------------------------------------------------------------

class Block(nn.Module):
    """As in ResNet: the ReLU is used twice and in place, and so is the sum."""

    def __init__(self, channels_in, channels_out, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels_out)
        self.relu = nn.ReLU(inplace=True)
        self.shortcut = nn.Identity() if stride == 1 else nn.Sequential(
            nn.Conv2d(channels_in, channels_out, 1, stride, bias=False),
            nn.BatchNorm2d(channels_out))

    def forward(self, x):
        out = self.relu(self.norm1(self.conv1(x)))
        out = self.norm2(self.conv2(out))
        out += self.shortcut(x)
        return self.relu(out)


def residual_network():
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True),
                         nn.MaxPool2d(3, 2, 1), Block(4, 4, 1), Block(4, 6, 2),
                         nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(6, 5))


def test_residual_blocks():
    graph = agrees(residual_network(), (3, 17, 17))
    assert kinds(graph) == [("Convolution",), ("Convolution",), ("Convolution", "Convolution"),
                            ("Convolution",), ("Convolution", "Convolution"), ("Dense",)]
    pool = MaxPool((4, 9, 9), (3, 3), (2, 2), (1, 1))
    assert [layer.sources for layer in graph.layers] == [
        (Source(INPUT),), (Source(0, pool),), (Source(1), Source(0, pool)), (Source(2),),
        (Source(3), Source(2)), (Source(4),)]
    assert [layer.path for layer in graph.layers] == [
        "model.2", "model.4.relu", "model.4.relu@1", "model.5.relu", "model.5.relu@1", "model.8"]
    identity = graph.layers[2].synapses[1]
    assert (identity.kernel.shape, identity.groups) == ((4, 1, 1, 1), 4)


def test_branches_from_one_layer_are_added_up():
    three, one = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 1, groups=2)
    far = nn.Conv2d(4, 4, 3, padding=2, dilation=2)
    graph = agrees(function(lambda self, x: torch.add(self.a(x), self.b(x), alpha=2) - x
                            + self.c(x), a=three, b=one, c=far), IMAGE)
    assert kinds(graph) == [("Convolution",)]
    assert graph.layers[0].synapses[0].kernel.shape == (4, 4, 5, 5)
    graph = agrees(function(lambda self, x: x + self.a(x), a=nn.Linear(4, 4)), (4,))
    assert kinds(graph) == [("Dense",)]
    graph = agrees(function(lambda self, x: self.a(x) + self.b(x), a=nn.Conv2d(4, 4, 4),
                            b=nn.Conv2d(4, 4, 2, dilation=3)), IMAGE)
    assert kinds(graph) == [("Convolution",)]
    shifted = nn.Conv2d(4, 4, (1, 4), padding=(0, 2), stride=(1, 1))
    other = nn.Conv2d(4, 4, (1, 2), padding=(0, 1))
    graph = agrees(function(lambda self, x: self.a(x) + self.b(x), a=shifted, b=other), IMAGE)
    assert kinds(graph) == [("Convolution",)]


def convolution(rng, wanted):
    """Synapses from 4 channels of 6×9 that make images of the ``wanted`` shape, in strides of 2."""
    while True:
        size, padding, dilation = (rng.integers(low, 4, 2).tolist() for low in (1, 0, 1))
        groups = int(rng.choice([1, 2]))
        kernel = rng.normal(size=(wanted[0], 4 // groups, *size))
        try:
            made = Convolution(kernel, (4, 6, 9), (2, 2), tuple(padding), tuple(dilation), groups)
        except ValueError:
            continue
        if made.output_shape == wanted:
            return made


@pytest.mark.parametrize("seed", range(40))
def test_a_sum_of_convolutions_of_one_size_is_a_convolution(seed):
    rng = np.random.default_rng(seed)
    one, other = (convolution(rng, (2, *rng.permuted([3, 4]))) if seed % 2 else
                  convolution(rng, (2, 3, 4)) for _ in range(2))
    both = affine.added((one,), (other,), one.output_shape)
    if one.output_shape != other.output_shape:
        assert both is None
        return
    images = rng.random((2, 216))
    np.testing.assert_allclose(both[0].apply(images), one.apply(images) + other.apply(images))


def test_branches_that_no_single_map_adds_up_stay_apart(monkeypatch):
    far = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1))
    graph = agrees(function(lambda self, x: x + self.a(x), a=far), IMAGE)
    assert graph.layers[0].sources == (Source(INPUT), Source(INPUT))
    strided = function(lambda self, x: self.a(x) + self.b(x), a=nn.Conv2d(4, 2, 3, 2),
                       b=nn.Conv2d(4, 2, 5))
    assert kinds(agrees(strided, IMAGE)) == [("Convolution", "Convolution")]
    monkeypatch.setattr(affine, "LARGEST_MATRIX", 1000)
    skipped = function(lambda self, x: x + self.a(x), a=nn.Linear(40, 40))
    assert kinds(agrees(skipped, (40,))) == [("Convolution", "Dense")]


def test_branches_of_different_structure_become_matrices():
    graph = agrees(function(
        lambda self, x: F.relu(self.a(F.relu(self.c(x)).flatten(1)) + self.c(x).flatten(1)),
        c=nn.Conv2d(4, 2, 3), a=nn.Linear(40, 40)), IMAGE)
    assert kinds(graph) == [("Convolution",), ("Dense", "Dense")]
    assert graph.layers[1].positions == 1
    vectors = agrees(function(lambda self, x: F.relu(self.b(F.relu(self.a(x))) + F.relu(self.a(x))),
                              a=nn.Linear(4, 5), b=nn.Linear(5, 5)), (4,))
    assert len(vectors.layers) == 3  # the ReLU is computed twice in torch, too


def test_what_an_inplace_operation_changes_is_changed_everywhere():
    def forward(self, x):
        y = self.a(x)
        kept, same = y.clone(), y.view(y.size(0), -1)
        z = F.relu(y, inplace=True)
        y += 1
        same *= 2
        return kept + y + z

    graph = agrees(function(forward, a=nn.Linear(4, 3)), (4,))
    assert [layer.sources for layer in graph.layers] == [(Source(INPUT),),
                                                         (Source(INPUT), Source(0))]

    def statement(self, x):
        y = self.a(x)
        y.relu_()
        return self.b(y)

    assert len(agrees(function(statement, a=nn.Linear(4, 3), b=nn.Linear(3, 3)), (4,)).layers) == 2


def test_modules_may_be_used_again():
    graph = agrees(function(lambda self, x: self.a(self.r(self.a(self.r(self.a(x))))),
                            a=nn.Linear(4, 4), r=nn.ReLU()), (4,))
    assert [layer.path for layer in graph.layers] == ["model.r", "model.r@1", "model.a"]
    for layer in graph.layers[1:]:
        np.testing.assert_array_equal(layer.synapses[0].weights,
                                      graph.layers[0].synapses[0].weights)


def test_what_the_output_does_not_depend_on_is_left_out():
    def forward(self, x):
        unused = torch.tanh(x)
        hidden = F.relu(self.b(x))
        del unused
        return self.a(F.relu(self.a(x)).view(hidden.size(0), -1))

    graph = agrees(function(forward, a=nn.Linear(4, 4), b=nn.Linear(4, 9)), (4,))
    assert [layer.sources for layer in graph.layers] == [(Source(INPUT),), (Source(0),)]


def test_traced_models_may_be_traced():
    model = randomized(residual_network())
    images = np.random.default_rng(0).random((2, 3, 17, 17))
    graph = trace(torch.fx.symbolic_trace(model.eval()), (3, 17, 17))
    np.testing.assert_allclose(graph.currents(images)[-1], outputs(model, images), rtol=1e-9)
    shared = function(lambda self, x: self.b(F.relu(self.a(x))), a=nn.Linear(4, 3),
                      b=nn.Linear(3, 2))
    graph = trace(replace_relu_with_qcfs(shared, T=4))
    assert [layer.activation for layer in graph.layers] == [Activation("qcfs", 1.0, 4), None]


def test_buffers_are_never_changed():
    def forward(self, x):
        self.calls += 1
        self.last = x
        return self.a(x) * self.scale

    model = function(forward, a=nn.Linear(4, 3))
    model.register_buffer("calls", torch.zeros(()))
    model.register_buffer("scale", torch.tensor([1.0, 2.0, 3.0]))
    state = torch.get_rng_state()
    np.testing.assert_allclose(trace(model).layers[0].synapses[0].weights,
                               model.a.weight.detach().double() * model.scale[:, None])
    assert model.calls == 0
    assert not hasattr(model, "last")
    assert torch.equal(torch.get_rng_state(), state)


# --- max pools ---------------------------------------------------------------------------------

@pytest.mark.parametrize("pool", [
    nn.MaxPool2d(2), nn.MaxPool2d(3, 2, 1), nn.MaxPool2d((2, 3), (1, 2), dilation=(3, 1)),
    function(lambda self, x: F.max_pool2d(x, 2)), nn.MaxPool2d(2, ceil_mode=True, padding=(1, 0)),
    function(lambda self, x: torch.max_pool2d(x, (3, 2)))])
def test_max_pools_before_or_after_the_activation(pool):
    conv, after = nn.Conv2d(4, 3, (2, 3)), nn.Conv2d(3, 2, 2, padding=1)
    for order in ([pool, nn.Dropout(), nn.ReLU()], [nn.ReLU6(), pool, nn.Flatten(2)],
                  [pool, QCFSActivation(4, 2.0)], [nn.ReLU(), pool, nn.ReLU()]):
        tail = [] if isinstance(order[-1], nn.Flatten) else [after]
        graph = agrees(nn.Sequential(conv, *order, *tail), IMAGE)
        assert len(graph.layers) == 2
        assert graph.layers[1].sources[0].max_pool is not None


def test_max_pool1d_and_a_max_pool_at_the_end():
    graph = agrees(nn.Sequential(nn.Conv1d(3, 2, 3), nn.ReLU(), nn.MaxPool1d(2)), (3, 11))
    assert graph.layers[1].sources == (Source(0, MaxPool((2, 1, 9), (1, 2), (1, 2))),)
    np.testing.assert_array_equal(graph.layers[1].synapses[0].matrix(), np.eye(8))


# --- what is refused ---------------------------------------------------------------------------

def decides(self, x):
    return x if x.sum() > 0 else -x


def loops(self, x):
    for _ in range(x.size(1)):
        x = x + 1
    return x


SMALL = (2, 6, 6)

REFUSED = {
    "control flow": (function(decides), r"model\.0 \(.*Made\), which torch\.fx can't trace: "
                     r"test_graph\.py, line \d+: symbolically traced variables"),
    "loop": (function(loops), r"which torch\.fx can't trace: test_graph\.py, line \d+: 'Proxy'"),
    "two inputs": (nn.Bilinear(1, 1, 1), r"model\.0 \(Bilinear\)"),
    "function": (function(lambda self, x: torch.tanh(x)), r"tanh\(\) in model\.0 \(.*Made\)[;]"),
    "method": (function(lambda self, x: x.sigmoid()), r"sigmoid\(\) in model\.0"),
    "softmax": (function(lambda self, x: F.log_softmax(x, 1)), r"log_softmax\(\) .* is not needed"),
    "tuple": (function(lambda self, x: (x, x)), r"model\.1 \(Conv2d\) must take one tensor, not a"),
    "product": (function(lambda self, x: x * x), r"mul\(\) .* must multiply by constants"),
    "quotient": (function(lambda self, x: 1 / (x + 1)), r"truediv\(\) .* must divide by constants"),
    "by zero": (function(lambda self, x: x / 0), r"must not divide by 0"),
    "weights": (function(lambda self, x: F.conv2d(x, x)), r"must have a constant as weight"),
    "broadcast": (function(lambda self, x: x + x.mean((2, 3), keepdim=True)),
                  r"must add values of the same shape, not \(2, 6, 6\) and \(2, 1, 1\)"),
    "large constant": (function(lambda self, x: x + torch.ones(2, 2, 6, 6)),
                       r"must have a constant that fits \(2, 6, 6\), not one of shape \(2, 2, 6"),
    "random": (function(lambda self, x: x + torch.rand(6)), r"model \(Sequential\) draws random"),
    "dropout": (function(lambda self, x: F.dropout(x)), r"drops out in evaluation mode, too"),
    "rounding": (function(lambda self, x: torch.div(x, 2, rounding_mode="floor")),
                 r"has arguments that are not supported: .*rounding_mode"),
    "index": (function(lambda self, x: x[:, :, ::2]), r"getitem\(\) in model\.0"),
    "concatenated": (function(lambda self, x: torch.cat([x, x], 1)), r"cat\(\) in model\.0"),
    "state": (function(lambda self, x: x + self.n.add_(1), n=nn.Parameter(torch.ones(()))),
              r"add_\(\) .* changes what the next images would find"),
    "batch": (function(lambda self, x: x.view(-1, 36)), r"must keep images of shape \(2, 6, 6\) "),
    "odd size": (function(lambda self, x: x.view(x.size(0), 35)), r"must keep images of shape "
                 r"\(2, 6, 6\) apart, .* not make \(the size of the batch, 35\)"),
    "shape": (function(lambda self, x: x.view(x.size(0), -1, -1)), r"view\(\) in .* a shape of "
              r"integers, at most one of them -1, not \(the size of the batch, -1, -1\)"),
    "fraction": (function(lambda self, x: x.reshape(x.size(0), x.size(1) / 2, -1)),
                 r"reshape\(\) in .* a shape of integers, .* not \(the size of .*, 1\.0, -1\)"),
    "attribute": (function(lambda self, x: x + x.T), r"getattr\(\) in model\.0 \(.*\) uses \.T"),
    "dimension": (function(lambda self, x: x.mean(4)),
                  r"mean\(\) in .* must have a dimension in range\(-4, 4\), not 4"),
    "dimension of the size": (function(lambda self, x: x.view(x.size(-5), -1)),
                              r"size\(\) in .* a dimension in range\(-4, 4\), not -5"),
    "unsqueezed batch": (function(lambda self, x: x.unsqueeze(-5)), r"unsqueeze\(\) in .* must add "
                         r"a dimension in range\(1, 5\) or range\(-4, 0\), after that of the "
                         r"batch, not -5"),
    "unsqueezed too far": (function(lambda self, x: x.unsqueeze(5)), r"range\(1, 5\) or .* not 5"),
    "batch as a number": (function(lambda self, x: x / x.size(0)),
                          r"truediv\(\) in .* must take numbers, not the size of the batch"),
    "flatten": (nn.Flatten(0), r"Flatten\) flattens dimensions 0 to -1"),
    "squeeze": (function(lambda self, x: x.squeeze()), r"must say which dimension"),
    "regrouped": (nn.Sequential(nn.Conv2d(2, 2, 1), function(lambda self, x: x.view(
        x.size(0), 1, 12, 6))), r"must flatten images or keep their channels, not make \(1, 12, 6"),
    "mean": (function(lambda self, x: x.mean(1)), r"must be taken over rows or columns"),
    "clamp": (nn.Hardtanh(), r"must clamp from 0 on, not from -1\.0 to 1\.0"),
    "clamp to 0": (function(lambda self, x: x.clamp(0, 0)),
                   r"clamp\(\) in .* must clamp to more than 0, not to 0"),
    "weights alone": (function(lambda self, x: x + self.c(self.w), c=nn.Conv2d(2, 2, 1),
                               w=nn.Parameter(torch.ones(2, 6, 6))),
                      r"model\.0\.c \(Conv2d\) is applied to what does not depend on the images"),
    "weights that do not fit": (function(
        lambda self, x: x + self.w @ self.w, w=nn.Parameter(torch.ones(2, 6))),
        r"matmul\(\) in model\.0 \(.*\) can't be computed: .*\(2x6 and 2x6\)"),
    "once": (function(lambda self, x: self.t(self.t(x)), t=nn.Tanh()),
             r"(?<=convert )model\.0\.t \(Tanh\); supported"),
    "training norm": (function(lambda self, x: F.batch_norm(
        x, self.n.running_mean, self.n.running_var, training=True), n=nn.BatchNorm2d(2)),
        r"normalizes by the batch"),
    "statistics": (nn.BatchNorm2d(2, track_running_stats=False), r"has no running statistics"),
    "padding": (nn.Conv2d(2, 2, 3, padding=1, padding_mode="circular"),
                r"has padding_mode 'circular', not 'zeros'"),
    "ceil": (nn.AvgPool2d(4, ceil_mode=True), r"must not use ceil_mode where windows go beyond"),
    "adaptive": (nn.AdaptiveAvgPool2d(4), r"must make a size that divides .*\(6, 6\), not \(4, 4"),
    "dimensions": (nn.BatchNorm1d(2), r"must take images of shape \(channels, length\), not \(2, "),
    "channels": (nn.Conv2d(3, 2, 1), r"must take 2 channels, as many as the images have, not 3"),
    "kernel": (nn.Conv2d(2, 2, 7), r"does not fit its images: Kernel must reach over at most 6"),
    "image": (nn.Linear(6, 6), r"must take vectors, not images of shape .*: put a Flatten before"),
    "parametrized": (parametrizations.weight_norm(nn.Conv2d(2, 2, 1)), r"Parametrized"),
    "first max pool": (nn.MaxPool2d(2), r"must not be applied to the images: pool them beforehand"),
    "window": (function(lambda self, x: F.avg_pool2d(x, (1, 2, 3))),
               r"avg_pool2d\(\) in .* must have 2 integer\(s\), not \(1, 2, 3\)"),
    "indices of a module": (nn.Sequential(nn.Conv2d(2, 2, 1), nn.MaxPool2d(
        2, return_indices=True)), r"model\.0\.1 \(MaxPool2d\) must not return indices"),
    "empty window": (nn.Sequential(nn.Conv2d(2, 2, 1), nn.MaxPool2d(2, 1, 1, 7)),
                     r"model\.0\.1 \(MaxPool2d\) must have no window with padding alone in it"),
    "indices": (function(lambda self, x: F.max_pool2d_with_indices(x, 2)), r"max_pool2d_with_ind"),
    "max pool of sums": (nn.Sequential(nn.Conv2d(2, 2, 1), nn.MaxPool2d(2)),
                         r"model\.1 \(Conv2d\) takes the largest of values that are not rectified"),
    "max pools": (nn.Sequential(nn.Conv2d(2, 2, 1), nn.ReLU(), nn.MaxPool2d(2), nn.MaxPool2d(2)),
                  r"must not follow another max pool: make them one"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_named_with_the_reason(case):
    model, message = REFUSED[case]
    with pytest.raises(ValueError, match=r"^Can't convert (?s:.*)" + message) as caught:
        trace(nn.Sequential(model, nn.Conv2d(2, 1, 1)), SMALL)
    assert "; supported are AdaptiveAvgPool1d, AdaptiveAvgPool2d" in str(caught.value)


def test_a_model_that_can_not_be_copied_is_refused():
    model = nn.Linear(2, 2)
    model.lock = threading.Lock()
    with pytest.raises(ValueError, match=r"^model must be one that copy\.deepcopy can copy: cannot "
                                         r"pickle '_thread\.lock' object$"):
        trace(model)


def test_all_complaints_are_in_one_error():
    model = nn.Sequential(nn.Conv2d(2, 2, 1), nn.Tanh(), nn.Conv2d(2, 2, 9), nn.Sigmoid(),
                          nn.Conv2d(2, 2, 1, padding_mode="reflect"), nn.MaxPool2d(2))
    with pytest.raises(ValueError, match=r"model\.1 \(Tanh\); model\.3 \(Sigmoid\); model\.4 "
                                         r"\(Conv2d\) has padding_mode"):
        trace(model, SMALL)
    with pytest.raises(ValueError, match=r"model\.1 \(MaxPool2d\) is exact under "
                       r'schedule="layer_by_layer" alone: ask for that, or train with average'):
        trace(nn.Sequential(nn.Conv2d(2, 2, 1), nn.MaxPool2d(2), nn.ReLU()), SMALL, max_pool=False)


def test_logits_must_be_one_tensor():
    for forward, found in [(lambda self, x: (self.a(x), x), "a tuple"),
                           (lambda self, x: F.max_pool2d(self.a(x), 2), "the largest of logits")]:
        with pytest.raises(ValueError, match=f"must return one tensor of logits, not {found}"):
            trace(function(forward, a=nn.Conv2d(2, 2, 1)), SMALL)


def test_the_shape_of_the_images_must_be_known():
    model = nn.Sequential(nn.Conv2d(1, 1, 3), nn.Flatten(), nn.Linear(4, 2))
    with pytest.raises(ValueError, match=r"^input_shape must be given, such as \(1, 28, 28\), or "):
        trace(model)
    with pytest.raises(ValueError, match=r"model\.0 \(Conv2d\) must take images of shape \(channels"
                       r", height, width\), not \(16,\): pass input_shape=\(channels, height"):
        trace(model, (16,))
    with pytest.raises(ValueError, match=r"model\.2 \(Linear\) must take 9 values, as many as the"):
        trace(model, (1, 5, 5))
    with pytest.raises(ValueError, match=r"^Can't convert model\.3 \(Tanh\); supported are"):
        trace(model.append(nn.Tanh()))


def test_what_a_first_linear_tells():
    for model, expected in [
            (nn.Linear(5, 2), ((5,), False)),
            (nn.Sequential(nn.Dropout(), nn.BatchNorm1d(5), nn.Linear(5, 2)), ((5,), False)),
            (nn.Sequential(nn.Flatten(), nn.Linear(5, 2)), ((5,), True)),
            (function(lambda self, x: F.linear(x.view(-1, 5) - 0.5, self.a.weight),
                      a=nn.Linear(5, 2)), ((5,), True)),
            (nn.Sequential(nn.Conv1d(1, 1, 1), nn.Linear(5, 2)), (None, False))]:
        traced = TracedModel(model)
        assert (traced.input_shape, traced.flattens) == expected


def test_images_must_have_the_shape_of_the_input():
    graph = trace(nn.Conv2d(1, 1, 3), (1, 4, 4))
    assert graph.currents(np.zeros((2, 16)))[0].shape == (2, 4)
    with pytest.raises(ValueError, match=r"have shape \(n, 16\) or \(n, 1, 4, 4\), not \(2, 1"):
        graph.currents(np.zeros((2, 15)))
    assert isinstance(graph.layers[0].synapses[0], Convolution)
    assert isinstance(trace(nn.Conv2d(1, 1, 4), (1, 4, 4)).layers[0].synapses[0], Dense)
