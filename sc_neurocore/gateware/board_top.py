"""The whole of a board but its pins: accelerator, link and UART."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .. import __version__
from ..identity import layout_hash, parameters_crc32, shape_hash, version_number
from ..network import IntegerNetwork
from ..protocol import CONSTANTS, VERSION, LinkFormat, pack_fields
from ..spec import AcceleratorSpec
from ..timing import longest_image
from .accelerator import CountedAccelerator
from .link import Link
from .uart import FRAME_BITS, UartReceiver, UartTransmitter, baud_divisor
from .watchdog import Watchdog


class BoardTop(wiring.Component):
    """A network behind a UART, as ``docs/link.md`` describes it.

    What a platform adds is a clock, the pins and their names. Everything is in the domain ``sync``.

    The accelerator is reset whenever there is no image for it. When something is under way, and
    nothing has moved for longer than any image may take, a watchdog restarts all but itself,
    whatever the reason; so it does at once when images and results don't go together. Then the host
    is told, and loaded parameters stay.

    Parameters
    ----------
    network : IntegerNetwork
        What it computes.
    spec : AcceleratorSpec
        How it is laid out.
    clock_hz : float
        Frequency of ``sync``.
    baud : float
        Bits a second on the line; a whole part of the clock, within 2 %.

    Members
    -------
    rx : In
        From the host, not in step with the clock; high while there is nothing.
    tx : Out
        To the host.
    busy : Out
        A command is not answered yet, see `Link`; for a lamp.

    Raises
    ------
    ValueError
        If ``spec`` is not a layout of ``network``, or the baud rate can't be had.
    """

    rx: In(1, init=1)
    tx: Out(1, init=1)
    busy: Out(1)

    def __init__(self, network: IntegerNetwork, spec: AcceleratorSpec, clock_hz: float,
                 baud: float):
        self._network, self._divisor = network, baud_divisor(clock_hz, baud)
        self._parity = spec.parity
        self._accelerator = CountedAccelerator(network, spec)
        self._loads = (self._accelerator.load.payload.shape()
                       if "load" in self._accelerator.signature.members else None)
        result = self._accelerator.results.payload.shape()
        self._format = LinkFormat.of(network, spec.beats, result["count"].width,
                                     result["current"].width)
        buffered = 0 if network.encoder == "events" else 2
        self._constants = pack_fields(CONSTANTS, {
            "protocol": VERSION, "version": version_number(__version__),
            "shape": shape_hash(network), "layout": layout_hash(spec), "beats": spec.beats,
            "buffer_bytes": self._format.buffer_bytes, "window": self._format.window(buffered),
            "count_width": self._format.count_width, "current_width": self._format.current_width,
            "loads": self._loads is not None, "clock_hz": round(clock_hz)})
        self._parameters = 0 if self._loads else parameters_crc32(network)
        self._longest = longest_image(network, spec)
        # Between two moves of the link, results and bytes of answers, an image is read and worked
        # on, parameters or an echo are read, and a byte is on the line.
        self._longest_pause = (self._longest + self._format.image_bytes
                               + self._format.buffer_bytes + 2 * FRAME_BITS * self._divisor)
        super().__init__()

    def elaborate(self, platform):
        m = Module()
        accelerator = self._accelerator
        receiver, transmitter = UartReceiver(self._divisor), UartTransmitter(self._divisor)
        link = Link(self._format, self._constants, self._parameters, self._loads,
                    len(accelerator.input_events), len(accelerator.hidden_events), self._parity)
        m.submodules.images_watchdog = of_images = Watchdog(self._longest + 1)
        m.submodules.link_watchdog = of_link = Watchdog(self._longest_pause)
        restart = Signal()
        m.submodules.accelerator = ResetInserter(restart | link.still)(accelerator)
        m.submodules.link = ResetInserter(restart)(link)
        # Whatever happens to these is over after a byte; one that is cut would be two broken ones.
        m.submodules.receiver, m.submodules.transmitter = receiver, transmitter
        result = accelerator.results.valid
        m.d.comb += [of_images.working.eq(link.computes), of_images.moves.eq(result),
                     of_link.working.eq(link.busy),
                     of_link.moves.eq(result | (link.sent.valid & link.sent.ready))]
        stops = of_images.expired | of_link.expired | link.wrong
        m.d.sync += [restart.eq(stops & ~restart),      # what stops is not reset until then
                     link.restarted.eq(restart), link.restarts.eq(link.restarts + restart)]
        m.d.comb += [receiver.rx.eq(self.rx), self.tx.eq(transmitter.tx), self.busy.eq(link.busy),
                     link.input_events.eq(accelerator.input_events),
                     link.hidden_events.eq(accelerator.hidden_events)]
        wiring.connect(m, receiver.bytes, link.received)
        wiring.connect(m, link.sent, transmitter.bytes)
        wiring.connect(m, accelerator.results, link.results)
        if self._loads is not None:
            wiring.connect(m, link.load, accelerator.load)
        if self._parity:
            m.d.comb += [link.corrupted_layer.eq(accelerator.corrupted_layer),
                         link.corrupted_row.eq(accelerator.corrupted_row)]
        inputs = getattr(accelerator, "spikes" if self._network.encoder == "events"
                         else "intensities")
        m.d.comb += [Value.cast(inputs.payload).eq(link.transfers.payload),
                     inputs.valid.eq(link.transfers.valid), link.transfers.ready.eq(inputs.ready)]
        return m
