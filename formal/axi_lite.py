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


def requests(m: Module, bus) -> tuple[Value, Signal]:
    """Whether a write is taken, and how many reads are not answered yet. Managers may do anything
    that AXI lets them, and rely on its rules."""
    address, word = (Channel(Cat(bus.awaddr, bus.awprot), bus.awvalid, bus.awready),
                     Channel(Cat(bus.wdata, bus.wstrb), bus.wvalid, bus.wready))
    source = Channel(Cat(bus.araddr, bus.arprot), bus.arvalid, bus.arready)
    for channel, name in ((address, "aw"), (word, "w"), (source, "ar")):
        offers(m, channel, name)
    counts = []
    for asked, answer, name in (
            (address, Channel(bus.bresp, bus.bvalid, bus.bready), "writes"),
            (source, Channel(Cat(bus.rdata, bus.rresp), bus.rvalid, bus.rready), "reads")):
        takes(m, answer, f"answer_of_{name}")
        count = Signal(2, name=name)
        m.d.sync += count.eq(count + is_taken(asked) - is_taken(answer))
        m.d.comb += Assert(~answer.valid | (count != 0))
        counts.append(count)
    m.d.comb += Assert(is_taken(address) == is_taken(word))
    waits(m, bus.awvalid & bus.wvalid & ~bus.bvalid & ~bus.awready, 1)
    writes, reads = counts
    helps(m, ~(bus.awready | bus.wready) | (bus.awvalid & bus.wvalid & ~bus.bvalid),
          bus.bvalid == writes, ~bus.arready == reads)
    return is_taken(address), reads


def bus() -> Module:
    """The protocol, in front of anything."""
    m = new()
    m.submodules.bus = bus = AxiLite(ADDRESS_BITS)
    executes, reads = requests(m, bus)
    m.d.comb += [port.eq(AnySeq(len(port))) for port in
                 (bus.write_error, bus.read_done, bus.read_data, bus.read_error)]
    source = Signal(ADDRESS_BITS - 2)
    with m.If(bus.arvalid & bus.arready):
        m.d.sync += source.eq(bus.araddr[2:])

    done = bus.read & bus.read_done
    failed = past(m, (bus.wstrb.any() & ~bus.wstrb.all()) | bus.write_error, "failed")
    wrote, error = past(m, executes, "executes"), past(m, bus.read_error, "error")
    has_read, data = past(m, done, "done"), past(m, bus.read_data, "data")
    m.d.comb += [
        Assert(bus.write == (executes & bus.wstrb.all() & ~bus.write_error)),
        Assert(~bus.write | ((bus.write_address == bus.awaddr[2:])
                             & (bus.write_data == bus.wdata))),
        Assert(~wrote | bus.bvalid),
        Assert(~wrote | (bus.bresp.as_value() == Mux(failed, SLVERR, OKAY))),
        Assert(bus.read == ((reads != 0) & ~bus.rvalid)),
        Assert(~bus.read | (bus.read_address == source)),
        Assert(~has_read | bus.rvalid),
        Assert(~has_read | ((bus.rdata == data)
                            & (bus.rresp.as_value() == Mux(error, SLVERR, OKAY))))]
    helps(m, ~bus.awready | (signal(inside(bus), "strobes") == bus.wstrb),
          ~bus.awready | (bus.write_address == bus.awaddr[2:]),
          ~bus.awready | (bus.write_data == bus.wdata), bus.read_address == source)
    return m


def registers() -> Module:
    """All registers, counters among them, and words to load."""
    m = new()
    layout = data.StructLayout({"address": 5, "data": 16})
    m.submodules.registers = registers = AxiRegisters({}, load=layout, parity=True)
    executes, _ = requests(m, registers)
    m.d.comb += [port.eq(AnySeq(len(port))) for port in
                 (registers.busy, *(getattr(registers, name) for name in (*COUNTERS, *CORRUPTED)))]
    # A word is loaded by the write that is answered in the next cycle.
    load = past(m, registers.load.valid, "load")
    m.d.comb += [Assert(~registers.load.valid | (executes & ~registers.busy)),
                 Assert(~load | registers.bvalid)]
    return m


PROOFS = {
    "axi_lite": Proof(
        "AxiLite", "a read or write is executed once, with its address and data, and answered "
        "once; answers stand", bus,
        (Mutation("axi_lite.py", "~takes & ~self.bvalid)", "~takes)"),
         Mutation("axi_lite.py", "self.wvalid & ~takes &", "self.wvalid &"),
         Mutation("axi_lite.py", "takes.eq(self.awvalid & self.wvalid", "takes.eq(self.awvalid"),
         Mutation("axi_lite.py", "takes.eq(self.awvalid", "takes.eq(self.awvalid & self.bready"),
         Mutation("axi_lite.py", "with m.If(self.bready):", "with m.If(1):"),
         Mutation("axi_lite.py", "with m.If(executes):", "with m.If(self.write):"),
         Mutation("axi_lite.py", "self.awready.eq(takes)", "self.awready.eq(1)"),
         Mutation("axi_lite.py", "self.write_data.eq(self.wdata)", "self.write_data.eq(0)"),
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
         Mutation("axi_lite.py", "~takes & ~self.bvalid)", "~takes)"),
         Mutation("axi_lite.py", "self.awready.eq(takes)", "self.awready.eq(1)"),
         Mutation("axi_lite.py", "takes.eq(self.awvalid", "takes.eq(self.awvalid & self.bready"),
         Mutation("axi_registers.py", "with m.If(bus.write & self.busy):", "with m.If(0):"),
         Mutation("axi_registers.py", "with m.Elif(bus.write):", "with m.Else():"))),
}
