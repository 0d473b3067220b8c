"""What logic costs, by least squares from Yosys's results.

The networks they were fitted to are those that ``benchmarks/estimates.json`` marks for a family;
the others there tell how far the estimates can be trusted.
"""

from math import ceil

from ..synthesis.area import CARRY_LUTS, LUT_RAM_LUTS, Area
from .cells import Cells

LUTS: dict[str, dict[str, float]] = {
    "ecp5": {
        "encoder": 28.991, "even lane": 1.164, "draw bit": 3.157, "lfsr": 41.661,
        "plane bit": 0.636, "deep queue": 12.531, "queue": 5.789, "queued bit": 0.707,
        "serializer": 7.328, "group lane": 1.95, "word lane": 1.575, "layer": 22.204,
        "row bit": 0.592, "phase": 10.833, "lane": 1.561, "weight bit": 0.814,
        "loaded bit": 0.917, "parameter bit": 0, "parameter": 0.041, "direct bit": 2.935,
        "replay": 24.045, "replayed bit": 2.959, "bank": 1.081, "bank bit": 1.367,
        "readout": 6.011, "count bit": 2.113, "selected bit": 0.856, "current bit": 2.31,
        "spike input lane": 0.644, "saturating bit": 1.191, "direct layer": 9.291,
        "constant bit": 0.111, "register file bit": 0.7, "second lane": 4.0,
        "summed bit": 1.1, "spram": 8.0, "parameter rows": 20.0, "parameter row bit": 1.0,
        "fold store": 40.0, "leaving bit": 1.0,
        "product bit": 1.0, "load target": 2.0, "parity LUT": 1.0},
    "gowin": {
        "encoder": 21.119, "even lane": 0.953, "draw bit": 2.708, "lfsr": 54.818,
        "plane bit": 0.318, "deep queue": 17.157, "queue": 5.348, "queued bit": 0.092,
        "serializer": 8.501, "group lane": 2.303, "word lane": 0.842, "layer": 32.975,
        "row bit": 0.669, "phase": 11.892, "lane": 2.276, "weight bit": 0.924,
        "loaded bit": 0.602, "parameter bit": 0, "parameter": 0.044, "direct bit": 2.948,
        "replay": 31.95, "replayed bit": 3.322, "bank": 1.145, "bank bit": 2.2, "readout": 5.811,
        "count bit": 3.262, "selected bit": 0.617, "current bit": 2.639,
        "spike input lane": 0.657, "saturating bit": 1.419, "direct layer": 8.76,
        "constant bit": 0.105, "register file bit": 0.7, "second lane": 4, "summed bit": 1.1,
        "parameter rows": 20, "parameter row bit": 1, "fold store": 40, "leaving bit": 1,
        "product bit": 1, "load target": 2, "parity LUT": 1},
    "ice40": {
        "adder bit": 0.749, "encoder": 0, "even lane": 0, "draw bit": 2.457, "lfsr": 65.407,
        "plane bit": 1.399, "deep queue": 11.303, "queue": 0, "queued bit": 0, "serializer": 0,
        "group lane": 0, "word lane": 0.449, "layer": 0, "row bit": 1.942, "phase": 44.657,
        "lane": 12.96, "weight bit": 1.992, "loaded bit": 0.905, "parameter bit": 0, "parameter":
        0, "direct bit": 2.62, "replay": 66.227, "replayed bit": 6.371, "bank": 1.399, "bank bit":
        0.935, "readout": 0, "count bit": 4.971, "selected bit": 0.255, "current bit": 3.168,
        "spike input lane": 0.987, "saturating bit": 0, "direct layer": 10.731, "constant bit":
        0.106, "register file bit": 0.19, "second lane": 4, "summed bit": 1.1, "spram": 8,
        "parameter rows": 30.423, "parameter row bit": 0.955, "fold store": 38.451, "leaving bit":
        0.509, "product bit": 0.973, "load target": 1.94,
        "parity LUT": 1},
}
"""LUTs of each kind of logic that `Cells` name."""


def area(cells: Cells, family: str) -> Area:
    """Area of cells of a family."""
    price = LUTS[family]
    luts = round(sum(number * price[kind] for kind, number in cells.logic.items())
                 + price.get("adder bit", 0) * sum(cells.adders))
    carries = (sum(ceil(bits / 2) for bits in cells.adders) if family == "ecp5"
               else sum(cells.adders))
    lut_rams = LUT_RAM_LUTS.get(family, 0) * cells.lut_rams
    return Area(luts, carries, cells.flip_flops, cells.block_rams, cells.spram, lut_rams, 0,
                luts + CARRY_LUTS.get(family, 0) * carries + lut_rams)
