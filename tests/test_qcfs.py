import copy

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
                          Residual(nn.ReLU()))
    assert replace_relu_with_qcfs(model, T=4, theta=0.5) is model
    assert not [m for m in model.modules() if isinstance(m, nn.ReLU | nn.ReLU6)]
    replaced = [m for m in model.modules() if isinstance(m, QCFSActivation)]
    assert [(m.T, m.theta.item(), m.theta.requires_grad) for m in replaced] == [(4, 0.5, True)] * 3
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
