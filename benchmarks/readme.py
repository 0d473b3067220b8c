"""The tables of the README that the benchmarks have measured.

    python benchmarks/readme.py [--update]

Each benchmark writes the tables that it has all numbers of to ``build/benchmarks/tables``. This
writes them all to one file, or into README.md, each between its two comments.
"""

import re
from pathlib import Path

import click

NAMES = ("fashion_mlp", "fashion_cnn", "mnist_mlp", "qcfs", "speed", "hardware")
"""The tables, in the README's order."""

FOLDER = Path("build/benchmarks/tables")
README = Path(__file__).resolve().parents[1] / "README.md"


def write(name: str, table: str) -> None:
    """Keep a table for the README."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    (FOLDER / f"{name}.md").write_text(f"{table}\n", encoding="utf-8")


def tables() -> dict[str, str]:
    """Tables that have been measured, by name."""
    paths = {name: FOLDER / f"{name}.md" for name in NAMES}
    return {name: path.read_text(encoding="utf-8") for name, path in paths.items()
            if path.exists()}


def updated(text: str, name: str, table: str) -> str:
    """Replace what is between the comments of a table.

    Raises
    ------
    ValueError
        If there aren't two, one after the other.
    """
    begin, end = f"<!-- table: {name} -->\n", f"<!-- end of table: {name} -->"
    found = re.findall(f"{re.escape(begin)}.*?{re.escape(end)}", text, re.DOTALL)
    if len(found) != 1:
        raise ValueError(f"README must have {begin.strip()} and {end} once, "
                         f"not {len(found)} times")
    return text.replace(found[0], f"{begin}{table}{end}")


@click.command()
@click.option("--output", type=Path, default=FOLDER.parent / "README-tables.md", show_default=True)
@click.option("--update", is_flag=True, help="Replace the tables in README.md as well.")
def main(output: Path, update: bool) -> None:
    """Write the tables that have been measured."""
    found = tables()
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text("\n".join(f"{name}\n\n{table}" for name, table in found.items()),
                      encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    for name, table in found.items():
        text = updated(text, name, table)
    if update:
        README.write_text(text, encoding="utf-8")
    print(f"{output}: {', '.join(found) or 'nothing'}")
    for name in NAMES:
        if name not in found:
            print(f"{name} has not been measured")


if __name__ == "__main__":
    main()
