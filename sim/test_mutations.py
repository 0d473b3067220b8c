"""The check can fail: each of these faults in the gateware is caught by `cosim.verify`."""

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from common import random_network

from sc_neurocore import cosim, verilog
from sc_neurocore.network import IntegerNetwork
from sc_neurocore.spec import AcceleratorSpec

PACKAGE = Path(verilog.__file__).parent


@dataclass(frozen=True)
class Mutation:
    """A fault: one piece of one gateware file, and what takes its place."""

    file: str
    old: str
    new: str


MUTATIONS = {
    "greater than instead of at least": Mutation(
        "neuron_array.py", "self.spikes[lane].eq(potential >= 0)",
        "self.spikes[lane].eq(potential > 0)"),
    "threshold not subtracted": Mutation(
        "neuron_array.py", "Mux(fires, rest[lane], bias[lane])", "bias[lane]"),
    "threshold subtracted without a spike": Mutation(
        "neuron_array.py", "Mux(fires, rest[lane], bias[lane])", "rest[lane]"),
    "bias missing": Mutation(
        "neuron_array.py", "bias = self._parameters(m, \"bias\", self._bias)",
        "bias = self._parameters(m, \"bias\", 0 * self._bias)"),
    "bias missing in the first timestep": Mutation(
        "neuron_array.py", "else network.timesteps if at_once else 1", "else 0"),
    "unsigned weight": Mutation(
        "neuron_array.py", "lambda lane, potential: self.weights[lane]}",
        "lambda lane, potential: self.weights[lane].as_unsigned()}"),
    "membrane not reset between images": Mutation(
        "layer.py", "((phase == len(parts) - 1) & ends)", "(phase == len(parts))"),
    "initial membrane loaded every timestep": Mutation(
        "layer.py", "m.d.comb += region.eq(Region.STORED)", "m.d.comb += region.eq(begin)"),
    "narrow potential": Mutation(
        "neuron_array.py", "[signed(max(potentials[lane::lanes]))",
        "[signed(max(potentials[lane::lanes]) - 2)"),
    "stored membrane of another fold": Mutation(
        "neuron_array.py", "Mux(self.fold == self._folds - 1, 0, self.fold + 1)", "self.fold"),
    "membranes stored too late": Mutation(
        "neuron_array.py", "write.en.eq(self._closes)]\n        return read.data",
        "write.en.eq(self.commit & (self._fold == 0))]\n        return read.data"),
    "padding of the last transfer spikes": Mutation("encoder.py", "fires & inputs", "fires"),
    "encoder does not wait for room": Mutation(
        "encoder.py", "halves.can_drain & queue.room", "halves.can_drain"),
    "silent words keep their place": Mutation(
        "encoder.py", "queue.drop.eq(commit & ~matters)", "queue.drop.eq(0)"),
    "a word without a spike is lost that closes a timestep": Mutation(
        "encoder.py", "matters.eq(spikes.any() | word.last)", "matters.eq(spikes.any())"),
    "layer does not wait for room": Mutation("layer.py", "with m.If(queue.room):", "with m.If(1):"),
    "readout goes on while it must wait": Mutation(
        "readout.py", "self._select(m, before, known & advance, advance, currents)",
        "self._select(m, before, known, advance, currents)"),
    "last result twice": Mutation(
        "readout.py", "self.results.valid.eq(summing)",
        "self.results.valid.eq(summing | (self.results.valid & self.results.payload.last))"),
    "wrong tap": Mutation("lfsr.py", "for tap in LFSR_TAPS:", "for tap in (32, 22, 3, 1):"),
    "LFSR not restarted": Mutation("encoder.py", "lfsr.restart.eq(ends)", "lfsr.restart.eq(0)"),
    "full scale does not always fire": Mutation(
        "encoder.py", "Cat(intensity[-1], intensity) +", "Cat(C(0, 1), intensity) +"),
    "partial draws not taken": Mutation(
        "encoder.py", "lfsr.is_partial.eq(closes)", "lfsr.is_partial.eq(0)"),
    "transfers in the wrong part of a row": Mutation(
        "encoder.py", "1 << loaded[:part_width]", "1 << ~loaded[:part_width]"),
    "off-by-one weight address": Mutation(
        "layer.py", "base + events.payload.address", "base + events.payload.address + 1"),
    "last event dropped": Mutation(
        "layer.py", "Mux(events.payload.spike, Operation.SYNAPSE,",
        "Mux(events.payload.spike & ~events.payload.last, Operation.SYNAPSE,"),
    "wrong order of folds": Mutation(
        "weight_memory.py", "fold * lanes:(fold + 1) * lanes]",
        "(self._folds - 1 - fold) * lanes:(self._folds - fold) * lanes]"),
    "commit signal a cycle late": Mutation(
        "neuron_array.py", "m.d.comb += self.commit.eq(", "m.d.sync += self.commit.eq("),
    "a timestep is replayed once less": Mutation(
        "replay.py", "with m.If(fold == self._folds - 1):",
        "with m.If(fold == max(self._folds - 2, 0)):"),
    "replaying waits a cycle": Mutation(
        "replay.py", "(~sent.valid | taken) & ~closes)", "~sent.valid)"),
    "tie to the higher index": Mutation(
        "readout.py", "currents.current > best", "currents.current >= best"),
    "initial membrane not taken off the current": Mutation(
        "readout.py", "offset = 0 if low else threshold - initial",
        "offset = 0 if low else threshold"),
    "counts not reset between images": Mutation(
        "readout.py", "Mux(word.first, 0, stored[lane])", "stored[lane]"),
    "a count is read before it is written": Mutation(
        "readout.py", "m.d.sync += known.eq(~taken)", "m.d.sync += known.eq(1)"),
    "timestep survives a reset": Mutation(
        "layer.py", "part.count for part in parts)), name=\"round\")",
        "part.count for part in parts)), name=\"round\", reset_less=True)"),
    "LFSR survives a reset": Mutation(
        "lfsr.py", "init=self._initial_state)", "init=self._initial_state, reset_less=True)"),
    "serializer forgets where a word begins": Mutation(
        "serializer.py", "group.base.eq(word.base + offset)", "group.base.eq(offset)"),
    "serializer closes a timestep with every word": Mutation(
        "serializer.py", "group.last.eq(word.last & is_final)", "group.last.eq(1)"),
}


def tied_network() -> IntegerNetwork:
    """Two of its output neurons are the same, so that they tie; its membranes meet thresholds."""
    network = random_network((10, 7, 4), timesteps=6, seed=5)
    hidden, output = network.layers
    weights, biases = output.weights.copy(), output.biases.copy()
    weights[2], biases[2] = weights[1], biases[1]
    weights[[0, 3]] = -abs(weights[[0, 3]])
    weights[1:3] = abs(weights[1:3] // 2)
    tied = type(output)(weights, biases, output.thresholds, output.initial_membranes)
    small = type(hidden)(hidden.weights // 16, hidden.biases // 16,
                         np.maximum(hidden.thresholds // 16, 1),
                         np.maximum(hidden.thresholds // 16, 1) // 2)
    return IntegerNetwork((small, tied), network.timesteps, seed=3)


SPEC = AcceleratorSpec((3, 1), 4, 8)
"""Folds in both layers, padding in the last transfer, an output layer that holds back the other."""
IMAGES = np.random.default_rng(11).integers(0, 256, (9, 10))
IMAGES[6:, :8] = 0      # whole words are silent, more of them than a queue has places

GENERATE = """
import sys
sys.path[:0] = [{package!r}, {here!r}]
from test_mutations import SPEC, tied_network
from sc_neurocore import verilog
assert verilog.__file__.startswith({package!r})
open({output!r}, "w").write(verilog.generate(tied_network(), SPEC, trace=True))
"""


def mutated_verilog(mutation: Mutation, folder: Path) -> str:
    """Verilog that a copy of the package generates with the fault in its source."""
    shutil.copytree(PACKAGE, folder / "package" / PACKAGE.name,
                    ignore=shutil.ignore_patterns("__pycache__"))
    source = folder / "package" / PACKAGE.name / "gateware" / mutation.file
    text = source.read_text()
    assert text.count(mutation.old) == 1, f"{mutation.old!r} must stand once in {mutation.file}"
    source.write_text(text.replace(mutation.old, mutation.new))
    output = folder / "mutated.v"
    subprocess.run([sys.executable, "-c", GENERATE.format(
        package=str(folder / "package"), here=str(Path(__file__).parent), output=str(output))],
        check=True)
    return output.read_text()


def test_without_a_fault_the_check_passes(tmp_path, cache):
    report = cosim.verify(tied_network(), IMAGES, SPEC, folder=tmp_path, cache=cache)
    assert report.passed, str(report)


@pytest.mark.parametrize("name", MUTATIONS)
def test_fault_is_caught(name, tmp_path, cache):
    text = mutated_verilog(MUTATIONS[name], tmp_path)
    report = cosim.verify(tied_network(), IMAGES, SPEC, folder=tmp_path, cache=cache, text=text)
    assert not report.passed, f"{name}: {report}"
    assert report.mismatches
