"""Random networks, layouts and images: the accelerator always equals the golden model."""

from dataclasses import replace

import numpy as np
import pytest
from common import random_network

from sc_neurocore import cosim
from sc_neurocore.network import ENCODERS, SCHEDULES
from sc_neurocore.spec import AcceleratorSpec

QUICK, ALL = 4, 40


@pytest.mark.parametrize("seed", [pytest.param(seed, marks=[] if seed < QUICK else pytest.mark.slow)
                                  for seed in range(ALL)])
def test_random_network(seed, tmp_path, cache):
    random = np.random.default_rng(seed)
    shape = random.integers(1, 25, random.integers(2, 7)).tolist()
    weight_width = int(random.integers(2, 17))
    network = random_network(
        shape, timesteps=int(random.integers(1, 20)), weight_width=weight_width,
        intensity_width=int(random.integers(1, 17)), biases=bool(random.integers(2)), seed=seed,
        membrane_width=int(random.integers(3, weight_width + 8)) if random.integers(2) else None)
    schedule = str(random.choice(SCHEDULES))
    if schedule == "layer_by_layer":
        network = replace(network, layers=tuple(replace(layer, membrane_width=None)
                                                for layer in network.layers))
    # Encoders in turn, so that each is among the quick ones.
    network = replace(network, encoder=ENCODERS[seed % len(ENCODERS)], schedule=schedule)
    beats = 1 << int(random.integers(6))
    spec = AcceleratorSpec(
        tuple(int(random.integers(1, neurons + 1)) for neurons in shape[1:]), beats,
        beats << int(random.integers(3)) if beats <= 16 else beats,
        tuple(random.choice(["block", "logic"], len(shape) - 1).tolist()),
        ports=tuple(random.integers(1, 3, len(shape) - 1).tolist()))
    saturates = any(widths.saturates for widths in network.widths)
    if network.encoder != "direct" and not saturates and random.random() < 0.4:
        spec = replace(replace(spec, ports=()).with_loading(network),
                       store_parts=int(random.integers(1, 5)), family="ice40",
                       memories=tuple(random.choice(["block", "spram"], len(shape) - 1).tolist()))
    density = random.random()
    if network.encoder == "events":
        images = random.random((4, network.timesteps, network.n_input)) < density
    else:
        images = random.integers(0, network.full_scale + 1, (4, network.n_input))
        images[random.random(images.shape) < density] = 0
    report = cosim.verify(network, images, spec, folder=tmp_path, cache=cache, stall_seed=seed)
    assert report.passed, f"{shape}, {spec}: {report}"


@pytest.mark.slow
def test_784_128_10_with_64_lanes(tmp_path, cache):
    network = random_network((784, 128, 10), timesteps=8)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (5, 784)) * (random.random((5, 784)) < 0.2)
    report = cosim.verify(network, images, AcceleratorSpec((64, 10), 16), folder=tmp_path,
                          cache=cache)
    assert report.passed, str(report)
