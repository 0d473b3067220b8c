"""Commands to begin with."""

from pathlib import Path

import click

from .frame import Outcome, command, progress_bar
from .options import FOLDER


@command
@click.option("--output", type=FOLDER, default=Path("build/demo"), show_default=True,
              help="Folder for all files.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Seed of the training.")
@click.option("--board", default="icebreaker", show_default=True, metavar="NAME",
              help="Board that the bitstream is for, one of those that `boards` lists.")
def demo(output: Path, seed: int, board: str) -> Outcome:
    """Do all of it, from training to a verified circuit and a bitstream.

    Takes some minutes, on the handwritten digits of scikit-learn.
    """
    from .. import demo as pipeline

    with progress_bar("training") as show:
        report = pipeline.run(output, lambda step, done, total: show(done, total, step), seed=seed,
                              board=board)
    files = "\n".join(f"  {output / name}" for name in report.files)
    return Outcome(report.as_dict(), f"{report}\n\n{files}", report.passed)


@command
@click.argument("name", type=click.Choice(["mnist", "fashion-mnist"]))
@click.option("--output", type=FOLDER, required=True, help="Folder for the four files.")
@click.option("--url", help="Of a mirror, ending in a slash.")
def download(name: str, output: Path, url: str | None) -> Outcome:
    """Fetch a data set: an IDX folder, as --data takes it."""
    from ..downloads import download as fetch

    with progress_bar(f"fetching {name}"):
        folder = fetch(name, output, url)
    return Outcome({"output": str(folder)}, f"{name}, in {folder}")
