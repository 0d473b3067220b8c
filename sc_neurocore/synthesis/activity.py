"""Cycles and synaptic operations of images, from the golden model's trace."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from .. import golden
from ..network import IntegerLayer, IntegerNetwork
from ..spec import AcceleratorSpec
from ..timing import Cycles


@dataclass(frozen=True)
class Activity:
    """Cycles and work of images that follow each other without a pause.

    Parameters
    ----------
    images : int
    cycles_min, cycles_mean, cycles_max : float
        Cycles an image: between the last result of an image and that of the image before it, or,
        of a single image, its latency.
    latency_cyc : float
        Cycles from the first input transfer of an image that comes alone to its last result; mean.
    lane_utilisation : tuple of float, one a layer
        Rows of synapses that are read, one for each event and fold, over cycles. The pipeline is as
        fast as its slowest layer, so the largest says how far from the limit of its layout it is.
    synaptic_operations : float
        An image, mean: events times the neurons that each of them reaches. With direct input an
        event of the first layer is a bit of an intensity that is set, once an image.
    """

    images: int
    cycles_min: float
    cycles_mean: float
    cycles_max: float
    latency_cyc: float
    lane_utilisation: tuple[float, ...]
    synaptic_operations: float


def fan_out(layer: IntegerLayer) -> npt.NDArray[np.int64]:
    """Neurons that each input of a layer reaches, (n_input,); a weight of 0 is a synapse, too."""
    return np.concatenate([
        (synapses.with_rows(np.ones_like(synapses.rows)).matrix() != 0).sum(axis=0)
        for synapses in layer.synapses])


def observe(network: IntegerNetwork, inputs: npt.ArrayLike, spec: AcceleratorSpec) -> Activity:
    """Run images through the golden model and count.

    Parameters
    ----------
    network : IntegerNetwork
    inputs
        At least one image, as for `golden.run`.
    spec : AcceleratorSpec

    Raises
    ------
    TypeError, ValueError
        If the inputs or the spec do not fit the network, or there are no images.
    """
    images, _ = network.check_batch(inputs)
    if not len(images):
        raise ValueError("Images must be at least one")
    trace = golden.trace(network, images, spec).trace
    alone = [_cycles(golden.trace(network, images[index:index + 1], spec).trace).latency[0]
             for index in range(len(images))]
    done = _cycles(trace).results[:, -1]
    intervals = np.diff(done) if len(images) > 1 else np.array(alone)
    received = [trace.input_spikes, *trace.spikes[:-1]]
    events = [spikes.sum(axis=1).mean(axis=0) for spikes in received]     # of an input, an image
    mean = float(intervals.mean())
    return Activity(
        len(images), float(intervals.min()), mean, float(intervals.max()), float(np.mean(alone)),
        tuple(float(of_layer.sum()) * spec.folds(network, index) / (mean * spec.ports[index])
              for index, of_layer in enumerate(events)),
        float(sum(of_layer @ fan_out(layer)
                  for of_layer, layer in zip(events, network.layers, strict=True))))


def _cycles(trace: golden.Trace) -> Cycles:
    assert trace.cycles is not None     # as there is a spec
    return trace.cycles
