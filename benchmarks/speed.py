"""How long the simulator takes, beside bare matrix products of the same work and the peers.

    python benchmarks/speed.py --fashion FOLDER [--mnist FOLDER] [--without-peers]

784-256-128-10 on Fashion-MNIST, a batch of 1,000 images, T = 32. The products are those of all
layers and timesteps in float32, by torch, in the same process and in turn with the simulator: by
the clock and with the threads that there are, then by processor time and with one thread, which
other jobs on the machine disturb less. The peers' ratios are to products in a process of their own,
measured likewise right after that. Prints Markdown, and writes the README's table.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import click
import models
import numpy as np
import peers
import readme
import torch

from sc_neurocore import golden, simulator
from sc_neurocore.conversion import convert
from sc_neurocore.network import IntegerNetwork
from sc_neurocore.quantization import quantize

NAME, BATCH, TIMESTEPS, ROUNDS = "fashion_mlp", 1000, 32, 11
CHECKED = 20
"""Images whose results are compared with the golden model's."""

PRODUCTS = "products"
ENGINES = {"events": "**ours**, 8-bit integers", "products": "**ours**, without numba"}
"""Engines of the simulator, and what the README calls them."""

Run = Callable[[], object]


@dataclass(frozen=True)
class Row:
    """Times of a simulator over those of the products.

    ``fastest`` and ``median`` of all rounds are by the clock and with all threads; ``processor`` is
    the median of the processor time with one thread, None where it was not measured.
    """

    name: str
    input: str
    fastest: float
    median: float
    processor: float | None


def matrix_products(network: IntegerNetwork) -> Callable[[], None]:
    """All layers' products of all timesteps, in float32."""
    pairs = [(torch.rand(BATCH, layer.n_input), torch.rand(layer.n_input, layer.n_output))
             for layer in network.layers]

    def run() -> None:
        for _ in range(TIMESTEPS):
            for inputs, weights in pairs:
                inputs @ weights
    return run


def in_turn(candidates: dict[str, Run], clock: Callable[[], float]) -> dict[str, np.ndarray]:
    """Seconds of each candidate in each round; what disturbs the machine disturbs all of them."""
    for run in candidates.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(ROUNDS):
        for name, run in candidates.items():
            begun = clock()
            run()
            seconds[name].append(clock() - begun)
    return {name: np.array(values) for name, values in seconds.items()}


def check(network: IntegerNetwork, inputs: np.ndarray, engine: str) -> None:
    """Raise RuntimeError unless the engine's integers are those of the golden model."""
    found = simulator.run(network, inputs[:CHECKED], engine=engine)
    expected = golden.run(network, inputs[:CHECKED])
    for one, other in zip(found.arrays(), expected.arrays(), strict=True):
        if not np.array_equal(one, other):
            raise RuntimeError(f"{engine}, {network.encoder}: not the golden model's integers")


def runs(networks: dict[str, IntegerNetwork], inputs: np.ndarray, threads: int | None
         ) -> dict[str, Run]:
    """The products, and the simulator: "events | encoder", and for comparison "products | lfsr"."""
    return {PRODUCTS: matrix_products(next(iter(networks.values())))} | {
        f"{engine} | {encoder}": partial(simulator.run, network, inputs, engine=engine,
                                         threads=threads)
        for encoder, network in networks.items() for engine in ENGINES
        if engine == "events" or encoder == "lfsr"}


def measured(networks: dict[str, IntegerNetwork], inputs: np.ndarray) -> list[Row]:
    """Ratios of each engine and encoder to the products; see `Row`."""
    clock = in_turn(runs(networks, inputs, None), perf_counter)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = in_turn(runs(networks, inputs, 1), process_time)
    torch.set_num_threads(threads)
    return [Row(*name.split(" | "), *(float(reduce(taken[name]) / reduce(taken[PRODUCTS]))
                                      for taken, reduce in ((clock, np.min), (clock, np.median),
                                                            (alone, np.median))))
            for name in clock if name != PRODUCTS]


def peer_rows(speed: dict[str, Any]) -> list[Row]:
    """Of each peer and input its fastest mode."""
    products, best = speed["products"], {}
    for row in sorted(speed["candidates"], key=lambda row: -row["ratio"]):
        best[row["peer"], row["input"]] = Row(
            f"{peers.TITLES[row['peer']]}, {row['mode']}", row["input"], row["ratio"],
            row["seconds"]["median"] / products["median"], row["processor"])
    return sorted(best.values(), key=lambda row: (row.name, row.input))


def table(rows: Sequence[Row]) -> str:
    """Markdown of ratios."""
    lines = ["| | input | × products, fastest run | median | one thread, processor time |",
             "|---" * 5 + "|"]
    for row in rows:
        cells = [f"{value:.2f}" if value is not None else ""
                 for value in (row.fastest, row.median, row.processor)]
        lines.append(f"| {' | '.join([row.name, row.input, *cells])} |")
    return "\n".join(lines)


@click.command()
@click.option("--fashion", type=Path, required=True, help="Folder of Fashion-MNIST's IDX files.")
@click.option("--mnist", type=Path, help="Not needed; for a common command line.")
@click.option("--without-peers", is_flag=True)
def main(fashion: Path, mnist: Path | None, without_peers: bool) -> None:
    """Measure the simulator."""
    data = models.load_data(mnist, fashion)
    images = data["fashion"]
    snn = convert(models.trained(NAME, data), images.train_images[:10000], TIMESTEPS,
                  per_channel=True, initial_membrane_fraction=0.5)
    networks = {encoder: quantize(snn, 8, encoder=encoder)
                for encoder in ("lfsr", "low_discrepancy", "direct")}
    inputs = networks["lfsr"].intensities(images.test_images[:BATCH])
    for network in networks.values():
        for engine in ENGINES:
            check(network, inputs, engine)
    ours = [replace(row, name=ENGINES[row.name]) for row in measured(networks, inputs)]
    threads = torch.get_num_threads()
    lines = [f"{NAME}, batch {BATCH}, T = {TIMESTEPS}, {ROUNDS} rounds, {threads} threads; "
             f"{CHECKED} images compared with the golden model", "", table(ours)]
    if not without_peers:
        found = peers.run_peers([NAME], data, ["speed"], fresh=True)
        lines += ["", peers.speed_table(found)]
        readme.write("speed", table([*ours, *peer_rows(found["speed"])]))
    print("\n".join(lines))


if __name__ == "__main__":
    main()
