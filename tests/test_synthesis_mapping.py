"""Small circuits through the real Yosys."""

import pytest

from sc_neurocore.extras import ToolError
from sc_neurocore.synthesis import find_device, map_verilog
from sc_neurocore.verilog import without_brackets

DESIGN = """
module top(input clk, input we, input [9:0] a, input [17:0] d, output reg [17:0] q,
           output reg [15:0] sum);
  reg [17:0] memory [0:1023];
  always @(posedge clk) begin
    if (we) memory[a] <= d;
    q <= memory[a];
    sum <= sum + d[15:0];
  end
endmodule
"""


@pytest.mark.parametrize(("device", "carry", "block_rams"), [
    ("ecp5", "CCU2C", 1), ("ecp5-85k", "CCU2C", 1), ("gowin", "ALU", 1),
    ("ice40-up5k", "SB_CARRY", 5), (find_device("xc7"), "CARRY4", 1)])
def test_each_family_gets_its_cells(device, carry, block_rams):
    mapped = map_verilog(DESIGN, "top", device)
    assert mapped.area.block_rams == block_rams
    assert mapped.area.flip_flops >= 16
    assert mapped.cells[carry] == mapped.area.carries > 0
    assert list(mapped.netlist["modules"]) == ["top"]
    assert set(mapped.module["ports"]) == {"clk", "we", "a", "d", "q", "sum"}


def test_the_same_text_gives_the_same_netlist(tmp_path):
    for name in ("one.json", "other.json"):
        map_verilog(DESIGN, "top", "ice40").write(tmp_path / name)
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "other.json").read_bytes()


def test_files_are_kept_where_they_are_wanted(tmp_path):
    map_verilog(DESIGN, "top", "ice40", folder=tmp_path / "made")
    assert (tmp_path / "made" / "top.v").read_text() == DESIGN
    assert "synth_ice40 -top top" in (tmp_path / "made" / "map.ys").read_text()
    assert "SB_CARRY" in (tmp_path / "made" / "yosys.log").read_text()


def test_broken_verilog_is_a_tool_error(tmp_path):
    with pytest.raises(ToolError, match=r"yosys failed .*; its log is .*yosys.out:\n(.*\n)*"
                                        r"and of .*yosys.log:\n(.*\n)*top.v:1: ERROR: syntax"):
        map_verilog("module top(; endmodule", "top", "ecp5", folder=tmp_path)


def test_an_unknown_device_is_refused_before_anything_runs():
    with pytest.raises(ValueError, match="Device must be one of"):
        map_verilog(DESIGN, "top", "spartan")


def test_brackets_stay_where_they_are_bits():
    assert without_brackets('assign \\a[3] [1] = b[2] ? "\\x[1]" : \\c.d[0].e ;') == (
        'assign \\a<3> [1] = b[2] ? "\\x[1]" : \\c.d<0>.e ;')


@pytest.mark.parametrize("family", ["ecp5", "gowin", "ice40"])
def test_a_lane_is_not_taken_for_a_bit(family):
    # Bit 1 of q, and a wire that is called q[1]: Yosys 0.70 by itself makes them one.
    mapped = map_verilog("""
module top(input clk, input [1:0] a, input [1:0] b, output [1:0] x, output [1:0] y);
  reg [1:0] q = 0;
  reg [1:0] \\q[1] = 0;
  always @(posedge clk) begin q <= a; \\q[1] <= b; end
  assign x = q & {2{a[0]}}, y = \\q[1] & {2{a[0]}};
endmodule
""", "top", family)
    assert mapped.area.flip_flops == 4
    names = mapped.module["netnames"]
    assert not set(names["q"]["bits"]) & set(names["q<1>"]["bits"])
