"""The table of boards, their pins and clocks, and the dividers of their PLLs."""

import json
import re

import numpy as np
import pytest
from amaranth.hdl import ClockDomain, Module
from amaranth.sim import Simulator

from sc_neurocore import cli
from sc_neurocore.boards import BOARDS, DEFAULT, find_board
from sc_neurocore.boards.pll import ecp5_pll, gowin_pll, ice40_pll
from sc_neurocore.boards.top import StartReset, generate, pins_of
from sc_neurocore.network import IntegerLayer, IntegerNetwork
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.synthesis import tools


def small_network():
    layer = IntegerLayer(np.array([[1, -2, 3], [4, -5, 6]]), np.zeros(2, int), np.full(2, 4),
                         np.zeros(2, int), 4)
    return IntegerNetwork((layer,), 2)


PINS = {"icebreaker": ("35", "6", "9"), "ice40-hx8k": ("J3", "B10", "B12"),
        "ulx3s-25f": ("G2", "M1", "L4"), "ulx3s-85f": ("G2", "M1", "L4"),
        "orangecrab": ("A9", "N17", "M18"), "tang-nano-9k": ("52", "18", "17")}


@pytest.mark.parametrize("name", BOARDS)
def test_clock_and_uart_are_at_the_boards_pins(name):
    board, network = BOARDS[name], small_network()
    source = generate(network, board, AcceleratorSpec.for_network(network), board.clock_hz,
                      board.baud)
    found = dict(re.findall(r'(?:set_io |LOCATE COMP "|IO_LOC ")(\w+)(?:" SITE|")? "?(\w+)',
                            source.constraints))
    clock = next(pin for port, pin in found.items() if port.startswith("clk"))
    assert (clock, found["uart_0__rx__io"], found["uart_0__tx__io"]) == PINS[name]
    pins = pins_of(board)
    assert (pins.clk, pins.rx, pins.tx) == PINS[name]
    assert {pins.clk, pins.rx, pins.tx, pins.lamp} <= set(found.values())
    assert source.clock_hz == board.clock_hz
    assert source.clock_hz / board.baud >= 4
    assert "module board(" in source.verilog


@pytest.mark.parametrize("name", BOARDS)
def test_devices_are_those_of_the_platforms(name):
    board = BOARDS[name]
    platform = board.make_platform()
    if board.device.family == "gowin":
        assert platform.part in board.device.arguments
        assert platform.family in board.device.title
        return
    assert platform.device.lower() in board.device.title.lower().replace(" ", "")
    package = {"BG381": "CABGA381", "MG285": "CSFBGA285"}.get(platform.package, platform.package)
    assert package in board.device.title
    assert package.lower() in " ".join(board.device.arguments).lower()
    if board.device.family == "ecp5":
        assert board.device.arguments[-1] == platform.speed


def test_the_same_text_every_time():
    network, board = small_network(), find_board(DEFAULT)
    texts = {generate(network, board, AcceleratorSpec.for_network(network), 30e6, 1e6)
             for _ in range(2)}
    assert len(texts) == 1


def test_there_is_room_for_the_link():
    for board in BOARDS.values():
        assert board.room.resources.luts < board.resources.luts
        assert board.room.resources.block_rams < board.resources.block_rams
        assert board.room.name == board.device.name


@pytest.mark.parametrize(("name", "message"), [
    ("arty", "Board must be one of icebreaker, ice40-hx8k, .*, not 'arty'")])
def test_other_boards_are_refused(name, message):
    with pytest.raises(ValueError, match=message):
        find_board(name)


@pytest.mark.parametrize(("clock_hz", "baud", "message"), [
    (5e6, 1e6, "Clock must be from 16 to 275 MHz, or the oscillator's 12 MHz, not 5 MHz"),
    (24e6, 7e6, "Baud rate must be at most 6e"),
    (24e6, 5.1e6, "Baud rate must be within 2%")])
def test_impossible_clocks_are_refused(clock_hz, baud, message):
    network = small_network()
    with pytest.raises(ValueError, match=message):
        generate(network, find_board("icebreaker"), AcceleratorSpec.for_network(network), clock_hz,
                 baud)


@pytest.mark.parametrize("out_mhz", [16, 24, 30, 33.3, 48, 100])
def test_ice40_dividers_are_those_of_icepll(out_mhz, tmp_path):
    tools.run("icepll", ["-i", "12", "-o", str(out_mhz)], tmp_path, "log")
    text = (tmp_path / "log").read_text()
    found = {name: int(value) for name, value in re.findall(
        r"(DIVR|DIVF|DIVQ|FILTER_RANGE): +(\d+)", text)}
    pll = ice40_pll(12e6, out_mhz * 1e6)
    assert found == {"DIVR": pll.divr, "DIVF": pll.divf, "DIVQ": pll.divq,
                     "FILTER_RANGE": pll.filter_range}


@pytest.mark.parametrize(("in_mhz", "out_mhz"), [(25, 50), (25, 80), (48, 100), (25, 62.5)])
def test_ecp5_dividers_are_those_of_ecppll(in_mhz, out_mhz, tmp_path):
    tools.run("ecppll", ["-i", str(in_mhz), "-o", str(out_mhz), "-f", "pll.v"], tmp_path, "log")
    found = {name: int(value) for name, value in re.findall(
        r"\.(CLKI_DIV|CLKFB_DIV|CLKOP_DIV|CLKOP_CPHASE)\((\d+)\)",
        (tmp_path / "pll.v").read_text())}
    pll = ecp5_pll(in_mhz * 1e6, out_mhz * 1e6)
    assert found == {"CLKI_DIV": pll.input_divisor, "CLKFB_DIV": pll.feedback_divisor,
                     "CLKOP_DIV": pll.output_divisor, "CLKOP_CPHASE": pll.phase}


@pytest.mark.parametrize("out_mhz", [30, 36, 48, 54, 60.75])
def test_gowin_dividers_are_those_of_gowin_pll(out_mhz, tmp_path):
    tools.run("gowin_pll", ["-i", "27", "-o", str(out_mhz), "-d", "GW1NR-9 C6/I5", "-f", "pll.v"],
              tmp_path, "log")
    found = {name: int(value) for name, value in re.findall(
        r"\.(IDIV_SEL|FBDIV_SEL|ODIV_SEL)\((\d+)\)", (tmp_path / "pll.v").read_text())}
    pll = gowin_pll(27e6, out_mhz * 1e6)
    assert found == {"IDIV_SEL": pll.input_divisor - 1, "FBDIV_SEL": pll.feedback_divisor - 1,
                     "ODIV_SEL": pll.output_divisor}
    assert pll.out_hz == pytest.approx(out_mhz * 1e6, rel=0.01)


def test_the_reset_ends_when_the_clock_has_been_good_for_a_while():
    m = Module()
    m.domains.start = ClockDomain(reset_less=True)
    m.submodules.dut = dut = StartReset(5)

    async def bench(ctx):
        assert ctx.get(dut.reset)
        for _ in range(10):
            await ctx.tick("start")
            assert ctx.get(dut.reset)
        for expected_cycles in (8, 8):
            ctx.set(dut.locked, 1)
            waited = 0
            while ctx.get(dut.reset):
                await ctx.tick("start")
                waited += 1
            assert waited == expected_cycles
            ctx.set(dut.locked, 0)
            for _ in range(3):
                assert not ctx.get(dut.reset)
                await ctx.tick("start")
            assert ctx.get(dut.reset)

    simulator = Simulator(m)
    simulator.add_clock(1e-6, domain="start")
    simulator.add_testbench(bench)
    simulator.run()


def test_the_command_lists_them(capfd):
    with pytest.raises(SystemExit) as caught:
        cli.main(["boards", "--json"])
    assert caught.value.code == 0
    listed = {board["name"]: board for board in json.loads(capfd.readouterr().out)["boards"]}
    assert list(listed) == list(BOARDS)
    assert listed["icebreaker"]["spram"] == 4
    with pytest.raises(SystemExit):
        cli.main(["boards"])
    assert re.search(r"^icebreaker +Lattice iCE40UP5K, SG48 +5280 +30 +4 +24 MHz +1000000$",
                     capfd.readouterr().out, re.MULTILINE)
