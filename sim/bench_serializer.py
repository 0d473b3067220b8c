"""Bench of `gateware.serializer`: each spike becomes an event, in order, in its timestep."""

import random
from typing import Any

import cocotb
from common import exchange

from sc_neurocore.cosim.simulation import job
from sc_neurocore.spec import GROUP


def model(words: list[tuple[int, bool, int]], lanes: int, address_width: int) -> list[int]:
    """Payloads of the events: address, whether there is a spike, whether the timestep ends."""
    events = []
    for spikes, last, base in words:
        found = [lane for lane in range(lanes) if spikes >> lane & 1]
        for lane in found:
            closes = last and lane == found[-1]
            events.append(base + lane | 1 << address_width | closes << address_width + 1)
        if not found:
            events.append(last << address_width + 1)
    return events


@cocotb.test()
@cocotb.parametrize(density=[0.0, 0.06, 0.3, 1.0], stall=[0.0, 0.5])
async def each_spike_becomes_an_event(design: Any, density: float, stall: float) -> None:
    n_neurons, lanes = job()["n_neurons"], job()["lanes"]
    words = []
    for _ in range(8):
        for start in range(0, n_neurons, lanes):
            spikes = sum((random.random() < density) << lane
                         for lane in range(min(lanes, n_neurons - start)))
            words.append((spikes, start + lanes >= n_neurons, start))
    width = max(1, (n_neurons - 1).bit_length())
    want = model(words, lanes, width)
    sink = await exchange(design, "words", [spikes | last << lanes | base << lanes + 1
                                            for spikes, last, base in words],
                          "events", want, stall=stall,
                          relevant=lambda event: event if event >> width & 1
                          else event & 1 << width + 1)
    if not stall and lanes <= GROUP:
        assert sink.cycles == list(range(1, 1 + len(want))), "an event a cycle, after one cycle"
    if not stall and lanes > GROUP:
        # Between words a cycle goes by to see which of its groups have spikes.
        per_word = [max(1, spikes.bit_count()) for spikes, _, _ in words]
        assert sink.cycles[0] == 2
        assert sink.cycles[-1] <= 1 + sum(per_word) + 2 * len(words)
        assert (sink.cycles[per_word[0] - 1]) == 1 + per_word[0], "an event a cycle"
