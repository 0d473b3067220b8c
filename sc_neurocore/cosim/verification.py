"""Verifying a network's Verilog against the golden model, in a real simulation."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .. import golden, verilog
from ..network import IntegerNetwork
from ..parameters import WORD_WIDTH, load_words
from ..spec import AcceleratorSpec
from ..timing import Cycles
from . import simulation
from .compare import Comparison, Mismatch, compare
from .observation import Observation
from .tools import ToolError

SHOWN = 4
"""Quantities that a report names in its first line."""
PLURALS = {"predicted": "classes"}
"""Of quantities that have an unusual one."""
STALL = 0.3
"""Probability that a stream begins to pause in a cycle, in the stalled run."""


class _Run(NamedTuple):
    """One simulation: how often streams pause, and after how many cycles it is reset to begin."""

    name: str
    stall: float
    interrupted_after: int


@dataclass(frozen=True)
class Report:
    """What was compared in one or more runs of the same images, and what was not equal."""

    shape: tuple[int, ...]
    images: int
    runs: tuple[Comparison, ...]

    @property
    def passed(self) -> bool:
        """Whether every run compared something and found it equal."""
        return bool(self.runs) and all(run.passed for run in self.runs)

    @property
    def compared(self) -> int:
        """Values compared, in all runs."""
        return sum(run.compared.total() for run in self.runs)

    @property
    def mismatched(self) -> int:
        """Mismatches found, in all runs."""
        return sum(run.mismatched.total() for run in self.runs)

    @property
    def mismatches(self) -> list[Mismatch]:
        """The first mismatches of each run."""
        return [mismatch for run in self.runs for mismatch in run.mismatches]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "passed": self.passed, "shape": list(self.shape), "images": self.images,
            "compared": self.compared, "mismatched": self.mismatched,
            "runs": [{"name": run.name, "compared": dict(run.compared),
                      "mismatched": dict(run.mismatched)} for run in self.runs],
            "mismatches": [asdict(mismatch) for mismatch in self.mismatches]}

    def __str__(self) -> str:
        total: Counter[str] = sum((run.compared for run in self.runs), Counter())
        parts = ", ".join(f"{count} {PLURALS.get(quantity, f'{quantity}s')}"
                          for quantity, count in total.most_common(SHOWN))
        more = ", …" if len(total) > SHOWN else ""
        runs = "1 run" if len(self.runs) == 1 else f"{len(self.runs)} runs"
        lines = [f"{'PASS' if self.passed else 'FAIL'}: {self.compared} values compared "
                 f"({parts}{more}) in {runs} of {self.images} images, "
                 f"{self.mismatched} mismatches"]
        lines += [f"  {run.name}: {mismatch}" for run in self.runs
                  for mismatch in run.mismatches[:10]]
        return "\n".join(lines)


@dataclass(frozen=True)
class VerifyReport(Report):
    """What was compared in a simulation of an accelerator.

    ``runs``: one without stalls, with the cycle of every commit, and one with random stalls on both
    streams, which begins with a reset in the middle of an image. ``cycles``: the predicted cycles
    of the run without stalls.
    """

    cycles: Cycles

    @property
    def cycles_per_image(self) -> float:
        """Mean cycles from one image's last result to the next one's; of a single one, all."""
        last = self.cycles.results[:, -1]
        if len(last) == 1:
            return float(self.cycles.total)
        return float(last[-1] - last[0]) / (len(last) - 1)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return super().as_dict() | {"cycles_per_image": self.cycles_per_image,
                                    "latency_cyc": self.cycles.latency.tolist()}


def verify(network: IntegerNetwork, intensities: npt.ArrayLike, spec: AcceleratorSpec | None = None,
           *, folder: Path | None = None, cache: Path | None = None, waves: Path | None = None,
           text: str | None = None, lint: bool = True, trace: bool = True, stall_seed: int = 1,
           plusargs: Sequence[str] = (), fail_fast: bool = False) -> VerifyReport:
    """Simulate a network's Verilog and compare it with the golden model.

    The images follow each other without reset, first with streams that never wait, where the cycle
    of every commit and transfer must be the predicted one, then, after a reset in the middle of an
    image, with random stalls on both streams.

    Parameters
    ----------
    network : IntegerNetwork
    intensities : (n_input,) or (batch, n_input) integers in [0, 2^intensity_width − 1]
        At least one image.
    spec : AcceleratorSpec, optional
        By default `AcceleratorSpec.for_network`.
    folder : Path, optional
        Where logs and records are kept; by default they are removed, unless a tool fails.
    cache : Path, optional
        Where compiled simulations are kept; by default inside ``folder``.
    waves : Path, optional
        VCD file to be written, of the run without stalls.
    text : str, optional
        Verilog to be verified instead of what `verilog.generate` makes of the network with
        ``trace=True``.
    lint : bool
        Whether Verilator's warnings are errors.
    trace : bool
        Whether it has the trace ports. Without them, results and the cycles of both streams are
        compared.
    stall_seed : int
        Seed of the stalls, and of when the reset comes.
    plusargs : sequence of str
        As for `simulation.run`.
    fail_fast : bool
        Whether the run with stalls is left out where the one without has a mismatch.

    Raises
    ------
    TypeError, ValueError
        If intensities or spec do not fit the network, or there is no image.
    ToolError
        If a tool is missing or fails. A mismatch is not an error, but in the report.
    """
    spec = spec or AcceleratorSpec.for_network(network)
    spec.check(network)
    images, _ = network.check_batch(intensities)
    if not len(images):
        raise ValueError("Verification needs at least one image")
    expected = golden.trace(network, images, spec)
    cycles = expected.trace.cycles
    assert cycles is not None
    if text is None:
        text = verilog.generate(network, spec, trace=trace)
    if "spram" in spec.memories and "module SB_SPRAM256KA" not in text:
        text += verilog.SPRAM_MODEL.read_text(encoding="utf-8")

    with _working_folder(folder) as working:
        compiled = simulation.compile_verilog(text, verilog.TOP, cache or working / "compiled",
                                              waves=waves is not None, lint=lint)
        runs = []
        for run in (_Run("steady", 0.0, 0),
                    _Run("stalled", STALL, _interruption(cycles, stall_seed))):
            observation = _simulate(network, images, spec, compiled, working / run.name, run,
                                    limit=_patience(cycles, run.stall), trace=trace,
                                    waves=None if run.stall else waves, seed=stall_seed,
                                    plusargs=plusargs)
            runs.append(compare(network, spec, expected, observation, name=run.name,
                                with_cycles=not run.stall))
            if fail_fast and not runs[-1].passed:
                break
    return VerifyReport(network.shape, len(images), tuple(runs), cycles)


@contextmanager
def _working_folder(folder: Path | None) -> Iterator[Path]:
    """The folder, or a temporary one, which stays only if a tool fails: its log is in there."""
    if folder is not None:
        yield folder
        return
    working = Path(tempfile.mkdtemp(prefix="sc-neurocore-"))
    failed = False
    try:
        yield working
    except ToolError:
        failed = True
        raise
    finally:
        if not failed:
            shutil.rmtree(working, ignore_errors=True)


def _interruption(cycles: Cycles, seed: int) -> int:
    """Cycles after which a reset finds layers and encoder in the middle of an image.

    The encoder may be far ahead: take the commit nearest to some part of the first image's time,
    two thirds for the first seed and spread evenly for those after it, but no image's last half of
    commits, when it could already be waiting for the next one. Since layers may be in step with
    the encoder, the reset comes some cycles later.
    """
    commits = cycles.encoder.reshape(len(cycles.encoder), -1)
    middle = commits[:, :commits.shape[1] // 2 + 1].ravel()
    wanted = int(cycles.latency[0]) * ((0.05 + 0.618 * seed) % 1)
    return max(2, int(middle[abs(middle - wanted).argmin()])) + seed % 5


def _patience(cycles: Cycles, stall: float) -> int:
    """Cycles after which a run is given up: far more than stalls of the streams can add."""
    transfers = cycles.loads.size + cycles.results.size
    return cycles.total + 2000 + int(transfers * stall * 0.1 * simulation.LONGEST_STALL)


def _simulate(network: IntegerNetwork, images: npt.NDArray[np.int64], spec: AcceleratorSpec,
              compiled: Path, folder: Path, run: _Run, limit: int, waves: Path | None, seed: int,
              trace: bool, plusargs: Sequence[str]) -> Observation:
    from ..gateware.layouts import result

    folder.mkdir(parents=True, exist_ok=True)
    observation = folder.resolve() / "observation.npz"
    observation.unlink(missing_ok=True)
    is_spikes = network.encoder == "events"
    payload = result(network.n_output, network.count_width, spec.current_width(network))
    load = load_words(network, spec).tolist() if spec.loaded else []
    simulation.run(compiled, verilog.TOP, "sc_neurocore.cosim.bench", {
        "images": images.reshape(-1, network.n_input).tolist(), "limit": limit,
        "input": "spikes" if is_spikes else "intensities",
        "input_width": 1 if is_spikes else network.intensity_width,
        "stall": run.stall, "interrupted_after": run.interrupted_after,
        "beats": spec.beats, "word_lanes": spec.word_lanes(network),
        "lanes": spec.lanes, "trace": trace,
        "load": [address << WORD_WIDTH | word for address, word in load],
        "membrane_widths": [spec.membrane_width(network, index)
                            for index in range(len(network.layers))],
        "results": len(images) * network.n_output,
        "result_fields": [(entry.offset, entry.width, key == "current") for key, entry in payload],
        "observation": str(observation)}, folder, waves=waves, seed=seed,
        plusargs=plusargs)
    return Observation.load(observation)
