"""Parameter rows: rows of weights that every timestep adds, whatever its events."""

from amaranth import *
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out

from ..parameters import Capacity
from .layouts import event, index_shape


class ParameterRows(wiring.Component):
    """Sends a timestep's events, and then those of the rows that hold loaded parameters.

    These follow the rows of the inputs: ``bias_rows`` of them in each timestep, and in an image's
    first one ``initial_rows`` as well, in each fold.

    Throughput: an event a cycle. Latency: none.

    Parameters
    ----------
    n_input : int
        Addresses of events.
    capacity : Capacity
        How many rows there are.
    folds : int
        How often each timestep comes.
    rounds : int
        Timesteps of an image.

    Members
    -------
    events : In, stream of `layouts.event`, of n_input addresses
    completed : Out, stream of `layouts.event`, of as many more as there are rows
    """

    def __init__(self, n_input: int, capacity: Capacity, folds: int, rounds: int):
        self._n_input, self._folds, self._rounds = n_input, folds, rounds
        self._biases = capacity.bias_rows
        self._all = capacity.bias_rows + capacity.initial_rows
        super().__init__({"events": In(stream.Signature(event(n_input))),
                          "completed": Out(stream.Signature(event(n_input + self._all)))})

    def elaborate(self, platform):
        m = Module()
        events, sent = self.events, self.completed
        appends = Signal()
        row = Signal(index_shape(self._all))
        fold = Signal(index_shape(self._folds))
        round_ = Signal(index_shape(self._rounds), name="round")
        is_first = Signal()
        adds = Signal()
        closes = Signal()
        m.d.comb += [is_first.eq(round_ == 0), adds.eq(is_first | bool(self._biases)),
                     closes.eq(sent.valid & sent.ready & sent.payload.last)]
        with m.If(appends):
            m.d.comb += [sent.valid.eq(1), sent.payload.address.eq(self._n_input + row),
                         sent.payload.spike.eq(1),
                         sent.payload.last.eq(row == Mux(is_first, self._all - 1,
                                                         max(self._biases, 1) - 1))]
            with m.If(sent.ready):
                m.d.sync += row.eq(row + 1)
                with m.If(sent.payload.last):
                    m.d.sync += [row.eq(0), appends.eq(0)]
        with m.Else():
            m.d.comb += [sent.valid.eq(events.valid), events.ready.eq(sent.ready),
                         sent.payload.address.eq(events.payload.address),
                         sent.payload.spike.eq(events.payload.spike),
                         sent.payload.last.eq(events.payload.last & ~adds)]
            with m.If(events.valid & sent.ready & events.payload.last):
                m.d.sync += appends.eq(adds)
        with m.If(closes):
            m.d.sync += fold.eq(fold + 1)
            with m.If(fold == self._folds - 1):
                m.d.sync += [fold.eq(0), round_.eq(round_ + 1)]
                with m.If(round_ == self._rounds - 1):
                    m.d.sync += round_.eq(0)
        return m
