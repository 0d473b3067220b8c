"""What each peer offers to convert a network, and how its simulator is run."""

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import sinabs.layers as sl
import torch
from sinabs.activation import SingleSpike
from sinabs.from_torch import from_model
from sinabs.utils import normalize_weights
from spikingjelly.activation_based import encoding, functional, neuron
from spikingjelly.activation_based.ann2snn import (
    FXConverter,
    LocalThresholdBalancingRecipe,
    RateCodingRecipe,
)
from torch import nn

from sc_neurocore.conversion import QCFSActivation
from sc_neurocore.conversion import convert as sc_neurocore_convert

Scores = dict[int, torch.Tensor]
Simulate = Callable[[torch.Tensor, Sequence[int], bool], Scores]
"""(images, ascending numbers of timesteps, Poisson input?) -> T -> (n, classes) scores."""

CALIBRATION_BATCH = 100  # that of SpikingJelly's own example; its scales are running means


@dataclass(frozen=True)
class Method:
    """One way to convert a network, ready to run.

    ``inputs`` are ``constant``, a current that is the same in every timestep, and ``poisson``.
    ``batch`` is the number of images at a time, ``graded`` whether a neuron may send several
    spikes in one timestep, and ``seeds`` whether spikes can be drawn anew.
    """

    peer: str
    name: str
    simulate: Simulate
    inputs: tuple[str, ...]
    batch: int
    graded: bool = False
    seeds: bool = True
    more_timesteps: tuple[int, ...] = ()


def methods(model: nn.Sequential, calibration: torch.Tensor) -> list[Method]:
    """All methods of all peers for a ReLU network."""
    found = [*_spikingjelly(model, calibration), *_sinabs(model, calibration)]
    if not any(isinstance(module, nn.Conv2d) for module in model):
        found.append(_sc_neurocore(model, calibration))
    return found


def qcfs_methods(model: nn.Sequential) -> list[Method]:
    """Methods for a network with sc-neurocore's QCFS activations; no other peer knows them."""
    return [_sc_neurocore(model, None)]


# SpikingJelly: the recipes for ReLU networks, with and without the membrane at half the threshold

_SPIKINGJELLY_POISSON = ("per channel, 99.9 %, θ/2", "local threshold balancing, θ/2")


def spikingjelly_converted(model: nn.Module, recipe: Any) -> nn.Module:
    return FXConverter(recipe).convert(copy.deepcopy(model)).eval()


def spikingjelly_recipes(calibration: torch.Tensor) -> dict[str, Any]:
    batches = calibration.split(CALIBRATION_BATCH)

    def rate(mode: str, **options: Any) -> RateCodingRecipe:
        return RateCodingRecipe(batches, mode=mode, **options)

    half = dict(neuron_factory=lambda scale: neuron.HalfThresholdIFNode())
    channel_half = dict(channel_wise=True, half_threshold=True)
    return {
        "max": rate("max"),
        "99.9 %": rate("99.9%"),
        "99.9 %, θ/2": rate("99.9%", **half),
        "99 %, θ/2": rate("99%", **half),
        "per channel, max": rate("max", channel_wise=True),
        "per channel, max, θ/2": rate("max", **channel_half),
        "per channel, 99.9 %, θ/2": rate("99.9%", **channel_half),
        "per channel, 99 %, θ/2": rate("99%", **channel_half),
        "local threshold balancing, θ/2": LocalThresholdBalancingRecipe(batches),
    }


def _spikingjelly(model: nn.Sequential, calibration: torch.Tensor) -> list[Method]:
    found = []
    for name, recipe in spikingjelly_recipes(calibration).items():
        inputs = ("constant", "poisson") if name in _SPIKINGJELLY_POISSON else ("constant",)
        simulate = _step_by_step(spikingjelly_converted(model, recipe))
        found.append(Method("spikingjelly", name, simulate, inputs, batch=1000))
    return found


def _step_by_step(network: nn.Module) -> Simulate:
    encode = encoding.PoissonEncoder()

    def simulate(images: torch.Tensor, timesteps: Sequence[int], poisson: bool) -> Scores:
        functional.reset_net(network)
        total, scores = 0.0, {}
        for t in range(1, timesteps[-1] + 1):
            total = total + network(encode(images) if poisson else images)
            if t in timesteps:
                scores[t] = total
        return scores

    return simulate


# sinabs: by default a neuron sends as many spikes in a timestep as its membrane has thresholds

def sinabs_converted(model: nn.Module, timesteps: int, **options: Any) -> nn.Module:
    # no lower bound of the membrane, as in the other peers; -1, the default, is no better
    options = dict(min_v_mem=None) | options
    return from_model(model, num_timesteps=timesteps, **options).spiking_model


def _sinabs(model: nn.Sequential, calibration: torch.Tensor) -> list[Method]:
    normalized = sinabs_normalized(model, calibration)
    both = ("constant", "poisson")
    return [
        Method("sinabs", "several spikes a timestep", _whole_sequences(model), both, 100, True),
        Method("sinabs", "several spikes a timestep, θ/2", _whole_sequences(model, half=True),
               ("constant",), 100, True),
        Method("sinabs", "one spike a timestep",
               _whole_sequences(model, spike_fn=SingleSpike), ("constant",), 100),
        Method("sinabs", "normalize_weights 99 %, one spike a timestep",
               _whole_sequences(normalized, spike_fn=SingleSpike), ("constant",), 100),
    ]


def sinabs_normalized(model: nn.Sequential, calibration: torch.Tensor) -> nn.Sequential:
    """Have sinabs scale the weights by the 99th percentile of the activations, its default."""
    normalized = copy.deepcopy(model)
    activations = [place for place, module in enumerate(model) if isinstance(module, nn.ReLU)]
    normalize_weights(normalized, calibration[:1000],
                      output_layers=[str(place) for place in activations],
                      param_layers=[str(place - 1) for place in activations])
    return normalized


def _whole_sequences(model: nn.Sequential, half: bool = False, **options: Any) -> Simulate:
    networks: dict[int, nn.Module] = {}

    def simulate(images: torch.Tensor, timesteps: Sequence[int], poisson: bool) -> Scores:
        last = timesteps[-1]
        network = networks.setdefault(last, sinabs_converted(model, last, **options))
        frames = images.repeat_interleave(last, 0)
        if poisson:
            frames = (torch.rand_like(frames) < frames).float()
        sinabs_reset(network, half, frames)
        outputs = network(frames).unflatten(0, (len(images), last)).cumsum(1)
        return {t: outputs[:, t - 1] for t in timesteps}

    return simulate


def sinabs_reset(network: nn.Module, half: bool, frames: torch.Tensor) -> None:
    """Set all membranes to 0, or to half the threshold, which is 1."""
    layers = [module for module in network.modules() if isinstance(module, sl.StatefulLayer)]
    if half and not layers[0].is_state_initialised():
        network(frames)  # states have their shapes only after a first run
    for layer in layers:
        if half:
            layer.reset_states(randomize=True, value_ranges={"v_mem": (0.5, 0.5)})
        else:
            layer.reset_states()


# sc-neurocore of PyPI: Poisson input alone, its seed fixed in the source

def _sc_neurocore(model: nn.Sequential, calibration: torch.Tensor | None) -> Method:
    def simulate(images: torch.Tensor, timesteps: Sequence[int], poisson: bool) -> Scores:
        x = images.numpy().astype(np.float64)
        return {T: torch.from_numpy(sc_neurocore_convert(model, calibration, T=T).run(x))
                for T in timesteps}

    name = "QCFS" if any(isinstance(module, QCFSActivation) for module in model) else "99.9 %"
    return Method("sc-neurocore", name, simulate, ("poisson",), batch=10000, seeds=False,
                  more_timesteps=(256,))
