"""Bench of `gateware.serializer`: each spike becomes an event, in order, in its timestep."""

import random
from typing import Any

import cocotb
from common import exchange

from sc_neurocore.cosim.simulation import job
from sc_neurocore.spec import GROUP


def model(words: list[tuple[int, bool, int]], lanes: int, ports: int, address_width: int
          ) -> list[list[int]]:
    """Payloads of the events of each word: address, whether there is a spike, whether the timestep
    ends; with two ports, a second address, and whether there is a spike."""
    group = GROUP * ports
    events = []
    for spikes, last, base in words:
        found = [[base + lane for lane in range(start, min(start + group, lanes))
                  if spikes >> lane & 1] for start in range(0, lanes, group)]
        shares = [addresses[first:first + ports] for addresses in found
                  for first in range(0, len(addresses), ports)] or [[]]
        of_word = []
        for share in shares:
            fields = [address | 1 << address_width for address in share]
            fields += [0] * (ports - len(fields))
            closes = last and share is shares[-1]
            of_word.append(fields[0] | closes << address_width + 1
                           | sum(field << address_width + 2 for field in fields[1:]))
        events.append(of_word)
    return events


def relevant(event: int, width: int) -> int:
    """An event without the addresses of what is not there."""
    for low in (0, width + 2):
        if not event >> low + width & 1:
            event &= ~((1 << width) - 1 << low)
    return event


@cocotb.test()
@cocotb.parametrize(density=[0.0, 0.06, 0.3, 1.0], stall=[0.0, 0.5])
async def each_spike_becomes_an_event(design: Any, density: float, stall: float) -> None:
    n_neurons, lanes, ports = job()["n_neurons"], job()["lanes"], job()["ports"]
    words = []
    for _ in range(8):
        for start in range(0, n_neurons, lanes):
            spikes = sum((random.random() < density) << lane
                         for lane in range(min(lanes, n_neurons - start)))
            words.append((spikes, start + lanes >= n_neurons, start))
    width = max(1, (n_neurons - 1).bit_length())
    by_word = model(words, lanes, ports, width)
    want = [event for events in by_word for event in events]
    sink = await exchange(design, "words", [spikes | last << lanes | base << lanes + 1
                                            for spikes, last, base in words],
                          "events", want, stall=stall,
                          relevant=lambda event: relevant(event, width))
    if not stall and lanes <= GROUP * ports:
        assert sink.cycles == list(range(1, 1 + len(want))), "an event a cycle, after one cycle"
    if not stall and lanes > GROUP * ports:
        # Between words a cycle goes by to see which of its groups have spikes.
        per_word = [len(events) for events in by_word]
        assert sink.cycles[0] == 2
        assert sink.cycles[-1] <= 1 + sum(per_word) + 2 * len(words)
        assert (sink.cycles[per_word[0] - 1]) == 1 + per_word[0], "an event a cycle"
