import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402

from sc_neurocore.conversion import QCFSActivation, convert  # noqa: E402
from sc_neurocore.conversion.graph import trace  # noqa: E402
from sc_neurocore.conversion.scales import Balancing  # noqa: E402


def diagonal(*factors):
    module = nn.Linear(len(factors), len(factors), bias=False)
    with torch.no_grad():
        module.weight.copy_(torch.diag(torch.tensor(factors)))
    return module


IMAGES = np.array([[0.5, 1.0, 1.0], [1.0, 0.25, 0.5]])


def scales(modules, images=IMAGES, shape=(3,), **options):
    """λ of the first layer's neurons."""
    graph = trace(nn.Sequential(*modules, nn.Flatten()), shape)
    return Balancing(**options).scales(graph, images)[0].tolist()


def test_scales_by_hand():
    hidden = [diagonal(2.0, 4.0, -1.0), nn.ReLU(), diagonal(1.0, 1.0, 1.0)]
    assert scales(hidden, method="max") == [4, 4, 4]
    assert scales(hidden, method="max", per_channel=True) == [2, 4, 4]
    assert scales(hidden, percentile=50) == [1.5] * 3  # of 1, 2, 4 and 1
    assert scales(hidden, percentile=50, per_channel=True) == [1.5, 2.5, 1.5]
    assert scales(hidden, None) == [1, 1, 1]


def test_limits_and_trained_thresholds_come_first():
    relu6 = [diagonal(2.0, 40.0, 9.0), nn.ReLU6(), diagonal(1.0, 1.0, 1.0)]
    assert scales(relu6, method="max", per_channel=True) == [2, 6, 6]
    assert scales(relu6, None) == [6, 6, 6]
    qcfs = [diagonal(2.0, 4.0, 1.0), QCFSActivation(4, 1.5), diagonal(1.0, 1.0, 1.0)]
    for method in ("max", "percentile", "mse"):
        assert scales(qcfs, method=method, per_channel=True) == [1.5] * 3


def test_the_output_layer_shares_one():
    for last in ([], [nn.ReLU()]):
        model = [diagonal(2.0, 4.0, 1.0), *last]
        assert scales(model, method="max", per_channel=True) == [4, 4, 4]


def test_a_channel_of_a_convolution_shares_one():
    conv = nn.Conv1d(1, 2, 1, bias=False)
    with torch.no_grad():
        conv.weight.copy_(torch.tensor([2.0, 3.0])[:, None, None])
    model = [conv, nn.ReLU(), nn.Flatten(), nn.Linear(6, 2)]
    found = scales(model, IMAGES[:, None], (1, 3), method="max", per_channel=True)
    assert found == [2, 2, 2, 3, 3, 3]


@pytest.mark.parametrize("initial", [0.0, 0.5])
@pytest.mark.parametrize("T", [1, 4, 16])
def test_mse_finds_the_least_error(T, initial):
    rng = np.random.default_rng(0)
    images = rng.random((400, 2)) ** 3
    model = nn.Sequential(diagonal(1.0, 5.0), nn.ReLU(), nn.Linear(2, 1))
    activations = images * [1, 5]

    def error(scale, values):
        counts = np.clip(np.floor(values * T / scale + initial), 0, T)
        return np.square(counts * scale / T - values).sum()

    balancing = Balancing("mse", T=T, initial=initial, per_channel=True)
    found = balancing.scales(trace(model), images)[0]
    for scale, values in zip(found, activations.T, strict=True):
        best = min(error(other, values) for other in np.linspace(0.02, 1, 2000) * values.max())
        assert error(scale, values) <= 1.02 * best
    (shared, again), _ = Balancing("mse", T=T, initial=initial).scales(trace(model), images)
    best = min(error(other, activations) for other in np.linspace(0.02, 1, 2000) * 5)
    assert shared == again
    assert error(shared, activations) <= 1.02 * best


def test_mse_of_what_is_never_active_is_as_for_the_others():
    hidden = [diagonal(2.0, 4.0, -1.0), nn.ReLU(), diagonal(1.0, 1.0, 1.0)]
    assert scales(hidden, method="mse", per_channel=True, percentile=100)[2] == 4
    assert scales([diagonal(-1.0, -2.0, -3.0), nn.ReLU(), diagonal(1.0, 1.0, 1.0)],
                  method="mse", per_channel=True) == [3, 3, 3]


def test_balanced_networks_lose_less_with_mse_than_with_the_maximum():
    rng = np.random.default_rng(1)
    images = rng.random((300, 6))
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(6, 40), nn.ReLU(), nn.Linear(40, 40), nn.ReLU())
    (expected,) = trace(model).activations(images)[1:]
    losses = []
    for scale in ("max", "mse"):
        snn = convert(model, images, T=4, scale=scale, initial_membrane_fraction=0.5,
                      schedule="layer_by_layer")
        shared = Balancing(scale, T=4, initial=0.5).scales(trace(model), images)[-1][0]
        rates = snn.run(images, encoder="direct") / 4
        losses.append(np.square(rates * shared - expected).mean())
    assert losses[1] < 0.8 * losses[0]


@pytest.mark.parametrize(("arguments", "error", "message"), [
    ({"scale": "mean"}, ValueError, "scale must be one of percentile, max, mse, not 'mean'"),
    ({"scale": None}, ValueError, "scale must be one of .* not None"),
    ({"per_channel": 1}, TypeError, "per_channel must be True or False, not 1"),
    ({"initial_membrane_fraction": 1}, ValueError, r"initial_membrane_fraction must be in \[0, 1"),
    ({"initial_membrane_fraction": "½"}, TypeError, "initial_membrane_fraction must be a real"),
    ({"schedule": "parallel"}, ValueError, "schedule must be one of pipelined, layer_by_layer"),
    ({"input_shape": 4}, TypeError, "input_shape must be a sequence of integers, not 4"),
    ({"input_shape": (4.0,)}, TypeError, r"input_shape\[0\] must be an integer, not 4.0"),
    ({"input_shape": (0,)}, ValueError, r"input_shape\[0\] must be at least 1, not 0"),
    ({"input_shape": (5,)}, ValueError, r"model \(Linear\) must take 5 values, as many as the im"),
])
def test_wrong_options_are_refused(arguments, error, message):
    with pytest.raises(error, match=message):
        convert(nn.Linear(4, 2), **arguments)
