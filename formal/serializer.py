"""The serializer: every spike of every word is one event, in order, whoever waits for whom.

The model beside it knows nothing of groups. It takes the spikes of a word off, lowest first, as
events are taken; what a word leaves when it is taken itself is still to come before the next one's.
"""

from functools import partial

from amaranth.hdl import Assert, Assume, Cat, Const, Module, Mux, Signal, Value
from test_mutations import Mutation

from sc_neurocore.gateware.serializer import Serializer
from sc_neurocore.spec import GROUP

from .harness import Proof, helps, inside, new, offers, signal, takes, waits


def events_of_words(n_neurons: int, lanes: int, ports: int) -> Module:
    """A word at a time: what of it is still to be sent."""
    m = new()
    m.submodules.serializer = serializer = Serializer(n_neurons, lanes, ports)
    words, events = serializer.words, serializer.events
    offers(m, words, "words")
    takes(m, events, "events")
    has_whole_words(m, words.payload, n_neurons, lanes)

    # What is left of a word that was taken, and what was sent of the one that is offered.
    left, base, closes, owes = (Signal(lanes), Signal.like(words.payload.base), Signal(), Signal())
    sent = Signal(lanes)
    spikes = Signal(lanes)
    origin = Signal.like(base)
    m.d.comb += [spikes.eq(Mux(owes, left, words.payload.spikes & ~sent)),
                 origin.eq(Mux(owes, base, words.payload.base))]
    event, taken = events.payload, Signal()
    m.d.comb += taken.eq(events.valid & events.ready)
    names = [(event.address, event.spike)]
    if ports == 2:
        names.append((event.second_address, event.second_spike))
    together = after = first_group(spikes, GROUP * ports)
    for address, spike in names:
        lowest = after & -after
        place = (address - origin)[:len(address)]
        m.d.comb += [Assert(~events.valid | (spike == after.any())),
                     Assert(~(events.valid & spike) | (address < n_neurons)
                            & ((Const(1, lanes) << place)[:lanes] == lowest))]
        after = after & ~lowest
    done = Signal()
    rest = Signal(lanes)
    m.d.comb += [rest.eq(spikes & ~(together & ~after)), done.eq(rest == 0),
                 # Only what is left of a word that was taken can end it.
                 Assert(~events.valid | owes | (words.valid & ~done)),
                 Assert(~events.valid | (event.last == (owes & closes & done)))]
    accepted = words.valid & words.ready
    finished = Signal()
    m.d.comb += [finished.eq(owes & taken & done), Assert(~accepted | ~owes | finished)]
    with m.If(taken & owes):
        m.d.sync += left.eq(rest)
    with m.Elif(taken):
        m.d.sync += sent.eq(words.payload.spikes & ~rest)
    with m.If(finished):
        m.d.sync += owes.eq(0)
    with m.If(accepted):
        now_sent = Mux(taken & ~owes, words.payload.spikes & ~rest, sent)
        m.d.sync += [owes.eq(1), left.eq(words.payload.spikes & ~now_sent), sent.eq(0),
                     base.eq(words.payload.base), closes.eq(words.payload.last)]
    waits(m, words.valid & ~events.valid, 1 if lanes <= GROUP * ports else 2)
    groups(m, serializer, GROUP * ports, lanes, owes, left, base, closes, sent, n_neurons)
    return m


def first_group(spikes: Value, size: int) -> Value:
    """Spikes of the lowest group that has any."""
    found, silent = [], Const(1, 1)
    for low in range(0, len(spikes), size):
        part = spikes[low:low + size]
        found.append(Mux(silent, part, 0)[:len(part)])
        silent = silent & ~part.any()
    return Cat(found)


def groups(m: Module, serializer: Serializer, size: int, lanes: int, owes: Value, left: Value,
           base: Value, closes: Value, sent: Value, n_neurons: int):
    """Help: what the register of a group holds, and which groups are still to come."""
    module, word = inside(serializer), serializer.words.payload
    register, loaded = signal(module, "group"), serializer.events.valid
    n_bits = min(size, lanes)
    spikes, last, origin = register[:n_bits], register[n_bits], register[n_bits + 1:]
    helps(m, ~owes | (loaded & (last == closes)), ~owes | (((left << base) >> n_neurons) == 0))
    if lanes <= size:
        helps(m, loaded == owes, sent == 0, ~owes | ((spikes == left) & (origin == base)))
        return
    parts = lanes // size
    pending, known = signal(module, "pending"), signal(module, "known")
    filled = Cat(word.spikes[part * size:][:size].any() for part in range(parts))
    coming = word.spikes & Cat(pending[part].replicate(size) for part in range(parts))
    place = (origin - Mux(owes, base, word.base))[:len(base)]
    part = place // size
    held = (spikes << place)[:lanes]
    helps(m, ~known | (serializer.words.valid & ((pending & ~filled) == 0)),
          ~loaded | ((place % size == 0) & (place < lanes)),
          ~owes | (left == held), ~(owes | ~loaded) | (sent == 0),
          ~(owes | ~loaded) | ~known | (pending == filled),
          ~loaded | owes | (known & pending.any() & spikes.any() & ~last
                            & ((word.spikes & ~sent) == (held | coming))
                            & ((pending & ((2 << part) - 1)) == 0)))


def has_whole_words(m: Module, word, n_neurons: int, lanes: int):
    """Let words be of whole lanes, without a spike beyond the last neuron."""
    m.d.comb += [Assume(word.base % lanes == 0), Assume(word.base < n_neurons),
                 Assume(((word.spikes << word.base) >> n_neurons) == 0)]


PROPERTY = "every spike is one event, in order, in range; offers stand"
FAULTS = tuple(Mutation("serializer.py", *change) for change in (
    ("with m.If(self.events.ready):", "with m.If(1):"),
    ("free.eq(~loaded | (self.events.ready & done))", "free.eq(self.events.ready & done)"),
    ("self.events.payload.address.eq(group.base + index)",
     "self.events.payload.address.eq(group.base + ~index)"),
    ("self.events.valid.eq(loaded)", "self.events.valid.eq(loaded | self.words.valid)"),
    ("self.words.ready.eq(free & ready & is_final)", "self.words.ready.eq(ready & is_final)")))
PROOFS = {
    "serializer_words": Proof(
        "Serializer, words of 4", PROPERTY,
        partial(events_of_words, 10, 4, 1),
        (*FAULTS,
         Mutation("serializer.py", "group.spikes & (group.spikes - 1)", "group.spikes & 0")), 3),
    "serializer_groups": Proof(
        "Serializer, words of 32", PROPERTY,
        partial(events_of_words, 64, 32, 1),
        (*FAULTS,
         Mutation("serializer.py", "rest.eq(pending & ~(C(1, 1) << chosen))",
                  "rest.eq(pending - 1)"),
         Mutation("serializer.py", "group.last.eq(word.last & is_final)",
                  "group.last.eq(word.last)")), 3),
    "serializer_ports": Proof(
        "Serializer, words of 64, two ports", PROPERTY,
        partial(events_of_words, 64, 64, 2),
        (*FAULTS[:2],
         Mutation("serializer.py", "after = after & (after - 1)", "after = after | 0")), 3),
}
