"""The link's benches can fail: each of these faults in the gateware is caught by one of them."""

from pathlib import Path

import pytest
from test_link import LOADED
from test_mutations import Mutation, mutated_verilog

from sc_neurocore.cosim import simulation
from sc_neurocore.cosim.simulation import SimulationError

BENCHES = {
    "receiver": ("bench_uart", "uart.UartReceiver(8)", {"part": "receiver", "divisor": 8}),
    "transmitter": ("bench_uart", "uart.UartTransmitter(8)", {"part": "transmitter", "divisor": 8}),
    "deframer": ("bench_framing", "framing.FrameReceiver()", {"part": "receiver"}),
    "framer": ("bench_framing", "framing.FrameTransmitter()", {"part": "transmitter"}),
    "buffer": ("bench_frame_buffer", "frame_buffer.FrameBuffer(64)", {"depth": 64}),
    "link": ("bench_link", "test_link.LoadedMemory()", LOADED),
}

MUTATIONS = {
    "bits are sampled at their edge": ("receiver", Mutation(
        "uart.py", "wait.eq(self._divisor // 2 - 1)", "wait.eq(self._divisor - 1)")),
    "a missing stop bit is not told": ("receiver", Mutation(
        "uart.py", "error.eq(lost | ~line)", "error.eq(lost)")),
    "a lost byte is not told": ("receiver", Mutation(
        "uart.py", "error.eq(lost | ~line)", "error.eq(~line)")),
    "noise is taken for a start bit": ("receiver", Mutation(
        "uart.py", "m.d.sync += busy.eq(~line)", "m.d.sync += busy.eq(1)")),
    "no stop bit": ("transmitter", Mutation("uart.py", "left.eq(9)", "left.eq(8)")),
    "a wrong coefficient of the CRC": ("deframer", Mutation(
        "framing.py", "Mux(feedback, CRC_POLYNOMIAL, 0)", "Mux(feedback, CRC_POLYNOMIAL ^ 2, 0)")),
    "a byte without a stop bit is good": ("deframer", Mutation(
        "framing.py", "(broken | byte.error)", "broken")),
    "a frame that ends in an escape is good": ("deframer", Mutation(
        "framing.py", "~escaped & ~broken", "~broken")),
    "the CRC goes on through the flag": ("deframer", Mutation(
        "framing.py", "crc.clear.eq(valid & is_flag)", "crc.clear.eq(valid & is_flag & ~begun)")),
    "an escape within the CRC is forgotten": ("framer", Mutation(
        "framing.py", "m.d.sync += escaping.eq(special & ~escaping)",
        "m.d.sync += escaping.eq(special & ~escaping & ~in_crc)")),
    "what overflows overwrites": ("buffer", Mutation(
        "frame_buffer.py", "write.en.eq(self.write & ~full)", "write.en.eq(self.write)")),
    "the CRC is kept": ("buffer", Mutation(
        "frame_buffer.py", "kept.eq(tail - CRC_BYTES)", "kept.eq(tail)")),
    "what is given up stays": ("buffer", Mutation(
        "frame_buffer.py", "[tail.eq(kept), self.overflow", "[self.overflow")),
    "broken frames are executed": ("link", Mutation(
        "link.py", "with m.If(ends & ~good):", "with m.If(0):")),
    "a frame without room for its header is executed": ("link", Mutation(
        "link.py", "good.eq(receiver.good & (buffer.length >= CRC_BYTES))",
        "good.eq(receiver.good)")),
    "a command that comes again is executed again": ("link", Mutation(
        "link.py", "known.is_retry.eq((before != 0) & (before <= retained))",
        "known.is_retry.eq(0)")),
    "an answer is given of what was never executed": ("link", Mutation(
        "link.py", "(before <= retained)", "(before <= self._format.slots)")),
    "the next image's number is not checked": ("link", Mutation(
        "link.py", "known.is_next.eq(before == 0)", "known.is_next.eq(1)")),
    "an image of any length is taken": ("link", Mutation(
        "link.py", "known.is_image.eq(buffer.length == image)", "known.is_image.eq(1)")),
    "an overlong frame is taken": ("link", Mutation(
        "link.py", "known.is_idle & ~known.is_empty & ~buffer.overflow",
        "known.is_idle & ~known.is_empty")),
    "bytes of images are counted wrong": ("link", Mutation(
        "link.py", "Mux(kept, size, -size)", "Mux(kept, size, -size + 1)")),
    "results that were not sent are skipped": ("link", Mutation(
        "link.py", "answers.again.eq(~known.is_due)", "answers.again.eq(1)")),
    "half a word is loaded": ("link", Mutation(
        "link.py", "(buffer.length > load) & ~buffer.length[0]", "buffer.length > load")),
    "an answer is lost while another one is sent": ("link", Mutation(
        "answers.py", "number.eq(self.answered), self.answered.eq(self.answered + 1)",
        "number.eq(self.answered), self.answered.eq(self.done)")),
    "results of another image": ("link", Mutation(
        "answers.py", "read.addr.eq(Cat(neuron[:neurons], number[:slots]))",
        "read.addr.eq(Cat(neuron[:neurons], self.done[:slots]))")),
    "words go to the address before": ("link", Mutation(
        "contents.py", "load.payload.address.eq(address)", "load.payload.address.eq(address - 1)")),
    "a counter misses its carry": ("link", Mutation(
        "counters.py", "carry.eq(total[8:])", "carry.eq(0)")),
}

GENERATE = """
import sys
sys.path[:0] = [{package!r}, {here!r}]
from sc_neurocore import verilog
from sc_neurocore.gateware import frame_buffer, framing, uart
import test_link
assert verilog.__file__.startswith({package!r})
open({output!r}, "w").write(verilog.component_text({component}, {top!r}))
"""


@pytest.mark.slow
@pytest.mark.planted
@pytest.mark.parametrize("name", MUTATIONS)
def test_fault_is_caught(name, tmp_path, cache, monkeypatch):
    monkeypatch.setenv("COCOTB_MAX_FAILURES", "1")
    which, mutation = MUTATIONS[name]
    bench, component, parameters = BENCHES[which]
    top = bench.removeprefix("bench_")
    text = mutated_verilog(mutation, tmp_path, GENERATE, component=component, top=top)
    compiled = simulation.compile_verilog(text, top, cache)
    with pytest.raises(SimulationError, match="tests failed"):
        simulation.run(compiled, top, bench, parameters, tmp_path,
                       python_path=[Path(__file__).parent])
