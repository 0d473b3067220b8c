"""An accelerator with AXI ports: what goes into a block design."""

from amaranth import *
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from .. import axi_ports
from ..network import IntegerNetwork
from ..protocol import LinkFormat
from ..spec import AcceleratorSpec
from ..timing import longest_image
from .accelerator import CountedAccelerator
from .axi_lite import axi_lite
from .axi_registers import AxiRegisters
from .axi_stream import ImagePackets, ResultPackets
from .watchdog import Watchdog


class AxiTop(wiring.Component):
    """A network behind AXI4-Stream and AXI4-Lite, as ``docs/axi.md`` describes it.

    The accelerator is reset whenever the last image has left it. If it stops, which no image makes
    it do, or if images and results don't go together, it is reset and all images in it are given
    up, each with a packet that says that it is broken.

    Throughput: a beat a cycle either way, if the accelerator is not busy. Latency: that of the
    accelerator, and 1 cycle.

    Parameters
    ----------
    network : IntegerNetwork
        What it computes.
    spec : AcceleratorSpec
        How it is laid out.

    Members
    -------
    aclk : In
        Everything is clocked at its rising edge.
    aresetn : In
        Synchronous, active low.
    s_axis_tdata, … s_axis_tready
        Packets of images, see `ImagePackets`.
    m_axis_tdata, … m_axis_tready
        Packets of results, see `ResultPackets`.
    s_axi_awaddr, … s_axi_rready
        Registers, see `AxiRegisters` and `axi_ports.REGISTERS`.

    Raises
    ------
    ValueError
        If ``spec`` is not a layout of ``network``, or its currents have more than 32 bits.
    """

    def __init__(self, network: IntegerNetwork, spec: AcceleratorSpec):
        axi_ports.check(network, spec)
        self._network, self._spec = network, spec
        data_bits = axi_ports.image_data_bits(network, spec)
        super().__init__({
            "aclk": In(1), "aresetn": In(1),
            "s_axis_tdata": In(data_bits), "s_axis_tkeep": In(data_bits // 8),
            "s_axis_tlast": In(1), "s_axis_tvalid": In(1), "s_axis_tready": Out(1),
            "m_axis_tdata": Out(axi_ports.RESULT_BITS), "m_axis_tlast": Out(1),
            "m_axis_tvalid": Out(1), "m_axis_tready": In(1),
            **{f"s_axi_{name}": member
               for name, member in axi_lite(axi_ports.ADDRESS_BITS).items()}})
        # Vivado tells streams and registers by their names, but not what the clock is of.
        self.aclk.attrs.update(
            X_INTERFACE_INFO="xilinx.com:signal:clock:1.0 aclk CLK",
            X_INTERFACE_PARAMETER="ASSOCIATED_BUSIF s_axis:m_axis:s_axi, ASSOCIATED_RESET aresetn")
        self.aresetn.attrs.update(X_INTERFACE_INFO="xilinx.com:signal:reset:1.0 aresetn RST",
                                  X_INTERFACE_PARAMETER="POLARITY ACTIVE_LOW")

    def elaborate(self, platform):
        m = Module()
        network, spec = self._network, self._spec
        form = LinkFormat.of(network, spec.beats)
        accelerator = CountedAccelerator(network, spec)
        registers = AxiRegisters(
            axi_ports.constants(network, spec), len(accelerator.input_events),
            len(accelerator.hidden_events),
            accelerator.load.payload.shape() if spec.loaded else None, spec.parity)
        images = ImagePackets(len(self.s_axis_tdata), form.beat_width * form.beats,
                              form.transfers, axi_ports.last_beat_bytes(network, spec))
        results = ResultPackets(accelerator.results.payload.shape(), network.n_output)
        m.submodules.watchdog = watchdog = Watchdog(longest_image(network, spec) + 1)
        empty, was_empty, emptied = Signal(), Signal(init=1), Signal()
        m.d.comb += [empty.eq(~images.begun & ~results.working), emptied.eq(empty & ~was_empty)]
        m.d.sync += was_empty.eq(empty)
        self._clock(m, registers.restart | results.gives_up | emptied)
        m.submodules.accelerator = DomainRenamer("core")(accelerator)
        m.submodules.registers, m.submodules.images = registers, images
        m.submodules.results = results

        self._expose(m, "s_axis", images, ("tdata", "tkeep", "tlast", "tvalid"), ("tready",))
        self._expose(m, "m_axis", results, ("tready",), ("tdata", "tlast", "tvalid"))
        lite = axi_lite(axi_ports.ADDRESS_BITS)
        self._expose(m, "s_axi", registers, [name for name in lite if lite[name].flow == In],
                     [name for name in lite if lite[name].flow == Out])
        inputs = accelerator.spikes if network.encoder == "events" else accelerator.intensities
        m.d.comb += [Value.cast(inputs.payload).eq(images.transfers.payload),
                     inputs.valid.eq(images.transfers.valid),
                     images.transfers.ready.eq(inputs.ready)]
        wiring.connect(m, accelerator.results, results.results)
        if spec.loaded:
            wiring.connect(m, registers.load, accelerator.load)
        if spec.parity:
            m.d.comb += [registers.corrupted_layer.eq(accelerator.corrupted_layer),
                         registers.corrupted_row.eq(accelerator.corrupted_row)]
        m.d.comb += [
            images.room.eq(results.room), images.restart.eq(registers.restart),
            results.image_end.eq(images.image_end), results.broken.eq(images.broken),
            results.restart.eq(registers.restart), results.begun.eq(images.begun),
            images.holds.eq(results.holds | emptied),
            watchdog.working.eq(results.working), watchdog.moves.eq(accelerator.results.valid),
            results.stopped.eq(watchdog.expired), registers.restarts.eq(results.fails),
            registers.busy.eq(~empty | emptied | results.gives_up | results.tvalid),
            registers.cycles.eq(results.working), registers.images.eq(results.image_done),
            registers.input_events.eq(accelerator.input_events),
            registers.hidden_events.eq(accelerator.hidden_events),
            registers.short_packets.eq(images.is_short), registers.long_packets.eq(images.is_long)]
        return m

    def _clock(self, m: Module, restart: Value):
        """One clock; the accelerator, in the domain ``core``, has a reset of its own."""
        m.domains.sync = ClockDomain()
        m.domains.core = ClockDomain()
        m.d.comb += [ClockSignal("sync").eq(self.aclk), ClockSignal("core").eq(self.aclk),
                     ResetSignal("sync").eq(~self.aresetn),
                     ResetSignal("core").eq(~self.aresetn | restart)]

    def _expose(self, m: Module, prefix: str, component: wiring.Component, inputs, outputs):
        """Join a component's AXI signals to the ports of the same names with a prefix."""
        m.d.comb += [getattr(component, name).eq(getattr(self, f"{prefix}_{name}"))
                     for name in inputs]
        m.d.comb += [getattr(self, f"{prefix}_{name}").eq(getattr(component, name))
                     for name in outputs]
