"""What the AXI ports carry: the register map and its documents, packets, and what is refused."""

import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from sc_neurocore import axi_ports
from sc_neurocore.network import IntegerLayer, IntegerNetwork
from sc_neurocore.parameters import Capacity
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.verilog import generate_axi

DOCUMENT = Path(__file__).parents[1] / "docs" / "axi.md"


def network(n_input=5, intensity_width=8, encoder="lfsr"):
    layer = IntegerLayer(np.ones((3, n_input), dtype=int), np.zeros(3, dtype=int), np.full(3, 9),
                         np.full(3, 4))
    return IntegerNetwork((layer,), 4, intensity_width, encoder)


SPEC = AcceleratorSpec((3,), 4)


def test_offsets_are_words_and_none_is_used_twice():
    offsets = [register.offset for register in axi_ports.REGISTERS]
    assert len(set(offsets)) == len(offsets)
    assert all(offset % 4 == 0 and offset < 2**axi_ports.ADDRESS_BITS for offset in offsets)
    for register in axi_ports.REGISTERS:
        bits = [bit for bit, _ in register.bits.values()]
        assert len(set(bits)) == len(bits)


def test_the_documentation_has_the_register_map():
    assert axi_ports.table() in DOCUMENT.read_text()


def test_constants_say_what_the_network_is():
    values = axi_ports.constants(network(), SPEC)
    assert values["MAGIC"].to_bytes(4, "little") == b"SCNC"
    assert [values[name] for name in ("INPUTS", "OUTPUTS", "TIMESTEPS", "INPUT_WIDTH",
                                      "BEAT_INPUTS", "PACKET_BEATS", "FEATURES")] == [
        5, 3, 4, 8, 4, 2, 0]
    events = axi_ports.constants(network(encoder="events"), SPEC)
    assert (events["FEATURES"], events["PACKET_BEATS"], events["INPUT_WIDTH"]) == (2, 8, 1)
    loaded = SPEC.with_loading(network())
    values = axi_ports.constants(network(), loaded)
    assert values["FEATURES"] == 1
    assert "PARAMETERS" not in values


@pytest.mark.parametrize(("width", "beats", "bits", "last"), [
    (8, 1, 8, 1), (8, 4, 32, 1), (8, 8, 64, 5), (5, 4, 32, 1), (5, 8, 64, 4), (3, 1, 8, 1),
    (16, 64, 1024, 10)])
def test_beats_are_a_power_of_two_of_bytes(width, beats, bits, last):
    narrow, spec = network(intensity_width=width), AcceleratorSpec((3,), beats)
    assert axi_ports.image_data_bits(narrow, spec) == bits
    assert axi_ports.last_beat_bytes(narrow, spec) == last


def test_intensities_of_8_bits_are_the_bytes_of_a_packet():
    packet = axi_ports.image_packet(network(), SPEC, np.array([1, 2, 255, 4, 5]))
    assert packet == bytes([1, 2, 255, 4, 5, 0, 0, 0])


def test_narrow_intensities_are_packed_in_each_beat():
    narrow = network(intensity_width=5)
    packet = axi_ports.image_packet(narrow, SPEC, np.array([1, 2, 31, 4, 5]))
    assert packet == (1 | 2 << 5 | 31 << 10 | 4 << 15).to_bytes(4, "little") + b"\5\0\0\0"


def test_events_are_bits_timestep_by_timestep():
    events = network(encoder="events")
    spikes = np.zeros((4, 5), dtype=int)
    spikes[0, 1] = spikes[1, 4] = spikes[3, 0] = 1
    assert axi_ports.image_packet(events, SPEC, spikes) == bytes([2, 0, 0, 1, 0, 0, 1, 0])


def test_a_result_is_8_bytes():
    assert axi_ports.RESULT.itemsize * 8 == axi_ports.RESULT_BITS
    beat = np.frombuffer((-7 & 2**32 - 1 | 3 << 32 | 5 << 48 | 1 << 63).to_bytes(8, "little"),
                         axi_ports.RESULT)[0]
    assert (beat["current"], beat["class"], beat["count"]) == (-7, 3, 5 | axi_ports.BROKEN)


@pytest.mark.parametrize(("loaded", "parity"), [(False, False), (True, False), (True, True)])
def test_the_header_compiles_and_says_the_same(loaded, parity, tmp_path):
    spec = replace(SPEC.with_loading(network()) if loaded else SPEC, parity=parity)
    header = axi_ports.c_header(network(), spec)
    assert ("SCNC_LOAD_DATA" in header) == loaded
    assert ("SCNC_CORRUPTED_ROW" in header) == parity
    defined = dict(re.findall(r"#define SCNC_(\w+) 0x([0-9A-F]+)u", header))
    for register in axi_ports.REGISTERS:
        if register.is_in(spec):
            assert int(defined[register.name], 16) == register.offset
    for name, value in axi_ports.constants(network(), spec).items():
        assert int(defined[f"EXPECTED_{name}"], 16) == value
    (tmp_path / "scnc.h").write_text(header)
    (tmp_path / "main.cpp").write_text(
        '#include "scnc.h"\n'
        "static_assert(sizeof(struct scnc_result) == 8, \"\");\n"
        "static_assert(SCNC_STATUS == 0x38 && SCNC_STATUS_LONG == 4, \"\");\n")
    compiler = shutil.which("g++")
    assert compiler, "the simulations need it as well"
    subprocess.run([compiler, "-std=c++11", "-Wall", "-Werror", "-fsyntax-only", "main.cpp"],
                   cwd=tmp_path, check=True)


def test_the_text_is_the_same_every_time_and_has_standard_ports():
    one, other = (generate_axi(network(), SPEC, name="snn") for _ in range(2))
    assert one == other
    ports = set(re.search(r"module snn\((.*?)\);", one, re.DOTALL)[1].replace("\n", "").split(", "))
    assert ports == {
        "aclk", "aresetn", "s_axis_tdata", "s_axis_tkeep", "s_axis_tlast", "s_axis_tvalid",
        "s_axis_tready", "m_axis_tdata", "m_axis_tlast", "m_axis_tvalid", "m_axis_tready",
        *(f"s_axi_{name}" for name in (
            "awaddr", "awprot", "awvalid", "awready", "wdata", "wstrb", "wvalid", "wready",
            "bresp", "bvalid", "bready", "araddr", "arprot", "arvalid", "arready", "rdata",
            "rresp", "rvalid", "rready"))}
    assert one.startswith("// Spiking network accelerator, generated by sc_neurocore")


def test_currents_that_are_too_wide_are_refused():
    wide = replace(SPEC, loaded=(Capacity(8, 30, 40, 40, 40, 1, 1),))
    with pytest.raises(ValueError, match="Currents must have at most 32 bits behind AXI, not 42"):
        generate_axi(network(), wide)
    with pytest.raises(ValueError, match="Module name must be a Verilog identifier, not 'a b'"):
        generate_axi(network(), SPEC, name="a b")
