"""Contents of commands: bytes become transfers of images, and words to load."""

from amaranth.asserts import AnyConst, AnySeq
from amaranth.hdl import Assert, Assume, Cat, Const, Module, Mux, Signal, Value
from amaranth.lib import data
from test_mutations import Mutation

from sc_neurocore.gateware.contents import ImageReader, LoadReader
from sc_neurocore.protocol import LOAD_HEADER_BYTES, LinkFormat

from .harness import Proof, helps, inside, is_taken, new, offers, signal, takes

FORMAT = LinkFormat(beat_width=6, beats=3, transfers=3, n_output=2, count_width=2, current_width=3)
"""Three transfers of three bytes, of which the last has two bits."""
SIZE, CRC_BITS, ADDRESS_BITS = FORMAT.transfer_bytes, 32, 11


def images() -> Module:
    """A byte of each transfer is followed; the solver chooses which."""
    m = new()
    m.submodules.reader = reader = ImageReader(FORMAT)
    source, sent = reader.bytes, reader.transfers
    offers(m, source, "bytes")
    takes(m, sent, "transfers")
    place, transfer = Signal(range(SIZE)), Signal(range(FORMAT.transfers))
    closes, ends = place == SIZE - 1, transfer == FORMAT.transfers - 1
    came = is_taken(source)
    with m.If(came):
        m.d.sync += place.eq(Mux(closes, 0, place + 1))
        with m.If(closes):
            m.d.sync += transfer.eq(Mux(ends, 0, transfer + 1))

    chosen, byte = AnyConst(range(SIZE)), Signal(8)
    m.d.comb += Assume(chosen < SIZE)
    with m.If(came & (place == chosen)):
        m.d.sync += byte.eq(source.payload)
    whole = Cat(sent.payload, Const(0, 8 * SIZE - len(sent.payload)))
    used = 8 - (8 * SIZE - len(sent.payload))
    followed = Mux(chosen == SIZE - 1, source.payload[:used], byte)
    m.d.comb += [Assert(sent.valid == (source.valid & closes)),
                 Assert(source.ready == (~closes | sent.ready)),
                 Assert(~sent.valid | (whole.word_select(chosen, 8) == followed)),
                 Assert(reader.image_end == (came & closes & ends)),
                 Assert(reader.begun == ((place != 0) | (transfer != 0)))]
    module = inside(reader)
    collected = signal(module, "collected")
    helps(m, signal(module, "place") == place, signal(module, "transfer") == transfer,
          place < SIZE, transfer < FORMAT.transfers,
          (place <= chosen) | (collected.word_select((SIZE - 1 - place + chosen)[:2], 8) == byte))
    return m


def loads() -> Module:
    """A LOAD's header, and word after word of it."""
    m = new()
    m.submodules.reader = reader = LoadReader(
        data.StructLayout({"address": ADDRESS_BITS, "data": 16}))
    source, load = reader.bytes, reader.load
    offers(m, source, "bytes")
    takes(m, load, "load")
    m.d.comb += [reader.restart.eq(AnySeq(1)), Assume(~(reader.restart & source.valid))]

    # A header, and then so many words; ``place`` is that of the next byte.
    header, low = Signal(8 * LOAD_HEADER_BYTES), Signal(8)
    place, words = Signal(range(LOAD_HEADER_BYTES + 2)), Signal(ADDRESS_BITS)
    closes, is_header = place == LOAD_HEADER_BYTES + 1, place < LOAD_HEADER_BYTES
    with m.If(reader.restart):
        m.d.sync += [place.eq(0), words.eq(0)]
    with m.Elif(is_taken(source)):
        m.d.sync += [place.eq(Mux(closes, LOAD_HEADER_BYTES, place + 1)), low.eq(source.payload),
                     words.eq(words + closes)]
        with m.If(is_header):
            m.d.sync += header.word_select(place, 8).eq(source.payload)
    first = header[CRC_BITS:]
    m.d.comb += [Assert(load.valid == (source.valid & closes)),
                 Assert(source.ready == (~closes | load.ready)),
                 Assert(~load.valid | (load.payload.address == (first + words)[:ADDRESS_BITS])),
                 Assert(~load.valid | (load.payload.data == Cat(low, source.payload))),
                 Assert(is_header | (reader.parameters == header[:CRC_BITS]))]

    module = inside(reader)
    address = signal(module, "address")
    helps(m, signal(module, "step") == place, place < LOAD_HEADER_BYTES + 2,
          ~closes | (signal(module, "low") == low), ~is_header | (words == 0),
          is_header | (address == (first + words)[:ADDRESS_BITS]))
    for index in range(LOAD_HEADER_BYTES):
        kept = (Value.cast(reader.parameters).word_select(index, 8) if index < CRC_BITS // 8
                else address[8 * index - CRC_BITS:][:8])
        helps(m, ~is_header | (place <= index)
              | (kept == header[8 * index:8 * index + len(kept)]))
    return m


PROOFS = {
    "image_reader": Proof(
        f"ImageReader, {FORMAT.transfers} transfers of {SIZE} bytes",
        "every byte is in its place of its transfer; the end of an image is told; offers stand",
        images,
        (Mutation("contents.py", "transfer == count - 1", "transfer == count - 2"),
         Mutation("contents.py", "self.bytes.ready.eq(~closes | self.transfers.ready)",
                  "self.bytes.ready.eq(1)"),
         Mutation("contents.py", "self.transfers.valid.eq(self.bytes.valid & closes)",
                  "self.transfers.valid.eq(closes)"),
         Mutation("contents.py", "collected.eq(whole[8:])", "collected.eq(whole)"))),
    "load_reader": Proof(
        f"LoadReader, addresses of {ADDRESS_BITS} bits",
        "every word is sent once, with its address; the CRC is that of the header; offers stand",
        loads,
        (Mutation("contents.py", "step.eq(LOAD_HEADER_BYTES)]", "step.eq(LOAD_HEADER_BYTES + 1)]"),
         Mutation("contents.py", "[address.eq(address + 1), ", "["),
         Mutation("contents.py", "self.load.valid.eq(self.bytes.valid & closes)",
                  "self.load.valid.eq(closes)"),
         Mutation("contents.py", "self.bytes.ready.eq(~closes | self.load.ready)",
                  "self.bytes.ready.eq(1)"),
         Mutation("contents.py", "parameters.word_select(index, 8)",
                  "parameters.word_select(3 - index, 8)"))),
}
