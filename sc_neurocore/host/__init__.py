"""A board at a serial port, with the golden model's API.

::

    with host.open("/dev/ttyUSB1", network) as board:
        assert not differences(board.run(images), golden.run(network, images))

The link is ``docs/link.md``'s. Whatever goes wrong on the line is noticed and repeated, or else a
`LinkError`; a result that comes back is the board's.
"""

from .board import BAUD, RETRIES, TIMEOUT_S, Activity, Board, open
from .line import LinkError, summary
from .session import WrongBoardError

__all__ = ["BAUD", "RETRIES", "TIMEOUT_S", "Activity", "Board", "LinkError", "WrongBoardError",
           "open", "summary"]
