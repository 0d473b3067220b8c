"""Run the peers on a trained network, in an environment of their own.

    python -E -s run_peers.py JOB.json RESULT.json

Started by ``benchmarks/peers.py``, which describes the job; it imports nothing of this project:
``sc_neurocore`` is here the package of PyPI's sc-neurocore. The result holds as plain data what
was measured, and the versions of what measured it. A file beside it has what is done until then.
"""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import accuracy
import probes
import speed
import torch

import sc_neurocore

PARTS = {"accuracy": accuracy.measure, "speed": speed.measure, "probes": probes.measure}
PACKAGES = ("spikingjelly", "sinabs", "sc-neurocore", "torch", "numpy")


def main(job_file: str, result_file: str) -> None:
    """Do the part that the job names."""
    if not Path(sc_neurocore.__file__).is_relative_to(sys.prefix):
        raise SystemExit(f"sc_neurocore must be the peer in {sys.prefix}, "
                         f"not {sc_neurocore.__file__}")
    ((part, job),) = json.loads(Path(job_file).read_text()).items()
    unfinished = Path(result_file).with_suffix(".unfinished.json")
    with torch.inference_mode():
        found = PARTS[part](job | {"unfinished": str(unfinished)})
    environment = {"versions": {name: version(name) for name in PACKAGES},
                   "threads": torch.get_num_threads(),
                   "cpu": torch.backends.cpu.get_cpu_capability()}
    result = {"environment": environment, part: found}
    Path(result_file).write_text(json.dumps(result, indent=1, ensure_ascii=False))
    unfinished.unlink(missing_ok=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
