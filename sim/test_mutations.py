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
        "neuron_array.py", "fires = total >= 0", "fires = total > 0"),
    "threshold not subtracted": Mutation(
        "neuron_array.py", "Mux(fires, total, accumulator)", "accumulator"),
    "bias missing": Mutation("neuron_array.py", "addend.eq(biases[lane])", "addend.eq(0)"),
    "unsigned weight": Mutation(
        "neuron_array.py", "addend.eq(self.weights[lane])",
        "addend.eq(self.weights[lane].as_unsigned())"),
    "membrane not reset between images": Mutation(
        "neuron_array.py", "Mux(is_first, initial_membranes[lane], held)", "held"),
    "initial membrane loaded every timestep": Mutation(
        "neuron_array.py", "Mux(is_first, initial_membranes[lane], held)",
        "initial_membranes[lane]"),
    "narrow accumulator": Mutation(
        "neuron_array.py", "Signal(signed(self._widths.accumulator), name",
        "Signal(signed(self._widths.accumulator - 3), name"),
    "narrow membrane": Mutation(
        "neuron_array.py", "self.membranes[lane].eq(self._saturated(remains))",
        "self.membranes[lane].eq(remains[:self._widths.membrane - 2].as_signed())"),
    "padding of the last transfer spikes": Mutation("encoder.py", "fires & inputs", "fires"),
    "encoder does not wait for room": Mutation(
        "encoder.py", "halves.can_drain & queue.room", "halves.can_drain"),
    "layer does not wait for room": Mutation("layer.py", "with m.If(queue.room):", "with m.If(1):"),
    "readout goes on while it must wait": Mutation(
        "readout.py", "self.words.valid & word.final & advance", "self.words.valid & word.final"),
    "last result twice": Mutation(
        "readout.py", "self.results.valid.eq(summing)",
        "self.results.valid.eq(summing | (self.results.valid & self.results.payload.last))"),
    "wrong tap": Mutation("lfsr.py", "for tap in LFSR_TAPS:", "for tap in (32, 22, 3, 1):"),
    "LFSR not restarted": Mutation(
        "encoder.py", "halves.drained.eq(1), lfsr.restart.eq(1)", "halves.drained.eq(1)"),
    "full scale does not always fire": Mutation(
        "encoder.py", "intensity + intensity[-1]", "intensity + C(0, 1)"),
    "partial draws not taken": Mutation(
        "encoder.py", "lfsr.is_partial.eq(closes)", "lfsr.is_partial.eq(0)"),
    "off-by-one weight address": Mutation(
        "layer.py", "addressed.base + buffer.address", "addressed.base + buffer.address + 1"),
    "last event dropped": Mutation(
        "layer.py", "with m.If(index == buffer.length - 1):",
        "with m.If(index + (buffer.length > 1) == buffer.length - 1):"),
    "wrong order of folds": Mutation(
        "weight_memory.py", "fold * lanes:(fold + 1) * lanes]",
        "(self._folds - 1 - fold) * lanes:(self._folds - fold) * lanes]"),
    "commit signal a cycle late": Mutation(
        "neuron_array.py", "m.d.comb += self.commit.eq(", "m.d.sync += self.commit.eq("),
    "begin waits a cycle": Mutation(
        "layer.py", "with m.If(buffer.full):",
        "late = Signal()\n                m.d.sync += late.eq(buffer.full & ~late)\n"
        "                with m.If(buffer.full & late):"),
    "tie to the higher index": Mutation(
        "readout.py", "currents.current > best", "currents.current >= best"),
    "initial membrane not taken off the current": Mutation(
        "readout.py", "- initial)", "- 0)"),
    "counts not reset between images": Mutation(
        "readout.py", "Mux(word.first, 0, stored[lane])", "stored[lane]"),
    "timestep survives a reset": Mutation(
        "layer.py",
        "Signal(index_shape(self._timesteps))",
        "Signal(index_shape(self._timesteps), reset_less=True)"),
    "LFSR survives a reset": Mutation(
        "lfsr.py", "init=self._initial_state)", "init=self._initial_state, reset_less=True)"),
    "serializer forgets an offset": Mutation(
        "serializer.py", "Mux(word.last, 0, base + self._lanes)", "0"),
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


SPEC = AcceleratorSpec((3, 1), 4)
"""Folds in both layers, padding in the last transfer, an output layer that holds back the other."""
IMAGES = np.random.default_rng(11).integers(0, 256, (6, 10))

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
