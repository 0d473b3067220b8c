"""Weight memory: a row holds the weights of one input to one fold of neurons."""

from amaranth import *
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

from ..network import IntegerLayer
from ..spec import fold_count
from .layouts import index_shape


class WeightMemory(wiring.Component):
    """Read-only memory: block RAM with its output register, or logic for few weights.

    Row fold·n_input + j holds the weights from input j to the neurons fold·lanes and up, the first
    in the lowest bits; lanes without a neuron hold 0.

    Throughput: a row a cycle. Latency: `timing.MEMORY_LATENCY` cycles.

    Parameters
    ----------
    layer : IntegerLayer
        Whose weights.
    lanes : int
        Neurons in a fold.
    kind : "block" or "logic"
        What it is made of.

    Members
    -------
    row : In
        Row to be read.
    weights : Out
        Its weights, two cycles later.
    """

    def __init__(self, layer: IntegerLayer, lanes: int, kind: str = "block"):
        self._layer, self._lanes, self._kind = layer, lanes, kind
        self._folds = fold_count(layer.n_output, lanes)
        super().__init__({
            "row": In(index_shape(self._folds * layer.n_input)),
            "weights": Out(data.ArrayLayout(signed(layer.weight_width), lanes))})

    def elaborate(self, platform):
        m = Module()
        m.submodules.rows = rows = memory.Memory(
            shape=len(Value.cast(self.weights)), depth=max(2, self._folds * self._layer.n_input),
            init=self._rows(), attrs={"ram_style": self._kind})
        if self._kind == "logic":
            # The address waits, which is narrower than the row.
            read = rows.read_port(domain="comb")
            late = Signal.like(self.row, name="late")
            later = Signal.like(self.row, name="later")
            m.d.sync += [late.eq(self.row), later.eq(late)]
            m.d.comb += [read.addr.eq(later), Value.cast(self.weights).eq(read.data)]
        else:
            read = rows.read_port()
            # Without a reset, so that the block RAM's own output register can be used.
            output = Signal(rows.shape, reset_less=True)
            m.d.comb += [read.addr.eq(self.row), Value.cast(self.weights).eq(output)]
            m.d.sync += output.eq(read.data)
        return m

    def _rows(self) -> list[int]:
        width, lanes = self._layer.weight_width, self._lanes
        unsigned = (self._layer.weights & (2**width - 1)).tolist()
        return [sum(weights[j] << width * lane
                    for lane, weights in enumerate(unsigned[fold * lanes:(fold + 1) * lanes]))
                for fold in range(self._folds) for j in range(self._layer.n_input)]
