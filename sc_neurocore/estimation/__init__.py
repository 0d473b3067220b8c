"""Area of an accelerator, without asking Yosys.

`estimate` says what `synthesis.map_verilog` is expected to make of a network: registers, adders and
memories are counted (`parts`, `memories`), logic is priced (`prices`). ``benchmarks/estimates.py``
compares it with Yosys.
"""

from ..network import IntegerNetwork
from ..spec import AcceleratorSpec
from ..synthesis.area import Area
from . import parts, prices
from .cells import Cells, total

__all__ = ["FAMILIES", "components", "estimate", "estimate_stage", "weight_block_rams"]

FAMILIES = tuple(prices.LUTS)
"""Those whose area can be estimated."""


def estimate(network: IntegerNetwork, spec: AcceleratorSpec, family: str) -> Area:
    """Area of the accelerator of a network.

    Parameters
    ----------
    network : IntegerNetwork
    spec : AcceleratorSpec
    family : str
        One of `FAMILIES`.

    Raises
    ------
    ValueError
        If the spec does not fit the network, or the family is none of these.
    """
    _check(network, spec, family)
    return prices.area(total(components(network, spec, family).values()), family)


def estimate_stage(network: IntegerNetwork, spec: AcceleratorSpec, family: str, stage: int) -> Area:
    """Area of the encoder (stage 0) or of a layer (from 1), each with what takes its spikes.

    It depends on the layout of this stage alone, and all of them make the whole.
    """
    _check(network, spec, family)
    return prices.area(total(_stage(network, spec, family, stage).values()), family)


def components(network: IntegerNetwork, spec: AcceleratorSpec, family: str) -> dict[str, Cells]:
    """What each part of an accelerator consists of, by its place in the gateware."""
    found: dict[str, Cells] = {}
    for stage in range(len(network.layers) + 1):
        found |= _stage(network, spec, family, stage)
    return found


def weight_block_rams(network: IntegerNetwork, spec: AcceleratorSpec, family: str,
                      weight_width: int | None = None) -> list[int]:
    """Block RAMs of each layer's weights; with narrower ones, if so many bits are given."""
    return [parts.weights(parts.Site(network, spec, index, family),
                          min(layer.weight_width, weight_width or layer.weight_width)).block_rams
            for index, layer in enumerate(network.layers)]


def _check(network: IntegerNetwork, spec: AcceleratorSpec, family: str) -> None:
    if family not in FAMILIES:
        raise ValueError(f"Family must be one of {', '.join(FAMILIES)}, not {family!r}")
    spec.check(network)


def _stage(network: IntegerNetwork, spec: AcceleratorSpec, family: str, stage: int
           ) -> dict[str, Cells]:
    if stage == 0:
        lanes = spec.word_lanes(network)
        base = parts.index_bits(network.n_input) - (lanes - 1).bit_length()
        return {"encoder": parts.encoder(network, spec, family),
                "serializer_0": parts.serializer(network.n_input, lanes, max(0, base),
                                                 spec.ports[0]),
                **({"load": parts.loading(network, spec)} if spec.loaded else {}),
                **({"parity": parts.parity_report(network, spec)} if spec.parity else {})}
    site = parts.Site(network, spec, stage - 1, family)
    name = f"layer_{site.index}"
    found = {f"{name}.weights": parts.weights(site), f"{name}.neurons": parts.neurons(site),
             f"{name}.control": parts.control(site), f"{name}.queue": parts.layer_queue(site)}
    if site.folds > 1:
        found[f"{name}.replay"] = parts.replay(site)
    if site.is_output:
        return found | {"readout": parts.readout(site)}
    base = parts.index_bits(site.n_output) if site.folds > 1 else 0
    return found | {f"serializer_{stage}": parts.serializer(
        site.n_output, site.lanes, base, spec.ports[stage])}
