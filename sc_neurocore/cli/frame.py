"""What all commands share: how they are made, what they print, and what they show meanwhile."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import update_wrapper
from pathlib import Path
from typing import Any

import click

from .. import __version__

PROGRAM = "sc-neurocore"
MISMATCH, FAILURE, INTERRUPTED = 1, 2, 130
"""Exit codes: the hardware differs from the golden model; anything else went wrong; Ctrl-C."""


class Commands(click.Group):
    """Commands in the order of the data flow."""

    order = ("demo", "download", "convert", "import", "export", "quantize", "report", "simulate",
             "verilog", "verify", "synth", "boards", "build", "program", "virtual-board", "run")

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in that order; click's own is alphabetical."""
        return sorted(self.commands, key=self.order.index)


@dataclass(frozen=True)
class Outcome:
    """What a command has to say: to machines, to people, and in its exit code.

    ``then`` is what it does after it has said so.
    """

    document: dict[str, Any]
    text: str
    passed: bool = True
    then: Callable[[], None] | None = None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=PROGRAM)
def commands() -> None:
    """Turn a trained PyTorch network into a spiking one on an FPGA, verified cycle by cycle."""


def command(function: Callable[..., Outcome]) -> click.Command:
    """Make a command that prints the outcome of ``function`` and returns the exit code."""
    def printing(as_json: bool, debug: bool, **arguments: Any) -> int:
        # Whatever else prints, a user's model for instance, must not get into the JSON.
        with redirect_stdout(sys.stderr):
            outcome = function(**arguments)
        click.echo(json.dumps(outcome.document, indent=1) if as_json else outcome.text)
        if outcome.then is not None:
            sys.stdout.flush()
            outcome.then()
        return 0 if outcome.passed else MISMATCH

    name = function.__name__.strip("_").replace("_", "-")
    made = commands.command(name=name)(update_wrapper(printing, function))
    # main() looks for these two itself, as an error may be that of another option.
    made.params += [
        click.Option(["--json", "as_json"], is_flag=True,
                     help="Print JSON on stdout, and nothing else."),
        click.Option(["--debug"], is_flag=True, help="Show the traceback of an error.")]
    return made


def warn(message: str) -> None:
    """Print a warning on stderr."""
    click.echo(f"Warning: {message}", err=True)


def check_suffix(output: Path | None, suffix: str) -> None:
    """Raise ValueError unless an output file, if there is one, is called what it will hold."""
    if output is not None and output.suffix != suffix and not output.is_char_device():
        raise ValueError(f"Output file {output} must end in {suffix}")


def check_different(given: Path, output: Path) -> None:
    """Raise ValueError if a command would replace the file that it reads."""
    if output.exists() and output.samefile(given):
        raise ValueError(f"Output file {output} must not be the input")


@contextmanager
def progress_bar(description: str) -> Iterator[Callable[..., None]]:
    """Show progress on stderr if it is a terminal; call with done, total and a description."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=None)

        def show(done: int, total: int, text: str = description) -> None:
            bar.update(task, completed=done, total=total, description=text)

        yield show
