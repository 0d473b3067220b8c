"""A board at a serial port, with the golden model's API.

::

    with host.open("/dev/ttyUSB1", network) as board:
        assert not differences(board.run(images), golden.run(network, images))

The link is ``docs/link.md``'s. Whatever goes wrong on the line is noticed and repeated, or else a
`LinkError`; a result that comes back is the board's.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

import numpy as np
import numpy.typing as npt

from .extras import require
from .identity import layout_hash, parameters_crc32, shape_hash
from .network import IntegerNetwork
from .parameters import load_words
from .protocol import (
    COUNTERS,
    CRC_BYTES,
    FLAG,
    LOAD_HEADER_BYTES,
    NUMBERS,
    STATUS,
    VERSION,
    Answer,
    Command,
    Decoder,
    Fault,
    Frame,
    LinkFormat,
    encode,
    unpack_fields,
)
from .results import Result
from .spec import AcceleratorSpec

BAUD = 1_000_000
TIMEOUT_S = 1.0
RETRIES = 10
SYSTEM_BUFFER_BYTES = 4000
"""What an operating system keeps of a serial port's input, somewhat less than Linux does."""
_POLL_S = 0.02

Progress = Callable[[int, int], None]


class LinkError(OSError):
    """A board doesn't answer, or not in a way that can be understood."""


class WrongBoardError(ValueError):
    """The board is of another network, or of another version of the link."""


@dataclass
class Activity:
    """What a board did since it was opened, and what went wrong on the way.

    ``cycles``: with an image in the accelerator, from the last of its transfers to the last result.
    ``events``: spikes that layers received. ``spikes``: of all neurons. ``seconds``: in `run`.
    ``faults``: what was noticed on the line, and mended, by description.
    """

    images: int = 0
    cycles: int = 0
    events: int = 0
    spikes: int = 0
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)

    @property
    def images_per_second(self) -> float:
        """Throughput of the link and the board."""
        return self.images / self.seconds if self.seconds else 0.0


class _Line:
    """Frames over a serial port."""

    def __init__(self, port: str, baud: int, timeout: float):
        serial = require("serial", "host")
        self.name, self.timeout, self.baud = port, timeout, baud
        # Another program at the same port would take answers away.
        self._serial: Any = serial.Serial(port, baud, timeout=_POLL_S, write_timeout=10 + timeout,
                                          exclusive=True)
        self._serial.reset_input_buffer()
        self._decoder = Decoder()
        self._frames: list[Frame | None] = []
        self._serial.write(bytes([FLAG]))       # ends what another one may have begun

    def send(self, frame: Frame) -> None:
        self._serial.write(encode(frame))

    def receive(self, deadline: float) -> Frame | None:
        """The next frame, or None if it is broken.

        Raises
        ------
        TimeoutError
            If there is none at the deadline.
        """
        while not self._frames:
            self._frames.extend(self._decoder.feed(
                self._serial.read(max(1, self._serial.in_waiting))))
            if not self._frames and monotonic() > deadline:
                raise TimeoutError
        return self._frames.pop(0)

    def close(self) -> None:
        self._serial.close()


class Board:
    """A board that runs a network; made by `open`, and a context manager that closes its port.

    Attributes
    ----------
    network : IntegerNetwork
    status : dict of int
        What the board said of itself when it was last asked: `protocol.STATUS`.
    activity : Activity
        What it did since it was opened.
    """

    def __init__(self, line: _Line, network: IntegerNetwork, spec: AcceleratorSpec | None,
                 retries: int):
        self.network, self.activity = network, Activity()
        self._line, self._retries = line, retries
        self._tag = random.randrange(NUMBERS)   # another one than that of a session before
        self._hashes = {"shape": shape_hash(network), "parameters": parameters_crc32(network),
                        "layout": None if spec is None else layout_hash(spec)}
        self._ask_status()
        self._settle()
        self._counted = {name: self.status[name] for name in COUNTERS}

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the port."""
        self._line.close()

    @property
    def format(self) -> LinkFormat:
        """Sizes of images and results."""
        return LinkFormat.of(self.network, self.status["beats"], self.status["count_width"],
                             self.status["current_width"])

    def run(self, inputs: npt.ArrayLike, progress: Progress | None = None) -> Result:
        """Run images on the board; as `golden.run`.

        Parameters
        ----------
        inputs : (n_input,) or (batch, …) integers in [0, 2^intensity_width − 1]
            Intensities, see `IntegerNetwork.intensities`; with the encoder events spikes,
            (timesteps, n_input) or (batch, timesteps, n_input).
        progress : callable, optional
            Called with the number of images done and of all images after each.

        Returns
        -------
        Result
            Its arrays have a batch axis if ``inputs`` has one.

        Raises
        ------
        LinkError
            If the board does not answer, however often it is asked.
        TypeError, ValueError
            If the inputs do not fit the network.
        """
        images, is_batch = self.network.check_batch(inputs)
        begun = monotonic()
        stream = _Stream(self, images, progress)
        stream.run()
        self.activity.images += len(images)
        self.activity.seconds += monotonic() - begun
        self.activity.spikes += int(stream.counts.sum())
        self.refresh()
        output = self.network.neurons(len(self.network.layers) - 1)
        membranes = stream.currents - output.thresholds * stream.counts + output.initial_membranes
        arrays = (stream.counts, membranes, stream.currents, stream.predicted)
        return Result(*(array if is_batch else array[0] for array in arrays))

    def refresh(self) -> Activity:
        """Bring `activity` up to date, and return it."""
        self._ask_status()
        new = {}
        for name, size in COUNTERS.items():
            new[name] = (self.status[name] - self._counted[name]) % 256**size
            self._counted[name] = self.status[name]
        self.activity.cycles += new["cycles"]
        self.activity.events += new["input_events"] + new["hidden_events"]
        self.activity.spikes += new["hidden_events"]
        return self.activity

    def self_test(self, rounds: int = 4) -> int:
        """Send bytes of every value to the board and back; returns how many came back the same.

        Raises
        ------
        LinkError
            If one did not.
        """
        size = self.status["buffer_bytes"] - CRC_BYTES
        tested = 0
        for index in range(rounds):
            content = bytes(random.Random(index).randbytes(size - 256)) + bytes(range(256))
            answer = self._ask(Command.ECHO, Answer.ECHO, content)
            if answer.content != content:
                raise LinkError(f"{self._line.name}: the board sent back {len(answer.content)} "
                                f"bytes that are not the {size} it got")
            tested += size
        return tested

    def load(self, words: Iterable[tuple[int, int]], parameters: int) -> None:
        """Load parameters.

        Parameters
        ----------
        words : pairs of an address and a word of 16 bits
        parameters : int
            The CRC that the board is to know them by, once they are all there.

        Raises
        ------
        LinkError
            If the board does not answer.
        WrongBoardError
            If its parameters are built in.
        """
        if not self.status["loads"]:
            raise WrongBoardError(f"The board at {self._line.name} has its parameters built in, "
                                  "and can't load others")
        longest = (self.status["buffer_bytes"] - CRC_BYTES - LOAD_HEADER_BYTES) // 2
        parts = list(_runs(words, longest))
        for index, (address, part) in enumerate(parts):
            crc = parameters if index == len(parts) - 1 else 0
            self._ask(Command.LOAD, Answer.LOADED, b"".join(
                value.to_bytes(size, "little")
                for value, size in [(crc, 4), (address, 4), *((word, 2) for word in part)]))
        self._ask_status()

    def check(self, *hashes: str) -> None:
        """Raise WrongBoardError unless the board is that of the network, by all hashes or some."""
        names = {"shape": "is of another network (layers, timesteps, encoder, schedule, seed)",
                 "layout": "has another layout", "parameters": "has other parameters"}
        for name in hashes or self._hashes:
            want = self._hashes[name]
            if want is not None and self.status[name] != want:
                raise WrongBoardError(f"The board at {self._line.name} {names[name]}: the CRC is "
                                      f"{self.status[name]:08x}, not {want:08x}")

    def _ask_status(self) -> None:
        content = self._ask(Command.STATUS, Answer.STATUS).content
        if content[:1] != bytes([VERSION]):
            raise WrongBoardError(f"The board at {self._line.name} has version "
                                  f"{content[0] if content else None} of the link, not {VERSION}")
        self.status = unpack_fields(STATUS, content)

    def _settle(self) -> None:
        """Wait until images of a session before this one are done."""
        deadline = monotonic() + self._line.timeout * self._retries
        while self.status["done"] != self.status["next"]:
            if monotonic() > deadline:
                raise LinkError(f"The board at {self._line.name} does not finish the images that "
                                "it got earlier; reset it")
            self._ask_status()

    def _ask(self, command: Command, want: Answer, content: bytes = b"") -> Frame:
        """Send a command until it is answered. Other answers that come meanwhile are passed over.

        What the board executes once has its next number, others have one of their own.
        """
        if command is Command.LOAD:
            number = self.status["next"]
        else:
            number = self._tag = (self._tag + 1) % NUMBERS
        faults: Counter[str] = Counter()
        for _ in range(self._retries + 1):
            self._line.send(Frame(command, number, content))
            deadline = self.deadline(len(content))
            try:
                while True:
                    frame = self._line.receive(deadline)
                    if frame is None or frame.kind == Answer.ERROR:
                        faults[describe(frame)] += 1
                        break
                    if (frame.kind, frame.number) == (want, number):
                        self.activity.faults += faults
                        if command is Command.LOAD:
                            self.status["next"] = (number + 1) % NUMBERS
                        return frame
            except TimeoutError:
                faults["no answer came in time"] += 1
        raise LinkError(f"{self._line.name}: no answer to {command.name} number {number} in "
                        f"{self._retries + 1} attempts: {summary(faults)}")

    def deadline(self, size: int) -> float:
        """When an answer is overdue to so many bytes that are sent now."""
        return monotonic() + self._line.timeout + 20 * size / self._line.baud


class _Stream:
    """Images on their way through the board: several at a time, in order, each executed once."""

    def __init__(self, board: Board, images: npt.NDArray[np.int64], progress: Progress | None):
        self._board, self._images, self._progress = board, images, progress
        self._format = board.format
        self._first = board.status["next"]      # number of image 0
        self._done = 0
        self._sent = 0
        self._restarted = False
        self._window = max(1, min(board.status["window"], SYSTEM_BUFFER_BYTES
                                  // (2 * self._format.result_bytes + 16)))
        shape = (len(images), board.network.n_output)
        self.counts = np.zeros(shape, dtype=np.int64)
        self.currents = np.zeros(shape, dtype=np.int64)
        self.predicted = np.zeros(len(images), dtype=np.int64)

    def run(self) -> None:
        failures = 0
        while self._done < len(self._images):
            before = self._done
            while self._sent < len(self._images) and self._sent - self._done < self._window:
                self._send(self._sent)
                self._sent += 1
            deadline = self._board.deadline(
                (self._sent - self._done) * (self._format.image_bytes + self._format.result_bytes))
            try:
                fault = self._take(self._board._line.receive(deadline))
            except TimeoutError:
                fault = "no answer came in time"
            if self._done > before:
                failures = 0
            if fault is not None:
                failures += 1
                self._board.activity.faults[fault] += 1
                if failures > self._board._retries:
                    raise LinkError(f"{self._board._line.name}: no result of image {self._done} in "
                                    f"{failures} attempts, the last time because {fault}")
                self._recover()

    def _number(self, image: int) -> int:
        return (self._first + image) % NUMBERS

    def _send(self, image: int) -> None:
        self._board._line.send(Frame(Command.RUN, self._number(image),
                                     self._format.image(self._images[image])))

    def _take(self, frame: Frame | None) -> str | None:
        """Take a frame in, and say what is wrong, if something is."""
        if frame is None:
            return describe(frame)
        if frame.kind == Answer.ERROR:
            # Of what it has done a board knows that it has, unless it was restarted since.
            self._restarted = (frame.content == bytes([Fault.ORDER])
                               and frame.number == self._number(self._done))
            return describe(frame)
        if frame.kind != Answer.RESULT:
            return None
        ahead = (frame.number - self._number(self._done)) % NUMBERS
        if ahead >= self._sent - self._done:
            return None                         # it came twice, or is of another session
        if ahead:
            return "an answer is missing"
        (self.counts[self._done], self.currents[self._done],
         self.predicted[self._done]) = self._format.results(frame.content)
        self._done += 1
        if self._progress is not None:
            self._progress(self._done, len(self._images))
        return None

    def _recover(self) -> None:
        """Ask the board what it has executed, and go on from there.

        The board answers a status after all that came before it, so nothing is on its way then.
        """
        self._board._ask_status()
        self._board.check()
        executed = (self._board.status["next"] - self._number(self._done)) % NUMBERS
        if self._restarted or executed > self._sent - self._done:
            self._first, executed = self._board.status["next"] - self._done, 0
            self._restarted = False
        self._sent = self._done + executed
        if executed:
            self._send(self._done)              # not executed again, but answered again


def describe(frame: Frame | None) -> str:
    """What an answer that is none says of what went wrong."""
    if frame is None:
        return "an answer was broken"
    code = frame.content[0] if len(frame.content) == 1 else -1
    return (f"the board reports that {Fault(code)}" if code in set(Fault)
            else "the board reports an error that is not known here")


def summary(faults: Counter[str]) -> str:
    """Faults in a line, the most frequent first."""
    return ", ".join(f"{text} ({count})" for text, count in faults.most_common())


def _runs(words: Iterable[tuple[int, int]], longest: int) -> Iterator[tuple[int, list[int]]]:
    """Words at successive addresses together, at most so many: the first address, and they."""
    begin = 0
    part: list[int] = []
    for address, word in words:
        if part and (address != begin + len(part) or len(part) == longest):
            yield begin, part
            part = []
        if not part:
            begin = address
        part.append(word)
    if part:
        yield begin, part


def open(port: str, network: IntegerNetwork, *, spec: AcceleratorSpec | None = None,
         baud: int = BAUD, timeout: float = TIMEOUT_S, retries: int = RETRIES) -> Board:
    """Open the board of a network.

    Parameters
    ----------
    port : str
        Its serial port, such as ``/dev/ttyUSB1``, or that of a virtual board.
    network : IntegerNetwork
    spec : AcceleratorSpec, optional
        Its layout, if that is to be checked as well. If parameters are loaded there, they are,
        unless the board has them.
    baud : int
        Bits a second.
    timeout : float
        Seconds that an answer may take, beside what the line takes for it.
    retries : int
        Times that anything is tried again before it is given up.

    Raises
    ------
    MissingExtraError
        If pyserial is not installed.
    LinkError
        If nothing answers.
    OSError
        If the port can't be opened.
    WrongBoardError
        If the board is that of another network.
    """
    line = _Line(port, baud, timeout)
    try:
        board = Board(line, network, spec, retries)
        board.check("shape", "layout")
        crc = parameters_crc32(network)
        if spec is not None and spec.loaded and board.status["parameters"] != crc:
            board.load(load_words(network, spec).tolist(), crc)
        board.check()
    except BaseException:
        line.close()
        raise
    return board
