"""Frames, images and results as bytes: whatever goes in comes out, and nothing else does."""

import binascii
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sc_neurocore.protocol import (
    CONSTANTS,
    STATUS,
    STATUS_WITH_PARITY,
    Decoder,
    Fault,
    Frame,
    LinkFormat,
    encode,
    pack_fields,
    unpack_fields,
    unpack_status,
)

SPECIAL = st.sampled_from([0x7D, 0x7E, 0x5D, 0x5E, 0x20])
CONTENT = st.lists(SPECIAL | st.integers(0, 255), max_size=40).map(bytes)
FRAMES = st.builds(Frame, st.integers(0, 255), st.integers(0, 255), CONTENT)


@given(st.lists(FRAMES, max_size=6), st.lists(st.integers(1, 9)))
def test_frames_come_back_in_any_pieces(frames, sizes):
    line, decoder, found = b"".join(encode(frame) for frame in frames), Decoder(), []
    for size in sizes:
        found += decoder.feed(line[:size])
        line = line[size:]
    assert [*found, *decoder.feed(line)] == frames


@given(FRAMES)
def test_a_frame_has_a_flag_on_either_side_and_none_within(frame):
    line = encode(frame)
    assert line[0] == line[-1] == 0x7E
    assert 0x7E not in line[1:-1]
    body = bytes([frame.kind, frame.number]) + frame.content
    body += zlib.crc32(body).to_bytes(4, "little")
    assert line.count(0x7D) == sum(byte in (0x7D, 0x7E) for byte in body)
    assert len(line) == len(body) + line.count(0x7D) + 2


@given(FRAMES, FRAMES, st.data())
def test_a_damaged_frame_is_broken_and_the_next_one_is_not(frame, after, data):
    line = bytearray(encode(frame))
    place = data.draw(st.integers(1, len(line) - 2))
    fault = data.draw(st.sampled_from(["flip", "drop", "cut", "insert"]))
    if fault == "flip":
        line[place] ^= 1 << data.draw(st.integers(0, 7))
    elif fault == "drop":
        del line[place]
    elif fault == "cut":
        del line[place:]
    else:
        line.insert(place, data.draw(st.integers(0, 255)))
    *before, last = Decoder().feed(bytes(line) + encode(after))
    assert last == after
    # What is put between a byte and the same may be taken for either.
    assert set(before) <= ({None} if bytes(line) != encode(frame) else {frame})


@given(st.binary(max_size=200), FRAMES)
def test_garbage_is_no_frame(garbage, frame):
    *before, last = Decoder().feed(garbage + encode(frame))
    assert last == frame
    assert set(before) <= {None}


def test_the_example_of_the_documentation():
    page = (Path(__file__).parents[1] / "docs" / "link.md").read_text()
    line = encode(Frame(ord("S"), 0x7E))
    assert f"`{line.hex(' ')}`" in page
    assert f"{binascii.crc32(bytes([0x53, 0x7E])):08x}" in page


def test_a_frame_without_end_takes_no_memory():
    decoder = Decoder()
    assert not list(decoder.feed(b"the end of another\x7e"))
    for _ in range(5):
        assert not list(decoder.feed(bytes(100_000)))
    assert len(decoder._rest) <= Decoder.LONGEST + 1
    assert list(decoder.feed(b"\x7e" + encode(Frame(1, 2)))) == [None, Frame(1, 2)]


@given(st.data())
def test_fields_come_back(data):
    values = {name: data.draw(st.integers(0, 256**size - 1)) for name, size in STATUS.items()}
    assert unpack_fields(STATUS, pack_fields(STATUS, values)) == values


def test_fields_of_another_length_are_refused():
    with pytest.raises(ValueError, match=f"must have {sum(CONSTANTS.values())} bytes, not 3"):
        unpack_fields(CONSTANTS, bytes(3))


@given(st.integers(1, 16), st.sampled_from([1, 2, 4, 8, 64]), st.integers(1, 40), st.data())
def test_images_are_packed_transfer_by_transfer(width, beats, n_input, data):
    image = data.draw(st.lists(st.integers(0, 2**width - 1), min_size=n_input, max_size=n_input))
    format = LinkFormat(width, beats, -(-n_input // beats), 3, 4, 10)
    packed = format.image(np.array(image))
    assert len(packed) == format.image_bytes
    size = format.transfer_bytes
    found = []
    for start in range(0, len(packed), size):
        word = int.from_bytes(packed[start:start + size], "little")
        found += [word >> width * index & 2**width - 1 for index in range(beats)]
    assert found[:n_input] == image
    assert not any(found[n_input:])


def test_spikes_are_packed_timestep_by_timestep():
    format = LinkFormat(1, 4, 6, 3, 4, 10)
    spikes = np.array([[1, 0, 0, 0, 1], [0, 1, 1, 1, 0], [1, 1, 1, 1, 1]])
    assert format.image(spikes) == bytes([0b0001, 0b1, 0b1110, 0, 0b1111, 0b1])


@given(st.data())
def test_results_come_back(data):
    n_output, count_width, current_width = (data.draw(st.integers(1, high))
                                            for high in (20, 13, 40))
    format = LinkFormat(8, 8, 2, n_output, count_width, current_width)
    half = 2 ** (current_width - 1)
    counts = [data.draw(st.integers(0, 2**count_width - 1)) for _ in range(n_output)]
    currents = [data.draw(st.integers(-half, half - 1)) for _ in range(n_output)]
    best = data.draw(st.integers(0, n_output - 1))
    content = b"".join(
        (count | current % 2**current_width << count_width
         | (best if index == n_output - 1 else 0) << count_width + current_width
         ).to_bytes(format.neuron_bytes, "little")
        for index, (count, current) in enumerate(zip(counts, currents, strict=True)))
    assert format.results(content) == (counts, currents, best)
    with pytest.raises(ValueError, match="Results must have"):
        format.results(content + b"x")


def test_sizes_of_mnist():
    format = LinkFormat(8, 8, 98, 10, 3, 15)
    assert (format.image_bytes, format.buffer_bytes, format.neuron_bytes) == (784, 1024, 3)
    assert (format.slots, format.window(2)) == (16, 3)
    assert len(encode(Frame(ord("R"), 0, bytes(784)))) == 792


def test_every_fault_has_a_name():
    assert len({str(fault) for fault in Fault}) == len(Fault)


def test_what_is_longer_than_a_frame_is_none_whatever_it_begins_with():
    frame = Frame(1, 2, bytes(Decoder.LONGEST - 6))
    body = encode(frame)[1:-1]
    assert len(body) == Decoder.LONGEST
    for rest, found in ((b"", frame), (b"rest", None)):
        decoder = Decoder()
        line = b"\x7e" + body + rest + b"\x7e"
        assert [*decoder.feed(line[:-1]), *decoder.feed(line[-1:])] == [found]


def test_a_status_says_whether_rows_have_parity():
    plain = pack_fields(STATUS, dict.fromkeys(STATUS, 1))
    assert unpack_status(plain) == dict.fromkeys(STATUS, 1) | {
        "corrupted_layer": 0, "corrupted_row": 0}
    values = dict.fromkeys(STATUS_WITH_PARITY, 1) | {"corrupted_layer": 2, "corrupted_row": 700}
    assert unpack_status(pack_fields(STATUS_WITH_PARITY, values)) == values
    with pytest.raises(ValueError, match=f"Fields must have {len(plain)} bytes, not 3"):
        unpack_status(bytes(3))
