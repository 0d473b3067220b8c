"""What a target of an attack is."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .mutate import Mutation


@dataclass(frozen=True)
class Target:
    """One kind of input.

    Parameters
    ----------
    name, file : str
        Of the target, and of the file that inputs are written to.
    seeds : sequence of bytes
        Valid inputs.
    load : callable
        Reads a file.
    errors : tuple of types
        Those that it documents.
    reshape : callable, optional
        Makes mutants by what is known of the format.
    beside : mapping of str to bytes
        Files in the same folder.
    names_file : bool
        Whether errors have to name the file.
    is_codegen : bool
        Whether what torch.fx writes may be executed: its names are those of a file, made harmless.
    starts : str
        A module of Python that may run in a process of its own. There is no limit of memory then,
        as a machine of WebAssembly reserves more than it takes.
    limit_s : float
        Seconds that an input may take.
    refuses_seeds : bool
        Whether even its valid inputs are refused, for what is beside them.
    """

    name: str
    file: str
    seeds: Sequence[bytes]
    load: Callable[[Path], object]
    errors: tuple[type[Exception], ...] = (ValueError, OSError)
    reshape: Mutation | None = None
    beside: Mapping[str, bytes] = field(default_factory=dict)
    names_file: bool = True
    is_codegen: bool = False
    starts: str = ""
    limit_s: float = 10.0
    refuses_seeds: bool = False
