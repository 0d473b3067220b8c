"""How many mutants of the gateware its checks kill.

    python -m campaigns.mutation [--per-part N] [--jobs N] [--seed N] [--subject NAME]...
                                 [--mutant N] [--output FOLDER] [--update]

Yosys makes the mutants, so many of each kind of module, and each is simulated by the check of its
design. Of those that no check kills, Yosys is asked whether they differ at all; the ones that it
does not prove equivalent are told in full, with a command that runs them again. Of all designs'
mutants, as they are by default, each of those must be explained in ``survivors.toml``, and each
explanation must be needed. Yosys is asked about a killed one of each design, too, and must not
prove it equivalent. Writes ``mutation.json`` and ``mutation.md``.
"""

import json
import os
import shlex
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import click

from benchmarks.readme import updated

from . import ROOT, mutants, reasons
from .subjects import Subject, subjects

OUTPUT = Path("build/mutation")
DOCUMENT = ROOT / "docs" / "verification.md"
EXPLANATIONS = Path(__file__).with_name("survivors.toml")
PER_PART, SEED = 4, 1
"""What is documented."""
REFUTED_S = 20.0
"""That Yosys may try to prove a killed mutant equivalent."""
WANTED = 0.95
"""Of the mutants that are not equivalent."""


@dataclass(frozen=True)
class Outcome:
    """What became of a mutant; ``killed_by`` is empty if nothing killed it.

    ``is_equivalent``: it was proved to do what the design does.
    """

    subject: str
    part: str
    mutant: mutants.Mutant
    killed_by: str
    is_equivalent: bool

    @property
    def survived(self) -> bool:
        """Whether it may be a fault that nothing notices."""
        return not self.killed_by and not self.is_equivalent

    def __str__(self) -> str:
        became = self.killed_by or ("equivalent" if self.is_equivalent else "SURVIVED")
        return f"{self.subject}, {self.mutant.module}: {self.mutant.what}: {became}"


def counts(subject: Subject, per_part: int) -> dict[str, int]:
    """How many mutants each module of a design gets: the first and the last of each kind."""
    kinds: dict[str, list[str]] = {}
    for module in mutants.modules(subject.text):
        kinds.setdefault(mutants.kind(module), []).append(module)
    unknown = set(subject.parts) - set(kinds)
    if unknown:
        raise ValueError(f"{subject.name}: no part is called {', '.join(sorted(unknown))}; there "
                         f"are {', '.join(sorted(kinds))}")
    return {module: per_part for kind in subject.parts or kinds
            for module in (kinds[kind][0], kinds[kind][-1])}


def attack(name: str, per_part: int, seed: int, output: Path) -> list[tuple[mutants.Mutant, str]]:
    """Make a design's mutants, and check that with none of them chosen it passes."""
    subject = _named(name)
    text, made = mutants.make(subject.text, subject.top, counts(subject, per_part),
                              output / "work" / name, seed=seed)
    if fault := subject.check(text, [f"+{mutants.SELECT}=0"], output / "run" / f"{name}-0"):
        raise AssertionError(f"{name} fails without a mutant: {fault}")
    return [(mutant, text) for mutant in made]


def judge(name: str, mutant: mutants.Mutant, text: str, output: Path) -> Outcome:
    """Simulate a mutant."""
    subject = _named(name)
    folder = output / "run" / f"{name}-{mutant.number}"
    killed_by = subject.check(text, [f"+{mutants.SELECT}={mutant.number}"], folder)
    shutil.rmtree(folder, ignore_errors=True)
    return Outcome(name, mutants.kind(mutant.module), mutant, killed_by,
                   not killed_by and mutants.is_equivalent(mutant, output / "work" / name))


_made: dict[str, Subject] = {}


def _named(name: str) -> Subject:
    if not _made:
        _made.update({subject.name: subject for subject in subjects()})
    return _made[name]


def refuted(outcomes: Iterable[Outcome]) -> list[Outcome]:
    """The first killed mutant of each design: a proof of its equivalence would be a wrong one."""
    first: dict[str, Outcome] = {}
    for outcome in outcomes:
        if outcome.killed_by:
            first.setdefault(outcome.subject, outcome)
    return list(first.values())


def explained(outcomes: Iterable[Outcome]) -> reasons.Judged:
    """The survivors, each with its reason."""
    return reasons.judge(
        [reasons.Missed(outcome.subject, f"{outcome.mutant.module}: {outcome.mutant.what}", 0)
         for outcome in outcomes if outcome.survived], reasons.explanations(EXPLANATIONS))


def summary(outcomes: Sequence[Outcome]) -> str:
    """The table, what it comes to, and why the survivors survive."""
    judged = explained(outcomes)
    killed = sum(bool(outcome.killed_by) for outcome in outcomes)
    survive = len(judged.missed)
    return "\n".join([
        table(outcomes), "", f"{len(outcomes)} mutants, {len(outcomes) - killed - survive} of them "
        f"equivalent; {killed} killed, {score(outcomes):.1%} of the others; {survive} survive",
        *[""] * bool(survive),
        *(f"- {missed}: {'NOT EXPLAINED' if why is None else why.reason}"
          for missed, why in judged.missed)])


def score(outcomes: Iterable[Outcome]) -> float:
    """The part that is killed of the mutants that are not equivalent."""
    real = [outcome for outcome in outcomes if not outcome.is_equivalent]
    return sum(bool(outcome.killed_by) for outcome in real) / max(len(real), 1)


def table(outcomes: Iterable[Outcome]) -> str:
    """A row for each design and part: mutants, killed, by what, and survivors."""
    rows: dict[tuple[str, str], list[Outcome]] = {}
    for outcome in outcomes:
        rows.setdefault((outcome.subject, outcome.part), []).append(outcome)
    lines = ["| design | part | mutants | equivalent | killed | by what differs first | survive |",
             "|---|---|---|---|---|---|---|"]
    for (subject, part), those in rows.items():
        by = Counter(outcome.killed_by for outcome in those if outcome.killed_by)
        lines.append(f"| {subject} | {part} | {len(those)} | "
                     f"{sum(outcome.is_equivalent for outcome in those) or ''} | {by.total()} | "
                     + ", ".join(f"{what} {count}" for what, count in by.most_common())
                     + f" | {sum(outcome.survived for outcome in those) or ''} |")
    return "\n".join(lines)


@click.command()
@click.option("--per-part", default=PER_PART, show_default=True,
              help="Mutants of each part of a design.")
@click.option("--jobs", default=2, show_default=True, help="Simulations at a time.")
@click.option("--seed", default=SEED, show_default=True, help="Of the choice of mutants.")
@click.option("--subject", "names", multiple=True, help="Design to attack.  [default: all]")
@click.option("--mutant", "number", type=int, help="The only one, of one --subject.")
@click.option("--output", default=OUTPUT, show_default=True, type=click.Path(path_type=Path))
@click.option("--update", is_flag=True, help=f"Write the table into {DOCUMENT.name}, too.")
def main(per_part: int, jobs: int, seed: int, names: tuple[str, ...], number: int | None,
         output: Path, update: bool) -> None:
    """Make mutants of the gateware, and see which ones its checks kill."""
    if number is not None and len(names) != 1:
        raise click.UsageError(f"--mutant needs one --subject, not {len(names)}")
    is_documented = not names and (per_part, seed) == (PER_PART, SEED)
    if update and not is_documented:
        raise click.UsageError(f"--update needs all designs, {PER_PART} mutants of each part, and "
                               f"seed {SEED}")
    os.environ["COCOTB_MAX_FAILURES"] = "1"     # of a bench; the others may take long to fail
    wanted = names or tuple(subject.name for subject in subjects())
    outcomes, failed = [], []
    with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
        attacked = {name: pool.submit(attack, name, per_part, seed, output) for name in wanted}
        judged = []
        for name, future in attacked.items():
            if error := future.exception():
                failed.append(str(error))
            else:
                judged += [pool.submit(judge, name, mutant, text, output)
                           for mutant, text in future.result()
                           if number in (None, mutant.number)]
        if not judged and not failed:
            raise click.UsageError(f"{names[0]} has no mutant {number}")
        for index, future in enumerate(judged):
            outcomes.append(future.result())
            click.echo(f"{index + 1}/{len(judged)} {outcomes[-1]}")
        asked = refuted(outcomes)
        wrong = [outcome for outcome, proved in zip(asked, pool.map(
            partial(mutants.is_equivalent, limit_s=REFUTED_S),
            [outcome.mutant for outcome in asked],
            [output / "work" / outcome.subject for outcome in asked]), strict=True) if proved]
    failed += [f"proved equivalent, but {outcome}" for outcome in wrong]
    found = (f"{summary(outcomes)}\n\nOf {len(asked)} killed mutants, one of each design, "
             f"{len(wrong)} are proved equivalent.\n")
    (output / "mutation.md").write_text(found)
    (output / "mutation.json").write_text(json.dumps(
        [asdict(outcome) for outcome in outcomes], indent=1) + "\n")
    click.echo("\n" + found)
    for outcome in filter(lambda outcome: outcome.survived, outcomes):
        click.echo(f"Again: python -m campaigns.mutation --per-part {per_part} --seed {seed} "
                   f"--subject {shlex.quote(outcome.subject)} --mutant {outcome.mutant.number}")
    if failed:
        raise SystemExit("\n".join(failed))
    if score(outcomes) < WANTED:
        raise SystemExit(f"Less than {WANTED:.0%} are killed")
    if is_documented and not explained(outcomes).holds:
        raise SystemExit(explained(outcomes).summary())
    if update:
        DOCUMENT.write_text(updated(DOCUMENT.read_text(), "mutants", found))


if __name__ == "__main__":
    main()
