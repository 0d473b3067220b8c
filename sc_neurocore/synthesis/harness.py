"""A circuit with more ports than any package has pins, made ready to be placed.

Every input bit comes from a flip-flop, these being a shift register from one pin; every output bit
goes to a flip-flop, and from there by exclusive ors and further flip-flops to another pin. So
nothing is optimized away, all paths of the circuit begin and end in flip-flops, and its clock comes
through a pin and a global net, as it does in use. nextpnr's ``--out-of-context``, which there is
for ECP5 alone, would route the clock like data and leave out paths from and to ports.
"""

from dataclasses import dataclass
from typing import Any

CLOCK = "clk"
"""Name of the clock port of the circuits that we generate."""

Bit = int | str


@dataclass(frozen=True)
class Harness:
    """A netlist in its harness, and how many cells of it are the harness's."""

    netlist: dict[str, Any]
    luts: int
    flip_flops: int


class _Builder:
    """Adds cells to a module of a Yosys netlist, in the way of a family."""

    def __init__(self, module: dict[str, Any], family: str, clock: Bit):
        self.family, self._clock = family, clock
        self.cells = dict(module["cells"])
        self._next = 1 + max((bit for cell in self.cells.values()
                              for bits in cell["connections"].values() for bit in bits
                              if isinstance(bit, int)), default=1)
        self._next = max([self._next, *(bit + 1 for port in module["ports"].values()
                                        for bit in port["bits"] if isinstance(bit, int))])
        self.luts = self.flip_flops = 0

    def net(self) -> int:
        """A net that nothing else has."""
        self._next += 1
        return self._next - 1

    def register(self, data: Bit, output: Bit) -> Bit:
        """A flip-flop from one net to another, which is returned."""
        self.flip_flops += 1
        if self.family == "ice40":
            self._add("SB_DFF", {}, {"C": self._clock, "D": data}, {"Q": output})
        elif self.family == "gowin":
            self._add("DFF", {}, {"CLK": self._clock, "D": data}, {"Q": output})
        else:
            self._add("TRELLIS_FF", {"GSR": "DISABLED", "CEMUX": "1 ", "CLKMUX": "CLK",
                                     "LSRMUX": "LSR", "REGSET": "RESET"},
                      {"CLK": self._clock, "DI": data, "LSR": "0"}, {"Q": output})
        return output

    def exclusive_or(self, one: Bit, other: Bit) -> Bit:
        """A net that is the exclusive or of two."""
        self.luts += 1
        output, table = self.net(), f"{0x6666:016b}"
        if self.family == "ice40":
            self._add("SB_LUT4", {"LUT_INIT": table},
                      {"I0": one, "I1": other, "I2": "0", "I3": "0"}, {"O": output})
        elif self.family == "gowin":
            self._add("LUT2", {"INIT": table[-4:]}, {"I0": one, "I1": other}, {"F": output})
        else:
            self._add("LUT4", {"INIT": table}, {"A": one, "B": other, "C": "0", "D": "0"},
                      {"Z": output})
        return output

    def pin(self, net: Bit, direction: str) -> Bit:
        """Net of a port from or to a net inside: itself, where nextpnr adds the buffer."""
        if self.family != "gowin":
            return net
        outside = self.net()
        if direction == "input":
            self._add("IBUF", {}, {"I": outside}, {"O": net})
        else:
            self._add("OBUF", {}, {"I": net}, {"O": outside})
        return outside

    def _add(self, kind: str, parameters: dict[str, str], inputs: dict[str, Bit],
             outputs: dict[str, Bit]) -> None:
        name = f"$harness${len(self.cells)}.{kind}"
        self.cells[name] = {
            "hide_name": 1, "type": kind, "parameters": parameters, "attributes": {},
            "port_directions": {**dict.fromkeys(inputs, "input"),
                                **dict.fromkeys(outputs, "output")},
            "connections": {pin: [bit] for pin, bit in {**inputs, **outputs}.items()}}


def wrap(netlist: dict[str, Any], top: str, family: str) -> Harness:
    """Put a mapped netlist into its harness; what is given is not changed.

    Raises
    ------
    ValueError
        If there is no clock of one bit, called ``clk``.
    """
    module = netlist["modules"][top]
    ports = module["ports"]
    clock = ports.get(CLOCK)
    if clock is None or clock["direction"] != "input" or len(clock["bits"]) != 1:
        raise ValueError(f"Module {top} must have an input {CLOCK} of one bit, to be placed")
    builder = _Builder(module, family, clock["bits"][0])
    first = builder.net()
    chain: Bit = first
    for name, port in ports.items():
        if port["direction"] == "input" and name != CLOCK:
            for bit in port["bits"]:
                chain = builder.register(chain, bit)
    folded: Bit = "0"
    for bit in _outputs(ports):
        held = builder.register(bit, builder.net())
        folded = builder.register(builder.exclusive_or(held, folded), builder.net())
    pins = {CLOCK: (clock["bits"][0], "input"), "harness_in": (first, "input"),
            "harness_out": (folded, "output")}
    wrapped = {**module, "ports": {
        name: {"direction": direction, "bits": [builder.pin(net, direction)]}
        for name, (net, direction) in pins.items()}, "cells": builder.cells}
    return Harness({**netlist, "modules": {top: wrapped}}, builder.luts, builder.flip_flops)


def _outputs(ports: dict[str, Any]) -> list[int]:
    """Nets of all outputs, without constants, each of them once."""
    return list(dict.fromkeys(bit for port in ports.values() if port["direction"] != "input"
                              for bit in port["bits"] if isinstance(bit, int)))
