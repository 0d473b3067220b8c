"""What a run of an accelerator showed at its ports, commit by commit."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ..network import IntegerArray
from ..timing import BoolArray


def fields(words: list[int], width: int, count: int, *, signed: bool = False) -> IntegerArray:
    """Unpack numbers from words: (len(words), count), the first from the lowest bits.

    Parameters
    ----------
    words : list of int
        Non-negative; bits beyond the ``count`` fields are ignored.
    width : int in [1, 62]
        Bits of a field, two's complement if ``signed``.
    """
    size = -(-width * count // 8)
    mask = (1 << width * count) - 1
    raw = np.frombuffer(b"".join((word & mask).to_bytes(size, "little") for word in words),
                        dtype=np.uint8).reshape(len(words), size)
    bits = np.unpackbits(raw, axis=1, count=width * count, bitorder="little")
    place = 1 << np.arange(width, dtype=np.int64)
    if signed:
        place[-1] = -place[-1]
    return bits.reshape(len(words), count, width).astype(np.int64) @ place


@dataclass(frozen=True, eq=False)
class StageRecord:
    """Commits of one stage: (n,) cycles, timesteps and groups (encoder words, or folds of a layer),
    (n, lanes) spikes, and for layers (n, lanes) membranes."""

    cycles: IntegerArray
    timesteps: IntegerArray
    groups: IntegerArray
    spikes: BoolArray
    membranes: IntegerArray | None


@dataclass(frozen=True, eq=False)
class Observation:
    """A whole run. ``encoder`` is None, and there are no ``layers``, without trace ports.
    ``fault`` says why it broke off, or is empty. ``loads``, ``result_cycles``:
    cycles of the transfers in and out. ``results``: (5, n), the fields neuron, count, current,
    predicted and last of each result."""

    fault: str
    loads: IntegerArray
    encoder: StageRecord | None
    layers: list[StageRecord]
    result_cycles: IntegerArray
    results: IntegerArray

    def save(self, path: Path) -> None:
        """Write it as an npz file, without pickles."""
        arrays: dict[str, npt.NDArray[np.generic]] = {
            "fault": np.array(self.fault), "loads": self.loads, "results": self.results,
            "result_cycles": self.result_cycles}
        for name, stage in [("encoder", self.encoder),
                            *((f"layer_{i}", layer) for i, layer in enumerate(self.layers))]:
            for key, array in vars(stage).items() if stage else ():
                if array is not None:
                    arrays[f"{name}_{key}"] = array
        np.savez(path, **arrays)  # type: ignore[arg-type]

    @classmethod
    def load(cls, path: Path) -> "Observation":
        """Read what `save` wrote."""
        with np.load(path, allow_pickle=False) as file:
            arrays = dict(file)

        def stage(name: str) -> StageRecord:
            return StageRecord(*(arrays.get(f"{name}_{key}")  # type: ignore[arg-type]
                                 for key in StageRecord.__dataclass_fields__))

        layers: list[StageRecord] = []
        while f"layer_{len(layers)}_cycles" in arrays:
            layers.append(stage(f"layer_{len(layers)}"))
        encoder = stage("encoder") if "encoder_cycles" in arrays else None
        return cls(str(arrays["fault"]), arrays["loads"], encoder, layers,
                   arrays["result_cycles"], arrays["results"])
