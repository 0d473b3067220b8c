"""Write the NIR files of other frameworks, and what these frameworks make of some spikes.

    python -m venv peers
    peers/bin/pip install torch==2.13.0 nir==1.0.8 nirtorch==2.6 numpy scipy tqdm loguru matplotlib
    peers/bin/pip install --no-deps snntorch==1.0.0 spikingjelly==2.0.0
    peers/bin/python tests/data/make_nir.py

SpikingJelly refuses to write neurons of soft reset (v_reset=None), so they are made to look like
others for the export. snntorch writes the same for all of its reset mechanisms; its neurons need a
beta and a threshold each, as nir 1.0.8 infers wrong types from those that are shared.
"""

import gzip
import tempfile
from pathlib import Path

import nir
import numpy as np
import snntorch
import torch
from snntorch import utils
from snntorch.export_nir import export_to_nir as export_snntorch
from spikingjelly.activation_based import functional, layer, neuron
from spikingjelly.activation_based.nir_exchange import export_to_nir as export_spikingjelly
from torch import nn

HERE = Path(__file__).parent
T = 16


def leaky(beta, *shape):
    """A layer of neurons of snntorch."""
    return snntorch.Leaky(beta=torch.full(shape, beta), threshold=torch.linspace(
        0.5, 1, int(np.prod(shape))).reshape(shape), reset_mechanism="subtract", init_hidden=True)


def perceptron(beta):
    """4-3-2."""
    return nn.Sequential(nn.Linear(4, 3), leaky(beta, 3), nn.Linear(3, 2, bias=False),
                         leaky(beta, 2))


class Residual(nn.Module):
    """A convolution, a block around which spikes go as they are, a pool, and two classes."""

    def __init__(self, v_reset):
        super().__init__()
        self.first = layer.Conv2d(1, 2, 3, padding=1, bias=False)
        self.first_if = neuron.IFNode(v_threshold=0.5, v_reset=v_reset)
        self.inner = layer.Conv2d(2, 2, 3, padding=1)
        self.inner_if = neuron.IFNode(v_threshold=0.75, v_reset=v_reset)
        self.pool = layer.AvgPool2d(2)
        self.flatten = layer.Flatten()
        self.last = layer.Linear(8, 2)
        self.last_if = neuron.IFNode(v_threshold=1.0, v_reset=v_reset)

    def forward(self, x):
        x = self.first_if(self.first(x))
        x = self.inner_if(self.inner(x) + x)
        return self.last_if(self.last(self.flatten(self.pool(x))))


def lively(model):
    """Give it weights that make all neurons spike."""
    for module in model.modules():
        if hasattr(module, "weight"):
            nn.init.normal_(module.weight, 0.1, 0.4)
    return model


def counts(model, spikes):
    """Spikes of the output, (batch, 2), for (timesteps, batch, ...) spikes."""
    with torch.no_grad():
        return sum(model(one) for one in spikes).numpy()


def write(name, graph):
    """Write a file and compress it, as most of HDF5 is nothing."""
    graph.edges.sort()      # nirtorch has them in an order that differs from process to process
    with tempfile.TemporaryDirectory() as folder:
        nir.write(Path(folder) / "graph.nir", graph)
        data = (Path(folder) / "graph.nir").read_bytes()
    (HERE / f"{name}.nir.gz").write_bytes(gzip.compress(data, mtime=0))


def main():
    """Write the files."""
    torch.manual_seed(5)
    found = {}
    spikes = torch.rand(T, 8, 4).round()
    model = lively(perceptron(1.0))
    write("snntorch", export_snntorch(model, torch.rand(1, 4), ignore_dims=[0]))
    utils.reset(model)
    found |= {"snntorch_spikes": spikes, "snntorch_counts": counts(model, spikes)}
    write("snntorch_leaky", export_snntorch(perceptron(0.9), torch.rand(1, 4), ignore_dims=[0]))

    spikes = torch.rand(T, 8, 1, 4, 4).round()
    model = lively(Residual(None))
    found |= {"spikingjelly_spikes": spikes, "spikingjelly_counts": counts(model, spikes)}
    functional.reset_net(model)
    for name, v_reset in (("spikingjelly", 0.0), ("spikingjelly_hard", -0.5)):
        for module in model.modules():
            if isinstance(module, neuron.IFNode):
                module.v_reset = v_reset
        write(name, export_spikingjelly(model, spikes[0, :1]))
    np.savez_compressed(HERE / "nir_counts.npz",
                        **{name: np.asarray(value, np.int8) for name, value in found.items()})


if __name__ == "__main__":
    main()
