"""Plots of what a network does, as PNG files: the same bytes for the same numbers."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from .extras import require
from .files import replacing
from .golden import Trace
from .network import IntegerNetwork

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from .conversion.report import ConversionReport

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00")
"""Told apart by the colour-blind too: Okabe and Ito 2008, "Color universal design"."""
_INK = "#333333"
_DOTS_PER_INCH = 150


def accuracy_against_timesteps(path: Path, timesteps: Sequence[int],
                               curves: Mapping[str, npt.ArrayLike], ann_accuracy: float,
                               title: str = "Accuracy against timesteps") -> None:
    """Plot accuracies of spiking networks over T, their mean and range over seeds, and the ANN's.

    Parameters
    ----------
    path : Path
        PNG file.
    timesteps : sequence of int
        Values of T.
    curves : mapping from label to (len(timesteps), n_seeds) accuracies in [0, 1]
    ann_accuracy : float in [0, 1]
        Of the network that the others were converted from.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    ValueError
        If a curve does not have one row for each T.
    """
    figure = _figure(7, 4.4)
    axes = figure.subplots()
    axes.axhline(100 * ann_accuracy, color=_INK, linestyle="--", linewidth=1.2,
                 label=f"ANN, {100 * ann_accuracy:.2f} %")
    for (label, values), colour, marker in zip(curves.items(), COLOURS, "os^D", strict=False):
        percent = 100 * np.atleast_2d(np.asarray(values, dtype=np.float64))
        if len(percent) != len(timesteps):
            raise ValueError(f"Curve {label!r} must have {len(timesteps)} rows, one for each T, "
                             f"not shape {percent.shape}")
        axes.fill_between(timesteps, percent.min(axis=1), percent.max(axis=1), color=colour,
                          alpha=0.15, linewidth=0)
        axes.plot(timesteps, percent.mean(axis=1), color=colour, marker=marker, markersize=6,
                  label=f"{label}, mean and range of {percent.shape[1]} seeds")
    axes.set_xscale("log", base=2)
    axes.set_xticks(list(timesteps), [str(steps) for steps in timesteps])
    axes.minorticks_off()
    _label(axes, title, "timesteps per image, T", "accuracy (%)")
    axes.legend(loc="lower right", frameon=False)
    _save(figure, path)


def spike_raster(path: Path, trace: Trace, image_index: int = 0) -> None:
    """Plot the spikes of the input and of every layer for one image of a `golden.trace`.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    IndexError
        If the trace has no such image.
    """
    layers = [trace.input_spikes[image_index], *(spikes[image_index] for spikes in trace.spikes)]
    heights = [max(1.0, layer.shape[1] ** 0.5 / 4) for layer in layers]
    figure = _figure(8, 1.2 + 1.05 * sum(heights))
    rows = figure.subplots(len(layers), sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    names = ["input", *(f"layer {index}" for index in range(len(layers) - 2)), "output"]
    for axes, name, spikes, colour in zip(rows, names, layers,
                                          [_INK, *COLOURS * len(layers)], strict=False):
        timestep, neuron = np.nonzero(spikes)
        axes.vlines(timestep + 1, neuron - 0.4, neuron + 0.4, color=colour,
                    linewidth=min(9.0, 250 / len(spikes)))
        axes.set_xlim(0.4, len(spikes) + 0.6)
        axes.set_ylim(spikes.shape[1] - 0.2, -0.8)
        rate = len(timestep) / spikes.size
        _label(axes, f"{name}: {len(timestep)} spikes, {100 * rate:.1f} % of "
               f"{spikes.shape[1]} × {len(spikes)}", "", "input" if name == "input" else "neuron")
        axes.grid(axis="y", visible=False)
    rows[-1].set_xlabel("timestep")
    rows[-1].xaxis.get_major_locator().set_params(integer=True)
    figure.suptitle(f"Spikes of image {image_index}", fontweight="bold")
    _save(figure, path)


def membrane_trace(path: Path, network: IntegerNetwork, trace: Trace, image_index: int = 0,
                   neurons: int = 3) -> None:
    """Plot membranes, thresholds and spikes of each layer's ``neurons`` busiest for one image.

    Membranes are those stored at the end of a timestep, so of a neuron that spiked what was left.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    IndexError
        If the trace has no such image.
    """
    spikes = [layer[image_index] for layer in trace.spikes]
    membranes = [layer[image_index] for layer in trace.membranes]
    columns = min(neurons, max(layer.n_output for layer in network.layers))
    figure = _figure(3.6 * columns, 0.7 + 2.1 * len(spikes))
    grid = figure.subplots(len(spikes), columns, sharex=True, squeeze=False)
    for index, layer in enumerate(network.layers):
        busiest = np.argsort(-spikes[index].sum(axis=0), kind="stable")[:columns]
        for axes, neuron in zip(grid[index], busiest.tolist(), strict=False):
            _membrane(axes, membranes[index][:, neuron], spikes[index][:, neuron],
                      int(layer.initial_membranes[neuron]), int(layer.thresholds[neuron]))
            _label(axes, f"layer {index}, neuron {neuron}", "",
                   "membrane (weight LSBs)" if axes is grid[index][0] else "")
        for axes in grid[index][len(busiest):]:
            axes.set_visible(False)
    for axes in grid[-1]:
        axes.set_xlabel("timestep")
        axes.xaxis.get_major_locator().set_params(integer=True)
    handles, labels = grid[0][0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    figure.suptitle(f"Membranes of image {image_index}, busiest neurons of each layer",
                    fontweight="bold")
    _save(figure, path)


def error_causes(path: Path, report: "ConversionReport") -> None:
    """Plot the parts that causes have in each layer's error and, if known, accuracy after each.

    A bar is a cause's share times the error. Bars below 0 make up for others; all of a layer's add
    up to the error, which is marked.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    panels = 1 if report.accuracy is None else 2
    figure = _figure(5.4 * panels, 4.4)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    _cause_bars(axes[0], report)
    if report.accuracy is not None:
        percent = [100 * value for value in report.accuracy.values()]
        names = [name.replace("_", "\n") for name in ["ANN", *list(report.accuracy)[1:]]]
        axes[1].plot(range(len(percent)), percent, color=_INK, linewidth=1.2, zorder=1)
        axes[1].scatter(range(len(percent)), percent, color=[_INK, *COLOURS][:len(percent)], s=45)
        axes[1].set_xticks(range(len(percent)), names, fontsize=8)
        axes[1].margins(y=0.15)
        for place, value in enumerate(percent):
            axes[1].annotate(f"{value:.2f}", (place, value), (0, 9), textcoords="offset points",
                             ha="center", fontsize=8, bbox=dict(fc="white", lw=0, pad=0.5))
        _label(axes[1], f"Accuracy after each cause, {report.images} images", "", "accuracy (%)")
    handles, labels = axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3 * panels, frameon=False)
    figure.suptitle(f"From ANN to SNN: T = {report.timesteps}, {report.schedule}, "
                    f"encoder {report.encoder}", fontweight="bold")
    _save(figure, path)


def _cause_bars(axes: "Axes", report: "ConversionReport") -> None:
    errors = np.array([100 * layer.error for layer in report.layers])
    parts = errors * np.array([list(layer.shares.values()) for layer in report.layers]).T
    places, above, below = np.arange(len(errors)), np.zeros(len(errors)), np.zeros(len(errors))
    for name, heights, colour in zip(report.layers[0].shares, parts, COLOURS, strict=False):
        axes.bar(places, heights, 0.6, np.where(heights > 0, above, below), color=colour,
                 label=name.replace("_", " "))
        above, below = above + np.maximum(heights, 0), below + np.minimum(heights, 0)
    axes.plot(places, errors, color=_INK, marker="D", markersize=5, linestyle="", label="error")
    axes.axhline(0, color=_INK, linewidth=0.8)
    axes.set_xticks(places, [*map(str, places[:-1]), "output"])
    axes.set_ylim(1.1 * min(below.min(), 0), 1.1 * max(above.max(), 1))
    _label(axes, "Error of each layer and its causes", "layer", "RMS error (% of activations)")
    axes.grid(axis="x", visible=False)


def _membrane(axes: "Axes", membranes: npt.NDArray[Any], spikes: npt.NDArray[Any], initial: int,
              threshold: int) -> None:
    times = np.arange(len(membranes) + 1)
    axes.axhline(threshold, color=COLOURS[1], linestyle="--", linewidth=1.2, label="threshold")
    axes.plot(times, [initial, *membranes], color=COLOURS[0], marker=".", markersize=4,
              linewidth=1.2, label="membrane at the end of the timestep")
    fired = np.flatnonzero(spikes) + 1
    axes.plot(fired, np.full(len(fired), threshold), color=_INK, marker="v", markersize=5,
              linestyle="", label="spike")
    axes.margins(y=0.15)


def _figure(width: float, height: float) -> "Figure":
    # A Figure by itself draws with Agg and leaves pyplot's state and backend alone.
    figure: Figure = require("matplotlib.figure", "demo").Figure(
        figsize=(width, height), dpi=_DOTS_PER_INCH, layout="constrained")
    return figure


def _label(axes: "Axes", title: str, horizontal: str, vertical: str) -> None:
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(horizontal)
    axes.set_ylabel(vertical)
    axes.grid(color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _save(figure: "Figure", path: Path) -> None:
    with replacing(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})
