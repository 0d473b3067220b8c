"""Models come from a factory and a state dict; whatever is wrong is one ValueError."""

import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from sc_neurocore.conversion.loading import classify, load_model

MODULE = """
from torch import nn

def make():
    return nn.Sequential(nn.Linear(3, 2), nn.Dropout(), nn.ReLU())

class Model(nn.Linear):
    def __init__(self):
        super().__init__(3, 2)

def number():
    return 5

def fails():
    raise OSError("no camera")

instance = Model()
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "example_models.py").write_text(MODULE)
    (tmp_path / "example_broken.py").write_text("import nothing_of_the_kind")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.modules.pop("example_models", None)


@pytest.fixture
def state():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 2)).state_dict()


def test_weights_come_from_either_format(module, state):
    save_file(state, "a.safetensors")
    torch.save(state, "a.pt")
    path_before = list(sys.path)
    for name in ("a.safetensors", "a.pt"):
        model = load_model("example_models:make", module / name)
        assert all(torch.equal(model.state_dict()[key], state[key]) for key in state)
        assert not model.training
    assert sys.path == path_before
    assert isinstance(load_model("example_models:Model"), nn.Linear)


def test_classes_are_those_of_the_first_largest_logits():
    model = nn.Linear(2, 3, bias=False)
    model.weight.data = torch.tensor([[1.0, 0], [0, 1], [0, 1]])
    assert classify(model, np.array([[1.0, 0], [0, 1]])).tolist() == [0, 1]


@pytest.mark.parametrize(("spec", "message"), [
    ("example_models", "must be given as package.module:factory, not 'example_models'"),
    ("example models:make", "must be given as package.module:factory"),
    (".relative:make", "must be given as package.module:factory"),
    ("nothing_here:make", "nothing_here can't be imported: .*No module named 'nothing_here'"),
    ("example_broken:make", "example_broken can't be imported: .*'nothing_of_the_kind'"),
    ("example_models:nope", "example_models must have a function or class nope"),
    ("example_models:MODULE", "must have a function or class MODULE"),
    ("example_models:instance", "must have a function or class instance, not Model"),
    ("example_models:number", r"number\(\) must return an nn.Module, not int"),
    ("example_models:fails", r"fails\(\) failed: OSError: no camera"),
])
def test_wrong_factory_is_refused(module, spec, message):
    with pytest.raises(ValueError, match=message):
        load_model(spec)


def without(state, name):
    return {key: value for key, value in state.items() if key != name}


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
@pytest.mark.parametrize(("change", "message"), [
    (lambda state: without(state, "0.bias"), "lack 0.bias"),
    (lambda state: state | {"1.bias": torch.zeros(2)}, "have unexpected 1.bias"),
    (lambda state: state | {"0.weight": torch.zeros(2, 4)},
     r"0.weight must have shape \(2, 3\), not \(2, 4\)"),
])
def test_weights_of_another_model_are_refused(module, state, suffix, change, message):
    path = module / f"a.{suffix}"
    (save_file if suffix == "safetensors" else torch.save)(change(state), path)
    with pytest.raises(ValueError, match=message) as caught:
        load_model("example_models:make", path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("suffix", ["safetensors", "pt"])
@pytest.mark.parametrize("keep", [0, 5, 100, -1, -200])
def test_truncated_weights_are_refused(module, state, suffix, keep):
    path = module / f"a.{suffix}"
    (save_file if suffix == "safetensors" else torch.save)(state, path)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"can't be read: ."):
        load_model("example_models:make", path)


class Trap:
    def __reduce__(self):
        return open, ("trapped", "w")


@pytest.mark.parametrize("save", [
    lambda path: torch.save({"0.weight": Trap()}, path),
    lambda path: torch.save(nn.Linear(3, 2), path),
    lambda path: path.write_bytes(pickle.dumps(Trap())),
    lambda path: path.write_bytes(pickle.dumps({"a": Trap()}, protocol=2)),
])
def test_pickled_code_is_refused(module, save):
    path = module / "a.pt"
    save(path)
    with pytest.raises(ValueError, match="whatever else is pickled is refused"):
        load_model("example_models:make", path)
    assert not (module / "trapped").exists()


@pytest.mark.parametrize("content", [[1, 2], {"0.weight": 3}, torch.zeros(2)])
def test_something_else_than_a_state_dict_is_refused(module, content):
    torch.save(content, module / "a.pt")
    with pytest.raises(ValueError, match="must be a state dict, tensors by name"):
        load_model("example_models:make", module / "a.pt")


def test_missing_file_is_named(module):
    with pytest.raises(FileNotFoundError, match=r"nothing\.pt"):
        load_model("example_models:make", module / "nothing.pt")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("change", [
    torch.Tensor.to_sparse, torch.Tensor.to_sparse_csr, lambda old: old.to("meta"),
    lambda old: old.to(torch.complex64),
    lambda old: torch.quantize_per_tensor(old, 0.1, 0, torch.qint8)],
    ids=["sparse", "csr", "meta", "complex", "quantized"])
def test_tensors_of_other_kinds_are_refused(module, state, change):
    torch.save(state | {"0.weight": change(state["0.weight"])}, "a.pt")
    with pytest.raises(ValueError, match=r"^Weights a\.pt: 0\.weight must be a dense tensor of "
                                         r"real numbers, not torch\.\w+, torch\.\w+, device"):
        load_model("example_models:make", Path("a.pt"))
