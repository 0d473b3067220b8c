"""Attacks on the link: on what finds frames, on the host by a board, and on a board by a host."""

import atexit
import os
import pty
import select
import sys
import threading
import tty
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from random import Random
from time import monotonic

import numpy as np

from sc_neurocore import golden, protocol
from sc_neurocore.identity import layout_hash, parameters_crc32, shape_hash
from sc_neurocore.protocol import STATUS, Answer, Command, Decoder, Frame, LinkFormat, encode
from sc_neurocore.results import differences
from sc_neurocore.spec import AcceleratorSpec

from .mutate import INTEGERS
from .target import Target

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "sim"))

SPEC = AcceleratorSpec((3, 2), 4)
TIMEOUT_S, RETRIES = 0.03, 2
DEADLINE_S = 8.0
"""What opening a board and running `IMAGES` may take by `host.open`'s own timeouts: an answer is
waited for RETRIES + 1 times, at each of the images and each time that it is asked how far it is."""


class Failed(Exception):
    """The link did what it must not do."""


# --- frames -------------------------------------------------------------------------------------

def _frame(random: Random, kinds: type[Command] | type[Answer]) -> Frame:
    kind = random.choice((*kinds, *kinds, random.randrange(256)))
    size = random.choice((0, 1, 2, 4, 12, 24, 100, random.randrange(700)))
    content = random.choice((bytes(size), random.randbytes(size), b"\x7e\x7d" * (size // 2)))
    return Frame(kind, random.randrange(256), content)


def _stream(random: Random, data: bytes) -> bytes:
    """Frames of any kind, number and length, with right checksums, some of them then damaged."""
    frames = [encode(_frame(random, Command)) for _ in range(random.randint(1, 6))]
    if random.random() < 0.02:
        frames.append(encode(Frame(1, 1, bytes(2**17 - random.randrange(20))))[:-1] + b"\1\2\3\x7e")
    return b"".join(frames if random.random() < 0.7 else [data, *frames])


def _plain(data: bytes) -> Iterator[Frame | None]:
    """Frames as ``docs/link.md`` has them, all at once."""
    for body in data.split(b"\x7e")[1:-1]:
        if not body:
            continue
        found, place, fits = bytearray(), 0, len(body) <= Decoder.LONGEST
        while place < len(body):
            if body[place] == 0x7D:
                place += 1
                fits &= place < len(body)
                found.append(body[place] ^ 0x20 if place < len(body) else 0)
            else:
                found.append(body[place])
            place += 1
        right = fits and len(found) >= 6 and (
            zlib.crc32(found[:-4]) == int.from_bytes(found[-4:], "little"))
        yield Frame(found[0], found[1], bytes(found[2:-4])) if right else None


def _decode(path: Path) -> None:
    data = path.read_bytes()
    random, decoder, place = Random(data), Decoder(), 0
    frames: list[Frame | None] = []
    while place < len(data):
        size = random.choice((1, 2, 7, 100, 4096, len(data)))
        frames += decoder.feed(data[place:place + size])
        place += size
    if frames != list(_plain(data)):
        raise Failed("frames differ from the documented ones")
    for frame in filter(None, frames):
        form = LinkFormat(random.randint(1, 16), random.randint(1, 9), random.randint(1, 9),
                          random.randint(1, 9), random.randint(1, 16), random.randint(1, 40))
        with suppress(ValueError):      # the only one that is documented
            protocol.unpack_status(frame.content)
        with suppress(ValueError):
            form.results(frame.content)


def frames() -> Target:
    """What finds frames in bytes, compared with a plain way to find them."""
    return Target("frames", "bytes", [encode(Frame(Command.STATUS, 1)) * 3], _decode, (), _stream)


# --- the host, by a board -------------------------------------------------------------------------

class HostileBoard:
    """A board that answers as it should, but for what a random number generator makes it do.

    It never sends what only a board's own results can be told from: a RESULT of the right length,
    checksum and number, with other content.
    """

    def __init__(self, choices: bytes, constants: dict[str, int], results: dict[bytes, bytes]):
        self._random, self._results = Random(choices), results
        self._status = dict.fromkeys(STATUS, 0) | constants
        self._status["next"] = self._status["done"] = self._random.randrange(256)
        self._answers: dict[int, bytes] = {}
        self._hostility = (choices[0] / 255)**2
        self._host, self._terminal = pty.openpty()
        tty.setraw(self._terminal)
        os.set_blocking(self._host, False)
        self.port = os.ttyname(self._terminal)
        self._ended = threading.Event()
        self._flood = b""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._ended.set()
        self._thread.join()
        os.close(self._host)
        os.close(self._terminal)

    def _run(self) -> None:
        decoder = Decoder()
        while not self._ended.is_set():
            if select.select([self._host], [], [], 0 if self._flood else 0.01)[0]:
                for frame in decoder.feed(os.read(self._host, 4096)):
                    if frame is not None:
                        self._answer(frame)
            if self._flood:
                self._send(self._flood)
                self._ended.wait(0.001)

    def _send(self, data: bytes) -> None:
        try:
            os.write(self._host, data)
        except BlockingIOError:     # the host doesn't take it
            return

    def _answer(self, frame: Frame) -> None:
        answer = self._honest(frame)
        if self._random.random() < self._hostility:
            answer = self._hostile(frame, answer)
        self._send(answer)

    def _honest(self, frame: Frame) -> bytes:
        if frame.kind == Command.STATUS:
            content = b"".join((self._status[name] % 256**size).to_bytes(size, "little")
                               for name, size in STATUS.items())
            return encode(Frame(Answer.STATUS, frame.number, content))
        if frame.kind == Command.RUN and frame.content in self._results:
            if frame.number == self._status["next"]:
                self._answers[frame.number] = self._results[frame.content]
                self._status["next"] = self._status["done"] = (frame.number + 1) % 256
            if frame.number in self._answers:
                return encode(Frame(Answer.RESULT, frame.number, self._answers[frame.number]))
            return encode(Frame(Answer.ERROR, frame.number, b"\3"))
        return encode(Frame(Answer.ERROR, frame.number, b"\1"))

    def _hostile(self, frame: Frame, answer: bytes) -> bytes:
        random = self._random
        kind = random.randrange(12)
        other = _frame(random, Answer)
        if other.kind in (Answer.RESULT, Answer.STATUS):
            # no image has such a number here, and no status is asked for with one
            other = Frame(Answer.RESULT, (self._status["next"] + 128) % 256, other.content)
        if kind < 3 and frame.kind == Command.STATUS:
            name = random.choice(list(STATUS))
            old, self._status[name] = self._status[name], random.choice(INTEGERS)
            changed = self._honest(frame)
            if random.random() < 0.5:
                self._status[name] = old
            return changed
        if kind == 3:
            return b""
        if kind == 4:
            return encode(Frame(random.choice(list(Answer)), frame.number, other.content[:1] * 3))
        if kind == 5:
            return answer[:random.randrange(len(answer))]
        if kind == 6:
            return random.randbytes(random.choice((1, 100, 5000)))
        if kind == 7:
            return answer * random.choice((2, 3, 20))
        if kind == 8 and random.random() < 0.3:
            self._flood = random.choice((
                encode(other), encode(Frame(Answer.ECHO, frame.number)), b"\0" * 100, b"\x7e",
                encode(Frame(Answer.ERROR, frame.number, b"\4"))))
            return b""
        if kind == 9:
            return encode(Frame(Answer.ERROR, frame.number, random.choice((
                b"", b"\0", b"\3", b"\4", b"\xff", b"\3\3"))))
        return encode(other) + (answer if random.random() < 0.5 else b"")


def host() -> Target:
    """The host's side, with a board that isn't one."""
    from common import random_network

    from sc_neurocore import host as hosts

    network = random_network((21, 7, 3), seed=4)
    images = np.random.default_rng(3).integers(0, 256, (12, 21))
    form, want = LinkFormat.of(network, SPEC.beats), golden.run(network, images)
    results = {}
    for index, image in enumerate(images):
        words = [int(want.counts[index, neuron]) | (
            int(want.currents[index, neuron]) % 2**form.current_width << form.count_width) | (
            int(want.predicted[index]) << form.count_width + form.current_width)
            for neuron in range(network.n_output)]
        results[form.image(image)] = b"".join(
            word.to_bytes(form.neuron_bytes, "little") for word in words)
    constants = {"protocol": protocol.VERSION, "shape": shape_hash(network),
                 "layout": layout_hash(SPEC), "beats": SPEC.beats,
                 "buffer_bytes": form.buffer_bytes, "window": form.window(2),
                 "count_width": form.count_width, "current_width": form.current_width,
                 "parameters": parameters_crc32(network)}

    def load(path: Path) -> None:
        board = HostileBoard(path.read_bytes(), constants, results)
        begun = monotonic()
        try:
            spec = Random(path.read_bytes()).choice((None, SPEC))
            with hosts.open(board.port, network, spec=spec, timeout=TIMEOUT_S,
                            retries=RETRIES) as opened:
                got = opened.run(images)
            if differences(got, want):
                raise Failed("results are wrong")
        finally:
            board.close()
            if monotonic() - begun > DEADLINE_S:
                raise Failed(f"it takes {monotonic() - begun:.1f} s")

    return Target("host", "choices", [bytes(8)], load, (hosts.LinkError, hosts.WrongBoardError),
                  lambda random, data: random.randbytes(8), names_file=False,
                  limit_s=2 * DEADLINE_S)


# --- a board, by a host -------------------------------------------------------------------------

def board() -> Target:
    """The gateware, pins included, under Verilator: afterwards it still has to compute."""
    import serial
    from common import CACHE, random_network

    from sc_neurocore import host as hosts
    from sc_neurocore.cosim import virtual_board

    network = random_network((21, 7, 3), seed=4)
    images = np.random.default_rng(3).integers(0, 256, (3, 21))
    want = golden.run(network, images)
    running = virtual_board.start(network, SPEC, CACHE)
    atexit.register(running.close)
    image = LinkFormat.of(network, SPEC.beats).image(images[0])
    seeds = [encode(Frame(Command.STATUS, 1)), encode(Frame(Command.RUN, 0, image)),
             encode(Frame(Command.ECHO, 7, bytes(range(256)))),
             encode(Frame(Command.LOAD, 0, bytes(12)))]

    def executed(random: Random, data: bytes) -> bytes:
        """Images under every number, so one of them is the next; and what may come in between."""
        first = random.randrange(256)
        made = [encode(Frame(Command.RUN, (first + index) % 256, image)) for index in range(256)]
        made.insert(random.randrange(256), _stream(random, data))
        return b"".join(made) if random.random() < 0.1 else _stream(random, data)

    def load(path: Path) -> None:
        # one that does not read, and leaves when the board can't get rid of its answers
        with (serial.Serial(running.port, hosts.BAUD, write_timeout=1) as port,
              suppress(serial.SerialTimeoutException)):
            port.write(path.read_bytes())
        with hosts.open(running.port, network, spec=SPEC) as opened:
            got = opened.run(images)
            if differences(got, want):
                raise Failed("results are wrong")

    return Target("board", "bytes", seeds, load, (), executed, limit_s=30.0)
