"""Rows of parameters: they follow each timestep's events, which pass as they are."""

from functools import partial

from amaranth.hdl import Assert, Module, Mux, Signal
from test_mutations import Mutation

from sc_neurocore.gateware.parameter_rows import ParameterRows
from sc_neurocore.parameters import Capacity

from .harness import Proof, helps, inside, is_taken, new, offers, signal, takes

N_INPUT, FOLDS, ROUNDS = 3, 2, 3


def rows(biases: int, initial: int) -> Module:
    """Events, and after a timestep's last one the rows that are due."""
    m = new()
    capacity = Capacity(3, 3, 5, 5, 5, bias_rows=biases, initial_rows=initial)
    m.submodules.rows = component = ParameterRows(N_INPUT, capacity, FOLDS, ROUNDS)
    events, sent = component.events, component.completed
    offers(m, events, "events")
    takes(m, sent, "completed")

    # ``row``: 0 while events are sent, else the number of the next row, from 1 on.
    row, fold, timestep = Signal(range(biases + initial + 1)), Signal(1), Signal(range(ROUNDS))
    due = Mux(timestep == 0, biases + initial, biases)
    is_event = row == 0
    closes = Mux(is_event, events.payload.last & (due == 0), row == due)
    with m.If(is_taken(sent)):
        m.d.sync += row.eq(Mux(closes, 0, row + (~is_event | events.payload.last)))
        with m.If(closes):
            m.d.sync += fold.eq(fold + 1)
            with m.If(fold == FOLDS - 1):
                m.d.sync += timestep.eq(Mux(timestep == ROUNDS - 1, 0, timestep + 1))
    m.d.comb += [Assert(sent.valid == (~is_event | events.valid)),
                 Assert(events.ready == (is_event & sent.ready)),
                 Assert(~sent.valid | (sent.payload.last == closes)),
                 Assert(~sent.valid | (sent.payload.spike == (~is_event | events.payload.spike))),
                 Assert(~sent.valid | (sent.payload.address
                                       == Mux(is_event, events.payload.address,
                                              N_INPUT + row - 1)))]
    module = inside(component)
    helps(m, signal(module, "appends") == ~is_event, row <= due, timestep < ROUNDS,
          signal(module, "row") == Mux(is_event, 0, row - 1), signal(module, "fold") == fold,
          signal(module, "round") == timestep)
    return m


PROPERTY = "every event passes once, unchanged; then each row that is due, in order; offers stand"
PROOFS = {
    "parameter_rows": Proof(
        "ParameterRows, 2 rows of biases, 1 of initial potentials", PROPERTY, partial(rows, 2, 1),
        (Mutation("parameter_rows.py", "sent.payload.last.eq(events.payload.last & ~adds)",
                  "sent.payload.last.eq(events.payload.last)"),
         Mutation("parameter_rows.py", "self._n_input + row", "self._n_input - row"),
         Mutation("parameter_rows.py", "events.ready.eq(sent.ready)", "events.ready.eq(1)"),
         Mutation("parameter_rows.py", "with m.If(sent.ready):", "with m.If(1):"),
         Mutation("parameter_rows.py", "sent.valid.eq(events.valid), ", "sent.valid.eq(1), "),
         Mutation("parameter_rows.py", "sent.payload.spike.eq(1)", "sent.payload.spike.eq(0)"))),
    "parameter_rows_initial": Proof(
        "ParameterRows, 2 rows of initial potentials", PROPERTY, partial(rows, 0, 2),
        (Mutation("parameter_rows.py", "with m.If(round_ == self._rounds - 1):", "with m.If(0):"),
         Mutation("parameter_rows.py", "with m.If(sent.ready):", "with m.If(1):"))),
}
