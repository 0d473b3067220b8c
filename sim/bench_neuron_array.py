"""Bench of `gateware.neuron_array`: every commit is what the equations in its docstring say."""

import random
from typing import Any

import cocotb
from common import from_job, signed

from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import run_cycles

IDLE, BEGIN, SYNAPSE, FIRE = range(4)


class Folds:
    """Works through folds and timesteps of random synapses, with random gaps, neuron by neuron."""

    def __init__(self, design: Any, gap: float):
        self.design, self.gap, self.lanes = design, gap, job()["lanes"]
        network = from_job(job()["network"])
        self.layer, self.timesteps = network.layers[0], network.timesteps
        self.width = network.widths[0].membrane
        self.membranes = self.layer.initial_membranes.tolist()
        self.plan = self._plan()
        self.executing: tuple[int, ...] = (IDLE,)
        self.commits, self.spiked = 0, 0

    def _plan(self):
        folds = -(-self.layer.n_output // self.lanes)
        while True:
            for timestep in range(self.timesteps):
                for fold in range(folds):
                    events = random.sample(range(self.layer.n_input),
                                           random.choice([0, 1, self.layer.n_input]))
                    yield BEGIN, fold, timestep
                    for event in events:
                        yield SYNAPSE, fold, timestep, event
                    yield FIRE, fold, timestep

    def _neurons(self, fold: int) -> range:
        return range(fold * self.lanes, min((fold + 1) * self.lanes, self.layer.n_output))

    def drive(self) -> None:
        self.issued = (IDLE,) if random.random() < self.gap else next(self.plan)
        design, issued = self.design, self.issued
        design.operation.value = issued[0]
        design.fold.value = issued[1] if len(issued) > 1 else 0
        design.first.value = issued[0] == BEGIN and issued[2] == 0
        width, word = self.layer.weight_width, 0
        if self.executing[0] == SYNAPSE:
            for lane, neuron in enumerate(self._neurons(self.executing[1])):
                weight = int(self.layer.weights[neuron, self.executing[3]])
                word |= (weight & 2**width - 1) << lane * width
        design.weights.value = word

    def sample(self, cycle: int) -> None:
        operation = self.executing
        assert int(self.design.commit.value) == (operation[0] == FIRE), f"cycle {cycle}: commit"
        if operation[0] != IDLE:
            spikes, membranes = int(self.design.spikes.value), int(self.design.membranes.value)
            for lane, neuron in enumerate(self._neurons(operation[1])):
                self._execute(operation, neuron)
                if operation[0] == FIRE:
                    got = spikes >> lane & 1, signed(membranes >> lane * self.width, self.width)
                    want = self.fires, self.membranes[neuron]
                    assert got == want, f"cycle {cycle}, neuron {neuron}: {got}, model says {want}"
                    self.commits += 1
                    self.spiked += self.fires
            if operation[0] == FIRE:
                assert not spikes >> len(self._neurons(operation[1])), "a lane without neuron fired"
        self.executing = self.issued

    def _execute(self, operation: tuple[int, ...], neuron: int) -> None:
        layer, membrane = self.layer, self.membranes[neuron]
        if operation[0] == BEGIN:
            start = int(layer.initial_membranes[neuron]) if operation[2] == 0 else membrane
            membrane = start + int(layer.biases[neuron])
        elif operation[0] == SYNAPSE:
            membrane += int(layer.weights[neuron, operation[3]])
        else:
            threshold = int(layer.thresholds[neuron])
            self.fires = membrane >= threshold
            membrane -= threshold * self.fires
            membrane = max(-2 ** (self.width - 1), min(membrane, 2 ** (self.width - 1) - 1))
        self.membranes[neuron] = membrane


@cocotb.test()
@cocotb.parametrize(gap=[0.0, 0.4])
async def commits_follow_the_equations(design: Any, gap: float) -> None:
    folds = Folds(design, gap)
    await run_cycles(design, [folds], lambda: folds.commits >= 600, limit=20000)
    assert 0 < folds.spiked < folds.commits
