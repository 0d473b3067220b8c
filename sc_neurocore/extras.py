"""What may be missing: optional packages and programs, and errors that say how to install them."""

import importlib
from types import ModuleType

DISTRIBUTION = "sc-neurocore-fpga"


class MissingExtraError(ImportError):
    """An optional dependency is not installed; the message holds the command that mends it."""


class ToolError(RuntimeError):
    """A program that is needed is missing or failed; the message says how to mend it, or where its
    log is."""


def require(module: str, extra: str) -> ModuleType:
    """Import ``module``, which the extra ``extra`` of this distribution installs.

    Raises
    ------
    MissingExtraError
        If the module, or its top-level package, is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        package = module.partition(".")[0]
        if error.name is None or error.name.partition(".")[0] != package:
            raise
        raise MissingExtraError(
            f"{package} is not installed; install it with: "
            f"pip install '{DISTRIBUTION}[{extra}]'", name=package) from error
