"""The board's side of the link to a host: commands in, answers out, images and results between."""

from amaranth import *
from amaranth.lib import data, enum, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from ..protocol import (
    CORRUPTED,
    COUNTERS,
    CRC_BYTES,
    LOAD_HEADER_BYTES,
    VARIABLES,
    Command,
    Fault,
    LinkFormat,
)
from .answers import Answers
from .contents import ImageReader, LoadReader
from .counters import Counters
from .frame_buffer import FrameBuffer
from .framing import FrameReceiver, FrameTransmitter
from .layouts import result
from .uart import RECEIVED

DRAIN_IMAGES = 16
"""Of so many images one waits until all before it have left the accelerator, so that whatever has
gone wrong in there is noticed or over."""


class Use(enum.Enum, shape=2):
    """Who takes what the buffer holds."""

    IMAGES = 0
    LOAD = 1
    ECHO = 2


class Link(wiring.Component):
    """Executes the commands of ``docs/link.md``: only those of whole frames, and each of them once.

    A frame is written ahead into a buffer while it comes in, and is kept or given up at its end.
    The accelerator takes images from there, so the next one may come in meanwhile. Results wait in
    a memory for their turn on the line, and are sent again if the host sends the command again.

    Throughput: a byte of a command in 8 cycles, a byte of an answer in 11, or as the line is. A
    byte of an image goes to the accelerator in a cycle, a result is taken in one, a word to load
    is sent in two. Latency: an image's first byte leaves the buffer 3 cycles after the flag that
    ends its frame.

    Parameters
    ----------
    format : LinkFormat
        Sizes of what comes and goes.
    constants : bytes
        What the board says of itself: `protocol.CONSTANTS`.
    parameters : int
        CRC of the parameters that are built in.
    load : StructLayout of ``address`` and 16 bits of ``data``, optional
        What parameters are loaded with; by default they can't be.
    input_width, hidden_width : int
        Bits of ``input_events`` and ``hidden_events``.
    parity : bool
        Rows of weights have parity.

    Members
    -------
    received : In, stream of `uart.RECEIVED`
        From the line.
    sent : Out, stream of 8 bits
        To the line.
    transfers : Out, stream
        Images, for the accelerator.
    results : In, stream of `layouts.result`
        Always taken.
    load : Out, stream
        Words to load; only where they can be.
    input_events, hidden_events : In
        Events that the first layer, and those after it, take in this cycle. They are counted.
    restarted : In
        The board was restarted just now: tell the host.
    restarts : In
        How often it was, modulo 256.
    corrupted_layer, corrupted_row : In
        With ``parity``: those of `Accelerator`.
    busy : Out
        A command is not answered yet. A cycle late.
    still : Out
        There is nothing for the accelerator, nor in it. A cycle late.
    computes : Out
        An image is wholly in the accelerator, and not all of its results are out.
    wrong : Out
        What the link keeps of its images contradicts itself: nothing is there, but not all images
        are done that were accepted; there are results, but no image that they could be of; or,
        before an image, what the buffer holds is not the images that have not gone in, which is
        told a cycle late.
    """

    def __init__(self, format: LinkFormat, constants: bytes, parameters: int = 0,
                 load: data.StructLayout | None = None, input_width: int = 1,
                 hidden_width: int = 1, parity: bool = False):
        self._format, self._constants, self._parameters = format, constants, parameters
        self._load, self._parity = load, parity
        members = {
            "received": In(stream.Signature(RECEIVED)), "sent": Out(stream.Signature(8)),
            "transfers": Out(stream.Signature(format.beat_width * format.beats)),
            "results": In(stream.Signature(result(format.n_output, format.count_width,
                                                  format.current_width))),
            "input_events": In(input_width), "hidden_events": In(hidden_width),
            "restarted": In(1), "restarts": In(8), "busy": Out(1),
            "still": Out(1), "computes": Out(1), "wrong": Out(1)}
        if load is not None:
            members["load"] = Out(stream.Signature(load))
        if parity:
            members |= {name: In(8 * size) for name, size in CORRUPTED.items()}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = FrameReceiver()
        m.submodules.buffer = buffer = FrameBuffer(self._format.buffer_bytes)
        m.submodules.answers = answers = Answers(self._format, self._constants, self._parity)
        m.submodules.transmitter = transmitter = FrameTransmitter()
        m.submodules.images = images = ImageReader(self._format)
        wiring.connect(m, wiring.flipped(self.received), receiver.bytes)
        wiring.connect(m, answers.frame, transmitter.frame)
        wiring.connect(m, transmitter.bytes, wiring.flipped(self.sent))
        wiring.connect(m, images.transfers, wiring.flipped(self.transfers))
        wiring.connect(m, wiring.flipped(self.results), answers.results)

        following = Signal(8)       # number of the next command that is executed
        use = Signal(Use)
        kept = Signal()             # an image is
        refused = self._commands(m, receiver, buffer, answers, following, use, kept)
        parameters = Const(self._parameters, 32)
        readers = {Use.IMAGES: images.bytes, Use.ECHO: answers.echo}
        if self._load is not None:
            m.submodules.words = words = LoadReader(self._load)
            wiring.connect(m, words.load, wiring.flipped(self.load))
            parameters, readers[Use.LOAD] = words.parameters, words.bytes
            m.d.comb += words.restart.eq(use != Use.LOAD)
        for reader in readers.values():
            m.d.comb += reader.payload.eq(buffer.bytes.payload)
        m.d.comb += answers.echo_last.eq(buffer.last)
        holds = Signal()
        with m.Switch(use):
            for user, reader in readers.items():
                waits = holds if user == Use.IMAGES else 0
                with m.Case(user):
                    m.d.comb += [reader.valid.eq(buffer.bytes.valid & ~waits),
                                 buffer.bytes.ready.eq(reader.ready & ~waits)]

        finished = Signal()
        m.d.comb += [finished.eq(buffer.empty & (use != Use.IMAGES)),
                     answers.loaded.eq(finished & (use == Use.LOAD))]
        with m.If(finished):
            m.d.sync += use.eq(Use.IMAGES)
        variables = {"parameters": parameters, "next": following, "done": answers.done,
                     "restarts": self.restarts}
        told = [variables[name] for name in VARIABLES]
        if self._parity:
            told += [getattr(self, name) for name in CORRUPTED]
        m.d.comb += answers.variables.eq(Cat(told))
        entered = Signal(8)         # number of the first image that has not all gone in
        still = Signal()
        owed = Signal.like(buffer.waiting)      # bytes of the images that have not all gone in
        astray = Signal()
        m.d.comb += [self.computes.eq(entered != answers.done),
                     still.eq(buffer.empty & ~images.begun & (use == Use.IMAGES) & ~self.computes),
                     holds.eq((entered[:ceil_log2(DRAIN_IMAGES)] == 0) & ~images.begun
                              & self.computes),
                     self.wrong.eq((still & (following != answers.done)) | astray
                                   | (self.results.valid & ~self.computes))]
        size = self._format.image_bytes
        m.d.sync += astray.eq((buffer.waiting != owed) & ~images.begun & (use == Use.IMAGES))
        with m.If(kept ^ images.image_end):
            m.d.sync += owed.eq(owed + Mux(kept, size, -size))
        m.d.sync += [entered.eq(entered + (images.image_end | answers.loaded)),
                     self.still.eq(still), self.busy.eq(~still | ~answers.idle)]
        self._count(m, answers, refused)
        return m

    def _commands(self, m: Module, receiver: FrameReceiver, buffer: FrameBuffer,
                  answers: Answers, following: Value, use: Value, kept: Value) -> Value:
        """Take frames in, and execute or refuse each at its end; returns whether it is refused."""
        kind = Signal(8)
        number = Signal(8)
        header = Signal(2, init=0b01)
        ends = Signal()
        good = Signal()
        refused = Signal()
        m.d.comb += [buffer.data.eq(receiver.data), buffer.end.eq(ends),
                     buffer.write.eq(receiver.write & (header == 0)),
                     answers.number.eq(number), answers.tell_error.eq(refused)]
        m.d.sync += [ends.eq(receiver.end),
                     good.eq(receiver.good & (buffer.length >= CRC_BYTES))]
        with m.If(receiver.end):
            m.d.sync += header.eq(0b01)
        with m.Elif(receiver.write):
            m.d.sync += header.eq(header << 1)
            with m.If(header[0]):
                m.d.sync += kind.eq(receiver.data)
            with m.If(header[1]):
                m.d.sync += number.eq(receiver.data)

        retained = Signal(range(self._format.slots + 1))
        known = self._conditions(m, buffer, answers, number, following, use, retained)
        with m.If(ends & ~good):
            m.d.comb += [refused.eq(1), answers.fault.eq(Fault.BROKEN)]
        with m.Elif(ends):
            self._execute(m, kind, known, retained, buffer, answers, following, use, kept,
                          refused)
        with m.If(self.restarted):      # no frame ends so soon
            m.d.comb += [refused.eq(1), answers.fault.eq(Fault.RESTART)]
        return refused

    def _conditions(self, m: Module, buffer: FrameBuffer, answers: Answers, number: Value,
                    following: Value, use: Value, retained: Value) -> data.View:
        """What the execution of a command depends on, known a cycle before.

        ``is_retry``: it was executed, and its result is there or will be. ``is_due``: its result is
        not sent yet.
        """
        image, load = self._format.image_bytes + CRC_BYTES, LOAD_HEADER_BYTES + CRC_BYTES
        before = Signal(8)
        idle = Signal()
        known = Signal(data.StructLayout(dict.fromkeys(
            ("is_next", "is_last", "is_retry", "is_due", "is_free", "is_idle", "is_empty",
             "is_image", "is_load"), 1)))
        m.d.comb += [before.eq(following - number),
                     idle.eq((following == answers.answered) & buffer.empty)]
        m.d.sync += [
            known.is_next.eq(before == 0), known.is_last.eq(before == 1),
            known.is_retry.eq((before != 0) & (before <= retained)),
            known.is_due.eq((answers.answered - number)[7]), known.is_free.eq(use == Use.IMAGES),
            known.is_idle.eq(idle & (use == Use.IMAGES)),
            known.is_empty.eq(buffer.length == CRC_BYTES),
            known.is_image.eq(buffer.length == image),
            known.is_load.eq((buffer.length > load) & ~buffer.length[0])]
        return known

    def _execute(self, m: Module, kind: Value, known: data.View, retained: Value,
                 buffer: FrameBuffer, answers: Answers, following: Value, use: Value,
                 kept: Value, refused: Value):
        """Execute the command of a whole frame, or answer it again, or refuse it."""
        loaded = Signal()       # the command before the next one was a LOAD

        def refuse(condition: Value, why: Fault):
            with m.Elif(condition):
                m.d.comb += [refused.eq(1), answers.fault.eq(why)]

        with m.Switch(kind):
            with m.Case(Command.STATUS):
                with m.If(known.is_empty):
                    m.d.comb += answers.tell_status.eq(1)
                refuse(1, Fault.LENGTH)
            with m.Case(Command.ECHO):
                with m.If(known.is_idle & ~known.is_empty & ~buffer.overflow):
                    m.d.comb += [buffer.keep.eq(1), answers.tell_echo.eq(1)]
                    m.d.sync += use.eq(Use.ECHO)
                refuse(known.is_empty, Fault.LENGTH)
                refuse(1, Fault.BUSY)
            with m.Case(Command.RUN):
                with m.If(known.is_retry):
                    m.d.comb += answers.again.eq(~known.is_due)
                refuse(~known.is_next, Fault.ORDER)
                refuse(buffer.overflow | ~known.is_free, Fault.BUSY)
                refuse(~known.is_image, Fault.LENGTH)
                with m.Else():
                    m.d.comb += [buffer.keep.eq(1), kept.eq(1)]
                    m.d.sync += [following.eq(following + 1), loaded.eq(0)]
                    with m.If(retained != self._format.slots):
                        m.d.sync += retained.eq(retained + 1)
            if self._load is not None:
                with m.Case(Command.LOAD):
                    with m.If(known.is_last & loaded):
                        m.d.comb += answers.tell_loaded.eq(known.is_free)
                    refuse(~known.is_next, Fault.ORDER)
                    refuse(buffer.overflow | ~known.is_idle, Fault.BUSY)
                    refuse(~known.is_load, Fault.LENGTH)
                    with m.Else():
                        m.d.comb += buffer.keep.eq(1)
                        m.d.sync += [following.eq(following + 1), use.eq(Use.LOAD), loaded.eq(1),
                                     retained.eq(0)]
            with m.Default():
                m.d.comb += [refused.eq(1), answers.fault.eq(Fault.UNKNOWN)]

    def _count(self, m: Module, answers: Answers, refused: Value):
        """Count what happens, and show it to a status."""
        amounts = {"faults": refused, "cycles": self.computes,
                   "input_events": self.input_events, "hidden_events": self.hidden_events}
        m.submodules.counters = counters = Counters(
            [(2**len(amounts[name]) - 1, size) for name, size in COUNTERS.items()])
        m.d.comb += [getattr(counters, f"add_{index}").eq(amounts[name])
                     for index, name in enumerate(COUNTERS)]
        m.d.comb += [answers.counter_place.eq(counters.place),
                     answers.counter_byte.eq(counters.byte)]
