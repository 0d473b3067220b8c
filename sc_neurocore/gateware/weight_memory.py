"""Weight memory: a row holds the weights of one input to one fold of neurons."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..families import Shape
from ..network import IntegerLayer
from ..parameters import LoadFormat, with_parity
from ..spec import fold_count
from ..timing import MEMORY_LATENCY
from .layouts import index_shape, load_bus
from .loaded_memory import LoadedMemory
from .parity import ParityCheck


class WeightMemory(wiring.Component):
    """Block RAM or SPRAM with an output register, or logic for few weights.

    Row fold·n_input + j holds the weights from input j to the neurons fold·lanes and up, the first
    in the lowest bits; lanes without a neuron hold 0.

    Throughput: a row a cycle. Latency: ``latency`` cycles.

    Parameters
    ----------
    layer : IntegerLayer
        Whose weights.
    lanes : int
        Neurons in a fold.
    kind : "block", "logic" or "spram"
        What it is made of.
    shape : Shape, optional
        How it is put together of memories; by default of one.
    ports : 1 or 2
        Rows that are read in a cycle.
    form : LoadFormat, optional
        Where the weights are to be loaded. Then folds are as far from each other as ``shape`` has
        room for, and nothing is in it to begin with.
    parity : bool
        Rows have a parity bit above their weights.

    Attributes
    ----------
    latency : int
        `timing.MEMORY_LATENCY`, and one more if there are several banks, and one more if two rows
        are added up.

    Members
    -------
    row : In
        Row to be read.
    weights : Out
        Its weights, ``latency`` cycles later; with two ports, the sums of those of both rows, or of
        one of them if the other does not count.
    second_row, second_counts : In
        With two ports: another row, and whether it counts.
    load : In, `layouts.load_bus`
        With ``form`` alone.
    row_counts : In
        With ``parity``: ``row``, and the second row if that counts, are used.
    corrupted : Out
        With ``parity``: a row that was used is corrupted. `timing.PARITY_LATENCY` cycles after
        the row was out of its memory.
    corrupted_row : Out
        With ``parity``: its number; of two, that of ``row``.
    """

    def __init__(self, layer: IntegerLayer, lanes: int, kind: str = "block",
                 shape: Shape | None = None, ports: int = 1, form: LoadFormat | None = None,
                 parity: bool = False):
        self._layer, self._lanes, self._kind = layer, lanes, kind
        self._folds = fold_count(layer.n_output, lanes)
        rows = max(2, self._folds * layer.n_input)
        self._width = lanes * layer.weight_width
        self._shape = shape or Shape(1, rows, (self._width + parity,))
        self._form, self._parity = form, parity
        self._ports = ports
        self.latency = MEMORY_LATENCY + (self._shape.banks > 1) + (ports > 1)
        members = {
            "row": In(index_shape(self._folds * layer.n_input if form is None else
                                  self._shape.entries)),
            "weights": Out(data.ArrayLayout(signed(layer.weight_width + ports - 1), lanes))}
        if ports == 2:
            members |= {"second_row": In(members["row"].shape), "second_counts": In(1)}
        if form is not None:
            members["load"] = In(load_bus(form))
        if parity:
            members |= {"row_counts": In(1), "corrupted": Out(1),
                        "corrupted_row": Out(members["row"].shape)}
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        if self._form is not None:
            m.submodules.rows = rows = LoadedMemory(self._shape, self._form, self._kind)
            wiring.connect(m, wiring.flipped(self.load), rows.load)
            output = Signal(len(rows.held), name="output", reset_less=True)
            m.d.comb += [rows.row.eq(self.row), Value.cast(self.weights).eq(output)]
            m.d.sync += output.eq(rows.held)
            self._check(m, [output])
            return m
        rows = [self.row] if self._ports == 1 else [self.row, self.second_row]
        read = self._logic(m, rows) if self._kind == "logic" else self._block(m, rows)
        self._check(m, read)
        if self._ports == 1:
            m.d.comb += Value.cast(self.weights).eq(read[0])
            return m
        counts = self.second_counts
        for stage in range(self.latency - 1):
            later = Signal(name=f"counts_{stage}")
            m.d.sync += later.eq(counts)
            counts = later
        width = self._layer.weight_width
        for lane in range(self._lanes):
            first, second = (one.word_select(lane, width).as_signed() for one in read)
            total = Signal(signed(width + 1), name=f"total_{lane}")
            m.d.sync += total.eq(first + Mux(counts, second, 0))
            m.d.comb += self.weights[lane].eq(total)
        return m

    def _check(self, m: Module, read: list[Value]):
        """Check what the rows hold, and report the first that is corrupted."""
        if not self._parity:
            return
        checks = []
        for port, held in enumerate(read):
            check = ParityCheck(len(held), len(self.row), self.latency - (self._ports > 1))
            m.submodules[f"parity_{port}" if port else "parity"] = check
            row, counts = ((self.second_row, self.row_counts & self.second_counts) if port
                           else (self.row, self.row_counts))
            m.d.comb += [check.row.eq(row), check.counts.eq(counts), check.held.eq(held)]
            checks.append(check)
        first, last = checks[0], checks[-1]
        m.d.comb += [self.corrupted.eq(first.corrupted | last.corrupted),
                     self.corrupted_row.eq(Mux(first.corrupted, first.corrupted_row,
                                               last.corrupted_row))]

    def _logic(self, m: Module, rows: list[Value]) -> list[Value]:
        """What the rows hold, two cycles later: the address waits, which is narrower than the
        row."""
        held = self._memory(m, "rows", self._rows(), self._lanes * self._layer.weight_width)
        found = []
        for number, row in enumerate(rows):
            read = held.read_port(domain="comb")
            late = Signal.like(row, name=f"late_{number}" if number else "late")
            later = Signal.like(row, name=f"later_{number}" if number else "later")
            m.d.sync += [late.eq(row), later.eq(late)]
            m.d.comb += read.addr.eq(later)
            found.append(read.data)
        return found

    def _block(self, m: Module, rows: list[Value]) -> list[Value]:
        """What the rows hold, two cycles later, or three if there are several banks."""
        banks = [self._bank(m, number, rows) for number in range(self._shape.banks)]
        if len(banks) == 1:
            return banks[0]
        found = []
        for port, row in enumerate(rows):
            bank = row[self._entry_bits():]
            suffix = f"_{port}" if port else ""
            for name in ("read_bank", "output_bank"):
                later = Signal.like(bank, name=name + suffix)
                m.d.sync += later.eq(bank)
                bank = later
            selected = Signal(len(banks[0][port]), name=f"selected{suffix}")
            m.d.sync += selected.eq(Array(each[port] for each in banks)[bank])
            found.append(selected)
        return found

    def _entry_bits(self) -> int:
        """Bits of the address within a bank."""
        return (self._shape.entries - 1).bit_length()

    def _bank(self, m: Module, number: int, rows: list[Value]) -> list[Value]:
        """What a bank, its columns side by side, holds at the rows, two cycles later."""
        shape, bits = self._shape, self._entry_bits()
        contents = self._rows()[number * shape.entries:(number + 1) * shape.entries]
        found: list[list[Value]] = [[] for _ in rows]
        low = 0
        for column, width in enumerate(shape.columns):
            suffix = "" if shape.count == 1 else f"_{number}_{column}"
            held = self._memory(m, f"rows{suffix}",
                                [row >> low & (1 << width) - 1 for row in contents], width)
            for port, row in enumerate(rows):
                read = held.read_port()
                # Without a reset, so that the block RAM's own output register can be used.
                name = f"output{suffix}" + (f"_port_{port}" if port else "")
                output = Signal(width, name=name, reset_less=True)
                m.d.comb += read.addr.eq(row[:bits])
                m.d.sync += output.eq(read.data)
                found[port].append(output)
            low += width
        return [Cat(parts) for parts in found]

    def _memory(self, m: Module, name: str, init: list[int], width: int) -> memory.Memory:
        m.submodules[name] = held = memory.Memory(
            shape=width, depth=max(2, len(init)), init=init, attrs={"ram_style": self._kind})
        return held

    def _rows(self) -> list[int]:
        width, lanes = self._layer.weight_width, self._lanes
        unsigned = (self._layer.weights & (2**width - 1)).tolist()
        return [with_parity(sum(weights[j] << width * lane for lane, weights
                                in enumerate(unsigned[fold * lanes:(fold + 1) * lanes])),
                            self._width * self._parity)
                for fold in range(self._folds) for j in range(self._layer.n_input)]
