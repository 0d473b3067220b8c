"""Linear feedback shift register that makes many draws in a cycle."""

from amaranth import *
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from ..network import LFSR_TAPS, LFSR_WIDTH

State = list[int]
"""For each bit of the register, the bits of an earlier state whose exclusive or it is, as a
mask."""


def leap(state: State, steps: int) -> State:
    """The register ``steps`` steps after ``state``."""
    for _ in range(steps):
        feedback = 0
        for tap in LFSR_TAPS:
            feedback ^= state[tap - 1]
        state = [feedback, *state[:-1]]
    return state


class Lfsr(wiring.Component):
    """Gives the next ``draws`` draws of the stream that ``docs/number-format.md`` defines.

    Every bit of every draw, and of the next state, is an exclusive or of bits of the present state
    (leap-forward). Throughput: ``draws`` draws a cycle; latency: none, they depend on the state.

    Parameters
    ----------
    initial_state : int
        State before the first draw; not 0.
    draw_width : int
        Bits of a draw, and steps of the register that it takes.
    draws : int
        Draws given in a cycle.
    partial : int
        Draws that a partial step takes; at most ``draws``.

    Members
    -------
    draws : Out
        The next draws, in order.
    step : In
        The draws are taken: continue behind them.
    is_partial : In
        Only ``partial`` of them are taken.
    restart : In
        Continue with the first draw of the stream instead.
    """

    def __init__(self, initial_state: int, draw_width: int, draws: int, partial: int):
        self._initial_state, self._draw_width = initial_state, draw_width
        self._draws, self._partial = draws, partial
        super().__init__({"draws": Out(data.ArrayLayout(draw_width, draws)),
                          "step": In(1), "is_partial": In(1), "restart": In(1)})

    def elaborate(self, platform):
        m = Module()
        state = Signal(LFSR_WIDTH, init=self._initial_state)

        def bits(masks: State) -> Value:
            return Cat((state & mask).xor() for mask in masks)

        after = [[1 << bit for bit in range(LFSR_WIDTH)]]
        for _ in range(self._draws):
            after.append(leap(after[-1], self._draw_width))
        for index in range(self._draws):
            m.d.comb += self.draws[index].eq(bits(after[index + 1][:self._draw_width]))

        with m.If(self.step):
            m.d.sync += state.eq(Mux(self.is_partial, bits(after[self._partial]),
                                     bits(after[self._draws])))
        with m.If(self.restart):
            m.d.sync += state.eq(self._initial_state)
        return m
