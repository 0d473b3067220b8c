"""The queue: places are counted, and words leave it once, whole, and in their order."""

from functools import partial

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Assume, Module, Mux, Signal, Value
from test_mutations import Mutation

from sc_neurocore.gateware.reserved_queue import ReservedQueue
from sc_neurocore.spec import QUEUE_DEPTH

from .harness import Proof, helps, holds, in_range, inside, new, past, signal, submodule, takes

WIDTH = 4
"""Bits of a word; the queue only moves it, so any width behaves alike."""


def contract(depth: int) -> Module:
    """Any word is followed from its push to its transfer, while the others are counted."""
    m = new()
    m.submodules.queue = queue = ReservedQueue(WIDTH, depth)
    in_range(m, queue)
    owed, queued = Signal(range(depth + 1)), Signal(range(depth + 1))
    produces(m, queue, owed)
    takes(m, queue.words, "words")
    taken = Signal()
    m.d.comb += taken.eq(queue.words.valid & queue.words.ready)
    m.d.sync += queued.eq(queued + queue.push - taken)
    m.d.comb += [Assert(owed + queued <= depth), Assert(queue.room == (owed + queued < depth)),
                 Assert(~queue.words.valid | (queued > 0)),
                 # In time, too: a word that is there is offered in the next cycle.
                 Assert(queue.words.valid | ~past(m, queued > taken, "some"))]

    watched, ahead, word = Signal(), Signal(range(depth)), Signal(WIDTH)
    comes = watched & taken & (ahead == 0)
    with m.If(~watched & queue.push & AnySeq(1)):
        m.d.sync += [watched.eq(1), ahead.eq(queued - taken), word.eq(queue.word)]
    with m.Elif(taken):
        m.d.sync += [ahead.eq(ahead - 1), watched.eq(watched & ~comes)]
    m.d.comb += Assert(~comes | (queue.words.payload == word))
    helps(m, ~watched | (ahead < queued))
    (helpers_of_memory if depth > 1 else helpers_of_register)(
        m, queue, depth, owed, queued, watched, ahead, word)
    return m


def produces(m: Module, queue: ReservedQueue, owed: Signal):
    """A producer that pushes or drops only what it has reserved; ``owed`` counts what it has."""
    m.d.comb += [queue.reserve.eq(AnySeq(1) & queue.room), queue.word.eq(AnySeq(WIDTH)),
                 queue.push.eq(AnySeq(1)), queue.drop.eq(AnySeq(1)),
                 Assume(~(queue.push & queue.drop)),
                 Assume(~(queue.push | queue.drop) | (owed + queue.reserve > 0))]
    m.d.sync += owed.eq(owed + queue.reserve - queue.push - queue.drop)


def helpers_of_memory(m: Module, queue: ReservedQueue, depth: int, owed: Value, queued: Value,
                      watched: Value, ahead: Value, word: Value):
    """Where the words are."""
    module = inside(queue)
    head, tail = signal(module, "head"), signal(module, "tail")
    place = (head + ahead - queue.words.valid)[:len(head) - 1]
    held = holds(m, submodule(module, "memory"), place)
    helps(m, signal(module, "free") == depth - owed - queued,
          (tail - head)[:len(head)] == queued - queue.words.valid,
          ~watched | (Mux(queue.words.valid & (ahead == 0), queue.words.payload, held) == word))


def helpers_of_register(m: Module, queue: ReservedQueue, depth: int, owed: Value, queued: Value,
                        watched: Value, ahead: Value, word: Value):
    """What the register holds."""
    helps(m, signal(inside(queue), "reserved") == owed + queued, queue.words.valid == queued,
          ~watched | (queue.words.payload == word))


PROPERTY = "places are counted; no word is lost, doubled, changed or overtaken; offers stand"
MEMORY_FAULTS = tuple(Mutation("reserved_queue.py", *change) for change in (
    ("(tail != head) & (~self.words.valid | self.words.ready)", "(tail != head)"),
    ("(tail != head) & (~self.words.valid | self.words.ready)",
     "(tail != head) & ~self.words.valid"),
    ("free = Signal(range(depth + 1), init=depth)",
     "free = Signal(range(depth + 2), init=depth + 1)"),
    ("free.eq(free - self.reserve + taken + self.drop)", "free.eq(free - self.reserve + taken)"),
    ("fetch | (self.words.valid & ~taken)", "fetch | self.words.valid"),
    ("write.addr.eq(tail[:-1])", "write.addr.eq(tail[:-1] | 1)")))
REGISTER_FAULTS = tuple(Mutation("reserved_queue.py", *change) for change in (
    ("with m.If(taken | self.drop):", "with m.If(taken):"),
    ("with m.If(taken | self.drop):", "with m.If(self.reserve | taken | self.drop):"),
    ("with m.If(taken):", "with m.If(taken & self.push):"),
    ("with m.If(taken):", "with m.If(self.words.valid):"),
    ("self.words.payload.eq(self.word)", "self.words.payload.eq(self.words.payload)")))
PROOFS = {
    "reserved_queue_memory": Proof(
        f"ReservedQueue, {QUEUE_DEPTH} places", PROPERTY, partial(contract, QUEUE_DEPTH),
        MEMORY_FAULTS[::2]),
    "reserved_queue_four": Proof(
        "ReservedQueue, 4 places", PROPERTY, partial(contract, 4), MEMORY_FAULTS),
    "reserved_queue_register": Proof(
        "ReservedQueue, 1 place", PROPERTY, partial(contract, 1), REGISTER_FAULTS),
}
