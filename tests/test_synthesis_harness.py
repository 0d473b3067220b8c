"""What a harness adds to a netlist, and that it changes nothing in it."""

import copy

import pytest

from sc_neurocore.synthesis import map_verilog
from sc_neurocore.synthesis.area import cell_counts
from sc_neurocore.synthesis.harness import wrap

DESIGN = """
module top(input clk, input [2:0] a, input unused, output [1:0] y, output same, output one);
  reg [1:0] sum;
  always @(posedge clk) sum <= a[0] + a[1] + a[2];
  assign y = sum, same = sum[0], one = 1;
endmodule
"""


@pytest.mark.parametrize(("family", "register", "lut", "pins", "nets"), [
    ("ecp5", "TRELLIS_FF", "LUT4", {}, 2),
    # Its constant 1 is a net, from a cell.
    ("gowin", "DFF", "LUT2", {"IBUF": 2, "OBUF": 1}, 3), ("ice40", "SB_DFF", "SB_LUT4", {}, 2)])
def test_ports_become_four_pins_and_cells_stay(family, register, lut, pins, nets):
    mapped = map_verilog(DESIGN, "top", family)
    before = copy.deepcopy(mapped.netlist)
    harness = wrap(mapped.netlist, "top", family)
    assert mapped.netlist == before
    module = harness.netlist["modules"]["top"]
    assert set(module["ports"]) == {"clk", "harness_in", "harness_out"}
    assert all(len(port["bits"]) == 1 for port in module["ports"].values())
    # Four bits come in. Different ones go out, of which each is held and folded into the next.
    assert (harness.luts, harness.flip_flops) == (nets, 4 + 2 * nets)
    added = {name: cell for name, cell in module["cells"].items()
             if name not in mapped.module["cells"]}
    assert cell_counts({"cells": added}) == dict(
        sorted({register: 4 + 2 * nets, lut: nets, **pins}.items()))
    assert {**mapped.module["cells"], **added} == module["cells"]


@pytest.mark.parametrize("family", ["ecp5", "gowin", "ice40"])
def test_every_net_has_one_driver_and_every_output_is_read(family):
    mapped = map_verilog(DESIGN, "top", family)
    module = wrap(mapped.netlist, "top", family).netlist["modules"]["top"]
    drivers, read = [], set(module["ports"]["harness_out"]["bits"])
    for port in module["ports"].values():
        drivers += port["bits"] if port["direction"] == "input" else []
    for cell in module["cells"].values():
        for pin, bits in cell["connections"].items():
            if cell["port_directions"][pin] == "output":
                drivers += bits
            else:
                read |= set(bits)
    assert len(drivers) == len(set(drivers))
    assert read - {"0", "1", "x"} <= set(drivers)
    assert set(mapped.module["ports"]["y"]["bits"]) <= read


def test_a_netlist_without_a_clock_is_refused():
    mapped = map_verilog("module top(input a, output y); assign y = ~a; endmodule", "top", "ecp5")
    with pytest.raises(ValueError, match="Module top must have an input clk of one bit"):
        wrap(mapped.netlist, "top", "ecp5")
