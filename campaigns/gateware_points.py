"""What Verilator counted, as points of the gateware: branches in its lines, and toggles of signals.

A point is named by what stands in the gateware, so the same one of all instances and designs is
one: the line of an ``m.If``, ``m.Case``, ``m.State`` or ``Mux``, and which way it went; or a signal
as its component calls it, without the numbers of an array, a bit and a direction.
"""

import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import sc_neurocore.gateware

GATEWARE = Path(sc_neurocore.gateware.__file__).parent

DRAWN = "drawn"
NOWHERE = ("", 0)
_POSITION = re.compile(r' *[/(]\* src = "([^"]*)" \*[/)]')
_MUX = re.compile(r'\?( \(\* src = "[^"]*" \*\))')
_IF = re.compile(r"^ *(?:end )?(else )?if \(")
_COUNT = re.compile(r"C '(.*)' (\d+)")
_WAYS = {"if": "taken", "elsif": "taken", "else": "not taken", "case": "taken",
         "cond_then": "first value", "cond_else": "second value"}


@dataclass(frozen=True, order=True)
class Point:
    """Something of a file of the gateware that a simulation reaches or not.

    ``line`` is 0 for a toggle, which belongs to no line; ``what`` names the point in its file.
    """

    file: str
    line: int
    what: str

    @property
    def is_toggle(self) -> bool:
        """Whether it is a bit that rises or falls."""
        return not self.line


def points(folder: Path, gateware: Path = GATEWARE) -> dict[Point, bool]:
    """All points of the simulations whose counts are in a folder, and whether any reached them.

    Parameters
    ----------
    folder : Path
        Counts and Verilog, as `cosim.coverage` leaves them. Those in its folder `DRAWN` are of
        designs that nobody chose, so wide that their tests reach little of it: they reach points,
        and add none.
    gateware : Path
        Folder of the gateware; what comes from elsewhere is left out.

    Raises
    ------
    ValueError
        If a file has something else than counts.
    """
    known = _counted(folder, gateware)
    for point, was_reached in _counted(folder / DRAWN, gateware).items():
        if point in known:
            known[point] = known[point] or was_reached
    return known


def _counted(folder: Path, gateware: Path) -> dict[Point, bool]:
    counts: dict[str, dict[str, bool]] = defaultdict(dict)
    for file in sorted(folder.glob("*.dat")):
        reached = counts[file.name.partition("-")[0]]
        for line in file.read_text().splitlines()[1:]:
            found = _COUNT.fullmatch(line)
            if found is None:
                raise ValueError(f"{file}: {line!r} is no count of Verilator's")
            reached[found[1]] = reached.get(found[1], False) or found[2] != "0"
    known: dict[Point, bool] = {}
    for design, reached in counts.items():
        verilog = (folder / f"{design}.v").read_text()
        places, divided = positions(verilog), wholes(verilog)
        for text, was_reached in reached.items():
            point = _point(text, places, divided, gateware)
            if point is not None:
                known[point] = known.get(point, False) or was_reached
    return known


@dataclass(frozen=True)
class Place:
    """Where a line of Verilog comes from: the line of its module, and that of its branch.

    Each is a path and a number; those of a line without a module, or a branch, are "" and 0.
    """

    module: tuple[str, int] = NOWHERE
    branch: tuple[str, int] = NOWHERE


def positions(text: str) -> list[Place]:
    """For each line of Verilog that `covering` had made where it comes from; the first is 1."""
    places, module, above = [Place()], NOWHERE, ""
    chains: dict[int, list[tuple[str, int]]] = {}
    for line in text.splitlines():
        depth = len(line) - len(line.lstrip())
        branch = NOWHERE
        if line.startswith("module "):
            module = _places(above)[0]
        elif found := _IF.match(line):
            # Its switch has the positions of all that are in a chain of else if.
            chains[depth] = chains[depth][1:] if found[1] else _places(above)
            branch = chains[depth][0]
        elif found := _MUX.search(line):
            branch = _places(found[1])[0]
        elif line.endswith(":"):
            branch = _places(above)[0]
        places.append(Place(module, branch))
        if _POSITION.match(line):
            above = line
        elif not line.lstrip().startswith("(*"):
            above = ""
    return places


def wholes(text: str) -> set[str]:
    """Names in Verilog of which there are fields or elements, too: those are counted instead."""
    return set(re.findall(r"\\([^\s.<\[]+)[.<\[]", text))


def _places(attribute: str) -> list[tuple[str, int]]:
    """File and line of each position in an attribute."""
    found = _POSITION.search(attribute)
    each = [place.rpartition(":") for place in found[1].split("|")] if found else []
    return [(file, int(line)) for file, _, line in each] or [NOWHERE]


def _point(text: str, places: list[Place], divided: set[str], gateware: Path) -> Point | None:
    """The point that Verilator's description of a count is about, if it is in the gateware."""
    fields = dict(field.split("\2", 1) for field in text.split("\1") if field)
    place, what = places[int(fields["l"])], fields["o"]
    is_toggle = fields["t"] == "toggle"
    path, line = place.module if is_toggle else place.branch
    if not is_in(path, gateware) or (not is_toggle and what not in _WAYS):
        return None
    if not is_toggle:
        return Point(Path(path).name, line, f"{_source(path)[line - 1].strip()}: {_WAYS[what]}")
    signal, _, change = what.rpartition(":")
    name, _, bit = signal.rstrip("]").partition("[")
    if _decoded(name) in divided or "[" in bit:     # of a memory
        return None
    return Point(Path(path).name, 0, f"{_plain(_decoded(name))}[{bit or 0}] "
                                     f"{'rises' if change == '0->1' else 'falls'}")


@cache
def is_in(path: str, folder: Path) -> bool:
    """Whether a file is in a folder, and in none within it."""
    return Path(path).parent == folder


@cache
def _source(path: str) -> list[str]:
    return Path(path).read_text().splitlines()


@cache
def _decoded(name: str) -> str:
    """A name without Verilator's escapes."""
    return re.sub(r"__0([0-9a-fA-F]{2})", lambda found: chr(int(found[1], 16)), name)


@cache
def _plain(name: str) -> str:
    """A name as the gateware has it, without the numbers of Amaranth's and of an array's."""
    return re.sub(r"<\d+>", "<#>", re.sub(r"(?<=_)\d+(?=[_.]|$)", "#", re.sub(r"\$\d+", "", name)))
