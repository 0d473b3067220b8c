"""AXI ports around an accelerator: every packet, register and counter, by cocotbext-axi."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from common import random_network

from sc_neurocore import axi_ports, golden
from sc_neurocore.cosim import simulation
from sc_neurocore.gateware.axi_top import AxiTop
from sc_neurocore.parameters import load_words
from sc_neurocore.protocol import LinkFormat
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.storage import load_network
from sc_neurocore.synthesis import map_verilog
from sc_neurocore.verilog import component_text, generate, generate_axi

REFERENCE = Path(__file__).parents[1] / "hdl" / "reference.safetensors"
TOP = "axi"
NETWORK = random_network((23, 7, 3), seed=25)    # its images are of all three classes
SPEC = AcceleratorSpec((3, 2), 4)
CASES = {
    "padded": (NETWORK, SPEC),
    "not in whole bytes": (replace(NETWORK, intensity_width=5), replace(SPEC, beats=8)),
    "events": (replace(NETWORK, encoder="events"), replace(SPEC, beats=8)),
    "one beat": (random_network((4, 6, 3), seed=5), AcceleratorSpec((6, 3), 4)),
    "loaded": (NETWORK, SPEC.with_loading(NETWORK)),
}


def inputs_of(network, spec, packet):
    """What a packet of any length stands for: what is missing is zero, what is too much nothing."""
    form = LinkFormat.of(network, spec.beats)
    size = axi_ports.image_data_bits(network, spec) // 8
    padded = packet[:form.transfers * size].ljust(form.transfers * size, b"\0")
    bits = np.unpackbits(np.frombuffer(padded, np.uint8), bitorder="little")
    fields = bits.reshape(form.transfers, -1)[:, :spec.beats * form.beat_width]
    values = fields.reshape(-1, form.beat_width) @ (1 << np.arange(form.beat_width))
    rows = network.timesteps if network.encoder == "events" else 1
    return values.reshape(rows, -1)[:, :network.n_input].squeeze(0 if rows == 1 else ())


def packets(network, spec, count, seed=1):
    """Packets of all kinds, and what the golden model makes of them."""
    random = np.random.default_rng(seed)
    size = axi_ports.image_data_bits(network, spec) // 8
    made = []
    for number in range(count):
        if network.encoder == "events":
            image = (random.random((network.timesteps, network.n_input)) < 0.3).astype(int)
        else:
            image = random.integers(0, network.full_scale + 1, network.n_input)
        packet = axi_ports.image_packet(network, spec, image)
        least = len(packet) - size + axi_ports.last_beat_bytes(network, spec)
        kind = ("whole", "short", "long", "trimmed", "whole")[number % 5]
        if kind == "short" and least == 1:
            kind = "whole"
        match kind:
            case "trimmed":
                packet = packet[:least]
            case "short":
                # The first of them lacks a single byte.
                packet = packet[:random.integers(1, least) if number > 5 else least - 1]
            case "long":
                packet += random.bytes(size * random.integers(1, 5) - random.integers(0, size))
        inputs = inputs_of(network, spec, packet)
        traced = golden.trace(network, inputs, spec)
        cycles, spikes = traced.trace.cycles, traced.trace.spikes
        made.append({
            "kind": kind, "bytes": packet.hex(), "broken": kind in ("short", "long"),
            "counts": traced.counts[0].tolist(), "currents": traced.currents[0].tolist(),
            "predicted": int(traced.predicted[0]),
            "counters": {"cycles": int(cycles.results[0, -1] - cycles.loads[0, -1]),
                         "input_events": int(traced.trace.input_spikes.sum()),
                         "hidden_events": int(sum(layer.sum() for layer in spikes[:-1]))}})
    return made


def parameters(network, spec, *, effort=1):
    """The bench's job; with parameters of another network, where they are loaded."""
    first, *rest = network.layers
    other = replace(network, layers=(replace(first, synapses=first.weights[:, ::-1]), *rest))
    made = packets(network, spec, 10 * effort)
    return {
        "packets": made, "busy_cycles": 3 * made[0]["counters"]["cycles"],
        "constants": axi_ports.constants(network, spec),
        "load": load_words(network, spec).tolist() if spec.loaded else [],
        "stride": 12 // effort, "restarts": 6 * effort,
        "other": {"load": load_words(other, spec).tolist(), "packets": packets(other, spec, 6)}
                 if spec.loaded else None}


def run_bench(text, job, folder, cache):
    compiled = simulation.compile_verilog(text, TOP, cache, internals=True)
    simulation.run(compiled, TOP, "bench_axi", job, folder, python_path=[Path(__file__).parent])


@pytest.mark.parametrize(("name", "effort"), [
    ("padded", 1), *(pytest.param(name, 4, marks=pytest.mark.slow) for name in CASES)])
def test_packets_registers_and_protocol(name, effort, tmp_path, cache):
    network, spec = CASES[name]
    run_bench(component_text(AxiTop(network, spec), TOP), parameters(network, spec, effort=effort),
              tmp_path, cache)


@pytest.mark.slow
def test_what_the_ports_take_does_not_grow():
    network = load_network(REFERENCE)
    spec = AcceleratorSpec((16, 2), 8)
    with_ports, alone = (map_verilog(text, TOP, "ecp5").area for text in (
        generate_axi(network, spec, name=TOP), generate(network, spec, name=TOP)))
    # docs/axi.md has the numbers; another Yosys may need a few cells more or less.
    assert 420 <= with_ports.lut_equivalents - alone.lut_equivalents <= 460
    assert 560 <= with_ports.flip_flops - alone.flip_flops <= 600
    assert with_ports.block_rams == alone.block_rams
