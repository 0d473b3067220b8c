"""Event buffer: keeps a timestep's events for a layer to go through once a fold."""

from amaranth import *
from amaranth.lib import memory, stream, wiring
from amaranth.lib.wiring import In, Out
from amaranth.utils import ceil_log2

from .double_buffer import DoubleBuffer
from .layouts import event, index_shape


class EventBuffer(wiring.Component):
    """Collects the events of a timestep while those of the timestep before are read, in any order.

    Throughput: an event in and an address out a cycle. Latency: a timestep can be read a cycle
    after its last event came in; an address follows its index a cycle later.

    Parameters
    ----------
    n_input : int
        Addresses, and the most events a timestep.

    Members
    -------
    events : In, stream of `layouts.event`
        Events without a spike are dropped.
    full : Out
        A timestep can be read.
    length : Out
        Its number of events.
    index : In
        Event to be read.
    address : Out
        Its address, a cycle later.
    release : In
        The timestep is done with; the next one may have come already. Only while ``full``.
    """

    def __init__(self, n_input: int):
        self._n_input = n_input
        super().__init__({"events": In(stream.Signature(event(n_input))),
                          "full": Out(1), "length": Out(range(n_input + 1)),
                          "index": In(index_shape(n_input)), "address": Out(index_shape(n_input)),
                          "release": In(1)})

    def elaborate(self, platform):
        m = Module()
        index_width = ceil_log2(self._n_input)
        m.submodules.halves = halves = DoubleBuffer()
        m.submodules.addresses = addresses = memory.Memory(
            shape=index_shape(self._n_input), depth=2 << index_width, init=[])
        lengths = Array(Signal(range(self._n_input + 1), name=f"length_{half}") for half in (0, 1))

        write = addresses.write_port()
        incoming = self.events.payload
        written = Signal(range(self._n_input + 1))
        transfer = self.events.valid & self.events.ready
        m.d.comb += [self.events.ready.eq(halves.can_fill),
                     write.addr.eq(Cat(written[:index_width], halves.fill)),
                     write.data.eq(incoming.address), write.en.eq(transfer & incoming.spike),
                     halves.filled.eq(transfer & incoming.last)]
        with m.If(transfer):
            m.d.sync += written.eq(written + incoming.spike)
            with m.If(incoming.last):
                m.d.sync += [written.eq(0),
                             lengths[halves.fill].eq(written + incoming.spike)]

        read = addresses.read_port()
        m.d.comb += [self.full.eq(halves.can_drain), self.length.eq(lengths[halves.drain]),
                     read.addr.eq(Cat(self.index[:index_width], halves.drain)),
                     self.address.eq(read.data), halves.drained.eq(self.release)]
        return m
