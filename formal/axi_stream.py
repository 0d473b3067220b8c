"""AXI4-Stream: packets become images, and results packets, whatever comes in between."""

from amaranth.asserts import AnySeq
from amaranth.hdl import Assert, Assume, Cat, Module, Mux, Signal, Value
from test_mutations import Mutation

from sc_neurocore.axi_ports import CLASS_BITS, COUNT_BITS, CURRENT_BITS, RESULT_BITS
from sc_neurocore.gateware.axi_stream import IN_FLIGHT, ImagePackets, ResultPackets
from sc_neurocore.gateware.layouts import result
from sc_neurocore.gateware.link import DRAIN_IMAGES

from .harness import (
    Channel,
    Proof,
    helps,
    inside,
    is_in,
    is_taken,
    new,
    offers,
    past,
    signal,
    takes,
)

BEATS, DATA_BITS, INPUT_BITS, LAST_BYTES = 3, 16, 11, 1
"""Of an image; its last beat may have but one byte."""
N_OUTPUT = 3


def images() -> Module:
    """A beat is a transfer in the same cycle, or is dropped since its packet is too long."""
    m = new()
    m.submodules.packets = packets = ImagePackets(DATA_BITS, INPUT_BITS, BEATS, LAST_BYTES)
    sent = packets.transfers
    beats = Channel(Cat(packets.tdata, packets.tkeep, packets.tlast), packets.tvalid,
                    packets.tready)
    offers(m, beats, "beats")
    m.d.comb += [port.eq(AnySeq(1)) for port in
                 (packets.room, packets.holds, packets.restart, sent.ready)]
    # Only an image that goes in can take the room for the next one.
    had_room = past(m, packets.room & ~packets.image_end, "room")
    m.d.comb += Assume(~had_room | packets.room)

    # Beats of the packet and transfers of the image so far. ``is_short``: the packet is over, the
    # image is not. ``cut``: the image is gone, the packet is not over.
    came, went = is_taken(beats), is_taken(sent)
    beat, transfer = Signal(range(BEATS + 1)), Signal(range(BEATS))
    is_short, cut = Signal(), Signal()
    drops = cut | (beat == BEATS)
    is_last, is_whole = transfer == BEATS - 1, packets.tkeep[:LAST_BYTES].all()
    with m.If(went):
        m.d.sync += [transfer.eq(Mux(is_last, 0, transfer + 1)), is_short.eq(is_short & ~is_last)]
    with m.If(came):
        m.d.sync += beat.eq(Mux(packets.tlast, 0, Mux(beat == BEATS, BEATS, beat + 1)))
        with m.If(packets.tlast & ~drops & ~is_last):
            m.d.sync += is_short.eq(1)
    with m.If(packets.restart):
        m.d.sync += [transfer.eq(0), is_short.eq(0), cut.eq(beat != 0)]
    with m.If(came & packets.tlast):
        m.d.sync += cut.eq(0)

    may_go = ~packets.restart & (packets.begun | ~packets.holds) & (~is_last | packets.room)
    m.d.comb += [
        Assert(~(came & ~drops) | (went & (sent.payload == packets.tdata[:INPUT_BITS]))),
        Assert(~went | Mux(is_short, sent.payload == 0, came & ~drops)),
        Assert(drops | is_short | (transfer == beat)),
        Assert(packets.begun == (transfer != 0)),
        Assert(packets.image_end == (went & is_last)),
        Assert(~packets.image_end | (packets.broken == (is_short | ~packets.tlast | ~is_whole))),
        Assert(packets.is_short == (came & ~drops & packets.tlast & ~(is_last & is_whole))),
        Assert(packets.is_long == (came & ~drops & ~packets.tlast & is_last)),
        # Nothing else makes a beat or a transfer wait.
        Assert(~drops | packets.tready),
        Assert(sent.valid == (may_go & (is_short | (packets.tvalid & ~drops))))]
    waited, before = (past(m, value, name) for value, name in (
        (sent.valid & ~sent.ready, "waited"), (sent.payload, "payload")))
    m.d.comb += Assert(~(waited & ~packets.restart & (packets.begun | ~packets.holds))
                       | (sent.valid & (sent.payload == before)))
    module = inside(packets)
    helps(m, signal(module, "index") == transfer, is_in(module, "DROP") == drops,
          is_in(module, "PAD") == is_short, is_in(module, "PASS") == ~(drops | is_short),
          ~drops | ((transfer == 0) & (beat != 0)), ~is_short | ((beat == 0) & (transfer != 0)),
          beat <= BEATS, transfer < BEATS)
    return m


def results() -> Module:
    """A result is a beat in the next cycle; of each image it is remembered whether it is broken."""
    m = new()
    layout = result(N_OUTPUT, 3, 5)
    m.submodules.packets = packets = ResultPackets(layout, N_OUTPUT)
    beats = Channel(Cat(packets.tdata, packets.tlast), packets.tvalid, packets.tready)
    takes(m, beats, "beats")
    m.d.comb += [Value.cast(packets.results.payload).eq(AnySeq(layout.size)),
                 *(port.eq(AnySeq(1)) for port in (
                     packets.results.valid, packets.image_end, packets.broken, packets.restart,
                     packets.stopped, packets.begun)),
                 Assume(~packets.image_end | (packets.room & ~packets.restart))]

    # Images that are in, the next beat's place in its packet, and images that have come; whether
    # those that are in are given up.
    images, place, entered = (Signal(range(IN_FLIGHT + 1)), Signal(range(N_OUTPUT)),
                              Signal(range(DRAIN_IMAGES)))
    gives_up, restart = Signal(), packets.restart
    there, cut = images != 0, Signal()
    free = ~beats.valid | beats.ready
    closes = place == N_OUTPUT - 1
    adds = free & ~cut & ~restart & there & (packets.results.valid | gives_up)
    done = adds & closes
    m.d.sync += [images.eq(images + packets.image_end - done), cut.eq(cut & ~free)]
    with m.If(adds):
        m.d.sync += place.eq(Mux(closes, 0, place + 1))
    with m.If(restart):
        m.d.sync += [images.eq(0), place.eq(0), cut.eq((cut & ~free) | (place != 0))]
    with m.If(packets.image_end):
        m.d.sync += entered.eq(entered + 1)
    with m.If(restart):
        m.d.sync += gives_up.eq(0)
    with m.Elif(packets.fails):
        m.d.sync += gives_up.eq(1)
    with m.Elif(~there & ~packets.begun):
        m.d.sync += gives_up.eq(0)
    word = packets.results.payload
    wrong = packets.results.valid & (~there | (word.last != closes))

    # An image is followed from its end to the beats of its packet.
    followed, ahead, broken = Signal(), Signal(range(IN_FLIGHT)), Signal()
    with m.If(~followed & packets.image_end & AnySeq(1)):
        m.d.sync += [followed.eq(1), ahead.eq(images - done), broken.eq(packets.broken)]
    with m.Elif(done):
        m.d.sync += [followed.eq(followed & (ahead != 0)), ahead.eq(ahead - 1)]
    with m.If(restart):
        m.d.sync += followed.eq(0)
    is_its = followed & (ahead == 0)

    fields = (packets.tdata[:CURRENT_BITS].as_signed(),
              packets.tdata[CURRENT_BITS:][:CLASS_BITS],
              packets.tdata[CURRENT_BITS + CLASS_BITS:][:COUNT_BITS])
    says_broken = packets.tdata[RESULT_BITS - 1]
    came = past(m, adds, "adds")
    given = [past(m, Mux(gives_up, 0, value), name) for value, name in (
        (word.current, "current"), (word.predicted, "predicted"), (word.count, "count"))]
    may_be = gives_up | wrong
    ended = past(m, free & cut, "ended")
    m.d.comb += [
        Assert(packets.results.ready == (free & ~cut & ~restart & ~gives_up)),
        Assert(packets.room == (images != IN_FLIGHT)), Assert(packets.working == there),
        Assert(packets.image_done == done), Assert(packets.gives_up == gives_up),
        Assert(packets.holds == (gives_up | ((entered == 0) & there))),
        Assert(packets.fails == ((wrong | packets.stopped) & ~gives_up & ~restart)),
        # A beat for a result, or to end a packet, and no other.
        Assert(~past(m, free, "free") | (beats.valid == (came | ended))),
        Assert(~came | Cat(field == value for field, value in zip(fields, given,
                                                                  strict=True)).all()),
        Assert(~came | (packets.tlast == past(m, closes, "closes"))),
        Assert(~ended | (packets.tlast & says_broken)),
        Assert(~past(m, adds & is_its, "its") | (says_broken == past(m, broken | may_be,
                                                                     "is_broken")))]

    module = inside(packets)
    kept = signal(module, "flags").bit_select((images - 1 - ahead)[:4], 1)
    helps(m, signal(module, "level") == images, signal(module, "place") == place,
          signal(module, "cut") == cut, images <= IN_FLIGHT, place < N_OUTPUT,
          signal(module, "entered") == entered,
          ~cut | (place == 0), ~followed | ((ahead < images) & (kept == broken)))
    return m


PROOFS = {
    "axi_images": Proof(
        f"ImagePackets, {BEATS} beats", "a packet is an image: its beats, zeros for those that are "
        "missing, without those that are too many; what is wrong is told; offers stand", images,
        (Mutation("axi_stream.py", "may_go & self.transfers.ready", "self.transfers.ready"),
         Mutation("axi_stream.py", "Mux(pads, 0, self.tdata)", "self.tdata"),
         Mutation("axi_stream.py", "with m.If(self.tlast & ~is_last):", "with m.If(self.tlast):"),
         Mutation("axi_stream.py", "self.broken.eq(~self.tlast | ~is_whole)",
                  "self.broken.eq(~self.tlast)"),
         Mutation("axi_stream.py", "self.is_long.eq(is_last & ~self.tlast)",
                  "self.is_long.eq(~self.tlast)"),
         Mutation("axi_stream.py", "with m.If(self.restart & self.begun):", "with m.If(0):"),
         Mutation("axi_stream.py", "self.begun.eq(index != 0)", "self.begun.eq(index > 1)"),
         Mutation("axi_stream.py", "self.transfers.valid & self.transfers.ready & is_last",
                  "self.transfers.valid & is_last"))),
    "axi_results": Proof(
        f"ResultPackets, {N_OUTPUT} neurons, {IN_FLIGHT} images",
        "a packet has a beat a result, in order, and says whether its image is broken; one that is "
        "cut is ended; beats stand", results,
        (Mutation("axi_stream.py", "advance.eq(~self.tvalid | self.tready)", "advance.eq(1)"),
         Mutation("axi_stream.py", "self.tlast.eq(closes | cut)", "self.tlast.eq(closes)"),
         Mutation("axi_stream.py", "flags.eq(Cat(self.broken, flags))",
                  "flags.eq(Cat(flags[0], self.broken, flags[1:]))"),
         Mutation("axi_stream.py", "is_broken | cut | wrong | self.gives_up", "is_broken | cut"),
         Mutation("axi_stream.py", "self.results.ready.eq(may_go & ~self.gives_up)",
                  "self.results.ready.eq(may_go)"),
         Mutation("axi_stream.py", "self.tvalid.eq(adds | cut)", "self.tvalid.eq(adds)"),
         Mutation("axi_stream.py", "self.gives_up.eq(1)", "self.gives_up.eq(0)"),
         Mutation("axi_stream.py", "(entered == 0) & self.working", "(entered == 1)"),
         Mutation("axi_stream.py", "Mux(self.gives_up, 0, Cat(current, predicted, count))",
                  "Cat(current, predicted, count)"),
         Mutation("axi_stream.py", "closes.eq(place == self._n_output - 1)",
                  "closes.eq(place == self._n_output - 2)"))),
}
