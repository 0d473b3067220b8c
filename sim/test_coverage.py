"""What a simulation does not reach is found, in the lines of the gateware."""

from pathlib import Path

import pytest
from amaranth import Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from campaigns import covering, gateware_points, reasons
from campaigns.coverage import table


class Planted(wiring.Component):
    """Counts in a number of three bits, which its bench leaves at 3."""

    def __init__(self):
        super().__init__({"go": In(1), "count": Out(3)})

    def elaborate(self, platform):
        m = Module()
        full = Signal()
        lanes = [Signal(name=f"lane_{lane}") for lane in range(2)]
        m.d.sync += lanes[1].eq(Mux(full, 0, self.count[0]))
        m.d.comb += lanes[0].eq(0)
        with m.If(self.go):
            m.d.sync += self.count.eq(self.count + 1)
        with m.Elif(self.count == 6):
            m.d.comb += full.eq(1)
        with m.Switch(self.count):
            with m.Case(2):
                m.d.sync += lanes[1].eq(1)
            with m.Case(5):
                m.d.sync += lanes[1].eq(0)
        return m


UNREACHED = {
    "full[0] rises", "full[0] falls", "count[1] falls", "count[2] rises", "count[2] falls",
    "lane_#[0] falls",
    "m.d.sync += lanes[1].eq(Mux(full, 0, self.count[0])): first value",
    "with m.Elif(self.count == 6):: taken", "with m.Case(5):: taken"}


def test_what_is_not_reached_is_found(tmp_path, simulate, monkeypatch):
    for owner, name in covering.CHANGED:
        monkeypatch.setattr(owner, name, getattr(owner, name))
    covering.begin(tmp_path / "counts")
    simulate(Planted(), "bench_coverage")
    points = gateware_points.points(tmp_path / "counts", Path(__file__).parent)
    assert {point.what for point, reached in points.items() if not reached} == UNREACHED
    assert {"count[0] falls", "lane_#[0] rises", "with m.Case(2):: taken"} <= {
        point.what for point, reached in points.items() if reached}
    assert "`gateware/test_coverage.py` | 5 of 8 | 6 of 12 |" in table(points, [])


MISSED = [reasons.Missed("gateware/uart.py", "count[2] rises", 0),
          reasons.Missed("host/line.py", "raise", 7)]


def test_each_reason_is_needed_and_each_point_has_one(tmp_path):
    file = tmp_path / "unreached.toml"
    file.write_text('[[unreached]]\nwhere = "gateware/"\nwhat = ["/count.*/", "other"]\n'
                    'reason = "Too slow."\n')
    judged = reasons.judge(MISSED, reasons.explanations(file))
    assert not judged.holds
    assert judged.unexplained == [MISSED[1]]
    assert [why.what for why in judged.needless] == ["other"]
    assert reasons.judge(MISSED[:1], reasons.explanations(file)[:1]).holds


def test_reasons_are_of_machines_with_a_program_or_without(tmp_path):
    file = tmp_path / "unreached.toml"
    file.write_text("".join(
        f'[[unreached]]\nwhere = "stages.py"\nwhat = "{key} {program}"\nreason = "-"\n'
        f'{key} = "{program}"\n' for program in ("sh", "no-such-program")
        for key in ("with", "without")))
    assert [why.what for why in reasons.explanations(file)] == ["with sh",
                                                                "without no-such-program"]


def test_a_reason_must_say_of_what(tmp_path):
    file = tmp_path / "unreached.toml"
    file.write_text('[[unreached]]\nwhere = "gateware/"\nreason = "Too slow."\n')
    with pytest.raises(ValueError, match="entry 1 must have where, what and reason"):
        reasons.explanations(file)
