"""Spikes that cycles are counted with: those of images, or as many as are expected."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import golden
from ..network import IntegerNetwork
from ..rounds import Adds, Closes, encoder_rounds, phases
from ..spec import AcceleratorSpec
from ..timing import CLOSE_CYC, BoolArray, predict

EXPECTED_ACTIVITY = 0.15
"""Share of inputs and neurons that spike in a timestep, where there are no images to count with:
somewhat more than those of MNIST, of which 13 % do."""
_IMAGES_IN_A_ROW = 3


@dataclass(frozen=True)
class Pace:
    """Cycles of a layout.

    Parameters
    ----------
    latency_cyc : int
        From the first input transfer of an image that comes alone to its last result; of the image
        that takes longest.
    interval_cyc : float
        From image to image when they follow each other without a pause; mean.
    """

    latency_cyc: int
    interval_cyc: float


@dataclass(frozen=True, eq=False)
class Workload:
    """Spikes of some images, as `timing.predict` takes them, and where they come from."""

    network: IntegerNetwork
    input_spikes: BoolArray
    layer_spikes: tuple[BoolArray, ...]
    origin: str

    @classmethod
    def of_images(cls, network: IntegerNetwork, inputs: npt.ArrayLike) -> "Workload":
        """What images, inputs as for `golden.run`, make the network do.

        Raises
        ------
        TypeError, ValueError
            If the inputs do not fit the network, or there are none.
        """
        images, _ = network.check_batch(inputs)
        if not len(images):
            raise ValueError("Images must be at least one")
        trace = golden.trace(network, images).trace
        number = "1 image" if len(images) == 1 else f"{len(images)} images"
        return cls(network, trace.input_spikes, trace.spikes, number)

    @classmethod
    def expected(cls, network: IntegerNetwork, activity: float = EXPECTED_ACTIVITY) -> "Workload":
        """So large a share of inputs and neurons spiking in each timestep, at random.

        Raises
        ------
        ValueError
            If it is not a share.
        """
        if not 0 <= activity <= 1:
            raise ValueError(f"Activity must be in [0, 1], not {activity}")
        random = np.random.default_rng(0)

        def spikes(rounds: int, neurons: int) -> BoolArray:
            return random.random((1, rounds, neurons)) < activity

        return cls(network, spikes(encoder_rounds(network), network.n_input),
                   tuple(spikes(network.timesteps, layer.n_output) for layer in network.layers),
                   f"{activity:.0%} of inputs and neurons spiking in each timestep")

    def pace(self, spec: AcceleratorSpec) -> Pace:
        """Cycles that a layout takes for these spikes, exactly."""
        alone = [int(self._cycles(spec, [image]).latency[0])
                 for image in range(len(self.input_spikes))]
        order = [index % len(alone) for index in range(max(_IMAGES_IN_A_ROW, len(alone)))]
        done = self._cycles(spec, order).results[:, -1]
        return Pace(max(alone), float(np.diff(done).mean()))

    def _cycles(self, spec: AcceleratorSpec, order: list[int]):  # type: ignore[no-untyped-def]
        return predict(self.network, spec, self.input_spikes[order],
                       [spikes[order] for spikes in self.layer_spikes])

    def layer_load(self, index: int, spec: AcceleratorSpec) -> float:
        """Cycles that a layer is busy for an image, about; mean."""
        spikes = self.input_spikes if index == 0 else self.layer_spikes[index - 1]
        folds, group, ports = (spec.folds(self.network, index), spec.group(index),
                               spec.ports[index])
        # Of each group of a word; taken as if words were as wide as that.
        padded = np.pad(spikes, [(0, 0), (0, 0), (0, -spikes.shape[2] % group)])
        counts = padded.reshape(*padded.shape[:2], -1, group).sum(axis=3)
        taking = (-(-counts // ports)).sum(axis=2)
        events = np.maximum(taking, 1).mean(axis=0)     # of each round
        capacity = spec.capacity(index)
        closing = CLOSE_CYC + (folds > 1)       # a replay of events takes a breath after each fold
        closing += capacity.bias_rows if capacity else 0
        cycles, begin = 0.0, 0
        for part in phases(self.network, index):
            if part.adds is Adds.EVENTS:
                cycles += float(events[begin:begin + part.count].sum())
                begin += part.count
            else:
                cycles += part.count
            cycles += part.count * closing
            if part.closes is Closes.FIRE:
                cycles += part.count * self.network.widths[index].saturates
        return cycles * folds
