"""Parameters that are loaded into a running accelerator: what has room, and the words to send.

One circuit then serves every network of its shape, timesteps, schedule, encoder and seed: the
weight memory of a layer holds, behind the row of each input, rows that every timestep adds for the
biases, and rows that the first timestep adds for the initial potentials. Thresholds have a memory
of their own.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from .layers import IntegerArray
from .widths import signed_width

if TYPE_CHECKING:
    from .network import IntegerNetwork
    from .spec import AcceleratorSpec

WORD_WIDTH = 16
"""Bits of a word that is loaded, and of an SPRAM."""


@dataclass(frozen=True)
class Capacity:
    """What a layer whose parameters are loaded has room for; ``weight`` must be just so many.

    ``weight``, ``threshold`` (unsigned), ``potential``, ``membrane`` and ``accumulator`` are bits,
    as in `LayerWidths`. ``bias_rows``: rows of weights that are added up to the biases.
    ``initial_rows``: those that are added up to the initial potentials.
    """

    weight: int
    threshold: int
    potential: int
    membrane: int
    accumulator: int
    bias_rows: int
    initial_rows: int

    def lacks(self, other: "Capacity") -> list[str]:
        """What another one has that this one has not, in words."""
        named = [(name.replace("_", " ") + ("" if name.endswith("rows") else " bits"),
                  getattr(self, name), getattr(other, name)) for name in vars(self)]
        return [f"{needed} {name} (there are {there})" for name, there, needed in named
                if needed > there or (name == "weight bits" and needed != there)]


def capacities(network: "IntegerNetwork") -> tuple[Capacity, ...]:
    """What each layer of a network needs."""
    found = []
    for index, widths in enumerate(network.widths):
        biases, initial = _added(network, index)
        found.append(Capacity(
            widths.weight, widths.threshold, max(widths.potentials), widths.membrane,
            widths.accumulator, _rows_for(biases, widths.weight),
            # One at least, which keeps lanes without a neuron from firing.
            max(1, _rows_for(initial, widths.weight))))
    return tuple(found)


def current_width(capacity: Capacity, timesteps: int) -> int:
    """Bits of the current of an output neuron: threshold·count + final − initial membrane."""
    membranes = 2**capacity.membrane
    return signed_width(-membranes, timesteps * (2**capacity.threshold - 1) + membranes)


@dataclass(frozen=True)
class Target:
    """A memory that is loaded: ``rows`` of ``width`` bits, in words of `WORD_WIDTH` bits."""

    rows: int
    width: int

    @property
    def words(self) -> int:
        """Words of a row."""
        return -(-self.width // WORD_WIDTH)


@dataclass(frozen=True)
class LoadFormat:
    """Address of a word: its place in the row in the lowest bits, then the row, then the target.

    Targets are, for each layer, its weights and its thresholds, and last the readout, whose row has
    the output layer's threshold in its lowest bits and then its initial membrane, two's complement.
    """

    targets: tuple[Target, ...]

    @property
    def word_bits(self) -> int:
        """Bits of a word's place in its row."""
        return max(1, max((target.words - 1).bit_length() for target in self.targets))

    @property
    def row_bits(self) -> int:
        """Bits of a row's number."""
        return max(1, max((target.rows - 1).bit_length() for target in self.targets))

    @property
    def target_bits(self) -> int:
        """Bits of a target's number."""
        return max(1, (len(self.targets) - 1).bit_length())

    @property
    def address_bits(self) -> int:
        """Bits of an address."""
        return self.word_bits + self.row_bits + self.target_bits

    def addresses(self, target: int) -> IntegerArray:
        """(rows, words) addresses of a target's words."""
        rows, words = self.targets[target].rows, self.targets[target].words
        return (((target << self.row_bits) + np.arange(rows)[:, None] << self.word_bits)
                + np.arange(words))


def load_format(network: "IntegerNetwork", spec: "AcceleratorSpec") -> LoadFormat:
    """Where the parameters of a network go in a layout whose parameters are loaded."""
    targets = []
    for index, capacity in enumerate(spec.loaded):
        lanes, folds = spec.lanes[index], spec.folds(network, index)
        parts = spec.parts(network, index)
        targets += [Target(folds * spec.fold_rows(network, index),
                           lanes * capacity.weight + spec.parity),
                    Target(part_row(folds - 1, parts - 1, parts) + 1,
                           -(-lanes // parts) * capacity.threshold)]
    output = spec.loaded[-1]
    return LoadFormat((*targets, Target(1, output.threshold + output.accumulator)))


def part_row(fold: int, part: int, parts: int) -> int:
    """Row of a part of a fold, in a memory in which each fold has a power of two of rows."""
    return (fold << (parts - 1).bit_length()) + part


def load_words(network: "IntegerNetwork", spec: "AcceleratorSpec") -> IntegerArray:
    """Words that make an accelerator that of a network.

    Parameters
    ----------
    network : IntegerNetwork
    spec : AcceleratorSpec
        With ``loaded``.

    Returns
    -------
    (n, 2) int64
        Addresses and data, 16 bits, in ascending order of addresses.

    Raises
    ------
    ValueError
        If the network does not fit the layout, or its parameters are not loaded.
    """
    spec.check(network)
    if not spec.loaded:
        raise ValueError("Parameters of this layout are built in; those of a layout with `loaded` "
                         "can be loaded")
    form = load_format(network, spec)
    words = []
    for target, rows in enumerate(_contents(network, spec)):
        addresses = form.addresses(target)
        for row, value in rows:
            words += [(int(address), value >> WORD_WIDTH * place & 2**WORD_WIDTH - 1)
                      for place, address in enumerate(addresses[row])]
    return np.array(words, dtype=np.int64)


def _contents(network: "IntegerNetwork", spec: "AcceleratorSpec"
              ) -> Iterator[list[tuple[int, int]]]:
    """Rows of each target: their numbers, and what they hold."""
    for index, capacity in enumerate(spec.loaded):
        lanes, folds = spec.lanes[index], spec.folds(network, index)
        # (rows of a fold, neurons), and a row for the thresholds, all of which are negative.
        biases, initial = _added(network, index)
        rows = np.vstack([network.layers[index].weights.T,
                          _split(biases, capacity.bias_rows, capacity.weight),
                          _split(initial, capacity.initial_rows, capacity.weight)])
        thresholds = -network.neurons(index).thresholds
        unused = folds * lanes - rows.shape[1]
        silent = np.zeros((len(rows), unused), dtype=np.int64)
        silent[-1] = -1
        rows, thresholds = np.hstack([rows, silent]), np.pad(thresholds, (0, unused))
        yield [(number, with_parity(_packed(row[fold * lanes:(fold + 1) * lanes], capacity.weight),
                                    lanes * capacity.weight * spec.parity))
               for number, (fold, row) in enumerate(
                   (fold, row) for fold in range(folds) for row in rows)]
        parts = spec.parts(network, index)
        share = -(-lanes // parts)
        yield [(part_row(fold, part, parts),
                _packed(thresholds[fold * lanes:(fold + 1) * lanes][part * share:][:share],
                        capacity.threshold))
               for fold in range(folds) for part in range(parts)]
    output, capacity = network.neurons(len(network.layers) - 1), spec.loaded[-1]
    initial_membrane = int(output.initial_membranes[0]) & 2**capacity.accumulator - 1
    yield [(0, int(output.thresholds[0]) | initial_membrane << capacity.threshold)]


def with_parity(row: int, place: int) -> int:
    """A row with a bit in this place that makes the number of its ones even; in place 0, as it is.
    """
    return row | (row.bit_count() & 1) << place if place else row


def _added(network: "IntegerNetwork", index: int) -> tuple[IntegerArray, IntegerArray]:
    """What every timestep adds to the potentials of a layer, and what its first one does."""
    neurons = network.neurons(index)
    initial = neurons.initial_membranes - neurons.thresholds
    if network.schedule == "layer_by_layer":
        return 0 * neurons.biases, initial + network.timesteps * neurons.biases
    return neurons.biases, initial


def _rows_for(values: IntegerArray, weight_width: int) -> int:
    """Weights that the largest of the values is the sum of."""
    half = 2 ** (weight_width - 1)
    low, high = min(0, int(values.min())), max(0, int(values.max()))
    return max(-(low // half), -(-high // (half - 1)))


def _split(values: IntegerArray, rows: int, weight_width: int) -> IntegerArray:
    """(rows, len(values)) weights that add up to the values."""
    half = 2 ** (weight_width - 1)
    parts, rest = [], values.copy()
    for _ in range(rows):
        parts.append(np.clip(rest, -half, half - 1))
        rest = rest - parts[-1]
    return np.array(parts, dtype=np.int64).reshape(rows, len(values))


def _packed(values: IntegerArray, width: int) -> int:
    """Numbers of ``width`` bits, two's complement, in one, the first in the lowest bits."""
    return sum(int(value) % 2**width << width * place for place, value in enumerate(values))
