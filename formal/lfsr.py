"""The LFSR: every step is a power of its matrix over GF(2), which has full period.

The matrix is written down here from the polynomial in ``docs/number-format.md``, and the gateware
is proved to multiply by its powers. That the powers are as they must be is linear algebra, exact in
Python's integers: x^32 + x^22 + x^2 + x + 1 is primitive just if the matrix A has A^(2^32 − 1) = 1
but A^((2^32 − 1) / p) ≠ 1 for each prime p that divides 2^32 − 1. Then every state but 0 is on one
circle of 2^32 − 1 states, and no step leads from it to 0.
"""

from functools import cache
from math import prod

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Cat, Module, Mux, Value
from test_mutations import Mutation

from sc_neurocore.gateware.lfsr import Lfsr

from .harness import Proof, inside, new, past, signal

WIDTH, EXPONENTS = 32, (32, 22, 2, 1)
PRIMES = (3, 5, 17, 257, 65537)
"""All that divide 2^32 − 1, each once."""
INITIAL, DRAW_WIDTH, DRAWS, PARTIAL = 2654435761, 8, 16, 5
"""The state of seed 1, draws of eight bits, as many in a cycle as the encoder has lanes by default;
the reference design's."""

Matrix = tuple[int, ...]
"""Rows of bits: bit c of row r says that bit r after the step depends on bit c before it."""
ONE: Matrix = tuple(1 << row for row in range(WIDTH))
STEP: Matrix = (sum(1 << exponent - 1 for exponent in EXPONENTS), *ONE[:-1])


def product(left: Matrix, right: Matrix) -> Matrix:
    """The step ``right`` and then the step ``left``."""
    rows = []
    for mask in left:
        row = 0
        for index in range(WIDTH):
            if mask >> index & 1:
                row ^= right[index]
        rows.append(row)
    return tuple(rows)


@cache
def power(exponent: int) -> Matrix:
    """So many steps."""
    if exponent == 0:
        return ONE
    half = power(exponent // 2)
    square = product(half, half)
    return product(STEP, square) if exponent & 1 else square


def check_period():
    """Raise unless the register has full period."""
    order = 2**WIDTH - 1
    assert prod(PRIMES) == order
    assert power(order) == ONE
    for prime in PRIMES:
        assert power(order // prime) != ONE, f"the period is shorter, by a factor of {prime}"


def times(matrix: Matrix, state: Value) -> Value:
    """A product over GF(2), in gates."""
    return Cat((state & row).xor() for row in matrix)


def steps() -> Module:
    """Draws and next state are products of the state before and powers of the matrix."""
    check_period()
    m = new()
    m.submodules.lfsr = lfsr = Lfsr(INITIAL, DRAW_WIDTH, DRAWS, PARTIAL)
    state = signal(inside(lfsr), "state")
    free(m, lfsr)
    taken = Mux(lfsr.is_partial, times(power(PARTIAL * DRAW_WIDTH), state),
                times(power(DRAWS * DRAW_WIDTH), state))
    m.d.comb += Assert(state == past(
        m, Mux(lfsr.restart, INITIAL, Mux(lfsr.step, taken, state)), "state", INITIAL))
    for index in range(DRAWS):
        m.d.comb += Assert(lfsr.draws[index]
                           == times(power((index + 1) * DRAW_WIDTH), state)[:DRAW_WIDTH])
    return m


def never_zero() -> Module:
    """The register is never 0."""
    m = new()
    m.submodules.lfsr = lfsr = Lfsr(INITIAL, DRAW_WIDTH, 1, 1)
    free(m, lfsr)
    m.d.comb += Assert(signal(inside(lfsr), "state") != 0)
    return m


def free(m: Module, lfsr: Lfsr):
    """Draws are taken at any time, and the register restarts at any time."""
    m.d.comb += [lfsr.step.eq(AnySeq(1)), lfsr.is_partial.eq(AnySeq(1)),
                 lfsr.restart.eq(AnySeq(1))]


PROOFS = {
    "lfsr_steps": Proof(
        "Lfsr, 16 draws of 8 bits", "every step and draw is a power of a matrix of period 2^32 − 1",
        steps,
        (Mutation("lfsr.py", "for tap in LFSR_TAPS:", "for tap in (32, 22, 3, 1):"),
         Mutation("lfsr.py", "bits(after[self._partial])", "bits(after[self._partial - 1])"))),
    "lfsr_never_zero": Proof(
        "Lfsr, a draw of 8 bits", "its state is never 0", never_zero,
        (Mutation("lfsr.py", "state.eq(self._initial_state)", "state.eq(0)"),)),
}
