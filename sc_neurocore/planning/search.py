"""Choosing a layout: stages that are about equally fast, and then no larger than they must be."""

from collections.abc import Iterable
from dataclasses import dataclass, fields

from ..spec import AcceleratorSpec
from ..synthesis.area import Area
from ..synthesis.devices import Resources
from .choices import Choice, layout
from .goal import Goal, fits, shares
from .workload import Pace, Workload

PRICES = (
    {"LUTs": 1.0, "flip-flops": 1.0, "block RAMs": 1.0, "SPRAMs": 1.0, "LUTs as RAM": 1.0},
    {"LUTs": 1.0, "flip-flops": 1.0, "block RAMs": 20.0, "SPRAMs": 1.0, "LUTs as RAM": 1.0},
    {"LUTs": 20.0, "flip-flops": 20.0, "block RAMs": 1.0, "SPRAMs": 1.0, "LUTs as RAM": 20.0})
"""What a share of each resource is worth: alike; or, where no layout fits then, one of them is
saved at the cost of the others."""


@dataclass(frozen=True)
class Candidate:
    """A choice for each stage, and what it is in all."""

    chosen: tuple[Choice, ...]
    spec: AcceleratorSpec
    area: Area


def added(areas: Iterable[Area]) -> Area:
    """All of them together."""
    every = list(areas)
    return Area(**{field.name: sum(getattr(area, field.name) for area in every)
                   for field in fields(Area)})


class Search:
    """Looks for layouts of a network on a device.

    Parameters
    ----------
    workload : Workload
        What cycles are counted with.
    has : Resources
        Of the device.
    base : AcceleratorSpec
        What does not depend on the choices: transfers of the input stream, and the family.
    stages : list of lists of Choice
        The encoder's, and each layer's.
    """

    def __init__(self, workload: Workload, has: Resources, base: AcceleratorSpec,
                 stages: list[list[Choice]]) -> None:
        self.workload, self.has, self.base, self.stages = workload, has, base, stages
        self._paces: dict[tuple[object, ...], Pace] = {}
        self._prices = PRICES[0]

    def pace(self, candidate: Candidate) -> Pace:
        """Cycles of a layout, exactly; each is counted once."""
        spec = candidate.spec
        key = spec.lanes, spec.encoder_lanes, spec.memories, spec.ports
        if key not in self._paces:
            self._paces[key] = self.workload.pace(spec)
        return self._paces[key]

    def most_compact(self) -> Candidate:
        """The one that comes closest to fitting, however slow it is."""
        candidates = []
        for self._prices in PRICES:
            candidates.append(self._balanced(float("inf")))
        return min(candidates, key=lambda each: max(shares(each.area, self.has).values()))

    def fastest(self) -> Candidate | None:
        """The one whose slowest stage is as fast as it can be on the device, if any fits."""
        for self._prices in PRICES:
            for budget in self._budgets():
                candidate = self._balanced(budget)
                if fits(candidate.area, self.has):
                    return candidate
        return None

    def quickest(self) -> Candidate:
        """The one of which every stage is as fast as can be, whether it fits or not."""
        return self._candidate(tuple(
            min(stage, key=lambda choice: (choice.load, self._cost(choice)))
            for stage in self.stages))

    def cheapest(self, goal: Goal) -> Candidate | None:
        """The smallest one that reaches a goal and fits, if there is one."""
        for self._prices in PRICES:
            candidate = self._just_fast_enough(goal)
            if candidate is not None and fits(
                    (trimmed := self._trimmed(candidate, goal)).area, self.has):
                return trimmed
        return None

    def _just_fast_enough(self, goal: Goal) -> Candidate | None:
        """Stages balanced for the most cycles that still reach the goal, by bisection."""
        budgets = self._budgets()
        low, high = 0, len(budgets)         # those below ``low`` reach it
        while low < high:
            middle = (low + high) // 2
            if goal.reached(self.pace(self._balanced(budgets[middle]))):
                low = middle + 1
            else:
                high = middle
        if low:
            return self._balanced(budgets[low - 1])
        quickest = self.quickest()
        return quickest if goal.reached(self.pace(quickest)) else None

    def _trimmed(self, candidate: Candidate, goal: Goal) -> Candidate:
        """Take the cheapest choice of each stage with which the goal is still reached."""
        limit = min(goal.latency_cyc, goal.interval_cyc)
        for stage in self._by_cost(candidate):
            for choice in sorted(self.stages[stage], key=self._cost):
                if self._cost(choice) >= self._cost(candidate.chosen[stage]):
                    break
                if choice.load > limit:
                    continue
                smaller = self._candidate(tuple(
                    choice if index == stage else each
                    for index, each in enumerate(candidate.chosen)))
                if goal.reached(self.pace(smaller)):
                    candidate = smaller
                    break
        return candidate

    def _by_cost(self, candidate: Candidate) -> list[int]:
        """Stages, the most expensive one first."""
        return sorted(range(len(self.stages)),
                      key=lambda stage: -self._cost(candidate.chosen[stage]))

    def _budgets(self) -> list[float]:
        """Loads of a slowest stage that can be, ascending."""
        least = max(min(choice.load for choice in stage) for stage in self.stages)
        return sorted({choice.load for stage in self.stages for choice in stage
                       if choice.load >= least})

    def _balanced(self, budget: float) -> Candidate:
        """Of each stage the cheapest choice that is no slower."""
        return self._candidate(tuple(
            min((choice for choice in stage if choice.load <= budget),
                key=lambda choice: (self._cost(choice), choice.load)) for stage in self.stages))

    def _candidate(self, chosen: tuple[Choice, ...]) -> Candidate:
        return Candidate(chosen, layout(self.base, chosen),
                         added(choice.area for choice in chosen))

    def _cost(self, choice: Choice) -> float:
        return sum(self._prices[name] * share
                   for name, share in shares(choice.area, self.has).items())
