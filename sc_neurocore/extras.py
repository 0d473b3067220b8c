"""Optional dependencies: one error that names the command that installs what is missing."""

import importlib
from types import ModuleType

DISTRIBUTION = "sc-neurocore-fpga"


class MissingExtraError(ImportError):
    """An optional dependency is not installed; the message holds the command that mends it."""


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
