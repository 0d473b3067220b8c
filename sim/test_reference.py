"""The checked-in reference design, as a user without Python would take it."""

from pathlib import Path

import numpy as np

from sc_neurocore import golden
from sc_neurocore.cosim import simulation
from sc_neurocore.datasets import digits
from sc_neurocore.storage import load_network

HDL = Path(__file__).parents[1] / "hdl"


def test_the_reference_design_lints_and_gives_the_golden_results(tmp_path, cache):
    """Fields as in the file's header: neuron 4 bits, count 4, current 10, predicted 4, last."""
    network = load_network(HDL / "reference.safetensors")
    images = network.intensities(digits().test_images[:8])
    result = golden.run(network, images)
    want = [neuron | int(result.counts[image, neuron]) << 4
            | (int(result.currents[image, neuron]) & 0x3ff) << 8
            | int(np.argmax(result.currents[image, :neuron + 1])) << 18 | (neuron == 9) << 22
            for image in range(len(images)) for neuron in range(10)]
    compiled = simulation.compile_verilog((HDL / "reference.v").read_text(), "reference", cache)
    simulation.run(compiled, "reference", "bench_reference",
                   {"images": images.tolist(), "beats": 4, "want": want}, tmp_path,
                   python_path=[Path(__file__).parent])
