"""The peers' side of the comparison: spikingjelly, sinabs and PyPI's sc-neurocore.

    python benchmarks/peers.py --mnist FOLDER --fashion FOLDER [--fresh]

Makes an environment for them, has them convert and run the networks of ``models.py``, and prints
tables in Markdown. Results are kept: the next run only prints them.
"""

import hashlib
import json
import os
import subprocess
import sys
import venv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import models
import numpy as np

from sc_neurocore.datasets import Dataset

SOURCES = Path(__file__).resolve().parent / "peers"
FOLDER = Path("build/benchmarks/peers")
ENVIRONMENT = Path("build/benchmarks/peers-venv")
TIMESTEPS = (4, 8, 16, 32, 64)
PARTS = ("accuracy", "speed", "probes")
TITLES = {"spikingjelly": "SpikingJelly 2.0", "sinabs": "sinabs 3.1",
          "sc-neurocore": "sc-neurocore 3.16"}
CALIBRATION_IMAGES = 10000

_SEEDS = {False: 5, True: 1}
"""Seeds of Poisson input, by whether there are convolutions, which take a minute each."""


def peer_environment(folder: Path = ENVIRONMENT,
                     requirements: Path = SOURCES / "requirements.txt") -> Path:
    """Make the peers' virtual environment if it is not there, or not of these requirements.

    Returns
    -------
    Path
        Its Python.

    Raises
    ------
    RuntimeError
        If pip can't install them; the message has the path of its log.
    """
    python = folder.absolute() / "bin" / "python"  # not resolved: it is a link out of there
    stamp = folder / ".requirements"
    if stamp.exists() and stamp.read_text() == requirements.read_text():
        return python
    print(f"Making {folder} for the peers; this takes a few minutes", file=sys.stderr)
    venv.create(folder, clear=True, with_pip=True)
    torch = next(line for line in requirements.read_text().splitlines()
                 if line.startswith("torch=="))
    log = folder / "pip.log"
    for wanted in ([torch], ["--requirement", str(requirements)]):
        _call([python, "-m", "pip", "install", *wanted], log)
    stamp.write_text(requirements.read_text())
    return python


def run_peers(names: Sequence[str], data: Mapping[str, Dataset], parts: Sequence[str] = PARTS,
              fresh: bool = False, folder: Path = FOLDER) -> dict[str, Any]:
    """Have the peers convert and run trained networks, or look up what they did last time.

    Parameters
    ----------
    names : sequence of str
        Networks of ``models.RECIPES``.
    data : mapping of str to Dataset
        ``fashion`` and ``mnist``, as far as the networks need them.
    parts : sequence of str
        ``accuracy``; ``speed``, which needs ``fashion_mlp``; ``probes``.
    fresh : bool
        Run them even if there is a result for the same networks, data, requirements and sources.

    Returns
    -------
    dict
        ``environment``, versions, threads and cpu by part; ``ann``, accuracy by network;
        ``accuracy``, rows of network, peer, method, input, T, seeds, accuracy, deviation and
        graded (several spikes a timestep); ``speed`` and ``probes`` as the tables show them.
    """
    python = peer_environment()
    networks = {name: _describe(name, data, folder) for name in names}
    jobs = [("accuracy", f"accuracy-{name}", {"name": name, **network})
            for name, network in networks.items()]
    jobs += [("speed", "speed", {"network": networks.get("fashion_mlp"), "batch": 1000,
                                 "timesteps": 32, "rounds": 5}),
             ("probes", "probes", {})]
    result: dict[str, Any] = {"environment": {}, "ann": {}, "accuracy": []}
    for part, title, job in jobs:
        if part in parts:
            found = _run(python, part, title, job, folder, fresh)
            result["environment"][part] = found["environment"]
            if part == "accuracy":
                result["ann"][job["name"]] = found["accuracy"]["ann"]
                result["accuracy"] += found["accuracy"]["rows"]
            else:
                result[part] = found[part]
    return result


def _describe(name: str, data: Mapping[str, Dataset], folder: Path) -> dict[str, Any]:
    """All that the other process needs to know of a network, its files written."""
    recipe = models.RECIPES[name]
    models.trained(name, data)
    return {"widths": recipe.widths, "channels": recipe.channels, "T": recipe.T,
            "timesteps": TIMESTEPS[:4] if recipe.channels else TIMESTEPS,
            "seeds": _SEEDS[bool(recipe.channels)],
            "weights": str((models.FOLDER / f"{name}.safetensors").absolute()),
            "data": str(_written(recipe.data, data[recipe.data], folder))}


def _written(name: str, data: Dataset, folder: Path) -> Path:
    """A data set's calibration and test images as a file, float32 as all peers take them."""
    path = folder.absolute() / f"{name}.npz"
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(path, calibration=data.train_images[:CALIBRATION_IMAGES].astype(np.float32),
             images=data.test_images.astype(np.float32), labels=data.test_labels)
    return path


def _run(python: Path, part: str, title: str, job: dict[str, Any], folder: Path,
         fresh: bool) -> dict[str, Any]:
    result = folder.absolute() / f"{title}-{_key(part, job)}.json"
    if fresh or not result.exists():
        folder.mkdir(parents=True, exist_ok=True)
        job_file = folder.absolute() / f"{title}-job.json"
        job_file.write_text(json.dumps({part: job}))
        # -E and -s: neither PYTHONPATH nor the user's packages, where our package could be
        _call([python, "-E", "-s", SOURCES / "run_peers.py", job_file, result],
              folder / f"{title}.log", cwd=folder, threads=None if part == "speed" else 1)
    return json.loads(result.read_text())


def _key(part: str, job: dict[str, Any]) -> str:
    """Hash of a job, the files it names, the requirements and the sources."""
    digest = hashlib.sha256(json.dumps(job, sort_keys=True).encode())
    sources = [SOURCES / name for name in ("requirements.txt", "run_peers.py", "networks.py",
                                           "methods.py", f"{part}.py")]
    named = {Path(text) for text in _strings(job) if Path(text).is_absolute()}
    for path in [*sources, *sorted(named)]:
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _strings(value: Any) -> list[str]:
    if isinstance(value, dict):
        return [text for part in value.values() for text in _strings(part)]
    return [value] if isinstance(value, str) else []


def _call(command: Sequence[str | Path], log: Path, cwd: Path | None = None,
          threads: int | None = None) -> None:
    """Run a command, its errors in a log, its output to our standard error."""
    environment = os.environ | {"TQDM_DISABLE": "1"}
    if threads:  # those that wait for each other crawl on a busy machine
        environment |= {"OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    with log.open("a") as file:
        done = subprocess.run([str(part) for part in command], cwd=cwd, stdout=sys.stderr,
                              stderr=file, env=environment)
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed with exit code {done.returncode}; see {log}")


def accuracy_table(result: dict[str, Any], network: str) -> str:
    """Markdown: one row for each peer, method and input, one column for each T."""
    rows = [row for row in result["accuracy"] if row["network"] == network]
    columns = sorted({row["T"] for row in rows})
    heading = f"{network}: ANN {result['ann'][network]:.2%}"
    if not rows:
        return f"{heading}; no peer converts it"
    titles = ["peer", "method", "input", *(f"T = {T}" for T in columns)]
    lines = [heading, "", f"| {' | '.join(titles)} |", "|---" * len(titles) + "|"]
    for kind in dict.fromkeys((row["peer"], row["method"], row["input"]) for row in rows):
        found = {row["T"]: row["accuracy"] for row in rows
                 if (row["peer"], row["method"], row["input"]) == kind}
        cells = [f"{100 * found[T]:.2f}" if T in found else "" for T in columns]
        lines.append(f"| {' | '.join([*kind, *cells])} |")
    return "\n".join(lines)


def speed_table(result: dict[str, Any]) -> str:
    """Markdown: seconds of each simulator, and how many times those of the products."""
    speed = result["speed"]
    products = speed["products"]
    lines = [f"batch {speed['batch']}, T = {speed['timesteps']}, {speed['rounds']} rounds, "
             f"{result['environment']['speed']['threads']} threads, load before and after "
             f"{speed['load'][0]:.1f} and {speed['load'][1]:.1f}", "",
             "| peer | mode | input | min, s | median, s | × products | one thread, processor time "
             "| as the ANN |", "|---" * 8 + "|",
             f"| matrix products | | | {products['min']:.3f} | {products['median']:.3f} "
             "| 1 | 1 | |"]
    for row in speed["candidates"]:
        processor = "" if row["processor"] is None else f"{row['processor']:.2f}"
        lines.append(f"| {row['peer']} | {row['mode']} | {row['input']} | "
                     f"{row['seconds']['min']:.3f} | {row['seconds']['median']:.3f} | "
                     f"{row['ratio']:.2f} | {processor} | {row['agreement']:.1%} |")
    for row in speed["failures"]:
        lines.append(f"| {row['peer']} | {row['mode']} | {row['input']} | {row['error']} | | | | |")
    return "\n".join(lines)


def probe_table(result: dict[str, Any]) -> str:
    """Markdown: what each peer does with layers that are hard to convert."""
    lines = ["| layer | peer | outcome |", "|---|---|---|"]
    return "\n".join(lines + [f"| {row['probe']} | {row['peer']} | {row['outcome']} |"
                              for row in result["probes"]])


@click.command()
@click.option("--mnist", type=Path, help="Folder of MNIST's IDX files.")
@click.option("--fashion", type=Path, help="Folder of Fashion-MNIST's IDX files.")
@click.option("--part", "parts", multiple=True, type=click.Choice(PARTS), default=PARTS)
@click.option("--fresh", is_flag=True, help="Measure again what is there.")
@click.argument("names", nargs=-1, type=click.Choice(list(models.RECIPES)))
def main(mnist: Path | None, fashion: Path | None, parts: tuple[str, ...], fresh: bool,
         names: tuple[str, ...]) -> None:
    """Measure the peers on the networks of the data sets that are given."""
    data = models.load_data(mnist, fashion)
    names = names or tuple(name for name in models.RECIPES if models.RECIPES[name].data in data)
    result = run_peers(names, data, parts, fresh)
    if "accuracy" in parts:
        for name in names:
            print(accuracy_table(result, name), end="\n\n")
    if "speed" in parts:
        print(speed_table(result), end="\n\n")
    if "probes" in parts:
        print(probe_table(result))


if __name__ == "__main__":
    main()
