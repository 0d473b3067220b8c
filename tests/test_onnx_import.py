"""Networks come back from ONNX files as they were; whatever is wrong is one ValueError."""

import operator
import random
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")
from onnx.reference import ReferenceEvaluator  # noqa: E402
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

from sc_neurocore.conversion import QCFSActivation, convert  # noqa: E402
from sc_neurocore.extras import MissingExtraError  # noqa: E402
from sc_neurocore.interchange.onnx_graph import Node  # noqa: E402
from sc_neurocore.interchange.onnx_import import load_onnx  # noqa: E402
from sc_neurocore.interchange.onnx_operators import unsupported  # noqa: E402

# torch deprecates its older exporter, by which most files were written, and parts of it again
pytestmark = [pytest.mark.filterwarnings(f"ignore:{message}:DeprecationWarning") for message in (
    "You are using the legacy TorchScript-based ONNX export", "The feature will be removed")]


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(2, 4, 3, padding=1)
        self.norm = nn.BatchNorm2d(4)
        self.second = nn.Conv2d(4, 4, 3, padding=1, bias=False)
        self.shortcut = nn.Conv2d(2, 4, 1)
        self.classifier = nn.Linear(4, 3)

    def forward(self, x):
        y = F.relu(self.norm(self.first(x)))
        x = F.relu(self.norm(self.second(y)) + self.shortcut(x))
        return self.classifier((x + y).mean((2, 3)))


class Viewed(nn.Module):
    """Flattens as many hand-written networks do, by a size of the input."""

    def __init__(self, view):
        super().__init__()
        self.conv, self.classifier, self.view = nn.Conv2d(2, 3, 3), nn.Linear(108, 3), view

    def forward(self, x):
        x = F.relu6(self.conv(x))
        return self.classifier(self.view(x))


MODELS = {
    "perceptron": lambda: nn.Sequential(
        nn.Linear(4, 6), nn.ReLU(), nn.Dropout(), nn.Linear(6, 3)),
    "perceptron with batch norm and without bias": lambda: nn.Sequential(
        nn.BatchNorm1d(4), nn.Linear(4, 6, bias=False), nn.BatchNorm1d(6), nn.ReLU6(),
        nn.BatchNorm1d(6), nn.Identity(), nn.Linear(6, 3, bias=False), nn.ReLU()),
    "linear over rows of an image": lambda: nn.Sequential(
        nn.Linear(8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(48, 3)),
    "pools": lambda: nn.Sequential(
        nn.Conv2d(2, 4, (3, 2)), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(3, 1, 1),
        nn.AvgPool2d(3, 2, 1), nn.AvgPool2d(2, (1, 2), 1, count_include_pad=False),
        nn.Flatten(), nn.Linear(48, 3)),
    "convolutions": lambda: nn.Sequential(
        nn.Conv2d(2, 4, 3, stride=2, padding=(1, 2)), nn.ReLU(),
        nn.Conv2d(4, 4, 3, padding=2, dilation=2, groups=2, bias=False), nn.ReLU(),
        nn.Conv2d(4, 8, 3, padding="same", groups=4), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(8, 3)),
    "pools that round up": lambda: nn.Sequential(
        nn.MaxPool2d(3, 2, ceil_mode=True), nn.AvgPool2d(3, 2, ceil_mode=True)),
    "sequences": lambda: nn.Sequential(
        nn.Conv1d(2, 4, 3, padding=1), nn.BatchNorm1d(4), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(4, 4, 3, dilation=1, groups=4), nn.ReLU(), nn.AvgPool1d(2, 1),
        nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(4, 3)),
    "residual block": Residual,
    "view by size": lambda: Viewed(lambda x: x.view(x.size(0), -1)),
    "view by sizes": lambda: Viewed(lambda x: x.view(x.shape[0], x.size(1) * x.size(2) * 6)),
    "view by number": lambda: Viewed(lambda x: x.view(-1, 108)),
    "QCFS": lambda: nn.Sequential(nn.Linear(4, 6), QCFSActivation(4, 1.5), nn.Linear(6, 3)),
}


def shape_of(name):
    return ((4,) if name.startswith(("perceptron", "QCFS")) else
            (2, 8) if name == "sequences" else (2, 8, 8))


def trained(model, seed=0):
    """Give a model random weights and statistics, unlike those it starts with."""
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not name.endswith("theta"):
            tensor.copy_(torch.rand(tensor.shape, generator=generator)
                         + (0.5 if name.endswith("running_var") else -0.5))
    return model.eval()


def images_of(shape, n=5):
    return torch.rand(n, *shape, generator=torch.Generator().manual_seed(1)) * 2 - 0.5


def export(model, images, path, **options):
    torch.onnx.export(model, (images,), path, input_names=["images"], dynamo=False, **options)
    return path


def reference(path, images):
    network = ReferenceEvaluator(str(path))
    return network.run(None, {network.input_names[0]: images.numpy()})[0]


def check_same(path, images, *models):
    """A file as read here computes what onnx's own evaluator does, and what the models do."""
    with torch.no_grad():
        got = load_onnx(path)(images).numpy()
        for want in (reference(path, images), *(model(images).numpy() for model in models)):
            np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MODELS)
def test_exported_networks_compute_what_they_did(tmp_path, name):
    model, images = trained(MODELS[name]()), images_of(shape_of(name))
    path = export(model, images, tmp_path / "a.onnx",
                  dynamic_axes={"images": {0: "batch"}})
    check_same(path, images, model)


# torch 2.13's exporter calls a function of its own that it deprecates
@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning")
@pytest.mark.parametrize("name", ["residual block", "sequences", "QCFS"])
def test_so_do_those_of_the_newer_exporter(tmp_path, name):
    pytest.importorskip("onnxscript")
    model, images = trained(MODELS[name]()), images_of(shape_of(name))
    torch.onnx.export(model, (images,), tmp_path / "a.onnx", dynamo=True, verbose=False,
                      dynamic_shapes=({0: torch.export.Dim("batch")},))
    assert (tmp_path / "a.onnx.data").exists()      # it writes weights to a file of their own
    check_same(tmp_path / "a.onnx", images, model)


@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning")
@pytest.mark.parametrize("T", [1, 4, 8])
def test_qcfs_whose_factors_of_1_are_folded_away_is_recognized(tmp_path, T):
    pytest.importorskip("onnxscript")
    model = trained(nn.Sequential(nn.Linear(4, 6), QCFSActivation(T, 1.0), nn.Linear(6, 3)))
    images = images_of((4,))
    torch.onnx.export(model, (images,), tmp_path / "a.onnx", dynamo=True, verbose=False)
    loaded = load_onnx(tmp_path / "a.onnx")
    assert isinstance(loaded[1], QCFSActivation)
    assert (loaded[1].T, loaded[1].theta.item()) == (T, 1.0)
    check_same(tmp_path / "a.onnx", images, model)


@pytest.mark.parametrize("opset", [9, 11, 13, 17])
@pytest.mark.parametrize("name", ["convolutions", "perceptron with batch norm and without bias"])
def test_so_do_those_of_older_opsets(tmp_path, name, opset):
    model, images = trained(MODELS[name]()), images_of(shape_of(name))
    loaded = load_onnx(export(model, images, tmp_path / "a.onnx", opset_version=opset,
                              do_constant_folding=opset != 13))
    # the evaluator of onnx mixes the batch's statistics into a BatchNormalization before opset 14
    torch.testing.assert_close(loaded(images), model(images), rtol=1e-5, atol=1e-6)


def test_chain_becomes_a_sequential_of_torch_modules(tmp_path):
    model = trained(MODELS["pools"]())
    loaded = load_onnx(export(model, images_of((2, 8, 8)), tmp_path / "a.onnx"))
    assert type(loaded) is nn.Sequential
    assert {name: type(module) for name, module in loaded.named_children()} == {
        "0_Conv": nn.Conv2d, "2_Relu": nn.ReLU, "3_MaxPool": nn.MaxPool2d,
        "4_AveragePool": nn.AvgPool2d, "5_AveragePool": nn.AvgPool2d, "6_Flatten": nn.Flatten,
        "7_Gemm": nn.Linear}
    assert not loaded.training
    assert all(parameter.requires_grad for parameter in loaded.parameters())


def test_residual_block_becomes_a_graph_of_modules_and_sums(tmp_path):
    loaded = load_onnx(export(trained(Residual()), images_of((2, 8, 8)), tmp_path / "a.onnx"))
    assert isinstance(loaded, torch.fx.GraphModule)
    assert [node.name for node in loaded.graph.nodes if node.target is operator.add] == [
        "Add", "Add_1"]
    kinds = [type(module) for module in loaded.children()]
    assert kinds == [nn.Conv2d, nn.ReLU, nn.Conv2d, nn.Conv2d, nn.ReLU, nn.AdaptiveAvgPool2d,
                     nn.Flatten, nn.Linear]


def test_batch_of_the_file_does_not_matter(tmp_path):
    for name in ("pools", "view by size", "view by number"):
        model, images = trained(MODELS[name]()), images_of((2, 8, 8))
        loaded = load_onnx(export(model, images[:1], tmp_path / "a.onnx"))
        torch.testing.assert_close(loaded(images), model(images))


def test_loading_draws_no_random_numbers(tmp_path):
    export(trained(Residual()), images_of((2, 8, 8)), tmp_path / "a.onnx")
    before = torch.get_rng_state()
    load_onnx(tmp_path / "a.onnx")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(("dtype", "kept"), [(torch.float16, torch.float32),
                                             (torch.float64, torch.float64)])
def test_precision_is_kept_or_raised(tmp_path, dtype, kept):
    model, images = trained(MODELS["perceptron"]()).to(dtype), images_of((4,)).to(dtype)
    loaded = load_onnx(export(model, images, tmp_path / "a.onnx"))
    for ours, theirs in zip(loaded.parameters(), model.parameters(), strict=True):
        assert ours.dtype == kept
        assert torch.equal(ours, theirs.to(kept))


def test_conversion_takes_what_was_loaded(tmp_path):
    for name in ("perceptron", "QCFS"):
        model, images = trained(MODELS[name]()), images_of((4,), 20).clamp(0, 1)
        loaded = load_onnx(export(model, images, tmp_path / "a.onnx"))
        np.testing.assert_array_equal(convert(loaded, images).run(images.numpy(), seed=0),
                                      convert(model, images).run(images.numpy(), seed=0))


class AuthorsQCFS(nn.Module):
    """As Bu et al. 2022 wrote it in two repositories."""

    def __init__(self, clamp_first, theta=2.5):
        super().__init__()
        self.thresh, self.clamp_first = nn.Parameter(torch.tensor([theta])), clamp_first

    def forward(self, x):
        x = x / self.thresh
        if self.clamp_first:
            return torch.floor(torch.clamp(x, 0, 1) * 8 + 0.5) / 8 * self.thresh
        return torch.clamp(torch.floor(x * 8 + 0.5) / 8, 0, 1) * self.thresh


@pytest.mark.filterwarnings("ignore:`isinstance.treespec, LeafSpec.` is deprecated:FutureWarning")
@pytest.mark.parametrize("theta", [2.5, 1.0])
@pytest.mark.parametrize("newer", [True, False])
@pytest.mark.parametrize("clamp_first", [True, False])
def test_qcfs_of_its_authors_is_recognized(tmp_path, clamp_first, newer, theta):
    if newer:
        pytest.importorskip("onnxscript")
    model = nn.Sequential(nn.Linear(4, 6), AuthorsQCFS(clamp_first, theta)).eval()
    torch.onnx.export(model, (images_of((4,)),), tmp_path / "a.onnx", dynamo=newer, verbose=False)
    loaded = load_onnx(tmp_path / "a.onnx")
    assert isinstance(loaded[1], QCFSActivation)
    assert (loaded[1].T, loaded[1].theta.item()) == (8, theta)
    check_same(tmp_path / "a.onnx", images_of((4,)), model)


def write(path, nodes, images="float[N,2,4,4]", result="float[N,a]", constants="", opset=18):
    """Save a graph in onnx's own notation."""
    onnx.save(onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["": {opset}, "other": 1]>\n'
        f"g ({images} x) => ({result} y) <{constants}> {{ {nodes} }}"), path)
    return path


W = "float[2,3] w = {1,2,3,4,5,6}, float[3] b = {7,8,9}"
KERNEL = ("float[2,1,1,1] k = {2,3}, float[2,1,1] kb = {4,5}, float[4,1,3,3] wide = "
          f"{{{','.join(str(i % 7) for i in range(36))}}}")
AXES = "int64[2] axes = {-1,-2}, int64[2] flat = {0,-1}, int64[2] any = {-1,32}"


@pytest.mark.parametrize(("nodes", "options"), [
    ("y = Gemm <alpha = 0.5, beta = 2.0> (x, w, b)", dict(constants=W, images="float[N,2]")),
    ("y = Gemm <transB = 1> (x, w)", dict(constants=W, images="float[N,3]")),
    ("z = Gemm (x, w, ) y = Add (b, z)", dict(constants=W, images="float[N,2]")),
    ("y = Gemm (x, w, c)", dict(constants=W + ", float c = {3}", images="float[N,2]")),
    ("z = MatMul (x, w) y = Add (z, b)", dict(
        constants=W, images="float[N,5,2]", result="float[N,5,3]")),
    ("y = MatMul (x, w) z = Add (y, b)", dict(constants=W, images="float[N,2]")),
    ("v = Transpose <perm = [1, 0]> (w) u = Identity (v) y = MatMul (x, u)",
     dict(constants=W, images="float[N,3]")),
    ("z = Conv <group = 2> (x, k) y = Add (z, kb)", dict(
        constants=KERNEL, result="float[N,2,4,4]")),
    ('y = Conv <group = 2, auto_pad = "SAME_UPPER"> (x, wide)', dict(
        constants=KERNEL, result="float[N,4,4,4]")),
    ('y = Conv <group = 2, auto_pad = "SAME_LOWER", strides = [3, 3]> (x, wide)', dict(
        constants=KERNEL, result="float[N,4,2,2]")),
    ('y = Conv <group = 2, auto_pad = "VALID"> (x, wide)', dict(
        constants=KERNEL, result="float[N,4,2,2]")),
    ("y = Flatten <axis = -3> (x)", {}),
    ("y = Reshape (x, flat)", dict(constants=AXES)),
    ("y = Reshape (x, any)", dict(constants=AXES)),
    ("y = Reshape <allowzero = 1> (x, any)", dict(constants=AXES)),
    ("s = Shape <start = 0, end = 1> (x) m = Constant <value_ints = [-1]> () "
     "t = Concat <axis = 0> (s, m) y = Reshape (x, t)", {}),
    ("z = GlobalAveragePool (x) y = Squeeze (z, axes)", dict(constants=AXES)),
    ("y = ReduceMean <keepdims = 0> (x, axes)", dict(constants=AXES)),
    ("y = ReduceMean (x, axes)", dict(constants=AXES, result="float[N,2,1,1]")),
    ("y = ReduceMean <axes = [2, 3], keepdims = 0> (x)", dict(opset=13)),
    ("z = Constant <value_float = 0.0> () y = Clip (x, z)", dict(result="float[N,2,4,4]")),
    ("y = Clip <min = 0.0, max = 6.0> (x)", dict(opset=9, result="float[N,2,4,4]")),
    ("y, mask = Dropout <ratio = 0.3> (x)", dict(opset=9, result="float[N,2,4,4]")),
    ("y = Add (x, x)", dict(result="float[N,2,4,4]")),
    ("z = Identity (x) y = Relu (z)", dict(result="float[N,2,4,4]")),
    ("d = Sigmoid (x) y = Relu (x)", dict(result="float[N,2,4,4]")),     # d leads nowhere
])
def test_other_ways_to_write_a_layer_are_read(tmp_path, nodes, options):
    path = write(tmp_path / "a.onnx", nodes, **options)
    sizes = onnx.load(path).graph.input[0].type.tensor_type.shape.dim[1:]
    check_same(path, images_of([size.dim_value for size in sizes]) * 8)


@pytest.mark.parametrize(("nodes", "options", "message"), [
    ("[last] y = Softmax (x)", {}, r"node 'last' \(Softmax\) must not be part of the exported"),
    ("y = Sigmoid (x)", {}, r"node 'Sigmoid_y' \(Sigmoid\) must be replaced by Relu"),
    ("y = other.Magic (x)", {}, r"\(other.Magic\) is not supported; supported are Gemm"),
    ("z = Tanh (x) y = Concat <axis = 1> (x, z)", {}, r"\(Tanh\) .*; node .* \(Concat\) is not"),
    ("y = Gemm <transA = 1> (x, w)", dict(constants=W, images="float[N,2]"), "transA = 0"),
    ("y = Gemm (x, w)", dict(constants=W), r"must take rows of values, not \(2, 4, 4\)"),
    ("y = Gemm (x, w)", dict(constants=W, images="float[N,5]"), r"\(Gemm\) can't be a module"),
    ("y = Gemm (x, w, c)", dict(constants=W + ", float[2,3] c = {1,2,3,4,5,6}",
                                images="float[N,2]"), "must have a bias of 3 values"),
    ("y = MatMul (w, x)", dict(constants=W, images="float[3,4]"), "must take what the images"),
    ("y = MatMul (x, x)", {}, "must have a constant as input 2, not the result 'x'"),
    ("z = MatMul (x, w) y = Add (z, c)", dict(
        constants=W + ", float c = {3}", images="float[N,2]"), "must add 3 values to 'MatMul_z'"),
    ("y = Add (x, c)", dict(constants="float c = {3}"), "must add two results, or be the bias"),
    ("z = GlobalAveragePool (x) y = Add (x, z)", {}, r"the same shape, not \(2, 4, 4\) and"),
    ("z = MatMul (x, w) a = Add (z, b) y = Add (a, z)", dict(constants=W, images="float[N,2]"),
     "whose result nothing else takes"),
    ("y = Mul (x, c)", dict(constants="float c = {3}"), "only as a part of a QCFS activation"),
    ("y = Conv <group = 2, pads = [1, 0, 0, 1]> (x, k)", dict(constants=KERNEL),
     r"the same padding on both sides, not \[1, 0, 0, 1\]"),
    ("y = Conv <group = 2, strides = [0, 1]> (x, k)", dict(constants=KERNEL), "at least 1, not"),
    ("y = Conv <group = 3> (x, k)", dict(constants=KERNEL), "can't be a module of torch: .*group"),
    ("y = Conv <group = 2, kernel_shape = [1, 2]> (x, k)", dict(constants=KERNEL),
     r"weights of 4 dimensions that end with its kernel_shape, not \(2, 1, 1, 1\)"),
    ("y = Conv (x, k)", dict(constants="int32[1,2,1,1] k = {2, 3}"),
     r"\(Conv\) must have float32 weights, not int32 of shape \(1, 2, 1, 1\)"),
    ("y = MatMul (x, w)", dict(constants="double[4,1] w = {1, 2, 3, 4}"),
     r"\(MatMul\) must have float32 weights, not float64 of shape \(4, 1\)"),
    ("y = MatMul (x, w)", dict(constants="float[2,4,1] w = {1, 2, 3, 4, 5, 6, 7, 8}"),
     r"\(MatMul\) must have weights of two dimensions, not \(2, 4, 1\)"),
    ('y = MaxPool <kernel_shape = [2, 2], auto_pad = "SAME"> (x)', {},
     r"\(MaxPool\) must have auto_pad NOTSET, VALID, SAME_UPPER or SAME_LOWER, not SAME; "),
    ('y = MaxPool <kernel_shape = [2, 2], auto_pad = "VALID", ceil_mode = 1> (x)', {},
     r"\(MaxPool\) must have ceil_mode 0 if auto_pad says what the size is"),
    ("y = Conv <group = 2> (x, k)", dict(constants=KERNEL, images="float[N,2,4,4,4]"),
     r"must take \(channels, length\) or \(channels, height, width\), not"),
    ("y = AveragePool <kernel_shape = [2, 2], dilations = [2, 2]> (x)", dict(opset=19),
     "must have dilations of 1"),
    ("y, places = MaxPool <kernel_shape = [2, 2]> (x) z = Relu (places)", {}, "one result"),
    ("y = ReduceMean (x, c)", dict(constants="int64[1] c = {3}"), r"all of an image, axes \[2, 3"),
    ("y = ReduceMean (x)", {}, "all of an image"),
    ("y = ReduceMean (x, c)", dict(constants="int64[2] c = {2, 4}"),
     r"\(ReduceMean\) must have axes in range\(-4, 4\), not \[2, 4\]"),
    ("y = Unsqueeze (x, c)", dict(constants="int64[1] c = {1}"), "AdaptiveAvgPool1d of 1"),
    ("z = Unsqueeze (x, c) m = ReduceMean (z, c) y = Squeeze (m, c)",
     dict(constants="int64[1] c = {2}", images="float[N,2,4]"),
     r"\(Unsqueeze\) is supported only where it makes an AdaptiveAvgPool1d of 1"),
    ("y = Flatten <axis = 2> (x)", {}, "must have axis 1"),
    ("y = Squeeze (x)", {}, "use Flatten"),
    ("y = Reshape (x, c)", dict(constants="int64[3] c = {0, 2, 16}"),
     r"must flatten all but the batch, \(batch, 32\), not reshape \(2, 4, 4\) to \[0, 2, 16\]"),
    ("y = Reshape (x, c)", dict(constants="int64[2] c = {1, 32}"), "all but the batch"),
    ("s = Shape (x) t = Abs (s) y = Reshape (x, t)", {},
     r"\(Reshape\) must have a shape that can be computed, not 't'"),
    ("s = Shape (x) t = Mul (s, s) y = Reshape (x, t)", {},
     r"\(Reshape\) must keep the size of the batch as it is"),
    ("y = Clip (x, c)", dict(constants="float[2] c = {0, 0}"),
     r"\(Clip\) must have numbers as limits, not \(\[0\.0, 0\.0\], inf\)"),
    ("y = Clip (x, c)", dict(constants="float c = {1}"), "from 0 up, as ReLU, not from 1.0 to inf"),
    ("y = BatchNormalization <training_mode = 1> (x, c, c, c, c)", dict(
        constants="float[2] c = {1, 2}"), r"call model.eval\(\) first"),
    ("y, m, v, sm, sv = BatchNormalization (x, c, c, c, c)", dict(
        constants="float[2] c = {1, 2}", opset=13), r"call model.eval\(\) first"),
    ("r = Constant <value_float = 0.5> () t = Cast <to = 9> (r) y = Dropout (x, r, t)", {},
     r"call model.eval\(\) first"),
    ("y = BatchNormalization (x, c, c, c, c)", dict(
        constants="float[2] c = {1, 2}", images="float[N,2,3,4,5]"),
     r"\(BatchNormalization\) must take images of at most 3 dimensions, not 4"),
    ('s = Constant <value_string = "a"> () y = Relu (x)', {}, r"\(Constant\) must hold numbers"),
    ("y = Relu (x)", dict(constants="complex64[1] c = {1, 2}"),
     "constant 'c' must be real numbers, not complex64"),
    ("y = Relu (x)", dict(images="float[N,2,h,4]"), r"of fixed size, not of shape \(N, 2, h, 4\)"),
    ("y = Relu (x)", dict(images="float[4]"), "a batch of images"),
    ("y = Relu (x)", dict(images="int32[N,4]"), "must be float, double or float16, not int32"),
    ("y = Relu (x)", dict(images="float[N,4] z, float[N,4]"), "one input, not 'z', 'x'"),
    ("y = Relu (x) z = Relu (x)", dict(result="float[N,4] z, float[N,4]"), "one output, not"),
    ("y = Relu (c)", dict(constants="float[2] c = {1, 2}"), "'y' must depend on its input"),
    ("y = Relu (x)", dict(opset=8), "must be of opset 9 or newer, not 8"),
])
def test_everything_else_is_refused_by_name(tmp_path, nodes, options, message):
    path = write(tmp_path / "a.onnx", nodes, **options)
    with pytest.raises(ValueError, match=message) as caught:
        load_onnx(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("constants", [(4, 1.5, 0.5, 0, 5, 1.5, 4), (4, 1.5, 0, 0, 4, 1.5, 4),
                                       (4, 1.5, 0.5, 0, 4, 2, 4), (4, -1, 0.5, 0, 4, -1, 4),
                                       (2.5, 1, 0.5, 0, 2.5, 1, 2.5)])
def test_what_is_nearly_qcfs_is_refused(tmp_path, constants):
    steps, theta, shift, low, high, theta_again, steps_again = constants
    path = write(tmp_path / "a.onnx", "b = Mul (x, s) c = Div (b, t) d = Add (c, h) e = Floor (d) "
                 "f = Clip (e, l, u) g = Mul (f, v) y = Div (g, w)", constants=", ".join(
                     f"float {name} = {{{float(value)}}}" for name, value in zip(
                         "sthluvw", (steps, theta, shift, low, high, theta_again, steps_again),
                         strict=True)))
    with pytest.raises(ValueError, match=r"\(Mul\) (is supported only|can't be a module)"):
        load_onnx(path)


def test_qcfs_that_begins_with_its_clip_is_recognized(tmp_path):
    path = write(tmp_path / "a.onnx", "a = Clip (x, l, h) b = Mul (a, s) c = Add (b, r) "
                 "d = Floor (c) y = Div (d, s)", constants="float l = {0}, float h = {1}, "
                 "float s = {4}, float r = {0.5}", result="float[N,2,4,4]")
    (activation,) = load_onnx(path)
    assert (activation.T, activation.theta.item()) == (4, 1.0)
    check_same(path, images_of((2, 4, 4)), QCFSActivation(4, 1.0))


def test_attributes_of_later_opsets_are_refused():
    """Today's onnx knows none that this package doesn't, and refuses the others itself."""
    node = Node(onnx.helper.make_node("Relu", ["x"], ["y"], "last", slope=0.1, alpha=2))
    assert str(unsupported(node)) == "node 'last' (Relu) has unknown attributes alpha, slope"


def test_sparse_weights_are_refused(tmp_path):
    path = write(tmp_path / "a.onnx", "y = Relu (x)", result="float[N,2,4,4]")
    model = onnx.load(path)
    model.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(
        onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [1], [2.0]),
        onnx.helper.make_tensor("places", onnx.TensorProto.INT64, [1], [3]), [8]))
    onnx.save(model, path)
    with pytest.raises(ValueError, match="sparse initializers must be exported as dense ones"):
        load_onnx(path)


def test_names_can_not_execute_anything(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = export(trained(Residual()), images_of((2, 8, 8)), tmp_path / "a.onnx")
    model = onnx.load(path)
    names = ['"); open("trapped", "w") #', "forward", "training", "a.b", "a_b", "", "graph", "0"]
    for node, name in zip([node for node in model.graph.node if node.op_type != "Constant"],
                          names, strict=False):
        node.name = name
    onnx.save(model, path)
    loaded = load_onnx(path)
    loaded(images_of((2, 8, 8)))
    assert [name for name, _ in loaded.named_children()][:4] == [
        "open_trapped_w", "forward_1", "training_1", "a_b"]
    assert not (tmp_path / "trapped").exists()


@pytest.fixture
def split(tmp_path):
    """A network whose weights are in a file of their own, and a file in another folder."""
    folder = tmp_path / "network"
    folder.mkdir()
    path = export(trained(MODELS["perceptron"]()), images_of((4,)), folder / "a.onnx")
    onnx.save(onnx.load(path), path, save_as_external_data=True, location="weights",
              size_threshold=0)
    (tmp_path / "secret").write_bytes((folder / "weights").read_bytes())
    return path


def relocate(path, **entries):
    """Change where a network's weights are said to be."""
    model = onnx.load(path, load_external_data=False)
    for tensor in model.graph.initializer:
        known = {entry.key: entry.value for entry in tensor.external_data}
        del tensor.external_data[:]
        for key, value in {**known, **entries}.items():
            tensor.external_data.add(key=key, value=str(value))
    onnx.save(model, path)


def test_weights_beside_the_file_are_read(split):
    check_same(split, images_of((4,)), trained(MODELS["perceptron"]()))


@pytest.mark.parametrize("place", ["../secret", "{}/secret", "link", "hard", "folder/../../secret",
                                   "missing", ""])
def test_weights_elsewhere_are_refused(split, place):
    (split.parent / "link").symlink_to(split.parent.parent / "secret")
    (split.parent / "hard").hardlink_to(split.parent.parent / "secret")
    (split.parent / "folder").mkdir()
    relocate(split, location=place.format(split.parent.parent))
    with pytest.raises(ValueError, match=r"a\.onnx can't be read: ValidationError: "):
        load_onnx(split)


@pytest.mark.parametrize("entries", [dict(offset=10**9), dict(length=10**12), dict(offset=-1),
                                     dict(length="x"), dict(length=3), dict(checksums="x")])
def test_wrong_places_in_the_file_of_weights_are_refused(split, entries):
    relocate(split, **entries)
    with pytest.raises(ValueError, match=r"a\.onnx can't be read: "):
        load_onnx(split)


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"\x00" * 100, b"{}", b"\x80\x04K\x01."])
def test_files_that_are_something_else_are_refused(tmp_path, content):
    (tmp_path / "a.onnx").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.onnx can't be read: \w+: ."):
        load_onnx(tmp_path / "a.onnx")


def fault_of(path):
    """What is wrong with a file, None where it can be read."""
    try:
        load_onnx(path)
    except ValueError as error:
        return str(error)


def test_broken_files_give_one_kind_of_error(tmp_path):
    draw, path, faults = random.Random(0), tmp_path / "a.onnx", []
    for name in ("residual block", "view by size", "QCFS"):
        export(trained(MODELS[name]()), images_of(shape_of(name)), path)
        content = path.read_bytes()
        for _ in range(70):
            broken = bytearray(content[:draw.choice([None, draw.randrange(1, len(content))])])
            for _ in range(draw.randint(0, 4)):
                broken[draw.randrange(len(broken))] ^= 1 << draw.randrange(8)
            path.write_bytes(broken)
            faults.append(fault_of(path))
    told = [fault for fault in faults if fault is not None]   # a weight's bits are right either way
    assert len(told) > 100
    assert {fault.partition(" can't be ")[0] for fault in told} == {f"ONNX file {path}"}


def test_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.onnx"):
        load_onnx(tmp_path / "nothing.onnx")


def test_missing_library_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sc-neurocore-fpga\[interchange\]'"):
        load_onnx(tmp_path / "a.onnx")
