"""The bench of the AXI ports can fail: each of these faults in the gateware is caught by it."""

import pytest
from test_axi import CASES, TOP, parameters, run_bench
from test_mutations import Mutation, mutated_verilog

from sc_neurocore.cosim.simulation import SimulationError

STREAM, LITE, REGISTERS, TOP_FILE = ("axi_stream.py", "axi_lite.py", "axi_registers.py",
                                     "axi_top.py")
MUTATIONS = {
    "a short packet is not filled up": Mutation(STREAM, 'm.next = "PAD"', 'm.next = "PASS"'),
    "a short packet is filled up with what is on the line": Mutation(
        STREAM, "Mux(pads, 0, self.tdata)", "self.tdata"),
    "the rest of a long packet is an image": Mutation(
        STREAM, "with m.If(self.is_long):", "with m.If(0):"),
    "missing bytes are not missed": Mutation(
        STREAM, "is_whole = self.tkeep[:self._last_bytes].all()", "is_whole = Const(1)"),
    "the flag of another image": Mutation(
        STREAM, "flags.bit_select((level - 1)[:(IN_FLIGHT - 1).bit_length()], 1)", "flags[0]"),
    "no end of a packet": Mutation(STREAM, "self.tlast.eq(closes | cut)", "self.tlast.eq(cut)"),
    "an offer changes while it waits": Mutation(
        STREAM, "advance.eq(~self.tvalid | self.tready)", "advance.eq(1)"),
    "a packet is cut without an end": Mutation(
        STREAM, "cut.eq((cut & ~advance) | (place != 0))", "cut.eq(0)"),
    "the rest of a packet is an image after a restart": Mutation(
        STREAM, "with m.If(self.restart & self.begun):", "with m.If(0):"),
    "ready waits for valid": Mutation(
        STREAM, "self.tready.eq(may_go & self.transfers.ready)",
        "self.tready.eq(may_go & self.transfers.ready & self.tvalid)"),
    "a beat is lost while nobody is ready": Mutation(
        STREAM, "self.tvalid.eq(adds | cut)", "self.tvalid.eq((adds | cut) & self.tready)"),
    "a response falls before it is taken": Mutation(
        LITE, "with m.If(self.bready):", "with m.If(1):"),
    "an address does not wait for its data": Mutation(
        LITE, "takes.eq(self.awvalid & self.wvalid &", "takes.eq(self.awvalid &"),
    "a write does not wait for the response before it": Mutation(
        LITE, "& ~takes & ~self.bvalid)", "& ~takes)"),
    "a write is taken twice": Mutation(
        LITE, "& ~takes & ~self.bvalid)", "& ~self.bvalid)"),
    "data of reads falls before it is taken": Mutation(
        LITE, "with m.If(self.rvalid & self.rready):", "with m.If(self.rvalid):"),
    "unknown addresses can be read": Mutation(
        LITE, "Mux(self.read_error, Response.SLVERR, Response.OKAY)", "Response.OKAY"),
    "a part of a word is written": Mutation(
        LITE, "executes & strobes.all() & ~self.write_error", "executes & ~self.write_error",
        "loaded"),
    "a counter begins with its second byte": Mutation(
        REGISTERS, "Cat(Const(0, 2), number", "Cat(Const(1, 2), number"),
    "a high word is that of now": Mutation(
        REGISTERS, "with m.If(takes):", "with m.If(1):"),
    "status bits fall together": Mutation(
        REGISTERS, "status[name] & ~bus.write_data[bit]", "status[name] & ~bus.write_data[1]"),
    "a word is loaded while an image is in": Mutation(
        REGISTERS, "with m.If(bus.write & self.busy):", "with m.If(0):", "loaded"),
    "parameters that change keep their CRC": Mutation(
        REGISTERS, "[address.eq(address + 1), parameters.eq(0)]", "address.eq(address + 1)",
        "loaded"),
    "all words go to one address": Mutation(
        REGISTERS, "[address.eq(address + 1), parameters.eq(0)]", "parameters.eq(0)", "loaded"),
    "a restart does not reach the accelerator": Mutation(
        TOP_FILE, "~self.aresetn | restart", "~self.aresetn"),
    "a reset reaches nothing else": Mutation(
        TOP_FILE, 'ResetSignal("sync").eq(~self.aresetn)', 'ResetSignal("sync").eq(0)'),
}

GENERATE = """
import sys
sys.path[:0] = [{package!r}, {here!r}]
from sc_neurocore import verilog
from sc_neurocore.gateware.axi_top import AxiTop
from test_axi import CASES
assert verilog.__file__.startswith({package!r})
open({output!r}, "w").write(verilog.component_text(AxiTop(*CASES[{case!r}]), {top!r}))
"""


@pytest.mark.slow
@pytest.mark.planted
@pytest.mark.parametrize("name", MUTATIONS)
def test_fault_is_caught(name, tmp_path, cache, monkeypatch):
    monkeypatch.setenv("COCOTB_MAX_FAILURES", "1")
    mutation = MUTATIONS[name]
    case = mutation.spec if mutation.spec in CASES else "padded"
    text = mutated_verilog(mutation, tmp_path, GENERATE, case=case, top=TOP)
    with pytest.raises(SimulationError, match="tests failed"):
        run_bench(text, parameters(*CASES[case]), tmp_path, cache)
