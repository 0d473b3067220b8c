"""Finding and running the real tools."""

import pytest

from sc_neurocore.extras import ToolError
from sc_neurocore.synthesis import tools


def test_versions_are_those_of_the_programs():
    assert tools.version("yosys").startswith("0.")
    assert tools.version("nextpnr-ice40").startswith("0.")


def test_a_missing_tool_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(tools.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ToolError, match=r"nextpnr-ecp5 was not found; install it with: pip install "
                                        r"'sc-neurocore-fpga\[synth\]'"):
        tools.find("nextpnr-ecp5")


def test_a_native_tool_comes_from_the_path(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolError, match="yosys was not found on PATH"):
        tools.find("yosys", native=True)
    script = tmp_path / "yosys"
    script.write_text("#!/bin/sh\necho 'Yosys 0.99+1 (git sha1 0)'\n")
    script.chmod(0o755)
    assert tools.find("yosys", native=True) == [str(script)]
    assert tools.version("yosys", native=True) == "0.99+1"


def test_a_native_nextpnr_may_serve_several_families(monkeypatch, tmp_path):
    script = tmp_path / "nextpnr-himbaechel"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert tools.find("nextpnr-himbaechel-gowin", native=True) == [str(script)]


def test_a_failing_tool_leaves_its_log(tmp_path):
    with pytest.raises(ToolError, match=r"yosys failed \(exit code 1\); its log is .*yosys.log:\n"
                                        r"(.*\n)*.*No such command: nonsense"):
        tools.run("yosys", ["-p", "nonsense"], tmp_path, "yosys.log")
    assert "nonsense" in (tmp_path / "yosys.log").read_text()


def test_a_folder_without_a_name_stays_after_an_error(tmp_path):
    with tools.working_folder(None) as folder:
        (folder / "log").touch()
    assert not folder.exists()
    with pytest.raises(ToolError), tools.working_folder(None) as folder:
        raise ToolError
    folder.rmdir()
    with tools.working_folder(tmp_path / "mine") as folder:
        assert folder == tmp_path / "mine"
    assert folder.exists()


def test_a_tool_that_does_not_end_is_ended(monkeypatch, tmp_path):
    script = tmp_path / "yosys"
    script.write_text("#!/bin/sh\necho 'round and round'\nexec sleep 60\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(ToolError, match=r"yosys did not end within 1 s; its log is .*yosys.log:\n"
                                        r"round and round"):
        tools.run("yosys", [], tmp_path, "yosys.log", native=True, limit_s=1)
