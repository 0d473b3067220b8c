"""Comparing what an accelerator did with what the golden model says: every value, every cycle."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from ..golden import TracedResult
from ..network import IntegerArray, IntegerNetwork
from ..spec import AcceleratorSpec, fold_count
from .observation import Observation, StageRecord

REQUIRED = ("count", "current", "predicted")
"""Quantities without which a comparison is none."""
TRACED = ("spike", "membrane")
"""The same of a circuit with trace ports."""
KEPT_MISMATCHES = 100
"""Mismatches that a comparison describes; it counts all of them."""


@dataclass(frozen=True)
class Mismatch:
    """One value that is not what the golden model says. ``None`` where a place does not apply."""

    quantity: str
    stage: str
    image: int | None
    timestep: int | None
    neuron: int | None
    cycle: int | None
    got: int | str
    want: int | str

    def __str__(self) -> str:
        places = [("image", self.image), ("timestep", self.timestep), ("neuron", self.neuron),
                  ("cycle", self.cycle)]
        where = ", ".join([self.stage, *(f"{name} {value}" for name, value in places
                                         if value is not None)])
        return f"{where}: {self.quantity} {self.got}, golden model says {self.want}"


@dataclass
class Comparison:
    """Values compared, by quantity, and mismatches found, in one run of an accelerator."""

    name: str
    required: tuple[str, ...] = (*TRACED, *REQUIRED)
    compared: Counter[str] = field(default_factory=Counter)
    mismatched: Counter[str] = field(default_factory=Counter)
    mismatches: list[Mismatch] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether something of every kind was compared and all of it was equal."""
        return not self.mismatched and all(self.compared[kind] for kind in self.required)

    def add(self, mismatch: Mismatch) -> None:
        """Count a mismatch, and keep it if it is one of the first."""
        self.mismatched[mismatch.quantity] += 1
        if len(self.mismatches) < KEPT_MISMATCHES:
            self.mismatches.append(mismatch)

    def check(self, quantity: str, stage: str, got: npt.NDArray[Any], want: npt.NDArray[Any],
              places: Mapping[str, npt.NDArray[Any]]) -> None:
        """Compare arrays of one shape; ``places`` are arrays that broadcast to it."""
        self.compared[quantity] += got.size
        for index in np.argwhere(got != want):
            place = tuple(index)
            at = {name: int(np.broadcast_to(array, got.shape)[place])
                  for name, array in places.items()}
            self.add(Mismatch(quantity, stage, at.get("image"), at.get("timestep"),
                              at.get("neuron"), at.get("cycle"), int(got[place]),
                              int(want[place])))

    def check_length(self, quantity: str, stage: str, got: int, want: int) -> int:
        """Compare numbers of things; return how many of them can be compared."""
        self.compared[quantity] += 1
        if got != want:
            self.add(Mismatch(quantity, stage, None, None, None, None, got, want))
        return min(got, want)


def compare(network: IntegerNetwork, spec: AcceleratorSpec, golden: TracedResult,
            observation: Observation, *, name: str, with_cycles: bool) -> Comparison:
    """Compare a run with the golden trace of the same back-to-back images.

    Parameters
    ----------
    golden : TracedResult
        With cycles.
    with_cycles : bool
        Whether cycles must be equal too: only if no stream was stalled.

    Of a circuit without trace ports, results and the cycles of both streams are compared.
    """
    comparison = Comparison(name, (*TRACED, *REQUIRED) if observation.encoder else REQUIRED)
    trace, cycles = golden.trace, golden.trace.cycles
    if cycles is None:
        raise ValueError("The golden trace must have cycles: call golden.trace with a spec")
    if observation.fault:
        comparison.add(Mismatch("fault", "accelerator", None, None, None, None,
                                observation.fault, "none"))
    if observation.encoder:
        _compare_stage(comparison, "encoder", spec.word_lanes(network), observation.encoder,
                       trace.input_spikes, None, cycles.encoder if with_cycles else None)
    for index, (layer, lanes) in enumerate(zip(
            observation.layers, spec.lanes if observation.encoder else (), strict=True)):
        _compare_stage(comparison, f"layer {index}", lanes, layer, trace.spikes[index],
                       trace.membranes[index], cycles.layers[index] if with_cycles else None)
    _compare_results(comparison, network, golden, observation,
                     cycles.results if with_cycles else None)
    if with_cycles:
        length = comparison.check_length("transfers", "input", len(observation.loads),
                                         cycles.loads.size)
        comparison.check("cycle", "input", observation.loads[:length],
                         cycles.loads.ravel()[:length], {})
    return comparison


def _compare_stage(comparison: Comparison, stage: str, lanes: int, record: StageRecord,
                   spikes: npt.NDArray[np.bool_], membranes: IntegerArray | None,
                   cycles: IntegerArray | None) -> None:
    batch, timesteps, n_neurons = spikes.shape
    groups = fold_count(n_neurons, lanes)
    count = comparison.check_length("commits", stage, len(record.cycles),
                                    batch * timesteps * groups)
    image, timestep, group = (array.ravel()[:count]
                              for array in np.indices((batch, timesteps, groups)))
    at = {"image": image, "timestep": timestep, "cycle": record.cycles[:count]}
    comparison.check("timestep", stage, record.timesteps[:count], timestep, at)
    comparison.check("group", stage, record.groups[:count], group, at)
    if cycles is not None:
        comparison.check("cycle", stage, record.cycles[:count], cycles.ravel()[:count],
                         {"image": image, "timestep": timestep, "neuron": group * lanes})

    commit, lane = np.nonzero(group[:, None] * lanes + np.arange(lanes) < n_neurons)
    neuron = group[commit] * lanes + lane
    at = {name: array[commit] for name, array in at.items()} | {"neuron": neuron}
    place = image[commit], timestep[commit], neuron
    comparison.check("spike", stage, record.spikes[commit, lane], spikes[place], at)
    if membranes is not None and record.membranes is not None:
        comparison.check("membrane", stage, record.membranes[commit, lane], membranes[place], at)


def _compare_results(comparison: Comparison, network: IntegerNetwork, golden: TracedResult,
                     observation: Observation, cycles: IntegerArray | None) -> None:
    batch = len(golden.counts)
    length = comparison.check_length("results", "readout", len(observation.result_cycles),
                                     golden.counts.size)
    image, neuron = (array.ravel()[:length] for array in np.indices(golden.counts.shape))
    at = {"image": image, "neuron": neuron, "cycle": observation.result_cycles[:length]}
    last = neuron == network.n_output - 1
    got = dict(zip(("neuron", "count", "current", "predicted", "last"),
                   observation.results[:, :length], strict=True))
    comparison.check("neuron", "readout", got["neuron"], neuron, at)
    comparison.check("count", "readout", got["count"], golden.counts.ravel()[:length], at)
    comparison.check("current", "readout", got["current"], golden.currents.ravel()[:length], at)
    comparison.check("last", "readout", got["last"], last.astype(np.int64), at)
    images = np.arange(batch)[: int(last.sum())]
    comparison.check("predicted", "readout", got["predicted"][last], golden.predicted[images],
                     {"image": images, "cycle": at["cycle"][last]})
    if cycles is not None:
        comparison.check("cycle", "readout", observation.result_cycles[:length],
                         cycles.ravel()[:length], {"image": image, "neuron": neuron})
