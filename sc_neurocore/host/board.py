"""A board with the golden model's API."""

import random
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from time import monotonic

import numpy.typing as npt

from ..identity import layout_hash, parameters_crc32, shape_hash
from ..network import IntegerNetwork
from ..parameters import load_words
from ..protocol import COUNTERS, CRC_BYTES, LOAD_HEADER_BYTES, Answer, Command, LinkFormat
from ..results import Result
from ..spec import AcceleratorSpec
from .line import Line, LinkError
from .session import Session, WrongBoardError
from .stream import Progress, Stream

BAUD = 1_000_000
TIMEOUT_S = 1.0
RETRIES = 10


@dataclass
class Activity:
    """What a board did since it was opened, and what went wrong on the way.

    ``cycles``: with an image in the accelerator, from the last of its transfers to the last result.
    ``events``: spikes that layers received. ``spikes``: of all neurons. ``seconds``: in `run`.
    ``faults``: what was noticed on the line, and mended, by description. What a board counted
    between the last look and a restart of its own is not there.
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


class Board:
    """A board that runs a network; made by `open`, and a context manager that closes its port.

    Attributes
    ----------
    network : IntegerNetwork
    activity : Activity
        What it did since it was opened.
    """

    def __init__(self, session: Session, network: IntegerNetwork):
        self.network, self.activity = network, Activity(faults=session.faults)
        self._session = session
        self._counted = {name: self.status[name] for name in COUNTERS}
        self._restarts = self.status["restarts"]

    def __enter__(self) -> "Board":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the port."""
        self._session.line.close()

    @property
    def status(self) -> dict[str, int]:
        """What the board said of itself when it was last asked: `protocol.STATUS`."""
        return self._session.status

    @property
    def corrupted(self) -> tuple[int, int] | None:
        """Layer and row of the first weights that were read and did not go with their parity.

        As the board said when it was last asked, which `run` does; None without parity as well.
        """
        layer = self.status["corrupted_layer"]
        return (layer - 1, self.status["corrupted_row"]) if layer else None

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
        stream = Stream(self._session, self.format, images, self.network.n_output, progress)
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
        self._session.ask_status()
        if self.status["restarts"] != self._restarts:
            self._counted, self._restarts = dict.fromkeys(COUNTERS, 0), self.status["restarts"]
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
            answer = self._session.ask(Command.ECHO, Answer.ECHO, content)
            if answer.content != content:
                raise LinkError(f"{self._session.line.name}: the board sent back "
                                f"{len(answer.content)} bytes that are not the {size} it got")
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
            raise WrongBoardError(f"The board at {self._session.line.name} has its parameters "
                                  "built in, and can't load others")
        longest = (self.status["buffer_bytes"] - CRC_BYTES - LOAD_HEADER_BYTES) // 2
        parts = list(_runs(words, longest))
        for index, (address, part) in enumerate(parts):
            crc = parameters if index == len(parts) - 1 else 0
            self._session.ask(Command.LOAD, Answer.LOADED, b"".join(
                value.to_bytes(size, "little")
                for value, size in [(crc, 4), (address, 4), *((word, 2) for word in part)]))
        self._session.ask_status()


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
        unless the board has them, and not corrupted.
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
    ValueError
        If ``baud`` is not in range(300, 2^31).
    WrongBoardError
        If the board is that of another network.
    """
    crc = parameters_crc32(network)
    line = Line(port, baud, timeout)
    try:
        session = Session(line, {"shape": shape_hash(network), "parameters": crc,
                                 "layout": None if spec is None else layout_hash(spec)}, retries)
        session.check("shape", "layout")
        board = Board(session, network)
        if spec is not None and spec.loaded and (board.status["parameters"] != crc
                                                 or board.corrupted):
            board.load(load_words(network, spec).tolist(), crc)
        session.check()
    except BaseException:
        line.close()
        raise
    return board


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
