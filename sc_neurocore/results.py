"""What running a network returns, whoever runs it: golden model, simulator, gateware or board."""

from dataclasses import dataclass

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
