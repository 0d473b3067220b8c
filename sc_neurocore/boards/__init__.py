"""Boards that bitstreams are built for.

Pins, packages and oscillators are those of amaranth-boards; what is added here is which of them are
used, and at what clock.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from ..extras import require
from ..synthesis.devices import Device, Resources, find_device

LINK_LUTS = {"ice40": 900, "ecp5": 700, "gowin": 900}
"""LUTs to be left to the link, UART and reset when a layout is chosen for a board."""
LINK_BLOCK_RAMS = {"ice40": 3, "ecp5": 3, "gowin": 3}
"""Block RAMs to be left to the link's buffers."""


@dataclass(frozen=True)
class Board:
    """A board, and how it is used.

    Parameters
    ----------
    name, title : str
    platform : str
        Module and class in amaranth_boards.
    device : Device
        Its FPGA, in its package and speed grade.
    clock_hz : float
        The clock, where no other is asked for.
    baud : int
        Bits a second of its UART, where no other rate is asked for.
    loader : str
        What openFPGALoader calls it.
    lamp : tuple
        Resource that lights up while a command is being worked on, by name, number, and perhaps
        the name of a part of it.
    high : tuple of tuples
        Outputs that are kept high, given in the same way.
    pad : bool
        Of iCE40: the oscillator is at a pin that feeds the PLL directly.
    connector : tuple, optional
        Where there is no bridge from USB to UART: connector, and its pins for rx and tx.
    pack : tuple of str
        Options of the program that packs the bitstream.
    notes : str
    """

    name: str
    title: str
    platform: str
    device: Device
    clock_hz: float
    baud: int
    loader: str
    lamp: tuple[Any, ...]
    notes: str
    high: tuple[tuple[Any, ...], ...] = ()
    pad: bool = False
    connector: tuple[str, int, str, str] | None = None
    pack: tuple[str, ...] = ()

    @property
    def resources(self) -> Resources:
        """What its FPGA holds."""
        assert self.device.resources is not None
        return self.device.resources

    @property
    def room(self) -> Device:
        """Its FPGA without what link, UART and reset take: what a layout is chosen for."""
        has, family = self.resources, self.device.family
        return replace(self.device, resources=replace(
            has, luts=has.luts - LINK_LUTS[family], flip_flops=has.flip_flops - LINK_LUTS[family],
            block_rams=has.block_rams - LINK_BLOCK_RAMS[family]))

    def make_platform(self) -> Any:
        """An Amaranth platform of it.

        Raises
        ------
        MissingExtraError
            If amaranth-boards is not installed.
        """
        module, _, name = self.platform.partition(":")
        made: Callable[[], Any] = getattr(require(f"amaranth_boards.{module}", "boards"), name)
        return made()

    def as_dict(self) -> dict[str, Any]:
        """All of it, for machines."""
        has = self.resources
        return {"name": self.name, "title": self.title, "device": self.device.name,
                "fpga": self.device.title, "luts": has.luts, "flip_flops": has.flip_flops,
                "block_rams": has.block_rams, "spram": has.spram, "clock_hz": self.clock_hz,
                "baud": self.baud, "loader": self.loader, "notes": self.notes}


_ORANGECRAB = replace(
    find_device("ecp5-25k"), title="Lattice LFE5U-25F, CSFBGA285, speed grade 8",
    arguments=("--25k", "--package", "CSFBGA285", "--speed", "8"))

def _ulx3s(size: str, device: str) -> Board:
    # Its ESP32 restarts the board unless gpio0 is high.
    return Board(f"ulx3s-{size.lower()}", f"ULX3S with LFE5U-{size}",
                 f"ulx3s:ULX3S_{size}_Platform", find_device(device), 50e6, 1_000_000, "ulx3s",
                 ("led", 0), "UART: the FT231X at the socket US1, at most 3 Mbaud",
                 high=(("esp32", 0, "gpio0"),), pack=("--compress",))


BOARDS = {board.name: board for board in (
    Board("icebreaker", "iCEBreaker 1.0", "icebreaker:ICEBreakerPlatform",
          find_device("ice40-up5k"), 24e6, 1_000_000, "ice40_generic", ("led", 1),
          "UART: the second port of its FT2232H; lamp: the green one", pad=True),
    Board("ice40-hx8k", "iCE40HX-8K breakout (iCE40HX8K-B-EVN)",
          "ice40_hx8k_b_evn:ICE40HX8KBEVNPlatform", find_device("ice40-hx8k"), 36e6, 1_000_000,
          "ice40_generic", ("led", 0),
          "UART: the second port of its FT2232H; its jumpers must be set for the flash"),
    _ulx3s("25F", "ecp5-25k"),
    _ulx3s("85F", "ecp5-85k"),
    Board("orangecrab", "OrangeCrab r0.2 with LFE5U-25F",
          "orangecrab_r0_2:OrangeCrabR0_2_25FPlatform", _ORANGECRAB, 48e6, 1_000_000, "orangeCrab",
          ("rgb_led", 0, "g"),
          "no UART on its USB: a 3.3 V adapter at the header pins 0 (rx, its TXD) and 1 (tx, its "
          "RXD), and ground", connector=("io", 0, "0", "1"), pack=("--compress", "--freq", "38.8")),
    # Its bridge has been seen to do up to 3 Mbaud (sipeed/TangNano-9K-example, issue 7), and to
    # garble data on other systems (issue 29); Sipeed's own examples use 115200.
    Board("tang-nano-9k", "Tang Nano 9K", "tang_nano_9k:TangNano9kPlatform",
          find_device("gw1nr-9c"), 27e6, 115200, "tangnano9k", ("led", 0),
          "UART: the second port of its BL702; lamp: LED 0", pack=("-d", "GW1N-9C")),
)}
"""By name."""
DEFAULT = "icebreaker"


def find_board(name: str) -> Board:
    """Return a board by name.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if name not in BOARDS:
        raise ValueError(f"Board must be one of {', '.join(BOARDS)}, not {name!r}")
    return BOARDS[name]
