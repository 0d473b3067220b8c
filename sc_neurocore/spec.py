"""How an integer network is laid out in hardware."""

from dataclasses import dataclass

from .network import MAXIMUM_FAN_IN, IntegerNetwork, check_integer
from .synapses import Source


def fold_count(things: int, lanes: int) -> int:
    """Groups of ``lanes`` that cover so many things; the last one may be smaller."""
    return -(-things // lanes)


@dataclass(frozen=True)
class AcceleratorSpec:
    """How a network is laid out in hardware: cycles depend on it, results do not.

    Parameters
    ----------
    lanes : tuple of int, one a layer
        Neurons that a layer updates in parallel; its weight memory's row holds one weight for each.
    beats : int in [1, 64]
        Intensities in a transfer of the input stream, and examined by the encoder in a cycle.

    Raises
    ------
    TypeError, ValueError
        If a value is not an integer in range.
    """

    lanes: tuple[int, ...]
    beats: int = 8

    def __post_init__(self) -> None:
        if isinstance(self.lanes, int | str):
            raise TypeError(f"Lanes must be a sequence, one number a layer, not {self.lanes!r}; "
                            "AcceleratorSpec.for_network() makes one")
        object.__setattr__(self, "lanes", tuple(
            check_integer(f"Lanes of layer {index}", lanes, 1, MAXIMUM_FAN_IN)
            for index, lanes in enumerate(self.lanes)))
        object.__setattr__(self, "beats", check_integer("Beats", self.beats, 1, 64))

    @classmethod
    def for_network(cls, network: IntegerNetwork, lanes: int = 16, beats: int = 8
                    ) -> "AcceleratorSpec":
        """At most ``lanes`` lanes in every layer, and no more than it has neurons."""
        check_integer("Lanes", lanes, 1, MAXIMUM_FAN_IN)
        return cls(tuple(min(lanes, layer.n_output) for layer in network.layers), beats)

    def check(self, network: IntegerNetwork) -> None:
        """Raise ValueError unless this is a layout of ``network``, and there is gateware for it."""
        for name, value, built in (("Encoder", network.encoder, "lfsr"),
                                   ("Schedule", network.schedule, "pipelined")):
            if value != built:
                raise ValueError(f"{name} must be {built} in hardware, not {value}; the golden "
                                 "model and the simulator run it")
        for index in range(len(network.layers)):
            if network.sources(index) != (Source(index - 1),):
                raise ValueError(f"Layer {index} must receive the layer before it alone, in "
                                 "hardware; the golden model and the simulator run others")
        if len(self.lanes) != len(network.layers):
            raise ValueError(f"Lanes must be given for {len(network.layers)} layers, "
                             f"not for {len(self.lanes)}")
        for index, (lanes, layer) in enumerate(zip(self.lanes, network.layers, strict=True)):
            check_integer(f"Lanes of layer {index}", lanes, 1, layer.n_output)

    def folds(self, network: IntegerNetwork, layer: int) -> int:
        """Groups of ``lanes`` neurons that a layer works through one after another."""
        return fold_count(network.layers[layer].n_output, self.lanes[layer])

    def words(self, network: IntegerNetwork) -> int:
        """Transfers that bring in one image, and cycles that encode one timestep of it."""
        return fold_count(network.n_input, self.beats)
