"""Commands to a board, and their answers."""

import random
from collections import Counter
from time import monotonic

from ..protocol import (
    BLOCK_BYTES,
    NUMBERS,
    VERSION,
    Answer,
    Command,
    Fault,
    Frame,
    unpack_status,
)
from .line import Line, LinkError, describe, summary

RANGES = {"beats": range(1, 256), "buffer_bytes": range(BLOCK_BYTES, 2**24 + 1),
          "count_width": range(1, 64), "current_width": range(1, 64)}
"""What sizes of a status can be, whatever the network."""


class WrongBoardError(ValueError):
    """The board is of another network, or of another version of the link."""


class Session:
    """A board that answers commands, however often a bad line makes them be repeated.

    Parameters
    ----------
    line : Line
    hashes : dict of str to int or None
        What its shape, parameters and layout should hash to, by the names that they have in
        `status`; None for what does not matter.
    retries : int
        Times that anything is tried again before it is given up.

    Attributes
    ----------
    status : dict of int
        What the board said of itself when it was last asked: `protocol.STATUS`.
    faults : Counter of str
        What was noticed on the line, and mended, by description.

    Raises
    ------
    LinkError
        If nothing answers, or images of a session before this one never end.
    WrongBoardError
        If it has another version of the link, or says of itself what can't be.
    """

    def __init__(self, line: Line, hashes: dict[str, int | None], retries: int):
        self.line, self.retries = line, retries
        self.faults: Counter[str] = Counter()
        self._hashes = hashes
        self._tag = random.randrange(NUMBERS)   # another one than that of a session before
        self.ask_status()
        self._settle()

    def check(self, *hashes: str) -> None:
        """Raise WrongBoardError unless the board is that of the network, by all hashes or some."""
        names = {"shape": "is of another network (layers, timesteps, encoder, schedule, seed)",
                 "layout": "has another layout", "parameters": "has other parameters"}
        if self._wrong(hashes):
            self.ask_status()           # perhaps a bit was flipped on the way
        for name in self._wrong(hashes):
            want = self._hashes[name]
            if want is not None:
                raise WrongBoardError(f"The board at {self.line.name} {names[name]}: the CRC is "
                                      f"{self.status[name]:08x}, not {want:08x}")

    def _wrong(self, hashes: tuple[str, ...]) -> list[str]:
        return [name for name in hashes or self._hashes
                if self._hashes[name] not in (None, self.status[name])]

    def ask_status(self) -> None:
        """Bring `status` up to date."""
        for last in (False, True):
            content = self.ask(Command.STATUS, Answer.STATUS).content
            fault = self._understand(content)
            if fault is None:
                return
            if last:
                raise WrongBoardError(f"The board at {self.line.name} {fault}")
            # Perhaps a bit was flipped in the board, before it made the CRC.
            self.faults[describe(None)] += 1

    def _understand(self, content: bytes) -> str | None:
        """Take a status in, or say why it can't be one."""
        if content[:1] != bytes([VERSION]):
            return f"has version {content[0] if content else None} of the link, not {VERSION}"
        try:
            status = unpack_status(content)
        except ValueError as error:
            return f"sends no status: {error}"
        for name, allowed in RANGES.items():
            if status[name] not in allowed:
                return f"must have {name} in {allowed}, not {status[name]}"
        self.status = status
        return None

    def ask(self, command: Command, want: Answer, content: bytes = b"") -> Frame:
        """Send a command until it is answered.

        Answers to others that come meanwhile are passed over; of a broken frame no one knows whose
        it was.

        What the board executes once has its next number, others have one of their own. What is
        loaded may be loaded again, under whatever number is next then.
        """
        tag = self._tag = (self._tag + 1) % NUMBERS
        faults: Counter[str] = Counter()
        for _ in range(self.retries + 1):
            number = self.status["next"] if command is Command.LOAD else tag
            self.line.send(Frame(command, number, content))
            deadline = self.line.deadline(len(content))
            try:
                for frame in self.line.receive(deadline):
                    if frame is None or _is_error(frame, number):
                        faults[describe(frame)] += 1
                        if frame is not None and frame.content == bytes([Fault.BUSY]):
                            # A flipped bit may have made it send results that nobody asked for.
                            self.line.pass_over()
                        if command is Command.LOAD:
                            self._find_next(number)
                        break
                    if (frame.kind, frame.number) == (want, number):
                        self.faults += faults
                        if command is Command.LOAD:
                            self.status["next"] = (number + 1) % NUMBERS
                        return frame
            except TimeoutError:
                faults["no answer came in time"] += 1
        raise LinkError(f"{self.line.name}: no answer to {command.name} number {number} in "
                        f"{self.retries + 1} attempts: {summary(faults)}")

    def _find_next(self, number: int) -> None:
        """After an error in a LOAD: its number is still right if it is next, or was executed."""
        self.ask_status()
        if (self.status["next"] - number) % NUMBERS == 1:
            self.status["next"] = number

    def _settle(self) -> None:
        """Wait until images of a session before this one are done."""
        deadline = monotonic() + self.line.timeout * self.retries
        while self.status["done"] != self.status["next"]:
            if monotonic() > deadline:
                raise LinkError(f"The board at {self.line.name} does not finish the images that "
                                "it got earlier; reset it")
            self.ask_status()


def _is_error(frame: Frame, number: int) -> bool:
    """Whether an error is about the command of this number, or about any.

    After a restart each image that was on its way is refused.
    """
    return frame.kind == Answer.ERROR and (
        frame.number == number or frame.content in (bytes([Fault.BROKEN]), bytes([Fault.RESTART])))
