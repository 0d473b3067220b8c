"""The link between a host and a board: frames, commands and answers, as ``docs/link.md`` has them.

Gateware and host share these constants and layouts. What is made of them is written twice, once in
gateware and once here.
"""

import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from .network import IntegerArray, IntegerNetwork

VERSION = 2
"""Of the protocol."""

FLAG = 0x7E
ESCAPE = 0x7D
ESCAPE_BIT = 0x20
CRC_POLYNOMIAL = 0xEDB88320
"""That of zlib's CRC-32, the highest coefficient in the lowest bit."""
CRC_RESIDUE = 0xDEBB20E3
"""What the register holds after a message and its CRC."""
CRC_BYTES = 4
HEADER_BYTES = 2
"""Kind and number."""

NUMBERS = 256
"""Commands are numbered modulo this."""
LOAD_HEADER_BYTES = 8
"""CRC of the parameters and address of the first word."""
BLOCK_BYTES = 512
"""Of the smallest block RAM, an iCE40's."""


class Command(IntEnum):
    """Kinds of frames to the board."""

    STATUS = ord("S")
    ECHO = ord("E")
    RUN = ord("R")
    LOAD = ord("L")


class Answer(IntEnum):
    """Kinds of frames from the board."""

    STATUS = ord("s")
    ECHO = ord("e")
    RESULT = ord("r")
    LOADED = ord("l")
    ERROR = ord("x")


class Fault(IntEnum):
    """Why the board refused a frame; or, not asked, that it has lost all images."""

    BROKEN = 0
    UNKNOWN = 1
    LENGTH = 2
    ORDER = 3
    BUSY = 4
    RESTART = 5

    def __str__(self) -> str:
        return {Fault.BROKEN: "a frame was broken", Fault.UNKNOWN: "a command is unknown",
                Fault.LENGTH: "a frame has the wrong length",
                Fault.ORDER: "a command has not the next number",
                Fault.BUSY: "there is no room for a frame",
                Fault.RESTART: "it stood still and restarted itself"}[self]


CONSTANTS = {"protocol": 1, "version": 3, "shape": 4, "layout": 4, "beats": 1, "buffer_bytes": 4,
             "window": 1, "count_width": 1, "current_width": 1, "loads": 1, "clock_hz": 4}
"""What of a status never changes, and its bytes, in their order."""
VARIABLES = {"parameters": 4, "next": 1, "done": 1, "restarts": 1}
"""What of a status follows, and changes."""
CORRUPTED = {"corrupted_layer": 1, "corrupted_row": 4}
"""What follows these, if rows of weights have parity: where a corrupted one was read first. The
layer counts from 1 and is 255 at most; 0 is none."""
COUNTERS = {"faults": 1, "cycles": 4, "input_events": 4, "hidden_events": 4}
"""What of a status comes last: numbers of events since the start, modulo 2^(8·bytes)."""
STATUS = CONSTANTS | VARIABLES | COUNTERS
"""All of it."""
STATUS_WITH_PARITY = CONSTANTS | VARIABLES | CORRUPTED | COUNTERS
"""All of it, if rows have parity."""


def pack_fields(fields: Mapping[str, int], values: Mapping[str, int]) -> bytes:
    """Bytes of numbers, one after another, the lowest byte of each first."""
    return b"".join(values[name].to_bytes(size, "little") for name, size in fields.items())


def unpack_fields(fields: Mapping[str, int], content: bytes) -> dict[str, int]:
    """Numbers that `pack_fields` packed.

    Raises
    ------
    ValueError
        If the length is wrong.
    """
    if len(content) != sum(fields.values()):
        raise ValueError(f"Fields must have {sum(fields.values())} bytes, not {len(content)}")
    values, place = {}, 0
    for name, size in fields.items():
        values[name] = int.from_bytes(content[place:place + size], "little")
        place += size
    return values


def unpack_status(content: bytes) -> dict[str, int]:
    """Numbers of a status; nothing is corrupted where rows have no parity.

    Raises
    ------
    ValueError
        If the length is wrong.
    """
    if len(content) == sum(STATUS_WITH_PARITY.values()):
        return unpack_fields(STATUS_WITH_PARITY, content)
    return unpack_fields(STATUS, content) | dict.fromkeys(CORRUPTED, 0)


@dataclass(frozen=True)
class LinkFormat:
    """Sizes of what goes over the link, and of what keeps it: they follow from the accelerator.

    Parameters
    ----------
    beat_width : int
        Bits of an input: an intensity, or a spike.
    beats : int
        Inputs in a transfer of the accelerator.
    transfers : int
        Transfers of an image.
    n_output : int
    count_width, current_width : int
        Bits of a result's spike count and current.
    """

    beat_width: int
    beats: int
    transfers: int
    n_output: int
    count_width: int
    current_width: int

    @classmethod
    def of(cls, network: IntegerNetwork, beats: int, count_width: int | None = None,
           current_width: int | None = None) -> "LinkFormat":
        """That of a network; the widths of its results are the board's, where it says so."""
        events = network.encoder == "events"
        timesteps = network.timesteps if events else 1
        return cls(1 if events else network.intensity_width, beats,
                   timesteps * -(-network.n_input // beats), network.n_output,
                   network.count_width if count_width is None else count_width,
                   network.current_width if current_width is None else current_width)

    @property
    def transfer_bytes(self) -> int:
        """Bytes of a transfer."""
        return -(-self.beat_width * self.beats // 8)

    @property
    def image_bytes(self) -> int:
        """Bytes of an image."""
        return self.transfers * self.transfer_bytes

    @property
    def index_width(self) -> int:
        """Bits of an output neuron's number."""
        return max(1, (self.n_output - 1).bit_length())

    @property
    def neuron_bytes(self) -> int:
        """Bytes of a result: of one output neuron."""
        return -(-(self.count_width + self.current_width + self.index_width) // 8)

    @property
    def result_bytes(self) -> int:
        """Bytes of an image's results."""
        return self.n_output * self.neuron_bytes

    @property
    def buffer_bytes(self) -> int:
        """Bytes of the board's buffer of frames: room for an image and its CRC."""
        return max(BLOCK_BYTES, 1 << (self.image_bytes + CRC_BYTES - 1).bit_length())

    @property
    def slots(self) -> int:
        """Images whose results the board keeps: 2 to 16, in 256 words if they fit."""
        return max(2, min(16, 256 >> self.index_width))

    def window(self, buffered: int) -> int:
        """Images that may be on their way: in the accelerator's input, ``buffered``, and before it.

        So none of them ever finds the buffer full.
        """
        return min(self.slots, buffered + (self.buffer_bytes - CRC_BYTES) // self.image_bytes)

    def image(self, inputs: IntegerArray) -> bytes:
        """Content of a RUN: (n_input,) intensities, or (timesteps, n_input) spikes."""
        rows = np.atleast_2d(inputs)
        padded = np.zeros((len(rows), self.transfers // len(rows) * self.beats), dtype=np.int64)
        padded[:, :rows.shape[1]] = rows
        bits = padded.reshape(-1, self.beats, 1) >> np.arange(self.beat_width) & 1
        packed = np.packbits(bits.reshape(self.transfers, -1).astype(np.uint8), axis=1,
                             bitorder="little")
        return packed.tobytes()

    def results(self, content: bytes) -> tuple[list[int], list[int], int]:
        """Counts and currents of all neurons, and the class, from the content of a RESULT.

        Raises
        ------
        ValueError
            If the length is wrong.
        """
        if len(content) != self.result_bytes:
            raise ValueError(f"Results must have {self.result_bytes} bytes, not {len(content)}")
        counts, currents, predicted = [], [], 0
        for start in range(0, len(content), self.neuron_bytes):
            word = int.from_bytes(content[start:start + self.neuron_bytes], "little")
            counts.append(word & 2**self.count_width - 1)
            current = word >> self.count_width & 2**self.current_width - 1
            currents.append(current - (current >> self.current_width - 1 << self.current_width))
            predicted = (word >> self.count_width + self.current_width) & 2**self.index_width - 1
        return counts, currents, predicted


@dataclass(frozen=True)
class Frame:
    """What a frame says: its kind, its number, and the rest."""

    kind: int
    number: int
    content: bytes = b""


def encode(frame: Frame) -> bytes:
    """Bytes on the line, a flag on either side."""
    return enclose(bytes([frame.kind, frame.number]) + frame.content)


def enclose(body: bytes) -> bytes:
    """Bytes on the line of kind, number and content, or of what is to be taken for them."""
    body += zlib.crc32(body).to_bytes(CRC_BYTES, "little")
    escape = bytes([ESCAPE])
    for special in (ESCAPE, FLAG):      # the escape first, or it would be escaped twice
        body = body.replace(bytes([special]), escape + bytes([special ^ ESCAPE_BIT]))
    return bytes([FLAG]) + body + bytes([FLAG])


class Decoder:
    """Takes bytes from a line, in any pieces, and finds frames in them.

    What comes before the first flag may be the end of a frame to somebody else, and is passed over.
    """

    LONGEST = 2**17
    """Bytes of a frame that are remembered; of more it is known that they are none."""

    def __init__(self) -> None:
        self._rest = b""
        self._begun = False

    def feed(self, received: bytes) -> Iterator[Frame | None]:
        """Frames that are complete with these bytes; None for one that is broken."""
        *bodies, self._rest = (self._rest + received).split(bytes([FLAG]))
        for body in bodies:
            if body and self._begun:
                yield _decode(body) if len(body) <= self.LONGEST else None
            self._begun = True
        self._rest = self._rest[:self.LONGEST + 1]


def _decode(escaped: bytes) -> Frame | None:
    first, *parts = escaped.split(bytes([ESCAPE]))
    if not all(parts):
        return None
    body = first + b"".join(bytes([part[0] ^ ESCAPE_BIT]) + part[1:] for part in parts)
    content, crc = body[:-CRC_BYTES], body[-CRC_BYTES:]
    if len(content) < HEADER_BYTES or zlib.crc32(content).to_bytes(CRC_BYTES, "little") != crc:
        return None
    return Frame(content[0], content[1], content[HEADER_BYTES:])
