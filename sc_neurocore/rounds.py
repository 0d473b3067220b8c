"""What a layer of the accelerator does for one image: rounds over its folds, kind after kind.

In a round a layer takes each fold of its neurons in turn: it adds something to their membranes (the
weights of a timestep's events, or the constant current of direct input) and then closes the fold.
Which rounds there are depends on encoder and schedule alone; gateware and cycle prediction both
follow this table.
"""

from dataclasses import dataclass
from enum import Enum

from .network import IntegerNetwork


class Adds(Enum):
    """What a round adds to the membranes of a fold before it closes it."""

    EVENTS = "events"
    """The weights of all events of one timestep, or of one plane of bits."""
    CURRENT = "current"
    """The current that direct input has left."""
    NOTHING = "nothing"


class Closes(Enum):
    """What a round does with the membranes of a fold in the end."""

    FIRE = "fire"
    """Neurons at their threshold spike, and it is subtracted."""
    KEEP = "keep"
    """They stay as they are."""
    DOUBLE = "double"
    """Twice as large: the next plane of bits has half the weight."""
    SETTLE = "settle"
    """They are the current of direct input; the membranes proper begin."""


@dataclass(frozen=True)
class Phase:
    """``count`` rounds alike."""

    adds: Adds
    closes: Closes
    count: int


def is_direct(network: IntegerNetwork, index: int) -> bool:
    """Whether a layer receives intensities as a current."""
    return network.encoder == "direct" and index == 0


def phases(network: IntegerNetwork, index: int) -> tuple[Phase, ...]:
    """The rounds of a layer for one image, in order; its last phase fires, once a timestep."""
    timesteps, planes = network.timesteps, network.intensity_width
    at_once = network.schedule == "layer_by_layer"
    parts = []
    if is_direct(network, index):
        parts += [Phase(Adds.EVENTS, Closes.DOUBLE, planes - 1),
                  Phase(Adds.EVENTS, Closes.SETTLE, 1)]
    adds = Adds.CURRENT if is_direct(network, index) else Adds.EVENTS
    if at_once:
        parts += [Phase(adds, Closes.KEEP, timesteps)]
    parts += [Phase(Adds.NOTHING if at_once else adds, Closes.FIRE, timesteps)]
    return tuple(part for part in parts if part.count)


def encoder_rounds(network: IntegerNetwork) -> int:
    """Passes of the encoder over an image: timesteps, or, with direct input, planes of bits."""
    return network.intensity_width if network.encoder == "direct" else network.timesteps
