"""What the harnesses share: proofs, streams from and to an environment, and a look inside."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from amaranth.asserts import AnySeq
from amaranth.back import rtlil
from amaranth.hdl import (
    Assert,
    Assume,
    ClockDomain,
    Const,
    Elaboratable,
    Module,
    Mux,
    Signal,
    Value,
)
from amaranth.lib import wiring
from amaranth.lib.memory import Memory
from test_mutations import Mutation

REFUTING: Mutation | None = None
"""The fault that is planted, if a counterexample is looked for."""
PORTS: Counter[str] = Counter()
"""Ports of memories in the last harness: those whose addresses are asserted to be in range, and
those whose addresses are below the depth whatever their value."""


@dataclass(frozen=True)
class Proof:
    """A property of a module of the gateware, how it is proved, and faults that refute it.

    ``harness`` returns the module whose assertions are proved: by induction over ``depth`` cycles,
    or, if ``bound`` says why so many are enough, at the end of all runs of ``depth`` cycles.
    Registers of the component ``anywhere`` begin with any values that the assumptions allow.
    Each fault has to show within ``horizon`` cycles, or, of a bounded proof, in as many; in so many
    as ``further`` after that, what else it violates is looked for. An assertion that no fault
    violates needs a reason in ``excused``, by what stands in the line where it is made.
    """

    module: str
    property: str
    harness: Callable[[], Module]
    faults: tuple[Mutation, ...]
    depth: int = 1
    bound: str = ""
    anywhere: str = ""
    horizon: int = 40
    further: int = 4
    solver: str = "yices"
    excused: Mapping[str, str] = field(default_factory=dict)


class Channel(NamedTuple):
    """A stream whose signals have other names, such as AXI's."""

    payload: Value
    valid: Value
    ready: Value


def inside(component: Elaboratable) -> Module:
    """What a component elaborates to; the component will be just this, so it can be looked at."""
    module = component.elaborate(None)
    module._flush()      # statements of its last block are not yet among its own
    component.elaborate = lambda platform: module
    return module


def signal(module: Module, name: str, number: int = 0) -> Signal:
    """The signal that a module drives under this name; of several, the one driven so early."""
    found = [driven for driven in module._driving if driven.name == name]
    assert found, f"no signal {name}"
    return found[number]


def is_in(module: Module, state: str) -> Value:
    """Whether the module's FSM is in a state."""
    fsm = module._generated["fsm"]
    return fsm.state == fsm.encoding[state]


def submodule(module: Module, name: str) -> Elaboratable:
    """A named submodule."""
    return module._named_submodules[name][0]


def holds(m: Module, held: Memory, row: Value) -> Value:
    """What a memory holds in a row, now."""
    port = held.read_port(domain="comb")
    m.d.comb += port.addr.eq(row)
    return Value.cast(port.data)


def memories(component: Elaboratable, path: str = "") -> Iterator[tuple[str, Memory]]:
    """Memories inside a component, and their places in it."""
    for name, (part, _) in inside(component)._named_submodules.items():
        if isinstance(part, Memory):
            yield f"{path}{name}", part
        elif isinstance(part, wiring.Component):
            yield from memories(part, f"{path}{name}.")


def in_range(m: Module, component: Elaboratable, matters: Mapping[str, Value] | None = None):
    """Assert of all memories inside a component that a port which is enabled has an address below
    the depth; of a memory, or a port by its number, that ``matters`` names, only while what is read
    can matter.

    An address whose values are all below the depth is in range by construction: nothing is
    asserted. To be called before `holds` is, whose ports are none of the component's.
    """
    for place, held in memories(component):
        for number, port in enumerate((*held.read_ports, *held.write_ports)):
            fills = 1 << len(port.addr) == held.depth
            PORTS["filled" if fills else "asserted"] += 1
            if not fills:
                known = matters or {}
                can_matter = known.get(f"{place}.{number}", known.get(place, Const(1)))
                used = Value.cast(port.en).any() & can_matter
                m.d.comb += Assert(~used | (port.addr < held.depth), src_loc_at=1)


def helps(m: Module, *conditions: Value):
    """Assert what induction needs, but nobody outside. Not in a search for a counterexample, which
    is to violate the property itself."""
    if not REFUTING:
        for condition in conditions:
            m.d.comb += Assert(condition, src_loc_at=1)


def new() -> Module:
    """A harness to be filled; the clock is all that comes from outside, and nothing resets it."""
    m = Module()
    m.domains.sync = ClockDomain(reset_less=True)
    return m


def offers(m: Module, stream, name: str) -> Signal:
    """Let the environment offer anything at any time, but keep an offer until it is taken; return
    whether there is one from the cycle before."""
    payload = Value.cast(stream.payload)
    m.d.comb += [payload.eq(AnySeq(len(payload))), stream.valid.eq(AnySeq(1))]
    waited, before = past(m, stream.valid & ~stream.ready, name), past(m, payload, name)
    m.d.comb += Assume(~waited | (stream.valid & (payload == before)))
    return waited


def takes(m: Module, stream, name: str):
    """Let the environment take what a component offers, whenever it likes; the offer must stand."""
    m.d.comb += stream.ready.eq(AnySeq(1))
    stands(m, stream, name, src_loc_at=1)


def stands(m: Module, stream, name: str, *, src_loc_at: int = 0):
    """Assert that an offer stands until it is taken."""
    payload = Value.cast(stream.payload)
    waited, before = past(m, stream.valid & ~stream.ready, name), past(m, payload, name)
    m.d.comb += Assert(~waited | (stream.valid & (payload == before)), src_loc_at=1 + src_loc_at)


def is_taken(stream) -> Value:
    """Whether there is a transfer."""
    return stream.valid & stream.ready


def past(m: Module, value: Value, name: str, init: int = 0) -> Signal:
    """The value a cycle ago; ``init`` in the first cycle."""
    later = Signal.like(Value.cast(value), name=f"past_{name}", init=init)
    m.d.sync += later.eq(value)
    return later


def text(proof: Proof) -> str:
    """A proof's harness as RTLIL; its clock is the only port."""
    PORTS.clear()
    m = proof.harness()
    written = rtlil.convert(m, name="top", ports=[m._domains["sync"].clk])
    return begin_anywhere(written, proof.anywhere) if proof.anywhere else written


INITIAL_VALUE = re.compile(r"^  attribute \\init .*\n", re.MULTILINE)
ZEROS = re.compile(r"^  cell \$meminit_v2 (?:(?!^  end).)*?\\DATA \d+'0+\n.*?^  end\n",
                   re.MULTILINE | re.DOTALL)


def begin_anywhere(written: str, component: str) -> str:
    """Let registers of a component, and memories that are not filled, begin with anything."""
    parts = re.split(r"(?m)^(?=module )", written)
    return "".join(ZEROS.sub("", INITIAL_VALUE.sub("", part))
                   if part.startswith(f"module \\top.{component}") else part for part in parts)


def waits(m: Module, condition: Value, most: int) -> Signal:
    """Assert that a condition holds for at most so many cycles on end; return for how many it has
    held before this one."""
    cycles = Signal(range(most + 2))
    m.d.sync += cycles.eq(Mux(condition, cycles + (cycles <= most), 0))
    m.d.comb += Assert(~condition | (cycles < most), src_loc_at=1)
    return cycles
