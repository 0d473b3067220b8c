"""The host's side of the link, with what is no board: it gives up in time, with a clear error."""

import os
import pty
import threading
import tty
from contextlib import suppress
from time import monotonic

import numpy as np
import pytest

from sc_neurocore.host.line import Line, LinkError
from sc_neurocore.host.session import Session, WrongBoardError
from sc_neurocore.host.stream import Stream
from sc_neurocore.protocol import (
    STATUS,
    VERSION,
    Answer,
    Command,
    Decoder,
    Fault,
    Frame,
    LinkFormat,
    encode,
    pack_fields,
)

FORMAT = LinkFormat(8, 1, 1, 1, 8, 16)
RIGHT = dict.fromkeys(STATUS, 0) | {
    "protocol": VERSION, "beats": 1, "buffer_bytes": 512, "window": 2, "count_width": 8,
    "current_width": 16}


class Board:
    """Answers each frame with what a function makes of it, and then repeats ``flood`` forever."""

    def __init__(self, answer, flood=b""):
        self._answer, self._flood = answer, flood * 300
        self._host, self._terminal = pty.openpty()
        for descriptor in (self._host, self._terminal):
            tty.setraw(descriptor)
        os.set_blocking(self._host, False)
        self.port = os.ttyname(self._terminal)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self):
        decoder = Decoder()
        while not self._ended.wait(0.001):
            with suppress(BlockingIOError):
                for frame in decoder.feed(os.read(self._host, 4096)):
                    os.write(self._host, self._answer(frame))
            with suppress(BlockingIOError):
                os.write(self._host, self._flood)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()
        os.close(self._host)
        os.close(self._terminal)


def status(frame, **changes):
    return encode(Frame(Answer.STATUS, frame.number, pack_fields(STATUS, RIGHT | changes)))


def session(board, timeout=0.1):
    return Session(Line(board.port, 1_000_000, timeout), {}, 2)


@pytest.mark.parametrize("flood", [
    encode(Frame(Answer.ECHO, 1)), encode(Frame(Answer.ERROR, 1, b"\4")), b"\0", b"\x7e",
    encode(Frame(Answer.RESULT, 1, bytes(4)))[:-2] + b"\x7e"],
    ids=["echoes", "errors", "bytes", "flags", "broken"])
def test_a_flood_has_an_end(flood):
    with Board(lambda frame: b"", flood) as board:
        begun = monotonic()
        with pytest.raises(LinkError, match=r"no answer to STATUS number \d+ in 3 attempts"):
            session(board)
        assert monotonic() - begun < 5


def test_a_flood_in_the_place_of_results_has_an_end():
    def answer(frame):
        return status(frame) if frame.kind == Command.STATUS else b""

    with Board(answer, encode(Frame(Answer.ECHO, 1))) as board:
        opened, begun = session(board), monotonic()
        stream = Stream(opened, FORMAT, np.zeros((3, 1), np.int64), 1, None)
        with pytest.raises(LinkError, match="no result of image 0 in 3 attempts"):
            stream.run()
        assert monotonic() - begun < 5


def test_results_of_the_wrong_length_are_none():
    def answer(frame):
        return (status(frame) if frame.kind == Command.STATUS else
                encode(Frame(Answer.RESULT, frame.number, bytes(FORMAT.result_bytes + 1))))

    with Board(answer) as board:
        stream = Stream(session(board), FORMAT, np.zeros((3, 1), np.int64), 1, None)
        with pytest.raises(LinkError, match="because a result has the wrong length"):
            stream.run()


def test_results_that_nobody_asked_for_are_passed_over():
    """Of a board that is busy with them; a flipped bit may have made it so."""
    asked = []

    def answer(frame):
        asked.append(frame.number)
        return (encode(Frame(Answer.ERROR, frame.number, bytes([Fault.BUSY])))
                + encode(Frame(Answer.RESULT, 9)) * 100 if len(asked) == 1 else status(frame))

    with Board(answer) as board:
        assert RIGHT.items() <= session(board).status.items()
    assert len(asked) == 2


@pytest.mark.parametrize(("changes", "message"), [
    ({"beats": 0}, r"must have beats in range\(1, 256\), not 0"),
    ({"count_width": 64}, r"must have count_width in range\(1, 64\), not 64"),
    ({"current_width": 0}, r"must have current_width in range\(1, 64\), not 0"),
    ({"buffer_bytes": 2**32 - 1}, r"must have buffer_bytes in range\(512, \d+\), not 4294967295")])
def test_a_status_that_can_not_be_is_refused(changes, message):
    with (Board(lambda frame: status(frame, **changes)) as board,
          pytest.raises(WrongBoardError, match=message)):
        session(board)


def test_a_status_of_the_wrong_length_is_refused():
    short = bytes([VERSION])
    with (Board(lambda frame: encode(Frame(Answer.STATUS, frame.number, short))) as board,
          pytest.raises(WrongBoardError, match=r"sends no status: Fields must have \d+ bytes")):
        session(board)


def test_answers_to_another_program_are_passed_over():
    def backlog(frame):
        return encode(Frame(Answer.ERROR, (frame.number + 1) % 256, b"\3")) * 100

    with Board(lambda frame: backlog(frame) + status(frame)) as board:
        assert not session(board).faults


def test_a_port_that_goes_away_is_an_error():
    with Board(lambda frame: b"") as board:
        line = Line(board.port, 1_000_000, 0.1)
    with pytest.raises(LinkError, match=board.port):
        next(line.receive(monotonic() + 1))
    with pytest.raises(LinkError, match=board.port):
        line.send(Frame(Command.STATUS, 1))


@pytest.mark.parametrize("baud", [0, 299, 2**31, 2**63])
def test_a_rate_that_no_line_has_is_refused(baud):
    with pytest.raises(ValueError, match=rf"^Baud must be in range\(300, {2**31}\), not {baud}$"):
        Line("/nowhere", baud, 0.1)
