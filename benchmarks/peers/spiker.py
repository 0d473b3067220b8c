"""Have Spiker+ write the VHDL of a network; this runs in the peers' environment.

    python spiker.py FOLDER TIMESTEPS N_INPUT N_HIDDEN … N_OUTPUT

Leaky neurons with the decay, threshold and resets that Spiker+ has by default, which its tutorial
repeats. The weights are random: it stores them, zeros included, so they change no number but that
of the timesteps in which no neuron fires.
"""

import sys
from pathlib import Path

import torch
from spikerplus import NetBuilder, VhdlGenerator

WIDTHS = {"weights_bw": 4, "neurons_bw": 6, "fp_dec": 3}
"""4-bit weights in [-1, 1) and 6-bit membranes, the smallest that hold 1.0, the threshold."""


def network(timesteps: int, widths: list[int]) -> torch.nn.Module:
    """Spiker+'s network, all weights drawn evenly from the 16 values that 4 bits have."""
    config: dict[str, object] = {"n_cycles": timesteps, "n_inputs": widths[0]}
    for index, n_neurons in enumerate(widths[1:]):
        last = index == len(widths) - 2
        config[f"layer_{index}"] = {"neuron_model": "lif", "n_neurons": n_neurons,
                                    "reset_mechanism": "none" if last else "subtract"}
    net = NetBuilder(config).build()
    generator = torch.Generator().manual_seed(1)
    for name, layer in net.layers.items():
        if name.startswith("fc"):
            levels = torch.randint(-8, 8, layer.weight.shape, generator=generator)
            layer.weight.data = levels / 2 ** WIDTHS["fp_dec"]
    return net


def main(folder: str, timesteps: str, *widths: str) -> None:
    Path(folder).mkdir(parents=True, exist_ok=True)
    net = network(int(timesteps), [int(width) for width in widths])
    VhdlGenerator(net, WIDTHS).generate().write_file_all(folder)


if __name__ == "__main__":
    main(*sys.argv[1:])
