"""Clock cycles of the accelerator: latencies of its parts, and the cycle of every commit.

The accelerator is a chain of stages (encoder, layers, readout) with queues between them, so its
timing is a recursion: each stage asks the one before it for its next word, and says when it has
taken it. The numbers are exact when the accelerator's streams never wait for the outside.
``docs/architecture.md`` has the equations.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from .network import IntegerArray, IntegerNetwork
from .rounds import Adds, Closes, encoder_rounds, phases
from .spec import GROUP, QUEUE_DEPTH, AcceleratorSpec

BoolArray = npt.NDArray[np.bool_]

ENCODE_LATENCY = 3
"""Cycles from reading a row of intensities to its spike word (the commit of the encoder)."""
CLOSE_CYC = 1
"""Operations that close a fold; one more if a membrane may saturate."""
RESULT_LATENCY = 2
"""Cycles from selecting an output neuron in the readout to its transfer."""
PARITY_LATENCY = 2
"""Cycles from a row of weights to its check."""
MEMORY_LATENCY = 2
"""Cycles from a weight memory's address to its data: block RAM and its output register. One more
where one of several banks is selected."""
QUEUE_LATENCY = 2
"""Cycles from a commit to the first in which its word can be taken; 1 in a queue of one place."""
REPLAY_LATENCY = 2
"""Cycles from the last word or event of a timestep to the first that is sent of it, or again."""
STORE_LATENCY = 2
"""Cycles from the first operation of a fold to the first of them in which it could be closed, less
the parts in which its potentials are fetched; only if parameters are loaded."""


@dataclass(frozen=True, eq=False)
class Cycles:
    """Cycle numbers of a run of back-to-back images; cycle 0 is the first input transfer.

    ``loads``: (batch, transfers) of the input transfers. ``encoder``: (batch, rounds, words) of the
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


class Word(NamedTuple):
    """A spike word on offer: the first cycle in which it can be taken, and what is in it.

    ``groups``: cycles that the spikes take of each of its groups that has any.
    """

    available: int
    groups: list[int]
    last: bool


class WordSource(Protocol):
    """A stage that makes words."""

    def next_word(self) -> Word:
        """The next word that is not dropped; the one before it has been taken."""

    def taken(self, cycle: int) -> None:
        """The word is taken in this cycle."""


@dataclass
class _Queue:
    """Places for words between two stages: when one is free, and when a word can be taken."""

    depth: int
    releases: list[int] = field(default_factory=list)    # heap
    reserved: int = 0
    last_taken: int = -1

    def reserve(self, earliest: int) -> int:
        """Cycle in which a place is reserved."""
        self.reserved += 1
        if self.reserved > self.depth:
            return max(earliest, heappop(self.releases) + 1)
        return earliest

    def release(self, cycle: int) -> None:
        """A word was dropped in this cycle."""
        heappush(self.releases, cycle)

    def taken(self, cycle: int) -> None:
        """The offered word was taken in this cycle."""
        self.release(cycle)
        self.last_taken = cycle

    def available(self, pushed: int) -> int:
        """First cycle in which a word can be taken."""
        return pushed + 1 if self.depth == 1 else max(pushed + QUEUE_LATENCY, self.last_taken + 1)


def _words(spikes: BoolArray, lanes: int, ports: int) -> list[list[list[int]]]:
    """Cycles for the spikes of each group of each word that has any, of all rounds one after
    another; ``ports`` of them go in a cycle."""
    flat = spikes.reshape(-1, spikes.shape[-1])
    words = -(-flat.shape[1] // lanes)
    size = GROUP * ports
    groups = -(-lanes // size)
    padded = np.zeros((len(flat), words * lanes), dtype=bool)
    padded[:, :flat.shape[1]] = flat
    grouped = np.zeros((len(flat), words, groups * size), dtype=bool)
    grouped[:, :, :lanes] = padded.reshape(len(flat), words, lanes)
    counts = grouped.reshape(len(flat), words, groups, size).sum(axis=3)
    cycles = (-(-counts // ports)).tolist()
    return [[[group for group in word if group] for word in row] for row in cycles]


class _Encoder:
    """Reads rows of images, or takes spikes from outside."""

    def __init__(self, network: IntegerNetwork, spec: AcceleratorSpec, spikes: BoolArray):
        self.words = _words(spikes, spec.word_lanes(network), spec.ports[0])
        self.rows, self.rounds = spec.encoder_words(network), encoder_rounds(network)
        self.transfers = spec.transfers(network)
        self.from_outside = network.encoder == "events"
        self.queue = _Queue(QUEUE_DEPTH)
        self.loads: list[int] = []
        self.commits: list[int] = []
        self.read: list[int] = []       # cycle that frees each image buffer
        self.issue = -1

    def next_word(self) -> Word:
        while True:
            round_, row = divmod(len(self.commits), self.rows)
            if row == 0 and round_ % self.rounds == 0 and not self.from_outside:
                self._load(round_ // self.rounds)
            self.issue = self.queue.reserve(self.issue + 1)
            commit = self.issue + (0 if self.from_outside else ENCODE_LATENCY)
            self.commits.append(commit)
            last = row == self.rows - 1
            if last and round_ % self.rounds == self.rounds - 1:
                self.read.append(self.issue)
            if self.from_outside:
                self.loads.append(self.issue)
            if self.words[round_][row] or last:
                return Word(self.queue.available(commit), self.words[round_][row], last)
            self.queue.release(commit)

    def _load(self, image: int) -> None:
        begin = max(self.loads[-1] + 1 if self.loads else 0,
                    self.read[image - 2] + 1 if image >= 2 else 0)
        self.loads.extend(range(begin, begin + self.transfers))
        self.issue = max(self.issue, self.loads[-1])

    def taken(self, cycle: int) -> None:
        self.queue.taken(cycle)


class _Serializer:
    """Takes words apart into groups, and sends a group's events, or an empty one, in a row."""

    def __init__(self, words: WordSource, lanes: int, group: int):
        self.words = words
        self.latency = 0 if lanes <= group else 1    # to see which groups have spikes
        self.groups: list[int] = []
        self.word = Word(0, [], False)
        self.done = -1                  # cycle of the last event so far

    def receive(self, ready: int) -> tuple[int, int, bool]:
        """Send the next group to a stage that takes events from cycle ``ready`` on.

        Returns the cycle of its first event, that of its last, and whether it closes the timestep.
        """
        if not self.groups:
            self.word = self.words.next_word()
            self.groups = [max(1, count) for count in self.word.groups or [0]]
        load = max(self.word.available + self.latency, self.done)
        count = self.groups.pop(0)
        if not self.groups:
            self.words.taken(load)
        first = max(load + 1, ready)
        self.done = first + count - 1
        return first, self.done, self.word.last and not self.groups

    def receive_round(self, ready: int) -> tuple[int, int, int]:
        """Send the events of a timestep: the cycles of the first and the last, and how many."""
        begin, events = -1, 0
        while True:
            first, ready, last = self.receive(ready)
            begin = first if begin < 0 else begin
            events += ready - first + 1
            ready += 1
            if last:
                return begin, ready - 1, events


class _WordReplay:
    """Collects a timestep's words, and offers them once for each fold."""

    def __init__(self, words: WordSource, folds: int):
        self.words, self.folds = words, folds
        self.kept: list[Word] = []
        self.fold = self.index = 0
        self.ready = self.written = -1
        self.released: list[int] = []

    def next_word(self) -> Word:
        if self.fold == self.index == 0:
            self._collect()
        return self.kept[self.index]._replace(available=self.ready)

    def _collect(self) -> None:
        free = self.released[-2] + 1 if len(self.released) > 1 else 0
        self.kept = []
        while not self.kept or not self.kept[-1].last:
            self.kept.append(self.words.next_word())
            self.written = max(self.kept[-1].available, self.written + 1, free)
            self.words.taken(self.written)
        self.ready = max(self.ready, self.written + REPLAY_LATENCY)

    def taken(self, cycle: int) -> None:
        self.index += 1
        self.ready = cycle + 1
        if self.index == len(self.kept):
            self.index = 0
            self.ready = cycle + REPLAY_LATENCY
            self.fold = (self.fold + 1) % self.folds
            if self.fold == 0:
                self.released.append(cycle)


class _EventReplay:
    """Collects a timestep's events, and sends them once for each fold."""

    def __init__(self, serializer: _Serializer, folds: int):
        self.serializer, self.folds = serializer, folds
        self.written = -1
        self.fold = 0
        self.events = 0
        self.complete = -1
        self.sent = -1
        self.released: list[int] = []

    def receive_round(self, ready: int) -> tuple[int, int, int]:
        """As that of the serializer, for a fold."""
        if self.fold == 0:
            free = self.released[-2] + 1 if len(self.released) > 1 else 0
            _, self.written, self.events = self.serializer.receive_round(
                max(self.written + 1, free))
            self.complete = self.written
        begin = max(ready, max(self.complete, self.sent) + REPLAY_LATENCY)
        self.sent = begin + self.events - 1
        self.fold = (self.fold + 1) % self.folds
        if self.fold == 0:
            self.released.append(self.sent)
        return begin, self.sent, self.events


def _appended(network: IntegerNetwork, spec: AcceleratorSpec, index: int, folds: int
              ) -> list[int]:
    """Rows that loaded parameters add to each fold of an image's rounds with events."""
    rounds = sum(part.count for part in phases(network, index) if part.adds is Adds.EVENTS)
    capacity = spec.capacity(index)
    if capacity is None:
        return [0]
    return ([capacity.bias_rows + capacity.initial_rows] * folds
            + [capacity.bias_rows] * folds * (rounds - 1))


class _Layer:
    """Works through rounds and folds."""

    def __init__(self, network: IntegerNetwork, spec: AcceleratorSpec, index: int,
                 spikes: BoolArray, words: WordSource):
        self.folds = spec.folds(network, index)
        self.drops = index < len(network.layers) - 1
        self.fires = _words(spikes, spec.lanes[index], spec.ports[index + 1] if self.drops else 1)
        self.steps = [(part.adds, part.closes) for part in phases(network, index)
                      for _ in range(part.count * self.folds)]
        self.appended = _appended(network, spec, index, self.folds)
        self.fetch = (spec.parts(network, index) + STORE_LATENCY
                      if spec.loaded and self.folds > 1 else 0)
        self.received = 0
        self.extra = int(network.widths[index].saturates)
        self.latency = spec.fire_latency(network, index)
        self.queue = _Queue(spec.queue_depth(network, index))
        replays = spec.replays(network, index)
        serializer = _Serializer(_WordReplay(words, self.folds) if replays == "words" else words,
                                 spec.source_lanes(network, index), spec.group(index))
        self.source = _EventReplay(serializer, self.folds) if replays == "events" else serializer
        self.step = 0
        self.next_issue = 0
        self.commits: list[int] = []

    def next_word(self) -> Word:
        while True:
            adds, closes = self.steps[self.step]
            self.step = (self.step + 1) % len(self.steps)
            begin = done = self.next_issue
            if adds is Adds.EVENTS:
                begin, done, _ = self.source.receive_round(self.next_issue)
                done += self.appended[self.received]
                self.received = (self.received + 1) % len(self.appended)
            close = max(done + 1, begin + self.fetch)
            if closes is not Closes.FIRE:
                self.next_issue = close + CLOSE_CYC
                continue
            fire = self.queue.reserve(close)
            self.next_issue = fire + CLOSE_CYC + self.extra
            round_, fold = divmod(len(self.commits), self.folds)
            self.commits.append(fire + self.latency)
            last = fold == self.folds - 1
            if self.fires[round_][fold] or last or not self.drops:
                return Word(self.queue.available(self.commits[-1]), self.fires[round_][fold], last)
            self.queue.release(self.commits[-1])

    def taken(self, cycle: int) -> None:
        self.queue.taken(cycle)


def longest_image(network: IntegerNetwork, spec: AcceleratorSpec) -> int:
    """Cycles of the image that takes longest, from its first transfer to its last result.

    That is one of whose inputs and neurons all spike in every timestep: a spike more never makes
    anything earlier. So it is a bound for any image, and for the cycles between an image's last
    result and the last result of the next one, if that was not kept waiting.

    Raises
    ------
    ValueError
        If ``spec`` is not a layout of ``network``.
    """
    inputs = np.ones((1, encoder_rounds(network), network.n_input), dtype=bool)
    layers = [np.ones((1, network.timesteps, layer.n_output), dtype=bool)
              for layer in network.layers]
    return int(predict(network, spec, inputs, layers).latency[0])


def predict(network: IntegerNetwork, spec: AcceleratorSpec, input_spikes: BoolArray,
            layer_spikes: Sequence[BoolArray]) -> Cycles:
    """Predict the cycle of every transfer and commit of back-to-back images.

    Parameters
    ----------
    input_spikes : (batch, rounds, n_input) bool
        A round is a timestep, or, with the encoder direct, a plane of bits, the highest first.
    layer_spikes : one (batch, timesteps, n_output) bool a layer

    Raises
    ------
    ValueError
        If ``spec`` is not a layout of ``network``.
    """
    spec.check(network)
    batch, timesteps = layer_spikes[-1].shape[:2]
    encoder = _Encoder(network, spec, input_spikes)
    stages: list[_Layer] = []
    for index, spikes in enumerate(layer_spikes):
        stages.append(_Layer(network, spec, index, spikes, stages[-1] if stages else encoder))

    folds = stages[-1].folds
    in_last_fold = network.n_output - (folds - 1) * spec.lanes[-1]
    gap = 1 if folds == 1 else 2       # a stored count is read in the cycle before
    done = -gap
    results: list[int] = []
    for step in range(batch * timesteps):
        for fold in range(folds):
            begin = max(stages[-1].next_word().available, done + gap)
            neurons = 1
            if step % timesteps == timesteps - 1:
                neurons = in_last_fold if fold == folds - 1 else spec.lanes[-1]
                results.extend(range(begin + RESULT_LATENCY, begin + RESULT_LATENCY + neurons))
            done = begin + neurons - 1
            stages[-1].taken(done)
    return Cycles(
        np.array(encoder.loads).reshape(batch, -1),
        np.array(encoder.commits).reshape(batch, encoder.rounds, encoder.rows),
        tuple(np.array(stage.commits).reshape(batch, timesteps, stage.folds) for stage in stages),
        np.array(results).reshape(batch, network.n_output))
