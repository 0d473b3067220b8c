"""Contents of memories that come from files are those of the Verilog."""

import json
from itertools import pairwise

import numpy as np
import pytest

from sc_neurocore import verilog
from sc_neurocore.network import IntegerLayer, IntegerNetwork
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.synthesis import map_verilog, memory_files
from sc_neurocore.synthesis.mapping import run_yosys


def network(*shape):
    random = np.random.default_rng(5)
    return IntegerNetwork(tuple(
        IntegerLayer(random.integers(-8, 8, (outputs, inputs)), np.zeros(outputs, int),
                     np.full(outputs, 9), np.zeros(outputs, int), 4)
        for inputs, outputs in pairwise(shape)), timesteps=4)


def contents(folder, source):
    """Initial contents of all memories that Yosys finds, by module."""
    (folder / "map.ys").write_text(f"read_verilog {source}\nproc\nopt_clean\nmemory_collect\n"
                                   "write_json read.json\n")
    run_yosys(folder)
    modules = json.loads((folder / "read.json").read_text())["modules"]
    return {name: sorted(cell["parameters"]["INIT"] for cell in module["cells"].values()
                         if cell["type"] == "$mem_v2") for name, module in modules.items()}


def test_files_hold_what_the_verilog_says(tmp_path):
    text = verilog.generate(network(40, 36, 10), AcceleratorSpec((4, 5), family="ecp5"))
    text = verilog.without_brackets(text)
    whole = memory_files.write(text, "top", tmp_path)
    apart = memory_files.write(text, "top", tmp_path, most_rows=0)
    assert (whole, apart) == ("top.v", "map.v")
    assert "$readmemh" not in text
    assert "initial begin" not in (tmp_path / "map.v").read_text()
    wanted = contents(tmp_path, whole)
    assert sum(map(len, wanted.values())) >= 5
    assert contents(tmp_path, apart) == wanted


def test_what_is_written_otherwise_stays(tmp_path):
    text = "  initial begin\n    rows[0] = 4'h3;\n    rows[2] = 4'h1;\n  end\n"
    memory_files.write(text, "top", tmp_path, most_rows=0)
    assert (tmp_path / "map.v").read_text() == text


@pytest.mark.slow
def test_half_a_million_rows_are_mapped():
    """Read row by row they take 3.8 GB, and half as much again to be mapped."""
    text = verilog.generate(network(512, 256, 10), AcceleratorSpec((8, 2), family="ecp5"))
    assert map_verilog(text, verilog.TOP, "ecp5").area.block_rams == 42
