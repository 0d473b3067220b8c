"""Search for networks that golden model, simulator and Verilog do not agree on.

    python sim/random_networks.py [--networks N] [--seed N]     draw networks
    python sim/random_networks.py --case FOLDER                 check one again

Of what fails hypothesis looks for the smallest that still does, which is kept in a folder. The exit
code is 1 if something failed. `make random` does the same in several processes.
"""

import hashlib
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from time import monotonic

import click
from common import CACHE
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.internal.conjecture.providers import AVAILABLE_PROVIDERS, HypothesisProvider
from random_cases import Case, cases
from random_statistics import statistics

from sc_neurocore import cosim, golden, identity, simulator
from sc_neurocore.results import differences
from sc_neurocore.synthesis.devices import DEVICES

ROOT = Path(__file__).parents[1]
FAILED = ROOT / "build" / "random-networks"
SHRINK_RUNS, SHRINK_S = 60, 240.0
"""Cases that are tried to find a smaller one that fails, and seconds after which none is."""
PROMPT = "  $ "
"""In front of the command that runs a case again."""


class SeedAlone(HypothesisProvider):
    """Draws that depend on the seed alone, and not on numbers in what happens to be imported."""

    def _maybe_draw_constant(self, *args: object, **options: object) -> None:
        return None


AVAILABLE_PROVIDERS["seed alone"] = f"{__name__}.SeedAlone"


class CaseFailed(AssertionError):
    """Something disagrees about a case, which is kept; the message says how to run it again."""


def fault(case: Case) -> str:
    """What is wrong with a case, or nothing.

    Both engines of the simulator, where it has two, and products on torch must have the golden
    model's results, and the Verilog all that `cosim.verify` compares: without stalls and, if
    that is right, with them.
    """
    want = golden.run(case.network, case.images)
    options = {"products": {"engine": "products"}, "torch": {"device": "cpu"}}
    if simulator.engine_report(case.network).engine == "events":
        options["events"] = {"engine": "events"}
    for name, chosen in options.items():
        found = differences(simulator.run(case.network, case.images, **chosen), want)
        if found:
            return f"simulator, {name}: {found[0]}"
    report = cosim.verify(case.network, case.images, case.spec, cache=CACHE,
                          stall_seed=case.stall_seed, fail_fast=True)
    return "" if report.passed else str(report)


def fault_or_error(case: Case) -> str:
    """The same; that it can't be run at all is a fault as well."""
    try:
        return fault(case)
    except Exception as error:
        return f"{type(error).__name__}: {error}"


def network_key(case: Case) -> tuple[int, int]:
    """The same for the same network."""
    return identity.shape_hash(case.network), identity.parameters_crc32(case.network)


def key(case: Case) -> str:
    """The same for the same case, and short enough for the name of a folder."""
    parts = *network_key(case), case.spec, case.images.tobytes(), case.stall_seed
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


def search(start: int, check: Callable[[Case], str] = fault_or_error) -> Case:
    """Draw a case and check it; the same seed draws the same one.

    A run of hypothesis a case: in a longer one it would vary a few networks.

    Returns
    -------
    Case
        The one that was drawn.

    Raises
    ------
    CaseFailed
        If it failed: of the smallest that does and was found in `SHRINK_RUNS` and `SHRINK_S`.
    """
    drawn: list[Case] = []
    known: dict[str, str] = {}
    smallest: list[Case] = []
    ends: list[float] = []

    @seed(start)
    @settings(max_examples=2, backend="seed alone", database=None, deadline=None,
              derandomize=False, phases=(Phase.generate, Phase.shrink),
              report_multiple_bugs=False, suppress_health_check=list(HealthCheck))
    @given(cases())
    def holds(case: Case) -> None:
        drawn.append(case)
        if len(drawn) == 1:
            return      # hypothesis begins with the simplest case of all
        if key(case) not in known:
            if ends and (len(known) >= SHRINK_RUNS or monotonic() > ends[0]):
                return
            known[key(case)] = check(case)
        if known[key(case)]:
            ends[:] = ends or [monotonic() + SHRINK_S]
            smallest[:] = [case]
            raise CaseFailed

    try:
        holds()
    except CaseFailed:
        (case,) = smallest
        raise CaseFailed(_report(case, known[key(case)], len(known))) from None
    return drawn[1]


def _report(case: Case, what: str, tried: int) -> str:
    folder = FAILED / key(case)
    case.save(folder)
    command = None if what.startswith("simulator") else verify_command(case, folder)
    again = [sys.executable, __file__, "--case", str(folder)]
    return "\n".join([what, "", f"{describe(case)}; {tried} cases were tried. To run it again:",
                      f"{PROMPT}{shlex.join(command or again)}"])


def verify_command(case: Case, folder: Path) -> list[str] | None:
    """The product's own command that verifies a saved case, if there is one for its layout."""
    spec = case.spec
    device = next((name for name, one in DEVICES.items()
                   if one.resources and one.family == spec.family), None)
    has_room_to_spare = spec.loaded and spec.loaded != spec.with_loading(case.network).loaded
    if has_room_to_spare or (spec.family and device is None):
        return None
    options = {"--data": folder / "images.npy", "--images": len(case.images), "--device": device,
               "--lanes": _joined(spec.lanes), "--beats": spec.beats,
               "--encoder-lanes": spec.encoder_lanes, "--ports": _joined(spec.ports),
               "--memories": _joined(spec.memories), "--stall-seed": case.stall_seed,
               "--store-parts": spec.store_parts if spec.loaded else None}
    return [str(Path(sys.executable).with_name("sc-neurocore")), "verify",
            str(folder / "network.safetensors"),
            *(part for name, value in options.items() if value is not None
              for part in (name, str(value))),
            *["--loaded"] * bool(spec.loaded), *["--parity"] * spec.parity]


def _joined(values: Sequence[object]) -> str:
    return ",".join(map(str, values))


def describe(case: Case) -> str:
    """A case in a line."""
    network, spec = case.network, case.spec
    return (f"{'-'.join(map(str, network.shape))}, {network.timesteps} timesteps, "
            f"{network.encoder}, {network.schedule}, weights of "
            f"{_joined([layer.weight_width for layer in network.layers])} bits, lanes "
            f"{_joined(spec.lanes)}, {len(case.images)} images")


@click.command()
@click.option("--networks", default=20, show_default=True, help="How many are drawn.")
@click.option("--seed", "start", default=0, show_default=True, help="Of the first one.")
@click.option("--case", "folder", type=click.Path(exists=True, path_type=Path),
              help="Folder of a case that failed, to be checked again.")
def main(networks: int, start: int, folder: Path | None) -> None:
    """Draw networks and check them, or check one again."""
    if folder is not None:
        if found := fault_or_error(Case.load(folder)):
            raise click.ClickException(found)
        return
    try:
        drawn = [search(number) for number in range(start, start + networks)]
    except CaseFailed as error:
        raise click.ClickException(str(error)) from None
    click.echo(f"{statistics(drawn)}\n{len(drawn)} networks agree")


if __name__ == "__main__":
    main()
