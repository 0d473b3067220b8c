"""Placing small circuits by the real nextpnr."""

import json
from dataclasses import replace

import pytest

from sc_neurocore.extras import ToolError
from sc_neurocore.synthesis import map_verilog, place
from sc_neurocore.synthesis.placement import read_report

MEMORY = """
module top(input clk, input we, input [9:0] a, input [9:0] b, input [17:0] d,
           output reg [17:0] total);
  (* no_rw_check *) reg [17:0] memory [0:1023];
  reg [17:0] data, q;
  always @(posedge clk) begin
    if (we) memory[a] <= d;
    data <= memory[b];
    q <= data;
    total <= total ^ q;
  end
endmodule
"""
COUNTER = """
module top(input clk, input [200:0] wide, output reg [15:0] count);
  always @(posedge clk) count <= count + ^wide;
endmodule
"""


def test_output_registers_make_ecp5_faster():
    fast, slow = (place(map_verilog(MEMORY, "top", "ecp5", use_output_registers=used),
                        "ecp5-25k", (1,), target_mhz=400.0) for used in (True, False))
    assert slow.runs[0].path.source.endswith(tuple(f".DO{half}{bit}" for half in "AB"
                                                   for bit in range(18)))
    assert slow.runs[0].path.logic_ns > 5
    assert fast.fmax_mhz > slow.fmax_mhz + 20
    assert fast.runs[0].utilisation["DP16KD"] == (1, 56)


def test_more_ports_than_pins_are_no_hindrance(tmp_path):
    placed = place(map_verilog(COUNTER, "top", "ice40-up5k"), "ice40-up5k", (3, 1, 2), jobs=2,
                   folder=tmp_path)
    assert [run.seed for run in placed.runs] == [3, 1, 2]
    assert placed.fmax_mhz == sorted(run.fmax_mhz for run in placed.runs)[1]
    assert placed.typical.fmax_mhz == placed.fmax_mhz
    assert placed.harness == (16, 201 + 2 * 16)
    assert placed.runs[0].utilisation["SB_IO"][0] == 3
    assert placed.runs[0].path.levels > 0
    report = json.loads((tmp_path / "report-1.json").read_text())
    assert read_report(report, 1) == placed.runs[1]
    assert (tmp_path / "nextpnr-1-router2.log").stat().st_size > 1000


def test_the_wrong_devices_are_refused():
    mapped = map_verilog(COUNTER, "top", "ecp5")
    with pytest.raises(ValueError, match="ice40-hx8k must be of the family that the netlist is "
                                         "mapped for, ecp5"):
        place(mapped, "ice40-hx8k")
    large = replace(mapped, area=replace(mapped.area, block_rams=57))
    with pytest.raises(ValueError, match="Netlist needs 57 block RAMs, more than the 56 of "
                                         "ecp5-25k"):
        place(large, "ecp5-25k")
    crowded = replace(mapped, family="gowin", area=replace(mapped.area, lut_rams=2161))
    with pytest.raises(ValueError, match="Netlist needs 2161 LUTs as RAM, more than the 2160 of "
                                         "gw1nr-9c"):
        place(crowded, "gw1nr-9c")
    with pytest.raises(ValueError, match="Seeds must be at least one"):
        place(mapped, "ecp5-25k", ())


def test_two_clocks_are_refused():
    report = {"fmax": {"$glbnet$clk": {}, "other": {}}, "critical_paths": [], "utilization": {}}
    with pytest.raises(ValueError, match=r"must have one clock, clk, not \$glbnet\$clk, other"):
        read_report(report, 1)


def test_what_nextpnr_does_not_take_is_a_tool_error(tmp_path):
    mapped = map_verilog(COUNTER, "top", "ice40")
    cell = next(iter(mapped.module["cells"].values()))
    cell["type"] = "SB_NOTHING"
    with pytest.raises(ToolError, match=r"nextpnr-ice40 failed .*; its log is .*-1-router2.log"):
        place(mapped, "ice40-hx8k", (1,), folder=tmp_path)
