"""What flows between layers while a model is read: affine functions of activations."""

from dataclasses import dataclass
from math import prod

import numpy as np

from sc_neurocore.conversion.ann import Activation, AnnLayer
from sc_neurocore.conversion.checks import FloatArray
from sc_neurocore.conversion.tracing.affine import (
    Chain,
    UnsupportedError,
    added,
    diagonal,
    extended,
    matrix,
    single,
)
from sc_neurocore.synapses import INPUT, Dense, MaxPool, Source, Synapses


@dataclass(frozen=True, eq=False)
class Value:
    """An affine function of the input and of layers' activations, for each image.

    Parameters
    ----------
    shape : tuple of int
        Of one image, as the model has it.
    terms : tuple of (Source, Chain)
        Whose sum it is; each source once, where that is possible.
    bias : (n,) float64, optional
        What it is for activations of 0; None if it is exactly absent.
    """

    shape: tuple[int, ...]
    terms: tuple[tuple[Source, Chain], ...]
    bias: FloatArray | None = None

    @property
    def size(self) -> int:
        """Numbers in an image."""
        return prod(self.shape)

    @property
    def source(self) -> Source | None:
        """The activations that this is and nothing else, if so."""
        (source, chain), *others = self.terms
        return None if chain or others or self.bias is not None else source

    @property
    def is_input(self) -> bool:
        """Whether this is the image, untouched."""
        return self.source == Source(INPUT)

    def through(self, synapses: Synapses, shape: tuple[int, ...],
                bias: FloatArray | None = None) -> "Value":
        """Apply a linear map and add a bias, (n,) for its outputs."""
        terms = tuple((source, extended(chain, synapses)) for source, chain in self.terms)
        before = None if self.bias is None else synapses.apply(self.bias[None])[0]
        return Value(shape, terms, _sum_of(before, bias))

    def scaled(self, factors: FloatArray) -> "Value":
        """Multiply by factors that can be broadcast to the image."""
        factors = np.broadcast_to(factors, self.shape).reshape(-1)
        return self.through(diagonal(factors, self.shape), self.shape)

    def shifted(self, offsets: FloatArray) -> "Value":
        """Add numbers that can be broadcast to the image."""
        bias = np.broadcast_to(offsets, self.shape).reshape(-1).astype(np.float64)
        return Value(self.shape, self.terms, _sum_of(self.bias, bias))

    def reshaped(self, shape: tuple[int, ...]) -> "Value":
        """Give the same numbers, in the same order, another shape."""
        return Value(shape, self.terms, self.bias)

    def plus(self, other: "Value") -> "Value":
        """Add the values of another image of the same shape."""
        terms = list(self.terms)
        for source, chain in other.terms:
            for place, (known, present) in enumerate(terms):
                both = added(present, chain, self.shape) if known == source else None
                if both is not None:
                    terms[place] = (source, both)
                    break
            else:
                terms.append((source, chain))
        return Value(self.shape, tuple(terms), _sum_of(self.bias, other.bias))

    def synapses(self) -> tuple[Synapses, ...]:
        """One a term; all of them with the same neurons, so many to a row of weights."""
        found = [single(chain, self.shape) for _, chain in self.terms]
        if len({synapses.positions for synapses in found}) > 1:
            found = [Dense(matrix(synapses)) for synapses in found]
        return tuple(found)


@dataclass(frozen=True)
class Pooled:
    """The largest of each window of a value that is no activation yet.

    As activations never fall, that of the largest is the largest activation.
    """

    value: Value
    pool: MaxPool
    shape: tuple[int, ...]


def _sum_of(a: FloatArray | None, b: FloatArray | None) -> FloatArray | None:
    if a is None or b is None:
        return b if a is None else a
    return a + b


class LayerList:
    """The layers that are complete, while a model is read.

    Parameters
    ----------
    max_pool : bool
        Whether max-pooling can be converted.

    Attributes
    ----------
    path : str
        What is being read.
    """

    def __init__(self, max_pool: bool) -> None:
        self.layers: list[AnnLayer] = []
        self.max_pool = max_pool
        self.path = ""

    def activate(self, value: Value | Pooled, activation: Activation) -> Value:
        """Complete a layer, unless the activation changes nothing, and return its activations."""
        if isinstance(value, Pooled):
            source = self.complete(value.value, activation).source
            assert source is not None
            return Value(value.shape, ((Source(source.layer, value.pool), ()),))
        source = value.source
        if source is None or (activation.T is not None and source.layer != INPUT):
            return self.complete(value, activation)
        if activation.T is not None:
            raise UnsupportedError("must come after a Linear, a convolution or a batch "
                                   "normalization, not first")
        if self._limit(source) <= activation.limit:
            return value
        return self.complete(value, activation)

    def _limit(self, source: Source) -> float:
        """Greatest value of a source, all of which are at least 0."""
        activation = None if source.layer == INPUT else self.layers[source.layer].activation
        return 1.0 if activation is None else activation.limit

    def complete(self, value: Value, activation: Activation | None) -> Value:
        """Make a layer of ``value``, and return its activations."""
        known = [layer.path.partition("@")[0] for layer in self.layers]
        again = known.count(self.path)
        self.layers.append(AnnLayer(
            f"{self.path}@{again}" if again else self.path, value.shape, value.synapses(),
            tuple(source for source, _ in value.terms), value.bias, activation))
        return Value(value.shape, ((Source(len(known)), ()),))
