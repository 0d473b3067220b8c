import copy
import operator

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from sc_neurocore.conversion import QCFSActivation, replace_relu_with_qcfs  # noqa: E402
from sc_neurocore.conversion.ann_to_snn import convert  # noqa: E402


def levels(x, T, theta):
    return np.clip(np.floor(x * T / theta + 0.5), 0, T) * theta / T


@pytest.mark.parametrize(("T", "theta"), [(1, 1.0), (4, 1.0), (8, 2.5), (16, 0.3)])
def test_forward_is_the_formula_exactly(T, theta):
    x = np.concatenate([np.linspace(-2 * theta, 3 * theta, 1001),
                        (np.arange(-2, T + 3) + 0.5) * theta / T])
    activation = QCFSActivation(T, theta).double()
    activation.theta.fill_(theta)  # the constructor's is float32
    y = activation(torch.tensor(x)).numpy()
    np.testing.assert_array_equal(y, levels(x, T, theta))
    assert len(np.unique(y)) == T + 1


def test_output_is_quantized_and_not_the_input():
    y = QCFSActivation(T=4)(torch.tensor([0.3, 0.7, -0.2, 1.7, 0.125, 0.124]))
    assert y.tolist() == [0.25, 0.75, 0.0, 1.0, 0.25, 0.0]


@pytest.mark.parametrize("learn_theta", [False, True])
def test_gradient_is_one_inside_the_clip_range_and_zero_outside(learn_theta):
    x = torch.tensor([-0.5, -1e-6, 0.0, 0.4, 1.1, 2.0, 2.0001, 5.0], requires_grad=True)
    QCFSActivation(T=4, theta=2.0, learn_theta=learn_theta)(x).sum().backward()
    assert x.grad.tolist() == [0, 0, 1, 1, 1, 1, 0, 0]


def test_gradient_towards_theta_is_summed_over_all_elements():
    activation = QCFSActivation(T=4, theta=2.0, learn_theta=True)
    x = torch.tensor([[-1.0, 0.0], [0.6, 3.0]])  # 0.6 -> 0.5: y/θ − x/θ = −0.05
    (activation(x) * torch.tensor([[7.0, 7.0], [2.0, 5.0]])).sum().backward()
    assert activation.theta.grad.item() == pytest.approx(2 * -0.05 + 5 * 1)
    assert activation.theta.grad.shape == activation.theta.shape


def test_gradients_are_those_of_the_formula_with_a_straight_through_floor():
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1000, generator=generator, dtype=torch.float64, requires_grad=True)
    weights = torch.randn(1000, generator=generator, dtype=torch.float64)
    activation = QCFSActivation(T=8, theta=0.75, learn_theta=True).double()
    (activation(x) * weights).sum().backward()
    z, theta = x.detach().clone().requires_grad_(), torch.tensor(0.75, dtype=torch.float64,
                                                                 requires_grad=True)
    # clip first, as the rounding of a clipped value needs no clip
    scaled = torch.clamp(z / theta, 0, 1) * 8
    rounded = scaled + (torch.floor(scaled + 0.5) - scaled).detach()
    (rounded * theta / 8 * weights).sum().backward()
    torch.testing.assert_close(x.grad, z.grad)
    torch.testing.assert_close(activation.theta.grad, theta.grad)


def test_theta_learns_the_range_of_the_activations():
    activation = QCFSActivation(T=8, theta=0.2, learn_theta=True)
    x = torch.linspace(0, 3, 301)
    optimizer = torch.optim.Adam(activation.parameters(), lr=0.05)
    for _ in range(200):
        optimizer.zero_grad()
        ((activation(x) - x) ** 2).mean().backward()
        optimizer.step()
    assert 2.5 < activation.theta.item() < 3.5


def test_theta_is_in_the_state_dict_and_a_parameter_only_if_learned():
    fixed, learned = QCFSActivation(4, 1.5), QCFSActivation(4, 1.5, learn_theta=True)
    assert list(fixed.state_dict()) == list(learned.state_dict()) == ["theta"]
    assert not list(fixed.parameters())
    assert [p.item() for p in learned.parameters()] == [1.5]
    learned.load_state_dict({"theta": torch.tensor(0.5)})
    assert copy.deepcopy(learned)(torch.tensor(9.0)).item() == 0.5


def test_input_keeps_its_shape_and_dtype():
    for dtype in (torch.float16, torch.float32, torch.float64):
        x = torch.zeros(2, 0, 3, dtype=dtype, requires_grad=True)
        y = QCFSActivation(learn_theta=True)(x)
        y.sum().backward()
        assert (y.shape, y.dtype, x.grad.dtype) == (x.shape, dtype, dtype)


@pytest.mark.parametrize(("parameters", "error", "message"), [
    ({"T": 0}, ValueError, "T must be at least 1, not 0"),
    ({"T": 2.0}, TypeError, "T must be an integer, not 2.0"),
    ({"T": True}, TypeError, "T must be an integer, not True"),
    ({"theta": 0.0}, ValueError, "theta must be greater than 0 and finite, not 0.0"),
    ({"theta": -1}, ValueError, "theta must be greater than 0"),
    ({"theta": float("nan")}, ValueError, "not nan"),
    ({"theta": float("inf")}, ValueError, "not inf"),
    ({"theta": "1"}, TypeError, "theta must be a real number, not '1'"),
])
def test_wrong_parameters_are_refused(parameters, error, message):
    with pytest.raises(error, match=message):
        QCFSActivation(**parameters)
    with pytest.raises(error, match=message):
        replace_relu_with_qcfs(nn.Sequential(nn.ReLU()), **parameters)


def test_repr_shows_the_parameters():
    assert repr(QCFSActivation(4, 0.5)) == "QCFSActivation(T=4, theta=0.5, learn_theta=False)"


class Residual(nn.Module):
    def __init__(self, relu):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(2, 2), relu)
        self.relu = relu

    def forward(self, x):
        return self.relu(x + self.inner(x))


def test_relus_are_replaced_in_place_at_every_depth():
    model = nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Sequential(nn.ReLU6(), nn.Tanh()),
                          nn.Hardtanh(), nn.Hardtanh(0, 2),
                          Residual(nn.ReLU()))
    assert replace_relu_with_qcfs(model, T=4, theta=0.5) is model
    assert not [m for m in model.modules() if isinstance(m, nn.ReLU | nn.ReLU6)]
    replaced = [m for m in model.modules() if isinstance(m, QCFSActivation)]
    assert [(m.T, m.theta.item(), m.theta.requires_grad) for m in replaced] == [(4, 0.5, True)] * 4
    assert isinstance(model[3], nn.Hardtanh)
    assert isinstance(model[2][1], nn.Tanh)
    assert model(torch.tensor([[9.0, 9.0]])).max() <= 0.5


def test_a_shared_relu_stays_shared():
    relu = nn.ReLU()
    model = replace_relu_with_qcfs(nn.Sequential(nn.Linear(2, 2), relu, nn.Linear(2, 2), relu,
                                                 Residual(relu)), learn_theta=True)
    places = [model[1], model[3], model[4].relu, model[4].inner[1]]
    assert {type(m) for m in places} == {QCFSActivation}
    assert len({id(m) for m in places}) == 1
    assert sum(p.numel() == 1 for p in model.parameters()) == 1


def test_a_module_keeps_its_mode_and_order():
    model = nn.Sequential(nn.ReLU(), nn.Linear(2, 2), nn.ReLU())
    model[0].eval()
    replace_relu_with_qcfs(model)
    assert [m.training for m in model] == [False, True, True]
    assert [type(m) for m in model] == [QCFSActivation, nn.Linear, QCFSActivation]


def test_a_model_that_is_a_relu_becomes_a_qcfs_activation():
    assert isinstance(replace_relu_with_qcfs(nn.ReLU()), QCFSActivation)
    tanh = nn.Tanh()
    assert replace_relu_with_qcfs(tanh) is tanh
    with pytest.raises(TypeError, match="not list"):
        replace_relu_with_qcfs([nn.ReLU()])


def test_a_neuron_counts_what_the_activation_computes():
    # constant current: the input is 1 in every timestep
    for T in (1, 4, 7):
        linear = nn.Linear(1, 401)
        with torch.no_grad():
            linear.weight.copy_(torch.linspace(-1, 3, 401)[:, None])
            linear.bias.fill_(1e-4)  # off the corners of the steps, where float32 rounds
        model = nn.Sequential(linear, QCFSActivation(T, theta=1.5))
        counts = convert(model).run([1.0])
        expected = model(torch.ones(1)).detach().numpy()
        np.testing.assert_allclose(counts * 1.5 / T, expected, rtol=1e-6)


def test_theta_stays_positive_whatever_an_optimizer_does_and_can_grow_again():
    activation = QCFSActivation(T=4, theta=0.5, learn_theta=True)
    x = torch.rand(100, generator=torch.Generator().manual_seed(0))
    optimizer = torch.optim.SGD(activation.parameters(), lr=1000)
    activation(x).sum().backward()
    optimizer.step()
    assert next(activation.parameters()).item() < 0
    assert activation.state_dict()["theta"].item() == activation.theta.item() == 2**-10
    assert activation(x).max().item() == 2**-10
    optimizer = torch.optim.Adam(activation.parameters(), lr=0.02)
    for _ in range(100):
        optimizer.zero_grad()
        (activation(x) - x).square().mean().backward()
        optimizer.step()
    assert 0.7 < activation.theta.item() < 1.1


def test_a_theta_that_is_nan_stays_so():
    activation = QCFSActivation(learn_theta=True)
    activation.theta.data.fill_(torch.nan)
    assert activation.theta.isnan()


def relu_network(*relus):
    torch.manual_seed(0)
    widths = [20] + [30] * len(relus)
    layers = [module for n, relu in zip(widths, relus, strict=False)
              for module in (nn.Linear(n, 30), relu)]
    with torch.no_grad():
        layers[0].weight *= 8  # activations far above 1
    return nn.Sequential(*layers, nn.Linear(30, 3))


IMAGES = np.random.default_rng(0).random((600, 20))


def thetas(model):
    return [m.theta.item() for m in model.modules() if isinstance(m, QCFSActivation)]


@pytest.mark.parametrize("T", [2, 8])
def test_calibration_finds_the_theta_of_least_squared_error(T):
    model = relu_network(nn.ReLU(), nn.ReLU())
    x = torch.tensor(IMAGES).float()
    activations = [model[:n](x).detach().numpy() for n in (2, 4)]
    replace_relu_with_qcfs(model, T, calibration_data=IMAGES)
    for values, theta in zip(activations, thetas(model), strict=True):
        def error(theta, values=values):
            return np.square(levels(values, T, theta) - values).mean()
        others = values.max() * np.linspace(0.02, 1.2, 300)
        assert error(theta) <= 1.001 * min(error(other) for other in others)
        assert error(theta) < error(1.0) / 2
        assert error(theta) < error(values.max())


def test_calibration_brings_outputs_near_those_of_the_relu_network():
    x = torch.tensor(IMAGES).float()
    original = relu_network(nn.ReLU(), nn.ReLU())
    without, calibrated = (
        replace_relu_with_qcfs(copy.deepcopy(original), T=8, calibration_data=data)
        for data in (None, IMAGES[:100]))
    loss = nn.functional.mse_loss
    assert loss(calibrated(x), original(x)) < loss(without(x), original(x)) / 4


def test_theta_can_be_a_percentile_of_the_positive_activations():
    model = relu_network(nn.ReLU())
    values = model[:2](torch.tensor(IMAGES).float()).detach().numpy()
    replace_relu_with_qcfs(model, calibration_data=torch.tensor(IMAGES), percentile=90)
    assert thetas(model) == [pytest.approx(np.percentile(values[values > 0], 90), rel=1e-6)]


def test_calibration_of_a_relu6_a_shared_and_a_silent_relu():
    shared = nn.ReLU()
    model = relu_network(nn.ReLU6(), shared, shared, nn.ReLU())
    with torch.no_grad():
        model[0].weight.mul_(10)
        model[6].bias.fill_(-1000)
    x = torch.tensor(IMAGES).float()
    largest = max(model[:n](x).max().item() for n in (4, 6))
    replace_relu_with_qcfs(model, T=2, theta=0.25, calibration_data=IMAGES, percentile=100)
    assert thetas(model) == [6, pytest.approx(largest, rel=1e-6), 0.25]


def test_calibration_leaves_modes_and_hooks_as_they_were():
    relu = nn.ReLU()
    model = nn.Sequential(nn.Dropout(), nn.Linear(20, 5), relu, nn.BatchNorm1d(5))
    model[3].eval()
    before = copy.deepcopy(model[3].state_dict())
    replace_relu_with_qcfs(model, calibration_data=IMAGES)
    assert [m.training for m in model] == [True, True, True, False]
    assert not relu._forward_hooks
    torch.testing.assert_close(model[3].state_dict(), before)


@pytest.mark.parametrize(("parameters", "error", "message"), [
    ({"calibration_data": [[2.0] * 20]}, ValueError, r"calibration_data\[0, 0\] must be in \[0, 1"),
    ({"calibration_data": np.zeros((0, 20))}, ValueError, r"must have shape \(n, ...\) with n at"),
    ({"calibration_data": "x"}, TypeError, "calibration_data must be an array of real numbers"),
    ({"calibration_data": IMAGES, "percentile": 0}, ValueError, "percentile must be in"),
    ({"calibration_data": IMAGES, "percentile": "9"}, TypeError, "percentile must be a real"),
    ({"percentile": 99}, ValueError, "percentile needs calibration_data"),
])
def test_wrong_calibration_is_refused_and_nothing_replaced(parameters, error, message):
    model = relu_network(nn.ReLU())
    with pytest.raises(error, match=message):
        replace_relu_with_qcfs(model, **parameters)
    assert isinstance(model[1], nn.ReLU)


class Functional(nn.Module):
    """A ReLU in every way to write it, and a module with the name of a node."""

    def __init__(self):
        super().__init__()
        self.first, self.relu, self.relu_1 = nn.Linear(20, 20), nn.ReLU(), nn.Linear(20, 20)

    def forward(self, x):
        x = self.relu(self.first(x))
        x = torch.relu(self.relu_1(x) - 0.1)
        x = nn.functional.relu(0.2 - x) + nn.functional.relu6(input=9 * x - 1)
        x = nn.functional.dropout(x, 0.4, self.training)
        x = torch.clamp(x - 0.1, 0) + x.clip(min=0, max=0.5) + nn.functional.hardtanh(x, 0, 0.6)
        return (x - 1).relu().clamp(-1)


def test_functional_relus_become_modules_of_a_graph_module():
    model = Functional().train()
    x = torch.tensor(IMAGES).float()
    replaced = replace_relu_with_qcfs(model, T=4000, calibration_data=IMAGES, percentile=100)
    assert isinstance(replaced, torch.fx.GraphModule)
    assert len(thetas(replaced)) == 8
    assert [node.target for node in replaced.graph.nodes if node.op == "call_method"] == ["clamp"]
    assert {node.target for node in replaced.graph.nodes if node.op == "call_function"} == {
        operator.add, operator.sub, operator.mul}
    assert [type(m) for m in model.children()] == [nn.Linear, nn.ReLU, nn.Linear]
    assert replaced.first.weight is model.first.weight
    assert set(model.state_dict()) < set(replaced.state_dict())
    torch.testing.assert_close(replaced.eval()(x), model.eval()(x), rtol=0, atol=2e-2)


def test_a_module_for_a_function_has_a_name_of_its_own():
    class Taken(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.relu, self.relu_ = (nn.Linear(20, 20) for _ in range(3))

        def forward(self, x):
            return self.relu_(self.relu(torch.relu(self.first(x))))

    model, x = Taken(), torch.tensor(IMAGES).float()
    replaced = replace_relu_with_qcfs(model, T=4000, calibration_data=IMAGES, percentile=100)
    assert [name for name, _ in replaced.named_children()] == ["first", "relu", "relu_", "relu__"]
    assert isinstance(replaced.relu__, QCFSActivation)
    assert replaced.relu.weight is model.relu.weight
    torch.testing.assert_close(replaced(x), model(x), rtol=0, atol=2e-2)


def test_functional_dropout_follows_the_mode_of_the_graph_module():
    replaced = replace_relu_with_qcfs(Functional().eval(), calibration_data=IMAGES)
    assert not any(m.training for m in replaced.modules())
    x = torch.tensor(IMAGES).float()
    assert torch.equal(replaced(x), replaced(x))
    replaced.train()
    assert not torch.equal(replaced(x), replaced(x))


def test_what_came_after_a_relu_in_place_still_sees_its_result():
    class InPlace(nn.Module):
        def forward(self, x):
            x = x - 0.5
            y = nn.functional.relu(x, inplace=True)
            torch.relu_(y)
            return x + y

    x = torch.tensor(IMAGES)
    replaced = replace_relu_with_qcfs(InPlace(), T=1000)
    torch.testing.assert_close(replaced(x), InPlace()(x), rtol=0, atol=2e-3)


def test_a_model_whose_functions_cannot_be_found_is_refused_by_its_line():
    class Branching(nn.Module):
        def forward(self, x):
            return torch.relu(x) if x.sum() > 0 else x

    with pytest.raises(ValueError, match=r"can trace, but in test_qcfs.py, line \d+, forward: "):
        replace_relu_with_qcfs(Branching())


@pytest.mark.parametrize(("functions", "message"), [
    (lambda x, training: torch.relu(torch.dropout(x, 0.5, training)), "dropout in its forward"),
    (lambda x, training: torch.relu(x) if training else x, "self.training decides"),
])
def test_a_graph_module_that_would_lose_its_mode_is_refused(functions, message):
    class Model(nn.Module):
        def forward(self, x):
            return functions(torch.relu(x), self.training)

    with pytest.raises(ValueError, match=f"same in training and evaluation.*{message}"):
        replace_relu_with_qcfs(Model())
