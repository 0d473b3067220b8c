"""Dividers of the PLLs, as icepll, ecppll and gowin_pll choose them.

All frequencies are exact: the clock that comes out is not quite the one that was asked for, and the
UART is divided from what comes out.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeVar

NEAR = Fraction(1, 100)
"""Part by which a PLL may miss the clock that is asked for."""

_ICE40_PFD = (10e6, 133e6)
_ICE40_VCO = (533e6, 1066e6)
ICE40_RANGE = (16e6, 275e6)
"""Of what comes out (iCE40 LP/HX and UltraPlus data sheets, sysCLOCK PLL timing)."""
_FILTERS = (17e6, 26e6, 44e6, 66e6, 101e6)
"""Frequencies at the phase detector up to which the loop filter has the settings 1 to 5."""

_ECP5_PFD = (3.125e6, 400e6)
_ECP5_VCO = (400e6, 800e6)
ECP5_RANGE = (3.125e6, 400e6)
"""Of what comes out (ECP5 data sheet, sysCLOCK PLL timing)."""

_GOWIN_PFD = (3e6, 400e6)
_GOWIN_VCO = (400e6, 1200e6)
_GOWIN_OUTPUTS = (2, 4, 8, *range(16, 129, 16))
GOWIN_RANGE = (3.125e6, 600e6)
"""Of what comes out (Gowin DS117, PLL characteristics of GW1NR-9, C6/I5)."""


@dataclass(frozen=True)
class Ice40Pll:
    """SB_PLL40 in its simple mode: out = in / (divr + 1) · (divf + 1) / 2^divq."""

    divr: int
    divf: int
    divq: int
    filter_range: int
    vco_hz: Fraction
    out_hz: Fraction


@dataclass(frozen=True)
class Ecp5Pll:
    """EHXPLLL with its first output fed back: out = in / input · feedback."""

    input_divisor: int
    feedback_divisor: int
    output_divisor: int
    vco_hz: Fraction
    out_hz: Fraction

    @property
    def phase(self) -> int:
        """About half a period of the output, in periods of the oscillator, as Lattice has it."""
        return (self.output_divisor - 1) // 2


@dataclass(frozen=True)
class GowinPll:
    """RPLL with its output fed back inside: out = in / input · feedback."""

    input_divisor: int
    feedback_divisor: int
    output_divisor: int
    vco_hz: Fraction
    out_hz: Fraction


AnyPll = Ice40Pll | Ecp5Pll | GowinPll
Pll = TypeVar("Pll", Ice40Pll, Ecp5Pll, GowinPll)


def ice40_pll(in_hz: float, out_hz: float) -> Ice40Pll:
    """Choose dividers for iCE40.

    Raises
    ------
    ValueError
        If the PLL can't make such a clock.
    """
    best = min(_ice40_settings(Fraction(in_hz)), key=lambda each: abs(each.out_hz - out_hz),
               default=None)
    return _checked(best, in_hz, out_hz, ICE40_RANGE)


def _ice40_settings(in_hz: Fraction) -> Iterator[Ice40Pll]:
    for divr in range(16):
        detector = in_hz / (divr + 1)
        if not _ICE40_PFD[0] <= detector <= _ICE40_PFD[1]:
            continue
        filter_range = 1 + sum(detector >= limit for limit in _FILTERS)
        for divf in range(128):
            vco = detector * (divf + 1)
            if _ICE40_VCO[0] <= vco <= _ICE40_VCO[1]:
                for divq in range(1, 7):
                    yield Ice40Pll(divr, divf, divq, filter_range, vco, vco / 2**divq)


def ecp5_pll(in_hz: float, out_hz: float) -> Ecp5Pll:
    """Choose dividers for ECP5; of equal ones those whose oscillator is nearest to 600 MHz.

    Raises
    ------
    ValueError
        If the PLL can't make such a clock.
    """
    best = min(_ecp5_settings(Fraction(in_hz)),
               key=lambda each: (abs(each.out_hz - out_hz), abs(each.vco_hz - 600_000_000)),
               default=None)
    return _checked(best, in_hz, out_hz, ECP5_RANGE)


def _ecp5_settings(in_hz: Fraction) -> Iterator[Ecp5Pll]:
    for input_divisor in range(1, 129):
        detector = in_hz / input_divisor
        if not _ECP5_PFD[0] <= detector <= _ECP5_PFD[1]:
            continue
        for feedback in range(1, 81):
            out = detector * feedback
            for output in range(1, 129):
                if _ECP5_VCO[0] <= out * output <= _ECP5_VCO[1]:
                    yield Ecp5Pll(input_divisor, feedback, output, out * output, out)


def gowin_pll(in_hz: float, out_hz: float) -> GowinPll:
    """Choose dividers for GW1NR-9.

    Raises
    ------
    ValueError
        If the PLL can't make such a clock.
    """
    best = min(_gowin_settings(Fraction(in_hz)), key=lambda each: abs(each.out_hz - out_hz),
               default=None)
    return _checked(best, in_hz, out_hz, GOWIN_RANGE)


def _gowin_settings(in_hz: Fraction) -> Iterator[GowinPll]:
    for input_divisor in range(1, 65):
        detector = in_hz / input_divisor
        if not _GOWIN_PFD[0] <= detector <= _GOWIN_PFD[1]:
            continue
        for feedback in range(1, 65):
            out = detector * feedback
            for output in _GOWIN_OUTPUTS:
                if _GOWIN_VCO[0] < out * output < _GOWIN_VCO[1]:    # gowin_pll stays inside
                    yield GowinPll(input_divisor, feedback, output, out * output, out)


CHOOSE: dict[str, Callable[[float, float], AnyPll]] = {
    "ecp5": ecp5_pll, "gowin": gowin_pll, "ice40": ice40_pll}
"""By family."""


def _checked(best: Pll | None, in_hz: float, out_hz: float, limits: tuple[float, float]) -> Pll:
    if not limits[0] <= out_hz <= limits[1]:
        raise ValueError(f"Clock must be from {limits[0] / 1e6:g} to {limits[1] / 1e6:g} MHz, or "
                         f"the oscillator's {in_hz / 1e6:g} MHz, not {out_hz / 1e6:g} MHz")
    if best is None or abs(best.out_hz - out_hz) > NEAR * Fraction(out_hz):
        nearest = "none" if best is None else f"{float(best.out_hz) / 1e6:g} MHz"
        raise ValueError(f"Clock must be one that the PLL can make of {in_hz / 1e6:g} MHz, not "
                         f"{out_hz / 1e6:g} MHz; the nearest is {nearest}")
    return best
