"""How an integer network is laid out in hardware."""

from dataclasses import dataclass, replace

from .families import BLOCK_RAMS, FAMILIES, SPRAM_ROWS, Shape, loaded_shape, weight_shape
from .network import MAXIMUM_FAN_IN, IntegerNetwork, check_integer
from .parameters import WORD_WIDTH, Capacity, capacities, current_width
from .rounds import Adds, phases
from .synapses import Source

GROUP = 16
"""Spikes of a word that a serializer looks at in a cycle, for each row of weights that its layer
reads in a cycle; wider words are taken apart."""
PARITY_PART = 32
"""Bits of a row whose parity is made in a cycle, in three levels of LUTs; that of the row follows
in the next."""
FIRE_LATENCY = 3
"""Cycles from issuing an operation of a layer to its execution (for a fire, the commit), at
least."""
MEMORIES = ("block", "logic", "spram")
QUEUE_DEPTH = 16
"""Words on their way out of the encoder, or of a layer with several folds; a LUT RAM has as many
entries."""


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
    beats : 1, 2, 4, … 64
        Intensities in a transfer of the input stream.
    encoder_lanes : 1, 2, 4, … 64
        Inputs that the encoder examines in a cycle; at least ``beats``. By default 16, or ``beats``
        if that is more.
    memories : tuple of "block", "logic" or "spram", one a layer
        What weight memories are made of: block RAM, by default, or logic; or, if parameters are
        loaded, SPRAM of the iCE40UP5K.
    family : str
        Family of FPGAs that memories are shaped for, one of `families.FAMILIES`; by default none.
    ports : tuple of 1 or 2, one a layer
        Rows of weights, and so events, that a layer adds in a cycle: 2 takes both ports of its
        block RAMs (on iCE40, whose block RAMs have one, twice as many of them). By default 1.
    loaded : tuple of Capacity, one a layer
        Room for parameters that are loaded into the running circuit, which is the same for every
        network of that shape, timesteps, schedule, encoder and seed; `with_loading` asks for what
        one network needs. By default parameters are built in.
    store_parts : int
        If they are loaded: a fold's potentials and thresholds come from block RAM in so many parts,
        one a cycle, and go back so while its events are added, which takes as many fewer block RAMs
        where there is no LUT RAM. By default in one, at once.
    parity : bool
        Each row of weights has a parity bit, and rows that don't go with theirs are reported
        (`gateware.parity`). It costs no cycle. By default there is none.

    Raises
    ------
    TypeError, ValueError
        If a value is not an integer in range.
    """

    lanes: tuple[int, ...]
    beats: int = 8
    encoder_lanes: int = 0
    memories: tuple[str, ...] = ()
    family: str = ""
    ports: tuple[int, ...] = ()
    loaded: tuple[Capacity, ...] = ()
    store_parts: int = 1
    parity: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.lanes, int | str):
            raise TypeError(f"Lanes must be a sequence, one number a layer, not {self.lanes!r}; "
                            "AcceleratorSpec.for_network() makes one")
        set_ = object.__setattr__
        set_(self, "lanes", tuple(
            check_integer(f"Lanes of layer {index}", lanes, 1, MAXIMUM_FAN_IN)
            for index, lanes in enumerate(self.lanes)))
        set_(self, "beats", _power_of_two("Beats", self.beats))
        set_(self, "encoder_lanes", _power_of_two(
            "Encoder lanes", self.encoder_lanes or max(self.beats, 16), self.beats))
        for name in ("memories", "ports"):
            if isinstance(getattr(self, name), int | str):
                raise TypeError(f"{name.capitalize()} must be a sequence, one a layer, "
                                f"not {getattr(self, name)!r}")
        set_(self, "memories", tuple(self.memories) or ("block",) * len(self.lanes))
        for index, memory in enumerate(self.memories):
            if memory not in MEMORIES:
                raise ValueError(f"Memory of layer {index} must be one of "
                                 f"{', '.join(MEMORIES)}, not {memory!r}")
        set_(self, "ports", tuple(self.ports) or (1,) * len(self.lanes))
        set_(self, "ports", tuple(check_integer(f"Ports of layer {index}", ports, 1, 2)
                                  for index, ports in enumerate(self.ports)))
        if len(self.ports) != len(self.lanes):
            raise ValueError(f"Ports must be given for {len(self.lanes)} layers, "
                             f"not for {len(self.ports)}")
        set_(self, "loaded", tuple(self.loaded))
        for index, capacity in enumerate(self.loaded):
            if not isinstance(capacity, Capacity):
                raise TypeError(f"Loaded must have a Capacity for layer {index}, not {capacity!r}; "
                                "AcceleratorSpec.with_loading() makes them")
        if self.loaded and len(self.loaded) != len(self.lanes):
            raise ValueError(f"Capacities must be given for {len(self.lanes)} layers, "
                             f"not for {len(self.loaded)}")
        set_(self, "store_parts", check_integer("Store parts", self.store_parts, 1, 64))
        if self.loaded and max(self.ports) > 1:
            raise ValueError("Ports must be 1 where parameters are loaded, which takes the other "
                             f"one, not {max(self.ports)}")
        if self.store_parts > 1 and not self.loaded:
            raise ValueError("Store parts must be 1 unless parameters are loaded, "
                             f"not {self.store_parts}")
        if not isinstance(self.parity, bool):
            raise TypeError(f"Parity must be true or false, not {self.parity!r}")
        if self.parity and len(self.lanes) > 255:
            raise ValueError("Layers must be at most 255 where rows have parity, as their numbers "
                             f"have a byte, not {len(self.lanes)}")
        if self.parity and "logic" in self.memories:
            raise ValueError(f"Memory of layer {self.memories.index('logic')} must be block or "
                             "spram where rows have parity, not logic")
        if self.family not in ("", *FAMILIES):
            raise ValueError(f"Family must be one of {', '.join(FAMILIES)}, or empty, "
                             f"not {self.family!r}")
        if len(self.memories) != len(self.lanes):
            raise ValueError(f"Memories must be given for {len(self.lanes)} layers, "
                             f"not for {len(self.memories)}")

    @classmethod
    def for_network(cls, network: IntegerNetwork, lanes: int = 16, beats: int = 8
                    ) -> "AcceleratorSpec":
        """At most ``lanes`` lanes in every layer, and no more than it has neurons."""
        check_integer("Lanes", lanes, 1, MAXIMUM_FAN_IN)
        return cls(tuple(min(lanes, layer.n_output) for layer in network.layers), beats)

    def check(self, network: IntegerNetwork) -> None:
        """Raise ValueError unless this is a layout of ``network``, and there is gateware for it."""
        for index in range(len(network.layers)):
            if network.sources(index) != (Source(index - 1),):
                raise ValueError(f"Layer {index} must receive the layer before it alone, in "
                                 "hardware; the golden model and the simulator run others")
        if len(self.lanes) != len(network.layers):
            raise ValueError(f"Lanes must be given for {len(network.layers)} layers, "
                             f"not for {len(self.lanes)}")
        for index, (lanes, layer) in enumerate(zip(self.lanes, network.layers, strict=True)):
            check_integer(f"Lanes of layer {index}", lanes, 1, layer.n_output)
        for index, memory in enumerate(self.memories):
            if memory == ("logic" if self.loaded else "spram"):
                raise ValueError(f"Memory of layer {index} must be "
                                 + ("block or spram, since parameters are loaded" if self.loaded
                                    else "block or logic, unless parameters are loaded")
                                 + f", not {memory}")
            if memory == "spram" and self.family != "ice40":
                raise ValueError(f"Memory of layer {index} must be block in a layout for "
                                 f"{self.family or 'any family'}, not spram, which ice40 has")
        if self.loaded:
            self._check_loaded(network)

    def _check_loaded(self, network: IntegerNetwork) -> None:
        if network.encoder == "direct":
            raise ValueError("Encoder must be one of lfsr, low_discrepancy, events where "
                             "parameters are loaded, not direct")
        for index, needed in enumerate(capacities(network)):
            if lacks := self.loaded[index].lacks(needed):
                raise ValueError(f"Layer {index} must fit what was built for its parameters, "
                                 f"but it needs {', '.join(lacks)}")
            if network.widths[index].saturates:
                raise ValueError(f"Layer {index} must not saturate where parameters are loaded")
            rows = self.folds(network, index) * self.fold_rows(network, index)
            if self.memories[index] == "spram" and rows > SPRAM_ROWS:
                raise ValueError(f"Layer {index} must have at most {SPRAM_ROWS} rows of weights in "
                                 f"SPRAM, not {rows}; more lanes make fewer")

    def with_loading(self, network: IntegerNetwork) -> "AcceleratorSpec":
        """The same layout, but its parameters are loaded, with room for those of ``network``."""
        return replace(self, loaded=capacities(network))

    def capacity(self, layer: int) -> Capacity | None:
        """What a layer has room for, if its parameters are loaded."""
        return self.loaded[layer] if self.loaded else None

    def current_width(self, network: IntegerNetwork) -> int:
        """Bits of an output neuron's current in the results."""
        if not self.loaded:
            return network.current_width
        return current_width(self.loaded[-1], network.timesteps)

    def membrane_width(self, network: IntegerNetwork, layer: int) -> int:
        """Bits of a membrane in the trace."""
        return self.loaded[layer].membrane if self.loaded else network.widths[layer].membrane

    def accumulator_width(self, network: IntegerNetwork, layer: int) -> int:
        """Bits of any partial sum of a layer."""
        return self.loaded[layer].accumulator if self.loaded else network.widths[layer].accumulator

    def fold_rows(self, network: IntegerNetwork, layer: int) -> int:
        """Rows of weights of a fold: one for each input, and those for loaded parameters."""
        extra = (self.loaded[layer].bias_rows + self.loaded[layer].initial_rows if self.loaded
                 else 0)
        return network.layers[layer].n_input + extra

    def parts(self, network: IntegerNetwork, layer: int) -> int:
        """Parts in which a fold's potentials and thresholds are stored."""
        if self.folds(network, layer) == 1:
            return 1
        lanes = self.lanes[layer]
        # None of them is empty.
        return fold_count(lanes, fold_count(lanes, self.store_parts))

    def folds(self, network: IntegerNetwork, layer: int) -> int:
        """Groups of ``lanes`` neurons that a layer works through one after another."""
        return fold_count(network.layers[layer].n_output, self.lanes[layer])

    def source_lanes(self, network: IntegerNetwork, layer: int) -> int:
        """Neurons or inputs in the spike words that a layer receives."""
        return self.lanes[layer - 1] if layer else self.word_lanes(network)

    def source_words(self, network: IntegerNetwork, layer: int) -> int:
        """Spike words of a timestep that a layer receives at most."""
        return fold_count(network.layers[layer].n_input, self.source_lanes(network, layer))

    def replays(self, network: IntegerNetwork, layer: int) -> str:
        """What is kept of a timestep for all folds: "words", "events", or "" if there is one fold.

        Whichever takes less memory: many words of a few spikes, or the events of few words.
        """
        if self.folds(network, layer) == 1:
            return ""
        n_input = network.layers[layer].n_input
        address = max(1, (n_input - 1).bit_length())
        words = (self.source_words(network, layer),
                 self.source_lanes(network, layer) + 1 + address)
        events = n_input, self.ports[layer] * (address + 1) + 1
        return "words" if _blocks(*words) <= _blocks(*events) else "events"

    def weight_shape(self, network: IntegerNetwork, layer: int, weight_width: int | None = None
                     ) -> Shape:
        """How a layer's weight memory is put together; or would be, of weights of so many bits."""
        rows = max(2, self.folds(network, layer) * self.fold_rows(network, layer))
        width = self.lanes[layer] * (weight_width or network.layers[layer].weight_width)
        if self.loaded:
            return loaded_shape(self.family, rows, width + self.parity, WORD_WIDTH)
        return weight_shape(self.family if self.memories[layer] == "block" else "", rows, width,
                            self.ports[layer], self.parity)

    def fire_latency(self, network: IntegerNetwork, layer: int) -> int:
        """Cycles from issuing an operation of a layer to its execution: `FIRE_LATENCY`, one more if
        its weights are in several banks, and one more if two rows are added up."""
        return (FIRE_LATENCY + (self.weight_shape(network, layer).banks > 1)
                + (self.ports[layer] > 1))

    def group(self, layer: int) -> int:
        """Spikes of a word that the serializer in front of a layer looks at in a cycle."""
        return GROUP * self.ports[layer]

    def word_lanes(self, network: IntegerNetwork) -> int:
        """Inputs in a spike word of the encoder; spikes from outside come as they are."""
        return self.beats if network.encoder == "events" else self.encoder_lanes

    def encoder_words(self, network: IntegerNetwork) -> int:
        """Cycles that encode one timestep of an image, silent or not."""
        return fold_count(network.n_input, self.word_lanes(network))

    def transfers(self, network: IntegerNetwork) -> int:
        """Transfers that bring in one image, or one timestep of spikes."""
        return fold_count(network.n_input, self.beats)

    def queue_depth(self, network: IntegerNetwork, layer: int) -> int:
        """Words that a layer may have on their way.

        With one fold there is a word a timestep, and it is wide: a register will do. It takes five
        cycles from one word to the next, fewer than a timestep takes, unless it has nearly no
        events, or, as in rounds that add none, never has any; those have room for four.
        """
        if self.folds(network, layer) > 1:
            return QUEUE_DEPTH
        return 1 if phases(network, layer)[-1].adds is Adds.EVENTS else 4


def _blocks(entries: int, width: int) -> int:
    """Block RAMs of 4 Kbit that two halves of so many entries take, as a family has them."""
    depth = 2 << (entries - 1).bit_length()
    ram = BLOCK_RAMS["ice40"]
    return min(fold_count(depth, 1 << ram.address_bits - shift) * fold_count(width, unit)
               for shift, unit in enumerate(ram.widths))


def _power_of_two(name: str, value: int, low: int = 1) -> int:
    check_integer(name, value, low, 64)
    if value & (value - 1):
        raise ValueError(f"{name} must be a power of two, not {value}")
    return int(value)
