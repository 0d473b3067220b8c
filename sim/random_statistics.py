"""What random cases have, in numbers."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from random_cases import Case


def statistics(drawn: Sequence[Case]) -> str:
    """How many cases have what, in lines of ``name: value times, …``."""
    columns: dict[str, Counter[str]] = {name: Counter() for name in (
        "layers", "neurons", "timesteps", "encoder", "schedule", "weights", "synapses", "layers'",
        "lanes", "beats", "encoder lanes", "family", "memories", "ports", "parameters", "images")}
    for case in drawn:
        network, spec = case.network, case.spec
        count = columns["layers'"]
        for index, (layer, widths) in enumerate(zip(network.layers, network.widths, strict=True)):
            columns["neurons"][_power(layer.n_output)] += 1
            columns["weights"][f"{layer.weight_width} bits"] += 1
            columns["synapses"][type(layer.synapses[0]).__name__] += 1
            folds = spec.folds(network, index)
            columns["lanes"]["all neurons" if folds == 1 else f"in {_power(folds)} folds"] += 1
            columns["memories"][spec.memories[index]] += 1
            columns["ports"][str(spec.ports[index])] += 1
            half = 2**(layer.weight_width - 1)
            count["that saturate"] += widths.saturates
            count["with weights at the ends alone"] += bool(
                np.isin(layer.weights, (-half, half - 1)).all())
            count["with no weight but 0"] += not layer.weights.any()
            count["with threshold 1"] += bool((layer.thresholds == 1).any())
            count["with a threshold above 2^30"] += bool((layer.thresholds > 2**30).any())
            count["with a bias beyond ±2^30"] += bool((abs(layer.biases) > 2**30).any())
        for name, value in (
                ("layers", len(network.layers)), ("timesteps", _power(network.timesteps)),
                ("encoder", network.encoder), ("schedule", network.schedule),
                ("beats", spec.beats), ("encoder lanes", spec.encoder_lanes),
                ("family", spec.family or "none"), ("images", len(case.images)),
                ("parameters", "loaded" if spec.loaded else "built in")):
            columns[name][str(value)] += 1
        for image in case.images:
            for what, value in (("0", 0), ("full", network.full_scale)):
                columns["images"][f"all {what}"] += bool((image == value).all())
    return "\n".join(f"{name}: " + ", ".join(
        f"{value} {times}" for value, times in sorted(found.items(), key=_number))
        for name, found in columns.items())


def _power(number: int) -> str:
    """The range between powers of two that a number is in."""
    low = 1 << number.bit_length() - 1
    return str(low) if low == 1 else f"{low}–{2 * low - 1}"


def _number(item: tuple[str, int]) -> tuple[int, str]:
    found = re.match(r"\d+", item[0])
    return (int(found[0]) if found else 2**31), item[0]
