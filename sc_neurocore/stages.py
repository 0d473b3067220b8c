"""The same images through every stage from Verilog down, each compared with the golden model."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy.typing as npt

from . import cosim, verilog
from .network import IntegerNetwork
from .spec import AcceleratorSpec
from .synthesis.devices import Device, find_device
from .synthesis.mapping import Mapped, map_verilog
from .synthesis.netlist import FAMILIES, netlist_verilog
from .synthesis.toggles import Toggles, toggles_of

STAGES = ("rtl", "netlist")
"""What can be verified: the Verilog, and what Yosys makes of it for a family of FPGAs."""


@dataclass(frozen=True)
class StageReport:
    """What was compared in a stage. ``target``: the device or family of a netlist, or empty."""

    stage: str
    target: str
    report: cosim.VerifyReport

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"stage": self.stage, "target": self.target, **self.report.as_dict()}


def verify_stages(network: IntegerNetwork, inputs: npt.ArrayLike, spec: AcceleratorSpec,
                  stages: Sequence[str] = STAGES, device: Device | str | None = None, *,
                  folder: Path | None = None, cache: Path | None = None,
                  waves: Path | None = None,
                  progress: Callable[[str], None] = lambda stage: None) -> list[StageReport]:
    """Verify stage after stage.

    Parameters
    ----------
    network, inputs, spec
        As for `cosim.verify`.
    stages : sequence of str
        Some of `STAGES`. Both compare every spike, membrane, result and cycle; the netlist has the
        trace ports too, so it is not the smallest that could be.
    device : Device or str, optional
        That a netlist is mapped for; by default one of each family that can be simulated.
    folder, cache : Path, optional
        Where logs are kept, and compiled simulations; by default these are in ``folder`` as well.
    waves : Path, optional
        VCD file of the first stage's run without stalls.
    progress : callable, optional
        Called with what is being verified.

    Raises
    ------
    TypeError, ValueError
        If a stage is unknown, or inputs or spec do not fit the network.
    MissingExtraError, ToolError
        If a tool is missing or fails. A mismatch is not an error, but in the reports.
    """
    for stage in stages:
        if stage not in STAGES:
            raise ValueError(f"Stage must be one of {', '.join(STAGES)}, not {stage!r}")
    if not stages:
        raise ValueError("Stages must be at least one")
    reports: list[StageReport] = []
    for stage, target, text in _texts(network, spec, stages, device, progress):
        reports.append(StageReport(stage, target, cosim.verify(
            network, inputs, spec, text=text, lint=stage == "rtl",
            folder=None if folder is None else folder / f"{stage}{target}",
            cache=cache or (None if folder is None else folder / "compiled"),
            waves=None if reports else waves)))
    return reports


def _texts(network: IntegerNetwork, spec: AcceleratorSpec, stages: Sequence[str],
           device: Device | str | None, progress: Callable[[str], None]
           ) -> Iterable[tuple[str, str, str]]:
    """Stage, target and Verilog."""
    text = verilog.generate(network, spec, trace=True)
    if "rtl" in stages:
        progress("co-simulating the Verilog")
        yield "rtl", "", text
    if "netlist" not in stages:
        return
    chosen: list[Device | str] = list(FAMILIES)
    if device is not None:
        chosen = [find_device(device) if isinstance(device, str) else device]
    elif "spram" in spec.memories:
        chosen = [find_device("ice40-up5k")]
    for each in chosen:
        name = each if isinstance(each, str) else each.name
        progress(f"mapping for {name}")
        mapped = map_verilog(text, verilog.TOP, each)
        progress(f"co-simulating the netlist for {name}")
        yield "netlist", name, netlist_verilog(mapped)


def count_toggles(mapped: Mapped, network: IntegerNetwork, inputs: npt.ArrayLike,
                  spec: AcceleratorSpec) -> Toggles:
    """Simulate a netlist, compare its results with the golden model's, and count toggles.

    Parameters
    ----------
    mapped : Mapped
        The accelerator without trace ports.
    network, inputs, spec
        As for `cosim.verify`.

    Raises
    ------
    TypeError, ValueError
        If inputs or spec do not fit the network.
    MissingExtraError
        If cocotb is not installed.
    ToolError
        If a tool fails, or the netlist does not do what the golden model does.
    """
    images, _ = network.check_batch(inputs)
    text = netlist_verilog(mapped)
    with TemporaryDirectory(prefix="sc-neurocore-toggles-") as folder:
        waves = Path(folder) / "netlist.vcd"
        report = cosim.verify(network, images, spec, text=text, lint=False, trace=False,
                              waves=waves, folder=Path(folder))
        if not report.passed:
            raise cosim.ToolError(f"The netlist does not do what the golden model does: {report}")
        return toggles_of(mapped, waves, len(images))
