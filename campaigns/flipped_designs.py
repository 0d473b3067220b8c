"""Designs whose bits are flipped while they work: an accelerator, alone and behind AXI, and boards.

Each runs a batch of images, during which the bit flips, and then another one.
"""

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from sc_neurocore import axi_ports, golden, host, verilog
from sc_neurocore.cosim import virtual_board
from sc_neurocore.gateware.axi_top import AxiTop
from sc_neurocore.gateware.layouts import result
from sc_neurocore.identity import parameters_crc32
from sc_neurocore.network import IntegerNetwork
from sc_neurocore.parameters import load_words
from sc_neurocore.results import Result
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.timing import longest_image

from . import CACHE, flipped_rows, flips
from .flip_choice import Flip

OUTCOMES = ("right", "told", "other numbers", "another class", "lost", "hangs")
"""Of an experiment, from good to bad. Told: what was not right said so. Lost: there are not as many
results as images. Hangs: there are fewer of the second run, or none."""


@dataclass(frozen=True)
class Outcome:
    """What a flip did.

    ``images``: how many were under way; ``wrong`` ones were not right, ``changed`` ones have
    another class or none. ``heals``: the last images of a second run were right, without help; the
    first of it may have been the one that the flip hit. ``mended``: they were after parameters were
    loaded again, where they can be. ``noticed``: what the host mended. ``restarts``: times that the
    design restarted itself.
    """

    design: str
    group: str
    flip: Flip
    outcome: str
    images: int
    wrong: int
    changed: int
    heals: bool
    mended: bool = True
    noticed: int = 0
    restarts: int = 0


def _outcome(design: str, flip: Flip, got: Sequence[Sequence[Any]], want: Sequence[Sequence[Any]],
             *, lost: bool = False, hangs: bool = False, heals: bool = True, told: int = 0,
             **more: Any) -> Outcome:
    """Compare both batches: of each image (count, current) of its neurons, and its class; or None
    if it is told to be broken, which ``told`` results of the first batch are."""
    first = list(got[0])[:len(want[0])]
    first += [[None]] * (len(want[0]) - len(first))
    wrong = sum(one != other for one, other in zip(first, want[0], strict=True))
    changed = sum(one[-1] != other[-1] for one, other in zip(first, want[0], strict=True))
    half = len(want[1]) // 2
    hangs = hangs or len(got[1]) < len(want[1])
    heals = heals and len(got[1]) == len(want[1]) and list(got[1])[half:] == want[1][half:]
    outcome = ("hangs" if hangs else "lost" if lost or len(got[0]) != len(want[0]) else
               "another class" if changed > told else "other numbers" if wrong > told else
               "told" if told else "right")
    return Outcome(design, flip.group, flip, outcome, len(want[0]), wrong, changed,
                   heals and not hangs, **more)


class _Harness:
    """A design in a C++ program that prints results; ``states`` are those that can be flipped."""

    def __init__(self, name: str, text: str, top: str, harness: str, *, constants: bool = False):
        self.name = name
        text, self.states = flips.insert(text, top, constants=constants)
        self._program = virtual_board.compile_board(text, CACHE, top,
                                                    Path(__file__).with_name(harness))
        self._file = Path()

    def _lines(self, arguments: Sequence[str]) -> tuple[list[str], list[int]]:
        """What it prints: a line for each result, and numbers at the end."""
        done = subprocess.run([str(self._program), str(self._file), *arguments], check=True,
                              capture_output=True, text=True, timeout=120)
        *lines, end = done.stdout.splitlines()
        return lines, list(map(int, end.split()))


class AcceleratorTest(_Harness):
    """The accelerator without a top: images back to back, and after a pause some more."""

    def __init__(self, network: IntegerNetwork, spec: AcceleratorSpec, images: npt.NDArray,
                 folder: Path):
        super().__init__(f"accelerator, {', '.join(map(str, spec.lanes))} lanes",
                         verilog.generate(network, spec), verilog.TOP, "faults.cpp",
                         constants=spec.parity)
        self._network, self._spec = network, spec
        self._file = folder / f"{len(spec.lanes)}-{spec.lanes[0]}.txt"
        batches = split(images)
        self._file.write_text("\n".join([
            str(2 * longest_image(network, spec)),
            *(f"{len(transfers)} {' '.join(map(str, transfers))}"
              for transfers in map(self._transfers, batches))]))
        self._want = [lists(golden.run(network, batch)) for batch in batches]
        got, cycles, _ = self._run([])
        assert got == self._want, f"{self.name} is wrong without a flip"
        # The first batch, but not the pause after it.
        self.cycles = (1, (cycles - 4 * longest_image(network, spec)) // 3)

    def _transfers(self, images: npt.NDArray) -> list[int]:
        beats, width = self._spec.beats, self._network.intensity_width
        padded = np.zeros((len(images), self._spec.transfers(self._network) * beats), dtype=object)
        padded[:, :images.shape[1]] = images
        return [sum(int(value) << width * place for place, value in enumerate(row))
                for row in padded.reshape(-1, beats)]

    def _run(self, arguments: list[str]) -> tuple[list[list[Any]], int, tuple[int, ...]]:
        """Results of both batches, cycles, and with parity what is reported."""
        lines, (cycles, *report) = self._lines(arguments)
        network = self._network
        fields = dict(result(network.n_output, network.count_width,
                             self._spec.current_width(network)))
        images: list[list[Any]] = [[], []]
        current: list[Any] = []
        for line in lines:
            batch, _, payload = map(int, line.split())
            values = {key: payload >> field.offset & (1 << field.width) - 1
                      for key, field in fields.items()}
            sign = 1 << fields["current"].width - 1
            current.append((values["count"], (values["current"] ^ sign) - sign))
            if values["last"]:
                images[batch].append([*current, values["predicted"]])
                current = []
        return images, cycles, tuple(report)

    def run(self, flip: Flip) -> Outcome:
        """Flip a bit."""
        got, _, _ = self._run(flip.arguments)
        return _outcome(self.name, flip, got, self._want)

    def run_row(self, place: flipped_rows.Place) -> tuple[tuple[int, ...], bool]:
        """Flip a bit of a row of weights before there are images: the report, and whether the
        results are right."""
        got, _, report = self._run(place.arguments(1))
        return report, got == self._want


class AxiTest(_Harness):
    """An accelerator with AXI ports, whose registers are read and written all the time."""

    READ, WRITTEN = "SHAPE", "CONTROL"
    """A constant, and what writing 0 to changes nothing."""

    def __init__(self, network: IntegerNetwork, spec: AcceleratorSpec, images: npt.NDArray,
                 folder: Path):
        super().__init__("AXI", verilog.component_text(AxiTop(network, spec), "axi"), "axi",
                         "axi_faults.cpp")
        size = axi_ports.image_data_bits(network, spec) // 8
        read, written = (axi_ports.BY_NAME[name].offset for name in (self.READ, self.WRITTEN))
        content = axi_ports.constants(network, spec)[self.READ]
        text = [f"{3 * longest_image(network, spec)} {read:x} {written:x} {content:x}"]
        batches = split(images)
        for batch in batches:
            packets = [axi_ports.image_packet(network, spec, image) for image in batch]
            beats = [(packet[low:low + size], low + size == len(packet)) for packet in packets
                     for low in range(0, len(packet), size)]
            text += [str(len(beats)), *(f"{int.from_bytes(data, 'little'):x} {(1 << size) - 1:x} "
                                        f"{is_last:d}" for data, is_last in beats)]
        self._file = folder / "axi.txt"
        self._file.write_text("\n".join(text))
        self._want = [lists(golden.run(network, batch)) for batch in batches]
        got, (_, first, *faults) = self._run([])
        assert got == self._want, f"{self.name} is wrong without a flip"
        assert not any(faults), f"{self.name}: registers are wrong without a flip: {faults}"
        self.cycles = (5, first - 3 * longest_image(network, spec))

    def _run(self, arguments: list[str]) -> tuple[list[list[Any]], list[int]]:
        """Result packets of both batches, and what the program says at the end."""
        lines, end = self._lines(arguments)
        batches: list[list[Any]] = [[], []]
        beats: list[bytes] = []
        for line in lines:
            batch, last, data = line.split()
            beats.append(int(data, 16).to_bytes(8, "little"))
            if int(last):
                packet = np.frombuffer(b"".join(beats), axi_ports.RESULT)
                broken = bool(packet[-1]["count"] & axi_ports.BROKEN)
                batches[int(batch)].append([None] if broken else [
                    *zip(packet["count"].tolist(), packet["current"].tolist(), strict=True),
                    int(packet[-1]["class"])])
                beats = []
        return batches, end

    def run(self, flip: Flip) -> Outcome:
        """Flip a bit."""
        got, (_, _, _, _, unanswered, wrong) = self._run(flip.arguments)
        # Between the batches a flip hits the first image of the second one.
        lost = got[1] == self._want[1][1:]
        if lost:
            got[1].insert(0, [None])
        told = sum(image == [None] for image in got[0])
        return _outcome(self.name, flip, got, self._want, lost=lost, hangs=unanswered > 0,
                        heals=not wrong, told=told)


class BoardTest:
    """A whole board, with its host, which runs images, and then some more."""

    def __init__(self, name: str, network: IntegerNetwork, spec: AcceleratorSpec,
                 images: npt.NDArray):
        self.name = name
        self._network, self._spec = network, spec
        text, self.states = flips.insert(virtual_board.board_text(network, spec),
                                         virtual_board.TOP)
        self._program = virtual_board.compile_board(text, CACHE)
        self._batches = split(images)
        self._want = [lists(golden.run(network, batch)) for batch in self._batches]
        # At 4 cycles a bit an image takes 40 for each of its bytes. A loaded word takes some 700 to
        # 1,500, most of them waiting for the host: where words are loaded, bits flip meanwhile.
        self._words = load_words(network, spec).tolist() if spec.loaded else []
        self.cycles = (1, 40 * (len(self._batches[0]) * (network.n_input + 8) + 150
                                + 2 * len(self._words)))

    def run(self, flip: Flip) -> Outcome:
        """Flip a bit."""
        got: list[list[Any]] = [[], []]
        noticed = restarts = 0
        mended = True
        try:
            with (virtual_board.VirtualBoard(self._program, plusargs=flip.arguments) as board,
                  host.open(board.port, self._network, spec=self._spec, timeout=0.25) as opened):
                got = [lists(opened.run(batch)) for batch in self._batches]
                noticed, restarts = opened.activity.faults.total(), opened.status["restarts"]
                if self._words and got[1] != self._want[1]:
                    opened.load(self._words, parameters_crc32(self._network))
                    mended = lists(opened.run(self._batches[1])) == self._want[1]
        except (host.LinkError, host.WrongBoardError, ValueError) as error:
            click.echo(f"{flip}: {error}")
        return _outcome(self.name, flip, got, self._want, mended=mended, noticed=noticed,
                        restarts=restarts)


def split(images: npt.NDArray) -> tuple[npt.NDArray, npt.NDArray]:
    """Both batches: the second one is longer, as tops let their accelerator come to rest only after
    `gateware.link.DRAIN_IMAGES`."""
    third = len(images) // 3
    return images[:third], images[third:]


def lists(results: Result) -> list[Any]:
    """For each image its neurons' counts and currents, and its class."""
    return [[*zip(counts, currents, strict=True), predicted] for counts, currents, predicted
            in zip(results.counts.tolist(), results.currents.tolist(),
                   results.predicted.tolist(), strict=True)]


Test = AcceleratorTest | AxiTest | BoardTest
