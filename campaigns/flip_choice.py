"""Which bits of a design's state are flipped, and when; and what they belong to."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from . import flips

STAYS = {
    "initial potentials, in RAM": "nothing writes them; they are there again when the FPGA is "
                                  "configured",
    "weights, loaded": "only loading writes them; parity would tell",
    "thresholds, loaded": "only loading writes them",
    "loading": "a flipped enable, address or word writes a wrong parameter, which stays so",
}
"""Groups of state of which a flip may stay, until parameters are loaded or the FPGA is configured
again, and why; whatever is flipped elsewhere has to be gone, in a design with a watchdog, once the
images that were under way are done."""


STAYS_LOADED = dict.fromkeys(
    ("link: control", "link: buffers and counters"),
    "words wait there on their way to the memories, and the CRC of their frame is checked before")
"""The same of boards that bits are flipped in while they are loaded."""


@dataclass(frozen=True)
class Flip:
    """A bit of state, and the cycle at whose end it is inverted."""

    state: flips.State
    bit: int
    row: int
    cycle: int

    @property
    def place(self) -> tuple[int, int, int, int]:
        """Numbers that say all of it."""
        return self.state.number, self.bit, self.row, self.cycle

    @property
    def arguments(self) -> list[str]:
        """For the simulation."""
        return [f"+{name}={number}" for name, number in zip(
            ("flip", "bit", "row", "cycle"), self.place, strict=True)]

    @property
    def group(self) -> str:
        """What it is for."""
        return group(self.state, self.row)


def group(state: flips.State, row: int = 0) -> str:
    """What a register, or a row of a memory, is for."""
    path = state.module.split(".")
    name = state.name
    if path[-1] == "words" or name.startswith("loaded_"):
        return "loading"
    if "link" in path or path[-1] in ("receiver", "transmitter"):
        if state.rows > 1 or "ring" in name:
            return "link: buffers and counters"
        return "link: control"
    if "registers" in path:
        return "AXI: counters" if path[-1] == "counters" else "AXI: registers"
    if path[0] == "axi" and path[-1].startswith(("images", "results")):
        return "AXI: streams"
    if "watchdog" in path[-1] or len(path) == 1:
        return "watchdogs"
    if "lfsr" in path:
        return "encoder: LFSR"
    if path[-1] == "encoder":
        wide = name in ("image", "_0_", "intensities", "spikes")
        return "encoder: image and spikes" if wide else "encoder: control"
    if is_constant(state, row):
        return "initial potentials, in RAM"
    if name.startswith("rows") and state.rows > 1 and path[-1] in ("rows", "limits"):
        return "thresholds, loaded" if path[-1] == "limits" else "weights, loaded"
    if path[-1] in ("neurons", "store", "limits"):
        data = name.startswith(("potential", "thresholds", "stored", "write__data", "_0_"))
        return "membranes" if data else "layers: control"
    if "weight_memory" in path:
        return "weights as they are read"
    if name in ("memory", "kept", "_0_", "group") and path[-1] != "readout":
        return "queues: contents"
    if path[-1] == "readout":
        return "readout"
    if path[-1].startswith("layer_") or path[-1] == "parameter_rows":
        return "layers: control"
    return "queues: control"


def is_constant(state: flips.State, row: int) -> bool:
    """Whether nothing is ever written there: initial potentials are in the upper half of the RAM
    of those that are worked on, and like weights they stay as they are flipped."""
    return state.module.endswith(".neurons") and state.name == "stored" and 2 * row >= state.rows


def choose(states: Sequence[flips.State], count: int, cycles: tuple[int, int],
           random: np.random.Generator) -> list[Flip]:
    """So many flips of each group, as many of each register or memory of it, by turns; of some of
    them where there are more of them than flips."""
    groups: dict[str, list[flips.State]] = {}
    for state in states:
        groups.setdefault(group(state), []).append(state)
    chosen = []
    for members in groups.values():
        turns = random.permutation(len(members))
        for index in range(count):
            state = members[turns[index % len(members)]]
            chosen.append(Flip(state, int(random.integers(state.width)),
                               int(random.integers(state.rows)), int(random.integers(*cycles))))
    return chosen
