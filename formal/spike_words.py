"""The encoder and its stand-in for ready-made spikes: all words, all spikes, whatever stalls.

The encoder's whole rule is proved, for a small image: an intensity is followed from its transfer to
its spike in each timestep, or its bit in each plane, which is the golden model's, however transfers
and words wait. Both keep the contract of the queue behind them, which reserved_queue.py takes for
granted.
"""

from functools import partial

import numpy as np
from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Array, Assert, Assume, Const, Module, Mux, Signal, Value
from common import random_network
from test_mutations import Mutation

from sc_neurocore import golden
from sc_neurocore.gateware.encoder import SpikeEncoder
from sc_neurocore.gateware.reserved_queue import ReservedQueue
from sc_neurocore.gateware.spike_input import SpikeInput
from sc_neurocore.network import IntegerNetwork
from sc_neurocore.rounds import encoder_rounds
from sc_neurocore.spec import AcceleratorSpec

from .double_buffer import full_halves
from .harness import (
    Proof,
    helps,
    holds,
    in_range,
    inside,
    is_taken,
    new,
    offers,
    past,
    signal,
    submodule,
    takes,
)
from .lfsr import power

N_INPUT, LANES, BEATS, TIMESTEPS, WIDTH = 9, 4, 2, 2, 3
ROWS, TRANSFERS = -(-N_INPUT // LANES), -(-N_INPUT // BEATS)
"""Three words a timestep and five transfers an image, the last of them not full."""
STAGES = 3
"""Cycles from reading a row to its commit."""


def network(encoder: str, timesteps: int = TIMESTEPS) -> IntegerNetwork:
    """A small network with an encoder."""
    small = random_network((N_INPUT, 3, 2), timesteps=timesteps, intensity_width=WIDTH)
    return IntegerNetwork(small.layers, timesteps, WIDTH, encoder, seed=1)


def encoder(kind: str, timesteps: int) -> Module:
    """Transfers of two intensities; words of four."""
    m = new()
    snn = network(kind, timesteps)
    rounds = encoder_rounds(snn)
    places = ROWS * rounds
    m.submodules.encoder = encoder = SpikeEncoder(snn, AcceleratorSpec((3, 2), BEATS, LANES))
    module = inside(encoder)
    in_range(m, encoder)
    transfers = encoder.intensities
    offers(m, transfers, "intensities")
    place, owed = commits_in_order(m, encoder, encoder.trace.word, submodule(module, "queue"),
                                   LANES, ROWS, rounds)

    # The intensity that is followed: input ``j`` of an image in the half that is chosen.
    j, half = AnyConst(range(N_INPUT)), AnyConst(1)
    loaded, filled, drained = Signal(range(TRANSFERS)), Signal(2), Signal(2)
    followed, intensity = Signal(), Signal(WIDTH)
    m.d.comb += Assume(j < N_INPUT)
    issue, ends = signal(module, "issue"), signal(module, "ends")
    row, round_ = signal(module, "row"), signal(module, "round")
    is_there = followed & issue & (row == j // LANES) & (drained[0] == half)
    with m.If(is_taken(transfers)):
        is_last = loaded == TRANSFERS - 1
        m.d.sync += [loaded.eq(Mux(is_last, 0, loaded + 1)), filled.eq(filled + is_last)]
    m.d.sync += drained.eq(drained + (issue & ends))
    with m.If(is_taken(transfers) & (loaded == j // BEATS) & (filled[0] == half) & AnySeq(1)):
        m.d.sync += [followed.eq(1), intensity.eq(transfers.payload[j % BEATS])]
    with m.Elif(is_there & (round_ == rounds - 1)):
        m.d.sync += followed.eq(0)

    # It waits for nothing but an image and room, and takes transfers while a half is empty.
    room = submodule(module, "queue").room
    m.d.comb += [Assert(issue == ((filled != drained) & room)),
                 Assert(transfers.ready == ((filled - drained)[:2] != 2))]
    checked, value = is_there, intensity
    on_way = []
    for stage in range(STAGES):
        issue = past(m, issue, f"issue_{stage}")
        checked = past(m, checked, f"checked_{stage}")
        value = past(m, value, f"value_{stage}")
        on_way.append(issue)
    spikes = spikes_of_intensities(snn)
    number = Signal(range(len(spikes)))
    m.d.comb += [number.eq((place // ROWS) * N_INPUT + j),
                 Assert(issue == encoder.trace.valid),
                 Assert(submodule(module, "queue").word.spikes == encoder.trace.spikes),
                 Assert(~encoder.trace.valid | (encoder.trace.spikes & ~neurons_of(
                     place % ROWS, LANES, N_INPUT) == 0)),
                 Assert(~checked | (place % ROWS == j // LANES)),
                 Assert(~checked | (encoder.trace.spikes.bit_select(j % LANES, 1)
                                    == Array(spikes)[number].bit_select(value, 1)))]

    full_halves(m, submodule(module, "halves"), filled, drained)
    ahead = place + sum(on_way[1:], on_way[0])
    compared = place + on_way[-1]
    is_full = ((filled - drained)[:2] == 2) | ((filled != drained) & (drained[0] == half))
    rows_of_half = 1 << (ROWS - 1).bit_length()
    kept = holds(m, submodule(module, "image"), j // LANES + half * rows_of_half)
    if kind == "lfsr":
        helps(m, signal(inside(submodule(module, "lfsr")), "state")
              == Array(states_of_rows(snn))[compared])
    else:
        at = [signal(module, f"compared_{name}") for name in ("row", "round")]
        helps(m, at[0] < ROWS, at[1] * ROWS + at[0] == around(compared, places))
    helps(m, round_ * ROWS + row == around(ahead, places), place < places,
          encoder.trace.timestep * ROWS + encoder.trace.word == place, encoder.trace.word < ROWS,
          owed == sum(on_way[1:], on_way[0]), row < ROWS, round_ < rounds,
          loaded < TRANSFERS, signal(module, "loaded") == loaded,
          (filled != drained) | ((row == 0) & (round_ == 0)),
          ~followed | is_full | ((filled[0] == half) & (loaded > j // BEATS)),
          ~(followed & is_full & (drained[0] == half) & (round_ == rounds - 1))
          | (row <= j // LANES),
          ~followed | (kept.word_select(j % LANES, WIDTH) == intensity))
    return m


def around(place: Value, places: int) -> Value:
    """The place of an image, or of the next one, within that."""
    return Mux(place >= places, place - places, place)


def spikes_of_intensities(snn: IntegerNetwork) -> list[Const]:
    """Of each input in each round, round by round, a bit for each intensity that it may have."""
    encoded = np.stack([golden.encode(snn, np.full(N_INPUT, intensity))
                        for intensity in range(2**WIDTH)])
    if snn.encoder == "direct":         # the golden model knows no planes
        encoded = encoded[:, :1] >> np.arange(WIDTH)[::-1, None] & 1
    return [Const(sum(bit << intensity for intensity, bit in enumerate(bits)), 2**WIDTH)
            for bits in encoded.reshape(2**WIDTH, -1).T.tolist()]


def states_of_rows(snn: IntegerNetwork) -> list[Const]:
    """State of the LFSR before each row of an image, and once more before the next image's."""
    found = []
    for number in range(ROWS * snn.timesteps):
        timestep, row = divmod(number, ROWS)
        steps = power((timestep * N_INPUT + row * LANES) * WIDTH)
        found.append(Const(sum(((mask & snn.lfsr_state).bit_count() & 1) << bit
                               for bit, mask in enumerate(steps)), 32))
    return [*found, found[0]]


def spike_input() -> Module:
    """Transfers of four bits, which are the words."""
    m = new()
    m.submodules.source = source = SpikeInput(network("events"), AcceleratorSpec((3, 2), LANES))
    module = inside(source)
    offers(m, source.spikes, "spikes")
    queue = submodule(module, "queue")
    place, _ = commits_in_order(m, source, source.trace.word, queue, LANES, ROWS, TIMESTEPS)
    inputs = neurons_of(place % ROWS, LANES, N_INPUT)
    m.d.comb += [Assert(source.trace.valid == is_taken(source.spikes)),
                 Assert(source.spikes.ready == queue.room),
                 Assert(queue.word.spikes == source.trace.spikes),
                 Assert(~source.trace.valid | (source.trace.spikes
                                               == (Value.cast(source.spikes.payload) & inputs)))]
    helps(m, source.trace.timestep * ROWS + source.trace.word == place, source.trace.word < ROWS)
    return m


def commits_in_order(m: Module, source, row: Value, queue: ReservedQueue, lanes: int, rows: int,
                     rounds: int) -> tuple[Signal, Signal]:
    """Words are committed one after another and pushed just if they matter; return the place of
    the next one in the image, and how many words have a place reserved.

    ``row``: the row that the trace shows, of ``rows`` in a round; ``rounds``: in an image.
    """
    takes(m, source.words, "words")
    trace, place, word = source.trace, Signal(range(rows * rounds), name="place"), queue.word
    with m.If(trace.valid):
        m.d.sync += place.eq(Mux(place == rows * rounds - 1, 0, place + 1))
    owed = Signal(5)
    m.d.sync += owed.eq(owed + queue.reserve - queue.push - queue.drop)
    closes = place % rows == rows - 1
    matters = trace.spikes.any() | closes
    m.d.comb += [Assert(~queue.reserve | queue.room), Assert(owed <= STAGES),
                 Assert(~(queue.push | queue.drop) | (owed + queue.reserve > 0)),
                 Assert(queue.push == (trace.valid & matters)),
                 Assert(queue.drop == (trace.valid & ~matters)),
                 Assert(~trace.valid | (trace.timestep * rows + row == place)),
                 Assert(~trace.valid | (row < rows)),
                 Assert(~queue.push | ((word.last == closes) & (word.base == row * lanes)))]
    return place, owed


def neurons_of(row: Value, lanes: int, count: int) -> Value:
    """Lanes of a row that have one of so many neurons, or inputs."""
    rows = -(-count // lanes)
    return Mux(row == rows - 1, 2**(count - (rows - 1) * lanes) - 1, 2**lanes - 1)


PROPERTY = ("a word a row and timestep, in order, with the spikes it must have, and no others; "
            "none is lost; it waits for nothing but its input and room; offers stand")
FALLS = Mutation("reserved_queue.py", "self.words.valid.eq(fetch | (self.words.valid & ~taken))",
                 "self.words.valid.eq(fetch)")
"""Words are not offered until they are taken."""
LIMIT = "Cat(intensity[-1], intensity) +", "Cat(C(0, 1), intensity) +"
"""The highest bit of an intensity is not added to its limit."""
ENCODERS = {
    "encoder": ("lfsr", TIMESTEPS, (
        ("lfsr.is_partial.eq(closes)", "lfsr.is_partial.eq(0)"), LIMIT)),
    # Where timesteps are no power of two, inputs do not meet all phases.
    "encoder_low_discrepancy": ("low_discrepancy", 3, (
        ("Cat(reversed((at[\"round\"] ^ number)[:phase_width]))",
         "(at[\"round\"] ^ number)[:phase_width]"),
        ("Cat(C(1, 1), phase)", "Cat(C(0, 1), phase)"),
        ("Cat(Const(lane, column), at[\"row\"])", "Cat(Const(0, column), at[\"row\"])"), LIMIT)),
    "encoder_direct": ("direct", TIMESTEPS, (
        ("intensities[i][::-1].bit_select", "intensities[i].bit_select"),
        ("self._position(m, step, closes, \"compared\")",
         "self._position(m, 1, closes, \"compared\")"))),
}
"""Of each proof the encoder, timesteps, and faults of what it alone has."""
PROOFS = {
    **{name: Proof(
        f"SpikeEncoder, {kind}, {N_INPUT} inputs, {timesteps} timesteps", PROPERTY,
        partial(encoder, kind, timesteps),
        (FALLS, *(Mutation("encoder.py", *change) for change in (
            *faults,
            ("halves.can_drain & queue.room", "halves.can_drain"),
            ("self.intensities.ready.eq(halves.can_fill)", "self.intensities.ready.eq(1)"),
            ("word.spikes.eq(spikes), word.last", "word.spikes.eq(spikes & 1), word.last"),
            ("word.base.eq(committed[\"row\"] * lanes)", "word.base.eq(committed[\"row\"])"),
            ("self.trace.valid.eq(commit)", "self.trace.valid.eq(compares)"),
            ("queue.push.eq(commit & matters)", "queue.push.eq(commit)"),
            ("row.eq(Mux(closes, 0, row + 1))\n            with m.If(closes):\n                "
             "m.d.sync += round_.eq(Mux(round_ ==",
             "row.eq(row + 1)\n            with m.If(closes):\n                "
             "m.d.sync += round_.eq(Mux(round_ =="),
            ("queue.reserve.eq(issue)", "queue.reserve.eq(0)"),
            ("fires & inputs", "fires")))), 5)
       for name, (kind, timesteps, faults) in ENCODERS.items()},
    "spike_input": Proof(
        f"SpikeInput, {N_INPUT} inputs, {TIMESTEPS} timesteps", PROPERTY, spike_input,
        (FALLS, *(Mutation("spike_input.py", *change) for change in (
            ("commit.eq(self.spikes.valid & queue.room)", "commit.eq(self.spikes.valid)"),
            ("Mux(closes, 2**remainder - 1, 2**lanes - 1)", "(2**lanes - 1)"),
            ("word.base.eq(row * lanes)", "word.base.eq(row)"),
            ("queue.push.eq(commit & matters)", "queue.push.eq(commit)"),
            ("queue.drop.eq(commit & ~matters)", "queue.drop.eq(commit)"),
            ("row.eq(Mux(closes, 0, row + 1))", "row.eq(row + 1)"),
            ("self.spikes.ready.eq(queue.room)", "self.spikes.ready.eq(1)"),
            ("self.spikes.ready.eq(queue.room)", "self.spikes.ready.eq(0)"),
            ("word.spikes.eq(spikes)", "word.spikes.eq(0)"),
            ("queue.reserve.eq(commit)", "queue.reserve.eq(0)")))), 2),
}
