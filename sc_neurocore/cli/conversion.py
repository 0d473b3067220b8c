"""Commands from a trained network to an integer one."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from .frame import Outcome, check_different, check_suffix, command, progress_bar, warn
from .options import (
    COUNT,
    DATA,
    FILE,
    OUTPUT,
    Integers,
    data_option,
    load_network,
    model_options,
)

if TYPE_CHECKING:
    from ..conversion import ConvertedSNN

DEFAULT_MEMBRANE = "[default: 0.5 for QCFS and --calibrate, otherwise 0]"


@command
@model_options
@click.option("--calibration", metavar="DATA", help=f"Training images: {DATA}")
@click.option("--timesteps", type=int, help="Timesteps an image.  [default: the model's, or 16]")
@click.option("--scale", type=click.Choice(["percentile", "max", "mse"]),
              help="Of the activations, what a layer's scale is taken from.  "
                   "[default: percentile]")
@click.option("--percentile", type=float, help="For --scale percentile.  [default: 99.9]")
@click.option("--per-channel/--per-layer", default=None,
              help="A scale for each channel, or one a layer.  [default: --per-layer, but with "
                   "--calibrate --per-channel]")
@click.option("--calibrate", type=click.Choice(["direct", "poisson", "low_discrepancy"]),
              help="Fit weights, biases and scales to the timesteps and to input that is coded so, "
                   "in place of --scale; poisson stands for lfsr.")
@click.option("--schedule", type=click.Choice(["pipelined", "layer_by_layer"]),
              default="pipelined", show_default=True)
@click.option("--initial-membrane", type=float,
              help=f"Membrane at the start, in thresholds.  {DEFAULT_MEMBRANE}")
@click.option("--output", type=OUTPUT, required=True, help="Float network, .safetensors.")
def convert(model: str, weights: Path | None, input_shape: int | tuple[int, ...] | None,
            calibration: str | None, output: Path, calibrate: str | None, timesteps: int | None,
            initial_membrane: float | None, **options: Any) -> Outcome:
    """Convert a trained model to a spiking network.

    MODEL is a file .onnx, or package.module:factory, a function or class that makes a torch model
    without arguments.
    """
    from ..datasets import load_images
    from ..files import replacing
    from ..storage import save_snn

    with replacing(output) as part:
        network = load_model(model, weights)
        images = None if calibration is None else load_images(calibration, train=True).images
        snn = converted(network, images, calibrate, T=timesteps,
                        initial_membrane_fraction=initial_membrane,
                        input_shape=input_shape_of(input_shape), **options)
        save_snn(snn, part)
    if weights is None and not model.endswith(".onnx"):
        warn("without --weights, the parameters are those that MODEL begins with")
    if calibration is None:
        warn("without --calibration, ReLU activations above 1 saturate")
    return Outcome({"output": str(output), "shape": list(snn.shape), "timesteps": snn.T,
                    "initial_membrane": snn.initial_membrane_fraction, "schedule": snn.schedule,
                    "calibration_images": 0 if images is None else len(images)},
                   f"{snn}, written to {output}")


def converted(network: Any, images: Any, encoder: str | None, *, scale: str | None,
              percentile: float | None, **options: Any) -> "ConvertedSNN":
    """Convert a model, or calibrate it for an encoder if there is one; None is the default."""
    from ..conversion import calibrate, convert

    for name, value in (("--scale", scale), ("--percentile", percentile)):
        if encoder is not None and value is not None:
            raise ValueError(f"{name} can't be given with --calibrate, which fits the scales")
    if percentile is not None and scale not in (None, "percentile"):
        raise ValueError(f"--percentile is for --scale percentile, not for {scale}")
    if encoder is not None and images is None:
        raise ValueError("--calibrate needs the images of --calibration")
    given = {name: value for name, value in options.items() if value is not None}
    if encoder is not None:
        return calibrate(network, images, encoder=encoder, **given)
    return convert(network, images, scale=scale or "percentile",
                   percentile=99.9 if percentile is None else percentile, **given)


def load_model(model: str, weights: Path | None) -> Any:
    """Load a torch model from an ONNX file, or make the one that ``model`` names."""
    from ..extras import require

    require("torch", "convert")
    if not model.endswith(".onnx"):
        from ..conversion import loading

        return loading.load_model(model, weights)
    if weights is not None:
        raise ValueError(f"--weights can't be given for {model}, which has its own")
    from ..interchange import load_onnx

    return load_onnx(model)


def input_shape_of(given: int | tuple[int, ...] | None) -> tuple[int, ...] | None:
    """Shape of one image, of the option --input-shape."""
    return (given,) if isinstance(given, int) else given


@command
@click.argument("nir", type=FILE)
@click.option("--timesteps", type=int, help="Timesteps an image.  [default: those recorded]")
@click.option("--reset", type=click.Choice(["subtract"]),
              help="How neurons reset, which NIR has no place for.  [default: as recorded]")
@click.option("--dt", type=float, metavar="SECONDS", help="Timestep.  [default: as recorded]")
@click.option("--initial-membrane", type=float,
              help="Membrane at the start, in thresholds.  [default: as recorded, or 0]")
@click.option("--output", type=OUTPUT, required=True, help="Float network, .safetensors.")
def import_(nir: Path, timesteps: int | None, reset: str | None, dt: float | None,
            initial_membrane: float | None, output: Path) -> Outcome:
    """Read a spiking network that another tool wrote.

    NIR is a file of the Neuromorphic Intermediate Representation.
    """
    from ..files import replacing
    from ..interchange import load_nir
    from ..storage import save_snn

    check_different(nir, output)
    with replacing(output) as part:
        snn = load_nir(nir, timesteps, reset=reset, dt=dt,
                       initial_membrane_fraction=initial_membrane)
        save_snn(snn, part)
    return Outcome({"output": str(output), "shape": list(snn.shape), "timesteps": snn.T},
                   f"{snn}, written to {output}")


@command
@click.argument("snn", type=FILE)
@click.option("--dt", type=float, default=1e-4, show_default=True, metavar="SECONDS",
              help="What a timestep stands for.")
@click.option("--output", type=OUTPUT, required=True, help="NIR file.")
def export(snn: Path, dt: float, output: Path) -> Outcome:
    """Write a spiking network for other tools, as NIR.

    SNN is a float network.
    """
    from ..interchange import save_nir
    from ..storage import load_snn

    check_different(snn, output)
    save_nir(load_snn(snn), output, dt)
    return Outcome({"output": str(output)}, f"written to {output}")


@command
@click.argument("snn", type=FILE)
@click.option("--weight-width", type=Integers(), default=8, show_default=True,
              help="Bits of a weight.")
@click.option("--timesteps", type=int, help="Timesteps an image.  [default: the float network's]")
@click.option("--intensity-width", type=int, default=8, show_default=True,
              help="Bits of an input intensity.")
@click.option("--membrane-width", type=Integers(),
              help="Bits of a stored membrane, which saturates.  [default: as many as it needs]")
@click.option("--encoder", type=click.Choice(["lfsr", "low_discrepancy", "direct", "events"]),
              default="lfsr", show_default=True, help="How intensities become spikes.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the encoder.")
@click.option("--output", type=OUTPUT, required=True, help="Integer network, .safetensors.")
def quantize(snn: Path, weight_width: int | tuple[int, ...], timesteps: int | None,
             intensity_width: int, membrane_width: int | tuple[int, ...] | None, encoder: str,
             seed: int, output: Path) -> Outcome:
    """Round a spiking network to integers.

    SNN is a float network that convert wrote.
    """
    from .. import quantization
    from ..files import replacing
    from ..storage import load_snn, save_network

    check_different(snn, output)
    with replacing(output) as part:
        floats = load_snn(snn)
        network = quantization.quantize(
            floats, weight_width, timesteps=timesteps, intensity_width=intensity_width,
            membrane_width=membrane_width, encoder=encoder, seed=seed)
        summary = quantization.summarize(floats, network)
        save_network(network, part)
    return Outcome({"output": str(output), "shape": list(network.shape),
                    "timesteps": network.timesteps, "encoder": network.encoder,
                    "schedule": network.schedule, "seed": network.seed, **summary.as_dict()},
                   f"{summary}\n\nwritten to {output}")


@command
@model_options
@click.argument("snn", type=FILE)
@data_option
@click.option("--network", type=FILE, help="Integer network that quantize made of SNN.")
@click.option("--limit", type=COUNT, default=500, show_default=True,
              help="Take the first images only.")
@click.option("--encoder", help="How the input is coded.  [default: the integer network's, or "
                                "poisson]")
@click.option("--plot", type=OUTPUT, help="Errors by layer and cause, .png.")
def report(model: str, weights: Path | None, input_shape: int | tuple[int, ...] | None, snn: Path,
           data: str, network: Path | None, limit: int, encoder: str | None, plot: Path | None
           ) -> Outcome:
    """Say why a spiking network is worse than the trained one.

    MODEL is what convert made SNN of. The images are the test images of DATA.
    """
    from ..datasets import load_images
    from ..files import replacing
    from ..storage import load_snn

    check_suffix(plot, ".png")
    trained, floats = load_model(model, weights), load_snn(snn)
    integers = None if network is None else load_network(network, None)
    coded = encoder or (integers.encoder if integers else "poisson")
    source = load_images(data, limit=limit, spikes=coded == "events")
    from ..conversion.graph import trace
    from ..conversion.report import report as explain

    with progress_bar("running both"):
        found = explain(trace(trained, input_shape_of(input_shape)), floats, source.images,
                        source.labels, integers, encoder=encoder)
    if plot is not None:
        from .. import plots

        with replacing(plot) as part:
            plots.error_causes(part, found)
    return Outcome(found.as_dict(), str(found))
