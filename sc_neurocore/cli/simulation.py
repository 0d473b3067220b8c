"""The command that runs a network without a circuit."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

import click

from .frame import Outcome, check_suffix, command, progress_bar
from .options import (
    COUNT,
    OUTPUT,
    data_option,
    load_inputs,
    load_network,
    network_argument,
    seed_option,
)

if TYPE_CHECKING:
    from ..network import IntegerNetwork
    from ..results import Result


@command
@network_argument
@data_option
@click.option("--limit", type=COUNT, help="Take the first images only.")
@click.option("--seeds", type=COUNT, default=1, show_default=True,
              help="Seeds of the encoder to run with, counted up from the first.")
@seed_option
@click.option("--engine", type=click.Choice(["auto", "events", "products"]), default="auto",
              show_default=True, help="How the spikes are added up; the results are the same.")
@click.option("--device", help="Torch device to compute on, such as cuda; none by default.")
@click.option("--exit-margin", type=float, metavar="THRESHOLDS",
              help="Stop an image when the first class is so far ahead of the second, and say how "
                   "many timesteps that took.")
@click.option("--output", type=OUTPUT,
              help="Counts and predicted classes, .npz; with several seeds, a row for each.")
def simulate(network: Path, data: str, limit: int | None, seeds: int, seed: int | None,
             engine: str, device: str | None, exit_margin: float | None,
             output: Path | None) -> Outcome:
    """Measure accuracy and throughput, without a circuit.

    NETWORK is an integer network; it runs on the test images of DATA.
    """
    import numpy as np

    from .. import simulator
    from ..files import replacing

    check_suffix(output, ".npz")
    loaded = load_network(network, seed)
    ran = {"engine": engine, "device": device}
    chosen = simulator.engine_report(loaded, engine, device)
    with nullcontext() if output is None else replacing(output) as part:
        source, inputs = load_inputs(loaded, data, limit)
        check_labels(source.labels, loaded.n_output)
        networks = [replace(loaded, seed=loaded.seed + index) for index in range(seeds)]
        predicted, counts, seconds = run_seeds(networks, inputs, **ran)
        document, early = exit_early(networks, inputs, source.labels, exit_margin, **ran)
        if part is not None:
            single = 0 if seeds == 1 else slice(None)
            with part.open("wb") as file:
                np.savez(file, counts=counts[single], predicted=predicted[single])
    accuracies = [] if source.labels is None else np.mean(predicted == source.labels, 1).tolist()
    mean = float(np.mean(accuracies)) if accuracies else None
    rate = predicted.size / seconds
    return Outcome(
        {"images": len(source.images), "timesteps": loaded.timesteps,
         "seeds": list(range(loaded.seed, loaded.seed + seeds)), "accuracies": accuracies,
         "accuracy": mean, "images_per_second": rate, "engine": chosen.engine, **document},
        f"{len(source.images)} images of {source.name}, T = {loaded.timesteps}, {seeds} seed(s): "
        + ("no labels" if mean is None else f"accuracy {mean:.2%}")
        + f", {rate:.0f} images/s, engine {chosen}{early}")


def exit_early(networks: list["IntegerNetwork"], inputs: Any, labels: Any, margin: float | None,
               **options: Any) -> tuple[dict[str, Any], str]:
    """What there is to say about exiting early, if there is a margin for it: means over seeds."""
    import numpy as np

    from .. import simulator

    if margin is None:
        return {}, ""
    found = [simulator.run_early_exit(network, inputs, margin, **options) for network in networks]
    timesteps = float(np.mean([one.mean_timesteps for one in found]))
    right = (None if labels is None else
             float(np.mean([one.predicted == labels for one in found])))
    return ({"exit": {"margin": margin, "mean_timesteps": timesteps, "accuracy": right}},
            f"\nexit at a margin of {margin:g} thresholds: {timesteps:.2f} timesteps"
            + ("" if right is None else f", accuracy {right:.2%}"))


def check_labels(labels: Any, n_output: int) -> None:
    """Raise ValueError unless labels, if there are some, are classes of the network."""
    for image, label in enumerate([] if labels is None else labels.tolist()):
        if not 0 <= label < n_output:
            raise ValueError(f"Label of image {image} must be in range({n_output}), not {label}")


def run_seeds(networks: list["IntegerNetwork"], inputs: Any, **options: Any
              ) -> tuple[Any, Any, float]:
    """Run images with each seed: classes, (seeds, n), counts, and the seconds it took."""
    import numpy as np

    from .. import simulator

    results: list[Result] = []
    begun = perf_counter()
    with progress_bar("simulating") as show:
        for seeded in networks:
            def advance(done: int, total: int, before: int = len(results)) -> None:
                show(before * total + done, len(networks) * total)

            results.append(simulator.run(seeded, inputs, advance, **options))
    return (np.stack([result.predicted for result in results]),
            np.stack([result.counts for result in results]), perf_counter() - begun)
