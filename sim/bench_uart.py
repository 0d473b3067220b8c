"""Bench of `gateware.uart`: bytes cross the line between two clocks; errors are told."""

import random
from typing import Any

import cocotb

from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import Sink, Source, run_cycles

LATENCY = 3
"""Cycles from the middle of a stop bit to its byte."""


class Wave:
    """Levels of the line, cycle by cycle, and idle after them."""

    def __init__(self) -> None:
        self.levels: list[int] = []
        self._time = 0.0

    def add(self, level: int, duration: float) -> None:
        """Hold a level for so many cycles, not always a whole number."""
        self._time += duration
        self.levels += [level] * (int(self._time) - len(self.levels))

    def byte(self, value: int, bit: float, stop: int = 1) -> float:
        """Add a byte, and return the time of its stop bit's middle."""
        for level in (0, *(value >> index & 1 for index in range(8))):
            self.add(level, bit)
        middle = self._time + bit / 2
        self.add(stop, bit)
        return middle


class Player:
    """Plays a wave."""

    def __init__(self, design: Any, wave: Wave):
        self._design, self._levels = design, iter(wave.levels)

    def drive(self) -> None:
        self._design.rx.value = next(self._levels, 1)

    def sample(self, cycle: int) -> None:
        pass


class Recorder:
    """Records the line in every cycle."""

    def __init__(self, design: Any):
        self._design, self.levels = design, []

    def drive(self) -> None:
        pass

    def sample(self, cycle: int) -> None:
        self.levels.append(int(self._design.tx.value))


class Until:
    """Pauses for so many cycles."""

    def __init__(self, cycles: int):
        self._left = cycles

    def pauses(self) -> bool:
        self._left -= 1
        return self._left >= 0


async def receive(design: Any, wave: Wave, want: list[tuple[int, bool]], stall: float = 0.0
                  ) -> Sink:
    sink = Sink(design, "bytes", stall)
    await run_cycles(design, [Player(design, wave), sink], lambda: len(sink.items) >= len(want),
                     len(wave.levels) + 1000, linger=300)
    got = [(item & 0xFF, bool(item >> 8)) for item in sink.items]
    assert got == want, f"{got}, not {want}"
    return sink


async def receiver(design: Any, divisor: int) -> None:
    values = [0x00, 0xFF, 0x55, 0xAA, 0x01, 0x80, *(random.randrange(256) for _ in range(40))]
    for drift in (-0.02, 0.0, 0.02):
        bit = divisor * (1 + drift)
        wave, middles = Wave(), []
        wave.add(1, 5.3)
        for value in values:
            middles.append(wave.byte(value, bit))
            wave.add(1, random.choice([0.0, 0.0, random.random() * 3 * bit]))
        sink = await receive(design, wave, [(value, False) for value in values])
        for cycle, middle in zip(sink.cycles, middles, strict=True):
            # A bit is late by what an edge is, by the drift of ten bits, and by rounding.
            late = cycle - middle - LATENCY
            assert abs(late) <= 1.5 + 10 * abs(bit - divisor), f"{late} cycles late"
    await receive_noise(design, divisor)


async def receive_noise(design: Any, divisor: int) -> None:
    wave = Wave()
    wave.add(1, 3 * divisor)
    wave.add(0, divisor // 2 - 1)       # over before its middle
    wave.add(1, 12 * divisor)
    wave.byte(0x5A, divisor)
    wave.byte(0x33, divisor, stop=0)    # no stop bit
    wave.add(1, 2 * divisor)
    wave.byte(0xC3, divisor)
    wave.add(0, 30 * divisor)           # a break is a byte without a stop bit, once
    wave.add(1, 2 * divisor)
    wave.byte(0x99, divisor)
    await receive(design, wave, [(0x5A, False), (0x33, True), (0xC3, False), (0x00, True),
                                 (0x99, False)])
    # Nobody takes the first until the second is over: it is lost, and the third is marked.
    wave = Wave()
    for value in (1, 2, 3, 4):
        wave.byte(value, divisor)
    sink = Sink(design, "bytes")
    sink._stalls = Until(25 * divisor)
    await run_cycles(design, [Player(design, wave), sink], lambda: len(sink.items) == 3,
                     len(wave.levels) + 100, linger=50)
    assert sink.items == [1, 3 | 0x100, 4]


async def transmitter(design: Any, divisor: int) -> None:
    values = [0x00, 0xFF, 0x55, 0xAA, *(random.randrange(256) for _ in range(20))]
    for stall in (0.0, 0.1):
        source = Source(design, "bytes", values, stall)
        line = Recorder(design)
        await run_cycles(design, [source, line], lambda source=source: source.done,
                         4000 + 20 * 10 * divisor * 24, linger=12 * divisor)
        want = [1] * len(line.levels)
        for value, cycle in zip(values, source.cycles, strict=True):
            bits = [0, *(value >> index & 1 for index in range(8)), 1]
            for index, bit in enumerate(bits):
                begin = cycle + 1 + index * divisor
                want[begin:begin + divisor] = [bit] * divisor
        assert line.levels == want[:len(line.levels)]
        if not stall:
            assert source.cycles == [10 * divisor * index for index in range(len(values))]


@cocotb.test()
async def bytes_cross_the_line(design: Any) -> None:
    part = {"receiver": receiver, "transmitter": transmitter}[job()["part"]]
    await part(design, job()["divisor"])
