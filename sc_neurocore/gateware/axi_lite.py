"""The protocol of an AXI4-Lite subordinate: what is behind it sees whole reads and writes."""

from amaranth import *
from amaranth.lib import enum, wiring
from amaranth.lib.wiring import In, Out

DATA_BITS = 32
STROBES = DATA_BITS // 8


class Response(enum.Enum, shape=2):
    """BRESP and RRESP: those of them that are given here."""

    OKAY = 0
    SLVERR = 2


def axi_lite(address_bits: int) -> dict[str, wiring.Member]:
    """Ports of a subordinate, by AXI's names."""
    return {"awaddr": In(address_bits), "awprot": In(3), "awvalid": In(1), "awready": Out(1),
            "wdata": In(DATA_BITS), "wstrb": In(STROBES), "wvalid": In(1), "wready": Out(1),
            "bresp": Out(Response), "bvalid": Out(1), "bready": In(1),
            "araddr": In(address_bits), "arprot": In(3), "arvalid": In(1), "arready": Out(1),
            "rdata": Out(DATA_BITS), "rresp": Out(Response), "rvalid": Out(1), "rready": In(1)}


class AxiLite(wiring.Component):
    """Takes AXI4-Lite reads and writes, one of each at a time, and answers them.

    Address and data of a write may come in any order, and are taken together. Writes are of whole
    words: one of which some strobes are missing is answered by SLVERR and not executed, one without
    any strobe is not executed either, but is no error. The lowest two bits of addresses, and the
    protection, are ignored.

    Throughput: a write in 3 cycles, a read in 3 and those that ``read_done`` takes. Latency: a
    write is taken and executed in the cycle after both of its parts are there and the one before is
    answered, and answered in the next one; a read is answered in the cycle after ``read_done``.

    Parameters
    ----------
    address_bits : int
        Of byte addresses.

    Members
    -------
    awaddr, … rready
        AXI's. ``awready`` and ``wready`` wait for both of their valids, ``arready`` for none.
    write_address, read_address : Out
        Of a word.
    write_data : Out
    write : Out
        Write, in this cycle.
    write_error : In
        Nothing can be written to ``write_address``.
    read : Out
        A read is under way, until ``read_done``.
    read_done : In
        ``read_data`` and ``read_error`` are those of ``read_address``.
    read_data : In
    read_error : In
        Nothing can be read there.
    """

    def __init__(self, address_bits: int):
        word_bits = address_bits - 2
        super().__init__({
            **axi_lite(address_bits),
            "write_address": Out(word_bits), "write_data": Out(DATA_BITS), "write": Out(1),
            "write_error": In(1), "read_address": Out(word_bits), "read": Out(1),
            "read_done": In(1), "read_data": In(DATA_BITS), "read_error": In(1)})

    def elaborate(self, platform):
        m = Module()
        self._write(m)
        self._read(m)
        return m

    def _write(self, m: Module):
        # Handshakes of their own would leave address and data of different writes together for
        # ever, once a flipped bit has made one of them too many.
        takes, executes, is_partial = Signal(), Signal(), Signal()
        strobes = Signal(STROBES)
        m.d.comb += [self.awready.eq(takes), self.wready.eq(takes),
                     executes.eq(takes & self.awvalid & self.wvalid),
                     is_partial.eq(strobes.any() & ~strobes.all()),
                     self.write.eq(executes & strobes.all() & ~self.write_error)]
        m.d.sync += [takes.eq(self.awvalid & self.wvalid & ~takes & ~self.bvalid),
                     self.write_address.eq(self.awaddr[2:]), self.write_data.eq(self.wdata),
                     strobes.eq(self.wstrb)]
        with m.If(self.bready):
            m.d.sync += self.bvalid.eq(0)
        with m.If(executes):
            m.d.sync += [self.bvalid.eq(1),
                         self.bresp.eq(Mux(is_partial | self.write_error, Response.SLVERR,
                                           Response.OKAY))]

    def _read(self, m: Module):
        has_address = Signal()
        m.d.comb += [self.arready.eq(~has_address), self.read.eq(has_address & ~self.rvalid)]
        with m.If(self.arvalid & self.arready):
            m.d.sync += [has_address.eq(1), self.read_address.eq(self.araddr[2:])]
        with m.If(self.read & self.read_done):
            m.d.sync += [self.rvalid.eq(1), self.rdata.eq(self.read_data),
                         self.rresp.eq(Mux(self.read_error, Response.SLVERR, Response.OKAY))]
        with m.If(self.rvalid & self.rready):
            m.d.sync += [self.rvalid.eq(0), has_address.eq(0)]
