"""What can be chosen for each stage of an accelerator, how long it takes and what it costs."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..estimation import estimate_stage
from ..families import SPRAM_ROWS
from ..network import IntegerNetwork
from ..rounds import encoder_rounds
from ..spec import AcceleratorSpec, fold_count
from ..synthesis.area import Area
from .workload import Workload

LOGIC_BITS = 2048
"""Weights of at most so many bits may be made of logic."""
TWO_PORTS = ("ecp5",)
"""Families whose block RAMs are read twice a cycle without being made twice."""
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
    ports: int = 1


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
        bits = folds * lanes * layer.n_input * layer.weight_width
        for memory in _kinds(base, network, index, folds, bits):
            for ports in (1, 2) if family in TWO_PORTS and not base.loaded else (1,):
                spec = with_layer(base, index, lanes, memory, ports)
                made.append(Choice(lanes, memory, workload.layer_load(index, spec),
                                   estimate_stage(network, spec, family, 1 + index), ports))
    return made


def _kinds(base: AcceleratorSpec, network: IntegerNetwork, index: int, folds: int, bits: int
           ) -> list[str]:
    """What a weight memory may be made of."""
    if not base.loaded:
        return ["block", "logic"] if bits <= LOGIC_BITS and not base.parity else ["block"]
    fits_spram = folds * base.fold_rows(network, index) <= SPRAM_ROWS
    return ["block", "spram"] if base.family == "ice40" and fits_spram else ["block"]


def with_layer(spec: AcceleratorSpec, index: int, lanes: int, memory: str, ports: int
               ) -> AcceleratorSpec:
    """The layout with another one of a layer."""
    every_lanes, memories, every_ports = list(spec.lanes), list(spec.memories), list(spec.ports)
    every_lanes[index], memories[index], every_ports[index] = lanes, memory, ports
    return replace(spec, lanes=tuple(every_lanes), memories=tuple(memories),
                   ports=tuple(every_ports))


def layout(base: AcceleratorSpec, chosen: Sequence[Choice]) -> AcceleratorSpec:
    """The layout that consists of a choice for the encoder and one for each layer."""
    encoder, *layers = chosen
    return replace(base, encoder_lanes=encoder.lanes,
                   lanes=tuple(choice.lanes for choice in layers),
                   memories=tuple(choice.memory for choice in layers),
                   ports=tuple(choice.ports for choice in layers))
