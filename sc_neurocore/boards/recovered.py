"""The board that a bitstream file makes of its FPGA, with the ports of a virtual board."""

from dataclasses import dataclass
from pathlib import Path

from ..synthesis.recovery import TOP, recover
from . import Board
from .top import pins_of

_BOARD = """module board (input clk, input rst, input rx, output tx, output busy);
  wire lamp;
  assign busy = {lit};
  {top} chip (.clk(clk), .rx(rx), .tx(tx), .lamp(lamp));
endmodule
"""


@dataclass(frozen=True)
class RecoveredBoard:
    """Verilog of a module ``board``, for `cosim.virtual_board.compile_board`, and its clock.

    It resets itself, ``rst`` is connected to nothing. ``clock_hz``: of the oscillator times what
    the bitstream's PLL makes of it.
    """

    text: str
    clock_hz: float


def recover_board(bitstream: Path, board: Board, folder: Path) -> RecoveredBoard:
    """Recover a board of iCE40 from a bitstream, its pins being where the board has them.

    Parameters
    ----------
    bitstream : Path
    board : Board
    folder : Path
        Where the files in between and the logs are left.

    Raises
    ------
    MissingExtraError, ToolError
        If something is not installed, or fails.
    ValueError
        If a pin is not in use in the bitstream.
    """
    pins = pins_of(board)
    found = recover(bitstream, {"clk": pins.clk, "rx": pins.rx},
                    {"tx": pins.tx, "lamp": pins.lamp}, "clk", folder)
    wrapper = _BOARD.format(lit="!lamp" if pins.lamp_inverted else "lamp", top=TOP)
    return RecoveredBoard(wrapper + found.text, float(found.clock_ratio) * pins.oscillator_hz)
