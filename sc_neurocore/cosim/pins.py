"""Comparing a simulated board with the golden model at its pins, through the link."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from .. import golden, host
from ..network import IntegerNetwork
from ..spec import AcceleratorSpec
from .compare import REQUIRED, Comparison, Mismatch
from .verification import Report
from .virtual_board import VirtualBoard

TIMEOUT_S, RETRIES = 30.0, 2
"""Of the host: a netlist of a large network may take seconds for an image."""


def verify_at_pins(network: IntegerNetwork, intensities: npt.ArrayLike, spec: AcceleratorSpec,
                   program: Path, divisor: int) -> Report:
    """Run images on a virtual board, and compare results and cycles with the golden model.

    The images come one at a time. Results, and the board's counter of cycles, come back through the
    link, as from a board: an image takes from its last transfer to its last result just as many
    cycles as the golden model says.

    Parameters
    ----------
    network, intensities
        As for `verification.verify`.
    spec : AcceleratorSpec
        Layout of the board; if parameters are loaded there, they are.
    program : Path
        Of `virtual_board.compile_board`.
    divisor : int
        Clock cycles of a bit.

    Raises
    ------
    MissingExtraError
        If pyserial is not installed.
    TypeError, ValueError
        If intensities or spec do not fit the network, or there is no image.

    A board that does not answer, or is another one, is a mismatch, and no error; so is anything
    that the host has to mend, since this line damages nothing.
    """
    spec.check(network)
    images, _ = network.check_batch(intensities)
    if not len(images):
        raise ValueError("Verification needs at least one image")
    comparison = Comparison("pins", (*REQUIRED, "cycle"))
    try:
        with (VirtualBoard(program, divisor) as running,
              host.open(running.port, network, spec=spec, timeout=TIMEOUT_S,
                        retries=RETRIES) as board):
            for index, image in enumerate(images):
                _compare(comparison, board, spec, index, image)
            faults = host.summary(board.activity.faults)
    except (host.LinkError, host.WrongBoardError) as error:
        faults = str(error)
    if faults:
        comparison.add(Mismatch("fault", "link", None, None, None, None, faults, "none"))
    return Report(network.shape, len(images), (comparison,))


def _compare(comparison: Comparison, board: host.Board, spec: AcceleratorSpec, index: int,
             image: npt.NDArray[np.int64]) -> None:
    want = golden.trace(board.network, image[None], spec)
    cycles = want.trace.cycles
    assert cycles is not None
    before = board.activity.cycles
    got = board.run(image)
    at = {"image": np.array(index), "neuron": np.arange(board.network.n_output)}
    comparison.check("count", "board", got.counts, want.counts[0], at)
    comparison.check("current", "board", got.currents, want.currents[0], at)
    del at["neuron"]
    comparison.check("predicted", "board", np.array(got.predicted), want.predicted[0], at)
    comparison.check("cycle", "board", np.array(board.activity.cycles - before),
                     cycles.results[0, -1] - cycles.loads[0, -1], at)
