"""Layers in the header of a network file: all of them that is no array, as JSON has it, and back.

What is read was written by anyone: every function checks it, and its errors name the place.
"""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from .synapses import Array, Convolution, Dense, MaxPool, Source, Synapses

Json = dict[str, Any]
Arrays = dict[str, Array]
Windowed = TypeVar("Windowed", Convolution, MaxPool)

MAXIMUM_PATCHES = 2**27
"""Inputs that all windows of a kernel see, added up: few bytes of a file must not take gigabytes.

A kernel of 7 x 7 on 65,536 inputs sees 3 million.
"""

_CONVOLUTION = ("input_shape", "stride", "padding", "dilation", "groups")
_MAX_POOL = ("input_shape", "kernel_size", "stride", "padding", "dilation")


def connections(synapses: Sequence[Synapses], sources: Sequence[Source] | None) -> Json:
    """Describe of what kind a layer's synapses are, and where they begin."""
    return {
        "sources": None if sources is None else [
            {"layer": source.layer,
             "max_pool": source.max_pool and _attributes(source.max_pool, _MAX_POOL)}
            for source in sources],
        "synapses": [
            {"kind": "dense"} if isinstance(one, Dense) else
            {"kind": "convolution", **_attributes(one, _CONVOLUTION)} for one in synapses]}


def _attributes(thing: Convolution | MaxPool, names: Sequence[str]) -> Json:
    return {name: getattr(thing, name) for name in names}


def check_layers(value: Any, keys: set[str]) -> list[Json]:
    """Return the entries of all layers, which have ``keys`` beside those of `connections`."""
    layers = check_list("layers", value)
    for index, entry in enumerate(layers):
        place = f"layers[{index}]"
        check_object(place, entry, keys | {"sources", "synapses"})
        if not check_list(f"{place}.synapses", entry["synapses"]):
            raise ValueError(f"{place}.synapses must have at least one entry")
    return layers


def weight_arrays(synapses: Sequence[Synapses]) -> Arrays:
    """Weights of a layer's synapses, under the names of their arrays."""
    return {f"weights{index}": one.weights if isinstance(one, Dense) else one.kernel
            for index, one in enumerate(synapses)}


def read_synapses(layer: int, entry: Json, arrays: Arrays) -> tuple[Synapses, ...]:
    """Make the synapses of a layer from its entry and its arrays."""
    return tuple(_read_synapses(f"layers[{layer}].synapses[{index}]", one,
                                arrays[f"weights{index}"])
                 for index, one in enumerate(entry["synapses"]))


def _read_synapses(place: str, entry: Any, weights: Array) -> Synapses:
    kind = entry.get("kind") if isinstance(entry, dict) else None
    if kind not in ("dense", "convolution"):
        raise ValueError(f"{place} must be of kind 'dense' or 'convolution', not {entry!r}")
    check_object(place, entry, {"kind", *(_CONVOLUTION if kind == "convolution" else ())})
    with placed(place):
        if kind == "dense":
            return Dense(weights)
        return bounded(Convolution(weights, **{name: entry[name] for name in _CONVOLUTION}))


def read_sources(layer: int, entry: Json) -> tuple[Source, ...] | None:
    """Make the sources of a layer; None where that is only the layer before."""
    if entry["sources"] is None:
        return None
    place = f"layers[{layer}].sources"
    return tuple(_read_source(f"{place}[{index}]", one)
                 for index, one in enumerate(check_list(place, entry["sources"])))


def _read_source(place: str, entry: Any) -> Source:
    check_object(place, entry, {"layer", "max_pool"})
    pool = entry["max_pool"]
    if pool is not None:
        check_object(f"{place}.max_pool", pool, set(_MAX_POOL))
    with placed(place):
        return Source(entry["layer"], None if pool is None else bounded(MaxPool(**pool)))


def bounded(thing: Windowed) -> Windowed:
    """Return ``thing``, or raise ValueError if its windows see more than `MAXIMUM_PATCHES`."""
    kernel, channels = thing.windows.kernel_size, thing.input_shape[0]
    patches = channels * math.prod(kernel) * math.prod(thing.windows.size)
    if patches > MAXIMUM_PATCHES:
        raise ValueError(f"Windows must see at most {MAXIMUM_PATCHES} inputs, all added up, "
                         f"not {patches}")
    largest = max(*thing.input_shape, *thing.stride, *thing.padding, *thing.dilation)
    if largest > MAXIMUM_PATCHES:
        raise ValueError(f"Windows must be made of numbers up to {MAXIMUM_PATCHES}, not {largest}")
    return thing


def check_list(name: str, value: Any) -> list[Any]:
    """Return ``value``, or raise TypeError if it is not a list."""
    if not isinstance(value, list):
        raise TypeError(f"{name} must be a list, not {value!r}")
    return value


def check_object(name: str, value: Any, keys: set[str]) -> None:
    """Raise TypeError or ValueError unless ``value`` is a JSON object of exactly these keys."""
    if not isinstance(value, dict):
        raise TypeError(f"{name} must be a JSON object, not {value!r}")
    check_names(f"key {name}.", set(value), keys)


def check_names(kind: str, found: set[str], expected: set[str]) -> None:
    """Raise ValueError about the first name that is missing or unknown; ``kind`` precedes it."""
    for fault, names in (("is missing", expected - found), ("is unknown", found - expected)):
        if names:
            raise ValueError(f"{kind}{min(names)} {fault}")


@contextmanager
def placed(place: str) -> Iterator[None]:
    """Have errors of the block begin with ``place``."""
    try:
        yield
    except (TypeError, ValueError) as error:
        kind = TypeError if isinstance(error, TypeError) else ValueError
        raise kind(f"{place}: {error}") from error
