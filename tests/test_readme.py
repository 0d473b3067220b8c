"""The README's and the guide's Python is run as it stands there, and the commands exist."""

import re
from copy import deepcopy
from pathlib import Path

import pytest

from sc_neurocore import cli, cosim, simulator
from sc_neurocore.conversion import QCFSActivation
from sc_neurocore.conversion.training import train_mlp
from sc_neurocore.datasets import digits
from sc_neurocore.quantization import quantize

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
GUIDE = (ROOT / "docs" / "conversion.md").read_text()


@pytest.fixture
def names(monkeypatch):
    """What the README's lines take for granted; compiled simulations are kept."""
    verify = cosim.verify
    monkeypatch.setattr(cosim, "verify", lambda *arguments: verify(
        *arguments, cache=ROOT / "build" / "simulations"))
    data = digits()
    model = train_mlp(data.train_images, data.train_labels, hidden=(16,), epochs=3)
    return {"model": model, "calibration_images": data.train_images,
            "test_images": data.test_images[:30], "test_labels": data.test_labels[:30],
            "images": data.train_images[:200], "train": lambda model, epochs: None,
            "relu_model": deepcopy(model), "simulator": simulator, "quantize": quantize}


def test_the_python_runs(names):
    lines, qcfs = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    exec(lines, names)
    assert len(names["result"].predicted) == 30
    assert "module accelerator" in names["text"]
    exec(qcfs, names)
    assert isinstance(names["model"][1], QCFSActivation)
    assert names["snn"].T == 4
    assert names["snn"].initial_membrane_fraction == 0.5


def test_the_guide_runs(names, capsys):
    exec("\n".join(re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)), names)
    assert names["network"].layers[0].weight_width == 4
    assert names["network"].schedule == "layer_by_layer"
    assert "the main cause of error" in capsys.readouterr().out
    assert names["same"].shape == names["snn"].shape


def test_the_commands_and_their_options_exist():
    shell = "\n".join(re.findall(r"```sh\n(.*?)```", README, re.DOTALL)).replace("\\\n", " ")
    used = re.findall(r"^sc-neurocore +([\w-]+) (.*)$", shell, re.MULTILINE)
    assert len(used) == 12
    for name, arguments in used:
        known = {option for parameter in cli.commands.commands[name].params
                 for option in parameter.opts}
        assert set(re.findall(r"--[\w-]+", arguments)) <= known, name


def test_links_lead_somewhere():
    for text, folder in ((README, ROOT), (GUIDE, ROOT / "docs")):
        for target in re.findall(r"\]\(([^)#]+)\)", text):
            assert target.startswith("http") or (folder / target).exists(), target
