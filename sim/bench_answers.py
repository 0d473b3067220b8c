"""Bench of `gateware.answers`: everything is said, in its order, and results as often as wanted."""

import random
from collections.abc import Iterator
from typing import Any

import cocotb
from bench_link import answer, results

from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import Sink, run_cycles
from sc_neurocore.protocol import COUNTERS, VARIABLES, Answer, Fault, LinkFormat

BYTE_CYC = 3
"""Cycles from a byte of an answer to the next."""
TELLS = ("tell_error", "tell_status", "tell_echo", "tell_loaded", "again", "loaded")


class Teller:
    """Does one thing a step: each step is a dictionary of inputs, for a cycle, or None to wait."""

    def __init__(self, design: Any, steps: Iterator[dict[str, int] | None], sink: Sink):
        self._design, self._steps, self._sink = design, steps, sink
        self._place = random.randrange(sum(COUNTERS.values()))
        self.echo: list[int] = []
        self._offers = False
        self._quiet = 0
        self._waits = False
        self.done = False

    def drive(self) -> None:
        design = self._design
        for name in (*TELLS, "results__valid"):
            getattr(design, name).value = 0
        self._place = (self._place + 1) % sum(COUNTERS.values())
        design.counter_place.value = self._place
        design.counter_byte.value = 0xC0 + self._place
        self._offers |= bool(self.echo) and random.random() < 0.3
        design.echo__valid.value = self._offers
        if self._offers:
            design.echo__payload.value = self.echo[0]
            design.echo_last.value = len(self.echo) == 1
        if self._waits and self._quiet < 60:
            return
        step = next(self._steps, "end")
        self.done |= step == "end"
        self._waits = step is None
        self._quiet = 0
        if isinstance(step, dict):
            for name, value in step.items():
                getattr(design, name).value = value

    def sample(self, cycle: int) -> None:
        self._quiet = 0 if self._design.frame__valid.value == 1 else self._quiet + 1
        if self._offers and self._design.echo__ready.value == 1:
            self.echo.pop(0)
            self._offers = False


def frames(items: list[int]) -> list[bytes]:
    """Frames that were sent: bit 8 of a byte closes one."""
    found, frame = [], bytearray()
    for item in items:
        frame.append(item & 0xFF)
        if item >> 8:
            found.append(bytes(frame))
            frame.clear()
    assert not frame
    return found


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.3])
async def everything_is_said(design: Any, stall: float) -> None:
    format, constants = LinkFormat(**job()["format"]), bytes(job()["constants"])
    variables = bytes(range(30, 30 + sum(VARIABLES.values())))
    images = [random.randbytes(format.image_bytes) for _ in range(job()["images"])]
    want: list[bytes] = []

    def result(number: int) -> bytes:
        return bytes([Answer.RESULT, number % 256]) + answer(format, images[number])

    def steps() -> Iterator[dict[str, int] | None]:
        design.variables.value = int.from_bytes(variables, "little")
        for number, image in enumerate(images):
            for payload in results(format, image):
                yield {"results__valid": 1, "results__payload": payload}
            want.append(result(number))
            if number % min(7, format.slots) == 0:
                yield None
            if number % 20 == 19:       # as far back as there are results, while others come
                yield None
                for back in (format.slots, 1, 2):
                    yield {"again": 1, "number": (number + 1 - back) % 256}
                    yield {} if random.random() < 0.5 else None
                    yield None
                    want.extend(result(number + 1 - back + index) for index in range(back))
        yield None
        # All at once: in their order, and each once.
        teller.echo = [1, 2, 3]
        for payload in results(format, images[0]):
            yield {"results__valid": 1, "results__payload": payload}
        yield {"tell_echo": 1, "number": 8}
        yield {"tell_status": 1, "number": 9}
        yield {"tell_error": 1, "number": 10, "fault": Fault.BROKEN}
        yield {"tell_error": 1, "number": 11, "fault": Fault.ORDER}
        yield None
        yield {"tell_status": 1, "number": 12}
        yield None
        yield {"loaded": 1}
        yield None
        yield {"tell_loaded": 1}
        yield None

    sink = Sink(design, "frame", stall)
    teller = Teller(design, steps(), sink)
    await run_cycles(design, [teller, sink], lambda: teller.done, 500_000, linger=50)
    status = constants + variables + bytes(0xC0 + index for index in range(sum(COUNTERS.values())))
    got = frames(sink.items)
    assert got[:len(want)] == want
    number = len(images) % 256
    first, *rest = got[len(want):]
    assert first == bytes([Answer.RESULT, number]) + answer(format, images[0])
    assert rest == [bytes([Answer.ERROR, 11, Fault.ORDER]), bytes([Answer.STATUS, 9]) + status,
                    bytes([Answer.ECHO, 9, 1, 2, 3]), bytes([Answer.STATUS, 12]) + status,
                    bytes([Answer.LOADED, number + 1]), bytes([Answer.LOADED, number + 1])]
    assert design.done.value == design.answered.value == number + 2
    if not stall:
        frame = sink.cycles[:2 + format.result_bytes]
        assert frame == list(range(frame[0], frame[-1] + 1, BYTE_CYC))
