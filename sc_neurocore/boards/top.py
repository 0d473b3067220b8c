"""A board's clock, reset and pins around its gateware, and what nextpnr gets to know of them."""

from dataclasses import dataclass
from typing import Any

from amaranth.build import Attrs
from amaranth.hdl import (
    C,
    ClockDomain,
    ClockSignal,
    Elaboratable,
    Instance,
    Module,
    ResetSignal,
    Signal,
)
from amaranth.lib import io, wiring
from amaranth.lib.cdc import FFSynchronizer
from amaranth.lib.wiring import In, Out

from ..gateware.board_top import BoardTop
from ..gateware.uart import baud_divisor
from ..network import IntegerNetwork
from ..spec import AcceleratorSpec
from ..synthesis.flows import FLOWS
from ..verilog import writing
from . import Board
from .pll import CHOOSE, AnyPll, Ecp5Pll, GowinPll, Ice40Pll

TOP = "board"
RESET_S = 15e-6
"""How long the reset lasts once the PLL has locked. Block RAM of iCE40 reads as 0 for some 3 µs
after configuration (icestorm issue 76; amaranth waits as long for it)."""


@dataclass(frozen=True)
class Source:
    """What is to be mapped and placed: Verilog, nextpnr's constraints, and the clock in it."""

    verilog: str
    constraints: str
    clock_hz: float


@dataclass(frozen=True)
class Pins:
    """Where a board's oscillator, UART and lamp are: pins of its FPGA's package.

    ``lamp_inverted``: whether the lamp is on when its pin is low.
    """

    clk: str
    rx: str
    tx: str
    lamp: str
    lamp_inverted: bool
    oscillator_hz: float


class StartReset(wiring.Component):
    """A reset that lasts until the clock has been good for a while; in the domain ``start``.

    Latency: from ``locked`` to the end of the reset ``cycles`` + 3 cycles, back 3 cycles.

    Parameters
    ----------
    cycles : int

    Members
    -------
    locked : In
        Whether the clock is good; not in step with it.
    reset : Out
        The reset, high from the beginning.
    """

    def __init__(self, cycles: int):
        self._cycles = cycles
        super().__init__({"locked": In(1), "reset": Out(1, init=1)})

    def elaborate(self, platform: Any) -> Module:
        """Count cycles in which the clock is good."""
        m = Module()
        is_locked = Signal()
        m.submodules.synchronizer = FFSynchronizer(self.locked, is_locked, o_domain="start")
        left = Signal(range(self._cycles + 1), init=self._cycles)
        with m.If(~is_locked):
            m.d.start += [left.eq(self._cycles), self.reset.eq(1)]
        with m.Else():
            m.d.start += self.reset.eq(left != 0)
            with m.If(left != 0):
                m.d.start += left.eq(left - 1)
        return m


class Clocking(Elaboratable):
    """Clock and reset of ``sync``: the oscillator's clock, or one that the PLL makes of it.

    It is in reset until the PLL has been locked for `RESET_S`, and whenever it is not.

    Parameters
    ----------
    pad : bool
        Of iCE40: the oscillator is at a pin that feeds the PLL directly.
    oscillator_hz : float
    pll : optional
        Its dividers; without any, the clock is the oscillator's.
    """

    def __init__(self, pad: bool, oscillator_hz: float, pll: AnyPll | None):
        self._pad, self._oscillator_hz, self._pll = pad, oscillator_hz, pll
        self._clock_hz = oscillator_hz if pll is None else float(pll.out_hz)

    def elaborate(self, platform: Any) -> Module:
        """Make PLL and reset."""
        m = Module()
        clk = Signal()
        locked = Signal()
        port = platform.request(platform.default_clk, dir="-")
        if isinstance(self._pll, Ice40Pll):
            self._make_ice40(m, self._pll, port, clk, locked)
        else:
            m.submodules.clk_buffer = buffer = io.Buffer("i", port)
            if self._pll is None:
                m.d.comb += [clk.eq(buffer.i), locked.eq(1)]
            else:
                make: Any = (self._make_gowin if isinstance(self._pll, GowinPll)
                             else self._make_ecp5)
                make(m, self._pll, buffer.i, clk, locked)

        m.domains.start = ClockDomain(reset_less=True, local=True)
        m.d.comb += [ClockSignal("start").eq(clk), ClockSignal("sync").eq(clk)]
        m.submodules.start = start = StartReset(round(RESET_S * self._clock_hz))
        m.d.comb += [start.locked.eq(locked), ResetSignal("sync").eq(start.reset)]
        return m

    def _make_ice40(self, m: Module, pll: Ice40Pll, port: Any, clk: Signal, locked: Signal
                    ) -> None:
        # Not a global buffer: nextpnr wants an input's own pin in front of a PLL.
        oscillator = Signal()
        m.submodules.clk_buffer = Instance(
            "SB_IO", p_PIN_TYPE=C(0b000001, 6), io_PACKAGE_PIN=port.io, o_D_IN_0=oscillator)
        kind, pin = (("PAD", "PACKAGEPIN") if self._pad else ("CORE", "REFERENCECLK"))
        m.submodules.pll = Instance(
            f"SB_PLL40_{kind}", p_FEEDBACK_PATH="SIMPLE", p_DIVR=C(pll.divr, 4),
            p_DIVF=C(pll.divf, 7), p_DIVQ=C(pll.divq, 3), p_FILTER_RANGE=C(pll.filter_range, 3),
            i_RESETB=C(1, 1), i_BYPASS=C(0, 1), o_PLLOUTGLOBAL=clk, o_LOCK=locked,
            **{f"i_{pin}": oscillator})

    def _make_ecp5(self, m: Module, pll: Ecp5Pll, oscillator: Any, clk: Signal, locked: Signal
                   ) -> None:
        # The analog settings are those of ecppll, which has them from Lattice's own tool.
        m.submodules.pll = Instance(
            "EHXPLLL", a_ICP_CURRENT="12", a_LPF_RESISTOR="8", a_MFG_ENABLE_FILTEROPAMP="1",
            a_MFG_GMCREF_SEL="2", a_FREQUENCY_PIN_CLKI=f"{self._oscillator_hz / 1e6:g}",
            a_FREQUENCY_PIN_CLKOP=f"{self._clock_hz / 1e6:g}",
            p_PLLRST_ENA="DISABLED", p_INTFB_WAKE="DISABLED", p_STDBY_ENABLE="DISABLED",
            p_DPHASE_SOURCE="DISABLED", p_OUTDIVIDER_MUXA="DIVA", p_OUTDIVIDER_MUXB="DIVB",
            p_OUTDIVIDER_MUXC="DIVC", p_OUTDIVIDER_MUXD="DIVD", p_CLKI_DIV=pll.input_divisor,
            p_CLKOP_ENABLE="ENABLED", p_CLKOP_DIV=pll.output_divisor, p_CLKOP_CPHASE=pll.phase,
            p_CLKOP_FPHASE=0, p_FEEDBK_PATH="CLKOP", p_CLKFB_DIV=pll.feedback_divisor,
            i_CLKI=oscillator, i_CLKFB=clk, i_RST=C(0, 1), i_STDBY=C(0, 1), i_PHASESEL0=C(0, 1),
            i_PHASESEL1=C(0, 1), i_PHASEDIR=C(1, 1), i_PHASESTEP=C(1, 1), i_PHASELOADREG=C(1, 1),
            i_PLLWAKESYNC=C(0, 1), i_ENCLKOP=C(0, 1), o_CLKOP=clk, o_LOCK=locked)


    def _make_gowin(self, m: Module, pll: GowinPll, oscillator: Any, clk: Signal, locked: Signal
                    ) -> None:
        # Gowin UG286: dividers from parameters, feedback inside, nothing shifted.
        unused = {"FBDSEL": 6, "IDSEL": 6, "ODSEL": 6, "PSDA": 4, "DUTYDA": 4, "FDLY": 4,
                  "RESET": 1, "RESET_P": 1, "CLKFB": 1}
        m.submodules.pll = Instance(
            "rPLL", p_DEVICE="GW1NR-9C", p_FCLKIN=f"{self._oscillator_hz / 1e6:g}",
            p_IDIV_SEL=pll.input_divisor - 1, p_FBDIV_SEL=pll.feedback_divisor - 1,
            p_ODIV_SEL=pll.output_divisor, i_CLKIN=oscillator, o_CLKOUT=clk, o_LOCK=locked,
            **{f"i_{pin}": C(0, width) for pin, width in unused.items()})


class _Pins(Elaboratable):
    """Clock, gateware, and the pins of UART and lamp."""

    def __init__(self, board: Board, clocking: Clocking, gateware: BoardTop):
        self._board, self._clocking, self._gateware = board, clocking, gateware

    def elaborate(self, platform: Any) -> Module:
        m = Module()
        m.domains.sync = ClockDomain()
        m.submodules.clocking = self._clocking
        m.submodules.gateware = gateware = self._gateware
        uart = _raw(platform, "uart", 0)
        lamp = _raw(platform, *self._board.lamp)
        for index, resource in enumerate(self._board.high):
            m.submodules[f"high_{index}"] = high = io.Buffer("o", _raw(platform, *resource))
            m.d.comb += high.o.eq(1)
        m.submodules.rx = rx = io.Buffer("i", uart.rx)
        m.submodules.tx = tx = io.Buffer("o", uart.tx)
        m.submodules.lamp = light = io.Buffer("o", lamp)
        m.d.comb += [gateware.rx.eq(rx.i), tx.o.eq(gateware.tx), light.o.eq(gateware.busy)]
        return m


def _raw(platform: Any, name: str, number: int, part: str = "") -> Any:
    """The port of a resource, or of a part of it, without buffers."""
    parts = platform.lookup(name, number).ios
    if not hasattr(parts[0], "ios"):
        return platform.request(name, number, dir="-")
    found = platform.request(name, number, dir={each.name: "-" for each in parts})
    return getattr(found, part) if part else found


def _platform(board: Board) -> Any:
    """The board's platform, with a UART."""
    platform = board.make_platform()
    if board.connector is not None:
        from amaranth_boards.resources import UARTResource

        connector, number, rx, tx = board.connector
        platform.add_resources([UARTResource(0, rx=rx, tx=tx, conn=(connector, number),
                                             attrs=Attrs(IO_TYPE="LVCMOS33"))])
    return platform


def pins_of(board: Board) -> Pins:
    """Pins of a board, by amaranth-boards.

    Raises
    ------
    MissingExtraError
        If amaranth-boards is not installed.
    """
    platform = _platform(board)
    uart, lamp = _raw(platform, "uart", 0), _raw(platform, *board.lamp)
    clock = platform.request(platform.default_clk, dir="-")
    clk, rx, tx, lit = (port.io.metadata[0].name for port in (clock, uart.rx, uart.tx, lamp))
    return Pins(clk, rx, tx, lit, lamp.invert[0], float(platform.default_clk_frequency))


def generate(network: IntegerNetwork, board: Board, spec: AcceleratorSpec, clock_hz: float,
             baud: float) -> Source:
    """Generate all that a board's bitstream is made of.

    Raises
    ------
    MissingExtraError, ToolError
        If amaranth-boards is not installed, or Amaranth's Yosys fails.
    ValueError
        If the spec does not fit the network, or there is no such clock or baud rate.
    """
    platform = _platform(board)
    oscillator_hz = float(platform.default_clk_frequency)
    pll = (None if clock_hz == oscillator_hz
           else CHOOSE[board.device.family](oscillator_hz, clock_hz))
    found = oscillator_hz if pll is None else float(pll.out_hz)
    # Amaranth warns of a component that is not used because it could not be made.
    spec.check(network)
    baud_divisor(found, baud)
    top = _Pins(board, Clocking(board.pad, oscillator_hz, pll),
                BoardTop(network, spec, found, baud))
    with writing(TOP):
        files = platform.prepare(top, TOP, debug_verilog=True, emit_src=False).files
    constraints = files[f"{TOP}.{FLOWS[board.device.family].constraints}"]
    return Source(files[f"{TOP}.debug.v"], constraints, found)
