"""Serializer: spike words in, addresses of the neurons that spiked out."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .layouts import event, index_shape, spike_word


def first_set(bits: list[Value]) -> tuple[Value, Value]:
    """Whether any of the bits is set, and the index of the lowest that is, as a tree of choices."""
    if len(bits) == 1:
        return bits[0], Const(0, 0)
    half = 1 << ceil_log2(len(bits)) - 1
    low_any, low_index = first_set(bits[:half])
    high_any, high_index = first_set(bits[half:])
    width = ceil_log2(half)
    low_index, high_index = (Cat(index, Const(0, width - len(index)))
                             for index in (low_index, high_index))
    return low_any | high_any, Mux(low_any, Cat(low_index, C(0, 1)), Cat(high_index, C(1, 1)))


class Serializer(wiring.Component):
    """Names the neurons that spiked in each word, lowest first.

    Throughput: an event a cycle; a word without spikes takes a cycle too, and sends an event
    without a spike. Latency: none, the first event of a word comes in the cycle in which the word
    does.

    Parameters
    ----------
    n_neurons : int
        Neurons that a timestep's words cover, together.
    lanes : int
        Neurons in a word.

    Members
    -------
    words : In, stream of `layouts.spike_word`
    events : Out, stream of `layouts.event`
        In each timestep, addresses in ascending order.
    """

    def __init__(self, n_neurons: int, lanes: int):
        self._n_neurons, self._lanes = n_neurons, lanes
        super().__init__({"words": In(stream.Signature(spike_word(lanes))),
                          "events": Out(stream.Signature(event(n_neurons)))})

    def elaborate(self, platform):
        m = Module()
        word = self.words.payload
        sent = Signal(self._lanes)
        base = Signal(index_shape(self._n_neurons))
        pending = Signal(self._lanes)
        rest = Signal(self._lanes)
        m.d.comb += pending.eq(word.spikes & ~sent)
        found, index = first_set(list(pending))
        chosen = Signal(max(1, len(index)))
        m.d.comb += [chosen.eq(index), rest.eq(pending & ~(C(1, 1) << chosen))]

        done = Signal()
        m.d.comb += [done.eq(rest == 0),
                     self.events.valid.eq(self.words.valid),
                     self.events.payload.address.eq(base + chosen),
                     self.events.payload.spike.eq(found),
                     self.events.payload.last.eq(word.last & done),
                     self.words.ready.eq(self.events.ready & done)]
        with m.If(self.events.valid & self.events.ready):
            m.d.sync += sent.eq(word.spikes & ~rest)
            with m.If(done):
                m.d.sync += [sent.eq(0), base.eq(Mux(word.last, 0, base + self._lanes))]
        return m
