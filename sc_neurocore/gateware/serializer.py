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


def set_at_least(bits: list[Value], most: int) -> list[Value]:
    """Whether at least 1, 2, … ``most`` of the bits are set, as a tree."""
    if len(bits) == 1:
        return [bits[0], *[Const(0, 1)] * (most - 1)]
    half = len(bits) // 2
    low, high = set_at_least(bits[:half], most), set_at_least(bits[half:], most)
    found = []
    for number in range(most):
        either = low[number] | high[number]
        for below in range(number):
            either = either | (low[below] & high[number - 1 - below])
        found.append(either)
    return found


def second_set(bits: list[Value]) -> tuple[Value, Value, Value]:
    """The indices of the lowest and of the second lowest bit that is set, if they are, and whether
    any is, as a tree."""
    if len(bits) == 1:
        return Const(0, 0), Const(0, 0), bits[0]
    half = 1 << ceil_log2(len(bits)) - 1
    width = ceil_log2(half)
    low_first, low_second, low_any = second_set(bits[:half])
    high_first, high_second, high_any = second_set(bits[half:])
    low_first, low_second, high_first, high_second = (
        Cat(index, Const(0, width - len(index)), C(is_high, 1)) for index, is_high in (
            (low_first, 0), (low_second, 0), (high_first, 1), (high_second, 1)))
    low_both = set_at_least(bits[:half], 2)[1]
    return (Mux(low_any, low_first, high_first),
            Mux(low_both, low_second, Mux(low_any, high_first, high_second)), low_any | high_any)


class Serializer(wiring.Component):
    """Names the neurons that spiked in each word, lowest first.

    A word is taken apart into groups of `spec.GROUP` neurons, or, with two ports, twice as many;
    those without a spike are skipped, and the others wait in a register for their turn.

    Throughput: as many spikes of a group a cycle as there are ports, but for a cycle between words
    of several groups; a word without spikes takes a cycle too, and sends an event without a spike.
    Latency: a cycle, or two where a word has several groups.

    Parameters
    ----------
    n_neurons : int
        Neurons that a timestep's words cover, together.
    lanes : int
        Neurons in a word.
    ports : 1 or 2
        Spikes in an event.

    Members
    -------
    words : In, stream of `layouts.spike_word`
        Taken when the last of its groups is.
    events : Out, stream of `layouts.event`
        In each timestep, addresses in the order of the words, and ascending in each of them.
    """

    def __init__(self, n_neurons: int, lanes: int, ports: int = 1):
        self._n_neurons, self._lanes, self._ports = n_neurons, lanes, ports
        self._group = GROUP * ports
        super().__init__({"words": In(stream.Signature(spike_word(n_neurons, lanes))),
                          "events": Out(stream.Signature(event(n_neurons, ports)))})

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
        at_least = set_at_least(list(group.spikes), self._ports + 1)
        after = group.spikes & (group.spikes - 1)
        if self._ports == 2:
            _, second, _ = second_set(list(group.spikes))
            m.d.comb += [self.events.payload.second_address.eq(group.base + second),
                         self.events.payload.second_spike.eq(at_least[1])]
            after = after & (after - 1)
        m.d.comb += [rest.eq(after), done.eq(~at_least[-1]),
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
        if self._lanes <= self._group:
            return spikes, Const(0, 1), self.words.valid, Const(1, 1)
        parts = [spikes[start:start + self._group]
                 for start in range(0, self._lanes, self._group)]
        pending = Signal(len(parts))
        rest = Signal(len(parts))
        known = Signal()
        _, index = first_set(list(pending))
        chosen = Signal(range(len(parts)))
        selected = Signal(self._group)
        m.d.comb += [chosen.eq(index), rest.eq(pending & ~(C(1, 1) << chosen)),
                     selected.eq(Array(parts)[chosen])]
        with m.If(~known):
            m.d.sync += [pending.eq(Cat(part.any() for part in parts)),
                         known.eq(self.words.valid)]
        with m.Elif(free):
            m.d.sync += [pending.eq(rest), known.eq(rest != 0)]
        return selected, chosen * self._group, known, rest == 0
