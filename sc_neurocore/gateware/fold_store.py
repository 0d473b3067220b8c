"""Fold store: potentials and thresholds of all folds, in few block RAMs."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..families import loaded_shape
from ..parameters import WORD_WIDTH, Capacity, LoadFormat, part_row
from .layouts import NO_COLLISIONS, index_shape, load_bus
from .loaded_memory import LoadedMemory


class FoldStore(wiring.Component):
    """Fetches the next fold's potentials and this one's thresholds while its events are added.

    A fold's numbers come in ``parts``, one a cycle, into a register, and its potentials leave in
    parts through another one. That saves block RAMs, which are wide and deep while the memory is
    wider and shallow.

    Latency: what a fold has begun to fetch is there ``parts + 2`` cycles after ``begins``; before
    that no fold may be closed. Throughput: a fold in that time and one cycle.

    Parameters
    ----------
    capacity : Capacity
    lanes, folds : int
        At least two folds.
    parts : int
    form : LoadFormat

    Members
    -------
    begins : In
        The first operation of ``fold`` is executed.
    closes : In
        Its last one is, and leaves ``totals``.
    fold : In
        Of the operation that is executed.
    totals : In
        Potentials to be stored.
    potentials : Out
        Those of the fold behind this one, as they were stored.
    thresholds : Out
        Those of this fold, negative, without their sign.
    load : In, `layouts.load_bus`
        Thresholds to be loaded.
    """

    def __init__(self, capacity: Capacity, lanes: int, folds: int, parts: int, form: LoadFormat):
        self._lanes, self._folds, self._parts = lanes, folds, parts
        self._share = -(-lanes // parts)
        self._potential, self._threshold = capacity.potential, capacity.threshold
        self._form = form
        super().__init__({
            "begins": In(1), "closes": In(1), "fold": In(index_shape(folds)),
            "totals": In(data.ArrayLayout(self._potential, lanes)),
            "potentials": Out(data.ArrayLayout(self._potential, lanes)),
            "thresholds": Out(data.ArrayLayout(self._threshold, lanes)),
            "load": In(load_bus(form))})

    def elaborate(self, platform):
        m = Module()
        rows = part_row(self._folds - 1, self._parts - 1, self._parts) + 1
        width = self._share * self._potential
        m.submodules.stored = stored = memory.Memory(shape=width, depth=rows, init=[],
                                                     attrs=NO_COLLISIONS)
        m.submodules.limits = limits = LoadedMemory(
            loaded_shape("", rows, self._share * self._threshold, WORD_WIDTH), self._form, "")
        wiring.connect(m, wiring.flipped(self.load), limits.load)

        part, reads = self._count(m, "read", self.begins)
        arrives = Signal()
        read = stored.read_port()
        behind = Mux(self.fold == self._folds - 1, 0, self.fold + 1)
        m.d.comb += [read.addr.eq(self._row(behind, part)),
                     limits.row.eq(self._row(self.fold, part))]
        m.d.sync += arrives.eq(reads)
        fetched = Signal(width * self._parts)
        fetched_limits = Signal(len(limits.held) * self._parts)
        with m.If(arrives):
            m.d.sync += [fetched.eq(Cat(fetched[width:], read.data)),
                         fetched_limits.eq(Cat(fetched_limits[len(limits.held):], limits.held))]
        m.d.comb += [Value.cast(self.potentials).eq(fetched),
                     Value.cast(self.thresholds).eq(fetched_limits)]

        write = stored.write_port()
        leaving = Signal(width * self._parts)
        of_fold = Signal.like(self.fold)
        part, writes = self._count(m, "write", self.closes)
        m.d.comb += [write.addr.eq(self._row(of_fold, part)), write.en.eq(writes),
                     write.data.eq(leaving)]
        with m.If(self.closes):
            m.d.sync += [leaving.eq(Value.cast(self.totals)), of_fold.eq(self.fold)]
        with m.Elif(writes):
            m.d.sync += leaving.eq(leaving[width:])
        return m

    def _row(self, fold: Value, part: Signal) -> Value:
        bits = (self._parts - 1).bit_length()
        return Cat(part[:bits], fold)

    def _count(self, m: Module, name: str, start: Value) -> tuple[Signal, Signal]:
        """Part after part, from the cycle after ``start`` on, and whether there is one."""
        part = Signal(index_shape(self._parts), name=f"{name}_part")
        active = Signal(name=f"{name}s")
        with m.If(active):
            m.d.sync += part.eq(part + 1)
            with m.If(part == self._parts - 1):
                m.d.sync += [part.eq(0), active.eq(0)]
        with m.If(start):
            m.d.sync += active.eq(1)
        return part, active
