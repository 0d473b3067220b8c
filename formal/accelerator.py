"""A whole accelerator: every image ends in time with the right results, and leaves no trace.

Small enough to be unrolled from the first transfer of an image to its last result, for all images
and all stalls. What an image leaves behind is the state that it found, but for registers that mean
nothing (``MEANINGLESS``) and pointers that stand elsewhere in their rings. The search begins with
anything in the registers and memories that mean nothing, so it holds for every image that follows,
too.
"""

from fnmatch import fnmatchcase
from functools import cache
from itertools import product

import numpy as np
from amaranth.asserts import AnyConst, AnySeq, Initial
from amaranth.hdl import Array, Assert, Assume, Cat, Module, Mux, Signal, Value
from amaranth.lib.memory import Memory
from common import random_network
from test_mutations import Mutation

from sc_neurocore import golden
from sc_neurocore.gateware.accelerator import Accelerator
from sc_neurocore.network import IntegerNetwork
from sc_neurocore.spec import AcceleratorSpec

from .harness import Proof, inside, is_taken, new, past

SHAPE, TIMESTEPS, WIDTH, BEATS = (4, 3, 2), 2, 1, 2
SPEC = AcceleratorSpec((3, 2), BEATS, BEATS)
"""One fold in both layers; more of them are proved in replay.py, layer.py and neurons.py."""
TRANSFERS = SHAPE[0] // BEATS
INPUT_STALL, RESULT_STALL = 2, 6
"""Cycles after which a stalled accelerator has stood still for two, so longer stalls change
nothing: not even what is read of a memory, which is a cycle behind."""


@cache
def network() -> IntegerNetwork:
    """A network whose hidden and output neurons fire for some images, and not for others."""
    return random_network(SHAPE, timesteps=TIMESTEPS, intensity_width=WIDTH, weight_width=3,
                          seed=13)


@cache
def images() -> np.ndarray:
    """All images there are; the first input is in the lowest bits of their number."""
    levels = range(2**WIDTH)
    return np.array([image[::-1] for image in product(levels, repeat=SHAPE[0])])


def latency() -> int:
    """Cycles that the slowest image takes, by the prediction that co-simulation compares."""
    slowest = 0
    for image in images():
        traced = golden.trace(network(), image[None], SPEC)
        slowest = max(slowest, int(traced.trace.cycles.latency.max()))
    return slowest


def registers(module: Module, path: str = "") -> list[tuple[str, Signal]]:
    """All registers and their places; those of memories apart."""
    found = [(f"{path}{driven.name}", driven) for driven, domains in module._driving.items()
             if "sync" in domains]
    found += [(f"{path}{name}", fsm.state) for name, fsm in module._generated.items()]
    for name, (part, _) in module._named_submodules.items():
        if not isinstance(part, Memory):
            found += registers(inside(part), f"{path}{name}.")
    return found


def is_meaningless(name: str) -> bool:
    """Whether nobody looks at a register between images."""
    return any(fnmatchcase(name, pattern) for pattern in MEANINGLESS)


def is_at_rest(state: list[tuple[str, Signal]]) -> Value:
    """Whether the registers are what a reset makes them, as far as they mean anything."""
    ends = {name: register for name, register in state if name.endswith((*RING, *RING.values()))}
    equal = [register == register.init for name, register in state
             if not is_meaningless(name) and name not in ends]
    for name, register in ends.items():
        place, _, end = name.rpartition(".")
        if end in RING:
            equal.append(register == ends[f"{place}.{RING[end]}"])
    return Cat(equal).all()


def image() -> Module:
    """An image, whose transfers and results wait at any time."""
    m = new()
    m.submodules.accelerator = accelerator = Accelerator(network(), SPEC)
    state = registers(inside(accelerator))
    transfers, results = accelerator.intensities, accelerator.results
    number = AnyConst(SHAPE[0] * WIDTH)
    m.d.comb += Assume(~Initial() | is_at_rest(state))
    sent, taken = Signal(range(TRANSFERS + 1)), Signal(range(SHAPE[-1] + 1))
    is_sent, done = sent == TRANSFERS, taken == SHAPE[-1]
    width = BEATS * WIDTH
    m.d.comb += [transfers.valid.eq(AnySeq(1) & ~is_sent), results.ready.eq(AnySeq(1)),
                 Value.cast(transfers.payload).eq(number.word_select(sent, width))]
    waited = past(m, transfers.valid & ~transfers.ready, "waited")
    m.d.comb += Assume(~waited | transfers.valid)
    m.d.sync += [sent.eq(sent + is_taken(transfers)), taken.eq(taken + is_taken(results))]

    # Stalls: in how many cycles on end nothing came, or nothing went, because of the outside.
    stall, stalls = Signal(), Signal(range(RESULT_STALL + 2))
    most = Mux(is_sent, RESULT_STALL, INPUT_STALL)
    m.d.comb += [stall.eq(Mux(is_sent, results.valid & ~results.ready, ~transfers.valid)),
                 Assume(stalls <= most)]
    m.d.sync += stalls.eq(Mux(stall, stalls + 1, 0))
    # Between transfers an image is at rest but for how much of it is there.
    now = Cat(register for _, register in state)
    matters = Cat(register for name, register in state if not is_meaningless(name))
    stands_still = Mux(is_sent, now == past(m, now, "state"),
                       matters == past(m, matters, "what_matters"))

    cycles = Signal(range(LATENCY + 2))
    with m.If((sent > 0) & ~done & ~stall | is_taken(transfers)):
        m.d.sync += cycles.eq(cycles + 1)
    held = [(stalls < most - 1) | stands_still, done | (cycles < LATENCY),
            (is_sent & ~done) | ~results.valid, ~past(m, done, "done") | is_at_rest(state)]
    result, got = golden.run(network(), images()), results.payload
    for neuron in range(SHAPE[-1]):
        is_its = results.valid & (taken == neuron)
        is_last = neuron == SHAPE[-1] - 1
        want = [got.shape().const({
            "neuron": neuron, "count": int(count), "current": int(current), "last": is_last,
            "predicted": int(predicted) if is_last else neuron}).as_value()
            for count, current, predicted in zip(result.counts[:, neuron],
                                                 result.currents[:, neuron], result.predicted,
                                                 strict=True)]
        held.append(~is_its | (got.as_value() == Array(want)[number]))

    # One question at the end is answered much sooner than one a cycle.
    failed = Signal()
    m.d.sync += failed.eq(failed | ~Cat(held).all())
    m.d.comb += Assert(~failed)
    return m


MEANINGLESS = (
    # What is on its way, while nothing is: a row of the encoder, a layer's operation.
    "encoder.intensities", "encoder.spikes",
    *(f"layer_?.*_{field}" for field in ("row", "fold", "next_region", "timestep", "is_first",
                                         "is_final")),
    "layer_?.weight_memory.output", "layer_?.neurons._fold",
    # What is not offered, or not counted yet.
    "*.words__payload", "*.results__payload", "*.group", "*.summed", "replay_?.is_last",
    "replay_?.ends", "readout.best", "readout.winner", "readout.stored")
"""Registers, by their places, that nobody looks at between images."""
RING = {"tail": "head", "fill": "drain"}
"""Pointers that go round, and are equal when there is nothing between them."""
LATENCY = latency()


PROOFS = {
    "accelerator_image": Proof(
        "Accelerator " + "-".join(map(str, SHAPE)), f"every image is over within {LATENCY} cycles "
        "that are not stalled, with the golden model's results, and leaves the state that it found",
        image,
        (Mutation("layer.py", "((phase == len(parts) - 1) & ends)", "(phase == len(parts))"),
         Mutation("encoder.py", "lfsr.restart.eq(ends)", "lfsr.restart.eq(0)"),
         Mutation("layer.py", "with m.If(events.valid):",
                  "with m.If(events.valid & ~events.payload.last):")),
        LATENCY + TRANSFERS * INPUT_STALL + SHAPE[-1] * RESULT_STALL + 4,
        "all cycles that can be stalled, all that are not, and those after them", "accelerator"),
}
