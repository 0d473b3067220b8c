"""Answers to a host: the results of the last images, and what else there is to be said."""

from amaranth import *
from amaranth.lib import data, enum, memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..protocol import CORRUPTED, COUNTERS, VARIABLES, Answer, Fault, LinkFormat
from .framing import FRAME_BYTE
from .layouts import NO_COLLISIONS, index_shape, result


class Kind(enum.Enum, shape=3):
    """What is being sent."""

    ERROR = 0
    STATUS = 1
    ECHO = 2
    LOADED = 3
    RESULT = 4


def chosen(items: list[Value], index: Value) -> Value:
    """The item of this index, by a tree of choices: half as large as what Array comes to."""
    if len(items) == 1:
        return items[0]
    level = ceil_log2(len(items)) - 1
    low, high = items[:1 << level], items[1 << level:]
    return Mux(index[level], chosen(high, index), chosen(low, index))


class Answers(wiring.Component):
    """Keeps the results of the last ``format.slots`` images, and sends answers one after another.

    Errors go first, then what was asked for, then results, in their order. An error, a status, an
    echo or a loaded that is asked for again before it is sent is sent once.

    Throughput: a byte in 3 cycles, in the last part of a status in as many as that has bytes; a
    result is taken in a cycle. Latency: the first byte is offered 2 cycles after something is told.

    Parameters
    ----------
    format : LinkFormat
        Sizes of results.
    constants : bytes
        First part of a status.
    parity : bool
        ``variables`` have `protocol.CORRUPTED` at their end.

    Members
    -------
    results : In, stream of `layouts.result`
        Always taken.
    done : Out
        Number of the first image without all of its results.
    answered : Out
        Number of the image whose results are sent next.
    idle : Out
        There is nothing to be sent.
    again : In
        Send those of image ``number`` next, which is one of the last ones before ``answered``.
    loaded : In
        The number that is ``done`` next is that of a LOAD, and it is. Only if it is ``answered``
        next as well.
    tell_error, tell_status, tell_echo, tell_loaded : In
        Send an answer of this kind.
    number : In
        Number of the command that is to be answered, or of the refused one.
    fault : In
        Why it was. With ``tell_error``.
    variables : In
        Second part of a status.
    counter_place, counter_byte : In
        Third part: its bytes come by one after another, again and again.
    echo : In, stream of 8 bits
        Content of an echo; taken only then.
    echo_last : In
        The byte on offer is its last.
    frame : Out, stream of `framing.FRAME_BYTE`
        The answers.
    """

    def __init__(self, format: LinkFormat, constants: bytes, parity: bool = False):
        self._format, self._constants = format, constants
        self._variables = sum((VARIABLES | CORRUPTED if parity else VARIABLES).values())
        super().__init__({
            "results": In(stream.Signature(result(format.n_output, format.count_width,
                                                  format.current_width))),
            "done": Out(8), "answered": Out(8), "idle": Out(1), "again": In(1), "loaded": In(1),
            "tell_error": In(1), "tell_status": In(1), "tell_echo": In(1), "tell_loaded": In(1),
            "number": In(8), "fault": In(Fault), "variables": In(8 * self._variables),
            "counter_place": In(index_shape(sum(COUNTERS.values()))), "counter_byte": In(8),
            "echo": In(stream.Signature(8)), "echo_last": In(1),
            "frame": Out(stream.Signature(FRAME_BYTE))})

    def elaborate(self, platform):
        m = Module()
        pending = Signal(data.StructLayout({"error": 1, "status": 1, "echo": 1, "loaded": 1}))
        fault = Signal(Fault)
        refused = Signal(8)
        asked = Signal(8)
        kind = Signal(Kind)
        number = Signal(8)
        byte = Signal(8)
        numbered = Signal()
        last = Signal()
        neuron = Signal(index_shape(self._format.n_output))
        place = Signal(range(max(self._format.neuron_bytes,
                                 len(self._constants) + self._variables) + 1))
        counted = Signal.like(self.counter_place)
        word = self._results(m, number, neuron)

        m.d.comb += [self.frame.payload.data.eq(byte), self.frame.payload.last.eq(last)]
        with m.FSM():
            with m.State("CHOOSE"):
                m.d.comb += self.idle.eq(~pending.as_value().any() & (self.answered == self.done))
                # Of the counters, too: an answer that a flipped bit cut was perhaps among them.
                m.d.sync += [numbered.eq(0), last.eq(0), neuron.eq(0), place.eq(0), counted.eq(0)]
                m.next = "OFFER"
                self._choose(m, pending, refused, asked, kind, number, byte)
            with m.State("OFFER"):
                m.d.comb += self.frame.valid.eq(1)
                with m.If(self.frame.ready):
                    m.next = "READ"
                    with m.If(last):
                        m.next = "CHOOSE"
            with m.State("READ"):
                m.next = "FETCH"
            with m.State("FETCH"):
                m.next = "OFFER"
                m.d.sync += numbered.eq(1)
                with m.If(~numbered):
                    m.d.sync += [byte.eq(number), last.eq(kind == Kind.LOADED)]
                with m.Else():
                    self._content(m, kind, fault, word, neuron, place, counted, byte, last)

        # After the FSM, as to be told something is stronger than to have said it.
        with m.If(self.tell_error):
            m.d.sync += [pending.error.eq(1), fault.eq(self.fault), refused.eq(self.number)]
        with m.If(self.tell_status | self.tell_echo):
            m.d.sync += asked.eq(self.number)
        with m.If(self.tell_status):
            m.d.sync += pending.status.eq(1)
        with m.If(self.tell_echo):
            m.d.sync += pending.echo.eq(1)
        with m.If(self.tell_loaded | self.loaded):
            m.d.sync += pending.loaded.eq(1)
        with m.If(self.loaded):
            m.d.sync += self.answered.eq(self.answered + 1)
        with m.If(self.again):
            m.d.sync += self.answered.eq(self.number)
        return m

    def _choose(self, m: Module, pending: data.View, refused: Value, asked: Value, kind: Value,
                number: Value, byte: Value):
        """Begin the next answer, if there is one."""
        with m.If(pending.error):
            m.d.sync += [kind.eq(Kind.ERROR), byte.eq(Answer.ERROR), number.eq(refused),
                         pending.error.eq(0)]
        with m.Elif(pending.status):
            m.d.sync += [kind.eq(Kind.STATUS), byte.eq(Answer.STATUS), number.eq(asked),
                         pending.status.eq(0)]
        with m.Elif(pending.echo):
            m.d.sync += [kind.eq(Kind.ECHO), byte.eq(Answer.ECHO), number.eq(asked),
                         pending.echo.eq(0)]
        with m.Elif(pending.loaded):
            m.d.sync += [kind.eq(Kind.LOADED), byte.eq(Answer.LOADED), number.eq(self.answered - 1),
                         pending.loaded.eq(0)]
        with m.Elif(self.answered != self.done):
            m.d.sync += [kind.eq(Kind.RESULT), byte.eq(Answer.RESULT),
                         number.eq(self.answered), self.answered.eq(self.answered + 1)]
        with m.Else():
            m.next = "CHOOSE"

    def _results(self, m: Module, number: Value, neuron: Value) -> Value:
        """Write results down, and read the word of a neuron of an image."""
        format, payload = self._format, self.results.payload
        neurons, slots = ceil_log2(format.n_output), ceil_log2(format.slots)
        m.submodules.words = words = memory.Memory(
            shape=8 * format.neuron_bytes, depth=format.slots << neurons, init=[],
            attrs=NO_COLLISIONS)
        write = words.write_port()
        read = words.read_port()
        m.d.comb += [self.results.ready.eq(1), write.en.eq(self.results.valid),
                     write.addr.eq(Cat(payload.neuron[:neurons], self.done[:slots])),
                     write.data.eq(Cat(payload.count, payload.current, payload.predicted)),
                     read.addr.eq(Cat(neuron[:neurons], number[:slots]))]
        with m.If((self.results.valid & payload.last) | self.loaded):
            m.d.sync += self.done.eq(self.done + 1)
        return read.data

    def _content(self, m: Module, kind: Value, fault: Value, word: Value, neuron: Value,
                 place: Value, counted: Value, byte: Value, last: Value):
        """Fetch a byte of what comes after the header."""
        size = self._format.neuron_bytes
        variables = [self.variables.word_select(index, 8) for index in range(self._variables)]
        head = [*(Const(value, 8) for value in self._constants), *variables]
        m.d.sync += place.eq(place + 1)
        with m.Switch(kind):
            with m.Case(Kind.STATUS):
                with m.If(place < len(head)):
                    m.d.sync += byte.eq(chosen(head, place))
                with m.Else():
                    m.d.sync += [byte.eq(self.counter_byte), place.eq(place)]
                    with m.If(self.counter_place != counted):
                        m.next = "FETCH"
                    with m.Else():
                        m.d.sync += [counted.eq(counted + 1),
                                     last.eq(counted == sum(COUNTERS.values()) - 1)]
            with m.Case(Kind.ECHO):
                m.d.comb += self.echo.ready.eq(1)
                m.d.sync += [byte.eq(self.echo.payload), last.eq(self.echo_last)]
                with m.If(~self.echo.valid):
                    m.next = "FETCH"
            with m.Case(Kind.RESULT):
                m.d.sync += byte.eq(word.word_select(place[:ceil_log2(size)], 8))
                with m.If(place == size - 1):
                    m.d.sync += [place.eq(0), neuron.eq(neuron + 1),
                                 last.eq(neuron == self._format.n_output - 1)]
            with m.Default():       # ERROR; or no kind at all, by a flipped bit: it ends as well
                m.d.sync += [byte.eq(fault), last.eq(1)]
        return m
