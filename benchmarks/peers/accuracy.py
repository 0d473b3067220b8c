"""What the peers' spiking networks classify right, for every method, input and T."""

import json
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import torch
from methods import Method, methods, qcfs_methods
from networks import load_network

from sc_neurocore.conversion import QCFSActivation


def measure(job: dict[str, Any]) -> dict[str, Any]:
    """Convert one trained network with every method and run all test images.

    Parameters
    ----------
    job : dict
        ``name``, the description of the network, ``data``, ``timesteps``, ``seeds``, how often
        Poisson input is drawn, and ``unfinished``, a file for the rows of the methods that are
        done, which the next run takes from there if this is stopped.

    Returns
    -------
    dict
        ``ann``, the fraction that the ANN classifies right, and ``rows``, one for each method,
        input and T.
    """
    torch.set_num_threads(1)  # threads that wait for each other crawl on a busy machine
    with np.load(job["data"]) as data:
        calibration, images, labels = (torch.from_numpy(data[key]) for key
                                       in ("calibration", "images", "labels"))
    if job["channels"]:
        calibration, images = (x.reshape(-1, 1, 28, 28) for x in (calibration, images))
    model = load_network(job)
    unfinished = Path(job["unfinished"])
    rows: list[dict[str, Any]] = json.loads(unfinished.read_text()) if unfinished.exists() else []
    done = {(row["peer"], row["method"]) for row in rows}
    for method in _methods(job, calibration):
        if (method.peer, method.name) not in done:
            rows += _rows(method, images, labels, job)
            unfinished.with_suffix(".new").write_text(json.dumps(rows))
            unfinished.with_suffix(".new").replace(unfinished)
    return {"ann": _right(torch.cat([model(x) for x in images.split(500)]), labels), "rows": rows}


def _methods(job: dict[str, Any], calibration: torch.Tensor) -> list[Method]:
    if job["T"] == 0:
        return methods(load_network(job), calibration)
    if job["channels"]:
        return []
    return qcfs_methods(load_network(job, lambda T: QCFSActivation(T, learn_theta=True)))


def _rows(method: Method, images: torch.Tensor, labels: torch.Tensor,
          job: dict[str, Any]) -> list[dict[str, Any]]:
    """Mean and standard deviation of the accuracy over seeds, one row for each input and T."""
    rows = []
    timesteps = [*job["timesteps"], *method.more_timesteps]
    for kind in method.inputs:
        seeds = job["seeds"] if kind == "poisson" and method.seeds else 1
        begun = perf_counter()
        right = []
        for seed in range(1, seeds + 1):
            torch.manual_seed(seed)
            right.append(_classified(method, images, labels, timesteps, kind == "poisson"))
        print(f"{job['name']}: {method.peer}, {method.name}, {kind}: "
              f"{perf_counter() - begun:.0f} s", flush=True)
        for T in timesteps:
            values = [run[T] for run in right]
            rows.append(dict(
                network=job["name"], peer=method.peer, method=method.name, input=kind, T=T,
                seeds=seeds, accuracy=float(np.mean(values)), deviation=float(np.std(values)),
                graded=method.graded))
    return rows


def _classified(method: Method, images: torch.Tensor, labels: torch.Tensor,
                timesteps: Sequence[int], poisson: bool) -> dict[int, float]:
    """Fraction of all images that is classified right, by number of timesteps."""
    parts = [method.simulate(batch, timesteps, poisson) for batch in images.split(method.batch)]
    return {T: _right(torch.cat([part[T] for part in parts]), labels) for T in timesteps}


def _right(scores: torch.Tensor, labels: torch.Tensor) -> float:
    return (scores.argmax(1) == labels).float().mean().item()
