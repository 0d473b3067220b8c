"""Have da4ml write the Verilog of a network; this runs in the peers' environment.

    python parallel.py FOLDER LATENCY N_INPUT N_HIDDEN … N_OUTPUT

All layers in parallel, an image every cycle; ReLU on exact integers between them. The inputs have
4 bits, and the weights are drawn evenly from the 15 values of symmetric 4-bit quantization. They
are part of the circuit: with more zeros and small ones it is smaller. LATENCY is da4ml's limit on
the delay of a pipeline stage, by its own estimate. Prints the number of stages.
"""

import itertools
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from da4ml.codegen import RTLModel
from da4ml.trace import FixedVariableArrayInput, comb_trace, to_pipeline
from da4ml.trace.ops import quantize, relu
from da4ml.types import CombLogic

INPUT_BITS = 4


def network(weights: list[np.ndarray]) -> CombLogic:
    """da4ml's logic of the layers.

    Raises
    ------
    RuntimeError
        If random images get other sums than numpy's from it.
    """
    inputs = FixedVariableArrayInput(len(weights[0]))
    logic = comb_trace(inputs, _forward(quantize(inputs, 0, INPUT_BITS, 0), weights, relu))
    images = np.random.default_rng(2).integers(2 ** INPUT_BITS, size=(100, len(weights[0])))
    expected = _forward(images, weights, lambda sums: np.maximum(sums, 0))
    if not np.array_equal(logic.predict(images.astype(np.float64)), expected):
        raise RuntimeError("da4ml's logic computes another network than this one")
    return logic


def _forward(values: Any, weights: list[np.ndarray], activation: Callable) -> Any:
    for matrix in weights[:-1]:
        values = activation(values @ matrix)
    return values @ weights[-1]


def main(folder: str, latency: str, *widths: str) -> None:
    sizes = [int(width) for width in widths]
    rng = np.random.default_rng(1)
    weights = [rng.integers(-7, 8, size=shape) for shape in itertools.pairwise(sizes)]
    pipeline = to_pipeline(network(weights), float(latency), verbose=False)
    RTLModel(pipeline, "parallel", folder, flavor="verilog").write()
    print("stages", len(pipeline.solutions))


if __name__ == "__main__":
    main(*sys.argv[1:])
