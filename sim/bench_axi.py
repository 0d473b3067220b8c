"""Bench of the AXI ports: packets of any length, registers, resets, loading, and the protocol.

Traffic is cocotbext-axi's; what it would forgive is watched here.
"""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import ClockCycles, FallingEdge, RisingEdge, Timer
from cocotbext.axi import (
    AxiLiteBus,
    AxiLiteMaster,
    AxiResp,
    AxiStreamBus,
    AxiStreamFrame,
    AxiStreamSink,
    AxiStreamSource,
)

from sc_neurocore.axi_ports import ADDRESS_BITS, BROKEN, BY_NAME, COUNTERS, REGISTERS, RESULT
from sc_neurocore.cosim.simulation import job
from sc_neurocore.cosim.streams import HIGH, LOW, Stalls, scalar

CHANNELS = {"s_axis_t": ("data", "keep", "last"), "m_axis_t": ("data", "last"),
            "s_axi_aw": ("addr", "prot"), "s_axi_w": ("data", "strb"), "s_axi_b": ("resp",),
            "s_axi_ar": ("addr", "prot"), "s_axi_r": ("data", "resp")}
"""Of each channel the signals that must stand with valid until ready."""
FROM_DESIGN = ("m_axis_t", "s_axi_b", "s_axi_r")
STATUS = {name: 1 << bit for name, (bit, _) in BY_NAME["STATUS"].bits.items()}
CONTROL = {name: 1 << bit for name, (bit, _) in BY_NAME["CONTROL"].bits.items()}
BEHIND = sum(COUNTERS.values()) + 10
"""Cycles until a counter shows what has happened."""
LIMIT = {"timeout_time": 2, "timeout_unit": "ms"}
"""Several times as long as the longest of these tests takes."""
STALLS = {"none": 0.0, "random": 0.4, "ready last": None}
"""Probability of a stall on every channel; or no ready before its valid."""


class Channel:
    """What goes over one of the channels, each payload of which must stand until it is taken."""

    def __init__(self, design: Any, name: str):
        self._name = name
        self._valid, self._ready = (scalar(getattr(design, f"{name}{part}"))
                                    for part in ("valid", "ready"))
        self._payload = [getattr(design, name + signal) for signal in CHANNELS[name]]
        self.clear()

    def clear(self) -> None:
        """Forget it all: the design is in reset."""
        self.transfers, self.sending = 0, False
        self._waiting: list[int] | None = None

    def sample(self) -> None:
        """Look at it, once a cycle; a stream is ``sending`` while a packet has begun."""
        if self._valid.value == HIGH:
            payload = [int(signal.value) for signal in self._payload]
            assert self._waiting in (None, payload), f"{self._name}: changed while it waited"
            taken = self._ready.value == HIGH
            self._waiting = None if taken else payload
            self.transfers += taken
            self.sending = not payload[-1] if taken else self.sending
        else:
            assert self._waiting is None, f"{self._name}valid fell before {self._name}ready rose"


class Watch:
    """Looks at all channels in each cycle, and at what depends on an input."""

    def __init__(self, design: Any):
        self._design = design
        self._channels = {name: Channel(design, name) for name in CHANNELS}
        outputs = [f"{name}{'valid' if name in FROM_DESIGN else 'ready'}" for name in CHANNELS]
        outputs += [name + signal for name in FROM_DESIGN for signal in CHANNELS[name]]
        inputs = [f"{name}{'ready' if name in FROM_DESIGN else 'valid'}" for name in CHANNELS]
        inputs += [name + signal for name in CHANNELS if name not in FROM_DESIGN
                   for signal in CHANNELS[name]]
        self._outputs = [getattr(design, name) for name in outputs]
        self._inputs = [getattr(design, name) for name in inputs]

    @property
    def sending(self) -> bool:
        """Whether an image packet has begun."""
        return self._channels["s_axis_t"].sending

    async def run(self) -> None:
        channels = self._channels
        aw, w, b, ar, r = (channels[f"s_axi_{name}"] for name in ("aw", "w", "b", "ar", "r"))
        while True:
            await FallingEdge(self._design.aclk)
            if self._design.aresetn.value == LOW:
                for channel in channels.values():
                    channel.clear()
                continue
            for channel in channels.values():
                channel.sample()
            assert b.transfers <= min(aw.transfers, w.transfers), "early response"
            assert r.transfers <= ar.transfers, "data unasked for"
            if random.random() < 0.2:
                await self._no_paths()

    async def _no_paths(self) -> None:
        """Turn all inputs over for a part of the cycle: no output may see it."""
        before = [int(signal.value) for signal in self._outputs]
        driven = [int(signal.value) for signal in self._inputs]
        for signal, value in zip(self._inputs, driven, strict=True):
            signal.value = value ^ (1 << len(signal)) - 1
        await Timer(1, "ns")
        for signal, value in zip(self._outputs, before, strict=True):
            assert int(signal.value) == value, f"{signal._name} depends on an input"
        for signal, value in zip(self._inputs, driven, strict=True):
            signal.value = value

    def check_ends(self) -> None:
        """Everything that was asked is answered once."""
        aw, w, b, ar, r = (self._channels[f"s_axi_{name}"].transfers
                           for name in ("aw", "w", "b", "ar", "r"))
        assert aw == w == b
        assert ar == r


class Bench:
    """A design in reset, and all that is around it; ``watches`` if the protocol is to be kept."""

    def __init__(self, design: Any, stall: str = "none", *, watches: bool = True):
        self.design = design
        Clock(design.aclk, 10, unit="ns").start()
        design.aresetn.value = 0
        reset = {"reset": design.aresetn, "reset_active_level": False}
        self.source = AxiStreamSource(AxiStreamBus.from_prefix(design, "s_axis"), design.aclk,
                                      **reset)
        self.sink = AxiStreamSink(AxiStreamBus.from_prefix(design, "m_axis"), design.aclk, **reset)
        self.master = AxiLiteMaster(AxiLiteBus.from_prefix(design, "s_axi"), design.aclk, **reset)
        write, read = self.master.write_if, self.master.read_if
        senders = self.source, write.aw_channel, write.w_channel, read.ar_channel
        takers = {"m_axis_t": self.sink, "s_axi_b": write.b_channel, "s_axi_r": read.r_channel}
        probability = STALLS[stall]
        for endpoint in (*senders, *takers.values()):
            if probability:
                endpoint.set_pause_generator(pauses(probability))
        if probability is None:
            for name, endpoint in takers.items():
                endpoint.set_pause_generator(until(getattr(design, f"{name}valid")))
        for endpoint in (self.source, self.sink, self.master.write_if, self.master.read_if,
                         *senders, *takers.values()):
            endpoint.log.setLevel("WARNING")
        self.watch = Watch(design)
        if watches:
            cocotb.start_soon(self.watch.run())

    async def start(self) -> "Bench":
        """End the reset; parameters are loaded where they are not built in."""
        await self.cycles(4)
        assert not any(int(getattr(self.design, f"{name}valid").value) for name in FROM_DESIGN)
        self.design.aresetn.value = 1
        await self.cycles(2)
        assert all(int(getattr(self.design, f"{name}ready").value)
                   for name in ("s_axis_t", "s_axi_ar")), "a ready waits for its valid"
        if job()["load"]:
            await self.load(job()["load"])
        return self

    async def cycles(self, count: int) -> None:
        await ClockCycles(self.design.aclk, count)

    async def read(self, name: str) -> int:
        answer = await self.master.read(BY_NAME[name].offset, 4)
        assert answer.resp == AxiResp.OKAY, name
        return int.from_bytes(answer.data, "little")

    async def write(self, name: str, value: int) -> None:
        answer = await self.master.write(BY_NAME[name].offset, value.to_bytes(4, "little"))
        assert answer.resp == AxiResp.OKAY, name

    async def count(self, name: str) -> int:
        """A counter, low word first."""
        if COUNTERS[name] == 4:
            return await self.read(name.upper())
        low = await self.read(f"{name}_low".upper())
        return low | await self.read(f"{name}_high".upper()) << 32

    async def counts(self) -> dict[str, int]:
        await self.cycles(BEHIND)
        return {name: await self.count(name) for name in COUNTERS}

    async def load(self, words: list[list[int]]) -> None:
        following = None
        for address, word in words:
            if address != following:
                await self.write("LOAD_ADDRESS", address)
            await self.write("LOAD_DATA", word)
            following = address + 1
        assert await self.read("LOAD_ADDRESS") == following

    async def check(self, packets: list[dict[str, Any]]) -> None:
        """Send packets, and compare what comes back."""
        for packet in packets:
            self.source.send_nowait(AxiStreamFrame(bytes.fromhex(packet["bytes"])))
        for number, packet in enumerate(packets):
            compare(await self.received(), packet, f"packet {number}, {packet['kind']}")
        await self.quiet()

    async def received(self) -> np.ndarray:
        """Beats of the next result packet."""
        for _ in range(20_000):
            if not self.sink.empty():
                return np.frombuffer(bytes(self.sink.recv_nowait().tdata), RESULT)
            await RisingEdge(self.design.aclk)
        raise AssertionError("no result")

    async def quiet(self) -> None:
        """Nothing more comes, and nothing more is in there."""
        await self.cycles(100)
        assert self.sink.empty(), "a packet too many"
        assert not await self.read("STATUS") & STATUS["BUSY"]


def pauses(probability: float) -> Iterator[bool]:
    stalls = Stalls(probability)
    while True:
        yield stalls.pauses()


def until(valid: Any) -> Iterator[bool]:
    """Pause while there is nothing to take."""
    while True:
        yield not int(valid.value)


def compare(beats: np.ndarray, packet: dict[str, Any], where: str) -> None:
    assert len(beats) == len(packet["counts"]), f"{where}: {len(beats)} beats"
    flag = BROKEN * packet["broken"]
    for neuron, beat in enumerate(beats):
        want = packet["currents"][neuron], packet["counts"][neuron] | flag
        got = int(beat["current"]), int(beat["count"])
        assert got == want, f"{where}, neuron {neuron}: {got}, not {want}"
    assert beats[-1]["class"] == packet["predicted"], f"{where}: class {beats[-1]['class']}"


def whole(packets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [packet for packet in packets if not packet["broken"]]


@cocotb.test(**LIMIT)
@cocotb.parametrize(stall=list(STALLS))
async def packets_of_any_length_give_a_result_each(design: Any, stall: str) -> None:
    bench = await Bench(design, stall).start()
    packets = job()["packets"]
    asking = cocotb.start_soon(ask_again_and_again(bench))
    await bench.check(packets)
    asking.cancel()
    await bench.master.wait()
    kinds = Counter(packet["kind"] for packet in packets)
    assert (kinds["short"] and kinds["long"]) or len(packets) < 10
    counts = await bench.counts()
    assert counts["images"] == len(packets)
    assert (counts["short_packets"], counts["long_packets"]) == (kinds["short"], kinds["long"])
    both = STATUS["SHORT"] * bool(kinds["short"]) | STATUS["LONG"] * bool(kinds["long"])
    assert await bench.read("STATUS") == both
    for name in ("SHORT", "LONG") if stall == "none" else ("LONG", "SHORT"):
        await bench.write("STATUS", STATUS[name])
        both &= ~STATUS[name]
        assert await bench.read("STATUS") == both
    bench.watch.check_ends()


async def ask_again_and_again(bench: Bench) -> None:
    """Counters never go back while there is much to count."""
    before = await bench.counts()
    while True:
        after = await bench.counts()
        assert all(after[name] >= before[name] for name in COUNTERS)
        before = after


@cocotb.test(**LIMIT)
async def counters_are_those_of_the_golden_model(design: Any) -> None:
    bench = await Bench(design).start()
    names = ("cycles", "input_events", "hidden_events", "images")
    if job()["load"]:
        await bench.write("PARAMETERS", 2**32 - 1)      # to be seen if it gets into counters
    for packet in whole(job()["packets"])[:5]:
        before = await bench.counts()
        await bench.check([packet])
        after = await bench.counts()
        got = {name: after[name] - before[name] for name in names}
        assert got == {**packet["counters"], "images": 1}
    await bench.write("CONTROL", CONTROL["CLEAR"])
    assert not any((await bench.counts()).values())
    await bench.check(whole(job()["packets"])[:1])
    assert (await bench.counts())["images"] == 1


@cocotb.test(**LIMIT)
@cocotb.parametrize(stall=list(STALLS))
async def registers(design: Any, stall: str) -> None:
    bench = await Bench(design, stall).start()
    known, loads = job()["constants"], bool(job()["load"])
    there = {register.offset: register for register in REGISTERS if not register.only or (
        loads and register.only == "loaded")}
    for name, value in known.items():
        assert await bench.read(name) == value, name
    before = await bench.counts()
    offsets = [*range(0, 0x140, 4), *(1 << bit for bit in range(8, ADDRESS_BITS)),
               2**ADDRESS_BITS - 4][::job()["stride"] if stall == "random" else 1]
    writes = {"CONTROL", "STATUS"} | ({"PARAMETERS", "LOAD_ADDRESS", "LOAD_DATA"} if loads
                                      else set())
    for offset in offsets:
        answer = await bench.master.read(offset, 4)
        assert (answer.resp == AxiResp.OKAY) == (offset in there), hex(offset)
        assert answer.resp in (AxiResp.OKAY, AxiResp.SLVERR)
        if offset in there and there[offset].name in writes:
            continue
        answer = await bench.master.write(offset, b"\xff" * 4)
        assert answer.resp == AxiResp.SLVERR, hex(offset)
    for name, value in known.items():
        assert await bench.read(name) == value, f"{name} after a write"
    assert await bench.counts() == before
    if loads:
        await strobes(bench)
        await bench.write("LOAD_ADDRESS", 5)
        await bench.write("PARAMETERS", 0x89ABCDEF)
        assert await bench.read("PARAMETERS") == 0x89ABCDEF
        await bench.write("LOAD_DATA", 0)
        assert await bench.read("PARAMETERS") == 0
        assert await bench.read("LOAD_ADDRESS") == 6
    await several_at_once(bench)
    bench.watch.check_ends()


async def strobes(bench: Bench) -> None:
    """A write of a part of a word is an error, one of nothing is none; neither does anything."""
    offset = BY_NAME["LOAD_ADDRESS"].offset
    await bench.write("LOAD_ADDRESS", 3)
    for strobe in range(16):
        write = bench.master.write_if
        address, word = write.aw_channel._transaction_obj(), write.w_channel._transaction_obj()
        address.awaddr, address.awprot = offset, 0
        word.wdata, word.wstrb = 4, strobe
        await write.aw_channel.send(address)
        await write.w_channel.send(word)
        answer = await write.b_channel.recv()
        assert int(answer.bresp) == (AxiResp.OKAY if strobe in (0, 15) else AxiResp.SLVERR)
        assert await bench.read("LOAD_ADDRESS") == (4 if strobe == 15 else 3)


async def several_at_once(bench: Bench) -> None:
    """Reads and writes wait for each other's end, and are answered in order."""
    known = list(job()["constants"].items())
    reads, writes = [], []
    for index in range(20):
        name, value = known[index % len(known)]
        reads.append((cocotb.start_soon(bench.master.read(BY_NAME[name].offset, 4)), value))
        is_wrong = index % 3 == 0
        offset = 0x44 if is_wrong else BY_NAME["STATUS"].offset
        writes.append((cocotb.start_soon(bench.master.write(offset, bytes(4))), is_wrong))
    for task, value in reads:
        assert int.from_bytes((await task).data, "little") == value
    for task, is_wrong in writes:
        assert ((await task).resp == AxiResp.SLVERR) == is_wrong


@cocotb.test(**LIMIT)
@cocotb.parametrize(first=["address", "data"])
async def a_write_s_parts_come_in_any_order(design: Any, first: str) -> None:
    bench = await Bench(design).start()
    write = bench.master.write_if
    held = write.w_channel if first == "address" else write.aw_channel
    for value in (CONTROL["CLEAR"], 0):
        held.pause = True
        task = cocotb.start_soon(bench.write("CONTROL", value))
        await bench.cycles(30)
        assert not task.done()
        held.pause = False
        await task
    bench.watch.check_ends()


@cocotb.test(**LIMIT)
async def counters_go_beyond_their_low_word(design: Any) -> None:
    """And the high word is that of the moment when the low word was read."""
    bench = await Bench(design).start()
    packet = whole(job()["packets"])[0]
    start = dict.fromkeys(COUNTERS, 2 ** 32 - 1)
    for high in (0, 2**31, 2**32 - 1):
        start |= {name: high << 32 | 2**32 - 1 for name, size in COUNTERS.items() if size == 8}
        await preset(design, start)
        assert await bench.counts() == start
        assert await bench.count("cycles") == start["cycles"]
        await bench.check([packet])
        assert await bench.read("CYCLES_HIGH") == high
        want = {**start, "images": start["images"] + 1}
        want |= {name: start[name] + added for name, added in packet["counters"].items()}
        assert await bench.counts() == {name: want[name] % 2**(8 * size)
                                        for name, size in COUNTERS.items()}


async def preset(design: Any, values: dict[str, int]) -> None:
    """Set counters, of which the ring shows the byte of number ``place`` first."""
    content = b"".join(values[name].to_bytes(size, "little") for name, size in COUNTERS.items())
    ring = design.registers.counters
    await FallingEdge(design.aclk)
    place = int(ring.place.value)
    ring.ring.value = int.from_bytes(content[place:] + content[:place], "little")


@cocotb.test(**LIMIT)
async def a_restart_gives_up_what_is_under_way(design: Any) -> None:
    """Wherever it comes, packets that have begun are ended, and those after them are right."""
    bench = await Bench(design).start()
    packets = whole(job()["packets"])[:3]
    neurons, cut = len(packets[0]["counts"]), 0
    beats = job()["constants"]["PACKET_BEATS"]
    for attempt in range(job()["restarts"]):
        for packet in packets:
            bench.source.send_nowait(AxiStreamFrame(bytes.fromhex(packet["bytes"])))
        cuts_result, cuts_image = attempt % 3 == 0, attempt % 3 == 1 and beats > 3
        bench.sink.pause = cuts_result
        while cuts_result and not int(design.m_axis_tvalid.value):
            await bench.cycles(1)
        while cuts_image and not bench.watch.sending:
            await bench.cycles(1)
        bench.source.pause = cuts_image
        await bench.cycles(random.randrange(1, job()["busy_cycles"] if attempt % 3 == 2 else 30))
        assert bench.watch.sending or not cuts_image
        await bench.write("CONTROL", CONTROL["RESET"])
        await bench.cycles(random.randrange(1, 20))
        bench.source.pause = bench.sink.pause = False
        await bench.source.wait()
        while await bench.read("STATUS") & STATUS["BUSY"]:
            pass
        due = list(packets)
        while not bench.sink.empty():
            result = await bench.received()
            if result[-1]["count"] & BROKEN:
                assert len(result) <= neurons
                assert not any(result[:-1]["count"] & BROKEN)
                cut += 1
            else:
                while not is_of(result, due.pop(0)):
                    assert due, "a result of no image"
        await bench.check(packets[:1])
    assert cut >= job()["restarts"] // 3
    assert not await bench.read("STATUS")
    bench.watch.check_ends()


def is_of(beats: np.ndarray, packet: dict[str, Any]) -> bool:
    return (beats["current"].tolist() == packet["currents"]
            and beats["count"].tolist() == packet["counts"])


@cocotb.test(**LIMIT)
async def after_a_reset_everything_begins_anew(design: Any) -> None:
    bench = await Bench(design).start()
    packets = whole(job()["packets"])
    for attempt in range(6):
        for packet in job()["packets"][:4]:
            bench.source.send_nowait(AxiStreamFrame(bytes.fromhex(packet["bytes"])))
        bench.sink.pause = attempt % 2 == 0
        await bench.cycles(random.randrange(10, job()["busy_cycles"]))
        bench.design.aresetn.value = 0
        await bench.cycles(3)
        bench.source.clear()
        bench.sink.clear()
        bench.sink.pause = False
        bench.design.aresetn.value = 1
        await bench.cycles(1)
        assert not any((await bench.counts()).values())
        assert await bench.read("STATUS") == 0
        await bench.check(packets[:2])
    bench.watch.check_ends()


@cocotb.test(**LIMIT, skip=not job()["other"])
async def other_parameters_are_loaded(design: Any) -> None:
    bench = await Bench(design).start()
    await bench.check(whole(job()["packets"])[:3])
    other = job()["other"]
    bench.source.send_nowait(AxiStreamFrame(bytes.fromhex(job()["packets"][0]["bytes"])))
    while not await bench.read("STATUS") & STATUS["BUSY"]:
        pass
    bench.sink.pause = True
    await bench.write("PARAMETERS", 1)
    for address, word in other["load"][:3]:
        await bench.write("LOAD_ADDRESS", address)
        await bench.write("LOAD_DATA", word ^ 0xFFFF)
        assert await bench.read("LOAD_ADDRESS") == address
    assert await bench.read("PARAMETERS") == 1
    assert await bench.read("STATUS") & STATUS["REFUSED"]
    bench.sink.pause = False
    compare(await bench.received(), job()["packets"][0], "the image meanwhile")
    await bench.write("STATUS", STATUS["REFUSED"])
    await bench.check(whole(job()["packets"])[:2])
    await bench.load(other["load"])
    assert await bench.read("PARAMETERS") == 0
    await bench.check(other["packets"])
    assert not await bench.read("STATUS") & STATUS["REFUSED"]
    bench.watch.check_ends()
