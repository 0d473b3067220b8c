"""What logic costs, fitted to Yosys's results by ``benchmarks/estimates.py``."""

from math import ceil

from ..synthesis.area import Area
from .cells import Cells

LUTS: dict[str, dict[str, float]] = {
    "ecp5": {
        "encoder": 27.023, "even lane": 1.064, "draw bit": 3.197, "lfsr": 39.436,
        "plane bit": 0.71, "deep queue": 12.664, "queue": 5.855, "queued bit": 0.797,
        "serializer": 7.32, "group lane": 1.857, "word lane": 1.38, "layer": 21.212,
        "row bit": 0.487, "phase": 9.243, "lane": 1.273, "weight bit": 0.8, "loaded bit": 0.788,
        "parameter bit": 0.12, "parameter": 0.055, "direct bit": 2.954, "replay": 22.11,
        "replayed bit": 2.051, "bank": 1.632, "bank bit": 0.881, "readout": 7.098,
        "count bit": 1.855, "selected bit": 1.015, "current bit": 1.66, "spike input lane": 0.667,
        "saturating bit": 2, "direct layer": 9.628, "constant bit": 0.06,
        "register file bit": 0.7},
    "ice40": {
        "adder bit": 0.502, "encoder": 0, "even lane": 0.507, "draw bit": 2.575, "lfsr": 56.657,
        "plane bit": 0.8, "deep queue": 13.716, "queue": 4.721, "queued bit": 0.813,
        "serializer": 7.581, "group lane": 1.71, "word lane": 1.424, "layer": 17.176,
        "row bit": 0.533, "phase": 10, "lane": 1.534, "weight bit": 2.763, "loaded bit": 0.869,
        "parameter bit": 0.639, "parameter": 0.049, "direct bit": 2.5, "replay": 38.579,
        "replayed bit": 2.378, "bank": 1.5, "bank bit": 0.7, "readout": 15.94, "count bit": 1.873,
        "selected bit": 1.017, "current bit": 1.819, "spike input lane": 0.7, "saturating bit": 2,
        "direct layer": 10, "constant bit": 0.06, "register file bit": 0.582},
}
"""LUTs of each kind of logic that `Cells` name."""

_DPR16X4_LUTS = 6
"""LUTs that a LUT RAM takes, see `synthesis.area`."""


def area(cells: Cells, family: str) -> Area:
    """Area of cells of a family."""
    price = LUTS[family]
    luts = round(sum(number * price[kind] for kind, number in cells.logic.items())
                 + price.get("adder bit", 0) * sum(cells.adders))
    carries = (sum(ceil(bits / 2) for bits in cells.adders) if family == "ecp5"
               else sum(cells.adders))
    lut_rams = _DPR16X4_LUTS * cells.lut_rams
    halves = 2 * carries if family == "ecp5" else 0
    return Area(luts, carries, cells.flip_flops, cells.block_rams, 0, lut_rams, 0,
                luts + halves + lut_rams)
