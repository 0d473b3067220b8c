"""A serial line that damages what goes over it, between a host and a virtual board."""

import os
import pty
import random
import select
import threading
import tty
from dataclasses import dataclass

REPEATED = 64
"""Bytes that come a second time, at most."""


@dataclass(frozen=True)
class Noise:
    """Chances, for each byte, of what may happen to it."""

    flip: float = 0.0
    drop: float = 0.0
    insert: float = 0.0
    cut: float = 0.0
    """Of the rest of what came with it to be lost as well."""
    repeat: float = 0.0
    """Of what came with it, up to there, to come a second time, or the last bytes of it."""


class NoisyLine:
    """Joins a port of its own, for a host, to that of a board; a context manager.

    ``damaged`` counts what was done to bytes; ``silent`` loses everything while it is set.
    """

    def __init__(self, board_port: str, noise: Noise, seed: int = 1):
        self._noise, self._random = noise, random.Random(seed)
        self._host, self._terminal = pty.openpty()
        self.port = os.ttyname(self._terminal)
        self._board = os.open(board_port, os.O_RDWR | os.O_NOCTTY)
        for descriptor in (self._terminal, self._board):
            tty.setraw(descriptor)
        self._stop, self._wake = os.pipe()
        self._moving = threading.Lock()
        self.damaged = 0
        self.silent = False
        self.passed = 0
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def move(self, board_port: str) -> None:
        """Go on with another board: it is as if this one had been restarted."""
        board = os.open(board_port, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(board)
        with self._moving:
            os.dup2(board, self._board)
        os.close(board)

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._host, self._board, self._stop], [], [])
            if self._stop in ready:
                return
            for source, sink in ((self._host, self._board), (self._board, self._host)):
                if source in ready:
                    self._pass(source, sink)

    def _pass(self, source: int, sink: int) -> None:
        with self._moving:
            # What was ready was perhaps the board before this one.
            data = b""
            if select.select([source], [], [], 0)[0]:
                data = self._damage(os.read(source, 1024))
        self.passed += len(data)
        if not self.silent:
            os.write(sink, data)

    def _damage(self, data: bytes) -> bytes:
        noise, result = self._noise, bytearray()
        for value in data:
            chances = [self._random.random() < chance
                       for chance in (noise.flip, noise.drop, noise.insert, noise.cut,
                                      noise.repeat)]
            flip, drop, insert, cut, repeat = chances
            self.damaged += any(chances)
            if insert:
                result.append(self._random.randrange(256))
            if not drop:
                result.append(value ^ (1 << self._random.randrange(8) if flip else 0))
            if repeat:
                result += result[-REPEATED:]
            if cut:
                break
        return bytes(result)

    def __enter__(self) -> "NoisyLine":
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._wake, b"x")
        self._thread.join()
        for descriptor in (self._host, self._terminal, self._board, self._stop, self._wake):
            os.close(descriptor)
