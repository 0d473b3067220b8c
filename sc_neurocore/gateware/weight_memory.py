"""Weight memory: a row holds the weights of one input to one fold of neurons."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..families import Shape
from ..network import IntegerLayer
from ..parameters import LoadFormat
from ..spec import fold_count
from ..timing import MEMORY_LATENCY
from .layouts import index_shape, load_bus
from .loaded_memory import LoadedMemory


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
    form : LoadFormat, optional
        Where the weights are to be loaded. Then folds are as far from each other as ``shape`` has
        room for, and nothing is in it to begin with.

    Attributes
    ----------
    latency : int
        `timing.MEMORY_LATENCY`, and one more if there are several banks.

    Members
    -------
    row : In
        Row to be read.
    weights : Out
        Its weights, ``latency`` cycles later.
    load : In, `layouts.load_bus`
        With ``form`` alone.
    """

    def __init__(self, layer: IntegerLayer, lanes: int, kind: str = "block",
                 shape: Shape | None = None, form: LoadFormat | None = None):
        self._layer, self._lanes, self._kind = layer, lanes, kind
        self._folds = fold_count(layer.n_output, lanes)
        rows = max(2, self._folds * layer.n_input)
        self._shape = shape or Shape(1, rows, (lanes * layer.weight_width,))
        self._form = form
        self.latency = MEMORY_LATENCY + (self._shape.banks > 1)
        members = {
            "row": In(index_shape(self._folds * layer.n_input if form is None else
                                  self._shape.entries)),
            "weights": Out(data.ArrayLayout(signed(layer.weight_width), lanes))}
        if form is not None:
            members["load"] = In(load_bus(form))
        super().__init__(members)

    def elaborate(self, platform):
        m = Module()
        if self._form is not None:
            m.submodules.rows = rows = LoadedMemory(self._shape, self._form, self._kind)
            wiring.connect(m, wiring.flipped(self.load), rows.load)
            output = Signal(len(rows.held), name="output", reset_less=True)
            m.d.comb += [rows.row.eq(self.row), Value.cast(self.weights).eq(output)]
            m.d.sync += output.eq(rows.held)
            return m
        if self._kind == "logic":
            # The address waits, which is narrower than the row.
            read = self._memory(m, "rows", self._rows()).read_port(domain="comb")
            late = Signal.like(self.row, name="late")
            later = Signal.like(self.row, name="later")
            m.d.sync += [late.eq(self.row), later.eq(late)]
            m.d.comb += [read.addr.eq(later), Value.cast(self.weights).eq(read.data)]
            return m
        banks = [self._bank(m, number) for number in range(self._shape.banks)]
        if len(banks) == 1:
            m.d.comb += Value.cast(self.weights).eq(banks[0])
            return m
        bank = self.row[self._entry_bits():]
        for name in ("read_bank", "output_bank"):
            later = Signal.like(bank, name=name)
            m.d.sync += later.eq(bank)
            bank = later
        selected = Signal(len(banks[0]), name="selected")
        m.d.sync += selected.eq(Array(banks)[bank])
        m.d.comb += Value.cast(self.weights).eq(selected)
        return m

    def _entry_bits(self) -> int:
        """Bits of the address within a bank."""
        return (self._shape.entries - 1).bit_length()

    def _bank(self, m: Module, number: int) -> Value:
        """A bank, its columns side by side; what it holds at ``row``, two cycles later."""
        shape, bits = self._shape, self._entry_bits()
        rows = self._rows()[number * shape.entries:(number + 1) * shape.entries]
        parts, low = [], 0
        for column, width in enumerate(shape.columns):
            suffix = "" if shape.count == 1 else f"_{number}_{column}"
            held = self._memory(m, f"rows{suffix}",
                                [row >> low & (1 << width) - 1 for row in rows], width)
            read = held.read_port()
            # Without a reset, so that the block RAM's own output register can be used.
            output = Signal(width, name=f"output{suffix}", reset_less=True)
            m.d.comb += read.addr.eq(self.row[:bits])
            m.d.sync += output.eq(read.data)
            parts.append(output)
            low += width
        return Cat(parts)

    def _memory(self, m: Module, name: str, init: list[int], width: int | None = None
                ) -> memory.Memory:
        m.submodules[name] = held = memory.Memory(
            shape=width or len(Value.cast(self.weights)), depth=max(2, len(init)), init=init,
            attrs={"ram_style": self._kind})
        return held

    def _rows(self) -> list[int]:
        width, lanes = self._layer.weight_width, self._lanes
        unsigned = (self._layer.weights & (2**width - 1)).tolist()
        return [sum(weights[j] << width * lane
                    for lane, weights in enumerate(unsigned[fold * lanes:(fold + 1) * lanes]))
                for fold in range(self._folds) for j in range(self._layer.n_input)]
