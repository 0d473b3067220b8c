"""What can be chosen for each stage of an accelerator, how long it takes and what it costs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..estimation import estimate_stage
from ..rounds import encoder_rounds
from ..spec import AcceleratorSpec, fold_count
from ..synthesis.area import Area
from .workload import Workload

LOGIC_BITS = 2048
"""Weights of at most so many bits may be made of logic."""
ENCODER_LANES = (1, 2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class Choice:
    """A way to lay out one stage: the encoder, or a layer and what it brings with it.

    ``load`` is how many cycles it is busy for an image, about.
    """

    lanes: int
    memory: str
    load: float
    area: Area


def useful_lanes(n_output: int) -> list[int]:
    """Numbers of lanes of which none could be less without another fold, ascending."""
    return sorted({fold_count(n_output, folds) for folds in range(1, n_output + 1)})


def encoder_choices(workload: Workload, base: AcceleratorSpec, family: str) -> list[Choice]:
    """Encoders of different width; with spikes from outside, the one that takes transfers."""
    network = workload.network
    made: list[Choice] = []
    for lanes in ENCODER_LANES:
        if lanes < base.beats or (network.encoder == "events" and made):
            continue
        spec = replace(base, encoder_lanes=lanes)
        rounds = spec.encoder_words(network) * encoder_rounds(network)
        made.append(Choice(lanes, "block", max(rounds, spec.transfers(network)),
                           estimate_stage(network, spec, family, 0)))
    return made


def layer_choices(workload: Workload, base: AcceleratorSpec, family: str, index: int
                  ) -> list[Choice]:
    """Lanes and memories of a layer."""
    network = workload.network
    made: list[Choice] = []
    layer = network.layers[index]
    for lanes in useful_lanes(layer.n_output):
        folds = fold_count(layer.n_output, lanes)
        load = workload.layer_load(index, folds)
        kinds = ["block"]
        if folds * lanes * layer.n_input * layer.weight_width <= LOGIC_BITS:
            kinds.append("logic")
        for memory in kinds:
            spec = with_layer(base, index, lanes, memory)
            made.append(Choice(lanes, memory, load,
                               estimate_stage(network, spec, family, 1 + index)))
    return made


def with_layer(spec: AcceleratorSpec, index: int, lanes: int, memory: str) -> AcceleratorSpec:
    """The layout with another one of a layer."""
    every_lanes, memories = list(spec.lanes), list(spec.memories)
    every_lanes[index], memories[index] = lanes, memory
    return replace(spec, lanes=tuple(every_lanes), memories=tuple(memories))


def layout(base: AcceleratorSpec, chosen: Sequence[Choice]) -> AcceleratorSpec:
    """The layout that consists of a choice for the encoder and one for each layer."""
    encoder, *layers = chosen
    return replace(base, encoder_lanes=encoder.lanes,
                   lanes=tuple(choice.lanes for choice in layers),
                   memories=tuple(choice.memory for choice in layers))
