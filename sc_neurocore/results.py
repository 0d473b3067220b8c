"""What running a network returns, whoever runs it: golden model, simulator, gateware or board."""

from dataclasses import dataclass, fields

import numpy as np

from .network import IntegerArray


@dataclass(frozen=True, eq=False)
class Result:
    """The output layer at the end of an image; a leading batch axis where there was one.

    ``counts``: (…, n_output) spikes. ``membranes``: (…, n_output) final membranes. ``currents``:
    (…, n_output) the whole current each neuron received. ``predicted``: (…,) the class, the argmax
    of the currents, the lowest index where they are equal.
    """

    counts: IntegerArray
    membranes: IntegerArray
    currents: IntegerArray
    predicted: IntegerArray

    def arrays(self) -> tuple[IntegerArray, IntegerArray, IntegerArray, IntegerArray]:
        """The four arrays, in the order of the fields."""
        return self.counts, self.membranes, self.currents, self.predicted


def differences(got: Result, want: Result) -> list[str]:
    """Describe each number in which two results of the same images differ.

    Raises
    ------
    ValueError
        If they are not of as many images and neurons.
    """
    found = []
    for name in (field.name for field in fields(Result)):
        one, other = (np.asarray(getattr(result, name)) for result in (got, want))
        if one.shape != other.shape:
            raise ValueError(f"Results must have the same shape, not {one.shape} and "
                             f"{other.shape}: {name}")
        axes = ("image", "neuron")[:-1 if name == "predicted" else None]
        for place in np.argwhere(one != other):
            where = ", ".join(f"{axis} {index}" for axis, index
                              in zip(axes[len(axes) - one.ndim:], place, strict=True))
            found.append(f"{where}: " * bool(where)
                         + f"{name} {one[tuple(place)]}, not {other[tuple(place)]}")
    return found
