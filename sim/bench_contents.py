"""Bench of `gateware.contents`: bytes of commands become transfers and words."""

import random
from typing import Any

import cocotb

from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import Monitor, Sink, Source, run_cycles


async def images(design: Any, stall: float) -> None:
    width, transfers = job()["width"], job()["transfers"]
    size = -(-width // 8)
    want = [random.randrange(2**width) for _ in range(5 * transfers)]
    # What a transfer's last byte has beyond it doesn't matter.
    filled = [word | random.randrange(2**8) << width for word in want]
    data = [byte for word in filled for byte in word.to_bytes(size + 1, "little")[:size]]
    source, sink = Source(design, "bytes", data, stall), Sink(design, "transfers", stall)
    ends = Monitor(design.image_end, [])
    await run_cycles(design, [source, sink, ends], lambda: len(sink.items) == len(want),
                     100 + 40 * len(data), linger=20)
    assert sink.items == want
    assert ends.cycles == sink.cycles[transfers - 1::transfers]
    if not stall:
        assert sink.cycles == [size * (index + 1) - 1 for index in range(len(want))]


class Restarts:
    """Restarts the reader before each frame, whose first bytes these are."""

    def __init__(self, design: Any, source: Source, begins: list[int]):
        self._restart, self._source, self._begins = design.restart, source, list(begins)

    def drive(self) -> None:
        starts = bool(self._begins) and len(self._source.cycles) == self._begins[0]
        self._restart.value = self._source.blocked = starts
        if starts:
            self._begins.pop(0)

    def sample(self, cycle: int) -> None:
        pass


async def words(design: Any, stall: float) -> None:
    width = job()["width"]
    data, begins, want = [], [], []
    for _ in range(12):
        begins.append(len(data))
        crc, address = random.randrange(2**32), random.randrange(2**width)
        values = [random.randrange(2**16) for _ in range(random.randrange(1, 9))]
        data += [*crc.to_bytes(4, "little"), *address.to_bytes(4, "little")]
        data += [byte for value in values for byte in value.to_bytes(2, "little")]
        want += [(address + index) % 2**width | value << width
                 for index, value in enumerate(values)]
    source, sink = Source(design, "bytes", data, stall), Sink(design, "load", stall)
    restarts = Restarts(design, source, begins)
    await run_cycles(design, [restarts, source, sink], lambda: len(sink.items) == len(want),
                     100 + 40 * len(data), linger=20)
    assert sink.items == want
    assert design.parameters.value == crc
    if not stall:
        assert sink.cycles[0] == 1 + 8 + 1
        steps = [after - before for before, after in zip(sink.cycles, sink.cycles[1:],
                                                         strict=False)]
        assert min(steps) == 2, "a word in 2 cycles"


@cocotb.test()
@cocotb.parametrize(stall=[0.0, 0.4])
async def bytes_are_put_together(design: Any, stall: float) -> None:
    await {"images": images, "words": words}[job()["part"]](design, stall)
