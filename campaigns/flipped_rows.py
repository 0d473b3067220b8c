"""Flipped bits of weights that have parity, in the memories of an accelerator."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sc_neurocore import golden
from sc_neurocore.network import IntegerNetwork
from sc_neurocore.spec import AcceleratorSpec

from . import flips


@dataclass(frozen=True)
class Place:
    """A bit of a row of weights or its parity, and the memory that it is in.

    ``row`` is that of the layer, ``entry`` that of the memory. ``is_read``: the images make the
    accelerator read the row.
    """

    layer: int
    row: int
    state: flips.State
    bit: int
    entry: int
    is_read: bool

    def arguments(self, cycle: int) -> list[str]:
        """For the simulation: invert it at the end of a cycle."""
        return [f"+flip={self.state.number}", f"+bit={self.bit}", f"+row={self.entry}",
                f"+cycle={cycle}"]


def places(states: Sequence[flips.State], network: IntegerNetwork, spec: AcceleratorSpec,
           images: npt.ArrayLike) -> list[Place]:
    """All bits of all rows of inputs, of memories that `flips.insert` found."""
    trace = golden.trace(network, images).trace
    spikes = [trace.input_spikes, *trace.spikes[:-1]]
    found = []
    for state in states:
        path = state.module.split(".")
        if "weight_memory" not in path or not state.name.startswith("rows") or state.rows == 1:
            continue
        layer = int(next(part for part in path if part.startswith("layer_"))[len("layer_"):])
        shape = spec.weight_shape(network, layer)
        bank = int(state.name.split("_")[1]) if shape.banks > 1 else 0
        fired = spikes[layer].any(axis=(0, 1))
        for entry in range(state.rows):
            row = bank * shape.entries + entry
            fold, source = divmod(row, spec.fold_rows(network, layer))
            if fold < spec.folds(network, layer) and source < len(fired):
                found += [Place(layer, row, state, bit, entry, bool(fired[source]))
                          for bit in range(state.width)]
    return found


@dataclass(frozen=True)
class Reports:
    """What became of flips, one each.

    ``read``: of a row that was read afterwards. ``reported``: so many of these. ``right``: with
    its layer and row. ``false``: reports of rows that were not read. ``wrong``: flips that changed
    a result; ``silent``: those of them that were not reported.
    """

    flips: int
    read: int
    reported: int
    right: int
    false: int
    wrong: int
    silent: int

    def table(self) -> str:
        """As Markdown."""
        return ("| weights, with parity | flips | of rows that were read | reported "
                "| with the right row | false reports | other results | and not reported |\n"
                "|---|---|---|---|---|---|---|---|\n| one bit each | "
                + " | ".join(map(str, vars(self).values())) + " |")


def choose(found: Sequence[Place], count: int, seed: int) -> list[Place]:
    """So many of them at random, none twice."""
    random = np.random.default_rng(seed)
    return [found[index] for index in random.choice(len(found), count, replace=False)]


def judge(chosen: Sequence[Place], reports: Sequence[tuple[int, int]], right: Sequence[bool]
          ) -> Reports:
    """Add up, for each flip, the report, layers from 1, and whether the results were right."""
    cases = [*zip(chosen, reports, right, strict=True)]
    read = [case for case in cases if case[0].is_read]
    told = [case for case in read if case[1][0]]
    return Reports(
        len(cases), len(read), len(told),
        sum(report == (place.layer + 1, place.row) for place, report, _ in told),
        sum(report[0] != 0 for place, report, _ in cases if not place.is_read),
        sum(not is_right for *_, is_right in cases),
        sum(not is_right and not report[0] for _, report, is_right in cases))
