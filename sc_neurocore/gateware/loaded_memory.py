"""Loaded memory: rows that are written word by word, and read whole."""

from amaranth import *
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out

from ..families import Shape
from ..parameters import WORD_WIDTH, LoadFormat
from .layouts import NO_COLLISIONS, index_shape, load_bus


class LoadedMemory(wiring.Component):
    """Memory of block RAM or SPRAM that is loaded, and then read.

    Throughput: a row a cycle, but in a cycle in which a word is loaded nothing is read of SPRAM.
    Latency: a cycle.

    Parameters
    ----------
    shape : Shape
        Of one bank; no column reaches into two words.
    form : LoadFormat
        Of the bus.
    kind : "block", "spram" or ""
        What it is made of; "" is left to Yosys. Of SPRAM all columns are but one that is a single
        bit, which block RAM has room for.

    Members
    -------
    row : In
    held : Out
        What the row of the cycle before holds.
    load : In, `layouts.load_bus`
    """

    def __init__(self, shape: Shape, form: LoadFormat, kind: str = "block"):
        self._shape, self._kind = shape, kind
        super().__init__({"row": In(index_shape(shape.entries)), "held": Out(sum(shape.columns)),
                          "load": In(load_bus(form))})

    def elaborate(self, platform):
        m = Module()
        low = 0
        for number, width in enumerate(self._shape.columns):
            word, offset = divmod(low, WORD_WIDTH)
            enable = Signal(name=f"enable_{number}")
            m.d.comb += enable.eq(self.load.enable & (self.load.word == word))
            column = self._spram if self._kind == "spram" and width > 1 else self._block
            m.d.comb += self.held[low:low + width].eq(
                column(m, number, width, enable, self.load.data[offset:offset + width]))
            low += width
        return m

    def _block(self, m: Module, number: int, width: int, enable: Value, word: Value) -> Value:
        attrs = NO_COLLISIONS | ({"ram_style": "block"} if self._kind else {})
        m.submodules[f"rows_{number}"] = rows = memory.Memory(
            shape=width, depth=max(2, self._shape.entries), init=[], attrs=attrs)
        read, write = rows.read_port(), rows.write_port()
        m.d.comb += [read.addr.eq(self.row), write.addr.eq(self.load.row), write.data.eq(word),
                     write.en.eq(enable)]
        return read.data

    def _spram(self, m: Module, number: int, width: int, enable: Value, word: Value) -> Value:
        """SB_SPRAM256KA, which has one port, and no contents to begin with."""
        read = Signal(WORD_WIDTH, name=f"read_{number}")
        address = Signal(14, name=f"address_{number}")
        m.d.comb += address.eq(Mux(enable, self.load.row, self.row))
        m.submodules[f"rows_{number}"] = Instance(
            "SB_SPRAM256KA",
            i_CLOCK=ClockSignal(), i_ADDRESS=address, i_DATAIN=Cat(word, C(0, WORD_WIDTH - width)),
            i_MASKWREN=C(0b1111, 4), i_WREN=enable, i_CHIPSELECT=C(1, 1), i_STANDBY=C(0, 1),
            i_SLEEP=C(0, 1), i_POWEROFF=C(1, 1), o_DATAOUT=read)
        return read[:width]
