"""Flipped bits of a design's state: one Verilog for all, where arguments of the simulation choose.

``+flip=3 +bit=1 +row=0 +cycle=500`` inverts bit 1 of register 3, or of row 0 of memory 3, at the
end of cycle 500; ``+flip=0`` is the design itself. Of a register that Yosys has given an enable, or
whose bits are written apart, it is what was in there before that cycle that is inverted.
"""

import re
from dataclasses import dataclass

_NAME = r"\\\S+ |[\w$]+"
_MODULE = re.compile(r"^module (\\\S+ |[\w$]+)\s*\(.*?^endmodule", re.MULTILINE | re.DOTALL)
_REGISTER = re.compile(rf"^  reg (?:\[(\d+):0\] )?({_NAME})(?: ?\[(\d+):0\])?(?: = [^;]*)?;$",
                       re.MULTILINE)
_SINGLE = re.compile(rf"^(  always @\(posedge \S+\)\n    )({_NAME}) ?<= (.*);$", re.MULTILINE)
_GUARDED = re.compile(rf"^(  always @\(posedge \S+\))\n((?: {{4,}}(?:if|else) .*\n)+"
                      rf"|    (?:{_NAME}) ?\[[\d:]+\] ?<= .*\n)", re.MULTILINE)
"""What Yosys makes of enables and resets: ``if (rst) count <= 2'h0;`` and ``else …`` lines; or of
registers whose bits are written apart."""
_WRITTEN = re.compile(rf"(?:^|\) |: |else ) *({_NAME}) ?(?:\[[^\]]*\])* ?<= ", re.MULTILINE)
_BLOCK = re.compile(r"^  always @\(posedge (\S+)\) begin\n.*?^  end$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class State:
    """A register, or a memory of so many rows, of ``width`` bits."""

    number: int
    module: str
    name: str
    width: int
    rows: int = 1

    @property
    def bits(self) -> int:
        """All of its bits."""
        return self.width * self.rows


def insert(text: str, top: str, *, constants: bool = False) -> tuple[str, list[State]]:
    """Make it possible to flip any bit of a design's state.

    Parameters
    ----------
    text : str
        Verilog, as `verilog.component_text` writes it: one clock.
    top : str
        Its top module.
    constants : bool
        Memories that nothing is written to as well, after all others.

    Returns
    -------
    str, list of State
        Verilog, and what can be flipped.

    Raises
    ------
    ValueError
        If a register is written in another way than those that are known.
    """
    states: list[State] = []
    text = _MODULE.sub(lambda found: _in_module(found[0], found[1].strip().lstrip("\\"), top,
                                                states), text)
    if constants:
        text = _MODULE.sub(lambda found: _with_constants(
            found[0], found[1].strip().lstrip("\\"), top, states), text)
    clock = re.search(r"posedge (\S+)\)", text)
    assert clock is not None, f"{top} has no state"
    chooser = f"""
  integer flip_number, flip_bit, flip_row, flip_cycle;
  integer flip_now = 0;
  wire [31:0] flip_register = flip_now == flip_cycle ? flip_number : 0;
  initial begin
    if (!$value$plusargs("flip=%d", flip_number)) flip_number = 0;
    if (!$value$plusargs("bit=%d", flip_bit)) flip_bit = 0;
    if (!$value$plusargs("row=%d", flip_row)) flip_row = 0;
    if (!$value$plusargs("cycle=%d", flip_cycle)) flip_cycle = 0;
  end
  always @(posedge {clock[1]}) flip_now <= flip_now + 1;
"""
    return re.sub(rf"^(module {top}\([^;]*\);)", lambda found: found[1] + chooser, text,
                  flags=re.MULTILINE), states


def _in_module(text: str, module: str, top: str, states: list[State]) -> str:
    """A module whose registers and memories can be flipped."""
    declared = {found[2].strip(): (int(found[1] or 0) + 1, int(found[3] or 0) + 1)
                for found in _REGISTER.finditer(text)}

    made: dict[str, State] = {}

    def state(name: str) -> State:
        name = name.strip()
        if name not in made:
            width, rows = declared[name]
            made[name] = State(len(states) + 1, module, name.lstrip("\\"), width, rows)
            states.append(made[name])
        return made[name]

    def single(found: re.Match[str]) -> str:
        at = state(found[2])
        mask = f"{at.width}'d1 << {top}.flip_bit"
        return (f"{found[1]}{found[2]} <= ({found[3]}) ^ "
                f"({top}.flip_register == {at.number} ? {mask} : {at.width}'d0);")

    def block(found: re.Match[str]) -> str:
        lines = found[0].splitlines()
        written = re.findall(rf"^ +({_NAME}) ?(\[.*\])? ?<= ", found[0], re.MULTILINE)
        for name in dict.fromkeys(name for name, _ in written):
            at = state(name)
            place = name + (f"[{top}.flip_row]" if at.rows > 1 else "")
            lines.insert(-1, f"    if ({top}.flip_register == {at.number}) {place} <= {place} ^ "
                             f"({at.width}'d1 << {top}.flip_bit);")
        return "\n".join(lines)

    written = {found[1].strip() for found in _WRITTEN.finditer(text)}
    text = _BLOCK.sub(block, _SINGLE.sub(single, _GUARDED.sub(_as_block, text)))
    if unknown := written & set(declared) - set(made):
        raise ValueError(f"{module}: registers must be written by themselves or under if, not "
                         f"{', '.join(sorted(unknown))}")
    return text


def _as_block(guarded: re.Match[str]) -> str:
    """Assignments on lines of their own."""
    lines = re.sub(rf" ({_NAME}) ?(\[[\d:]+\])? ?<= ", r"\n      \1\2 <= ", guarded[2])
    return f"{guarded[1]} begin\n{lines}  end\n"


def _with_constants(text: str, module: str, top: str, states: list[State]) -> str:
    """A module whose constant memories can be flipped."""
    added = []
    for found in _REGISTER.finditer(text):
        name, rows = found[2], int(found[3] or 0) + 1
        if rows == 1 or re.search(rf"^ +{re.escape(name)} ?\[.*\] ?<= ", text, re.MULTILINE):
            continue
        clock = re.search(r"posedge (\S+)\)", text)
        assert clock is not None, f"{module} has a memory that is never read"
        at = State(len(states) + 1, module, name.strip().lstrip("\\"), int(found[1] or 0) + 1, rows)
        states.append(at)
        place = f"{name}[{top}.flip_row]"
        added.append(f"  always @(posedge {clock[1]}) if ({top}.flip_register == {at.number})\n"
                     f"    {place} <= {place} ^ ({at.width}'d1 << {top}.flip_bit);\n")
    return text.removesuffix("endmodule") + "".join(added) + "endmodule"
