"""Bench of `gateware.link`: whole commands are executed once, in order, and nothing else is.

The accelerator is the bench's: an image's results are sums of its bytes.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import cocotb
from bench_framing import frames_in

from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import HIGH, LOW, Input, Sink, Stalls, run_cycles, scalar
from sc_neurocore.protocol import (
    CRC_BYTES,
    ESCAPE,
    FLAG,
    HEADER_BYTES,
    STATUS,
    Answer,
    Command,
    Decoder,
    Fault,
    Frame,
    LinkFormat,
    enclose,
    encode,
    unpack_fields,
)

QUIET_CYC = 300
"""Cycles without a byte after which no answer is on its way any more."""

IMAGE_LATENCY = 3
"""Cycles from the flag that ends an image's frame to its first byte."""
ANSWER_BYTE_CYC = 11
"""Cycles of a byte of an answer."""
STUCK_CYC = 10_000
"""Cycles without a byte in either direction after which it is clear that none will come."""


def results(format: LinkFormat, image: bytes) -> list[int]:
    """Payloads of the results: neuron, count, current, predicted, last."""
    widths = (format.index_width, format.count_width, format.current_width, format.index_width, 1)
    words = []
    for neuron in range(format.n_output):
        values = (neuron, sum(image) + neuron, sum(image[neuron::2]) * 3, sum(image) % 3,
                  neuron == format.n_output - 1)
        words.append(sum((value & 2**width - 1) << sum(widths[:index])
                         for index, (value, width) in enumerate(zip(values, widths, strict=True))))
    return words


def answer(format: LinkFormat, image: bytes) -> bytes:
    """Content of the RESULT of an image."""
    width = format.count_width + format.current_width + format.index_width
    return b"".join((word >> format.index_width & 2**width - 1).to_bytes(format.neuron_bytes,
                                                                         "little")
                    for word in results(format, image))


class Accelerator:
    """Takes images, and some time for each; then sends all results, one a cycle."""

    def __init__(self, design: Any, format: LinkFormat, stall: float, delay: int):
        self._format, self._delay = format, delay
        self.sink = Sink(design, "transfers", stall)
        self._valid, self._result = Input(design.results__valid), design.results__payload
        self._ready, self._wrong = scalar(design.results__ready), scalar(design.wrong)
        self.images: list[bytes] = []
        self._due: list[tuple[int, int]] = []
        self._cycle = self._ready_at = 0
        self.busy_cycles = 0

    @property
    def idle(self) -> bool:
        return not self._due and len(self.sink.items) % self._format.transfers == 0

    def drive(self) -> None:
        self.sink.drive()
        offers = bool(self._due) and self._due[0][0] <= self._cycle
        self._valid.set(offers)
        self.busy_cycles += bool(self._due)
        if offers:
            self._result.value = self._due.pop(0)[1]

    def sample(self, cycle: int) -> None:
        self._cycle = cycle
        before = len(self.sink.items)
        self.sink.sample(cycle)
        assert self._ready.value == HIGH
        assert self._wrong.value == LOW, f"cycle {cycle}"
        size = self._format.transfers
        if len(self.sink.items) > before and len(self.sink.items) % size == 0:
            image = b"".join(item.to_bytes(self._format.transfer_bytes, "little")
                             for item in self.sink.items[-size:])
            self.images.append(image)
            self._ready_at = max(cycle, self._ready_at) + 1 + random.randrange(self._delay + 1)
            for index, word in enumerate(results(self._format, image)):
                self._due.append((self._ready_at + index, word))
            self._ready_at += self._format.n_output


class Reader:
    """Reads what was loaded into a memory, a word a cycle."""

    def __init__(self, design: Any):
        self._design, self._asked = design, 0
        self.words: list[int] = []

    def drive(self) -> None:
        self._design.received__valid.value = 0
        self._design.read_address.value = self._asked
        self._asked = (self._asked + 1) % 2 ** job()["address_width"]

    def sample(self, cycle: int) -> None:
        if cycle:
            self.words.append(int(self._design.read_data.value))


class Host:
    """Follows a script, which feeds bytes and yields what it waits for."""

    def __init__(self, design: Any, script: Callable[["Host"], Iterator[Callable[[], bool]]],
                 accelerator: Accelerator, stall: float):
        self._valid, self._byte = Input(design.received__valid), Input(design.received__payload)
        self._ready, self._stalls = scalar(design.received__ready), Stalls(stall)
        self._sending, self._busy = scalar(design.sent__valid), scalar(design.busy)
        self._sink, self._accelerator = Sink(design, "sent", stall), accelerator
        self._queue: list[int] = []
        self._offered = False
        self._decoder = Decoder()
        self._seen = self._quiet = self._still = 0
        self.answers: list[Frame | None] = []
        self.cycle = 0
        self.fed: list[int] = []        # cycles of the bytes
        self.line: list[int] = []       # that went over the line
        self.done = False
        self._script = script(self)
        self._until: Callable[[], bool] = lambda: True

    def feed(self, line: Any) -> None:
        """Send bytes; bit 8 says that one has an error."""
        self._queue += line

    def quiet(self) -> bool:
        """Whether all is said and done."""
        return not self._queue and self._quiet >= QUIET_CYC and self._accelerator.idle

    def take(self) -> list[Frame | None]:
        """Answers since the last time."""
        taken, self.answers = self.answers, []
        return taken

    def drive(self) -> None:
        if not self.done and self._until():
            try:
                self._until = next(self._script)
            except StopIteration:
                self.done = True
        self._sink.drive()
        if not self._offered and self._queue and not self._stalls.pauses():
            self._offered = True
        self._valid.set(self._offered)
        if self._offered:
            self._byte.set(self._queue[0])

    def sample(self, cycle: int) -> None:
        self.cycle = cycle
        if self._offered and self._ready.value == HIGH:
            self.line.append(self._queue.pop(0))
            self._offered = False
            self.fed.append(cycle)
            self._quiet = 0
        self._sink.sample(cycle)
        fresh = bytes(self._sink.items[self._seen:])
        self._seen += len(fresh)
        self.answers += self._decoder.feed(fresh)
        busy = fresh or self._sending.value == HIGH or self._busy.value == HIGH
        self._quiet = 0 if busy else self._quiet + 1
        self._still = 0 if fresh or self.fed[-1:] == [cycle] else self._still + 1
        assert self._still < STUCK_CYC, f"cycle {cycle}: nothing happens any more"


@dataclass
class Model:
    """What a board that does nothing but execute commands would do."""

    format: LinkFormat
    loads: bool
    following: int = 0
    faults: int = 0
    parameters: int | None = None       # a reset leaves what was loaded before it
    loaded_last: bool = False
    executed: list[tuple[int, bytes]] = field(default_factory=list)
    images: list[bytes] = field(default_factory=list)
    memory: dict[int, int] = field(default_factory=dict)

    def take(self, content: bytes, whole: bool) -> list[Frame]:
        """Answers to a frame, to a board that was idle."""
        whole = whole and len(content) >= HEADER_BYTES + CRC_BYTES
        fault = self._execute(content[:-CRC_BYTES]) if whole else Fault.BROKEN
        if isinstance(fault, Fault):
            self.faults = (self.faults + 1) % 256
            return [Frame(Answer.ERROR, content[1] if whole else -1, bytes([fault]))]
        return fault

    def _execute(self, frame: bytes) -> Fault | list[Frame]:
        kind, number, content = *frame[:HEADER_BYTES], frame[HEADER_BYTES:]
        size = len(content)
        overflows = size + CRC_BYTES > self.format.buffer_bytes
        retried = [index for index, (executed, _) in enumerate(self.executed)
                   if executed == number]
        if kind == Command.STATUS:
            return Fault.LENGTH if size else [Frame(Answer.STATUS, number)]
        if kind == Command.ECHO:
            if not size:
                return Fault.LENGTH
            return Fault.BUSY if overflows else [Frame(Answer.ECHO, number, content)]
        if kind == Command.RUN:
            if retried and number != self.following:
                return [Frame(Answer.RESULT, executed, answer(self.format, image))
                        for executed, image in self.executed[retried[-1]:]]
            if number != self.following:
                return Fault.ORDER
            if overflows:
                return Fault.BUSY
            if size != self.format.image_bytes:
                return Fault.LENGTH
            self.executed = [*self.executed, (number, content)][-self.format.slots:]
            self.images.append(content)
            self.loaded_last = False
            self.following = (number + 1) % 256
            return [Frame(Answer.RESULT, number, answer(self.format, content))]
        if kind == Command.LOAD and self.loads:
            if self.loaded_last and number == (self.following - 1) % 256:
                return [Frame(Answer.LOADED, number)]
            if number != self.following:
                return Fault.ORDER
            if overflows:
                return Fault.BUSY
            if size % 2 or size <= 8:
                return Fault.LENGTH
            self.parameters = int.from_bytes(content[:4], "little")
            begin = int.from_bytes(content[4:8], "little")
            for index in range(8, size, 2):
                place = (begin + (index - 8) // 2) % 2**job()["address_width"]
                self.memory[place] = int.from_bytes(content[index:index + 2], "little")
            self.loaded_last, self.executed = True, []
            self.following = (number + 1) % 256
            return [Frame(Answer.LOADED, number)]
        return Fault.UNKNOWN


def some_bytes(size: int) -> bytes:
    return bytes(random.choice([FLAG, ESCAPE, random.randrange(256)]) for _ in range(size))


def command(model: Model) -> Frame:
    """A frame at random, right or wrong."""
    image, longest = model.format.image_bytes, model.format.buffer_bytes
    number = (model.following + random.choice([0] * 8 + [1, -1, -1, -2, -5, -16, -17, 100])) % 256
    kind = random.choice([*Command, Command.RUN, Command.RUN, Command.LOAD, ord("r"), 0])
    size = {Command.STATUS: 0, Command.RUN: image, Command.ECHO: random.randrange(1, 40),
            Command.LOAD: 8 + 2 * random.randrange(1, 20)}.get(kind, 3)
    if random.random() < 0.15:
        size = random.choice([0, 1, size + 1, max(size - 1, 0), 8, longest - CRC_BYTES,
                              longest - CRC_BYTES + 1, longest + 88])
    return Frame(kind, number, some_bytes(size))


def edges(model: Model) -> list[tuple[Command, int]]:
    """Commands of lengths that are just right, and just wrong; of −1 there is no number."""
    image, longest = model.format.image_bytes, model.format.buffer_bytes - CRC_BYTES
    sizes = {Command.STATUS: (-1, 0, 1),
             Command.RUN: (-1, 0, image - 1, image, image + 1, longest + 1),
             Command.ECHO: (-1, 0, 1, longest, longest + 1, longest + CRC_BYTES + 1),
             Command.LOAD: (-1, 0, 7, 8, 9, 10, 11, 12, longest, longest + 2)}
    # A status after each, which must have kept the parameters' CRC or must have the new one.
    return [command for kind, some in sizes.items() for size in some
            for command in ((Command.STATUS, 0), (kind, size))]


def damaged(line: list[int]) -> list[int]:
    """A line with a fault."""
    place = random.randrange(1, len(line) - 1)
    fault = random.randrange(6)
    if fault == 0:
        line[place] ^= 1 << random.randrange(8)
    elif fault == 1:
        line[place] |= 0x100
    elif fault == 2:
        del line[place]
    elif fault == 3:
        del line[place:]                    # cut; the next frame's flag ends it
    elif fault == 4:
        line[place:place] = some_bytes(3)
    else:
        line += some_bytes(7)               # garbage between frames
    return line


def one_by_one(host: Host, model: Model, count: int) -> Iterator[Callable[[], bool]]:
    """Commands at random, half of them damaged, each when the one before is done with."""
    line: list[int] = []
    directed = edges(model)
    for _ in range(count):
        if directed:
            kind, size = directed.pop()
            alike = {10: bytes(10), 12: b"\xff" * 12}      # each bit of a CRC is 0 and 1
            content = alike.get(size, some_bytes(max(size, 0)))
            line = list(enclose((bytes([kind, model.following]) + content)[:HEADER_BYTES + size]))
        elif random.random() < 0.9:         # or else the one before once more
            line = list(encode(command(model)))
            line = [FLAG, *(damaged(line) if random.random() < 0.5 else line), FLAG]
        host.feed(line)
        yield host.quiet
        errors, want = [], []
        for content, whole in frames_in(line):
            for frame in model.take(bytes(content), whole):
                (errors if frame.kind == Answer.ERROR else want).append(same(frame))
        got = host.take()
        assert None not in got, "broken answer"
        for frame in got:
            if frame.kind == Answer.STATUS:
                check_status(frame, model)
        told = [same(frame) for frame in got if frame.kind == Answer.ERROR]
        rest = [same(frame) for frame in got if frame.kind != Answer.ERROR]
        assert rest == want, f"{line}"
        # An error that comes before another one was told takes its place.
        assert bool(told) == bool(errors), f"{line}: {got}, not {errors}"
        assert set(told) <= set(errors), f"{line}: {told}, not {errors}"
    yield from check_counters(host, model)


def check_counters(host: Host, model: Model) -> Iterator[Callable[[], bool]]:
    """What a status says of what happened since the reset."""
    host.feed(encode(Frame(Command.STATUS, 7)))
    yield host.quiet
    status, = host.take()
    told = check_status(status, model)
    assert (told["next"], told["done"], told["faults"]) == (
        model.following, model.following, model.faults)
    assert told["cycles"] == host._accelerator.busy_cycles


def check_status(status: Frame, model: Model) -> dict[str, int]:
    """What it says of what the board is, and what it has been loaded with."""
    told = unpack_fields(STATUS, status.content)
    assert status.content[:len(job()["constants"])] == bytes(job()["constants"])
    parameters = model.parameters if model.loads else job()["parameters"]
    assert parameters in (None, told["parameters"])
    return told


def same(frame: Frame) -> tuple[int, int, bytes]:
    """What must be the same of an answer: a status has contents of its own, and the number of what
    is broken may be anything."""
    broken = frame.kind == Answer.ERROR and frame.content == bytes([Fault.BROKEN])
    return (frame.kind, -1 if broken else frame.number,
            b"" if frame.kind == Answer.STATUS else frame.content)


def in_a_row(host: Host, model: Model, count: int) -> Iterator[Callable[[], bool]]:
    """Images in the window, without waiting for each other."""
    images = [some_bytes(model.format.image_bytes) for _ in range(count)]
    got: list[Frame] = []

    def arrived(number: int) -> Callable[[], bool]:
        def look() -> bool:
            got.extend(host.take())
            return len(got) >= number
        return look

    for index, image in enumerate(images):
        yield arrived(index - model.format.window(2) + 1)
        host.feed(encode(Frame(Command.RUN, index % 256, image)))
        model.take(bytes([Command.RUN, index % 256]) + image + bytes(4), True)
    yield arrived(count)
    assert got == [Frame(Answer.RESULT, index % 256, answer(model.format, image))
                   for index, image in enumerate(images)]


def in_a_row_and_counted(host: Host, model: Model, count: int) -> Iterator[Callable[[], bool]]:
    """Images in the window, and a status after them."""
    yield from in_a_row(host, model, count)
    yield from check_counters(host, model)


def overfull(host: Host, model: Model) -> Iterator[Callable[[], bool]]:
    """More images than there is room for: those are refused, and go in later."""
    accelerator = host._accelerator
    size = model.format.image_bytes
    fits = (model.format.buffer_bytes - CRC_BYTES) // size
    images = [some_bytes(size) for _ in range(fits + 3)]
    accelerator.sink.blocked = True
    for index, image in enumerate(images):
        host.feed(encode(Frame(Command.RUN, index, image)))
    host.feed(encode(Frame(Command.ECHO, 9, b"not now")))
    host.feed(encode(Frame(Command.STATUS, 9)))
    yield lambda: not host._queue and any(
        frame and frame.kind == Answer.STATUS for frame in host.answers)
    *errors, status = host.take()
    told = unpack_fields(STATUS, status.content)
    accepted = told["next"]
    assert fits <= accepted <= fits + 1         # a byte and more has left the ring
    assert told["faults"] == len(images) - accepted + 1
    assert {frame.content for frame in errors} <= {bytes([Fault.BUSY]), bytes([Fault.ORDER])}
    accelerator.sink.blocked = False
    yield host.quiet
    assert [frame.number for frame in host.take()] == list(range(accepted))
    for index in range(accepted, len(images)):
        host.feed(encode(Frame(Command.RUN, index, images[index])))
    yield host.quiet
    assert [frame.number for frame in host.take()] == list(range(accepted, len(images)))
    for image in images:
        model.images.append(image)


def impatient(host: Host, model: Model) -> Iterator[Callable[[], bool]]:
    """Images that are sent again before they are done: they are answered once, and in order."""
    accelerator = host._accelerator
    images = [some_bytes(model.format.image_bytes) for _ in range(5)]
    frames = [encode(Frame(Command.RUN, index, image)) for index, image in enumerate(images)]
    accelerator.sink.blocked = True
    for index in (0, 1, 2, 3, 4, 3, 1, 4):
        host.feed(frames[index])
    yield lambda: not host._queue
    accelerator.sink.blocked = False
    yield host.quiet
    want = [Frame(Answer.RESULT, index, answer(model.format, image))
            for index, image in enumerate(images)]
    assert host.take() == want
    model.images.extend(images)


def during_an_echo(host: Host, model: Model) -> Iterator[Callable[[], bool]]:
    """An image while an echo is on its way out is refused, and goes in later."""
    image, content = some_bytes(model.format.image_bytes), some_bytes(300)
    run = encode(Frame(Command.RUN, 0, image))
    host.feed(encode(Frame(Command.ECHO, 9, content)) + run)
    yield host.quiet
    refused, echo = sorted(host.take(), key=lambda frame: frame.number)
    assert refused == Frame(Answer.ERROR, 0, bytes([Fault.BUSY]))
    assert echo == Frame(Answer.ECHO, 9, content)
    host.feed(run)
    yield host.quiet
    assert host.take() == [Frame(Answer.RESULT, 0, answer(model.format, image))]
    model.images.append(image)


async def play(design: Any, script: Callable[..., Iterator[Callable[[], bool]]], stall: float,
               delay: int, *parameters: Any) -> tuple[Host, Model]:
    format = LinkFormat(**job()["format"])
    model = Model(format, job()["address_width"] > 0)
    accelerator = Accelerator(design, format, stall, delay)
    host = Host(design, lambda host: script(host, model, *parameters), accelerator, stall)
    await run_cycles(design, [accelerator, host], lambda: host.done, 1_000_000, linger=50)
    assert accelerator.images == model.images, "each image once, and no other"
    return host, model


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.2])
async def commands_are_executed_once(design: Any, stall: float) -> None:
    _, model = await play(design, one_by_one, stall, 50, job()["count"])
    assert len(model.images) > job()["count"] // 50
    if model.loads:
        assert len(model.memory) > 20
        reader = Reader(design)
        await run_cycles(design, [reader], lambda: len(reader.words) == 2 ** job()["address_width"],
                         limit=1000)
        # A reset leaves in a memory what was in it before.
        assert {address: reader.words[address] for address in model.memory} == model.memory


@cocotb.test()
@cocotb.parametrize((("stall", "delay"), [(0.0, 0), (0.0, 700), (0.2, 100)]))
async def images_follow_each_other(design: Any, stall: float, delay: int) -> None:
    script = in_a_row_and_counted if delay else in_a_row
    host, model = await play(design, script, stall, delay, 270)
    if not stall and not delay:
        flag = next(index for index, value in enumerate(host.line) if index and value == FLAG)
        latency = host._accelerator.sink.cycles[0] - host.fed[flag]
        assert latency == IMAGE_LATENCY + model.format.transfer_bytes - 1
        sent = host._sink.cycles
        gaps = {after - before for before, after in itertools.pairwise(sent)}
        assert max(gap for gap in gaps if gap < 50) == ANSWER_BYTE_CYC
        # The line never waits: a frame comes in while the image before it is under way.
        size = model.format.image_bytes
        assert (host.fed[-1] - host.fed[0]) / 270 < 1.3 * 8 * (size + 8)


@cocotb.test()
async def what_finds_no_room_is_refused(design: Any) -> None:
    await play(design, overfull, 0.0, 20)


@cocotb.test()
async def what_is_not_done_is_answered_once(design: Any) -> None:
    await play(design, impatient, 0.0, 300)


@cocotb.test()
async def an_echo_is_not_overtaken(design: Any) -> None:
    await play(design, during_an_echo, 0.0, 20)
