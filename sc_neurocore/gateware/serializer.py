"""Serializer: spike words in, addresses of the neurons that spiked out."""

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..spec import GROUP
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


def several_set(bits: list[Value]) -> tuple[Value, Value]:
    """Whether any of the bits is set, and whether more than one is, as a tree."""
    if len(bits) == 1:
        return bits[0], Const(0, 1)
    half = len(bits) // 2
    low_any, low_several = several_set(bits[:half])
    high_any, high_several = several_set(bits[half:])
    return low_any | high_any, low_several | high_several | (low_any & high_any)


class Serializer(wiring.Component):
    """Names the neurons that spiked in each word, lowest first.

    A word is taken apart into groups of `spec.GROUP` neurons; those without a spike are skipped,
    and the others wait in a register for their turn.

    Throughput: an event a cycle, but for a cycle between words of several groups; a word without
    spikes takes a cycle too, and sends an event without a spike. Latency: a cycle, or two where a
    word has several groups.

    Parameters
    ----------
    n_neurons : int
        Neurons that a timestep's words cover, together.
    lanes : int
        Neurons in a word.

    Members
    -------
    words : In, stream of `layouts.spike_word`
        Taken when the last of its groups is.
    events : Out, stream of `layouts.event`
        In each timestep, addresses in the order of the words, and ascending in each of them.
    """

    def __init__(self, n_neurons: int, lanes: int):
        self._n_neurons, self._lanes = n_neurons, lanes
        super().__init__({"words": In(stream.Signature(spike_word(n_neurons, lanes))),
                          "events": Out(stream.Signature(event(n_neurons)))})

    def elaborate(self, platform):
        m = Module()
        word = self.words.payload
        free = Signal()
        spikes, offset, ready, is_final = self._next_group(m, free)
        group = Signal(data.StructLayout({"spikes": len(spikes), "last": 1,
                                          "base": index_shape(self._n_neurons)}))
        loaded = Signal()
        done = Signal()
        rest = Signal(len(spikes))
        found, index = first_set(list(group.spikes))
        _, several = several_set(list(group.spikes))
        m.d.comb += [rest.eq(group.spikes & (group.spikes - 1)), done.eq(~several),
                     free.eq(~loaded | (self.events.ready & done)),
                     self.words.ready.eq(free & ready & is_final),
                     self.events.valid.eq(loaded),
                     self.events.payload.address.eq(group.base + index),
                     self.events.payload.spike.eq(found),
                     self.events.payload.last.eq(group.last & done)]
        with m.If(self.events.ready):
            m.d.sync += group.spikes.eq(rest)
        with m.If(free):
            m.d.sync += [loaded.eq(ready), group.spikes.eq(spikes),
                         group.base.eq(word.base + offset), group.last.eq(word.last & is_final)]
        return m

    def _next_group(self, m: Module, free: Value) -> tuple[Value, Value, Value, Value]:
        """Spikes of the word's next group, its place in the word, whether it is there, and whether
        it is the last."""
        spikes = self.words.payload.spikes
        if self._lanes <= GROUP:
            return spikes, Const(0, 1), self.words.valid, Const(1, 1)
        parts = [spikes[start:start + GROUP] for start in range(0, self._lanes, GROUP)]
        pending = Signal(len(parts))
        rest = Signal(len(parts))
        known = Signal()
        _, index = first_set(list(pending))
        chosen = Signal(range(len(parts)))
        selected = Signal(GROUP)
        m.d.comb += [chosen.eq(index), rest.eq(pending & ~(C(1, 1) << chosen)),
                     selected.eq(Array(parts)[chosen])]
        with m.If(~known):
            m.d.sync += [pending.eq(Cat(part.any() for part in parts)),
                         known.eq(self.words.valid)]
        with m.Elif(free):
            m.d.sync += [pending.eq(rest), known.eq(rest != 0)]
        return selected, chosen * GROUP, known, rest == 0
