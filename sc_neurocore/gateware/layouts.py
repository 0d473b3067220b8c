"""Shapes that the components share: indices, payloads of the streams, and the trace.

Structures are packed from the lowest bit up, in the order of their fields.
"""

from amaranth import Shape, signed, unsigned
from amaranth.lib import data, wiring
from amaranth.lib.wiring import Out
from amaranth.utils import ceil_log2

from ..parameters import WORD_WIDTH, LoadFormat

NO_COLLISIONS = {"no_rw_check": 1}
"""Attribute of a memory of which no entry is read, or at least needed, in the cycle in which it is
written; otherwise Yosys adds logic to make sure that the old value is read."""


def index_shape(entries: int) -> Shape:
    """Unsigned shape of an index in range(entries); never zero bits wide, so it can be a port."""
    return unsigned(max(1, ceil_log2(entries)))


def spike_word(n_neurons: int, lanes: int) -> data.StructLayout:
    """Spikes of the ``lanes`` neurons from number ``base`` on; ``last`` closes the timestep."""
    return data.StructLayout({"spikes": lanes, "last": 1, "base": index_shape(n_neurons)})


def event(n_input: int, ports: int = 1) -> data.StructLayout:
    """Address of a neuron, which spiked if ``spike`` is set; ``last`` closes the timestep.

    With two ``ports``, there is a second one, which spiked if ``second_spike`` is set.
    """
    second = {"second_address": index_shape(n_input), "second_spike": 1} if ports == 2 else {}
    return data.StructLayout({"address": index_shape(n_input), "spike": 1, "last": 1, **second})


def output_word(lanes: int, potential_width: int) -> data.StructLayout:
    """Spikes of ``lanes`` neighbouring output neurons, and their potentials before they spiked.

    The potential is the membrane less the threshold. ``first`` and ``final`` are set throughout the
    first and the final timestep of an image, ``last`` in the word that closes any timestep.
    """
    return data.StructLayout({"spikes": lanes, "last": 1, "first": 1, "final": 1,
                              "potentials": data.ArrayLayout(signed(potential_width), lanes)})


def result(n_output: int, count_width: int, current_width: int) -> data.StructLayout:
    """One output neuron at the end of an image: its index, spike count and whole current.

    ``last`` marks the image's last neuron; then ``predicted`` is the class.
    """
    return data.StructLayout({
        "neuron": index_shape(n_output), "count": count_width, "current": signed(current_width),
        "predicted": index_shape(n_output), "last": 1})


def load_word(form: LoadFormat) -> data.StructLayout:
    """A word of a parameter, and where it goes."""
    return data.StructLayout({"data": WORD_WIDTH, "address": form.address_bits})


def load_bus(form: LoadFormat) -> wiring.Signature:
    """While ``enable``: ``data`` is word number ``word`` of row ``row`` of a memory."""
    return wiring.Signature({"enable": Out(1), "row": Out(form.row_bits),
                             "word": Out(form.word_bits), "data": Out(WORD_WIDTH)})


def encoder_trace(lanes: int, rounds: int, words: int) -> wiring.Signature:
    """While ``valid``: the encoder commits ``spikes`` of inputs word·lanes and up."""
    return wiring.Signature({"valid": Out(1), "timestep": Out(index_shape(rounds)),
                             "word": Out(index_shape(words)), "spikes": Out(lanes)})


def layer_trace(lanes: int, timesteps: int, folds: int, membrane_width: int) -> wiring.Signature:
    """While ``valid``: a layer commits spikes and membranes of neurons fold·lanes and up."""
    return wiring.Signature({
        "valid": Out(1), "timestep": Out(index_shape(timesteps)), "fold": Out(index_shape(folds)),
        "spikes": Out(lanes), "membranes": Out(data.ArrayLayout(signed(membrane_width), lanes))})
