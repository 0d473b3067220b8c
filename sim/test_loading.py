"""Parameters that are loaded over the link, onto a board that has nothing but a memory for them."""

import numpy as np
import pytest
from common import CACHE, random_network
from loading_board import LoadingBoard
from noisy_line import Noise, NoisyLine

from sc_neurocore import host, verilog
from sc_neurocore.cosim import virtual_board
from sc_neurocore.host import WrongBoardError
from sc_neurocore.identity import parameters_crc32
from sc_neurocore.protocol import Command, Frame

NETWORK = random_network((1, 1), seed=8)
ADDRESSES = np.arange(256)[:, None]


@pytest.fixture
def board():
    text = verilog.component_text(LoadingBoard(NETWORK, virtual_board.DIVISOR), virtual_board.TOP)
    with virtual_board.VirtualBoard(virtual_board.compile_board(text, CACHE)) as running:
        yield running


def words(seed):
    """Words for all addresses but some, not in their order."""
    random = np.random.default_rng(seed)
    values = dict(zip(range(256), random.integers(0, 2**15, 256).tolist(), strict=True))
    for address in (0, 7, 100, 101):
        del values[address]
    return [*list(values.items())[90:], *list(values.items())[:90]]


def check(opened, loaded):
    currents = opened.run(ADDRESSES).currents[:, 0]
    for address, word in loaded:
        assert currents[address] == word, address


@pytest.mark.parametrize("noise", [Noise(), Noise(0.001, 0.001, 0.001, 0.001, 0.001)], ids=str)
def test_a_board_is_loaded_and_known_by_its_parameters(board, noise):
    with pytest.raises(WrongBoardError, match="has other parameters: the CRC is 00000000"):
        host.open(board.port, NETWORK)
    first, second = words(1), words(2)
    with NoisyLine(board.port, noise) as line:
        with host.open(line.port, NETWORK, words=first, timeout=0.2, retries=30) as opened:
            check(opened, first)
        # It is there: nothing is loaded, whatever is given.
        with host.open(line.port, NETWORK, words=second, timeout=0.2, retries=30) as opened:
            check(opened, first)
            opened.load(second, parameters_crc32(NETWORK))
            check(opened, second)
    with host.open(board.port, NETWORK) as opened:
        check(opened, second)


def test_half_loaded_parameters_are_none(board):
    with host.open(board.port, NETWORK, words=words(1)) as opened:
        number = opened.status["next"]
        opened._line.send(Frame(Command.LOAD, number, bytes(8) + b"\x12\x34"))
    with pytest.raises(WrongBoardError, match="has other parameters: the CRC is 00000000"):
        host.open(board.port, NETWORK)


def test_what_is_built_in_is_not_loaded():
    network = random_network((21, 7, 3), seed=4)
    with (virtual_board.start(network, folder=CACHE) as running,
          host.open(running.port, network) as opened,
          pytest.raises(WrongBoardError, match="has its parameters built in")):
        opened.load([(0, 1)], 5)
