"""A board that isn't one, behind a pseudo-terminal."""

import os
import pty
import select
import threading
import tty
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random

import numpy as np

from sc_neurocore import golden, protocol
from sc_neurocore.identity import layout_hash, parameters_crc32, shape_hash
from sc_neurocore.network import IntegerArray, IntegerNetwork
from sc_neurocore.parameters import load_words
from sc_neurocore.protocol import STATUS, Answer, Command, Decoder, Fault, Frame, LinkFormat, encode
from sc_neurocore.results import Result
from sc_neurocore.spec import AcceleratorSpec

from .mutate import INTEGERS


@dataclass(frozen=True)
class Behaviour:
    """What an honest board does: what it says of itself, the content of a RESULT for that of a RUN,
    and the words, by their addresses, without which it computes something else."""

    constants: Mapping[str, int]
    results: Mapping[bytes, bytes]
    words: Mapping[int, int] = field(default_factory=dict)

    @classmethod
    def of(cls, network: IntegerNetwork, spec: AcceleratorSpec, images: IntegerArray
           ) -> "Behaviour":
        """That of a network's board, which knows some images."""
        form = LinkFormat.of(network, spec.beats, current_width=spec.current_width(network))
        constants = {
            "protocol": protocol.VERSION, "shape": shape_hash(network),
            "layout": layout_hash(spec), "beats": spec.beats, "buffer_bytes": form.buffer_bytes,
            "window": form.window(2), "count_width": form.count_width,
            "current_width": form.current_width, "loads": int(bool(spec.loaded)),
            "parameters": 0 if spec.loaded else parameters_crc32(network)}
        want = golden.run(network, images)
        return cls(constants, {form.image(image): _content(form, want, index)
                               for index, image in enumerate(images)},
                   dict(load_words(network, spec).tolist()) if spec.loaded else {})


def _content(form: LinkFormat, want: Result, index: int) -> bytes:
    words = (int(want.counts[index, neuron])
             | int(want.currents[index, neuron]) % 2**form.current_width << form.count_width
             | int(want.predicted[index]) << form.count_width + form.current_width
             for neuron in range(form.n_output))
    return b"".join(word.to_bytes(form.neuron_bytes, "little") for word in words)


def arbitrary_frame(random: Random, kinds: type[Command] | type[Answer]) -> Frame:
    """A frame of any kind, number and length."""
    kind = random.choice((*kinds, *kinds, random.randrange(256)))
    size = random.choice((0, 1, 2, 4, 12, 24, 100, random.randrange(700)))
    content = random.choice((bytes(size), random.randbytes(size), b"\x7e\x7d" * (size // 2)))
    return Frame(kind, random.randrange(256), content)


class HostileBoard:
    """A board that answers as it should, but for what a random number generator makes it do.

    It never sends what nobody could tell from the truth: a RESULT of the right length, checksum and
    number with other content, or LOADED for what it did not load. With choices of zeros it is
    honest.
    """

    def __init__(self, choices: bytes, behaviour: Behaviour):
        self._random, self._behaviour = Random(choices), behaviour
        self._status = dict.fromkeys(STATUS, 0) | behaviour.constants
        self._words: dict[int, int] = {}
        self._loaded: int | None = None     # the number of a LOAD, if nothing came after it
        self._status["next"] = self._status["done"] = self._random.randrange(256)
        self._answers: dict[int, bytes] = {}
        self._hostility = (int.from_bytes(choices[:1], "big") / 255)**2
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
        if frame.kind == Command.RUN and frame.content in self._behaviour.results:
            if self._is_next(frame):
                result = self._behaviour.results[frame.content]
                is_right = self._words == self._behaviour.words
                self._answers[frame.number] = result if is_right else bytes(len(result))
                self._loaded = None
            if frame.number in self._answers:
                return encode(Frame(Answer.RESULT, frame.number, self._answers[frame.number]))
            return _error(frame, Fault.ORDER)
        if frame.kind == Command.LOAD and self._behaviour.words:
            if self._is_next(frame):
                self._load(frame)
            return (encode(Frame(Answer.LOADED, frame.number)) if frame.number == self._loaded
                    else _error(frame, Fault.ORDER))
        return _error(frame, Fault.UNKNOWN)

    def _is_next(self, frame: Frame) -> bool:
        """Whether a frame is to be executed, which it then is."""
        if frame.number != self._status["next"]:
            return False
        self._status["next"] = self._status["done"] = (frame.number + 1) % 256
        return True

    def _load(self, frame: Frame) -> None:
        address = int.from_bytes(frame.content[4:8], "little")
        words = np.frombuffer(frame.content[8:], "<u2").tolist()
        self._words |= dict(enumerate(words, address))
        self._status["parameters"] = int.from_bytes(frame.content[:4], "little")
        self._answers.clear()
        self._loaded = frame.number

    def _hostile(self, frame: Frame, answer: bytes) -> bytes:
        random = self._random
        kind = random.randrange(12)
        other = arbitrary_frame(random, Answer)
        if other.kind in (Answer.RESULT, Answer.STATUS, Answer.LOADED):
            # nothing has such a number here, and no status is asked for with one
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
            kinds = sorted({*Answer} - {Answer.LOADED})
            return encode(Frame(random.choice(kinds), frame.number, other.content[:1] * 3))
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


def _error(frame: Frame, fault: Fault) -> bytes:
    return encode(Frame(Answer.ERROR, frame.number, bytes([fault])))
