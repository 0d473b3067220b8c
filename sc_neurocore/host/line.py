"""Frames over a serial port."""

from collections import Counter
from time import monotonic
from typing import Any

from ..extras import require
from ..protocol import FLAG, Decoder, Fault, Frame, encode

_POLL_S = 0.02


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
    """

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
        """Send a frame."""
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
