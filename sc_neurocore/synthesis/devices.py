"""FPGAs: what they hold, and how nextpnr is told about them."""

from dataclasses import dataclass

FAMILIES = ("ecp5", "gowin", "ice40", "xc7")


@dataclass(frozen=True)
class Resources:
    """What a device holds, as nextpnr counts it (``available`` in its report)."""

    luts: int
    """LUTs of four inputs."""
    flip_flops: int
    block_rams: int
    """DP16KD of 18 Kbit on ECP5, BSRAM of 18 Kbit on Gowin, SB_RAM40 of 4 Kbit on iCE40."""
    spram: int = 0
    """SB_SPRAM256KA, of 256 Kbit."""
    lut_rams: int | None = None
    """LUTs that can be RAM, and those that these make useless; None where that is never too few."""


@dataclass(frozen=True)
class Device:
    """An FPGA.

    ``arguments`` are nextpnr's, package and speed grade included; ``target_mhz`` is the frequency
    that it is asked for, somewhat above what it reaches, as its placer works on what is too slow.
    Of a family that is only mapped and not placed there are no arguments and no resources.
    ``harness_pins`` are those of clock, input and output of `harness.wrap`, where nextpnr does not
    choose them.
    """

    name: str
    family: str
    title: str
    arguments: tuple[str, ...] = ()
    resources: Resources | None = None
    target_mhz: float = 0.0
    harness_pins: tuple[str, ...] = ()

    @property
    def program(self) -> str:
        """Name of the program that places and routes it.

        Raises
        ------
        ValueError
            If there is none.
        """
        if self.resources is None:
            raise ValueError(f"Device {self.name} can be mapped, but not placed; those that can: "
                             + ", ".join(name for name, d in DEVICES.items() if d.resources))
        return PROGRAMS[self.family]


PROGRAMS = {"ecp5": "nextpnr-ecp5", "gowin": "nextpnr-himbaechel-gowin", "ice40": "nextpnr-ice40"}
"""nextpnr of each family."""


def _ecp5(size: str, title: str, resources: Resources) -> Device:
    return Device(f"ecp5-{size}", "ecp5", f"{title}, CABGA381, speed grade 6",
                  (f"--{size}", "--package", "CABGA381", "--speed", "6"), resources, 200.0)


DEVICES = {device.name: device for device in (
    _ecp5("25k", "Lattice LFE5U-25F", Resources(24288, 24288, 56)),
    _ecp5("45k", "Lattice LFE5U-45F", Resources(43848, 43848, 108)),
    _ecp5("85k", "Lattice LFE5U-85F", Resources(83640, 83640, 208)),
    Device("gw1nr-9c", "gowin", "Gowin GW1NR-LV9QN88PC6/I5 (GW1NR-9C)",
           ("--device", "GW1NR-LV9QN88PC6/I5", "--vopt", "family=GW1N-9C"),
           Resources(8640, 6480, 26, lut_rams=270 * 8), 60.0, ("52", "3", "10")),
    Device("ice40-up5k", "ice40", "Lattice iCE40UP5K, SG48",
           ("--up5k", "--package", "sg48"), Resources(5280, 5280, 30, 4), 48.0),
    Device("ice40-hx8k", "ice40", "Lattice iCE40HX8K, CT256",
           ("--hx8k", "--package", "ct256"), Resources(7680, 7680, 32), 120.0),
    Device("xc7", "xc7", "AMD 7 series, mapping only"),
)}
"""By name. The numbers are those of nextpnr 0.11's utilisation reports; the slowest speed grade of
ECP5 is what its boards have."""


def find_device(name: str) -> Device:
    """Return a device by name.

    Raises
    ------
    ValueError
        If there is none of this name.
    """
    if name not in DEVICES:
        raise ValueError(f"Device must be one of {', '.join(DEVICES)}, not {name!r}")
    return DEVICES[name]
