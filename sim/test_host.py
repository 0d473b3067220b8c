"""The host's side of the link, and the whole board: the virtual board runs it, pins included."""

import os
import pty
import threading
import tty
from dataclasses import replace
from pathlib import Path
from time import monotonic

import numpy as np
import pytest
import serial
from common import CACHE, random_network
from noisy_line import Noise, NoisyLine

from sc_neurocore import golden, host
from sc_neurocore.cosim import virtual_board
from sc_neurocore.datasets import digits
from sc_neurocore.host import LinkError, WrongBoardError
from sc_neurocore.protocol import Answer, Command, Decoder, Fault, Frame, LinkFormat, encode
from sc_neurocore.results import differences
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.storage import load_network

NETWORK = random_network((21, 7, 3), seed=4)
SPEC = AcceleratorSpec((3, 2), 4)
IMAGES = np.random.default_rng(3).integers(0, 256, (200, 21))
REFERENCE = Path(__file__).parents[1] / "hdl" / "reference.safetensors"


@pytest.fixture(scope="module")
def board():
    """A virtual board, which keeps running from test to test."""
    with virtual_board.start(NETWORK, SPEC, CACHE) as running:
        yield running


@pytest.fixture(scope="module")
def want():
    return golden.run(NETWORK, IMAGES)


def run_images(network, spec, images):
    with (virtual_board.start(network, spec, CACHE) as running,
          host.open(running.port, network, spec=spec) as opened):
        return opened.run(images), opened.activity


def test_results_are_those_of_the_golden_model(board, want):
    done = []
    with host.open(board.port, NETWORK, spec=SPEC) as opened:
        result = opened.run(IMAGES, lambda *progress: done.append(progress))
        assert not differences(result, want)
        assert done == [(index + 1, 200) for index in range(200)]
        single = opened.run(IMAGES[7])
        assert single.counts.shape == (3,)
        assert not differences(single, golden.run(NETWORK, IMAGES[7]))
        assert opened.activity.images == 201
        assert opened.activity.images_per_second > 10
        assert not opened.activity.faults


@pytest.mark.parametrize("spec", [SPEC, replace(SPEC, ports=(2, 2)), AcceleratorSpec((7, 1), 4)])
def test_counters_are_those_of_the_golden_model(spec):
    with (virtual_board.start(NETWORK, spec, CACHE) as running,
          host.open(running.port, NETWORK, spec=spec) as opened):
        for image in IMAGES[:6]:
            before = replace(opened.activity)
            opened.run(image)
            trace = golden.trace(NETWORK, image, spec).trace
            after = opened.activity
            assert after.cycles - before.cycles == (trace.cycles.results[0, -1]
                                                    - trace.cycles.loads[0, -1])
            hidden = trace.spikes[0].sum()
            assert after.events - before.events == trace.input_spikes.sum() + hidden
            assert after.spikes - before.spikes == hidden + trace.spikes[1].sum()


@pytest.mark.parametrize(("options", "spec"), [
    (dict(encoder="direct", schedule="layer_by_layer", intensity_width=5),
     AcceleratorSpec((7, 3), 1)),
    (dict(encoder="events"), AcceleratorSpec((4, 3), 8)),
    (dict(encoder="low_discrepancy", intensity_width=12), AcceleratorSpec((4, 3), 2)),
])
def test_every_encoder_and_width(options, spec):
    network = replace(NETWORK, **options)
    random = np.random.default_rng(5)
    if network.encoder == "events":
        images = random.random((12, network.timesteps, network.n_input)) < 0.3
    else:
        images = random.integers(0, network.full_scale + 1, (12, network.n_input))
    result, _ = run_images(network, spec, images)
    assert not differences(result, golden.run(network, images))


def run_digits(count):
    network = load_network(REFERENCE)
    images = network.intensities(digits().test_images[:count])
    assert len(images) == count
    spec = AcceleratorSpec((16, 2), 8)
    result, activity = run_images(network, spec, images)
    assert not differences(result, golden.run(network, images))
    return activity


def test_some_digits():
    run_digits(50)


def test_the_clock_does_not_stop_in_the_middle_of_an_answer():
    network, spec = load_network(REFERENCE), AcceleratorSpec((16, 2), 8)
    images = network.intensities(digits().test_images[:60])
    with (virtual_board.start(network, spec, CACHE) as running,
          host.open(running.port, network, timeout=2) as opened):
        for image in images:        # whose answers begin at all places of a byte's time
            opened.run(image)
        assert not opened.activity.faults


@pytest.mark.slow
def test_all_test_images_of_the_digits():
    assert run_digits(450).images_per_second > 20


@pytest.mark.parametrize("noise", [
    Noise(flip=0.002), Noise(drop=0.002), Noise(insert=0.002), Noise(cut=0.002),
    Noise(repeat=0.002), Noise(0.001, 0.001, 0.001, 0.001, 0.001), Noise(flip=0.01, insert=0.005),
], ids=str)
def test_a_noisy_line_changes_nothing(board, want, noise):
    with (NoisyLine(board.port, noise) as line,
          host.open(line.port, NETWORK, timeout=0.2, retries=50) as opened):
        before = opened.status["done"]
        result = opened.run(IMAGES)
        assert not differences(result, want)
        assert (opened.status["done"] - before) % 256 == len(IMAGES), "each of them once"
        assert opened.status["next"] == opened.status["done"]
        assert line.damaged > 10
        assert sum(opened.activity.faults.values()) > 5
    with host.open(board.port, NETWORK) as opened:
        assert not differences(opened.run(IMAGES[:9]), golden.run(NETWORK, IMAGES[:9]))
        assert not opened.activity.faults


def test_a_line_that_is_cut_for_a_while(board, want):
    with (NoisyLine(board.port, Noise()) as line,
          host.open(line.port, NETWORK, timeout=0.2, retries=20) as opened):
        progress = []

        def cut(done, total):
            progress.append(done)
            if done == 50:
                line.silent = True
                threading.Timer(1.0, lambda: setattr(line, "silent", False)).start()

        assert not differences(opened.run(IMAGES, cut), want)
        assert opened.activity.faults["no answer came in time"]


def test_a_line_that_stays_cut_is_an_error(board):
    with (NoisyLine(board.port, Noise()) as line,
          host.open(line.port, NETWORK, timeout=0.1, retries=2) as opened):
        line.silent = True
        begun = monotonic()
        with pytest.raises(LinkError, match=r"no answer to STATUS number \d+ in 3 attempts: "
                                            r"no answer came in time \(3\)"):
            opened.run(IMAGES)
        assert monotonic() - begun < 5
    with host.open(board.port, NETWORK) as opened:     # what was on its way is no obstacle
        assert not differences(opened.run(IMAGES[:9]), golden.run(NETWORK, IMAGES[:9]))


def bring_to(board, number):
    """Make a board execute images until its next one has this number."""
    with host.open(board.port, NETWORK) as opened:
        if count := (number - opened.status["next"]) % 256:
            opened.run(IMAGES[np.arange(count) % 200])


@pytest.mark.parametrize(("first", "other_images"), [
    (100, 0), (100, 1), (100, 3), (100, 253), *((256 - 60 - ahead, 0) for ahead in range(4))])
def test_a_board_that_is_restarted(board, want, first, other_images):
    """The new one has executed other images, or its first number is one of those on their way."""
    bring_to(board, first)
    with (virtual_board.start(NETWORK, SPEC, CACHE) as another,
          NoisyLine(board.port, Noise()) as line):
        if other_images:
            with host.open(another.port, NETWORK) as opened:
                opened.run(IMAGES[::-1][np.arange(other_images) % 200])

        def restart(done, total):
            if done == 60:
                line.move(another.port)

        with host.open(line.port, NETWORK, timeout=0.2, retries=20) as opened:
            assert not differences(opened.run(IMAGES, restart), want)
            assert opened.activity.faults


def test_a_board_of_another_network_is_refused(board):
    output = NETWORK.layers[-1]
    louder = replace(output, biases=output.biases + 1)
    for network, options, reason in [
            (replace(NETWORK, timesteps=6), {}, "is of another network"),
            (replace(NETWORK, seed=99), {}, "is of another network"),
            (replace(NETWORK, layers=(NETWORK.layers[0], louder)), {}, "has other parameters"),
            (NETWORK, {"spec": AcceleratorSpec((3, 1), 4)}, "has another layout")]:
        with pytest.raises(WrongBoardError, match=rf"The board at .* {reason}.*: the CRC is "):
            host.open(board.port, network, **options)


def test_a_port_is_there_and_answers():
    with pytest.raises(OSError, match="could not open port /dev/nothing"):
        host.open("/dev/nothing", NETWORK)
    other, terminal = pty.openpty()
    tty.setraw(terminal)
    try:
        with pytest.raises(LinkError, match="no answer to STATUS"):
            host.open(os.ttyname(terminal), NETWORK, timeout=0.05, retries=1)
        os.read(other, 1000)
        # Somebody who sends back what he gets is no board either.
        with NoisyLine(os.ttyname(terminal), Noise()) as line:
            threading.Timer(0.05, lambda: os.write(other, os.read(other, 1000))).start()
            with pytest.raises(LinkError, match="no answer to STATUS"):
                host.open(line.port, NETWORK, timeout=0.2, retries=1)
    finally:
        os.close(other)
        os.close(terminal)


def test_two_programs_do_not_share_a_port(board):
    with (host.open(board.port, NETWORK),
          pytest.raises(OSError, match="Could not exclusively lock port")):
        host.open(board.port, NETWORK)


def test_the_self_test_sends_every_byte(board):
    with host.open(board.port, NETWORK) as opened:
        assert opened.self_test() == 4 * (opened.status["buffer_bytes"] - 4)


class Raw:
    """A port without a host: bytes out, frames in."""

    def __init__(self, port):
        self.serial = serial.Serial(port, 1_000_000, timeout=60)
        self._decoder = Decoder()

    def ask(self, *pieces, answers=1):
        """So many answers, and whatever comes before that to a status that is asked for then."""
        self.serial.write(b"".join(pieces))
        frames = []
        self._receive(lambda: len(frames) >= answers, frames)
        self.serial.write(encode(Frame(Command.STATUS, 211)))
        self._receive(lambda: (frames[-1].kind, frames[-1].number) == (Answer.STATUS, 211), frames)
        return frames[:-1]

    def _receive(self, done, frames):
        while not done():
            received = self.serial.read(max(1, self.serial.in_waiting))
            assert received, f"nothing comes after {frames}"
            frames += self._decoder.feed(received)


def test_what_is_no_command_is_reported_and_does_nothing(board):
    with host.open(board.port, NETWORK) as opened:
        status = dict(opened.status)
    raw = Raw(board.port)
    following = status["next"]
    image = LinkFormat.of(NETWORK, 4).image(IMAGES[0])
    whole = encode(Frame(Command.RUN, following, image))

    def error(number, fault):
        return [Frame(Answer.ERROR, number, bytes([fault]))]

    for place in (1, 2, 10, len(whole) - 3):
        flipped = bytearray(whole)
        flipped[place] ^= 0x01
        answer, = raw.ask(flipped)
        assert answer.content == bytes([Fault.BROKEN]), place
    answer, = raw.ask(whole[:9], whole[:1])
    assert answer.content == bytes([Fault.BROKEN])
    answer, = raw.ask(b"garbage \x00\xff", whole[:1])
    assert answer.content == bytes([Fault.BROKEN])
    assert raw.ask(encode(Frame(ord("?"), 5))) == error(5, Fault.UNKNOWN)
    assert raw.ask(encode(Frame(Answer.RESULT, 5, bytes(9)))) == error(5, Fault.UNKNOWN)
    assert raw.ask(encode(Frame(Command.LOAD, following, bytes(12)))) == error(
        following, Fault.UNKNOWN)
    assert raw.ask(encode(Frame(Command.RUN, following + 1 & 255, image))) == error(
        following + 1 & 255, Fault.ORDER)
    assert raw.ask(encode(Frame(Command.RUN, following, image[:-1]))) == error(
        following, Fault.LENGTH)
    assert raw.ask(encode(Frame(Command.RUN, following, image * 40))) == error(
        following, Fault.BUSY)
    assert raw.ask(encode(Frame(Command.ECHO, 3, bytes(509)))) == error(3, Fault.BUSY)
    assert raw.ask(encode(Frame(Command.STATUS, 3, b"x"))) == error(3, Fault.LENGTH)
    raw.serial.close()
    with host.open(board.port, NETWORK) as opened:
        refused = 14
        assert (opened.status["faults"] - status["faults"]) % 256 == refused
        changed = {name for name in status if opened.status[name] != status[name]}
        assert changed == {"faults"}
        assert not differences(opened.run(IMAGES[:3]), golden.run(NETWORK, IMAGES[:3]))


def test_a_command_that_comes_again_is_answered_and_not_executed(board):
    with host.open(board.port, NETWORK) as opened:
        following = opened.status["next"]
    raw = Raw(board.port)
    format = LinkFormat.of(NETWORK, 4)
    frames = [encode(Frame(Command.RUN, following + index & 255, format.image(IMAGES[index])))
              for index in range(4)]
    first = raw.ask(*frames, answers=4)
    assert [frame.number for frame in first] == [following + index & 255 for index in range(4)]
    assert raw.ask(frames[1], answers=3) == first[1:]
    assert raw.ask(frames[3], frames[3], answers=2) == [first[3], first[3]]
    counts, currents, predicted = format.results(first[2].content)
    result = golden.run(NETWORK, IMAGES[2])
    assert (counts, currents, predicted) == (result.counts.tolist(), result.currents.tolist(),
                                             result.predicted)
    raw.serial.close()
    with host.open(board.port, NETWORK) as opened:
        assert opened.status["done"] == following + 4 & 255


def test_a_host_that_died_in_the_middle_is_no_obstacle(board, want):
    format = LinkFormat.of(NETWORK, 4)
    with host.open(board.port, NETWORK) as opened:
        following = opened.status["next"]
    with serial.Serial(board.port, 1_000_000) as port:
        for index in range(5):
            port.write(encode(Frame(Command.RUN, following + index & 255,
                                    format.image(IMAGES[index]))))
        port.write(encode(Frame(Command.RUN, following + 5 & 255, format.image(IMAGES[5])))[:11])
    with host.open(board.port, NETWORK) as opened:
        assert not differences(opened.run(IMAGES), want)


def test_a_virtual_board_that_ends_says_so():
    with virtual_board.start(NETWORK, SPEC, CACHE) as running:
        running._process.kill()
        with pytest.raises(virtual_board.ToolError, match="virtual board ended with code -9"):
            running.wait()


def test_what_does_not_compile_names_its_log(tmp_path):
    with pytest.raises(virtual_board.ToolError, match=r"Verilator failed on .*; its log is .*"):
        virtual_board.compile_board("module board(; endmodule", tmp_path)
