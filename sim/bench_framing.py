"""Bench of `gateware.framing`: frames are found in whatever comes, and written as the host does."""

import random
import zlib
from typing import Any

import cocotb

from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import Monitor, Sink, Source, run_cycles
from sc_neurocore.protocol import ESCAPE, FLAG, Frame, encode

BYTE_CYC = 8
"""Cycles that a received byte takes."""


def frames_in(received: list[int]) -> list[tuple[list[int], bool]]:
    """Contents of all that stands between flags, CRCs included, and whether each is whole.

    Of a received byte, bit 8 says that it has an error.
    """
    found, content = [], []
    escaped = broken = begun = False
    for item in received:
        value, error = item & 0xFF, bool(item >> 8)
        if value == FLAG:
            body, crc = bytes(content[:-4]), bytes(content[-4:])
            whole = len(content) >= 4 and zlib.crc32(body).to_bytes(4, "little") == crc
            if begun:
                found.append((content, whole and not (escaped or broken or error)))
            content, escaped, broken, begun = [], False, False, False
            continue
        begun, broken = True, broken or error
        if value == ESCAPE:
            escaped = True
        else:
            content.append(value ^ (0x20 if escaped else 0))
            escaped = False
    return found


def traffic(count: int) -> list[int]:
    """Frames, whole ones and broken ones of every kind, and garbage."""
    received: list[int] = []
    for _ in range(count):
        content = bytes(random.choice([FLAG, ESCAPE, 0, 255, random.randrange(256)])
                        for _ in range(random.randrange(12)))
        line = list(encode(Frame(random.randrange(256), random.randrange(256), content)))
        fault = random.randrange(9)
        place = random.randrange(1, len(line) - 1)
        if fault == 0:
            line[place] ^= 1 << random.randrange(8)
        elif fault == 1:
            del line[place]
        elif fault == 2:
            line.insert(place, random.randrange(256))
        elif fault == 3:
            del line[place:-1]
        elif fault == 4:
            line[place] |= 0x100
        elif fault == 5:
            line.insert(-1, ESCAPE)         # given up by its sender
        elif fault == 6:
            received += [random.randrange(256) for _ in range(5)]
        elif fault == 7 and random.random() < 0.5:
            line[-1] |= 0x100
        received += line[random.random() < 0.5:]    # the flag before may serve for this one too
    return [FLAG, *received, FLAG]


async def receiver(design: Any, stall: float) -> None:
    received = traffic(150)
    source = Source(design, "bytes", received, stall)
    writes = Monitor(design.write, [design.data])
    ends = Monitor(design.end, [design.good])
    await run_cycles(design, [source, writes, ends], lambda: source.done, 60 * len(received),
                     linger=20)
    want = frames_in(received)
    assert {whole for _, whole in want} == {False, True}
    assert [bool(good) for good, in ends.records] == [whole for _, whole in want]
    got, begin = [], 0
    for cycle in ends.cycles:
        end = sum(written <= cycle for written in writes.cycles)
        got.append([value for value, in writes.records[begin:end]])
        begin = end
    assert got == [content for content, _ in want]
    if not stall:
        special = sum(item & 0xFF in (FLAG, ESCAPE) for item in received)
        assert source.cycles[-1] == special + BYTE_CYC * (len(received) - special) - 1


async def transmitter(design: Any, stall: float) -> None:
    frames = [bytes(random.choice([FLAG, ESCAPE, 0x5E, random.randrange(256)])
                    for _ in range(random.randrange(2, 12))) for _ in range(60)]
    items = [value | (index == len(frame) - 1) << 8
             for frame in frames for index, value in enumerate(frame)]
    want = list(b"".join(encode(Frame(frame[0], frame[1], frame[2:])) for frame in frames))
    source, sink = Source(design, "frame", items, stall), Sink(design, "bytes", stall)
    await run_cycles(design, [source, sink], lambda: len(sink.items) >= len(want),
                     60 * len(want), linger=40)
    assert sink.items == want
    if not stall:
        flags, escapes = sink.items.count(FLAG), sink.items.count(ESCAPE)
        assert sink.cycles[-1] == flags + escapes + 9 * (len(want) - flags - escapes) - 1


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.3])
async def frames_are_those_of_the_host(design: Any, stall: float) -> None:
    await {"receiver": receiver, "transmitter": transmitter}[job()["part"]](design, stall)
