"""What can't be is refused by name, rule and value: the rules that no other test breaks."""

import gc
import warnings
from dataclasses import replace

import numpy as np
import pytest
from amaranth.hdl import UnusedElaboratable

from sc_neurocore import cosim, planning
from sc_neurocore.conversion import ConvertedSNN
from sc_neurocore.cosim.pins import verify_at_pins
from sc_neurocore.gateware.uart import UartReceiver
from sc_neurocore.network import IntegerLayer, IntegerNetwork
from sc_neurocore.planning.workload import Workload
from sc_neurocore.quantization import quantize
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.stages import verify_stages
from sc_neurocore.synapses import Convolution, Dense, MaxPool, Source

LAYER = IntegerLayer(np.ones((2, 3), int), np.zeros(2, int), np.ones(2, int), np.zeros(2, int))
NETWORK = IntegerNetwork((LAYER,), timesteps=2)
SPEC = AcceleratorSpec((2,))
NO_IMAGE = np.zeros((0, 3), int)


def layer(*synapses, sources=None):
    return replace(LAYER, synapses=synapses, sources=sources)


def snn(weights, **changes):
    return ConvertedSNN([np.ones((3, 4)), weights], [None, None], [1.0, 1.0], **changes)


DENSE, LESS = Dense(np.ones((2, 3), int)), Dense(np.ones((1, 3), int))
FLOATS = Dense(np.ones((2, 3)))
REFUSED = {
    "lanes": (lambda: AcceleratorSpec(4), TypeError, "Lanes must be a sequence, .* not 4"),
    "beats": (lambda: AcceleratorSpec((1,), 3), ValueError, "Beats must be a power of two, not 3"),
    "memory": (lambda: AcceleratorSpec((1,), memories=("ram",)), ValueError,
               "Memory of layer 0 must be one of block, .* not 'ram'"),
    "memories": (lambda: AcceleratorSpec((1,), memories=("block",) * 2), ValueError,
                 "Memories must be given for 1 layers, not for 2"),
    "ports": (lambda: AcceleratorSpec((1,), ports=(1, 1)), ValueError,
              "Ports must be given for 1 layers, not for 2"),
    "ports that load": (lambda: replace(SPEC.with_loading(NETWORK), ports=(2,)), ValueError,
                        "Ports must be 1 where parameters are loaded, .* not 2"),
    "family": (lambda: AcceleratorSpec((1,), family="max10"), ValueError,
               "Family must be one of .*, or empty, not 'max10'"),
    "synapses": (lambda: layer(DENSE, LESS), ValueError,
                 "synapses of a layer must reach the same neurons, not 1 .* and 2"),
    "sources": (lambda: layer(DENSE, DENSE), ValueError, "Sources must be given for 2 synapses"),
    "source": (lambda: layer(DENSE, sources=(0,)), TypeError, "Sources must be Source .*, not 0"),
    "max pool": (lambda: Source(0, 2), TypeError, "Max pool must be a MaxPool, not 2"),
    "membrane width": (lambda: IntegerNetwork(
        (replace(LAYER, membrane_width=8), LAYER), 2, schedule="layer_by_layer"), ValueError,
        "Layer 0 must have no membrane width under the schedule layer_by_layer, .*, not 8"),
    "entries of sources": (lambda: snn(np.ones((2, 3)), sources=[None, ()]), ValueError,
                           r"sources\[1\] must have 1 entries, .* not 0"),
    "max pool, pipelined": (
        lambda: snn(np.ones((2, 1)),
                    sources=[None, (Source(0, MaxPool((1, 1, 3), (1, 3), (1, 3))),)]),
        ValueError, r"sources\[1\] has a max pool, .* not pipelined"),
    "float synapses": (lambda: snn((FLOATS, Dense(np.ones((1, 3))))), ValueError,
                       r"weights\[1\] must reach the same neurons from every source, not 1 and 2"),
    "threshold of a channel": (
        lambda: quantize(ConvertedSNN([Convolution(np.ones((2, 1, 1, 2)), (1, 1, 3))], [None],
                                      [np.array([1.0, 1.0, 1.0, 2.5])])),
        ValueError, "Layer 0, channel 1, must share one threshold, .*, not 1 to 2.5"),
    "encoder": (lambda: snn(np.ones((2, 3))).run(np.ones(4), encoder="rate"), ValueError,
                "encoder must be one of .*, not 'rate'"),
    "events": (lambda: snn(np.ones((2, 3)), T=2).run(np.ones((3, 4)), encoder="events"),
               ValueError, r"x must have shape \(2, 4\) or .*, not \(3, 4\)"),
    "memories of a device": (
        lambda: planning.assess(
            NETWORK, replace(SPEC.with_loading(NETWORK), memories=("spram",), family="ice40"),
            "ecp5-25k"),
        ValueError, "Memories must be block on ecp5-25k"),
    "images of a workload": (lambda: Workload.of_images(NETWORK, NO_IMAGE), ValueError,
                             "Images must be at least one"),
    "images to verify": (lambda: cosim.verify(NETWORK, NO_IMAGE), ValueError,
                         "Verification needs at least one image"),
    "images at pins": (lambda: verify_at_pins(NETWORK, NO_IMAGE, SPEC, None, 4), ValueError,
                       "Verification needs at least one image"),
    "divisor": (lambda: UartReceiver(3), ValueError, "Divisor must be at least 4, not 3"),
    "stages": (lambda: verify_stages(NETWORK, NO_IMAGE, SPEC, ()), ValueError,
               "Stages must be at least one"),
    "family of a netlist": (
        lambda: verify_stages(NETWORK, NO_IMAGE, SPEC, ("netlist",), device="xc7"), ValueError,
        "Family must be one of .* for a netlist to be simulated, not 'xc7'"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_it_is_refused(name):
    attempt, error, message = REFUSED[name]
    # Amaranth complains of a refused component that nobody uses, whenever it is collected.
    with warnings.catch_warnings(action="ignore", category=UnusedElaboratable):
        with pytest.raises(error, match=message):
            attempt()
        gc.collect()
