"""The parts of an accelerator: what each of them consists of, one function for each.

They follow `sc_neurocore.gateware` file by file, and count what a reader finds there: registers and
adders, and memories as Yosys makes them. What cannot be counted, logic, is named: so many things of
a kind of `prices.LUTS`.
"""

from collections import Counter
from dataclasses import dataclass

from ..families import reads_at_once
from ..network import IntegerNetwork
from ..parameters import WORD_WIDTH, load_format, part_row
from ..rounds import Adds, Closes, encoder_rounds, is_direct, phases
from ..spec import GROUP, PARITY_PART, QUEUE_DEPTH, AcceleratorSpec
from ..timing import MEMORY_LATENCY, PARITY_LATENCY
from ..widths import signed_width
from .cells import Cells, total
from .memories import choose

COMBINATORIAL_FOLDS = 16
"""As in `gateware.neuron_array`."""
_STAGES = 3
"""Stages of a layer's pipeline: addressed, fetched, executed."""


def index_bits(entries: int) -> int:
    """Bits of an index in range(entries), as `gateware.layouts.index_shape` has it."""
    return max(1, (entries - 1).bit_length())


@dataclass(frozen=True)
class Site:
    """A layer of a network in a layout, and what its parts are made of."""

    network: IntegerNetwork
    spec: AcceleratorSpec
    index: int
    family: str

    @property
    def lanes(self) -> int:
        """Neurons in a fold."""
        return self.spec.lanes[self.index]

    @property
    def folds(self) -> int:
        """Folds of its neurons."""
        return self.spec.folds(self.network, self.index)

    @property
    def n_input(self) -> int:
        """Inputs."""
        return self.network.layers[self.index].n_input

    @property
    def n_output(self) -> int:
        """Neurons."""
        return self.network.layers[self.index].n_output

    @property
    def is_output(self) -> bool:
        """Whether it is the output layer."""
        return self.index == len(self.network.layers) - 1

    @property
    def is_direct(self) -> bool:
        """Whether it receives intensities as a current."""
        return is_direct(self.network, self.index)

    @property
    def saturates(self) -> bool:
        """Whether a membrane may saturate."""
        return self.network.widths[self.index].saturates

    @property
    def potentials(self) -> list[int]:
        """Bits of the potential of each lane."""
        capacity = self.spec.capacity(self.index)
        if capacity is not None:
            return [capacity.potential] * self.lanes
        widths = self.network.widths[self.index].potentials
        return [max(widths[lane::self.lanes]) for lane in range(self.lanes)]


def memory(family: str, rows: int, width: int, *, writes: int = 1, wants: str = "",
           registered: bool = False, written: int | None = None) -> Cells:
    """A memory with one synchronous read port; ``registered`` with a register behind it.

    ``written``: so many of its rows are ever written, if not all are.
    """
    choice = choose(family, rows, width, writes=writes, wants=wants)
    absorbs = family == "ecp5" and choice.kind == "block" and choice.banks == 1
    flip_flops = width * (registered and not absorbs)
    logic: Counter[str] = Counter()
    if choice.kind != "block":
        flip_flops += width
    if choice.kind == "logic" and writes:
        changing = rows if written is None else written
        flip_flops += changing * width
        logic["register file bit"] = rows * width
    elif choice.kind == "logic":
        logic["constant bit"] = rows * width
    if choice.banks > 1:
        flip_flops += index_bits(choice.banks) * (choice.kind == "block")
        logic["bank bit"] = (choice.banks - 1) * width
        logic["bank"] = choice.banks * bool(writes)
    return Cells(logic, (), flip_flops, choice.count * (choice.kind == "block"),
                 choice.count * (choice.kind == "lut"))


def queue(family: str, width: int, depth: int) -> Cells:
    """`ReservedQueue`."""
    if depth == 1:
        return Cells(Counter({"queue": 1, "queued bit": width}), (), 2 + width)
    bits = depth.bit_length()
    return memory(family, depth, width) + Cells(
        Counter({"deep queue": 1}), (bits, bits, bits), 3 * bits + 1)


def encoder(network: IntegerNetwork, spec: AcceleratorSpec, family: str) -> Cells:
    """`SpikeEncoder` or `SpikeInput`, its queue included."""
    lanes, rows = spec.word_lanes(network), index_bits(spec.encoder_words(network))
    rounds = index_bits(encoder_rounds(network))
    words = queue(family, lanes + 1 + index_bits(network.n_input), QUEUE_DEPTH)
    if network.encoder == "events":
        return words + Cells(Counter({"spike input lane": lanes}), (), rows)
    beats, width = spec.beats, network.intensity_width
    image = memory(family, 2 << (spec.encoder_words(network) - 1).bit_length(), lanes * width,
                   writes=lanes // beats, wants="block", registered=True)
    control = Cells(Counter({"encoder": 1}), (),
                    4 + index_bits(spec.transfers(network)) + rows + rounds + 3 + 3 + 2
                    + rows + lanes)
    compares = Cells()
    if network.encoder == "lfsr":
        compares = Cells(Counter({"draw bit": lanes * width, "lfsr": 1}), (width + 2,) * lanes, 32)
    elif network.encoder == "low_discrepancy":
        compares = Cells(Counter({"even lane": lanes}), (width + 2,) * lanes, rows + rounds)
    else:
        compares = Cells(Counter({"plane bit": lanes * width}), (), rounds)
    return total([words, image, control, compares])


def serializer(n_neurons: int, lanes: int, base_bits: int, ports: int) -> Cells:
    """`Serializer`; ``base_bits`` of the number of a word's first neuron are not constant."""
    size = GROUP * ports
    group, parts = min(lanes, size), -(-lanes // size)
    bits = base_bits + (parts - 1).bit_length()
    cells = Cells(Counter({"serializer": 1, "group lane": group}), (), group + 1 + bits + 1)
    if ports == 2:
        cells += Cells(Counter({"second lane": group}))
    if parts > 1:
        cells += Cells(Counter({"word lane": lanes}), (), parts + 1)
    return cells


def replay(site: Site) -> Cells:
    """`Replay`, of a layer with several folds."""
    address = index_bits(site.n_input)
    most, width = site.n_input, site.spec.ports[site.index] * (address + 1)
    if site.spec.replays(site.network, site.index) == "words":
        most = site.spec.source_words(site.network, site.index)
        width = site.spec.source_lanes(site.network, site.index) + address
    bits = index_bits(most)
    return memory(site.family, 2 << (most - 1).bit_length(), width) + Cells(
        Counter({"replay": 1, "replayed bit": bits}), (bits, bits),
        5 + 4 * bits + index_bits(site.folds) + 1)


def weights(site: Site, weight_width: int | None = None) -> Cells:
    """`WeightMemory`, of weights of fewer bits than they have if so many are given."""
    kind = site.spec.memories[site.index]
    bits = weight_width or site.network.layers[site.index].weight_width
    rows = max(2, site.folds * site.spec.fold_rows(site.network, site.index))
    width, ports = bits * site.lanes + site.spec.parity, site.spec.ports[site.index]
    summing = Cells()
    if ports == 2:
        summing = Cells(Counter({"summed bit": width}), (bits + 1,) * site.lanes,
                        width + site.lanes + 3 + index_bits(rows))
    if kind == "logic":
        return summing + Cells(Counter({"constant bit": ports * rows * width}), (),
                               2 * ports * index_bits(rows))
    shape = site.spec.weight_shape(site.network, site.index, bits)
    if site.spec.parity:
        summing += parity(site, width)
    if kind == "spram":
        single = shape.columns[-1] == 1
        count = shape.count - single
        beside = (memory(site.family, shape.entries, 1, wants="block") if single else Cells())
        return summing + beside + Cells(Counter({"spram": count}), (), width, spram=count)
    # A memory that has no second port to be read through is made twice.
    copies = ports if site.family == "ice40" else 1
    columns = [memory(site.family, shape.entries, column, writes=int(bool(site.spec.loaded)),
                      wants="block", registered=True)
               for column in shape.columns] * shape.banks * copies
    selects = ports * (shape.banks > 1)
    return total([*columns, summing, Cells(
        Counter({"bank bit": ports * (shape.banks - 1) * width}), (),
        selects * (width + 2 * index_bits(shape.banks)))])


def parity(site: Site, width: int) -> Cells:
    """`ParityCheck` of each port, and the layer's part of the report.

    An exclusive or of n bits takes a LUT for each 3 inputs that it does away with.
    """
    ports, parts = site.spec.ports[site.index], -(-width // PARITY_PART)
    row = index_bits(site.folds * site.spec.fold_rows(site.network, site.index))
    stages = MEMORY_LATENCY + (site.spec.weight_shape(site.network, site.index).banks > 1)
    stages += PARITY_LATENCY
    luts = sum(-(-(min(PARITY_PART, width - low) - 1) // 3) for low in range(0, width, PARITY_PART))
    luts += -(-(parts - 1) // 3) + row
    return Cells(Counter({"parity LUT": luts * ports}), (),
                 ports * (parts + 1 + stages * (row + 1)))


def parity_report(network: IntegerNetwork, spec: AcceleratorSpec) -> Cells:
    """Where the first corrupted row was."""
    rows = max(spec.folds(network, index) * spec.fold_rows(network, index)
               for index in range(len(network.layers)))
    return Cells(Counter(), (), index_bits(len(network.layers) + 1) + index_bits(rows))


def _flags(site: Site) -> int:
    """Flags of the neuron array: what holds of the operation that is executed."""
    kinds = {part.closes for part in phases(site.network, site.index)}
    flags = 3 + site.saturates + (site.folds > 1 and len(kinds) > 1)
    if site.is_direct:
        flags += 4
    if site.folds == 1:
        flags += 1 + site.is_direct
    return flags + (Closes.KEEP in kinds)


def neurons(site: Site) -> Cells:
    """`NeuronArray`: potentials, their adders, and what is added."""
    widths, lanes, folds = site.potentials, site.lanes, site.folds
    bits = sum(widths)
    weight = site.network.layers[site.index].weight_width
    logic = Counter({"weight bit": weight * lanes, "lane": lanes})
    cells = Cells(logic, tuple(widths), bits + _flags(site))
    if site.saturates:
        cells += Cells(Counter({"saturating bit": bits}), tuple(widths) * 2)
    if site.is_direct:
        cells += Cells(Counter({"direct bit": bits}), (), bits if folds == 1 else 0)
        if folds > 1:
            cells += memory(site.family, folds, bits)
    if site.spec.loaded:
        return cells + loaded_parameters(site)
    if folds > 1:
        depth = (1 << (folds - 1).bit_length()) * (2 + site.is_direct)
        cells += memory(site.family, depth, bits, written=folds)
        if reads_at_once(site.spec.family, depth):
            cells += Cells(Counter(), (), index_bits(depth) - bits)
        cells += Cells(Counter({"loaded bit": bits}))
    return cells + parameters(site)


def loaded_parameters(site: Site) -> Cells:
    """`FoldStore`, or the thresholds of a single fold; `ParameterRows`; and what loads them."""
    capacity = site.spec.loaded[site.index]
    address = index_bits(site.n_input + capacity.bias_rows + capacity.initial_rows)
    rows = Cells(Counter({"parameter rows": 1, "parameter row bit": address}), (),
                 index_bits(site.folds) + 8)
    if site.folds == 1:
        return rows + Cells(Counter(), (), site.lanes * capacity.threshold)
    parts = site.spec.parts(site.network, site.index)
    share = -(-site.lanes // parts)
    entries = part_row(site.folds - 1, parts - 1, parts) + 1
    # Numbers on their way in and out; those that go out are loaded, and then move on.
    bits = parts * share * capacity.potential
    words = [min(WORD_WIDTH, share * capacity.threshold - low)
             for low in range(0, share * capacity.threshold, WORD_WIDTH)]
    return total([rows, memory(site.family, entries, share * capacity.potential),
                  *(memory(site.family, entries, word) for word in words),
                  Cells(Counter({"fold store": 1, "leaving bit": bits, "loaded bit": bits}), (),
                        2 * bits + parts * share * capacity.threshold
                        + 2 * index_bits(parts) + 4 + index_bits(site.folds))])


def parameters(site: Site) -> Cells:
    """Biases and thresholds of the folds, as they are added to the potentials."""
    if site.folds == 1:
        return Cells()
    neurons, scheduled = site.network.neurons(site.index), site.network.schedule == "pipelined"
    bias = neurons.biases * (scheduled and not site.is_direct)
    rows = [bias - neurons.thresholds, *([bias] if bias.any() else []),
            *([neurons.biases] if site.is_direct else [])]
    widths = [signed_width(int(values.min()), int(values.max())) for values in rows]
    if site.folds > COMBINATORIAL_FOLDS:
        return total(memory(site.family, site.folds, width * site.lanes, writes=0)
                     for width in widths)
    bits = sum(widths) * site.lanes
    return Cells(Counter({"parameter bit": bits, "parameter": bits * site.folds}))


def control(site: Site) -> Cells:
    """`Layer` without what has a file of its own."""
    parts = phases(site.network, site.index)
    folds = index_bits(site.folds)
    rows = index_bits(site.folds * site.spec.fold_rows(site.network, site.index))
    closes = {part.closes for part in parts}
    operations = 3 if site.is_direct or site.saturates or Closes.KEEP in closes else 2
    step = operations * 2 + 2 * (1 + site.is_direct) + _STAGES * folds
    base = rows * (site.folds > 1)
    registers = (1 + site.saturates + index_bits(len(parts))
                 + index_bits(max(part.count for part in parts)) + folds + step + rows + base
                 + 6 * site.is_output + index_bits(site.n_output) * (
                     site.folds > 1 and not site.is_output))
    adders = (base, rows) if base else ()
    adds = {part.adds for part in parts}
    return Cells(Counter({"layer": 1, "row bit": base,
                          "phase": len(parts) - 1, "direct layer": int(Adds.CURRENT in adds)}),
                 adders, registers)


def layer_queue(site: Site) -> Cells:
    """`ReservedQueue` at the end of a layer."""
    depth = site.spec.queue_depth(site.network, site.index)
    if site.is_output:
        widths = site.network.widths[site.index]
        width = site.lanes + 2 + (sum(site.potentials) if depth == 1
                                  else 1 + widths.accumulator * site.lanes)
    else:
        width = site.lanes + 1 + (depth > 1) * index_bits(site.n_output)
    return queue(site.family, width, depth)


def readout(site: Site) -> Cells:
    """`Readout`."""
    network, lanes = site.network, site.lanes
    count, current = network.count_width, site.spec.current_width(network)
    neuron = index_bits(site.n_output)
    result = 2 * neuron + count + current + 1
    cells = Cells(Counter({"readout": 1, "count bit": lanes * count, "current bit": current,
                           "selected bit": (lanes - 1) * (max(site.potentials) + count + 1)}),
                  (current, current, *[current] * -(-count // 4)),
                  current + neuron + index_bits(lanes) + neuron + 1
                  + (result - neuron) + result + 1)
    if site.spec.loaded:
        capacity = site.spec.loaded[-1]
        cells += Cells(Counter({"product bit": count * capacity.threshold}), (),
                       capacity.threshold + capacity.accumulator)
    if site.folds == 1:
        return cells + Cells(Counter(), (), lanes * count)
    return cells + memory(site.family, site.folds, lanes * count) + Cells(
        Counter(), (), index_bits(site.folds) + 1)


def loading(network: IntegerNetwork, spec: AcceleratorSpec) -> Cells:
    """What takes in the words of parameters."""
    return Cells(Counter({"load target": 2 * len(spec.lanes) + 1}), (),
                 load_format(network, spec).address_bits + WORD_WIDTH + 1)
