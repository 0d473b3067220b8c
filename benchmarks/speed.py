"""How long the simulator takes, beside bare matrix products of the same work and the peers.

    python benchmarks/speed.py --fashion FOLDER [--mnist FOLDER] [--fresh]

784-256-128-10 on Fashion-MNIST, a batch of 1,000 images, T = 32. The products are those of all
layers and timesteps in float32, by torch, in the same process and in turn with the simulator; the
peers' ratios are to products in their own process, as ``peers.py`` measures them. Prints Markdown.
"""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter

import click
import models
import numpy as np
import peers
import torch

from sc_neurocore import golden, simulator
from sc_neurocore.conversion import convert
from sc_neurocore.network import IntegerNetwork
from sc_neurocore.quantization import quantize

NAME, BATCH, TIMESTEPS, ROUNDS = "fashion_mlp", 1000, 32, 21
CHECKED = 20
"""Images whose results are compared with the golden model's."""


def matrix_products(network: IntegerNetwork) -> Callable[[], None]:
    """All layers' products of all timesteps, in float32."""
    pairs = [(torch.rand(BATCH, layer.n_input), torch.rand(layer.n_input, layer.n_output))
             for layer in network.layers]

    def run() -> None:
        for _ in range(TIMESTEPS):
            for inputs, weights in pairs:
                inputs @ weights
    return run


def in_turn(candidates: dict[str, Callable[[], object]]) -> dict[str, np.ndarray]:
    """Seconds of each candidate in each round; what disturbs the machine disturbs all of them."""
    for run in candidates.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(ROUNDS):
        for name, run in candidates.items():
            begun = perf_counter()
            run()
            seconds[name].append(perf_counter() - begun)
    return {name: np.array(values) for name, values in seconds.items()}


def check(network: IntegerNetwork, inputs: np.ndarray, engine: str) -> None:
    """Raise RuntimeError unless the engine's integers are those of the golden model."""
    found = simulator.run(network, inputs[:CHECKED], engine=engine)
    expected = golden.run(network, inputs[:CHECKED])
    for one, other in zip(found.arrays(), expected.arrays(), strict=True):
        if not np.array_equal(one, other):
            raise RuntimeError(f"{engine}, {network.encoder}: not the golden model's integers")


@click.command()
@click.option("--fashion", type=Path, required=True, help="Folder of Fashion-MNIST's IDX files.")
@click.option("--mnist", type=Path, help="Not needed; for a common command line.")
@click.option("--fresh", is_flag=True, help="Have the peers measure again what they have.")
@click.option("--without-peers", is_flag=True)
@click.option("--output", type=Path, default=Path("build/benchmarks/speed.md"), show_default=True)
def main(fashion: Path, mnist: Path | None, fresh: bool, without_peers: bool, output: Path
         ) -> None:
    """Measure the simulator."""
    data = models.load_data(mnist, fashion)
    images = data["fashion"]
    snn = convert(models.trained(NAME, data), images.train_images[:10000], TIMESTEPS,
                  per_channel=True, initial_membrane_fraction=0.5)
    networks = {encoder: quantize(snn, 8, encoder=encoder)
                for encoder in ("lfsr", "low_discrepancy", "direct")}
    inputs = networks["lfsr"].intensities(images.test_images[:BATCH])
    candidates: dict[str, Callable[[], object]] = {
        "products": matrix_products(networks["lfsr"])}
    for encoder, network in networks.items():
        for engine in ("events", "products"):
            check(network, inputs, engine)
            candidates[f"ours, 8-bit integers, engine {engine} | {encoder}"] = (
                lambda network=network, engine=engine: simulator.run(network, inputs,
                                                                     engine=engine))
    seconds = in_turn(candidates)
    bare = seconds.pop("products")
    lines = [f"{NAME}, batch {BATCH}, T = {TIMESTEPS}, {ROUNDS} rounds, "
             f"{torch.get_num_threads()} threads; {CHECKED} images compared with the golden model",
             "", "| simulator | input | min, s | median, s | × products (min) | (median) |",
             "|---" * 6 + "|",
             f"| bare float32 products | | {bare.min():.4f} | {np.median(bare):.4f} | 1 | 1 |"]
    for name, values in seconds.items():
        lines.append(f"| {name} | {values.min():.4f} | {np.median(values):.4f} | "
                     f"{values.min() / bare.min():.2f} | "
                     f"{np.median(values) / np.median(bare):.2f} |")
    if not without_peers:
        lines += ["", peers.speed_table(peers.run_peers([NAME], data, ["speed"], fresh))]
    print("\n".join(lines))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
