import copy

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn.utils.fusion import fuse_linear_bn_weights  # noqa: E402

from sc_neurocore.conversion import (  # noqa: E402
    QCFSActivation,
    convert,
    fake_quantize,
    remove_fake_quantization,
    replace_relu_with_qcfs,
)
from sc_neurocore.conversion.training import finetune, train_mlp  # noqa: E402
from sc_neurocore.datasets import digits  # noqa: E402
from sc_neurocore.quantization import quantize  # noqa: E402


@pytest.fixture(scope="module")
def data():
    return digits()


@pytest.fixture(scope="module")
def trained(data):
    """A QCFS network with T = 4, its θs calibrated; made from a ReLU network."""
    model = train_mlp(data.train_images, data.train_labels, epochs=15)
    return replace_relu_with_qcfs(model, T=4, calibration_data=data.train_images)


def accuracy(model, data):
    with torch.no_grad():
        logits = model.eval()(torch.tensor(data.test_images).float())
    return (logits.argmax(1).numpy() == data.test_labels).mean()


def assert_built_as_trained(model, width):
    """All rounded weights and biases of an MLP are those of the integer network made of it."""
    rounded = [[tensor.detach().double().numpy() for tensor in (layer.weight, layer.bias)]
               for layer in model.eval() if isinstance(layer, nn.Linear)]
    thetas = [1.0, *(m.theta.item() for m in model if isinstance(m, QCFSActivation))]
    network = quantize(convert(remove_fake_quantization(model)), width)
    for layer, (weight, bias), before, after in zip(network.layers, rounded, thetas,
                                                    [*thetas[1:], None], strict=True):
        if after is None:
            largest = np.unravel_index(np.abs(layer.weights).argmax(), layer.weights.shape)
            scale = layer.weights[largest] / (weight[largest] * before)
        else:
            scale = layer.thresholds / after
        np.testing.assert_allclose((weight * before).T * scale, layer.weights.T, rtol=0, atol=1e-3)
        np.testing.assert_allclose(bias * scale, layer.biases, rtol=1e-6, atol=1e-3)
    return network


@pytest.mark.parametrize("width", [2, 4, 8])
def test_what_is_trained_is_what_is_built(trained, data, width):
    model = fake_quantize(copy.deepcopy(trained), width)
    assert_built_as_trained(copy.deepcopy(model), width)
    finetune(model, data.train_images[:400], data.train_labels[:400], epochs=2)
    network = assert_built_as_trained(model, width)
    assert np.abs(network.layers[0].weights).max() == 2 ** (width - 1) - 1


def test_each_layer_can_have_its_own_width(trained):
    assert_built_as_trained(fake_quantize(copy.deepcopy(trained), [8, 3, 5]), [8, 3, 5])


def test_finetuning_at_few_bits_gives_accuracy_back(trained, data):
    rounded = fake_quantize(copy.deepcopy(trained), 2)
    before = accuracy(rounded, data)
    finetune(rounded, data.train_images, data.train_labels, epochs=4, learning_rate=4e-3)
    assert accuracy(rounded, data) > before + 0.05
    assert accuracy(rounded, data) > 0.9
    better = finetune(fake_quantize(copy.deepcopy(trained), 4), data.train_images,
                      data.train_labels, epochs=4)
    assert accuracy(better, data) > accuracy(trained, data) - 0.01


def test_gradients_pass_the_rounding_unchanged(trained):
    x = torch.rand(50, 64, generator=torch.Generator().manual_seed(0))
    rounded = fake_quantize(copy.deepcopy(trained), 3).eval()
    plain = copy.deepcopy(trained).eval()
    with torch.no_grad():
        for mine, other in zip(plain, rounded, strict=True):
            if isinstance(mine, nn.Linear):
                mine.weight.copy_(other.weight)
                mine.bias.copy_(other.bias)
    for model in (plain, rounded):
        model(x).square().sum().backward()
    for i in (0, 2, 4):
        for name in ("weight", "bias"):
            torch.testing.assert_close(rounded[i].parametrizations[name].original.grad,
                                       getattr(plain[i], name).grad)
    torch.testing.assert_close(rounded[1].theta.grad, plain[1].theta.grad)


def test_a_batch_norm_counts_as_conversion_folds_it():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(10, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 4))
    images = torch.rand(300, 10)
    finetune(model, images, torch.randint(0, 4, (300,)), epochs=3, learning_rate=0.05)
    with torch.no_grad():
        model[1].weight[0] *= -1
    replace_relu_with_qcfs(model, T=8, calibration_data=images)
    fake_quantize(model, 4).eval()
    linear, norm = model[:2]
    weight, bias = (tensor.detach().double().numpy() for tensor in fuse_linear_bn_weights(
        linear.weight, linear.bias, norm.running_mean, norm.running_var, norm.eps, norm.weight,
        norm.bias))
    layer = quantize(convert(remove_fake_quantization(model)), 4).layers[0]
    scale = layer.thresholds / model[2].theta.item()
    np.testing.assert_allclose(weight.T * scale, layer.weights.T, rtol=0, atol=1e-3)
    np.testing.assert_allclose(bias * scale, layer.biases, rtol=0, atol=1e-3)


def test_channels_of_convolutions_are_built_as_trained():
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(4, 6, 2), nn.BatchNorm2d(6),
        nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(24, 8), nn.ReLU(), nn.Linear(8, 3))
    images = torch.rand(40, 1, 12, 12)
    finetune(model, images, torch.randint(0, 3, (40,)), epochs=2, learning_rate=0.02)
    replace_relu_with_qcfs(model, T=4, calibration_data=images)
    fake_quantize(model, 4).eval()
    layers = [model[i] for i in (0, 3, 8)]
    rounded = [[tensor.detach().double().numpy() for tensor in (layer.weight, biased.bias)]
               for layer, biased in zip(layers, (layers[0], model[4], layers[2]), strict=True)]
    norm = model[4]
    slope = (norm.weight / torch.sqrt(norm.running_var + norm.eps)).detach().double().numpy()
    remove_fake_quantization(model)
    shift = (layers[1].bias - norm.running_mean).detach().double().numpy() * slope
    built = quantize(convert(model, input_shape=(1, 12, 12), schedule="layer_by_layer"), 4).layers
    thetas = [1, *(m.theta.item() for m in model if isinstance(m, QCFSActivation))]
    factors = [[1, 1, 0], [slope, 4, shift], [1, 1, 0]]
    for layer, (weight, bias), before, after, (slope, window, shift) in zip(
            built, rounded, thetas, thetas[1:], factors, strict=False):
        (synapses,) = layer.synapses
        scale = (layer.thresholds / after).reshape(len(weight), -1)[:, 0]
        kernel = (weight.T * slope * scale).T * before / window
        if window == 4:
            kernel = kernel.repeat(2, axis=2).repeat(2, axis=3)
        np.testing.assert_allclose(kernel.reshape(synapses.rows.shape), synapses.rows, rtol=0,
                                   atol=1e-3)
        biases = layer.biases.reshape(len(weight), -1)[:, 0]
        np.testing.assert_allclose((bias + shift) * scale, biases, rtol=0, atol=1e-3)


def test_a_convolution_in_one_dimension_is_rounded_like_a_linear():
    torch.manual_seed(0)
    linear, conv = nn.Linear(18, 5), nn.Conv1d(6, 5, 3)
    with torch.no_grad():
        conv.weight.copy_(linear.weight.view(5, 6, 3))
        conv.bias.copy_(linear.bias)
    for layer in (linear, conv):
        fake_quantize(nn.Sequential(layer, QCFSActivation(T=8, theta=0.7), nn.Linear(5, 3)), 4)
    assert torch.equal(conv.weight.flatten(1), linear.weight)
    assert torch.equal(conv.bias, linear.bias)
    assert not torch.equal(linear.weight, linear.parametrizations.weight.original)


def test_functions_without_weights_are_passed_over_as_modules_are():
    class Functional(nn.Module):
        def __init__(self, conv, qcfs, linear):
            super().__init__()
            self.conv, self.qcfs, self.linear = conv, qcfs, linear

        def forward(self, x):
            x = nn.functional.max_pool2d(self.qcfs(self.conv(x)), 2)
            return self.linear(torch.flatten(nn.functional.dropout(x, 0.5, self.training), 1))

    torch.manual_seed(0)
    parts = nn.Conv2d(1, 4, 3), QCFSActivation(4, 0.7), nn.Linear(16, 3)
    model = Functional(*copy.deepcopy(parts))
    modules = nn.Sequential(*parts[:2], nn.MaxPool2d(2), nn.Dropout(), nn.Flatten(), parts[2])
    for each in (model, modules):
        fake_quantize(each, 4).eval()
    for mine, other in ((model.conv, modules[0]), (model.linear, modules[5])):
        assert torch.equal(mine.weight, other.weight)
        assert torch.equal(mine.bias, other.bias)
    images = torch.rand(5, 1, 6, 6)
    assert torch.equal(model(images), modules(images))


@pytest.mark.parametrize(("pool", "known"), [
    (nn.AvgPool2d(2), True), (nn.AvgPool2d(3, 1), False), (nn.AvgPool2d(2, 3, 1), False),
    (nn.AvgPool2d(2, divisor_override=3), False), (nn.AdaptiveAvgPool2d(2), False),
    (nn.Sequential(nn.AvgPool2d(3, 1), nn.AvgPool2d(1)), False)])
def test_after_windows_that_are_not_side_by_side_the_bias_is_not_rounded(pool, known):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 4, 3), QCFSActivation(4), pool, nn.Flatten(),
                          nn.Linear(16, 3))
    bias = model[4].bias.detach().clone()
    fake_quantize(model, 3)
    assert len(model[4].weight.detach().unique()) <= 7
    assert torch.equal(model[4].bias, bias) is not known
    assert model(torch.rand(2, 1, 6, 6)).isfinite().all()


def test_after_an_addition_the_theta_of_its_activation_is_known():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.last = (nn.Linear(6, 6) for _ in range(3))
            self.one, self.two = QCFSActivation(4, 0.8), QCFSActivation(4, 1.3)

        def forward(self, x):
            x = self.one(self.first(x))
            return self.last(self.two(x + self.second(x)))

    torch.manual_seed(0)
    model = fake_quantize(Residual(), 4).eval()
    weight, bias = (tensor.detach().double().numpy() for tensor in (model.last.weight,
                                                                    model.last.bias))
    built = quantize(convert(remove_fake_quantization(model)), 4).layers[-1]
    largest = np.unravel_index(np.abs(built.weights).argmax(), built.weights.shape)
    scale = built.weights[largest] / (weight[largest] * 1.3)
    np.testing.assert_allclose(weight * 1.3 * scale, built.weights, rtol=0, atol=1e-3)
    np.testing.assert_allclose(bias * scale, built.biases, rtol=0, atol=1e-3)


def test_networks_of_relus_and_additions_are_rounded_to_scales_of_their_own():
    class Residual(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.second, self.last = (nn.Linear(6, 6) for _ in range(3))
            self.relu = nn.ReLU()

        def forward(self, x):
            x = self.relu(self.first(x))
            return self.last(self.relu(x + self.second(x)))

    torch.manual_seed(0)
    model = fake_quantize(Residual(), 3)
    for layer in (model.first, model.second):
        assert all(len(row.unique()) <= 7 for row in layer.weight.detach())
    assert len(model.last.weight.detach().unique()) <= 7


def test_scales_follow_the_weights_at_once_in_evaluation_and_later_in_training(trained):
    model = fake_quantize(copy.deepcopy(trained), 3).train()
    model(torch.rand(2, 64))
    largest = model[0].weight.detach().abs().max()
    with torch.no_grad():
        model[0].parametrizations.weight.original *= 10
    torch.testing.assert_close(model[0].weight.abs().max(), largest)  # clipped
    assert model.eval()[0].weight.abs().max() > 5 * largest
    model.train()
    with torch.no_grad():
        model[0].parametrizations.weight.original *= 0.1
    for _ in range(40):
        model(torch.rand(2, 64))
    torch.testing.assert_close(model[0].weight.abs().max(), largest)


def test_removal_gives_back_parameters_and_state_dict(trained):
    model = copy.deepcopy(trained)
    before = copy.deepcopy(model.state_dict())
    fake_quantize(model, 4)
    assert len(model.state_dict()) == len(before)
    assert len(list(model.parameters())) == len(before)
    assert not torch.equal(model[0].weight, before["0.weight"])
    other = fake_quantize(copy.deepcopy(trained), 4)
    other.load_state_dict(model.state_dict())
    assert remove_fake_quantization(model) is model
    assert [type(m) for m in model] == [type(m) for m in trained]
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_other_parametrizations_stay():
    linear = nn.utils.parametrizations.weight_norm(nn.Linear(3, 2))
    assert type(remove_fake_quantization(nn.Sequential(linear))[0]) is type(linear)
    with pytest.raises(ValueError, match=r"model.0 .* must not be parametrized"):
        fake_quantize(nn.Sequential(linear))


def test_what_is_no_model_was_not_rounded():
    with pytest.raises(TypeError, match=r"^model must be an nn\.Module, not list$"):
        remove_fake_quantization([nn.Linear(2, 2)])


def test_a_copy_is_rounded_by_its_own_thetas(trained):
    model = fake_quantize(copy.deepcopy(trained), 4).eval()
    weight = model[0].weight.detach()
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[1].theta *= 1.37
    assert torch.equal(model[0].weight, weight)
    assert not torch.equal(other[0].weight, weight)
    remove_fake_quantization(other)
    assert torch.equal(model[0].weight, weight)


def test_a_layer_without_weights_or_activations_stays_finite():
    model = nn.Sequential(nn.Linear(3, 4), QCFSActivation(), nn.Linear(4, 2))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    fake_quantize(model, 4)
    assert torch.equal(model(torch.ones(1, 3)), torch.zeros(1, 2))
    assert torch.equal(fake_quantize(nn.Linear(3, 2, bias=False), 4).weight.isfinite().all(),
                       torch.tensor(True))


SHARED = nn.Linear(3, 3)


@pytest.mark.parametrize(("model", "width", "error", "message"), [
    ([nn.Linear(2, 2)], 8, TypeError, "model must be an nn.Module, not list"),
    (nn.Sequential(nn.ReLU()), 8, ValueError, "No Linear or Conv layers found in model"),
    (nn.Linear(2, 2), 1, ValueError, "weight_width must be at least 2, not 1"),
    (nn.Linear(2, 2), 17, ValueError, "weight_width must be at most 16, not 17"),
    (nn.Linear(2, 2), 8.0, TypeError, r"weight_width must be an integer, not 8\.0"),
    (nn.Linear(2, 2), [8, 8], ValueError, "one number, or one for each of 1 layers"),
    (nn.Sequential(nn.Linear(2, 2), nn.Dropout(), nn.Linear(2, 2)), 8, ValueError,
     r"model\.2 \(Linear\) must come after an activation"),
    (nn.Sequential(nn.BatchNorm1d(2), nn.Linear(2, 2)), 8, ValueError,
     r"model\.1 \(Linear\) must come after an activation"),
    (nn.Sequential(nn.Conv2d(1, 2, 3), nn.AvgPool2d(2), nn.ReLU()), 8, ValueError,
     r"model\.1 \(AvgPool2d\) must come after an activation"),
    (nn.Sequential(SHARED, nn.ReLU(), SHARED), 8, ValueError,
     r"model\.0 \(Linear\) must be used in one place"),
    (nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False)), 8, ValueError,
     r"model\.0 must be followed by a BatchNorm with running statistics"),
])
def test_what_cannot_be_rounded_is_refused(model, width, error, message):
    with pytest.raises(error, match=message):
        fake_quantize(model, width)
    assert not isinstance(model, nn.Module) or not any(
        nn.utils.parametrize.is_parametrized(module) for module in model.modules())


def test_finetuning_repeats_itself_and_leaves_the_random_state(data):
    torch.manual_seed(5)
    model = nn.Sequential(nn.Unflatten(1, (1, 64)), nn.Flatten(), nn.Dropout(0.2),
                          nn.Linear(64, 10))
    state = torch.random.get_rng_state()
    first, again, other = (
        finetune(copy.deepcopy(model), data.train_images[:200], data.train_labels[:200], epochs=1,
                 seed=seed, spike_samples=2)[3].weight for seed in (0, 0, 1))
    assert torch.equal(torch.random.get_rng_state(), state)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize(("parameters", "error", "message"), [
    ({"model": "mlp"}, TypeError, "model must be an nn.Module, not str"),
    ({"epochs": 0}, ValueError, "epochs must be at least 1, not 0"),
    ({"learning_rate": 0}, ValueError, "learning_rate must be greater than 0 and finite, not 0"),
    ({"images": np.zeros((0, 1, 2, 2))}, ValueError, r"images must have shape \(n, \.\.\.\), all"),
    ({"labels": [0, -1]}, ValueError, "^labels must be at least 0, not -1$"),
    ({"labels": [0, 1, 2]}, ValueError, r"labels must have shape \(2,\)"),
])
def test_wrong_parameters_of_finetune_are_refused(parameters, error, message):
    with pytest.raises(error, match=message):
        finetune(**{"model": nn.Linear(4, 2), "images": np.zeros((2, 4)), "labels": [0, 1],
                    **parameters})
