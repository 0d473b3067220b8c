"""Images through a board."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from ..protocol import NUMBERS, Answer, Command, Fault, Frame, LinkFormat
from .line import LinkError, describe
from .session import Session

SYSTEM_BUFFER_BYTES = 4000
"""What an operating system keeps of a serial port's input, somewhat less than Linux does."""

Progress = Callable[[int, int], None]


class Stream:
    """Images on their way through the board: several at a time, in order, each executed once.

    Parameters
    ----------
    session : Session
    form : LinkFormat
        Sizes of images and results.
    images : (batch, …) int64
    n_output : int
    progress : callable, optional
        Called with the number of images done and of all images after each.

    Attributes
    ----------
    counts, currents : (batch, n_output) int64
    predicted : (batch,) int64
    """

    def __init__(self, session: Session, form: LinkFormat, images: npt.NDArray[np.int64],
                 n_output: int, progress: Progress | None):
        self._session, self._images, self._progress = session, images, progress
        self._format = form
        self._first = session.status["next"]    # number of image 0
        self._done = 0
        self._sent = 0
        self._restarted = False
        self._asked_again = False   # for the next result; those after it may come before it does
        self._window = max(1, min(session.status["window"], SYSTEM_BUFFER_BYTES
                                  // (2 * self._format.result_bytes + 16)))
        shape = (len(images), n_output)
        self.counts = np.zeros(shape, dtype=np.int64)
        self.currents = np.zeros(shape, dtype=np.int64)
        self.predicted = np.zeros(len(images), dtype=np.int64)

    def run(self) -> None:
        """Run all images; raises LinkError if the board does not answer."""
        failures = 0
        while self._done < len(self._images):
            before = self._done
            while self._sent < len(self._images) and self._sent - self._done < self._window:
                self._send(self._sent)
                self._sent += 1
            deadline = self._session.line.deadline(
                (self._sent - self._done) * (self._format.image_bytes + self._format.result_bytes))
            try:
                fault = None
                for frame in self._session.line.receive(deadline):
                    fault = self._take(frame)
                    if fault is not None or self._done > before:
                        break
            except TimeoutError:
                fault = "no answer came in time"
            if self._done > before:
                failures = 0
            if fault is not None:
                failures += 1
                self._session.faults[fault] += 1
                if failures > self._session.retries:
                    raise LinkError(f"{self._session.line.name}: no result of image {self._done} "
                                    f"in {failures} attempts, the last time because {fault}")
                self._recover()

    def _number(self, image: int) -> int:
        return (self._first + image) % NUMBERS

    def _send(self, image: int) -> None:
        self._session.line.send(Frame(Command.RUN, self._number(image),
                                     self._format.image(self._images[image])))

    def _take(self, frame: Frame | None) -> str | None:
        """Take a frame in, and say what is wrong, if something is."""
        if frame is None:
            return describe(frame)
        if frame.kind == Answer.ERROR:
            # Of what it has done a board knows that it has, unless it was restarted since.
            self._restarted = frame.content == bytes([Fault.RESTART]) or (
                frame.content == bytes([Fault.ORDER])
                and frame.number == self._number(self._done))
            return describe(frame)
        if frame.kind != Answer.RESULT:
            return None
        ahead = (frame.number - self._number(self._done)) % NUMBERS
        if ahead >= self._sent - self._done:
            return None                         # it came twice, or is of another session
        if ahead:
            return None if self._asked_again else "an answer is missing"
        if len(frame.content) != self._format.result_bytes:
            return "a result has the wrong length"
        (self.counts[self._done], self.currents[self._done],
         self.predicted[self._done]) = self._format.results(frame.content)
        self._done += 1
        self._asked_again = False
        if self._progress is not None:
            self._progress(self._done, len(self._images))
        return None

    def _recover(self) -> None:
        """Ask the board what it has executed, and go on from there.

        The board answers a status after all that came before it, so nothing is on its way then.
        """
        self._session.ask_status()
        self._session.check()
        executed = (self._session.status["next"] - self._number(self._done)) % NUMBERS
        if self._restarted or executed > self._sent - self._done:
            self._first, executed = self._session.status["next"] - self._done, 0
            self._restarted = False
        self._sent = self._done + executed
        self._asked_again = executed > 0
        if executed:
            self._send(self._done)              # not executed again, but answered again
