"""Estimated area against Yosys's, over a spread of networks.

    python benchmarks/estimates.py [--family FAMILY] [--only-held-out] [--output FILE]

Maps each network (a minute or several of them), and writes a table of the estimate, Yosys's result
and the error of LUT equivalents, flip-flops and block RAMs. Yosys's results are kept by the Verilog
that they come from: a run that was stopped goes on where it was.
"""

import json
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import click
import numpy as np
from hardware_area import measure
from kept import Store

from sc_neurocore.estimation import FAMILIES, estimate
from sc_neurocore.network import IntegerLayer, IntegerNetwork
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.synthesis import Area

CASES = Path(__file__).with_name("estimates.json")
"""Networks and layouts; ``fitted`` names the families whose prices of logic were fitted to it."""
DEVICES = {"ecp5": "ecp5-25k", "gowin": "gw1nr-9c", "ice40": "ice40-hx8k"}
COLUMNS = ("lut_equivalents", "flip_flops", "block_rams")


@dataclass(frozen=True)
class Case:
    shape: tuple[int, ...]
    lanes: tuple[int, ...]
    fitted: tuple[str, ...]
    weight_width: int = 4
    timesteps: int = 8
    encoder: str = "lfsr"
    schedule: str = "pipelined"
    intensity_width: int = 8
    membrane_width: int | None = None
    beats: int = 8
    encoder_lanes: int = 0
    memories: tuple[str, ...] = ()
    ports: tuple[int, ...] = ()
    store_parts: int = 0
    """Of parameters that are loaded; 0 where they are built in."""
    families: tuple[str, ...] = FAMILIES

    def network(self) -> IntegerNetwork:
        """Weights as trained ones are spread, thresholds that go with their fan-in."""
        random = np.random.default_rng(0)
        half = 2 ** (self.weight_width - 1)
        layers = []
        for index, (n_input, n_output) in enumerate(pairwise(self.shape)):
            is_output = index == len(self.shape) - 2
            weights = np.rint(random.normal(0, half / 2.5, (n_output, n_input)))
            thresholds = np.maximum(1, np.rint(
                half * np.sqrt(n_input) / 4 * random.uniform(0.5, 1.5, n_output)).astype(int))
            biases = np.rint(random.normal(0, half / 2, n_output)).astype(int)
            if is_output:
                thresholds[:] = thresholds[0]
            layers.append(IntegerLayer(
                np.clip(weights, -half, half - 1).astype(int), biases, thresholds, thresholds // 2,
                self.weight_width, None if is_output else self.membrane_width))
        return IntegerNetwork(tuple(layers), self.timesteps, self.intensity_width, self.encoder, 1,
                              self.schedule)

    def spec(self, network: IntegerNetwork, family: str) -> AcceleratorSpec:
        spec = AcceleratorSpec(tuple(self.lanes), self.beats, self.encoder_lanes,
                               tuple(self.memories), family, tuple(self.ports))
        if not self.store_parts:
            return spec
        return replace(spec.with_loading(network), store_parts=self.store_parts)

    def __str__(self) -> str:
        return (f"{'-'.join(map(str, self.shape))}, lanes {', '.join(map(str, self.lanes))}, "
                f"{self.weight_width} bits, T = {self.timesteps}, {self.encoder}"
                + ", layer by layer" * (self.schedule == "layer_by_layer")
                + ", two rows a cycle" * (2 in self.ports) + ", loaded" * bool(self.store_parts))


def row(case: Case, family: str, area: Area, mapped: Area) -> str:
    """A line of the table: estimate, Yosys's number, and error, of each column."""
    cells = []
    for name in COLUMNS:
        estimated, got = getattr(area, name), getattr(mapped, name)
        cells += [str(estimated), str(got), f"{estimated / got - 1:+.1%}" if got else "–"]
    fitted = "yes" if family in case.fitted else "no"
    return f"| {family} | {case} | {fitted} | {' | '.join(cells)} |"


@click.command()
@click.option("--family", type=click.Choice(FAMILIES), default="ecp5", show_default=True)
@click.option("--only-held-out", is_flag=True, help="Leave out what the prices were fitted to.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path),
              help="[default: build/benchmarks/estimates-FAMILY.md]")
def main(family: str, only_held_out: bool, output: Path | None) -> None:
    """Compare estimates with Yosys."""
    output = output or Path(f"build/benchmarks/estimates-{family}.md")
    store = Store(output.parent / "estimates")
    cases = [Case(**entry) for entry in json.loads(CASES.read_text())]
    names = "".join(f" {name} | Yosys | error |" for name in ("LUT equivalents", "FF", "block RAM"))
    lines = [f"| family | network | fitted |{names}", "|---" * 12 + "|"]
    errors: dict[str, list[float]] = {name: [] for name in COLUMNS}
    for case in cases:
        if only_held_out and family in case.fitted:
            continue
        if family not in case.families:
            continue
        network = case.network()
        spec = case.spec(network, family)
        device = "ice40-up5k" if "spram" in spec.memories else DEVICES[family]
        mapped = measure(store, network, spec, device, title="estimate")["area"]
        estimated = estimate(network, spec, family)
        lines.append(row(case, family, estimated, mapped))
        for name in COLUMNS:
            if getattr(mapped, name):
                errors[name].append(abs(getattr(estimated, name) / getattr(mapped, name) - 1))
        click.echo(lines[-1])
    lines += ["", f"{len(lines) - 2} networks, largest error: " + ", ".join(
        f"{name.replace('_', ' ')} {max(found):.1%}" for name, found in errors.items())]
    click.echo(lines[-1])
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
