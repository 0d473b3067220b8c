"""From a network to the bitstream of a board.

Everything that the bitstream depends on is hashed and kept beside it, in ``manifest.json``; what is
unchanged is not built again.
"""

import hashlib
import json
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from . import __version__
from .boards import BOARDS, Board, find_board
from .extras import ToolError, require
from .files import check_folder, fill_folder, write_text
from .identity import parameters_crc32
from .layer_headers import check_list, check_object
from .messages import one_line
from .network import IntegerNetwork
from .parameters import Capacity
from .spec import AcceleratorSpec
from .synthesis import (
    flows,
    mapping,
    memory_files,
    output_registers,
    routing,
    tools,
    write_clocks,
)
from .synthesis.activity import Activity, observe
from .synthesis.area import Area
from .synthesis.placement import CriticalPath, Run, check_fits, read_report

if TYPE_CHECKING:
    from .boards.top import Source

MANIFEST, REPORT = "manifest.json", "report.json"
LOADER = "openFPGALoader"
SEEDS = (1, 2, 3, 4)
"""Of nextpnr, tried one after the other until the clock is met."""

Progress = Callable[[str], None]


class BuildError(ValueError):
    """A design does not fit its board, or misses its clock; the message says what to change."""


@dataclass(frozen=True)
class Build:
    """A bitstream, and what it is.

    Parameters
    ----------
    bitstream : Path
    board : Board
    shape : tuple of int
    spec : AcceleratorSpec
    clock_hz : float
        As the PLL makes it.
    baud : int
    area : Area
        Cells of all of it, link and reset included.
    absorbed : int
        Flip-flops that became output registers of block RAMs.
    run : Run
        Of nextpnr: seed, frequency, critical path, utilisation.
    versions : dict of str
        Of tools, by name.
    repeated : bool
        Whether it was built now; if not, nothing had changed.
    activity : Activity, optional
        Cycles and work of images, exactly; None without data.
    """

    bitstream: Path
    board: Board
    shape: tuple[int, ...]
    spec: AcceleratorSpec
    clock_hz: float
    baud: int
    area: Area
    absorbed: int
    run: Run
    versions: dict[str, str]
    repeated: bool
    activity: Activity | None = None

    @property
    def fmax_mhz(self) -> float:
        """Highest frequency of the clock, by nextpnr's timing model."""
        return self.run.fmax_mhz

    def as_dict(self) -> dict[str, Any]:
        """All numbers, for machines."""
        has = self.board.resources
        document: dict[str, Any] = {
            "bitstream": self.bitstream.name, "board": self.board.name,
            "device": self.board.device.name, "shape": list(self.shape),
            "layout": asdict(self.spec), "clock_hz": self.clock_hz, "baud": self.baud,
            "area": self.area.as_dict(), "available": asdict(has), "absorbed": self.absorbed,
            "run": asdict(self.run), "versions": self.versions}
        if self.activity is not None:
            did = self.activity
            document |= {
                "images": did.images, "cycles": {"min": did.cycles_min, "mean": did.cycles_mean,
                                                 "max": did.cycles_max},
                "latency_cyc": did.latency_cyc,
                "latency_us": did.latency_cyc / self.clock_hz * 1e6,
                "images_per_second": self.clock_hz / did.cycles_mean}
        return document

    def __str__(self) -> str:
        has, area, path = self.board.resources, self.area, self.run.path
        rows = [("LUTs", _of(area.lut_equivalents, has.luts)),
                ("flip-flops", _of(area.flip_flops, has.flip_flops)),
                *([("logic cells, placed", _of(*self.run.utilisation["ICESTORM_LC"]))]
                  if "ICESTORM_LC" in self.run.utilisation else []),
                ("block RAMs", _of(area.block_rams, has.block_rams)),
                *([("SPRAMs", _of(area.spram, has.spram))] if has.spram else []),
                ("clock", f"{self.clock_hz / 1e6:g} MHz; Fmax {self.fmax_mhz:.1f} MHz, seed "
                          f"{self.run.seed}"),
                ("  slowest path from", path.source), ("  to", path.sink),
                ("  through", f"{path.levels} cells: {path.logic_ns:.1f} ns logic, "
                              f"{path.routing_ns:.1f} ns routing"),
                ("UART", f"{self.baud} baud")]
        if (did := self.activity) is not None:
            rows += [("cycles an image", f"{did.cycles_mean:.1f} ({did.cycles_min:.0f} to "
                                         f"{did.cycles_max:.0f}, {did.images} images), "
                                         f"{did.cycles_mean / self.clock_hz * 1e6:.1f} us"),
                     ("latency", f"{did.latency_cyc:.1f} cycles, "
                                 f"{did.latency_cyc / self.clock_hz * 1e6:.1f} us")]
        width = max(len(name) for name, _ in rows)
        lanes = ", ".join(map(str, self.spec.lanes))
        return "\n".join([
            f"{'-'.join(map(str, self.shape))}, lanes {lanes}, on {self.board.title}", "",
            *(f"{name.ljust(width)}  {value}" for name, value in rows), "",
            ", ".join(f"{name} {version}" for name, version in self.versions.items()),
            f"{self.bitstream}" + ("" if self.repeated else ", which was there: nothing changed")])


def _of(used: int, available: int) -> str:
    return f"{used} of {available} ({used / available:.1%})"


def build(network: IntegerNetwork, board: Board | str, spec: AcceleratorSpec, output: Path, *,
          clock_hz: float | None = None, baud: int | None = None,
          inputs: npt.ArrayLike | None = None, native: bool = False,
          progress: Progress = lambda step: None) -> Build:
    """Build a board's bitstream.

    Parameters
    ----------
    network : IntegerNetwork
    board : Board or str
    spec : AcceleratorSpec
        Its layout; it gets the board's family.
    output : Path
        Folder for bitstream, manifest, report, sources and logs.
    clock_hz, baud : optional
        By default the board's.
    inputs : optional
        Images, as for `golden.run`, to count cycles with.
    native : bool
        Run the tools on PATH.
    progress : callable, optional
        Called with what is being done.

    Raises
    ------
    BuildError
        If it does not fit, or misses its clock; ``output`` is what it was before.
    MissingExtraError
        If amaranth or amaranth-boards is not installed.
    ToolError
        If a tool is missing or fails; the message has the log's path.
    TypeError, ValueError
        If spec or inputs do not fit the network, or there is no such clock or baud rate.
    """
    require("amaranth", "boards")
    require("amaranth_boards", "boards")
    from .boards import top

    board = find_board(board) if isinstance(board, str) else board
    check_folder(output)
    spec = replace(spec, family=board.device.family)
    baud = baud or board.baud
    progress("generating Verilog")
    source = top.generate(network, board, spec, clock_hz or board.clock_hz, baud)
    activity = None
    if inputs is not None:
        progress("running the golden model")
        activity = observe(network, inputs, spec)
    versions = {"sc_neurocore": __version__} | {
        program: tools.version(program, native=native)
        for program in ("yosys", board.device.program)}
    key = _key(source, board, versions)
    found = _unchanged(output, key)
    repeated = found is None
    if found is None:
        with tools.working_folder(None) as working:
            found = _make(source, board, working, native, progress)
            found |= {"inputs": key, "board": board.name, "shape": list(network.shape),
                      "layout": asdict(spec), "clock_hz": source.clock_hz, "baud": baud,
                      "parameters": parameters_crc32(network), "versions": versions}
            (working / MANIFEST).write_text(json.dumps(found, indent=1) + "\n")
            fill_folder(output, working)
    run = found["run"]
    made = Build(
        output / found["bitstream"], board, network.shape, spec, found["clock_hz"], baud,
        Area(**found["area"]), found["absorbed"],
        Run(run["seed"], run["fmax_mhz"], CriticalPath(**run["path"]),
            {name: (used, of) for name, (used, of) in run["utilisation"].items()}),
        versions, repeated, activity)
    write_text(output / REPORT, json.dumps(made.as_dict(), indent=1) + "\n")
    return made


def read_manifest(folder: Path) -> dict[str, Any]:
    """What a folder's bitstream is.

    Raises
    ------
    FileNotFoundError
        If there is none.
    ValueError
        If it is none that `build` wrote, or its bitstream is not the one that was built.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(f"{folder} has no {MANIFEST}; `sc-neurocore build` makes one")
    with _about(path):
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        check_object("manifest", manifest, set(_MANIFEST))
        for name, kind in _MANIFEST.items():
            if type(manifest[name]) not in kind:
                raise TypeError(f"{name} must be {kind[-1].__name__}, not {manifest[name]!r}")
        if not re.fullmatch(r"\w+\.(bin|bit|fs)", manifest["bitstream"]):
            raise ValueError("bitstream must be a file beside it, .bin, .bit or .fs, "
                             f"not {manifest['bitstream']!r}")
        find_board(manifest["board"])
    bitstream = folder / manifest["bitstream"]
    if not bitstream.is_file() or _hash(bitstream.read_bytes()) != manifest["sha256"]:
        raise ValueError(f"{bitstream} must be the bitstream that {path} is about")
    return manifest


_MANIFEST: dict[str, tuple[type, ...]] = {
    "bitstream": (str,), "sha256": (str,), "area": (dict,), "absorbed": (int,), "run": (dict,),
    "inputs": (str,), "board": (str,), "shape": (list,), "layout": (dict,),
    "clock_hz": (int, float), "baud": (int,), "parameters": (int,), "versions": (dict,)}
"""What a manifest has, and of which types."""


@contextmanager
def _about(path: Path) -> Iterator[None]:
    """Have errors of the block say which file is wrong."""
    try:
        yield
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} must be what `sc-neurocore build` wrote: {one_line(error)}"
                         ) from error


def read_layout(folder: Path) -> AcceleratorSpec:
    """The layout of a folder's bitstream; raises what `read_manifest` raises."""
    layout = read_manifest(folder)["layout"]
    with _about(folder / MANIFEST):
        check_object("layout", layout, {field.name for field in fields(AcceleratorSpec)})
        loaded = check_list("layout.loaded", layout["loaded"])
        return AcceleratorSpec(**layout | {"loaded": tuple(Capacity(**each) for each in loaded)})


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _key(source: "Source", board: Board, versions: dict[str, str]) -> str:
    """Hash of all that a bitstream depends on."""
    device = board.device
    return _hash(json.dumps([
        source.verilog, source.constraints, source.clock_hz, device.name, device.arguments,
        board.pack, SEEDS, versions, *(
            Path(str(module.__file__)).read_text()
            for module in (flows, mapping, memory_files, output_registers, routing,
                           write_clocks))]).encode())


def _unchanged(output: Path, key: str) -> dict[str, Any] | None:
    """The manifest of what was built before, if it is what is asked for."""
    try:
        manifest = read_manifest(output)
    except (OSError, ValueError):
        return None
    return manifest if manifest.get("inputs") == key else None


def _make(source: "Source", board: Board, working: Path, native: bool, progress: Progress
          ) -> dict[str, Any]:
    """Map, place and pack in a folder; returns what a manifest says of it."""
    from .boards.top import TOP

    device, flow = board.device, flows.FLOWS[board.device.family]
    files = flow.files(TOP)
    progress("mapping")
    mapped = mapping.map_verilog(source.verilog, TOP, device, folder=working, native=native)
    try:
        check_fits(mapped.area, device)
    except ValueError as error:
        raise BuildError(f"{error}; {_advice(board)}") from None
    mapped.write(working / f"{TOP}.json")
    (working / files["constraints"]).write_text(source.constraints)
    run = _place(source, board, working, native, progress)
    progress("packing")
    packer, arguments = flow.pack_command(TOP, board.pack)
    tools.run(packer, arguments, working, "pack.log", native=native)
    return {"bitstream": files["bitstream"],
            "sha256": _hash((working / files["bitstream"]).read_bytes()),
            "area": mapped.area.as_dict(), "absorbed": mapped.absorbed, "run": asdict(run)}


def _place(source: "Source", board: Board, working: Path, native: bool, progress: Progress) -> Run:
    """Place and route with one seed after the other, until the clock is met."""
    from .boards.top import TOP

    device, wanted_mhz = board.device, source.clock_hz / 1e6
    arguments = [*flows.FLOWS[device.family].place_arguments(TOP), "--json", f"{TOP}.json",
                 "--freq", f"{wanted_mhz:.6f}", "--timing-allow-fail", "--report", "timing.json"]
    missed: list[Run] = []
    for seed in SEEDS:
        progress(f"placing and routing, seed {seed}")
        try:
            routing.route(device, seed, arguments, working, native=native)
        except tools.EndlessError:
            continue
        except ToolError as error:
            if re.search(r"ERROR: .*(place|bels|BELs|locations)", str(error)):
                raise BuildError(f"{error}\n{_advice(board)}") from None
            raise
        run = read_report(json.loads((working / "timing.json").read_text()), seed)
        (working / "timing.json").unlink()
        if run.fmax_mhz >= wanted_mhz:
            return run
        missed.append(run)
    if not missed:
        raise BuildError(f"Design can't be routed on {board.name}, with any of {len(SEEDS)} seeds; "
                         f"{_advice(board)}")
    best = max(missed, key=lambda run: run.fmax_mhz)
    raise BuildError(
        f"Clock of {wanted_mhz:g} MHz is not met: {best.fmax_mhz:.1f} MHz is the best of "
        f"{len(SEEDS)} seeds, the slowest path being {best.path}; ask for less with --clock-hz, or "
        "try fewer lanes")


def _advice(board: Board) -> str:
    """What to change if a design does not fit."""
    larger = [other.name for other in BOARDS.values()
              if other.resources.luts > board.resources.luts]
    parts = ["fewer --lanes or narrower weights take less"]
    if board.resources.spram:
        parts.append("weights fit SPRAM with --loaded and --memories spram")
    if larger:
        parts.append(f"or take a larger board: {', '.join(larger)}")
    return ", ".join(parts)


def program(folder: Path, board: Board | str) -> Path:
    """Write a folder's bitstream to a board with openFPGALoader; returns its path.

    Raises
    ------
    OSError, ValueError
        If there is no bitstream, or it is another board's.
    ToolError
        If openFPGALoader is missing or fails.
    """
    board = find_board(board) if isinstance(board, str) else board
    manifest = read_manifest(folder)
    if manifest["board"] != board.name:
        raise ValueError(f"{folder} must be built for {board.name}, not for {manifest['board']}")
    path = folder / manifest["bitstream"]
    loader = shutil.which(LOADER)
    if loader is None:
        raise ToolError(
            f"{LOADER} was not found. Install it (Debian and Ubuntu: apt install openfpgaloader; "
            "macOS: brew install openfpgaloader; others: https://trabucayre.github.io/"
            f"openFPGALoader), plug the board in, and try again; or on another machine:\n"
            f"  {LOADER} -b {board.loader} {path}")
    done = subprocess.run([loader, "-b", board.loader, str(path)], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace")
    if done.returncode:
        raise ToolError(f"{LOADER} failed (exit code {done.returncode}); is the board plugged in, "
                        f"and may you use its USB device?\n{done.stdout.strip()}")
    return path
