"""A board whose results come from what was loaded: a memory that an image is an address of."""

from amaranth import Module
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from sc_neurocore.gateware.link import Link
from sc_neurocore.gateware.uart import UartReceiver, UartTransmitter
from sc_neurocore.identity import shape_hash
from sc_neurocore.network import IntegerNetwork
from sc_neurocore.protocol import CONSTANTS, VERSION, LinkFormat, pack_fields

ADDRESS_WIDTH = 8


class LoadingBoard(wiring.Component):
    """A result's current is the word at the image's address, 16 bits, and its count the address.

    ``network`` has one input, of 8 bits, and one neuron.
    """

    rx: In(1, init=1)
    tx: Out(1, init=1)
    busy: Out(1)

    def __init__(self, network: IntegerNetwork, divisor: int):
        self._divisor = divisor
        self._format = format = LinkFormat.of(network, 1, 8, 16)
        self._constants = pack_fields(CONSTANTS, {
            "protocol": VERSION, "version": 0, "shape": shape_hash(network), "layout": 0,
            "beats": 1, "buffer_bytes": format.buffer_bytes, "window": format.window(0),
            "count_width": 8, "current_width": 16, "loads": 1, "clock_hz": 0})
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        m.submodules.receiver = receiver = UartReceiver(self._divisor)
        m.submodules.transmitter = transmitter = UartTransmitter(self._divisor)
        m.submodules.link = link = Link(self._format, self._constants, load=data.StructLayout(
            {"address": ADDRESS_WIDTH, "data": 16}))
        m.submodules.memory = words = memory.Memory(shape=16, depth=2**ADDRESS_WIDTH, init=[])
        write = words.write_port()
        read = words.read_port()
        wiring.connect(m, receiver.bytes, link.received)
        wiring.connect(m, link.sent, transmitter.bytes)
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx), self.busy.eq(link.busy),
                     write.addr.eq(link.load.payload.address),
                     write.data.eq(link.load.payload.data), write.en.eq(link.load.valid),
                     link.load.ready.eq(1), link.transfers.ready.eq(1),
                     read.addr.eq(link.transfers.payload),
                     link.results.payload.current.eq(read.data),
                     link.results.payload.last.eq(1)]
        m.d.sync += [link.results.valid.eq(link.transfers.valid),
                     link.results.payload.count.eq(link.transfers.payload)]
        return m
