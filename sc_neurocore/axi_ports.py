"""What an accelerator's AXI ports carry: packets of images and results, and the register map.

Gateware, documentation (``docs/axi.md``) and the C header are made of what stands here.
"""

from dataclasses import dataclass, field

import numpy as np

from . import __version__
from .identity import layout_hash, parameters_crc32, shape_hash, version_number
from .network import IntegerArray, IntegerNetwork
from .protocol import LinkFormat
from .spec import AcceleratorSpec

MAGIC = 0x434E4353
"""The first register: "SCNC" where the lowest byte comes first."""
MAP_VERSION = 2
"""Of the register map."""
ADDRESS_BITS = 12
"""Of byte addresses of the registers: 4 KiB, the least that an interconnect gives a peripheral."""
CURRENT_BITS = 32
"""Lowest bits of a beat of results: the current."""
CLASS_BITS = 16
"""Then the class."""
COUNT_BITS = 15
"""Then the count, and in the highest bit whether the image's packet was broken."""
RESULT_BITS = 64
"""All of them."""
BROKEN = 1 << COUNT_BITS
"""That bit, in the number with the count."""
RESULT = np.dtype([("current", "<i4"), ("class", "<u2"), ("count", "<u2")])
"""A beat of results in memory, for `numpy.frombuffer`; ``count`` has `BROKEN` in it."""


@dataclass(frozen=True)
class Register:
    """A register of 32 bits.

    Parameters
    ----------
    name : str
        As in the header, and in lower case wherever a dictionary has a key for it.
    offset : int
        Byte address, a multiple of 4.
    access : "constant", "read", "write", "read/write" or "counter"
        A constant and a counter are read, too.
    text : str
        What it holds.
    bits : dict
        Its single bits by name, the lowest being 0, and what they say.
    only : "", "loaded" or "parity"
        It is there only where parameters are loaded, or where rows of weights have parity.
    """

    name: str
    offset: int
    access: str
    text: str
    bits: dict[str, tuple[int, str]] = field(default_factory=dict)
    only: str = ""

    def is_in(self, spec: AcceleratorSpec) -> bool:
        """Whether an accelerator of this layout has it."""
        return not self.only or bool(getattr(spec, self.only))


COUNTERS = {"cycles": 8, "input_events": 8, "hidden_events": 8, "images": 4, "short_packets": 4,
            "long_packets": 4, "restarts": 4}
"""Counters and their bytes, in the order of their registers; modulo 2^(8·bytes)."""
COUNTER_TEXTS = {
    "cycles": "cycles in which an image was wholly in the accelerator and not all of its results "
              "had left it",
    "input_events": "spikes, or bits of intensities, that the first layer took",
    "hidden_events": "spikes that the other layers took",
    "images": "images whose results have left the accelerator, broken ones included",
    "short_packets": "image packets that ended too soon",
    "long_packets": "image packets that ended too late",
    "restarts": "times that the accelerator had stopped, or gave what is no result, and was reset"}
COUNTERS_OFFSET = 0x80


def _counter_registers() -> list[Register]:
    registers, offset = [], COUNTERS_OFFSET
    for name, size in COUNTERS.items():
        text = f"{COUNTER_TEXTS[name]}, modulo 2^{8 * size}"
        if size == 8:
            registers += [
                Register(f"{name}_low".upper(), offset, "counter", f"{text}: bits 31:0"),
                Register(f"{name}_high".upper(), offset + 4, "counter",
                         "bits 63:32, of the moment when the low word was read")]
        else:
            registers.append(Register(name.upper(), offset, "counter", text))
        offset += size
    return registers


REGISTERS = (
    Register("MAGIC", 0x00, "constant", f"0x{MAGIC:08X}, \"SCNC\" as bytes"),
    Register("MAP_VERSION", 0x04, "constant", f"of this table: {MAP_VERSION}"),
    Register("VERSION", 0x08, "constant",
             "of the package: major in bits 7:0, minor in 15:8, patch in 23:16"),
    Register("SHAPE", 0x0C, "constant",
             "CRC-32 of all that results depend on but parameters (`identity.shape_hash`)"),
    Register("LAYOUT", 0x10, "constant", "CRC-32 of the layout (`identity.layout_hash`)"),
    Register("PARAMETERS", 0x14, "read/write",
             "CRC-32 of the parameters (`identity.parameters_crc32`). Built in, it is a constant; "
             "where they are loaded it is written after the last word, and each word sets it to 0"),
    Register("FEATURES", 0x18, "constant", "what this accelerator is", {
        "LOADS": (0, "parameters can be loaded"),
        "EVENTS": (1, "it takes spikes, and no intensities"),
        "PARITY": (2, "rows of weights have parity")}),
    Register("INPUTS", 0x1C, "constant", "inputs of the network"),
    Register("OUTPUTS", 0x20, "constant", "output neurons: beats of a result packet"),
    Register("TIMESTEPS", 0x24, "constant", "timesteps of an image"),
    Register("INPUT_WIDTH", 0x28, "constant", "bits of an input"),
    Register("BEAT_INPUTS", 0x2C, "constant", "inputs in a beat"),
    Register("PACKET_BEATS", 0x30, "constant", "beats of an image packet"),
    Register("CONTROL", 0x34, "write", "what is to be done, once, of each bit that is 1", {
        "RESET": (0, "give up all images that are in the accelerator"),
        "CLEAR": (1, "set all counters to 0")}),
    Register("STATUS", 0x38, "read/write", "bits 1 to 4 stay until a 1 is written to them", {
        "BUSY": (0, "a part of an image or of a result is in the accelerator"),
        "SHORT": (1, "an image packet ended too soon"),
        "LONG": (2, "an image packet ended too late"),
        "REFUSED": (3, "a word was not loaded, since BUSY was set"),
        "RESTARTED": (4, "the accelerator had stopped, or gave what is no result, and was reset")}),
    Register("LOAD_ADDRESS", 0x3C, "read/write",
             "address of the next word to load (`parameters.load_words`)", only="loaded"),
    Register("LOAD_DATA", 0x40, "write",
             "bits 15:0 are loaded at LOAD_ADDRESS, which goes up by one", only="loaded"),
    Register("CORRUPTED_LAYER", 0x44, "read",
             "layer of the first row of weights that was read and does not go with its parity, "
             "the first layer being 1; 0 if there was none. Stays, over a reset too, until a word "
             "is loaded or the FPGA configured again", only="parity"),
    Register("CORRUPTED_ROW", 0x48, "read",
             "its row in the layer's weight memory: fold · rows of a fold + input", only="parity"),
    *_counter_registers())
BY_NAME = {register.name: register for register in REGISTERS}


def constants(network: IntegerNetwork, spec: AcceleratorSpec) -> dict[str, int]:
    """Values of the registers that never change, by name; PARAMETERS unless it is loaded."""
    form = LinkFormat.of(network, spec.beats)
    features = BY_NAME["FEATURES"].bits
    values = {
        "MAGIC": MAGIC, "MAP_VERSION": MAP_VERSION, "VERSION": version_number(__version__),
        "SHAPE": shape_hash(network), "LAYOUT": layout_hash(spec),
        "FEATURES": (bool(spec.loaded) << features["LOADS"][0]
                     | (network.encoder == "events") << features["EVENTS"][0]
                     | spec.parity << features["PARITY"][0]),
        "INPUTS": network.n_input, "OUTPUTS": network.n_output, "TIMESTEPS": network.timesteps,
        "INPUT_WIDTH": form.beat_width, "BEAT_INPUTS": spec.beats,
        "PACKET_BEATS": form.transfers}
    if not spec.loaded:
        values["PARAMETERS"] = parameters_crc32(network)
    return values


def image_data_bits(network: IntegerNetwork, spec: AcceleratorSpec) -> int:
    """Bits of ``s_axis_tdata``: a beat's inputs in the next power of two of bytes."""
    bits = LinkFormat.of(network, spec.beats).beat_width * spec.beats
    return 8 << (-(-bits // 8) - 1).bit_length()


def image_packet(network: IntegerNetwork, spec: AcceleratorSpec, inputs: IntegerArray) -> bytes:
    """Bytes of a packet: of (n_input,) intensities, or (timesteps, n_input) spikes."""
    form = LinkFormat.of(network, spec.beats)
    packed = np.frombuffer(form.image(inputs), np.uint8).reshape(form.transfers, -1)
    beats = np.zeros((form.transfers, image_data_bits(network, spec) // 8), np.uint8)
    beats[:, :packed.shape[1]] = packed
    return beats.tobytes()


def last_beat_bytes(network: IntegerNetwork, spec: AcceleratorSpec) -> int:
    """Bytes that an image packet's last beat has at least: those with an input in them."""
    inputs = network.n_input - (spec.transfers(network) - 1) * spec.beats
    return -(-inputs * LinkFormat.of(network, spec.beats).beat_width // 8)


def check(network: IntegerNetwork, spec: AcceleratorSpec) -> None:
    """Raise ValueError unless ``spec`` is a layout of ``network`` whose results fit a beat."""
    spec.check(network)
    width = spec.current_width(network)
    if width > CURRENT_BITS:
        raise ValueError(f"Currents must have at most {CURRENT_BITS} bits behind AXI, not {width}")


_ONLY = {"": "", "loaded": "; only where parameters are loaded",
         "parity": "; only where rows of weights have parity"}


def table() -> str:
    """The register map as Markdown."""
    lines = ["| offset | register | access | |", "|---|---|---|---|"]
    for register in REGISTERS:
        text = register.text + _ONLY[register.only]
        bits = "".join(f"; bit {place} {name}: {said}"
                       for name, (place, said) in register.bits.items())
        access = {"constant": "read", "counter": "read"}.get(register.access, register.access)
        lines.append(f"| 0x{register.offset:02X} | {register.name} | {access} | {text}{bits} |")
    return "\n".join(lines) + "\n"


def c_header(network: IntegerNetwork, spec: AcceleratorSpec) -> str:
    """C header: offsets and bits of the registers, a result, and what the constants must be."""
    known = constants(network, spec)
    lines = [f"/* Registers of an accelerator, generated by sc_neurocore {__version__}; do not "
             "edit. */", "#ifndef SCNC_H", "#define SCNC_H", "", "#include <stdint.h>", "",
             "/* Byte offsets, and bits. */"]
    for register in REGISTERS:
        if not register.is_in(spec):
            continue
        lines.append(f"#define SCNC_{register.name} 0x{register.offset:02X}u")
        lines += [f"#define SCNC_{register.name}_{name} 0x{1 << place:X}u"
                  for name, (place, _) in register.bits.items()]
    lines += ["", "/* What the constant registers of this network hold. */",
              *[f"#define SCNC_EXPECTED_{name} 0x{value:X}u" for name, value in known.items()], "",
              "/* A beat of a result packet: one output neuron. The class is right in the last. */",
              "struct scnc_result {", "    int32_t current;", "    uint16_t class_index;",
              "    uint16_t count;", "};", f"#define SCNC_COUNT_MASK 0x{(1 << COUNT_BITS) - 1:X}u",
              f"#define SCNC_COUNT_BROKEN 0x{BROKEN:X}u", "", "#endif"]
    return "\n".join(lines) + "\n"
