"""Mutants of a design: all in one Verilog, where an argument of the simulation chooses one.

Yosys chooses and makes them (``mutate``): a bit of a cell's port is inverted, tied to 0 or to 1, or
mixed with another bit, wherever it is used.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sc_neurocore.extras import ToolError
from sc_neurocore.synthesis import tools
from sc_neurocore.verilog import SPRAM_MODEL

SELECT = "mutant"
"""Name of the input that chooses, and of the argument: ``+mutant=3``; 0 is the design itself."""
WIDTH = 12
_PORTS, _END, _ = SPRAM_MODEL.read_text().partition(");\n")
_LIBRARY = f"read_verilog -lib -sv <<EOT\n{_PORTS}{_END}endmodule\nEOT"
"""Which pins of SPRAM are inputs: mutants of the others would be of nothing. Without the model's
memory, which takes Yosys seconds."""
_PREPARE = (f"{_LIBRARY}\nread_verilog {{top}}.v; hierarchy -top {{top}}; proc; memory_collect; "
            "opt -mux_undef -undriven; opt_clean")
"""Without optimization many mutants would change what is not there in hardware: the address of a
write that is not enabled, say."""


@dataclass(frozen=True)
class Mutant:
    """``command``: what Yosys is told."""

    number: int
    module: str
    command: str

    @property
    def what(self) -> str:
        """Such as ``inv $add Y[3]``, of which net, and where in the Verilog."""
        fields = dict(re.findall(r"-(\w+) (\S+)", self.command))
        cell = re.sub(r"\$[^$]*:\d+\$\d+$|\$\d+(?=$|_)", "", fields["cell"])
        net = f", {fields['wire']}[{fields['wirebit']}]" if "wire" in fields else ""
        return f"{fields['mode']} of {cell} {fields['port']}[{fields['portbit']}]{net}"


def kind(module: str) -> str:
    """What a module is, whatever its place: ``neurons`` of ``accelerator.layer_1.neurons``."""
    parts = [re.sub(r"_\d+$|\$\d+$", "", part) for part in module.split(".")]
    return ".".join(parts[-2:] if parts[-1] in ("queue", "halves") else parts[-1:])


def modules(text: str) -> list[str]:
    """Modules of a Verilog file, in its order."""
    return re.findall(r"^module \\?([\w.$]+)", text, re.MULTILINE)


def make(text: str, top: str, counts: Mapping[str, int], folder: Path, *, seed: int = 1
         ) -> tuple[str, list[Mutant]]:
    """Make mutants of a design.

    Parameters
    ----------
    text : str
        Verilog.
    top : str
        Its top module.
    counts : mapping of str to int
        How many mutants each module gets, by its name.
    folder : Path
        Working folder.
    seed : int
        Of the choice.

    Returns
    -------
    str, list of Mutant
        Verilog with all of them, and which they are.

    Raises
    ------
    ToolError
        If Yosys fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{top}.v").write_text(text)
    number, lists = 1, []
    for module, count in counts.items():
        lists.append(f"mutate -list {count} -seed {seed} -module {module} "
                     f"-ctrl {SELECT} {WIDTH} {number} -o {number}.list")
        number += count
    script = [_PREPARE.format(top=top), *lists]
    script += [f"script {line.rpartition(' ')[2]}" for line in lists]
    script.append("write_verilog -noattr mutants.v")
    (folder / "mutate.ys").write_text("\n".join(script) + "\n")
    tools.run("yosys", ["-q", "mutate.ys"], folder, "mutate.log")
    mutants = []
    for line in lists:
        for command in (folder / line.rpartition(" ")[2]).read_text().splitlines():
            found = re.search(rf"-ctrl {SELECT} {WIDTH} (\d+) .*-module (\S+)", command)
            assert found is not None, command
            mutants.append(Mutant(int(found[1]), found[2], command))
    return _chosen_by_argument((folder / "mutants.v").read_text(), top), mutants


_HALF = """delete -input {module}/w:{select}
connect -set {select} {width}'d{number}
delete -output {module}/w:*.{select}
opt -full -purge
dffunmap
rename {module} {name}
design -stash {name}
"""
_EQUIVALENCE = f"{_LIBRARY}\n" + """read_verilog mutants.v
hierarchy -top {module}
proc
{isolate}
hierarchy -top {module}
memory_map
opt -full
design -save both
{gold}design -load both
{gate}design -copy-from gold gold
design -copy-from gate gate
equiv_make gold gate equiv
hierarchy -top equiv
opt_clean
design -save made
techmap -map start.v
sat -verify -prove-asserts -tempinduct-baseonly -maxsteps {cycles} {state} equiv
design -load made
equiv_simple -undef
equiv_induct -undef -seq {cycles}
equiv_status -assert
"""
_START = """(* techmap_celltype = "$equiv" *)
module start(input A, B, output Y);
  assign Y = A;
  wire same = A === B || A === 1'bx;
  \\$assert is_same (.A(same), .EN(1'b1));
endmodule
"""
"""What is to be equivalent is asserted."""
_STATE = "-set-init-undef -set-def-inputs"
"""Registers begin with their initial value, or unknown."""
CYCLES = 4
"""Length of the induction."""


def is_equivalent(mutant: Mutant, folder: Path, limit_s: float = 120) -> bool:
    """Whether Yosys proves that a mutant's module does the same as it did.

    Registers, outputs and used nets of one name are taken for each other, and proved equal in every
    cycle, unless unknown without the mutant. By induction: from the initial state all of them are
    in the first `CYCLES` (``sat``, over all inputs), and after so many cycles in which they were
    they are in the next one, whatever the state (``equiv_induct``, which alone would prove less).
    First with whatever the modules inside may do, then with what they do; what is not proved in
    time may be equivalent all the same.

    Parameters
    ----------
    folder : Path
        That in which `make` made the mutant.
    limit_s : float
        Seconds that each of both proofs may take.
    """
    halves = {name: _HALF.format(module=mutant.module, select=SELECT, width=WIDTH, number=number,
                                 name=name)
              for name, number in (("gold", 0), ("gate", mutant.number))}
    (folder / "start.v").write_text(_START)
    for isolate in (f"expose -evert {mutant.module}", "flatten"):
        name = f"equivalence-{mutant.number}-{isolate.partition(' ')[0]}"
        (folder / f"{name}.ys").write_text(_EQUIVALENCE.format(
            module=mutant.module, isolate=isolate, cycles=CYCLES, state=_STATE, **halves))
        try:
            tools.run("yosys", ["-q", f"{name}.ys"], folder, f"{name}.log", limit_s=limit_s)
        except ToolError:
            continue
        return True
    return False


def _chosen_by_argument(text: str, top: str) -> str:
    """The top module's input becomes a register that the simulation's arguments set."""
    head = re.search(rf"^module {top}\(([^;]*)\);", text, re.MULTILINE)
    assert head is not None
    ports = [port for port in re.split(r",\s*", head[1]) if port != SELECT]
    body, rest = text[head.end():].split("endmodule", 1)
    body = re.sub(rf"^ +(input|wire) \[{WIDTH - 1}:0\] {SELECT};\n", "", body, flags=re.MULTILINE)
    chosen = (f"  reg [{WIDTH - 1}:0] {SELECT} = 0;\n"
              f'  initial if (!$value$plusargs("{SELECT}=%d", {SELECT})) {SELECT} = 0;\n')
    return (f"{text[:head.start()]}module {top}({', '.join(ports)});\n{chosen}{body}"
            f"endmodule{rest}")
