"""The table of devices holds what nextpnr says."""

import json

import pytest

from sc_neurocore.synthesis import DEVICES, find_device, map_verilog, place, tools
from sc_neurocore.synthesis.devices import Resources

REGISTER = "module top(input clk, input d, output reg q); always @(posedge clk) q <= d; endmodule\n"
NAMES = {"ecp5": ("TRELLIS_COMB", "TRELLIS_FF", "DP16KD", None),
         "ice40": ("ICESTORM_LC", "ICESTORM_LC", "ICESTORM_RAM", "ICESTORM_SPRAM")}


@pytest.mark.parametrize("family", NAMES)
def test_resources_are_those_of_nextpnr(family, tmp_path):
    map_verilog(REGISTER, "top", family).write(tmp_path / "top.json")
    for device in DEVICES.values():
        if device.family == family:
            tools.run(device.program, [*device.arguments, "--json", "top.json", "--pack-only",
                                       "--report", "report.json"], tmp_path, "nextpnr.log")
            found = json.loads((tmp_path / "report.json").read_text())["utilization"]
            assert device.resources == Resources(*(
                found.get(name, {"available": 0})["available"] for name in NAMES[family]))


def test_gowin_resources_are_those_of_nextpnr(tmp_path):
    # It packs nothing whose pins are not given, so the register is placed in its harness.
    counter = REGISTER.replace("reg q", "reg [7:0] q").replace("q <= d", "q <= q + d")
    place(map_verilog(counter, "top", "gowin"), "gw1nr-9c", (1,), folder=tmp_path)
    found = json.loads((tmp_path / "report-1.json").read_text())["utilization"]
    assert DEVICES["gw1nr-9c"].resources == Resources(
        *(found[name]["available"] for name in ("LUT4", "DFF", "BSRAM")),
        lut_rams=8 * found["RAM16SDP4"]["available"])


def test_an_unknown_device_is_refused():
    with pytest.raises(ValueError, match=r"Device must be one of ecp5-25k, .* xc7, not 'ecp6'"):
        find_device("ecp6")


def test_xc7_can_not_be_placed():
    with pytest.raises(ValueError, match="Device xc7 can be mapped, but not placed; those that "
                                         "can: ecp5-25k, "):
        _ = find_device("xc7").program
