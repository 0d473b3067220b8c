"""How often the nets of a mapped circuit change: what its energy depends on, without watts."""

from dataclasses import dataclass
from pathlib import Path

from .area import cell_kind
from .mapping import Mapped


@dataclass(frozen=True)
class Toggles:
    """Changes of nets from 0 to 1 or back, an image, by what drives them; the clock not counted.

    From the reset before ``images`` back-to-back images, after parameters were loaded, to a hundred
    cycles after the last result, with zero delay: glitches are not seen.
    """

    images: int
    flip_flops: float
    logic: float
    memories: float

    @property
    def total(self) -> float:
        """All of them."""
        return self.flip_flops + self.logic + self.memories


_KINDS = {"flip_flops": "flip_flops", "block_rams": "memories", "lut_rams": "memories",
          "spram": "memories"}
"""Of those of an area; all others are logic."""


def toggles_of(mapped: Mapped, waves: Path, images: int) -> Toggles:
    """Count the toggles of a netlist's nets in a waveform of `netlist_verilog`.

    Parameters
    ----------
    mapped : Mapped
    waves : Path
        VCD file, as Verilator writes it.
    images : int
        Worked on in it.
    """
    drivers = _drivers(mapped)
    counts = {"flip_flops": 0, "logic": 0, "memories": 0}
    for net, number in _changes(waves, mapped.top).items():
        if net in drivers:
            counts[drivers[net]] += number
    return Toggles(images, **{kind: number / images for kind, number in counts.items()})


def _drivers(mapped: Mapped) -> dict[str, str]:
    """What kind of cell drives each net."""
    found: dict[str, str] = {}
    for cell in mapped.module["cells"].values():
        kind = _KINDS.get(cell_kind(cell["type"], mapped.family)[0], "logic")
        for pin, bits in cell["connections"].items():
            if cell["port_directions"][pin] == "output":
                found |= {f"n{bit}": kind for bit in bits if isinstance(bit, int)}
    return found


def _changes(waves: Path, top: str) -> dict[str, int]:
    """Changes of each one-bit wire of the top module in a VCD file, from the last reset on.

    As Verilator writes it, a declaration or a change a line. (pyvcd's reader stops at the scope
    without a name that Verilator puts around the design.)
    """
    names: dict[str, str] = {}
    scope: list[str] = []
    values: dict[str, str] = {}
    counts: dict[str, int] = {}
    with waves.open(encoding="ascii") as file:
        for line in file:
            if line[0] in "01":
                code, value = line[1:-1], line[0]
                if code in names:
                    changed = code in values and values[code] != value
                    values[code] = value
                    if changed and names[code] == "rst" and value == "0":
                        counts.clear()
                    counts[code] = counts.get(code, 0) + changed
            elif (words := line.split())[:1] == ["$scope"]:
                scope.append(words[2])
            elif words[:1] == ["$upscope"]:
                scope.pop()
            elif words[:1] == ["$var"] and words[2] == "1" and scope[-1] == top:
                names[words[3]] = words[4]
    return {names[code]: number for code, number in counts.items()}
