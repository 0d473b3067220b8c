"""Frames over a serial port."""

from collections import Counter, deque
from collections.abc import Iterator
from time import monotonic
from typing import Any

from ..extras import require
from ..layers import check_integer
from ..protocol import FLAG, Decoder, Fault, Frame, encode

_BAUDS = 300, 2**31 - 1
"""Answers at less are waited for for minutes; a system call takes no more."""
_POLL_S = 0.02
_SILENT_POLLS = 3


class LinkError(OSError):
    """A board doesn't answer, or not in a way that can be understood."""


class Line:
    """A serial port that frames go out of and come in at.

    Parameters
    ----------
    port : str
    baud : int
    timeout : float
        Seconds that an answer may take, beside what the line takes for it.

    Raises
    ------
    LinkError
        If nothing can be sent.
    OSError
        If the port can't be opened.
    ValueError
        If there is no such rate.
    """

    def __init__(self, port: str, baud: int, timeout: float):
        serial = require("serial", "host")
        self.name, self.timeout = port, timeout
        self.baud = check_integer("Baud", baud, *_BAUDS)
        # Another program at the same port would take answers away.
        self._serial: Any = serial.Serial(port, baud, timeout=_POLL_S, write_timeout=10 + timeout,
                                          exclusive=True)
        self._decoder = Decoder()
        self._frames: deque[Frame | None] = deque()
        try:
            self._write(bytes([FLAG]))              # ends what another one may have begun
            self.pass_over()
        except LinkError:
            self.close()
            raise

    def pass_over(self) -> None:
        """Pass over what the board still sends, for `timeout` at most; raises LinkError if the port
        is gone."""
        end, silent = monotonic() + self.timeout, 0
        while silent < _SILENT_POLLS and monotonic() < end:
            silent = 0 if self._read() else silent + 1
        self._frames.clear()

    def send(self, frame: Frame) -> None:
        """Send a frame; raises LinkError if the port doesn't take it."""
        self._write(encode(frame))

    def _write(self, data: bytes) -> None:
        try:
            self._serial.write(data)
        except OSError as error:
            raise LinkError(f"{self.name}: {error}") from error

    def receive(self, deadline: float) -> Iterator[Frame | None]:
        """Frames as they come, None for one that is broken.

        Raises
        ------
        LinkError
            If the port is gone.
        TimeoutError
            At the deadline, also if frames come without an end.
        """
        is_late = False
        while True:
            while self._frames:
                yield self._frames.popleft()
            if is_late:
                raise TimeoutError
            is_late = monotonic() > deadline
            self._read()

    def _read(self) -> bool:
        """Take in what is there, or comes soon; returns whether anything does."""
        try:
            received = self._serial.read(max(1, self._serial.in_waiting))
        except OSError as error:
            raise LinkError(f"{self.name}: {error}") from error
        self._frames.extend(self._decoder.feed(received))
        return bool(received)

    def deadline(self, size: int) -> float:
        """When an answer is overdue to so many bytes that are sent now."""
        return monotonic() + self.timeout + 20 * size / self.baud

    def close(self) -> None:
        """Close the port."""
        self._serial.close()


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
