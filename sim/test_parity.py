"""Parity of weights: a flipped bit is reported with its layer and row, and costs no cycle."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from common import CACHE, random_network
from test_mutations import Mutation, mutated_verilog

from campaigns import flips
from sc_neurocore import cosim, golden, host, verilog
from sc_neurocore.cosim import simulation, virtual_board
from sc_neurocore.cosim.bench import transfers
from sc_neurocore.cosim.simulation import SimulationError
from sc_neurocore.parameters import load_format, load_words
from sc_neurocore.results import differences
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.verilog import SPRAM_MODEL

NETWORK = random_network((11, 9, 4), weight_width=4, seed=4)
SPEC = AcceleratorSpec((4, 2), 4, 8, family="ecp5", parity=True)
SPECS = {
    "folds": SPEC,
    "two ports": replace(SPEC, ports=(2, 2)),
    "several columns": replace(SPEC, lanes=(9, 4)),
    "loaded": replace(SPEC, family="ice40").with_loading(NETWORK),
    "SPRAM": replace(SPEC, family="ice40", memories=("spram", "block")).with_loading(NETWORK),
}
IMAGES = np.full((3, 11), 255)
"""Every input spikes in every timestep."""


@dataclass(frozen=True)
class Place:
    """A bit of a row of weights, and where it is in the Verilog."""

    layer: int
    row: int
    state: flips.State
    bit: int
    entry: int

    def flip(self):
        return {"number": self.state.number, "bit": self.bit, "row": self.entry}


def places(states, network, spec):
    """All bits of all rows of which it is known that they are read."""
    spikes = golden.trace(network, IMAGES).trace
    fired = [spikes.input_spikes, *spikes.spikes[:-1]]
    for state in states:
        path = state.module.split(".")
        if "weight_memory" not in path or not state.name.startswith("rows") or state.rows == 1:
            continue
        layer = int(next(part for part in path if part.startswith("layer_"))[6:])
        shape, bank = spec.weight_shape(network, layer), 0
        if shape.banks > 1:
            bank = int(state.name.split("_")[1])
        for entry in range(state.rows):
            row = bank * shape.entries + entry
            fold, j = divmod(row, spec.fold_rows(network, layer))
            if (fold < spec.folds(network, layer) and j < network.layers[layer].n_input
                    and fired[layer][..., j].any()):
                for bit in range(state.width):
                    yield Place(layer, row, state, bit, entry)


def design(name):
    """Verilog whose weights can be flipped, and its state."""
    return flips.insert(verilog.generate(NETWORK, SPECS[name]), verilog.TOP, constants=True)


def run(text, states, name, folder, count=8):
    """Flip bits of rows, one row a case; in every other case of the last ones, two of its bits."""
    spec = SPECS[name]
    found = list(places(states, NETWORK, spec))
    assert {place.layer for place in found} == {0, 1}
    random = np.random.default_rng(2)
    chosen = [found[index] for index in random.choice(len(found), count, replace=False)]
    parities = [place for place in found if place.bit == place.state.width - 1]
    chosen += [parities[0], parities[-1]]
    cases = [{"flips": [place.flip()], "report": (place.layer + 1, place.row)}
             for place in chosen]
    place = next(place for place in found if place.state.width > 2 and place.bit == 0)
    cases.append({"flips": [place.flip(), replace(place, bit=1).flip()], "report": (0, 0)})
    if spec.memories[0] == "spram":
        text += SPRAM_MODEL.read_text()
    compiled = simulation.compile_verilog(text, verilog.TOP, CACHE, lint=False)
    payloads = transfers(IMAGES.tolist(), spec.beats, NETWORK.intensity_width)
    simulation.run(compiled, verilog.TOP, "bench_parity", {
        "cases": cases, "transfers": payloads, "results": len(IMAGES) * NETWORK.n_output,
        "limit": 3000, "load": packed_words(spec)}, folder, python_path=[Path(__file__).parent])


def packed_words(spec):
    if not spec.loaded:
        return []
    return [int(address) << 16 | int(word) for address, word in load_words(NETWORK, spec)]


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if name == "folds" else pytest.mark.slow) for name in SPECS])
def test_a_flipped_bit_is_reported_with_its_row(name, tmp_path):
    run(*design(name), name, tmp_path)
