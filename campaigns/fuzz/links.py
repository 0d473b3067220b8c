"""Attacks on the link: on what finds frames, on the host by a board, and on a board by a host."""

import atexit
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from random import Random
from time import monotonic

import numpy as np

from sc_neurocore import golden, protocol
from sc_neurocore import host as hosts
from sc_neurocore.identity import parameters_crc32
from sc_neurocore.network import IntegerArray, IntegerNetwork
from sc_neurocore.parameters import load_words
from sc_neurocore.protocol import Command, Decoder, Frame, LinkFormat, enclose, encode
from sc_neurocore.results import differences
from sc_neurocore.spec import AcceleratorSpec

from .hostile_board import Behaviour, HostileBoard, arbitrary_frame
from .mutate import INTEGERS
from .target import Target

SPEC = AcceleratorSpec((3, 2), 4)
TIMEOUT_S, RETRIES = 0.03, 2
DEADLINE_S = 8.0
"""What opening a board and running `IMAGES` may take by `host.open`'s own timeouts: an answer is
waited for RETRIES + 1 times, at each of the images and each time that it is asked how far it is."""


class Failed(Exception):
    """The link did what it must not do."""


# --- frames -------------------------------------------------------------------------------------

def _stream(random: Random, data: bytes) -> bytes:
    """Frames of any kind, number and length, with right checksums, some of them then damaged."""
    frames = [encode(arbitrary_frame(random, Command)) for _ in range(random.randint(1, 6))]
    if random.random() < 0.2:       # one with no room for a header
        frames.append(enclose(bytes(random.choices((*Command, 0, 255), k=random.randrange(2)))))
    if random.random() < 0.02:
        frames.append(encode(Frame(1, 1, bytes(2**17 - random.randrange(20))))[:-1] + b"\1\2\3\x7e")
    return b"".join(frames if random.random() < 0.7 else [data, *frames])


def _plain(data: bytes) -> Iterator[Frame | None]:
    """Frames as ``docs/link.md`` has them, all at once."""
    for body in data.split(b"\x7e")[1:-1]:
        if not body:
            continue
        found, place, fits = bytearray(), 0, len(body) <= Decoder.LONGEST
        while place < len(body):
            if body[place] == 0x7D:
                place += 1
                fits &= place < len(body)
                found.append(body[place] ^ 0x20 if place < len(body) else 0)
            else:
                found.append(body[place])
            place += 1
        right = fits and len(found) >= 6 and (
            zlib.crc32(found[:-4]) == int.from_bytes(found[-4:], "little"))
        yield Frame(found[0], found[1], bytes(found[2:-4])) if right else None


def _decode(path: Path) -> None:
    data = path.read_bytes()
    random, decoder, place = Random(data), Decoder(), 0
    frames: list[Frame | None] = []
    while place < len(data):
        size = random.choice((1, 2, 7, 100, 4096, len(data)))
        frames += decoder.feed(data[place:place + size])
        place += size
    if frames != list(_plain(data)):
        raise Failed("frames differ from the documented ones")
    for frame in filter(None, frames):
        form = LinkFormat(random.randint(1, 16), random.randint(1, 9), random.randint(1, 9),
                          random.randint(1, 9), random.randint(1, 16), random.randint(1, 40))
        with suppress(ValueError):      # the only one that is documented
            protocol.unpack_status(frame.content)
        with suppress(ValueError):
            form.results(frame.content)


def frames() -> Target:
    """What finds frames in bytes, compared with a plain way to find them."""
    return Target("frames", "bytes", [encode(Frame(Command.STATUS, 1)) * 3], _decode, (), _stream)


# --- the host, by a board -------------------------------------------------------------------------

def host(loads: bool = False) -> Target:
    """The host's side, with a board that isn't one; parameters may have to be loaded."""
    network, images = network_and_images()
    spec = SPEC.with_loading(network) if loads else SPEC
    behaviour = Behaviour.of(network, spec, images)
    want = golden.run(network, images)

    def load(path: Path) -> None:
        board = HostileBoard(path.read_bytes(), behaviour)
        begun = monotonic()
        try:
            known = spec if loads else Random(path.read_bytes()).choice((None, spec))
            with hosts.open(board.port, network, spec=known, timeout=TIMEOUT_S,
                            retries=RETRIES) as opened:
                got = opened.run(images)
            if differences(got, want):
                raise Failed("results are wrong")
        finally:
            board.close()
            if monotonic() - begun > DEADLINE_S:
                raise Failed(f"it takes {monotonic() - begun:.1f} s")

    return Target("host, loading" if loads else "host", "choices", [bytes(8)], load,
                  (hosts.LinkError, hosts.WrongBoardError),
                  lambda random, data: random.randbytes(8), names_file=False,
                  limit_s=2 * DEADLINE_S)


def network_and_images() -> tuple[IntegerNetwork, IntegerArray]:
    """What boards run."""
    from common import random_network
    return (random_network((21, 7, 3), seed=4),
            np.random.default_rng(3).integers(0, 256, (12, 21)))


# --- a board, by a host -------------------------------------------------------------------------

def board(loads: bool = False) -> Target:
    """The gateware, pins included, under Verilator: afterwards it still has to compute.

    Its parameters may be loaded, and rows of weights have parity then.
    """
    import serial
    from common import CACHE

    from sc_neurocore.cosim import virtual_board

    network, images = network_and_images()
    images = images[:3]
    want = golden.run(network, images)
    spec = replace(SPEC, parity=True).with_loading(network) if loads else SPEC
    running = virtual_board.start(network, spec, CACHE)
    atexit.register(running.close)
    image = LinkFormat.of(network, SPEC.beats).image(images[0])
    loading = partial(_loading, parameters_crc32(network),
                      load_words(network, spec)[:, 0].tolist()) if loads else None
    seeds = [encode(Frame(Command.STATUS, 1)), encode(Frame(Command.RUN, 0, image)),
             encode(Frame(Command.ECHO, 7, bytes(range(256)))),
             encode(Frame(Command.LOAD, 0, bytes(12)))]

    def executed(random: Random, data: bytes) -> bytes:
        """Commands under every number, so one of them is the next; and what may come in between."""
        if random.random() < (0.3 if loading else 0.9):
            return _stream(random, data)
        first, is_run = random.randrange(256), loading is None or random.random() < 0.2
        made = [encode(Frame(Command.RUN, number % 256, image) if is_run or loading is None else
                       Frame(Command.LOAD, number % 256, loading(random)))
                for number in range(first, first + 256)]
        made.insert(random.randrange(256), _stream(random, data))
        return b"".join(made)

    def load(path: Path) -> None:
        # one that does not read, and leaves when the board can't get rid of its answers
        with (serial.Serial(running.port, hosts.BAUD, write_timeout=1) as port,
              suppress(serial.SerialTimeoutException)):
            port.write(path.read_bytes())
        with hosts.open(running.port, network, spec=spec) as opened:
            got = opened.run(images)
            if differences(got, want):
                raise Failed("results are wrong")

    return Target("board, loading" if loads else "board", "bytes", seeds, load, (), executed,
                  limit_s=30.0)


def _loading(parameters: int, addresses: list[int], random: Random) -> bytes:
    """Content of a LOAD, of any words for any address, but never said to be the right ones."""
    crc = random.choice((0, 1, parameters ^ 1, parameters ^ 2**31, random.randrange(2**32)))
    address = random.choice((random.choice(addresses), random.choice(INTEGERS) % 2**32))
    size = random.choice((0, 1, 2, 4, 5, 40))
    return ((crc if crc != parameters else 0).to_bytes(4, "little") + address.to_bytes(4, "little")
            + random.choice((bytes(size), b"\xff" * size, random.randbytes(size))))
