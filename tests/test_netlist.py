"""Netlists as Verilog: every cell and net, and the models of the cells."""

import pytest

from sc_neurocore.extras import ToolError
from sc_neurocore.synthesis import map_verilog
from sc_neurocore.synthesis.area import measure
from sc_neurocore.synthesis.mapping import Mapped
from sc_neurocore.synthesis.netlist import netlist_verilog
from sc_neurocore.synthesis.toggles import toggles_of

COUNTER = """
module counter (input clk, input up, output reg [3:0] q, output one);
  assign one = 1'b1;
  initial q = 0;
  always @(posedge clk) if (up) q <= q + 1;
endmodule
"""


def mapped_of(cells, ports, family="ice40"):
    netlist = {"modules": {"top": {"ports": ports, "cells": cells}}}
    return Mapped(netlist, "top", family, {}, measure({}, family), 0, "0")


def test_cells_and_ports_are_connected_bit_by_bit():
    lut = {"type": "SB_LUT4", "parameters": {"LUT_INIT": "0110100110010110", "NAME": "101 "},
           "connections": {"I0": [2], "I1": ["1"], "I2": ["x"], "O": [3]},
           "port_directions": {"I0": "input", "I1": "input", "I2": "input", "O": "output"}}
    text = netlist_verilog(mapped_of({"lut": lut}, {
        "a": {"direction": "input", "bits": [2]},
        "b": {"direction": "output", "bits": [3, "0"]}}))
    assert "SB_LUT4 #(.LUT_INIT(16'b0110100110010110), .NAME(\"101\")) c0 (.I0({n2}), " \
           ".I1({1'b1}), .I2({1'b0}), .O({n3}));" in text
    assert "  input a;" in text
    assert "assign n2 = a;" in text
    assert "  output [1:0] b;" in text
    assert "assign b[0] = n3;" in text
    assert "assign b[1] = 1'b0;" in text
    assert text.count("module SB_LUT4 (") == 1
    assert "specify" not in text
    assert "SB_RAM40_4K" not in text        # of cells that there are none of


def test_what_has_no_model_is_named():
    cell = {"type": "SB_UNKNOWN", "parameters": {}, "connections": {}, "port_directions": {}}
    with pytest.raises(ToolError, match="no model of the cell SB_UNKNOWN"):
        netlist_verilog(mapped_of({"c": cell}, {}))
    with pytest.raises(ValueError, match="Family must be one of ecp5, gowin, ice40"):
        netlist_verilog(mapped_of({}, {}, "xc7"))


@pytest.mark.parametrize("family", ["ecp5", "gowin", "ice40"])
def test_every_cell_of_a_real_netlist_is_there(family):
    mapped = map_verilog(COUNTER, "counter", family)
    text = netlist_verilog(mapped)
    for cell, number in mapped.cells.items():
        assert text.count(f"  {cell} #(") == number


def test_toggles_are_counted_by_what_drives_a_net(tmp_path):
    cells = {"ff": {"type": "SB_DFF", "connections": {"Q": [5]},
                    "port_directions": {"Q": "output"}},
             "lut": {"type": "SB_LUT4", "connections": {"O": [6]},
                     "port_directions": {"O": "output"}},
             "ram": {"type": "SB_RAM40_4K", "connections": {"RDATA": [7, 8]},
                     "port_directions": {"RDATA": "output"}}}
    waves = tmp_path / "waves.vcd"
    waves.write_text("""$scope module  $end
 $scope module top $end
  $var wire 1 ! n4 [0:0] $end
  $var wire 1 " n5 [0:0] $end
  $var wire 1 # n6 [0:0] $end
  $var wire 1 $ n8 [0:0] $end
  $var wire 2 % bus [1:0] $end
  $scope module c0 $end
   $var wire 1 & n5 $end
  $upscope $end
 $upscope $end
$upscope $end
#0
1!
0"
0#
0$
0&
b00 %
#1
1"
1#
1&
0!
#2
0"
1$
1!
0&
#3
0#
""")
    found = toggles_of(mapped_of(cells, {}), waves, 2)
    assert (found.flip_flops, found.logic, found.memories) == (1.0, 1.0, 0.5)
    assert found.total == 2.5
