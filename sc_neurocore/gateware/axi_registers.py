"""The registers that `axi_ports.REGISTERS` lists, behind an AXI4-Lite port."""

from collections.abc import Mapping

from amaranth import *
from amaranth.lib import data, stream, wiring
from amaranth.lib.wiring import In, Out

from ..axi_ports import ADDRESS_BITS, BY_NAME, COUNTERS, COUNTERS_OFFSET
from ..parameters import WORD_WIDTH
from ..protocol import CORRUPTED
from .axi_lite import AxiLite, axi_lite
from .counters import Counters

STICKY = ("SHORT", "LONG", "REFUSED", "RESTARTED")
"""Bits of STATUS that stay."""
READ_BYTES = 8
"""Of a counter, taken from the ring in a row: its low and its high word."""


class AxiRegisters(wiring.Component):
    """Constants, commands, status and counters for a processor; and parameters from it.

    Throughput: as `AxiLite`; a counter is read within as many cycles as all counters have bytes,
    and 8 more.

    Parameters
    ----------
    constants : mapping of str to int
        `axi_ports.constants`.
    input_width, hidden_width : int
        Bits of ``input_events`` and ``hidden_events``.
    load : StructLayout of ``address`` and 16 bits of ``data``, optional
        What parameters are loaded with; by default they can't be.
    parity : bool
        Rows of weights have parity.

    Members
    -------
    awaddr, … rready
        AXI4-Lite, see `AxiLite`.
    cycles, input_events, hidden_events, images, short_packets, long_packets, restarts : In
        What is added to each counter in this cycle.
    busy : In
        Nothing can be loaded, as there is an image in the accelerator.
    restart : Out
        For a cycle: the accelerator is to be reset.
    corrupted_layer, corrupted_row : In
        With ``parity``: those of `Accelerator`.
    load : Out, stream
        Words to load, which must be taken at once; only where they can be.
    """

    def __init__(self, constants: Mapping[str, int], input_width: int = 1, hidden_width: int = 1,
                 load: data.StructLayout | None = None, parity: bool = False):
        self._constants, self._load, self._parity = dict(constants), load, parity
        widths = {"input_events": input_width, "hidden_events": hidden_width}
        members = {**axi_lite(ADDRESS_BITS), "busy": In(1), "restart": Out(1),
                   **{name: In(widths.get(name, 1)) for name in COUNTERS}}
        if load is not None:
            members["load"] = Out(stream.Signature(load))
        if parity:
            members |= dict.fromkeys(CORRUPTED, In(32))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        m.submodules.bus = bus = AxiLite(ADDRESS_BITS)
        for name, member in axi_lite(ADDRESS_BITS).items():
            outer, inner = getattr(self, name), getattr(bus, name)
            m.d.comb += outer.eq(inner) if member.flow == Out else inner.eq(outer)

        clear = Signal()
        status = Signal(data.StructLayout(dict.fromkeys(BY_NAME["STATUS"].bits, 1)))
        readable = {name: Const(value, 32) for name, value in self._constants.items()}
        readable |= {"CONTROL": Const(0), "STATUS": status.as_value()}
        if self._parity:
            readable |= {name.upper(): getattr(self, name) for name in CORRUPTED}
        m.d.comb += status.BUSY.eq(self.busy)
        m.d.sync += self.restart.eq(0)
        with m.Switch(bus.write_address):
            with m.Case(_word("CONTROL")):
                control = BY_NAME["CONTROL"].bits
                with m.If(bus.write):
                    m.d.sync += [self.restart.eq(bus.write_data[control["RESET"][0]]),
                                 clear.eq(clear | bus.write_data[control["CLEAR"][0]])]
            with m.Case(_word("STATUS")):
                with m.If(bus.write):
                    for name in STICKY:
                        bit = BY_NAME["STATUS"].bits[name][0]
                        m.d.sync += status[name].eq(status[name] & ~bus.write_data[bit])
            if self._load is not None:
                readable |= self._loading(m, bus, status)
            with m.Default():
                m.d.comb += bus.write_error.eq(1)
        with m.If(self.short_packets):
            m.d.sync += status.SHORT.eq(1)
        with m.If(self.long_packets):
            m.d.sync += status.LONG.eq(1)
        with m.If(self.restarts):
            m.d.sync += status.RESTARTED.eq(1)
        self._read(m, bus, readable, clear)
        return m

    def _loading(self, m: Module, bus: AxiLite, status: data.View) -> dict[str, Value]:
        """Cases of the switch over addresses that are written to; returns what can be read."""
        parameters = Signal(32)
        address = Signal.like(self.load.payload.address)
        m.d.comb += [self.load.payload.address.eq(address),
                     self.load.payload.data.eq(bus.write_data[:WORD_WIDTH])]
        with m.Case(_word("PARAMETERS")):
            with m.If(bus.write):
                m.d.sync += parameters.eq(bus.write_data)
        with m.Case(_word("LOAD_ADDRESS")):
            with m.If(bus.write):
                m.d.sync += address.eq(bus.write_data)
        with m.Case(_word("LOAD_DATA")):
            with m.If(bus.write & self.busy):
                m.d.sync += status.REFUSED.eq(1)
            with m.Elif(bus.write):
                m.d.comb += self.load.valid.eq(1)
                m.d.sync += [address.eq(address + 1), parameters.eq(0)]
        return {"PARAMETERS": parameters, "LOAD_ADDRESS": address, "LOAD_DATA": Const(0)}

    def _read(self, m: Module, bus: AxiLite, readable: Mapping[str, Value], clear: Value):
        """Answer a read: at once, but a counter's low word when the ring has brought it."""
        is_counter = Signal()
        number = bus.read_address - COUNTERS_OFFSET // 4
        word, done = self._collect(m, bus.read & is_counter, number, clear)
        m.d.comb += bus.read_done.eq(~is_counter | done)
        with m.Switch(bus.read_address):
            for name, value in readable.items():
                with m.Case(_word(name)):
                    m.d.comb += bus.read_data.eq(value)
            for name, size in COUNTERS.items():
                low, high = name.upper(), ""
                if size == READ_BYTES:
                    low, high = f"{low}_LOW", f"{low}_HIGH"
                with m.Case(_word(low)):
                    m.d.comb += [bus.read_data.eq(word[:32]), is_counter.eq(1)]
                if high:
                    with m.Case(_word(high)):
                        m.d.comb += bus.read_data.eq(word[32:])
            with m.Default():
                m.d.comb += bus.read_error.eq(1)

    def _collect(self, m: Module, wanted: Value, number: Value, clear: Value
                 ) -> tuple[Signal, Signal]:
        """Take a counter from the ring, which begins with word ``number``; tells when it is done.

        The counters are cleared while none is being taken.
        """
        clears = Signal()
        m.submodules.counters = counters = ResetInserter(clears)(Counters(
            [(2**len(getattr(self, name)) - 1, size) for name, size in COUNTERS.items()]))
        m.d.comb += [getattr(counters, f"add_{index}").eq(getattr(self, name))
                     for index, name in enumerate(COUNTERS)]
        collected = Signal(8 * READ_BYTES)
        left = Signal(range(READ_BYTES + 1))
        takes, done = Signal(), Signal()
        begins = (wanted & ~done & ~clear
                  & (Cat(Const(0, 2), number[:len(counters.place) - 2]) == counters.place))
        m.d.comb += [takes.eq(begins | (left != 0)), clears.eq(clear & (left == 0))]
        m.d.sync += done.eq(left == 1)
        with m.If(takes):
            m.d.sync += [collected.eq(Cat(collected[8:], counters.byte)),
                         left.eq(Mux(left == 0, READ_BYTES, left) - 1)]
        with m.If(clears):
            m.d.sync += clear.eq(0)
        return collected, done


def _word(name: str) -> int:
    return BY_NAME[name].offset // 4
