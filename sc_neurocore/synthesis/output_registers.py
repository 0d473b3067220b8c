"""Output registers of ECP5's block RAMs, which Yosys does not use.

A flip-flop right behind a block RAM's read port costs a route that is most of a clock cycle: data
comes out of a DP16KD 5.8 ns after the clock (speed grade 6), and 1.0 ns after it through the
register that it has inside. `absorb` moves such flip-flops into the block RAM.

It does so where nothing else can tell the difference, and leaves everything else alone:

- each used output bit of the read port goes to the data input of one flip-flop and nowhere else;
- these have the port's clock and edge, no reset, and begin with 0, as the block RAM does;
- they share one clock enable, or have none. It becomes the port's output enable (OCE). Whether the
  port's own enable (CE) holds the output register as well does not matter, as it must be constant
  1 or the same as theirs;
- the port has no reset, which would clear the register too.

nextpnr takes the delays from REGMODE_A and REGMODE_B together; constants at OCE and RST become
multiplexers of the clock-enable and reset tiles (`set_net_constant` in its ecp5/pack.cc).
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

Bit = int | str
"""A net of a Yosys netlist, or a constant: 0, 1, x or z as text."""
Cell = Mapping[str, Any]
Users = Mapping[Bit, list[tuple[str, str]]]

_ONE, _ZERO = "1", "0"


@dataclass(frozen=True)
class _Port:
    """A read port: which outputs it has, what controls it, and which half-ports of the cell it is.

    In the 36 bit wide mode, A writes, and the outputs of both are those of port B.
    """

    outputs: str        # "A", "B" or "AB"
    control: str

    def pins(self) -> list[str]:
        return [f"DO{half}{bit}" for half in self.outputs for bit in range(18)]


def absorb(module: dict[str, Any]) -> int:
    """Move flip-flops into the output registers of block RAMs, and return how many.

    Parameters
    ----------
    module : dict
        Module of a Yosys netlist, mapped for ECP5; it is changed.
    """
    users, moved = _users(module), 0
    replaced: dict[Bit, Bit] = {}
    for ram in [cell for cell in module["cells"].values() if cell["type"] == "DP16KD"]:
        for port in _read_ports(ram):
            registers = _registers(module, users, ram, port)
            if registers:
                replaced |= _move(module, ram, port, registers)
                moved += len(registers)
    # Names of what is between block RAM and register now; there is no such net any more.
    for net in module["netnames"].values():
        net["bits"] = ["x" if bit in replaced else bit for bit in net["bits"]]
    return moved


def _users(module: Mapping[str, Any]) -> dict[Bit, list[tuple[str, str]]]:
    """Inputs that each net goes to, as (cell, pin); ("", port) is an output of the module."""
    users: dict[Bit, list[tuple[str, str]]] = {}
    for name, port in module["ports"].items():
        if port["direction"] != "input":
            for bit in port["bits"]:
                users.setdefault(bit, []).append(("", name))
    for name, cell in module["cells"].items():
        for pin, bits in cell["connections"].items():
            if cell["port_directions"][pin] != "output":
                for bit in bits:
                    users.setdefault(bit, []).append((name, pin))
    return users


def _read_ports(ram: Cell) -> Iterator[_Port]:
    widths = [int(ram["parameters"][f"DATA_WIDTH_{half}"], 2) for half in "AB"]
    if widths[0] == 36:
        yield _Port("AB", "B")
    elif widths[1] < 36:
        yield _Port("A", "A")
        yield _Port("B", "B")


def _registers(module: Mapping[str, Any], users: Users, ram: Cell, port: _Port) -> dict[str, str]:
    """Flip-flops that a read port can take in, by output pin; none if it can't take them all."""
    if not _can_register(ram, port):
        return {}
    found = {}
    for pin in port.pins():
        bits = ram["connections"].get(pin, [])
        goes_to = users.get(bits[0], []) if bits else []
        if not goes_to:
            continue
        name, input_pin = goes_to[0]
        if (len(goes_to) > 1 or input_pin != "DI" or not name
                or not _is_plain_register(module["cells"][name], ram, port)):
            return {}
        found[pin] = name
    enables = {_enable(module["cells"][name]) for name in found.values()}
    port_enable = _pin(ram, f"CE{port.control}")
    return found if len(enables) == 1 and port_enable in {_ONE, *enables} else {}


def _can_register(ram: Cell, port: _Port) -> bool:
    """Whether a read port is clocked, has no reset, and does not use its register yet."""
    return (all(_parameter(ram, f"REGMODE_{half}") == "NOREG" for half in port.outputs)
            and all(_pin(ram, f"RST{half}") == _ZERO for half in {*port.outputs, port.control})
            and all(_parameter(ram, f"RST{half}MUX", f"RST{half}") == f"RST{half}"
                    and _parameter(ram, f"OCE{half}MUX", f"OCE{half}") == f"OCE{half}"
                    for half in {*port.outputs, port.control})
            and _parameter(ram, f"CE{port.control}MUX", f"CE{port.control}") == f"CE{port.control}"
            and _parameter(ram, "GSR") == "DISABLED"
            and isinstance(_pin(ram, f"CLK{port.control}"), int))


def _is_plain_register(cell: Cell, ram: Cell, port: _Port) -> bool:
    """Whether a cell is a flip-flop that does what the port's output register does."""
    falling = _parameter(ram, f"CLK{port.control}MUX", f"CLK{port.control}") == "INV"
    return (cell["type"] == "TRELLIS_FF"
            and _pin(cell, "CLK") == _pin(ram, f"CLK{port.control}")
            and _parameter(cell, "CLKMUX", "CLK") == ("INV" if falling else "CLK")
            and _pin(cell, "LSR") == _ZERO and _parameter(cell, "LSRMUX", "LSR") == "LSR"
            and _parameter(cell, "REGSET", "RESET") == "RESET"
            and _parameter(cell, "GSR") == "DISABLED"
            and _enable(cell) is not None
            and "M" not in cell["connections"]
            and not int(str(cell["attributes"].get("keep", "0")), 2))


def _enable(cell: Cell) -> Bit | None:
    """Net that enables a flip-flop, constant 1 if it always is, None if it is anything else."""
    mux = _parameter(cell, "CEMUX", "CE")
    return {"1": _ONE, "CE": _pin(cell, "CE")}.get(mux)


def _move(module: dict[str, Any], ram: Cell, port: _Port, registers: Mapping[str, str]
          ) -> dict[Bit, Bit]:
    """Use a port's output register in place of flip-flops; return what their nets became."""
    enable = _enable(module["cells"][next(iter(registers.values()))])
    for half in port.outputs:
        ram["parameters"][f"REGMODE_{half}"] = "OUTREG"
        ram["connections"][f"OCE{half}"] = [enable]
    replaced = {}
    for pin, name in registers.items():
        output = module["cells"].pop(name)["connections"]["Q"][0]
        replaced[ram["connections"][pin][0]] = output
        ram["connections"][pin] = [output]
    return replaced


def _pin(cell: Cell, pin: str) -> Bit | None:
    bits: list[Bit] | None = cell["connections"].get(pin)
    return bits[0] if bits else None


def _parameter(cell: Cell, name: str, default: str = "") -> str:
    # Yosys puts a space behind text that would read as a number.
    return str(cell["parameters"].get(name, default)).rstrip()
