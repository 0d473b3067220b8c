from dataclasses import asdict

from amaranth import Module
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from sc_neurocore.gateware.link import Link
from sc_neurocore.protocol import CONSTANTS, LinkFormat

FORMAT = LinkFormat(beat_width=8, beats=2, transfers=12, n_output=3, count_width=4,
                    current_width=11)
CONTENT = bytes(range(100, 100 + sum(CONSTANTS.values())))
ADDRESS_WIDTH = 6
LOADED = {"format": asdict(FORMAT), "constants": list(CONTENT), "address_width": ADDRESS_WIDTH,
          "count": 200}
"""Parameters of the bench of a `LoadedMemory`, which passes."""


class LoadedMemory(wiring.Component):
    """A link that loads a memory, which can be read."""

    def __init__(self):
        self.link = Link(FORMAT, CONTENT, load=data.StructLayout({"address": ADDRESS_WIDTH,
                                                                  "data": 16}))
        members = dict(self.link.signature.members)
        del members["load"]
        super().__init__({**members, "read_address": In(ADDRESS_WIDTH), "read_data": Out(16)})

    def elaborate(self, platform):
        m = Module()
        m.submodules.link = link = self.link
        m.submodules.memory = words = memory.Memory(shape=16, depth=2**ADDRESS_WIDTH, init=[])
        write = words.write_port()
        read = words.read_port()
        m.d.comb += [write.addr.eq(link.load.payload.address),
                     write.data.eq(link.load.payload.data), write.en.eq(link.load.valid),
                     link.load.ready.eq(1), read.addr.eq(self.read_address),
                     self.read_data.eq(read.data), self.busy.eq(link.busy),
                     self.wrong.eq(link.wrong),
                     link.input_events.eq(self.input_events),
                     link.hidden_events.eq(self.hidden_events)]
        for name in ("received", "results"):
            wiring.connect(m, wiring.flipped(getattr(self, name)), getattr(link, name))
        for name in ("sent", "transfers"):
            wiring.connect(m, getattr(link, name), wiring.flipped(getattr(self, name)))
        return m


def test_commands_are_executed_once(simulate):
    simulate(Link(FORMAT, CONTENT, 0xDEADBEEF), "bench_link", format=asdict(FORMAT),
             constants=list(CONTENT), parameters=0xDEADBEEF, address_width=0, count=150)


def test_a_memory_is_loaded(simulate):
    simulate(LoadedMemory(), "bench_link", **LOADED)
