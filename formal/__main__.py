"""`python -m formal`: prove everything, and print a table of it."""

import sys
from concurrent.futures import ThreadPoolExecutor
from time import monotonic

import click
from readme import updated

from . import ROOT
from .proving import Outcome, check, proofs, save

FOLDER = ROOT / "build" / "formal"
DOCUMENT = ROOT / "docs" / "verification.md"
HEAD = ("module", "property", "method, depth", "time", "broken designs are refuted in cycle",
        "assertions they violate")


@click.command()
@click.argument("names", nargs=-1)
@click.option("--jobs", default=2, show_default=True, help="Proofs at the same time.")
@click.option("--update", is_flag=True, help=f"Write the table into {DOCUMENT.name}, too.")
def main(names: tuple[str, ...], jobs: int, update: bool) -> None:
    """Prove all properties of the gateware, or those that are named."""
    begun, known = monotonic(), proofs()
    if unknown := set(names) - set(known):
        raise click.UsageError(f"Proofs must be among {', '.join(known)}, not {min(unknown)}")
    if update and names:
        raise click.UsageError("--update needs all proofs, not some")
    FOLDER.mkdir(parents=True, exist_ok=True)
    with ThreadPoolExecutor(jobs) as pool:
        running = pool.map(lambda name: check(name, FOLDER / name), names or known)
        outcomes = []
        for outcome in running:
            outcomes.append(outcome)
            print(f"{outcome.name}: {'proved' if outcome.passed else 'NOT PROVED'} in "
                  f"{outcome.seconds:.1f} s; broken: {refuted(outcome)}; never violated: "
                  f"{', '.join(outcome.never_violated) or 'none'}"
                  f"{'; UNEXPLAINED: ' * bool(outcome.unexplained)}"
                  f"{', '.join(outcome.unexplained)}", flush=True)
    save(outcomes, FOLDER / "results.json")
    text = table(outcomes)
    (FOLDER / "table.md").write_text(text)
    ports = [sum(outcome.ports.get(kind, 0) for outcome in outcomes)
             for kind in ("asserted", "filled")]
    print(f"\n{text}\nPorts of memories: {ports[0]} asserted to be in range, {ports[1]} by "
          f"construction\n{sum(len(outcome.refuted_at) for outcome in outcomes)} broken designs, "
          f"{len(outcomes)} proofs in {monotonic() - begun:.0f} s: {FOLDER}/results.json")
    if not all(outcome.holds for outcome in outcomes):
        sys.exit("Some were not proved, or not refuted of the broken design, or have an assertion "
                 "that no broken design violates")
    if update:
        DOCUMENT.write_text(updated(DOCUMENT.read_text(), "proofs", text))


def table(outcomes: list[Outcome]) -> str:
    """Outcomes in Markdown."""
    rows = [HEAD, ("---",) * len(HEAD)]
    rows += [(outcome.module, outcome.property, f"{outcome.method}, {outcome.depth}",
              f"{outcome.seconds:.1f} s" if outcome.passed else "NOT PROVED", refuted(outcome),
              violated(outcome))
             for outcome in outcomes]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def refuted(outcome: Outcome) -> str:
    """When each broken design was found to be wrong."""
    return ", ".join("NOT REFUTED" if cycle is None else str(cycle)
                     for cycle in outcome.refuted_at)


def violated(outcome: Outcome) -> str:
    """How many lines of assertions of the property the broken designs violate, of how many."""
    found = len(set().union(*outcome.violated))
    return f"{found} of {found + len(outcome.never_violated)}"


if __name__ == "__main__":
    main()
