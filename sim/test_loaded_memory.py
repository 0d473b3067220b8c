from pathlib import Path

import pytest

from sc_neurocore.cosim import simulation
from sc_neurocore.families import Shape, loaded_shape
from sc_neurocore.gateware.loaded_memory import LoadedMemory
from sc_neurocore.parameters import WORD_WIDTH, LoadFormat, Target
from sc_neurocore.verilog import SPRAM_MODEL, component_text


@pytest.mark.parametrize(("family", "rows", "width", "kind"), [
    ("", 7, 40, "block"), ("ecp5", 20, 16, "block"), ("ecp5", 9000, 20, "block"),
    ("ice40", 30, 5, ""), ("ice40", 50, 36, "spram")])
def test_rows_hold_what_was_loaded(tmp_path, cache, family, rows, width, kind):
    shape = loaded_shape(family, rows, width, WORD_WIDTH)
    assert shape == Shape(1, rows, shape.columns)
    form = LoadFormat((Target(rows, width),))
    text = component_text(LoadedMemory(shape, form, kind), "loaded_memory")
    if kind == "spram":
        text += SPRAM_MODEL.read_text()
    compiled = simulation.compile_verilog(text, "loaded_memory", cache)
    simulation.run(compiled, "loaded_memory", "bench_loaded_memory",
                   {"rows": min(rows, 40), "width": width}, tmp_path,
                   python_path=[Path(__file__).parent])
