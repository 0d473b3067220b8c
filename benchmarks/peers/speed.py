"""How long the peers' simulators take, beside the bare matrix products of the same work."""

import copy
import os
from collections.abc import Callable
from itertools import pairwise
from time import perf_counter, process_time
from typing import Any

import numpy as np
import torch
from methods import (
    sinabs_converted,
    sinabs_reset,
    spikingjelly_converted,
    spikingjelly_recipes,
)
from networks import load_network
from spikingjelly.activation_based import encoding, functional
from torch import nn

from sc_neurocore.conversion import convert as sc_neurocore_convert

Run = Callable[[], Any]
Key = tuple[str, str, str]
"""Peer, mode and input."""

_PRODUCTS = ("products", "", "")


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Time every candidate and the products, in turns, so that all share the machine's moods.

    By the clock with all threads, then by processor time with one thread of torch, which other jobs
    on the machine disturb less.

    Parameters
    ----------
    job : dict
        ``network``, the description of a multilayer perceptron; ``batch``; ``timesteps``;
        ``rounds``, at least 5.

    Returns
    -------
    dict
        ``products``, the seconds of the products, and ``candidates``, a list: seconds are a dict
        of ``min`` and ``median``, ``ratio`` is min over the products' min, ``processor`` the median
        of the processor time over the products' (None where numpy computes, whose threads are not
        torch's), ``agreement`` the fraction of images in the class that the ANN says. ``load`` is
        the machine's load average before and after, ``failures`` what could not be run.
    """
    load = [os.getloadavg()[0]]
    with np.load(job["network"]["data"]) as data:
        images = torch.from_numpy(data["images"][:job["batch"]])
        calibration = torch.from_numpy(data["calibration"])
    model = load_network(job["network"])
    timesteps = job["timesteps"]
    runs = {_PRODUCTS: _products(job["network"]["widths"], job["batch"], timesteps)}
    runs |= _spikingjelly(model, calibration, images, timesteps)
    runs |= _sinabs(model, images, timesteps)
    on_numpy = _sc_neurocore(model, calibration, images, timesteps)
    runs |= on_numpy
    failures = _warm_up(runs)
    seconds = _interleaved(runs, job["rounds"], perf_counter)
    products = seconds.pop(_PRODUCTS)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    failures += _warm_up(runs)  # compiled code is made for a number of threads
    processor = _interleaved(runs, job["rounds"], process_time)
    load.append(os.getloadavg()[0])
    wanted = model(images).argmax(1)
    agreement = {key: (torch.as_tensor(run()).argmax(1) == wanted).float().mean().item()
                 for key, run in runs.items() if key != _PRODUCTS}
    torch.set_num_threads(threads)
    return {"batch": job["batch"], "timesteps": timesteps, "rounds": job["rounds"], "load": load,
            "products": products, "failures": failures,
            "candidates": [
                dict(peer=key[0], mode=key[1], input=key[2], seconds=taken,
                     ratio=taken["min"] / products["min"],
                     processor=None if key in on_numpy else
                     processor[key]["median"] / processor[_PRODUCTS]["median"],
                     agreement=agreement[key])
                for key, taken in seconds.items() if key in runs]}


def _warm_up(runs: dict[Key, Run]) -> list[dict[str, str]]:
    """Run everything twice, so that compilers are done; drop what fails, and say why."""
    failures = []
    for key, run in list(runs.items()):
        begun = perf_counter()
        try:
            run()
            run()
        except Exception as error:  # torch.compile fails in many ways, without a compiler first
            failures.append(dict(peer=key[0], mode=key[1], input=key[2],
                                 error=f"{type(error).__name__}: {error}"[:300]))
            del runs[key]
        print(f"speed: {' '.join(key)}, first runs {perf_counter() - begun:.0f} s", flush=True)
    return failures


def _interleaved(runs: dict[Key, Run], rounds: int, clock: Callable[[], float]
                 ) -> dict[Key, dict[str, float]]:
    taken: dict[Key, list[float]] = {key: [] for key in runs}
    for _ in range(rounds):
        for key, run in runs.items():
            begun = clock()
            run()
            taken[key].append(clock() - begun)
    return {key: {"min": min(values), "median": float(np.median(values))}
            for key, values in taken.items()}


def _products(widths: list[int], batch: int, timesteps: int) -> Run:
    generator = torch.Generator().manual_seed(0)
    layers = [((torch.rand(batch, n_input, generator=generator) < 0.2).float(),
               torch.randn(n_input, n_output, generator=generator))
              for n_input, n_output in pairwise(widths)]

    def run() -> None:
        for _ in range(timesteps):
            for spikes, weights in layers:
                spikes @ weights

    return run


def _spikingjelly(model: nn.Module, calibration: torch.Tensor, images: torch.Tensor,
                  timesteps: int) -> dict[Key, Run]:
    """Single-step and multi-step mode, each as it is and through torch.compile."""
    recipe = spikingjelly_recipes(calibration)["per channel, 99.9 %, θ/2"]
    single = spikingjelly_converted(model, recipe)
    encode = encoding.PoissonEncoder()

    def stepwise(network: Callable[..., torch.Tensor], kind: str) -> Run:
        def run() -> torch.Tensor:
            functional.reset_net(single)
            return sum(network(encode(images) if kind == "poisson" else images)
                       for _ in range(timesteps))
        return run

    multi = copy.deepcopy(single)
    functional.set_step_mode(multi, "m")
    sequence = images.expand(timesteps, *images.shape)

    def at_once(network: Callable[..., torch.Tensor], kind: str) -> Run:
        def run() -> torch.Tensor:
            functional.reset_net(multi)
            return network(encode(sequence) if kind == "poisson" else sequence).sum(0)
        return run

    return {("spikingjelly", f"{mode}{suffix}", kind): make(wrap(network), kind)
            for mode, make, network in (("single-step", stepwise, single),
                                        ("multi-step", at_once, multi))
            for suffix, wrap in (("", lambda network: network), (", compiled", torch.compile))
            for kind in ("constant", "poisson")}


def _sinabs(model: nn.Module, images: torch.Tensor,
            timesteps: int) -> dict[Key, Run]:
    network = sinabs_converted(model, timesteps)

    def once(forward: Callable[..., torch.Tensor], kind: str) -> Run:
        def run() -> torch.Tensor:
            frames = images.repeat_interleave(timesteps, 0)
            if kind == "poisson":
                frames = (torch.rand_like(frames) < frames).float()
            sinabs_reset(network, False, frames)
            return forward(frames).unflatten(0, (len(images), timesteps)).sum(1)
        return run

    return {("sinabs", mode, kind): once(forward, kind)
            for mode, forward in (("as it is", network), ("compiled", torch.compile(network)))
            for kind in ("constant", "poisson")}


def _sc_neurocore(model: nn.Module, calibration: torch.Tensor, images: torch.Tensor,
                  timesteps: int) -> dict[Key, Run]:
    network = sc_neurocore_convert(model, calibration, T=timesteps)
    x = images.numpy().astype(np.float64)
    return {("sc-neurocore", "as it is", "poisson"): lambda: network.run(x)}
