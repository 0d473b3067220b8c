import copy
import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn.utils import parametrizations, prune  # noqa: E402

from sc_neurocore.conversion import QCFSActivation, ann_to_snn, convert  # noqa: E402
from sc_neurocore.conversion.graph import trace  # noqa: E402
from sc_neurocore.conversion.scales import Balancing  # noqa: E402
from sc_neurocore.conversion.training import train_mlp  # noqa: E402
from sc_neurocore.synapses import INPUT, Convolution, Dense, Source  # noqa: E402


def linear(weight, bias=None):
    weight = torch.tensor(weight, dtype=torch.float32)
    module = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None)
    with torch.no_grad():
        module.weight.copy_(weight)
        if bias is not None:
            module.bias.copy_(torch.tensor(bias, dtype=torch.float32))
    return module


def random_model(seed, *activations, norm=True, width=6):
    """Linear, BatchNorm1d, activation, ... with running statistics unlike their defaults."""
    generator = torch.Generator().manual_seed(seed)
    modules, n_input = [], 4
    for activation in activations:
        modules.append(nn.utils.skip_init(nn.Linear, n_input, width))
        if norm:
            modules.append(nn.BatchNorm1d(width))
        modules += [] if activation is None else [activation]
        n_input = width
    model = nn.Sequential(*modules)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and not name.endswith("theta"):
            positive = name.endswith("running_var")
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * (1 if positive else 1.6)
                         + (0.5 if positive else -0.6))
    return model


def outputs(model, x):
    with torch.no_grad():
        return copy.deepcopy(model).double().eval()(torch.tensor(x)).numpy()


def rates(snn, x, T=5000):
    return dataclasses.replace(snn, T=T).run(x, seed=0) / T


CORNERS = np.array([[i >> j & 1 for j in range(4)] for i in range(16)], dtype=float)
"""All images without grey, whose spike trains are the same with every seed."""


# --- the numbers -------------------------------------------------------------------------------

def test_weights_and_biases_are_scaled_by_hand_computed_lambdas():
    model = nn.Sequential(linear([[2.0, 0], [0, 4]], [0, 1]), nn.ReLU(), linear([[1.0, -1]], [6]))
    # pre-activations (2, 1), (0, 5): λ0 = 5; logits 1 - ... = 2 - 1 + 6, 0 - 5 + 6: λ1 = 7
    snn = convert(model, np.array([[1.0, 0], [0, 1]]), percentile=100)
    np.testing.assert_allclose(snn.weights[0], [[0.4, 0], [0, 0.8]])
    np.testing.assert_allclose(snn.biases[0], [0, 0.2])
    np.testing.assert_allclose(snn.weights[1], np.array([[1, -1]]) * 5 / 7)
    np.testing.assert_allclose(snn.biases[1], [6 / 7])
    assert snn.thresholds == [1.0, 1.0]
    assert (snn.T, snn.initial_membrane_fraction) == (16, 0.0)


def test_without_calibration_parameters_are_unchanged():
    snn = convert(nn.Sequential(linear([[2.0]], [0.5]), nn.ReLU(), linear([[3.0]])), T=5)
    assert [w.tolist() for w in snn.weights] == [[[2.0]], [[3.0]]]
    assert snn.biases[0].tolist() == [0.5]
    assert snn.biases[1] is None
    assert snn.T == 5


def test_bias_drives_a_neuron_in_every_timestep():
    snn = convert(nn.Sequential(linear([[0.0]], [0.5]), nn.ReLU()), T=256)
    assert snn.run([0.0]).tolist() == [128.0]


def test_bias_is_divided_by_lambda():
    model = nn.Sequential(linear([[3.0]], [1.0]), nn.ReLU())
    assert convert(model, [[1.0]], T=256).run([0.0]).tolist() == [64.0]


def test_scale_is_a_percentile_of_the_positive_activations_alone():
    model = nn.Sequential(linear([[100.0]], [-50]), nn.ReLU())
    x = np.linspace(0, 1, 101)[:, None]  # half of the pre-activations are negative
    for percentile in (50, 90, 100):
        expected = np.percentile(np.arange(1, 51), percentile)
        snn = convert(model, x, percentile=percentile)
        assert 100 / snn.weights[0][0, 0] == pytest.approx(expected, rel=1e-5)


def test_scale_without_positive_activations_is_the_greatest_magnitude_or_one():
    assert convert(linear([[-4.0]], [-1]), [[0.0], [1.0]]).weights[0].tolist() == [[-0.8]]
    assert convert(linear([[-4.0]]), [[0.0]]).weights[0].tolist() == [[-4.0]]


def test_relu6_clips_and_so_does_its_scale():
    model = nn.Sequential(linear([[12.0]]), nn.ReLU6(), linear([[1.0]]))
    assert [w.item() for w in convert(model).weights] == [2.0, 6.0]
    calibrated = convert(model, [[1.0]])  # the logit is 6 and not 12
    assert [w.item() for w in calibrated.weights] == [2.0, 1.0]
    assert convert(model, [[0.25]]).weights[0].item() == 4.0
    assert calibrated.run([1.0]).tolist() == [16.0]


def test_output_counts_do_not_saturate():
    model = nn.Sequential(linear(np.eye(3)), nn.ReLU(), linear(np.diag([20.0, 50, 30])))
    snn = convert(model, np.ones((1, 3)), T=64)
    counts = snn.run(np.ones(3))
    assert counts == pytest.approx(64 * np.array([0.4, 1.0, 0.6]), abs=1)
    assert snn.classify(np.ones(3)) == 1


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("activation", [nn.ReLU, nn.ReLU6])
def test_rates_approach_the_anns_activations_with_many_timesteps(seed, activation):
    model = random_model(seed, activation(), activation(), activation())
    snn = convert(model, CORNERS, percentile=100)
    y = outputs(model, CORNERS)
    assert y.max() > 0
    np.testing.assert_allclose(rates(snn, CORNERS), y / min(y.max(), 6), atol=2e-3)


def test_rates_of_grey_images_approach_the_anns_activations_too():
    model = random_model(0, nn.ReLU())
    images = np.random.default_rng(0).random((5, 4))
    snn = convert(model, CORNERS, percentile=100)
    lambda_ = outputs(model, CORNERS).max()
    np.testing.assert_allclose(rates(snn, images), outputs(model, images) / lambda_, atol=0.02)


@pytest.mark.parametrize("seed", range(3))
def test_classes_are_the_anns(seed):
    model = random_model(seed, nn.ReLU(), nn.ReLU(), None)
    snn = convert(model, CORNERS, T=4000)
    np.testing.assert_array_equal(snn.classify(CORNERS), outputs(model, CORNERS).argmax(axis=1))


def test_calibration_follows_the_ann_and_not_the_clipped_rates():
    model = nn.Sequential(linear([[1.0]]), nn.ReLU(), linear([[1.0]]), nn.ReLU())
    x = np.r_[np.full(999, 0.1), 1.0][:, None]
    first, second = (w.item() for w in convert(model, x, percentile=50).weights)
    assert (first, second) == pytest.approx((10, 1))
    assert convert(model, x, percentile=100).weights[0].item() == 1


# --- structures --------------------------------------------------------------------------------

def test_batch_normalization_is_folded_on_either_side():
    torch.manual_seed(0)
    before = nn.Sequential(nn.BatchNorm1d(4), *random_model(1, None, nn.ReLU(), nn.ReLU()))
    before[0].running_mean.copy_(torch.tensor([0.1, 0.2, 0.3, 0.4]))
    before[0].running_var.copy_(torch.tensor([0.5, 1, 2, 3]))
    after = nn.Sequential(*random_model(2, nn.ReLU(), nn.ReLU()), nn.BatchNorm1d(6, affine=False),
                          nn.Linear(6, 3), nn.ReLU())
    for model in (before, after):
        snn = convert(model, CORNERS, percentile=100)
        y = outputs(model, CORNERS)
        np.testing.assert_allclose(rates(snn, CORNERS), y / y.max(), atol=3e-3)
    assert before[0].training  # and yet its running statistics were what counted


def test_batch_normalization_by_hand():
    norm = nn.BatchNorm1d(1, eps=1.0)
    norm.load_state_dict({"weight": torch.tensor([3.0]), "bias": torch.tensor([1.0]),
                          "running_mean": torch.tensor([2.0]), "running_var": torch.tensor([3.0]),
                          "num_batches_tracked": torch.tensor(0)})
    snn = convert(nn.Sequential(linear([[2.0]], [5]), norm))
    assert (snn.weights[0].item(), snn.biases[0].item()) == (3.0, 5.5)
    snn = convert(nn.Sequential(norm, linear([[2.0]], [5])))
    assert (snn.weights[0].item(), snn.biases[0].item()) == (3.0, 1.0)
    snn = convert(nn.Sequential(norm, nn.ReLU(), linear([[2.0]])))
    assert [w.tolist() for w in snn.weights] == [[[1.5]], [[2.0]]]


def test_linear_after_linear_becomes_one_layer():
    snn = convert(nn.Sequential(linear([[1.0, 2]], [3]), nn.Dropout(),
                                linear([[4.0], [5]], [6, 7])))
    assert snn.n_layers == 1
    assert snn.weights[0].tolist() == [[4, 8], [5, 10]]
    assert snn.biases[0].tolist() == [18, 22]
    assert convert(nn.Sequential(linear([[1.0]]), linear([[2.0]]))).biases == [None]
    assert convert(nn.Sequential(linear([[1.0]]), linear([[2.0]], [3]))).biases[0].item() == 3


def test_nesting_dropout_identity_and_a_shared_relu_change_nothing():
    a, b, relu = nn.Linear(4, 3), nn.Linear(3, 2), nn.ReLU()
    plain = convert(nn.Sequential(a, nn.ReLU(), b, nn.ReLU()), CORNERS)
    other = convert(nn.Sequential(nn.Flatten(), relu, nn.Sequential(a, nn.Dropout(0.9), relu, relu),
                                  nn.Identity(), nn.Sequential(), nn.Sequential(b, relu)), CORNERS)
    assert other.n_layers == 2
    for left, right in zip(plain.weights + plain.biases, other.weights + other.biases, strict=True):
        np.testing.assert_array_equal(left, right)


def test_an_activation_after_an_activation_is_a_layer_of_its_own():
    model = nn.Sequential(linear([[12.0]]), nn.ReLU(), nn.ReLU6(), linear([[1.0]]))
    snn = convert(model, [[1.0]])
    assert [w.item() for w in snn.weights] == [1.0, 2.0, 1.0]
    assert snn.biases == [None] * 3


def test_a_single_linear_is_a_model():
    module = nn.Linear(4, 2)
    snn = convert(module)
    np.testing.assert_array_equal(snn.weights[0], module.weight.detach().numpy().astype(float))
    snn.weights[0][:] = 0
    assert module.weight.abs().sum() > 0


class Renamed(nn.Sequential):
    """A Sequential with a name, and nothing else."""


def test_a_sequential_by_another_name_is_one_and_precision_does_not_matter():
    for dtype in (torch.float16, torch.bfloat16, torch.float64):
        snn = convert(Renamed(linear([[2.0]], [0.5]).to(dtype)))
        assert (snn.weights[0].item(), snn.biases[0].item()) == (2.0, 0.5)
        assert snn.weights[0].dtype == np.float64


@pytest.mark.parametrize("training", [False, True])
def test_conversion_leaves_the_model_and_the_random_state_alone(training):
    model = nn.Sequential(*random_model(0, nn.ReLU(), QCFSActivation(learn_theta=True), None),
                          nn.Dropout()).train(training)
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    snn = convert(model, CORNERS)
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(m.training == training for m in model.modules())
    assert all(p.grad is None and p.requires_grad for p in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    for left, right in zip(snn.weights, convert(model.eval(), CORNERS).weights, strict=True):
        np.testing.assert_array_equal(left, right)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)

    def forward(self, x):
        return x + self.linear(x)


class Backwards(nn.Sequential):
    def forward(self, x):
        for module in reversed(self):
            x = module(x)
        return x


class OtherLinear(nn.Linear):
    pass


def test_classes_of_the_users_own_are_read_by_what_they_do():
    weight = OtherLinear(4, 3)
    plain = nn.Linear(4, 3)
    plain.load_state_dict(weight.state_dict())
    for left, right in [(Backwards(nn.ReLU(), weight), nn.Sequential(plain, nn.ReLU())),
                        (weight, plain)]:
        np.testing.assert_array_equal(convert(left, CORNERS).weights[0],
                                      convert(right, CORNERS).weights[0])
    model = Residual()
    snn = convert(nn.Sequential(model, nn.ReLU()))
    np.testing.assert_allclose(snn.weights[0], np.eye(4) + model.linear.weight.detach().numpy())


# --- QCFS --------------------------------------------------------------------------------------

def test_qcfs_layers_bring_their_scale_timesteps_and_initial_membrane():
    model = nn.Sequential(linear([[3.0]], [1]), QCFSActivation(8, 2.0), linear([[1.0]], [1]))
    snn = convert(model)
    assert [w.item() for w in snn.weights] == [1.5, 2.0]
    assert [b.item() for b in snn.biases] == [0.5, 1.0]
    assert (snn.T, snn.initial_membrane_fraction) == (8, 0.5)
    assert convert(model, T=32).T == 32
    for x, logit in [(0.5, 3.0), (0.1, 2.25)]:  # QCFS(2.5) = 2, QCFS(1.3) = 1.25
        assert convert(model, [[x]]).weights[1].item() == pytest.approx(2 / logit)


def test_relu_and_qcfs_may_be_mixed():
    model = nn.Sequential(linear([[3.0]]), nn.ReLU(), linear([[1.0]]), QCFSActivation(4, 2.0))
    snn = convert(model, [[1.0]])
    assert [w.item() for w in snn.weights] == [1.0, 1.5]
    assert (snn.T, snn.initial_membrane_fraction) == (4, 0.5)


def test_qcfs_layers_must_agree_on_the_timesteps():
    model = nn.Sequential(nn.Linear(2, 2), QCFSActivation(4),
                          nn.Sequential(nn.Linear(2, 2), QCFSActivation(8)))
    with pytest.raises(ValueError, match=r"share one T .* not model\.1: 4, model\.2\.1: 8"):
        convert(model)
    assert convert(model, T=6).T == 6


@pytest.mark.parametrize("theta", [0.0, -1.0, float("nan"), float("inf")])
def test_an_unusable_theta_is_refused(theta):
    model = nn.Sequential(nn.Linear(2, 2), QCFSActivation())
    model[1].theta.fill_(theta)
    with pytest.raises(ValueError, match=r"model\.1\.theta must be"):
        convert(model)


# --- convolutions and branches -----------------------------------------------------------------

class Residual2d(nn.Module):
    """Two convolutions and a shortcut."""

    def __init__(self, activation, channels_in, channels_out, stride=1):
        super().__init__()
        self.first = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels_out)
        self.second = nn.Conv2d(channels_out, channels_out, 3, 1, 1)
        self.shortcut = (nn.Identity() if channels_in == channels_out else
                         nn.Conv2d(channels_in, channels_out, 1, stride))
        self.activations = nn.ModuleList([activation(), activation()])

    def forward(self, x):
        out = self.activations[0](self.norm(self.first(x)))
        return self.activations[1](self.second(out) + self.shortcut(x))


def convolutional(activation, pool, seed=0):
    """A network with all that there is; the padding behind an uneven pool makes a dense layer."""
    model = nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4), activation(), pool(2),
        Residual2d(activation, 4, 4), Residual2d(activation, 4, 6, 2), nn.AvgPool2d(2),
        nn.Conv2d(6, 4, 3, padding=1, groups=2), activation(), nn.Conv2d(4, 5, (2, 1)),
        activation(), nn.Flatten(), nn.Linear(10, 8), activation(), nn.Linear(8, 6))
    generator = torch.Generator().manual_seed(seed)
    for name, tensor in model.state_dict().items():
        if tensor.ndim > 1:
            fan_in = tensor[0].numel()
            tensor.copy_(torch.randn(tensor.shape, generator=generator) * (2 / fan_in) ** 0.5)
        elif tensor.ndim == 1:
            middle = 0.0 if name.endswith(("bias", "mean")) else 1.0
            tensor.copy_(torch.rand(tensor.shape, generator=generator) * 0.4 - 0.2 + middle)
    return model


SHAPE = (2, 20, 20)
PHOTOS = np.kron(np.random.default_rng(0).random((12, 2, 4, 4)), np.ones((5, 5)))


def ann_activations(model, images):
    return trace(model, images.shape[1:]).activations(images)


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize(("pool", "schedule"), [
    (nn.AvgPool2d, "pipelined"), (nn.AvgPool2d, "layer_by_layer"),
    (nn.MaxPool2d, "layer_by_layer")])
def test_rates_of_convolutional_networks_approach_the_activations(pool, schedule, per_channel):
    model = convolutional(nn.ReLU, pool)
    T = 256
    snn = convert(model, PHOTOS, T=T, scale="max", per_channel=per_channel, schedule=schedule,
                  initial_membrane_fraction=0.5)
    kinds = [[type(one) for one in snn.synapses(i)] for i in range(snn.n_layers)]
    conv = [Convolution]
    assert kinds == [conv, conv, 2 * conv, conv, 2 * conv, [Dense], conv, [Dense], [Dense]]
    graph = trace(model, SHAPE)
    expected = graph.activations(PHOTOS)
    scales = Balancing("max", per_channel=per_channel).scales(graph, PHOTOS)
    counts = snn.activity(PHOTOS, encoder="direct").counts
    for depth, (ours, scale, real) in enumerate(zip(counts, scales, expected, strict=True), 1):
        np.testing.assert_allclose(ours * scale / T, np.maximum(real, 0),
                                   atol=2 * depth / T * real.max())
    np.testing.assert_array_equal(snn.classify(PHOTOS, encoder="direct"),
                                  expected[-1].argmax(axis=1))


@pytest.mark.parametrize("seed", [0, 2])
@pytest.mark.parametrize("T", [2, 4, 8])
def test_qcfs_layer_by_layer_with_direct_input_is_the_ann(T, seed):
    relus = ann_activations(convolutional(nn.ReLU, nn.MaxPool2d, seed), PHOTOS)
    thetas = (0.8 * values.max() for values in relus)
    model = convolutional(lambda: QCFSActivation(T, next(thetas)), nn.MaxPool2d, seed)
    snn = convert(model, PHOTOS[:2], schedule="layer_by_layer")
    assert (snn.T, snn.initial_membrane_fraction) == (T, 0.5)
    layers = trace(model, SHAPE).layers
    expected = ann_activations(model, PHOTOS)
    activity = snn.activity(PHOTOS, encoder="direct")
    for layer, counts, activations in zip(layers[:-1], activity.counts, expected, strict=False):
        np.testing.assert_allclose(counts * layer.activation.theta / T, activations, rtol=1e-12)
    np.testing.assert_array_equal(snn.classify(PHOTOS, encoder="direct"),
                                  outputs(model, PHOTOS).argmax(axis=1))
    assert len(np.unique(expected[-1].argmax(axis=1))) > 1


def test_branches_meet_in_the_same_units():
    class Sum(nn.Module):
        def __init__(self):
            super().__init__()
            self.twice, self.thrice = linear([[2.0]]), linear([[3.0]], [1])

        def forward(self, x):
            doubled = torch.relu(self.twice(x))
            return torch.relu(self.thrice(doubled) + x) + doubled

    snn = convert(Sum(), [[0.5], [1.0]], scale="max")  # activations 2, 8, and logits 10
    assert snn.sources == [None, (Source(0), Source(INPUT)), (Source(1), Source(0))]
    assert [w.weights.item() for w in snn.weights[1]] == [3 * 2 / 8, 1 / 8]
    assert [w.weights.item() for w in snn.weights[2]] == [0.8, 0.2]
    assert snn.weights[0].item() == 1
    assert snn.biases[1].item() == 1 / 8


def test_max_pooling_is_refused_unless_it_is_exact():
    model = nn.Sequential(nn.Conv2d(2, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Tanh())
    with pytest.raises(ValueError, match=r"model\.2 \(MaxPool2d\) is exact under "
                       r'schedule="layer_by_layer" alone.*; model\.3 \(Tanh\); supported'):
        convert(model, PHOTOS)
    assert convert(model[:3], PHOTOS, schedule="layer_by_layer").n_layers == 2


def test_the_shape_of_the_images_is_given_or_that_of_the_calibration_data():
    model = nn.Sequential(nn.Conv2d(2, 3, 3), nn.ReLU(), nn.Flatten(), nn.Linear(972, 2))
    expected = convert(model, PHOTOS)
    flat = convert(model, PHOTOS.reshape(12, -1), input_shape=list(SHAPE))
    np.testing.assert_array_equal(flat.weights[1], expected.weights[1])
    assert convert(model, input_shape=SHAPE).shape == (800, 972, 2)
    with pytest.raises(ValueError, match=r"^input_shape must be given, such as"):
        convert(model)
    with pytest.raises(ValueError, match=r"pass input_shape=\(channels, height, width\)"):
        convert(model, PHOTOS.reshape(12, -1))
    with pytest.raises(ValueError, match=r"must have shape \(n, 2, 20, 20\) with n .* not \(12, 7"):
        convert(model, np.zeros((12, 799)), input_shape=SHAPE)
    with pytest.raises(ValueError, match=r"must have shape \(n, …\) with n at least 1, not \(3,\)"):
        convert(model, np.zeros(3))


def test_conversion_of_a_convolutional_network_leaves_it_alone():
    model = convolutional(nn.ReLU, nn.AvgPool2d).train()
    before = copy.deepcopy(model.state_dict())
    snn = convert(model, PHOTOS)
    for synapses in snn.synapses(0) + snn.synapses(2):
        synapses.kernel[:] = 0
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(module.training for module in model.modules())
    assert all(parameter.grad is None for parameter in model.parameters())


# --- what is refused ---------------------------------------------------------------------------

def hooked(module):
    module.register_forward_hook(lambda module, inputs, output: -output)
    return module


def patched(module):
    module.forward = torch.tanh
    return module


REFUSED = {
    "Tanh": (nn.Tanh, r"model\.1 \(Tanh\)"),
    "GELU": (nn.GELU, r"model\.1 \(GELU\)"),
    "Softmax": (lambda: nn.Softmax(1), r"model\.1 \(Softmax\)"),
    "LeakyReLU": (nn.LeakyReLU, r"model\.1 \(LeakyReLU\)"),
    "Conv2d": (lambda: nn.Conv2d(1, 1, 3), r"model\.1 \(Conv2d\) must take images of shape"),
    "Conv3d": (lambda: nn.Conv3d(1, 1, 3), r"model\.1 \(Conv3d\)"),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(4), r"model\.1 \(BatchNorm2d\) must take images of"),
    "nested": (lambda: nn.Sequential(nn.ReLU(), nn.Sequential(nn.Tanh())),
               r"model\.1\.1\.0 \(Tanh\)"),
    "lazy": (lambda: nn.LazyLinear(4), r"model\.1 \(LazyLinear\)"),
    "parametrized": (lambda: parametrizations.weight_norm(nn.Linear(4, 4)),
                     r"model\.1 \(.*ParametrizedLinear\)"),
    "pruned": (lambda: prune.l1_unstructured(nn.Linear(4, 4), "weight", 3),
               r"model\.1 \(Linear\) has forward hooks"),
    "hook": (lambda: hooked(nn.ReLU()), r"model\.1 \(ReLU\) has forward hooks"),
    "hook on a container": (lambda: hooked(nn.Sequential(nn.ReLU())),
                            r"model\.1 \(Sequential\) has forward hooks"),
    "patched": (lambda: patched(nn.ReLU()), r"model\.1 \(ReLU\) has a forward of its own"),
    "no statistics": (lambda: nn.BatchNorm1d(4, track_running_stats=False),
                      r"model\.1 \(BatchNorm1d\) has no running statistics"),
    "flatten": (lambda: nn.Flatten(2), r"model\.1 \(Flatten\) flattens dimensions 2 to -1"),
    "none": (lambda: None, r"model \(Sequential\), which torch\.fx can't trace: 'NoneType'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_converted_is_refused_by_path_and_type(case):
    make, message = REFUSED[case]
    model = nn.Sequential(nn.Linear(4, 4), make(), nn.Linear(4, 4))
    with pytest.raises(ValueError, match=rf"^Can't convert {message}.*; supported are") as caught:
        convert(model)
    assert "Linear, MaxPool1d, MaxPool2d, QCFSActivation, ReLU" in str(caught.value)


def test_everything_that_cannot_be_converted_is_in_one_error():
    model = nn.Sequential(nn.Linear(4, 4), nn.Tanh(), nn.Linear(4, 4), nn.Sigmoid())
    with pytest.raises(ValueError, match=r"model\.1 \(Tanh\); model\.3 \(Sigmoid\)"):
        convert(model)


@pytest.mark.parametrize("model", [nn.Sequential(), nn.Sequential(nn.ReLU()), nn.ReLU(),
                                   nn.Sequential(nn.BatchNorm1d(4), nn.ReLU())])
def test_a_model_without_linear_is_refused(model):
    with pytest.raises(ValueError, match=r"^No Linear layers found in model; supported are"):
        convert(model)


def test_what_else_such_a_model_holds_is_in_the_error():
    with pytest.raises(ValueError, match=r"^No Linear .* not supported: model\.0 \(Conv3d\);"):
        convert(nn.Sequential(nn.Conv3d(1, 1, 3)))


IMPOSSIBLE = nn.BatchNorm1d(2)
IMPOSSIBLE.running_var.fill_(-1)


@pytest.mark.parametrize(("model", "message"), [
    (nn.Sequential(QCFSActivation(), nn.Linear(2, 2)),
     r"model\.0 \(.*QCFSActivation\) must come after a Linear, a convolution or a batch"),
    (nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(4, 2)),
     r"model\.2 \(Linear\) must take 3 values, as many as the layer before it gives, not 4"),
    (nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(2)), r"model\.1 \(BatchNorm1d\) must take 3"),
    (nn.Sequential(nn.Linear(2, 2), linear([[float("nan")] * 2])),
     r"model\.1\.weight must be finite, but holds nan"),
    (linear([[1.0]], [float("inf")]), r"model\.bias must be finite, but holds inf"),
    (nn.Sequential(nn.Linear(2, 2), IMPOSSIBLE),
     r"model\.1\.running_var must be greater than -eps, not -1\.0"),
    (nn.Linear(2, 2, dtype=torch.complex64), r"model\.weight must be real, not torch.complex64"),
])
def test_layers_that_make_no_sense_are_refused(model, message):
    with pytest.raises(ValueError, match=message):
        convert(model)


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ({"model": [nn.Linear(2, 2)]}, TypeError, "model must be an nn.Module, not list"),
    ({"model": nn.Linear}, TypeError, "model must be an nn.Module, not type"),
    ({"T": 0}, ValueError, "T must be at least 1, not 0"),
    ({"T": -1}, ValueError, "T must be at least 1, not -1"),
    ({"T": 8.0}, TypeError, "T must be an integer, not 8.0"),
    ({"T": True}, TypeError, "T must be an integer, not True"),
    ({"percentile": 0}, ValueError, r"percentile must be in \(0, 100\], not 0"),
    ({"percentile": 100.1}, ValueError, "percentile must be in"),
    ({"percentile": float("nan")}, ValueError, "percentile must be in .* not nan"),
    ({"percentile": None}, TypeError, "percentile must be a real number, not None"),
    ({"calibration_data": [[0.5, 2.0]]}, ValueError,
     r"calibration_data\[0, 1\] must be in \[0, 1\], not 2.0"),
    ({"calibration_data": [[0.5, -0.5]]}, ValueError, r"must be in \[0, 1\], not -0.5"),
    ({"calibration_data": torch.tensor([[0.5, torch.nan]])}, ValueError, "not nan"),
    ({"calibration_data": [0.5, 0.5]}, ValueError,
     r"must have shape \(n, 2\) with n at least 1, not \(2,\)"),
    ({"calibration_data": np.zeros((0, 2))}, ValueError, r"not \(0, 2\)"),
    ({"calibration_data": np.zeros((3, 3))}, ValueError, r"not \(3, 3\)"),
    ({"calibration_data": np.zeros((3, 1, 2))}, ValueError, r"not \(3, 1, 2\)"),
    ({"calibration_data": "images"}, TypeError, "calibration_data must be an array of real"),
    ({"calibration_data": iter([])}, TypeError, "calibration_data must be an array of real"),
])
def test_wrong_arguments_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        convert(**{"model": nn.Linear(2, 2)} | arguments)


def test_calibration_images_are_flattened_if_the_model_does():
    images = torch.rand(5, 1, 2, 2, generator=torch.Generator().manual_seed(0), requires_grad=True)
    model = nn.Sequential(nn.Identity(), nn.Sequential(nn.Flatten(), nn.Linear(4, 3)))
    expected = convert(model, images.detach().numpy().reshape(5, 4))
    np.testing.assert_array_equal(convert(model, images).weights[0], expected.weights[0])
    for shape in [(4,), (0, 2, 2), (5, 3, 3)]:
        with pytest.raises(ValueError, match=r"must have shape \(n, 4\)"):
            convert(model, torch.zeros(shape))


def test_the_documented_names_are_in_the_module():
    assert ann_to_snn.ConvertedSNN is type(convert(nn.Linear(1, 1)))
    assert callable(ann_to_snn.replace_relu_with_qcfs)


# --- training ----------------------------------------------------------------------------------

def test_training_is_decided_by_its_seed_and_leaves_the_random_state_alone():
    rng = np.random.default_rng(0)
    x, y = rng.random((150, 4)), rng.integers(0, 3, 150)
    state = torch.get_rng_state()
    first, again, other = (train_mlp(x, y, hidden=(5,), epochs=2, seed=s) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(first[0].weight, again[0].weight)
    assert not torch.equal(first[0].weight, other[0].weight)
    assert [type(m).__name__ for m in first] == ["Linear", "ReLU", "Linear"]
    assert first[2].out_features == 3
    assert not first.training
    with pytest.raises(ValueError, match=r"labels must have shape \(150,\)"):
        train_mlp(x, y[:9])


def test_a_network_trained_on_digits_stays_accurate_as_a_spiking_one():
    datasets = pytest.importorskip("sklearn.datasets")
    selection = pytest.importorskip("sklearn.model_selection")
    digits = datasets.load_digits()
    train, test, train_labels, labels = selection.train_test_split(
        digits.data / 16, digits.target, test_size=0.25, random_state=0, stratify=digits.target)
    model = train_mlp(train, train_labels, epochs=30)
    accuracy = (outputs(model, test).argmax(axis=1) == labels).mean()
    assert accuracy > 0.97
    for T, loss in [(16, 0.01), (64, 0.003)]:
        snn = convert(model, train, T=T)
        spiking = np.mean([(snn.classify(test, seed=seed) == labels).mean() for seed in range(5)])
        assert spiking > accuracy - loss
