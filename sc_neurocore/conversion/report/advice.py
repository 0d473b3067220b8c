"""What to do about the errors of a converted network, where their cause is known."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sc_neurocore.conversion.report.causes import Chain

if TYPE_CHECKING:
    from sc_neurocore.conversion.report import LayerReport

NOTABLE_ERROR = 0.05
"""Error of a layer, relative to its activations, from which its main cause is worth advice."""

NOTABLE_NEURONS = 0.05
"""Share of a layer's neurons that are dead, or saturated, likewise."""


def advice(layers: Sequence["LayerReport"], chain: Chain) -> tuple[str, ...]:
    """Sentences, each for all layers that it holds for; what weighs most comes first."""
    found = []
    for cause in chain.causes:
        places = [i for i, layer in enumerate(layers) if layer.main_cause == cause]
        if places:
            weight = sum(layers[i].error * layers[i].shares[cause] for i in places)
            found.append((-weight, f"{_named(places, len(layers))}: the main cause of error is "
                          f"{cause.replace('_', ' ')}; try {_remedy(cause, places, chain)}"))
    return (*(text for _, text in sorted(found)), *_about_neurons(layers, chain))


def _named(places: Sequence[int], n_layers: int) -> str:
    hidden = [str(i) for i in places if i < n_layers - 1]
    names = [f"layer{'s' * (len(hidden) > 1)} {', '.join(hidden)}"] if hidden else []
    text = " and ".join(names + ["the output layer"] * (n_layers - 1 in places))
    return text[0].upper() + text[1:]


def _remedy(cause: str, places: Sequence[int], chain: Chain) -> str:
    match cause:
        case "clipping" if chain.calibrated:
            return "more timesteps"
        case "clipping":
            return 'a higher percentile, a scale for each channel, or scale="mse" in convert()'
        case "time_quantization":
            return _about_time(places, chain)
        case "unevenness":
            fit = "" if chain.calibrated else "calibrate(), "
            return f"the schedule layer_by_layer, {fit}or more timesteps"
        case "input_coding":
            return _about_input(chain)
    assert chain.network is not None
    if any(chain.network.widths[i].saturates for i in places):
        return "a greater membrane_width: membranes can saturate"
    bits = sorted({chain.network.layers[i].weight_width for i in places})
    return (f"a weight_width greater than {' or '.join(map(str, bits))}, "
            "or fine-tuning with fake_quantize()")


def _about_time(places: Sequence[int], chain: Chain) -> str:
    activations = [layer.activation for layer in chain.graph.layers[:places[-1] + 1]]
    trained = {one.T for one in activations if one is not None and one.T is not None}
    if trained - {chain.snn.T}:
        return f"the T that QCFS was trained for, {' or '.join(map(str, sorted(trained)))}"
    if chain.snn.initial_membrane_fraction == 0:
        return "an initial_membrane_fraction of 0.5, or more timesteps"
    fit = "" if chain.calibrated else "calibrate(), "
    return f"more timesteps, {fit}or fine-tuning with QCFS"


def _about_input(chain: Chain) -> str:
    if chain.encoder == "direct":
        return "a greater intensity_width"
    if chain.encoder == "events":
        return "more timesteps"
    if chain.encoder == "low_discrepancy":
        powers = "" if chain.snn.T & (chain.snn.T - 1) == 0 else "a T that is a power of two, "
        return f"{powers}more timesteps, or the encoder direct"
    return "more timesteps, or the encoder low_discrepancy or direct"


def _about_neurons(layers: Sequence["LayerReport"], chain: Chain) -> list[str]:
    found = []
    for name, remedy in (("dead", "more timesteps"), ("saturated", "a higher percentile")):
        for i, layer in enumerate(layers):
            neurons, shared = len(getattr(layer, name)), bool(np.ptp(chain.scales[i]) == 0)
            # Where each channel has its λ, what is above has been given up for what is below.
            known = shared or name == "dead"
            if neurons and neurons >= NOTABLE_NEURONS * layer.neurons and known:
                found.append(f"{_named([i], len(layers))}: {neurons} of {layer.neurons} neurons "
                             f"are {name}; try {'a scale for each channel, or ' * shared}{remedy}")
    return found
