"""Clock cycles of the accelerator: latencies of its parts, and the cycle of every commit.

The accelerator is a chain of stages (encoder, layers, readout) that hand timesteps to each other
through double buffers, so its timing is a recursion over timesteps: a stage begins when its input
is there, its predecessor timestep is done and its successor has room. The numbers are exact when
the accelerator's streams never wait for the outside. ``docs/architecture.md`` derives them.
"""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from .network import IntegerArray, IntegerNetwork
from .spec import AcceleratorSpec

BoolArray = npt.NDArray[np.bool_]

QUEUE_DEPTH = 3
"""Spike words that a stage may have in flight or waiting before it pauses. With fewer, an encoder
that issues a word a cycle, or a layer that fires every other cycle, would wait for itself."""
ENCODE_LATENCY = 1
"""Cycles from reading a row of intensities to its spike word (the commit of the encoder)."""
FIRE_LATENCY = 3
"""Cycles from issuing an operation of a layer to its execution (for a fire, the commit)."""
FIRE_OVERHEAD = 2
"""Operations of a fold that are not synapses: adding the bias, and comparing with the threshold."""
RESULT_LATENCY = 3
"""Cycles from selecting an output neuron in the readout to its transfer."""
MEMORY_LATENCY = 2
"""Cycles from a weight memory's address to its data: block RAM and its output register."""


@dataclass(frozen=True, eq=False)
class Cycles:
    """Cycle numbers of a run of back-to-back images; cycle 0 is the first input transfer.

    ``loads``: (batch, words) of the input transfers. ``encoder``: (batch, timesteps, words) of the
    encoder's spike words. ``layers``: one (batch, timesteps, folds) a layer, of its commits.
    ``results``: (batch, n_output) of the output transfers.
    """

    loads: IntegerArray
    encoder: IntegerArray
    layers: tuple[IntegerArray, ...]
    results: IntegerArray

    @property
    def latency(self) -> IntegerArray:
        """(batch,) cycles from the first input transfer of each image to its last result."""
        return self.results[:, -1] - self.loads[:, 0] + 1

    @property
    def total(self) -> int:
        """Cycles from the first input transfer to the last result of the run."""
        return int(self.results[-1, -1]) + 1


@dataclass
class _Queue:
    """The words of one stage on their way to the next: when each may be issued, and is taken."""

    taken: list[int] = field(default_factory=list)

    def room(self) -> int:
        """First cycle in which the next word may be issued."""
        index = len(self.taken) - QUEUE_DEPTH
        return self.taken[index] + 1 if index >= 0 else 0

    def take(self, commit: int, duration_cyc: int, ready: int = 0) -> int:
        """Cycle in which the consumer is done with a word, with which it is busy so long."""
        begin = max(commit + 1, self.taken[-1] + 1 if self.taken else 0, ready)
        self.taken.append(begin + duration_cyc - 1)
        return self.taken[-1]


@dataclass
class _Stage:
    """What a layer remembers from timestep to timestep."""

    events: IntegerArray             # (batch · timesteps,) spikes that it receives
    spikes: IntegerArray             # (batch · timesteps, folds) spikes that it sends
    queue: _Queue = field(default_factory=_Queue)
    released: list[int] = field(default_factory=list)   # cycle that frees each input buffer
    next_issue: int = 0
    commits: list[int] = field(default_factory=list)

    def buffer_free(self, timestep: int) -> int:
        """First cycle in which the input buffer of a timestep may be written: there are two."""
        return self.released[timestep - 2] + 1 if timestep >= 2 else 0

    def fire(self, begin: int, timestep: int) -> int:
        """Issue one fold that could begin in cycle ``begin``; return its commit."""
        bias = max(self.next_issue, begin)
        fire = max(bias + 1 + int(self.events[timestep]), self.queue.room())
        self.next_issue = fire + 1
        self.commits.append(fire + FIRE_LATENCY)
        return self.commits[-1]


def _fold_counts(spikes: BoolArray, width: int) -> IntegerArray:
    """Spikes in each group of ``width`` neurons: (…, n) -> (timesteps in all, groups)."""
    flat = spikes.reshape(-1, spikes.shape[-1]).astype(np.int64)
    return np.add.reduceat(flat, np.arange(0, flat.shape[1], width), axis=1)


def predict(network: IntegerNetwork, spec: AcceleratorSpec, input_spikes: BoolArray,
            layer_spikes: list[BoolArray]) -> Cycles:
    """Predict the cycle of every transfer and commit of back-to-back images.

    Parameters
    ----------
    input_spikes : (batch, timesteps, n_input) bool
    layer_spikes : one (batch, timesteps, n_output) bool a layer

    Raises
    ------
    ValueError
        If ``spec`` is not a layout of ``network``.
    """
    spec.check(network)
    batch, timesteps = input_spikes.shape[:2]
    words, last_layer = spec.words(network), len(network.layers) - 1
    word_spikes = _fold_counts(input_spikes, spec.beats)
    received = [input_spikes, *layer_spikes]
    stages = [_Stage(received[i].reshape(batch * timesteps, -1).sum(axis=1),
                     _fold_counts(layer_spikes[i], spec.lanes[i])) for i in range(last_layer + 1)]
    last_fold = spec.folds(network, last_layer) - 1
    in_last_fold = network.n_output - last_fold * spec.lanes[-1]

    loads: list[int] = []
    encoder: list[int] = []
    results: list[int] = []
    encoded: list[int] = []      # cycle that frees each image buffer
    queue = _Queue()
    issue = -1
    for step in range(batch * timesteps):
        image, timestep = divmod(step, timesteps)
        if timestep == 0:
            begin = max(loads[-1] + 1 if loads else 0, encoded[-2] + 1 if image >= 2 else 0)
            loads.extend(range(begin, begin + words))
            issue = max(issue, loads[-1])
        ready = 0
        for count in word_spikes[step]:
            issue = max(issue + 1, queue.room())
            encoder.append(issue + ENCODE_LATENCY)
            ready = 1 + queue.take(encoder[-1], max(1, int(count)), stages[0].buffer_free(step))
        if timestep == timesteps - 1:
            encoded.append(issue)
        for index, stage in enumerate(stages):
            for fold, count in enumerate(stage.spikes[step]):
                commit = stage.fire(ready, step)
                if index < last_layer:
                    written = stage.queue.take(commit, max(1, int(count)),
                                               stages[index + 1].buffer_free(step))
                elif timestep < timesteps - 1:
                    stage.queue.take(commit, 1)
                else:
                    neurons = in_last_fold if fold == last_fold else spec.lanes[-1]
                    done = stage.queue.take(commit, neurons)
                    results.extend(RESULT_LATENCY + cycle
                                   for cycle in range(done - neurons + 1, done + 1))
            stage.released.append(stage.next_issue - 1)
            if index < last_layer:
                ready = written + 1
    return Cycles(
        np.array(loads).reshape(batch, words),
        np.array(encoder).reshape(batch, timesteps, words),
        tuple(np.array(stage.commits).reshape(batch, timesteps, spec.folds(network, index))
              for index, stage in enumerate(stages)),
        np.array(results).reshape(batch, network.n_output))
