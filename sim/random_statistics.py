"""What random cases have, in numbers."""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from random_cases import Case


def statistics(drawn: Sequence[Case]) -> str:
    """How many cases, layers or images have what: a table in Markdown."""
    columns: dict[str, Counter[str]] = {name: Counter() for name in (
        "layers", "timesteps", "encoder", "schedule", "images", "beats", "encoder lanes", "family",
        "parameters", "rows", "a layer's neurons", "its weights", "its synapses", "its folds",
        "its memory", "its ports", "layers with", "images that are")}
    for case in drawn:
        network, spec = case.network, case.spec
        count = columns["layers with"]
        for index, (layer, widths) in enumerate(zip(network.layers, network.widths, strict=True)):
            half = 2**(layer.weight_width - 1)
            for name, value in (
                    ("a layer's neurons", _power(layer.n_output)),
                    ("its weights", f"{layer.weight_width} bits"),
                    ("its synapses", type(layer.synapses[0]).__name__.lower()),
                    ("its folds", _power(spec.folds(network, index))),
                    ("its memory", spec.memories[index]), ("its ports", spec.ports[index])):
                columns[name][str(value)] += 1
            for what, has in (
                    ("membranes that saturate", widths.saturates),
                    ("weights at the ends of their range alone",
                     np.isin(layer.weights, (-half, half - 1)).all()),
                    ("no weight but 0", not layer.weights.any()),
                    ("threshold 1", (layer.thresholds == 1).any()),
                    ("a threshold above 2^30", (layer.thresholds > 2**30).any()),
                    ("a bias beyond ±2^30", (abs(layer.biases) > 2**30).any())):
                count[what] += bool(has)
        for name, value in (
                ("layers", len(network.layers)), ("timesteps", _power(network.timesteps)),
                ("encoder", network.encoder), ("schedule", network.schedule),
                ("beats", spec.beats), ("encoder lanes", spec.encoder_lanes),
                ("family", spec.family or "none"), ("images", len(case.images)),
                ("parameters", "loaded" if spec.loaded else "built in"),
                ("rows", "with parity" if spec.parity else "plain")):
            columns[name][str(value)] += 1
        for image in case.images:
            for what, value in (("0", 0), ("full", network.full_scale)):
                columns["images that are"][f"all {what}"] += bool((image == value).all())
    rows = {name: ", ".join(f"{value}: {times}" for value, times
                            in sorted(found.items(), key=_number))
            for name, found in columns.items()}
    return "\n".join(["| of | how many |", "|---|---|",
                      *(f"| {name} | {row} |" for name, row in rows.items())])


def _power(number: int) -> str:
    """The range between powers of two that a number is in."""
    low = 1 << number.bit_length() - 1
    return f"{low}–{2 * low - 1}" if low > 1 else "1"


def _number(item: tuple[str, int]) -> tuple[int, str]:
    found = re.match(r"\d+", item[0])
    return (int(found[0]) if found else 2**31), item[0]
