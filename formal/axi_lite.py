"""AXI4-Lite: one answer for each request, which stands until it is taken."""

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Cat, Module, Mux, Signal, Value
from amaranth.lib import data
from test_mutations import Mutation

from sc_neurocore.axi_ports import COUNTERS
from sc_neurocore.gateware.axi_lite import AxiLite, Response
from sc_neurocore.gateware.axi_registers import AxiRegisters
from sc_neurocore.protocol import CORRUPTED

from .harness import (
    Channel,
    Proof,
    helps,
    inside,
    is_taken,
    new,
    offers,
    past,
    signal,
    takes,
    waits,
)

ADDRESS_BITS = 5
OKAY, SLVERR = Response.OKAY.value, Response.SLVERR.value


def requests(m: Module, bus) -> list[Signal]:
    """How many addresses to write to, data to write, and addresses to read from were taken that are
    not answered yet. Managers may do anything that AXI lets them, and rely on its rules."""
    asked = (Channel(Cat(bus.awaddr, bus.awprot), bus.awvalid, bus.awready),
             Channel(Cat(bus.wdata, bus.wstrb), bus.wvalid, bus.wready),
             Channel(Cat(bus.araddr, bus.arprot), bus.arvalid, bus.arready))
    written = Channel(bus.bresp, bus.bvalid, bus.bready)
    read = Channel(Cat(bus.rdata, bus.rresp), bus.rvalid, bus.rready)
    takes(m, written, "written")
    takes(m, read, "read")
    counts = []
    for channel, answer, most, name in zip(asked, (written, written, read), (2, 2, 1),
                                           ("aw", "w", "ar"), strict=True):
        offers(m, channel, name)
        count = Signal(range(most + 2), name=f"{name}_count")
        m.d.sync += count.eq(count + is_taken(channel) - is_taken(answer))
        m.d.comb += Assert(~answer.valid | (count != 0))
        helps(m, count <= most)
        counts.append(count)
    waits(m, (counts[0] != 0) & (counts[1] != 0) & ~bus.bvalid, 1)
    return counts


def bus() -> Module:
    """The protocol, in front of anything."""
    m = new()
    m.submodules.bus = bus = AxiLite(ADDRESS_BITS)
    addresses, words, reads = requests(m, bus)
    m.d.comb += [port.eq(AnySeq(len(port))) for port in
                 (bus.write_error, bus.read_done, bus.read_data, bus.read_error)]
    place, word, strobes, source = (Signal(ADDRESS_BITS - 2), Signal(32), Signal(4),
                                    Signal(ADDRESS_BITS - 2))
    for valid, ready, kept, came in (
            (bus.awvalid, bus.awready, place, bus.awaddr[2:]),
            (bus.wvalid, bus.wready, Cat(word, strobes), Cat(bus.wdata, bus.wstrb)),
            (bus.arvalid, bus.arready, source, bus.araddr[2:])):
        with m.If(valid & ready):
            m.d.sync += kept.eq(came)

    executes = (addresses != 0) & (words != 0) & ~bus.bvalid
    done = bus.read & bus.read_done
    failed = past(m, (strobes.any() & ~strobes.all()) | bus.write_error, "failed")
    wrote, error = past(m, executes, "executes"), past(m, bus.read_error, "error")
    has_read, data = past(m, done, "done"), past(m, bus.read_data, "data")
    m.d.comb += [
        Assert(bus.write == (executes & strobes.all() & ~bus.write_error)),
        Assert(~bus.write | ((bus.write_address == place) & (bus.write_data == word))),
        Assert(~wrote | bus.bvalid),
        Assert(~wrote | (bus.bresp.as_value() == Mux(failed, SLVERR, OKAY))),
        Assert(bus.read == ((reads != 0) & ~bus.rvalid)),
        Assert(~bus.read | (bus.read_address == source)),
        Assert(~has_read | bus.rvalid),
        Assert(~has_read | ((bus.rdata == data)
                            & (bus.rresp.as_value() == Mux(error, SLVERR, OKAY))))]
    follows(m, bus, addresses, words, reads)
    helps(m, signal(inside(bus), "strobes") == strobes, bus.write_address == place,
          bus.write_data == word, bus.read_address == source)
    return m


def follows(m: Module, bus, addresses: Value, words: Value, reads: Value):
    """Help: what `AxiLite` is ready for says what it has."""
    helps(m, ~bus.awready + bus.bvalid == addresses, ~bus.wready + bus.bvalid == words,
          ~bus.arready == reads)


def registers() -> Module:
    """All registers, counters among them, and words to load."""
    m = new()
    layout = data.StructLayout({"address": 5, "data": 16})
    m.submodules.registers = registers = AxiRegisters({}, load=layout, parity=True)
    addresses, words, reads = requests(m, registers)
    m.d.comb += [port.eq(AnySeq(len(port))) for port in
                 (registers.busy, *(getattr(registers, name) for name in (*COUNTERS, *CORRUPTED)))]
    # A word is loaded by the write that is answered in the next cycle.
    load = past(m, registers.load.valid, "load")
    m.d.comb += [Assert(~registers.load.valid
                        | ((addresses != 0) & (words != 0) & ~registers.bvalid & ~registers.busy)),
                 Assert(~load | registers.bvalid)]
    follows(m, registers, addresses, words, reads)
    return m


PROOFS = {
    "axi_lite": Proof(
        "AxiLite", "a read or write is executed once, with its address and data, and answered "
        "once; answers stand", bus,
        (Mutation("axi_lite.py", "has_address & has_data & ~self.bvalid",
                  "has_address & has_data"),
         Mutation("axi_lite.py", "with m.If(self.bready):", "with m.If(1):"),
         Mutation("axi_lite.py", "[has_address.eq(0), has_data.eq(0), self.bvalid.eq(1),",
                  "[has_address.eq(0), self.bvalid.eq(1),"),
         Mutation("axi_lite.py", "self.awready.eq(~has_address)", "self.awready.eq(1)"),
         Mutation("axi_lite.py", "strobes.any() & ~strobes.all()", "~strobes.all()"),
         Mutation("axi_lite.py", "self.read.eq(has_address & ~self.rvalid)",
                  "self.read.eq(has_address)"),
         Mutation("axi_lite.py", "self.arready.eq(~has_address)", "self.arready.eq(1)"),
         Mutation("axi_lite.py", "self.rdata.eq(self.read_data)", "self.rdata.eq(0)"),
         Mutation("axi_lite.py", "self.write_address.eq(self.awaddr[2:])",
                  "self.write_address.eq(self.awaddr[:-2])"),
         Mutation("axi_lite.py", "self.read_address.eq(self.araddr[2:])",
                  "self.read_address.eq(self.araddr[:-2])"))),
    "axi_registers": Proof(
        "AxiRegisters", "a request is answered once; a word is loaded by one write; answers stand",
        registers,
        (Mutation("axi_lite.py", "self.read.eq(has_address & ~self.rvalid)",
                  "self.read.eq(has_address)"),
         Mutation("axi_lite.py", "has_address & has_data & ~self.bvalid",
                  "has_address & has_data"),
         Mutation("axi_registers.py", "with m.If(bus.write & self.busy):", "with m.If(0):"),
         Mutation("axi_registers.py", "with m.Elif(bus.write):", "with m.Else():"))),
}
