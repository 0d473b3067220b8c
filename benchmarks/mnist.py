"""MNIST-like data on a 784-128-10 network: accuracy of all test images, and a verified circuit.

    python benchmarks/mnist.py --data-dir FOLDER [--output build/mnist]

Trains, converts, quantizes, runs all test images through the simulator, which is bit-exact, and
verifies the Verilog with 64 lanes on some of them. Prints a table in Markdown.
"""

from dataclasses import replace
from pathlib import Path
from time import perf_counter

import click
import numpy as np

from sc_neurocore import simulator
from sc_neurocore.conversion import convert
from sc_neurocore.conversion.loading import classify
from sc_neurocore.conversion.training import train_mlp
from sc_neurocore.cosim import verify
from sc_neurocore.datasets import idx_folder
from sc_neurocore.quantization import quantize
from sc_neurocore.spec import AcceleratorSpec

SEEDS = range(1, 6)


@click.command()
@click.option("--data-dir", type=Path, required=True, help="Folder of IDX files.")
@click.option("--output", type=Path, default=Path("build/mnist"), show_default=True)
@click.option("--epochs", default=10, show_default=True)
@click.option("--images", default=5, show_default=True, help="Images to verify.")
@click.option("--lanes", default=64, show_default=True)
def main(data_dir: Path, output: Path, epochs: int, images: int, lanes: int) -> None:
    """Measure accuracies and verify a 784-128-10 network."""
    data = idx_folder(data_dir)
    model = train_mlp(data.train_images, data.train_labels, hidden=(128,), epochs=epochs)
    ann = np.mean(classify(model, data.test_images) == data.test_labels)
    snn = replace(convert(model, data.train_images[:10000]), initial_membrane_fraction=0.5)
    print(f"784-128-10, {len(data.test_labels)} test images, ANN {ann:.2%}\n")
    print("| T | weights | accuracy, mean of 5 seeds | images/s, simulated on this machine |")
    print("|---|---|---|---|")
    for timesteps in (4, 8, 16):
        for width in (8, 4):
            network = quantize(snn, width, timesteps=timesteps)
            intensities = network.intensities(data.test_images)
            begun = perf_counter()
            accuracies = simulator.accuracy(network, intensities, data.test_labels, seeds=SEEDS)
            rate = len(SEEDS) * len(intensities) / (perf_counter() - begun)
            print(f"| {timesteps} | {width} bits | {np.mean(accuracies):.2%} | {rate:.0f} |")

    network = quantize(snn, 8, timesteps=16)
    spec = AcceleratorSpec.for_network(network, lanes=lanes, beats=16)
    report = verify(network, network.intensities(data.test_images[:images]), spec, folder=output)
    print(f"\nVerilog, T = 16, lanes {spec.lanes}, {spec.beats} intensities a transfer: {report}")
    print(f"{report.cycles_per_image:.0f} cycles per image")
    raise SystemExit(not report.passed)


if __name__ == "__main__":
    main()
