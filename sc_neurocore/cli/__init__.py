"""The command line ``sc-neurocore``: the only place that prints or exits."""

import json
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

import click

from ..extras import MissingExtraError, ToolError
from . import (  # noqa: F401, they make the commands
    bitstream,
    board,
    conversion,
    hardware,
    simulation,
    start,
    synthesis,
)
from .frame import FAILURE, INTERRUPTED, MISMATCH, PROGRAM, commands

__all__ = ["FAILURE", "INTERRUPTED", "MISMATCH", "main"]


def expected(error: Exception) -> bool:
    """Whether an error is one that a user can mend, its message being all that it takes."""
    return isinstance(error, ValueError | TypeError | OSError | MemoryError | MissingExtraError
                      | ToolError)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; the entry point of ``sc-neurocore``."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = commands.main(given or ["--help"], prog_name=PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context else ""
        fail(error.format_message() + hint, given)
    except click.Abort:
        fail("interrupted", given, INTERRUPTED)
    except Exception as error:
        if "--debug" in given or not expected(error):
            import traceback
            traceback.print_exc()
        fail(str(error) or type(error).__name__, given)
    sys.exit(code)


def fail(message: str, arguments: Sequence[str], code: int = FAILURE) -> NoReturn:
    """Print an error for machines or people, and exit."""
    if "--json" not in arguments:
        click.echo(f"Error: {message}", err=True)
    else:
        try:
            click.echo(json.dumps({"error": message}))
        except OSError:
            click.echo(f"Error: {message}", err=True)
    try:
        sys.stdout.flush()
    except OSError:
        # What stdout doesn't take, a full disk perhaps, must not fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)
