"""Bench of `gateware.neuron_array`: every commit is what the equations of the number format say."""

import random
from collections.abc import Iterator
from typing import Any, NamedTuple

import cocotb
from common import from_job, signed

from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import run_cycles

IDLE, SYNAPSE, CURRENT, FIRE, KEEP, DOUBLE, SETTLE, ADVANCE = range(8)
STORED, INITIAL, ZERO = range(3)


class Issued(NamedTuple):
    """An operation on a fold; for a synapse, from which input."""

    operation: int
    fold: int = 0
    next_region: int = STORED
    event: int = 0
    is_new: bool = False
    """The fold's first operation of an image."""


class Neuron:
    """One neuron by the equations: a membrane, to which everything is added as it comes."""

    def __init__(self, network: Any, number: int):
        neurons, layer = network.neurons(0), network.layers[0]
        self.bias, self.threshold, self.initial = (
            int(array[number]) for array in (neurons.biases, neurons.thresholds,
                                             neurons.initial_membranes))
        self.weights = layer.weights[number].tolist()
        self.direct, self.limit = network.encoder == "direct", 2 ** (network.widths[0].membrane - 1)
        self.at_once, self.timesteps = network.schedule == "layer_by_layer", network.timesteps

    def begin(self) -> None:
        """A new image."""
        self.membrane, self.sum = self.initial, 0
        self.collects = self.direct
        if self.at_once and not self.direct:
            self.membrane += self.timesteps * self.bias

    def execute(self, issued: Issued) -> None:
        """Do an operation; after a ``FIRE``, ``fires`` and ``membrane`` are what it says."""
        operation = issued.operation
        if operation == SYNAPSE and self.collects:
            self.sum += self.weights[issued.event]
        elif operation == SYNAPSE:
            self.membrane += self.weights[issued.event]
        elif operation == CURRENT:
            self.membrane += self.sum + self.bias
        elif operation == DOUBLE:
            self.sum *= 2
        elif operation == SETTLE:
            self.collects = False
        elif operation == FIRE:
            if not self.direct and not self.at_once:
                self.membrane += self.bias
            self.fires = self.membrane >= self.threshold
            self.membrane -= self.threshold * self.fires
            self.membrane = max(-self.limit, min(self.membrane, self.limit - 1))


def rounds_of(network: Any) -> list[tuple[int | None, int]]:
    """What each round of an image adds and how it closes its folds, written out."""
    spikes = network.encoder != "direct"
    rounds: list[tuple[int | None, int]] = []
    if not spikes:
        rounds += [(SYNAPSE, DOUBLE)] * (network.intensity_width - 1) + [(SYNAPSE, SETTLE)]
    adds = SYNAPSE if spikes else CURRENT
    if network.schedule == "layer_by_layer":
        return rounds + [(adds, KEEP)] * network.timesteps + [(None, FIRE)] * network.timesteps
    return rounds + [(adds, FIRE)] * network.timesteps


class Folds:
    """Works through folds and rounds of random synapses, with random gaps, neuron by neuron."""

    def __init__(self, design: Any, gap: float):
        self.design, self.gap, self.lanes = design, gap, job()["lanes"]
        self.network = from_job(job()["network"])
        self.layer = self.network.layers[0]
        self.width = self.network.widths[0].membrane
        self.neurons = [Neuron(self.network, n) for n in range(self.layer.n_output)]
        self.plan = self._plan()
        self.executing = Issued(IDLE)
        self.commits, self.spiked = 0, 0

    def _plan(self) -> Iterator[Issued]:
        folds = -(-self.layer.n_output // self.lanes)
        rounds = rounds_of(self.network)
        regions = [STORED] * len(rounds)
        regions[0] = ZERO if self.network.encoder == "direct" else INITIAL
        for number, (_, closes) in enumerate(rounds):
            if closes == SETTLE:
                regions[number + 1] = INITIAL
        while True:
            for number, (adds, closes) in enumerate(rounds):
                for fold in range(folds):
                    begins = number if fold < folds - 1 else (number + 1) % len(rounds)
                    yield from self._fold(fold, adds, closes, regions[begins], number == 0)

    def _fold(self, fold: int, adds: int | None, closes: int, region: int, is_new: bool
              ) -> Iterator[Issued]:
        yield Issued(IDLE, fold, is_new=is_new)
        if adds == CURRENT:
            yield Issued(CURRENT, fold)
        if adds == SYNAPSE:
            for event in random.sample(range(self.layer.n_input),
                                       random.choice([0, 1, self.layer.n_input])):
                yield Issued(SYNAPSE, fold, event=event)
        yield Issued(closes, fold, region)
        if closes == FIRE and self.network.widths[0].saturates:
            yield Issued(ADVANCE, fold, region)

    def _numbers(self, fold: int) -> range:
        return range(fold * self.lanes, min((fold + 1) * self.lanes, self.layer.n_output))

    def drive(self) -> None:
        self.issued = (Issued(IDLE, self.executing.fold) if random.random() < self.gap
                       else next(self.plan))
        design, issued = self.design, self.issued
        design.operation.value = issued.operation
        design.fold.value = issued.fold
        design.next_region.value = issued.next_region
        width, word = self.layer.weight_width, 0
        if self.executing.operation == SYNAPSE:
            for lane, number in enumerate(self._numbers(self.executing.fold)):
                weight = int(self.layer.weights[number, self.executing.event])
                word |= (weight & 2**width - 1) << lane * width
        design.weights.value = word

    def sample(self, cycle: int) -> None:
        issued = self.executing
        fires = issued.operation == FIRE
        assert int(self.design.commit.value) == fires, f"cycle {cycle}: commit"
        spikes, membranes = int(self.design.spikes.value), int(self.design.membranes.value)
        for lane, number in enumerate(self._numbers(issued.fold)):
            neuron = self.neurons[number]
            if issued.is_new:
                neuron.begin()
            neuron.execute(issued)
            if fires:
                got = spikes >> lane & 1, signed(membranes >> lane * self.width, self.width)
                want = neuron.fires, neuron.membrane
                assert got == want, f"cycle {cycle}, neuron {number}: {got}, model says {want}"
                self.commits += 1
                self.spiked += neuron.fires
        if fires:
            beyond = spikes >> len(self._numbers(issued.fold))
            assert not beyond, "a lane without neuron fired"
        self.executing = self.issued


@cocotb.test()
@cocotb.parametrize(gap=[0.0, 0.4])
async def commits_follow_the_equations(design: Any, gap: float) -> None:
    folds = Folds(design, gap)
    await run_cycles(design, [folds], lambda: folds.commits >= 600, limit=30000)
    assert 0 < folds.spiked < folds.commits
