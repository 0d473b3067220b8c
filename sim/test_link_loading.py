"""Parameters that are loaded over the link, onto a board that has nothing but a memory for them."""

from dataclasses import replace

import numpy as np
import pytest
from common import CACHE, random_network
from loading_board import LoadingBoard
from noisy_line import Noise, NoisyLine

from sc_neurocore import golden, host, verilog
from sc_neurocore.cosim import virtual_board
from sc_neurocore.host import WrongBoardError
from sc_neurocore.host.line import Line
from sc_neurocore.host.session import Session
from sc_neurocore.identity import parameters_crc32
from sc_neurocore.parameters import Capacity, capacities
from sc_neurocore.protocol import Command, Frame
from sc_neurocore.results import differences
from sc_neurocore.spec import AcceleratorSpec

NETWORK = random_network((1, 1), seed=8)
ADDRESSES = np.arange(256)[:, None]


@pytest.fixture
def board():
    text = verilog.component_text(LoadingBoard(NETWORK, virtual_board.DIVISOR), virtual_board.TOP)
    with virtual_board.VirtualBoard(virtual_board.compile_board(text, CACHE)) as running:
        yield running


def opened_empty(port):
    """A board that has no parameters yet.

    Under the noise here four of five attempts at a LOAD of 154 words fail.
    """
    return host.Board(Session(Line(port, host.BAUD, 0.2), {}, retries=100), NETWORK)


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


def test_one_board_serves_every_network_of_its_shape():
    networks = [random_network((21, 7, 3), seed=seed) for seed in (4, 5, 6)]
    networks = [replace(network, seed=9) for network in networks]
    rooms = zip(*(capacities(network) for network in networks), strict=True)
    spec = replace(AcceleratorSpec((3, 2), 4), loaded=tuple(
        Capacity(*(max(getattr(room, name) for room in layer) for name in vars(layer[0])))
        for layer in rooms))
    images = np.random.default_rng(3).integers(0, 256, (30, 21))
    with virtual_board.start(networks[0], spec, CACHE) as running:
        with pytest.raises(WrongBoardError, match="has other parameters: the CRC is 00000000"):
            host.open(running.port, networks[1])
        for network in (*networks, networks[0]):
            with host.open(running.port, network, spec=spec) as opened:
                assert not differences(opened.run(images), golden.run(network, images))
            with host.open(running.port, network) as opened:
                assert not differences(opened.run(images[:5]), golden.run(network, images[:5]))


@pytest.mark.parametrize("noise", [Noise(), Noise(0.001, 0.001, 0.001, 0.001, 0.001)], ids=str)
def test_a_board_is_loaded_and_known_by_its_parameters(board, noise):
    with pytest.raises(WrongBoardError, match="has other parameters: the CRC is 00000000"):
        host.open(board.port, NETWORK)
    with NoisyLine(board.port, noise) as line, opened_empty(line.port) as opened:
        for loaded in words(1), words(2):
            opened.load(loaded, parameters_crc32(NETWORK))
            check(opened, loaded)
    with host.open(board.port, NETWORK) as opened:
        check(opened, loaded)


def test_half_loaded_parameters_are_none(board):
    with opened_empty(board.port) as opened:
        opened.load(words(1), parameters_crc32(NETWORK))
        number = opened.status["next"]
        opened._session.line.send(Frame(Command.LOAD, number, bytes(8) + b"\x12\x34"))
    with pytest.raises(WrongBoardError, match="has other parameters: the CRC is 00000000"):
        host.open(board.port, NETWORK)


def test_what_is_built_in_is_not_loaded():
    network = random_network((21, 7, 3), seed=4)
    with (virtual_board.start(network, folder=CACHE) as running,
          host.open(running.port, network) as opened,
          pytest.raises(WrongBoardError, match="has its parameters built in")):
        opened.load([(0, 1)], 5)
