"""The check can fail: each of these faults in the gateware is caught by `cosim.verify`."""

import shutil
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from common import random_network

from sc_neurocore import cosim, verilog
from sc_neurocore.network import IntegerNetwork
from sc_neurocore.spec import AcceleratorSpec

PACKAGE = Path(verilog.__file__).parent
QUICK = 6
"""One mutation of so many is among the quick tests."""


@dataclass(frozen=True)
class Mutation:
    """A fault: one piece of one gateware file, and what takes its place."""

    file: str
    old: str
    new: str
    spec: str = "SPEC"
    """Layout of the accelerator that has the fault, by its name in this file."""


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
        "neuron_array.py", "[signed(max(potentials[lane::lanes]) if",
        "[signed(max(potentials[lane::lanes]) - 2 if"),
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
    "layer does not wait for room": Mutation("layer.py", "with m.If(room):", "with m.If(1):"),
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
    "an event is replayed twice": Mutation(
        "replay.py", "m.d.sync += [index.eq(index + 1), is_last",
        "m.d.sync += [index.eq(index + (index != 1)), is_last", "EVENTS"),
    "a timestep ends an event too soon": Mutation(
        "replay.py", "ends[halves.fill].eq(written)",
        "ends[halves.fill].eq(Mux(written == 0, 0, written - 1))", "EVENTS"),
    "two events are taken for one": Mutation(
        "serializer.py", "either | (low[below] & high[number - 1 - below])", "either"),
    "two rows are added though there is one event": Mutation(
        "weight_memory.py", "first + Mux(counts, second, 0)", "first + second", "PORTS"),
    "the second event's row comes too late": Mutation(
        "weight_memory.py", "for stage in range(self.latency - 1):",
        "for stage in range(self.latency):", "PORTS"),
    "the second event in another fold": Mutation(
        "layer.py", "self._base + events.payload.second_address",
        "events.payload.second_address", "PORTS"),
    "the second event is sent again": Mutation(
        "serializer.py", "after = after & (after - 1)", "after = after | 0", "PORTS"),
    "the second event is the third": Mutation(
        "serializer.py", "Mux(low_any, high_first, high_second)",
        "Mux(low_any, high_second, high_second)", "PORTS"),
    "a column of weights in the place of another": Mutation(
        "weight_memory.py", "[row >> low & (1 << width) - 1 for row in contents]",
        "[row & (1 << width) - 1 for row in contents]", "COLUMNS"),
    "no initial potential": Mutation(
        "parameter_rows.py", "is_first.eq(round_ == 0)", "is_first.eq(0)", "LOADED"),
    "no biases but in the first timestep": Mutation(
        "parameter_rows.py", "adds.eq(is_first | bool(self._biases))", "adds.eq(is_first)",
        "LOADED"),
    "rows of parameters in the first fold alone": Mutation(
        "parameter_rows.py", "with m.If(fold == self._folds - 1):", "with m.If(1):", "LOADED"),
    "potentials of the fold itself are fetched": Mutation(
        "fold_store.py", "Mux(self.fold == self._folds - 1, 0, self.fold + 1)", "self.fold",
        "LOADED"),
    "potentials of LUT RAM read a cycle early": Mutation(
        "neuron_array.py", 'm.d["sync" if at_once else "comb"]', 'm.d["comb"]', "COLUMNS"),
    "a fold is closed before its potentials are there": Mutation(
        "layer.py", "left.eq(fetch_cyc - 1)", "left.eq(0)", "LOADED"),
    "a part of the potentials is not stored": Mutation(
        "fold_store.py", "write.en.eq(writes)", "write.en.eq(writes & (part == 0))", "LOADED"),
    "another fold's thresholds": Mutation(
        "fold_store.py", "limits.row.eq(self._row(self.fold, part))",
        "limits.row.eq(self._row(behind, part))", "LOADED"),
    "potentials do not begin with zero": Mutation(
        "neuron_array.py", "begins = {Region.INITIAL: [0] * self._lanes}",
        "begins = {Region.INITIAL: [1] * self._lanes}", "LOADED"),
    "the readout's threshold is not loaded": Mutation(
        "readout.py", "self._threshold = loaded[:threshold]", "self._threshold = Const(1)",
        "LOADED"),
    "only the first word of a row is loaded": Mutation(
        "loaded_memory.py", "self.load.enable & (self.load.word == word)",
        "self.load.enable & (self.load.word == 0)", "LOADED"),
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
EVENTS = AcceleratorSpec((3, 1), 4, 16)
"""All inputs in one word: the first layer replays events."""
COLUMNS = replace(SPEC, lanes=(7, 1), family="ecp5")
"""A row of weights that takes more than one block RAM."""
LOADED = replace(SPEC.with_loading(tied_network()), store_parts=2)
"""Parameters are loaded, and stored in parts."""
PORTS = replace(SPEC, ports=(2, 2))
"""Two rows of weights a cycle."""
SPECS = {"SPEC": SPEC, "PORTS": PORTS, "EVENTS": EVENTS, "COLUMNS": COLUMNS, "LOADED": LOADED}
IMAGES = np.random.default_rng(11).integers(0, 256, (9, 10))
IMAGES[6:, :8] = 0      # whole words are silent, more of them than a queue has places

GENERATE = """
import sys
sys.path[:0] = [{package!r}, {here!r}]
from test_mutations import SPECS, tied_network
from sc_neurocore import verilog
assert verilog.__file__.startswith({package!r})
open({output!r}, "w").write(verilog.generate(tied_network(), SPECS[{spec!r}], trace=True))
"""


def mutated_package(mutation: Mutation, folder: Path) -> Path:
    """Folder to import from, with a copy of the package that has the fault in its source."""
    path = folder / "package"
    shutil.copytree(PACKAGE, path / PACKAGE.name, ignore=shutil.ignore_patterns("__pycache__"))
    source = path / PACKAGE.name / "gateware" / mutation.file
    text = source.read_text()
    assert text.count(mutation.old) == 1, f"{mutation.old!r} must stand once in {mutation.file}"
    source.write_text(text.replace(mutation.old, mutation.new))
    return path


def mutated_verilog(mutation: Mutation, folder: Path, script: str, **parameters: str) -> str:
    """Verilog that a script writes with a copy of the package that has the fault in its source.

    ``parameters`` are filled into the script, besides the paths package, here and output.
    """
    output = folder / "mutated.v"
    subprocess.run([sys.executable, "-W", "ignore", "-c", script.format(
        package=str(mutated_package(mutation, folder)), here=str(Path(__file__).parent),
        output=str(output), **parameters)], check=True)
    return output.read_text()


@pytest.mark.parametrize("name", SPECS)
def test_without_a_fault_the_check_passes(name, tmp_path, cache):
    report = cosim.verify(tied_network(), IMAGES, SPECS[name], folder=tmp_path, cache=cache)
    assert report.passed, str(report)


@pytest.mark.parametrize("name", [
    pytest.param(name, marks=[] if number % QUICK == 0 else [pytest.mark.slow, pytest.mark.planted])
    for number, name in enumerate(MUTATIONS)])
def test_fault_is_caught(name, tmp_path, cache):
    mutation = MUTATIONS[name]
    text = mutated_verilog(mutation, tmp_path, GENERATE, spec=mutation.spec)
    report = cosim.verify(tied_network(), IMAGES, SPECS[mutation.spec], folder=tmp_path,
                          cache=cache, text=text, fail_fast=True)
    assert not report.passed, f"{name}: {report}"
    assert report.mismatches


def test_the_readme_says_how_many_faults_there_are():
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    assert f"`sim/test_mutations.py` plants\n{len(MUTATIONS)} faults" in readme
    assert f"caught: {len(range(0, len(MUTATIONS), QUICK))} of them in `make test`" in readme
