"""Flip-flops that become output registers of block RAMs, in netlists that Yosys made."""

import copy

import pytest

from sc_neurocore.synthesis import map_verilog
from sc_neurocore.synthesis.output_registers import absorb

TEMPLATE = """
module top(input clk, input rst, input we, input en, input other, input [9:0] a, input [9:0] b,
           input [{width}-1:0] d, output reg [{width}-1:0] q, output [{width}-1:0] extra);
  (* ram_style = "block", no_rw_check *) reg [{width}-1:0] memory [0:1023];
  reg [{width}-1:0] data;
  always @(posedge clk) if (we) memory[a] <= d;
  always @(posedge clk) {read} data <= memory[b];
  {register}
  assign extra = {extra};
endmodule
"""
PLAIN = "always @(posedge clk) q <= data;"
ENABLED = "always @(posedge clk) if (en) q <= data;"


def mapped(width=18, read="", register=PLAIN, extra="0"):
    """The module as Yosys leaves it."""
    text = TEMPLATE.format(width=width, read=read, register=register, extra=extra)
    return map_verilog(text, "top", "ecp5", use_output_registers=False).module


def cells(module, kind):
    return [cell for cell in module["cells"].values() if cell["type"] == kind]


def check(before, after):
    """Every net that a flip-flop drove is driven by the memory whose output was its input."""
    driven = {}
    for name, ram in after["cells"].items():
        if ram["type"] == "DP16KD":
            driven |= {bits[0]: (name, pin) for pin, bits in ram["connections"].items()
                       if pin.startswith("DO") and bits}
    removed = set(before["cells"]) - set(after["cells"])
    assert removed
    for name in removed:
        register = before["cells"][name]
        ram, pin = driven[register["connections"]["Q"][0]]
        assert before["cells"][ram]["connections"][pin] == register["connections"]["DI"]
    old = {before["cells"][name]["connections"]["DI"][0] for name in removed}
    assert not old & {bit for net in after["netnames"].values() for bit in net["bits"]}


@pytest.mark.parametrize("width", [7, 18, 40])
def test_registers_behind_a_memory_move_into_it(width):
    module = mapped(width)
    before = copy.deepcopy(module)
    assert absorb(module) == width
    assert not cells(module, "TRELLIS_FF")
    check(before, module)
    for ram in cells(module, "DP16KD"):
        assert "OUTREG" in {ram["parameters"]["REGMODE_A"], ram["parameters"]["REGMODE_B"]}
    assert absorb(module) == 0


def test_both_halves_of_a_wide_memory_are_one_port():
    text = TEMPLATE.format(width=36, read="", register=PLAIN, extra="0").replace("1023", "511")
    module = map_verilog(text, "top", "ecp5", use_output_registers=False).module
    before = copy.deepcopy(module)
    assert absorb(module) == 36
    check(before, module)
    (ram,) = cells(module, "DP16KD")
    assert int(ram["parameters"]["DATA_WIDTH_A"], 2) == 36
    assert ram["parameters"]["REGMODE_A"] == ram["parameters"]["REGMODE_B"] == "OUTREG"
    assert ram["connections"]["OCEA"] == ram["connections"]["OCEB"] == ["1"]


def test_a_clock_enable_becomes_the_output_enable():
    module = mapped(register=ENABLED)
    enable = module["ports"]["en"]["bits"]
    assert absorb(module) == 18
    (ram,) = cells(module, "DP16KD")
    registered = [half for half in "AB" if ram["parameters"][f"REGMODE_{half}"] == "OUTREG"]
    assert [ram["connections"][f"OCE{half}"] for half in registered] == [enable]


def test_an_enable_of_both_memory_and_register_is_taken():
    assert absorb(mapped(read="if (en)", register=ENABLED)) == 18


@pytest.mark.parametrize("case", [
    dict(register="always @(posedge clk) if (rst) q <= 0; else q <= data;"),
    dict(register="always @(posedge clk or posedge rst) if (rst) q <= 0; else q <= data;"),
    dict(register="always @(negedge clk) q <= data;"),
    dict(register="always @(posedge other) q <= data;"),
    dict(register=PLAIN + " initial q = 18'h3ffff;"),
    dict(register="always @(posedge clk) begin q[17:9] <= data[17:9];"
                  " if (en) q[8:0] <= data[8:0]; end"),
    dict(register="always @(posedge clk) q <= ~data;"),
    dict(extra="data"),
    dict(extra="{18{data[3] & en}}"),
    dict(register="always @(posedge clk) if (data[0]) q[0] <= d[0];"),
    dict(read="if (other)", register=ENABLED),
    dict(read="if (other)")],
    ids=["reset", "asynchronous reset", "other edge", "other clock", "begins with ones",
         "some enabled", "logic between", "also an output", "also in logic", "as an enable",
         "other enable", "enable of the memory alone"])
def test_what_could_tell_the_difference_stays(case):
    module = mapped(**case)
    assert cells(module, "DP16KD")
    for order in (list, reversed):      # of cells: nothing may depend on it
        module["cells"] = dict(order(list(module["cells"].items())))
        before = copy.deepcopy(module)
        assert absorb(module) == 0
        assert module == before


def test_mapping_for_ecp5_does_it_and_says_how_many():
    text = TEMPLATE.format(width=18, read="", register=PLAIN, extra="0")
    done = map_verilog(text, "top", "ecp5")
    assert (done.absorbed, done.area.flip_flops) == (18, 0)
