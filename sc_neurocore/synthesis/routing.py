"""Running nextpnr with one router after another, since they may go round in circles."""

import re
from collections.abc import Sequence
from pathlib import Path

from . import tools
from .devices import Device
from .flows import FLOWS

LIMIT_S = 4 * 3600.0
"""Seconds that one run may take: much more than any needs, but not for ever, as a router may."""
TURNS = 1000
"""Iterations after which router2 is taken to do so; it needs some dozens."""
BATCHES = 20
"""Batches of arcs in which router1 has to rip up another one for each, and is taken to do so."""


def route(device: Device, seed: int, arguments: Sequence[str], folder: Path, *,
          native: bool = False) -> None:
    """Place and route with one seed, by the first of the family's routers that comes to an end.

    Parameters
    ----------
    device : Device
    seed : int
    arguments : sequence of str
        Of nextpnr, beside the device's, seed and router.
    folder : Path
        Working folder; gets a log ``nextpnr-SEED-ROUTER.log`` of each router.
    native : bool
        Run the nextpnr on PATH.

    Raises
    ------
    EndlessError
        If all of them go round in circles.
    ToolError
        If nextpnr is missing or fails; the message has the log's path.
    """
    routers = FLOWS[device.family].routers
    for router in routers:
        try:
            tools.run(device.program, [*device.arguments, "--router", router, "--seed", str(seed),
                                       *arguments],
                      folder, f"nextpnr-{seed}-{router}.log", native=native, limit_s=LIMIT_S,
                      endless=is_endless)
            return
        except tools.EndlessError:
            if router == routers[-1]:
                raise


def is_endless(end: str) -> bool:
    """Whether the end of nextpnr's log is that of a router that goes round in circles."""
    turns = re.findall(r"^Info: +iter=(\d+) ", end, re.MULTILINE)
    batches = re.findall(r"^Info: +\d+ \| +\d+ +(\d+) \|", end, re.MULTILINE)
    return ((bool(turns) and int(turns[-1]) > TURNS)
            or (len(batches) > BATCHES and len(set(batches[-BATCHES:])) == 1))
