"""Stream source, sink and monitor for cocotb, run by one loop over clock cycles.

Everything happens once a cycle, in its second half: inputs change at the falling edge, and when all
signals have settled, what will be transferred at the next rising edge is recorded. One loop for all
parts is several times as fast as a coroutine for each.
"""

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from cocotb.clock import Clock
from cocotb.handle import LogicObject
from cocotb.triggers import FallingEdge, ReadOnly
from cocotb.types import Logic

from .simulation import LONGEST_STALL

LOW, HIGH = Logic(0), Logic(1)
"""To compare values of what is `scalar` with: a number would be made a `Logic` each time."""


def scalar(signal: Any) -> Any:
    """The signal, whose values are `Logic`.

    Raises
    ------
    TypeError
        If it is a vector: even of one bit, its values would equal neither `LOW` nor `HIGH`.
    """
    if not isinstance(signal, LogicObject):
        raise TypeError(f"{signal._path} must be a scalar, not a {type(signal).__name__}")
    return signal


class Part(Protocol):
    """What takes part in the loop over cycles."""

    def drive(self) -> None:
        """Set inputs of the design for this cycle."""

    def sample(self, cycle: int) -> None:
        """Look at the design's signals, all settled."""


class Stalls:
    """Decides, cycle after cycle, whether a stream pauses: now and then for long.

    ``probability`` is that of a stall to begin in a cycle; 0 never pauses.
    """

    def __init__(self, probability: float):
        self._probability, self._left = probability, 0

    def pauses(self) -> bool:
        """Whether it does in this cycle."""
        if self._left == 0 and random.random() < self._probability:
            self._left = random.randrange(LONGEST_STALL) if random.random() < 0.02 else 1
        pausing = self._left > 0
        self._left -= pausing
        return pausing


class Input:
    """An input of the design, written only when it changes: writes take much of the time."""

    def __init__(self, signal: Any):
        self._signal, self._value = signal, None

    def set(self, value: Any) -> None:
        """Write it, unless it was the last one."""
        if value != self._value:
            self._signal.value = self._value = value


class Source:
    """Sends items over a stream, pausing as `Stalls` does before each.

    ``cycles`` holds the cycle of each transfer; while it is ``blocked`` it begins no offer.
    """

    def __init__(self, design: Any, name: str, items: Iterable[int], stall: float = 0.0):
        self._payload, valid, self._ready = _stream(design, name)
        self._valid = Input(valid)
        self._items, self._stalls = list(items), Stalls(stall)
        self._offered = self.blocked = False
        self.cycles: list[int] = []

    @property
    def done(self) -> bool:
        """Whether every item was transferred."""
        return len(self.cycles) == len(self._items)

    def drive(self) -> None:  # noqa: D102
        if not (self._offered or self.done or self.blocked or self._stalls.pauses()):
            self._offered = True
            self._payload.value = self._items[len(self.cycles)]
        self._valid.set(self._offered)

    def sample(self, cycle: int) -> None:  # noqa: D102
        if self._offered and self._ready.value == HIGH:
            self.cycles.append(cycle)
            self._offered = False


class Sink:
    """Takes items from a stream, pausing as `Stalls` does, and checks its contract.

    An offer must stand, unchanged, until it is taken. ``items`` and ``cycles`` hold what was
    transferred, and when; while it is ``blocked`` it takes nothing.
    """

    def __init__(self, design: Any, name: str, stall: float = 0.0):
        self._name = name
        self._payload, self._valid, ready = _stream(design, name)
        self._ready, self._stalls, self._takes = Input(ready), Stalls(stall), False
        self.blocked = False
        self._waiting: int | None = None
        self.items: list[int] = []
        self.cycles: list[int] = []

    def drive(self) -> None:  # noqa: D102
        self._takes = not self._stalls.pauses() and not self.blocked
        self._ready.set(self._takes)

    def sample(self, cycle: int) -> None:  # noqa: D102
        offered = int(self._payload.value) if self._valid.value == HIGH else None
        if self._waiting is not None and offered != self._waiting:
            raise AssertionError(f"cycle {cycle}: {self._name} offered {self._waiting}, which was "
                                 f"not taken, and now offers {offered}")
        self._waiting = None if self._takes else offered
        if self._takes and offered is not None:
            self.items.append(offered)
            self.cycles.append(cycle)


class Monitor:
    """Records ports while a valid signal is set, as tuples of unsigned integers."""

    def __init__(self, valid: Any, ports: Sequence[Any]):
        self._valid, self._ports = scalar(valid), list(ports)
        self.records: list[tuple[int, ...]] = []
        self.cycles: list[int] = []

    def drive(self) -> None:  # noqa: D102
        pass

    def sample(self, cycle: int) -> None:  # noqa: D102
        if self._valid.value == HIGH:
            self.records.append(tuple(int(port.value) for port in self._ports))
            self.cycles.append(cycle)


def _stream(design: Any, name: str) -> tuple[Any, Any, Any]:
    payload, *flags = (getattr(design, f"{name}__{member}")
                       for member in ("payload", "valid", "ready"))
    return payload, *map(scalar, flags)


async def run_cycles(design: Any, parts: Sequence[Part], done: Callable[[], bool], limit: int,
                     linger: int = 0) -> int:
    """Reset the design and run it until ``done``, and ``linger`` cycles more.

    Returns the cycles until it was done. May be called again, whatever the design is doing then.

    Raises
    ------
    AssertionError
        If it is not done after ``limit`` cycles.
    """
    clock = Clock(design.clk, 10, unit="ns")
    clock.start()
    for _ in range(3):
        await FallingEdge(design.clk)
        design.rst.value = 1
    design.rst.value = 0
    done_after = None
    for cycle in range(limit + linger):
        for part in parts:
            part.drive()
        await ReadOnly()
        for part in parts:
            part.sample(cycle)
        if done_after is None and done():
            done_after = cycle + 1
        if done_after is not None and cycle + 1 >= done_after + linger:
            clock.stop()
            return done_after
        await FallingEdge(design.clk)
    raise AssertionError(f"not done after {limit} cycles")
