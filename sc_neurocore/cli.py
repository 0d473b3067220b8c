"""The command line ``sc-neurocore``: the only module that prints or exits."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass, replace
from functools import update_wrapper
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any, NoReturn

import click

from . import __version__
from .extras import MissingExtraError

if TYPE_CHECKING:
    from .network import IntegerNetwork
    from .results import Result
    from .spec import AcceleratorSpec

PROGRAM = "sc-neurocore"
MISMATCH, FAILURE, INTERRUPTED = 1, 2, 130
"""Exit codes: the hardware differs from the golden model; anything else went wrong; Ctrl-C."""

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
OUTPUT = click.Path(dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)
COUNT = click.IntRange(min=1)
DATA = ("digits, a folder of IDX files, or an .npz or .npy file: images, (n, n_input) in [0, 1], "
        "and labels, (n,) integers.")


class Integers(click.ParamType):
    """One integer for all layers, or one a layer separated by commas."""

    name = "N|N,N,…"

    def convert(self, value: Any, param: click.Parameter | None,
                ctx: click.Context | None) -> int | tuple[int, ...]:
        """Parse ``16`` to an int and ``16,8`` to a tuple."""
        if not isinstance(value, str):
            return value
        try:
            numbers = tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is neither an integer nor one a layer, separated by commas",
                      param, ctx)
        return numbers if "," in value else numbers[0]


class Commands(click.Group):
    """Commands in the order of the data flow."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names in the order of definition; click's own is alphabetical."""
        return list(self.commands)


@dataclass(frozen=True)
class Outcome:
    """What a command has to say: to machines, to people, and in its exit code."""

    document: dict[str, Any]
    text: str
    passed: bool = True


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=PROGRAM)
def commands() -> None:
    """Turn a trained PyTorch network into a spiking one on an FPGA, verified cycle by cycle."""


def command(function: Callable[..., Outcome]) -> click.Command:
    """Make a command that prints the outcome of ``function`` and returns the exit code."""
    def printing(as_json: bool, debug: bool, **arguments: Any) -> int:
        # Whatever else prints, a user's model for instance, must not get into the JSON.
        with redirect_stdout(sys.stderr):
            outcome = function(**arguments)
        click.echo(json.dumps(outcome.document, indent=1) if as_json else outcome.text)
        return 0 if outcome.passed else MISMATCH

    made = commands.command(name=function.__name__)(update_wrapper(printing, function))
    # main() looks for these two itself, as an error may be that of another option.
    made.params += [
        click.Option(["--json", "as_json"], is_flag=True,
                     help="Print JSON on stdout, and nothing else."),
        click.Option(["--debug"], is_flag=True, help="Show the traceback of an error.")]
    return made


seed_option = click.option("--seed", type=int,
                           help="Seed of the encoder.  [default: the network's]")
data_option = click.option("--data", required=True, metavar="DATA", help=DATA)


def layout_options(function: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """Add the options of an accelerator's layout."""
    beats = click.option("--beats", type=int, default=8, show_default=True,
                         help="Intensities in an input transfer.")
    lanes = click.option("--lanes", type=Integers(), default=16, show_default=True,
                         help="Neurons that a layer updates in parallel: at most N in each layer, "
                              "or one number a layer.")
    return lanes(beats(function))


@command
@click.option("--output", type=FOLDER, default=Path("build/demo"), show_default=True,
              help="Folder for all files.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True,
              help="Seed of the training.")
def demo(output: Path, seed: int) -> Outcome:
    """Do all of it, from training to a verified circuit.

    Takes some minutes, on the handwritten digits of scikit-learn.
    """
    from . import demo as pipeline

    with progress_bar("training") as show:
        report = pipeline.run(output, lambda step, done, total: show(done, total, step), seed=seed)
    files = "\n".join(f"  {output / name}" for name in report.files)
    return Outcome(report.as_dict(), f"{report}\n\n{files}", report.passed)


@command
@click.argument("model")
@click.option("--weights", type=FILE, help="State dict: .safetensors, or from torch.save.")
@click.option("--calibration", metavar="DATA", help=f"Training images: {DATA}")
@click.option("--timesteps", type=int, help="Timesteps an image.  [default: the model's, or 16]")
@click.option("--percentile", type=float, default=99.9, show_default=True,
              help="Of the activations, that a layer's scale is taken from.")
@click.option("--initial-membrane", type=float,
              help="Membrane at the start, in thresholds.  [default: 0.5 for QCFS, otherwise 0]")
@click.option("--output", type=OUTPUT, required=True, help="Float network, .safetensors.")
def convert(model: str, weights: Path | None, calibration: str | None, timesteps: int | None,
            percentile: float, initial_membrane: float | None, output: Path) -> Outcome:
    """Convert a torch model to a spiking network.

    MODEL is package.module:factory, a function or class that makes the model without arguments.
    """
    from .datasets import load_images
    from .extras import require
    from .files import replacing
    from .storage import save_snn

    require("torch", "convert")
    from .conversion import convert as convert_model
    from .conversion.loading import load_model

    with replacing(output) as part:
        network = load_model(model, weights)
        images = None if calibration is None else load_images(calibration, train=True).images
        snn = convert_model(network, images, T=timesteps, percentile=percentile)
        if initial_membrane is not None:
            snn = replace(snn, initial_membrane_fraction=initial_membrane)
        save_snn(snn, part)
    if weights is None:
        warn("without --weights, the parameters are those that MODEL begins with")
    if calibration is None:
        warn("without --calibration, ReLU activations above 1 saturate")
    return Outcome({"output": str(output), "shape": list(snn.shape), "timesteps": snn.T,
                    "initial_membrane": snn.initial_membrane_fraction,
                    "calibration_images": 0 if images is None else len(images)},
                   f"{snn}, written to {output}")


@command
@click.argument("snn", type=FILE)
@click.option("--weight-width", type=Integers(), default=8, show_default=True,
              help="Bits of a weight.")
@click.option("--timesteps", type=int, help="Timesteps an image.  [default: the float network's]")
@click.option("--intensity-width", type=int, default=8, show_default=True,
              help="Bits of an input intensity.")
@click.option("--membrane-width", type=Integers(),
              help="Bits of a stored membrane, which saturates.  [default: as many as it needs]")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the encoder.")
@click.option("--output", type=OUTPUT, required=True, help="Integer network, .safetensors.")
def quantize(snn: Path, weight_width: int | tuple[int, ...], timesteps: int | None,
             intensity_width: int, membrane_width: int | tuple[int, ...] | None, seed: int,
             output: Path) -> Outcome:
    """Round a spiking network to integers.

    SNN is a float network that convert wrote.
    """
    from . import quantization
    from .files import replacing
    from .storage import load_snn, save_network

    check_different(snn, output)
    with replacing(output) as part:
        floats = load_snn(snn)
        network = quantization.quantize(
            floats, weight_width, timesteps=timesteps, intensity_width=intensity_width,
            membrane_width=membrane_width, seed=seed)
        summary = quantization.summarize(floats, network)
        save_network(network, part)
    return Outcome({"output": str(output), "shape": list(network.shape),
                    "timesteps": network.timesteps, "seed": network.seed, **summary.as_dict()},
                   f"{summary}\n\nwritten to {output}")


@command
@click.argument("network", type=FILE)
@data_option
@click.option("--limit", type=COUNT, help="Take the first images only.")
@click.option("--seeds", type=COUNT, default=1, show_default=True,
              help="Seeds of the encoder to run with, counted up from the first.")
@seed_option
@click.option("--output", type=OUTPUT,
              help="Counts and predicted classes, .npz; with several seeds, a row for each.")
def simulate(network: Path, data: str, limit: int | None, seeds: int, seed: int | None,
             output: Path | None) -> Outcome:
    """Measure accuracy and throughput, without a circuit.

    NETWORK is an integer network; it runs on the test images of DATA.
    """
    import numpy as np

    from .datasets import load_images
    from .files import replacing

    check_suffix(output, ".npz")
    loaded = load_network(network, seed)
    with nullcontext() if output is None else replacing(output) as part:
        source = load_images(data, limit=limit)
        check_labels(source.labels, loaded.n_output)
        predicted, counts, seconds = run_seeds(loaded, source.images, seeds)
        if part is not None:
            single = 0 if seeds == 1 else slice(None)
            with part.open("wb") as file:
                np.savez(file, counts=counts[single], predicted=predicted[single])
    accuracies = [] if source.labels is None else np.mean(predicted == source.labels, 1).tolist()
    mean = float(np.mean(accuracies)) if accuracies else None
    rate = predicted.size / seconds
    return Outcome(
        {"images": len(source.images), "timesteps": loaded.timesteps,
         "seeds": list(range(loaded.seed, loaded.seed + seeds)), "accuracies": accuracies,
         "accuracy": mean, "images_per_second": rate},
        f"{len(source.images)} images of {source.name}, T = {loaded.timesteps}, {seeds} seed(s): "
        + ("no labels" if mean is None else f"accuracy {mean:.2%}") + f", {rate:.0f} images/s")


def check_labels(labels: Any, n_output: int) -> None:
    """Raise ValueError unless labels, if there are some, are classes of the network."""
    for image, label in enumerate([] if labels is None else labels.tolist()):
        if not 0 <= label < n_output:
            raise ValueError(f"Label of image {image} must be in range({n_output}), not {label}")


def run_seeds(network: "IntegerNetwork", images: Any, seeds: int) -> tuple[Any, Any, float]:
    """Run images with several seeds: classes, (seeds, n), counts, and the seconds it took."""
    import numpy as np

    from . import simulator

    networks = [replace(network, seed=network.seed + index) for index in range(seeds)]
    intensities = network.intensities(images)
    results: list[Result] = []
    begun = perf_counter()
    with progress_bar("simulating") as show:
        for seeded in networks:
            def advance(done: int, total: int, before: int = len(results)) -> None:
                show(before * total + done, seeds * total)

            results.append(simulator.run(seeded, intensities, advance))
    return (np.stack([result.predicted for result in results]),
            np.stack([result.counts for result in results]), perf_counter() - begun)


@command
@click.argument("network", type=FILE)
@layout_options
@click.option("--trace", is_flag=True, help="Add the trace ports.")
@click.option("--name", default="accelerator", show_default=True, help="Name of the top module.")
@seed_option
@click.option("--output", type=OUTPUT, required=True, help="Verilog file.")
def verilog(network: Path, lanes: int | tuple[int, ...], beats: int, trace: bool, name: str,
            seed: int | None, output: Path) -> Outcome:
    """Generate the circuit.

    NETWORK is an integer network. Its weights become initial contents of memories.
    """
    from . import verilog as generator
    from .files import replacing

    loaded = load_network(network, seed)
    spec = accelerator_spec(loaded, lanes, beats)
    check_different(network, output)
    with replacing(output) as part, progress_bar("generating Verilog"):
        text = generator.generate(loaded, spec, trace=trace, name=name)
        part.write_text(text, encoding="utf-8")
    lines = text.count("\n")
    return Outcome({"output": str(output), "name": name, "lanes": list(spec.lanes),
                    "beats": spec.beats, "lines": lines},
                   f"{name}, lanes {', '.join(map(str, spec.lanes))}: "
                   f"{lines} lines, written to {output}")


@command
@click.argument("network", type=FILE)
@data_option
@click.option("--images", type=COUNT, default=5, show_default=True, help="Take the first N.")
@layout_options
@seed_option
@click.option("--waves", type=OUTPUT, help="Waveform of the run without stalls, .vcd.")
@click.option("--folder", type=FOLDER,
              help="Folder for logs and for compiled simulations, which are used again.")
def verify(network: Path, data: str, images: int, lanes: int | tuple[int, ...], beats: int,
           seed: int | None, waves: Path | None, folder: Path | None) -> Outcome:
    """Simulate the circuit and compare it with the golden model.

    NETWORK is an integer network. Every spike, membrane, result and cycle of its Verilog is
    compared, on test images of DATA; the exit code is 1 if one of them differs.
    """
    from . import cosim
    from .datasets import load_images
    from .files import replacing

    check_suffix(waves, ".vcd")
    loaded = load_network(network, seed)
    spec = accelerator_spec(loaded, lanes, beats)
    intensities = loaded.intensities(load_images(data, limit=images).images)
    with (nullcontext() if waves is None else replacing(waves) as part,
          progress_bar(f"co-simulating {len(intensities)} images")):
        report = cosim.verify(loaded, intensities, spec, folder=folder, waves=part)
    return Outcome(report.as_dict(), f"{report}\n{report.cycles_per_image:.1f} cycles per image",
                   report.passed)


def warn(message: str) -> None:
    """Print a warning on stderr."""
    click.echo(f"Warning: {message}", err=True)


def check_suffix(output: Path | None, suffix: str) -> None:
    """Raise ValueError unless an output file, if there is one, is called what it will hold."""
    if output is not None and output.suffix != suffix and not output.is_char_device():
        raise ValueError(f"Output file {output} must end in {suffix}")


def check_different(given: Path, output: Path) -> None:
    """Raise ValueError if a command would replace the file that it reads."""
    if output.exists() and output.samefile(given):
        raise ValueError(f"Output file {output} must not be the input")


def load_network(path: Path, seed: int | None) -> "IntegerNetwork":
    """Load an integer network, and replace its seed if there is one."""
    from . import storage

    network = storage.load_network(path)
    return network if seed is None else replace(network, seed=seed)


def accelerator_spec(network: "IntegerNetwork", lanes: int | tuple[int, ...],
                     beats: int) -> "AcceleratorSpec":
    """Layout with at most so many lanes, or with exactly those of each layer."""
    from .spec import AcceleratorSpec

    if isinstance(lanes, int):
        return AcceleratorSpec.for_network(network, lanes, beats)
    spec = AcceleratorSpec(lanes, beats)
    spec.check(network)
    return spec


@contextmanager
def progress_bar(description: str) -> Iterator[Callable[..., None]]:
    """Show progress on stderr if it is a terminal; call with done, total and a description."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
        task = bar.add_task(description, total=None)

        def show(done: int, total: int, text: str = description) -> None:
            bar.update(task, completed=done, total=total, description=text)

        yield show


def expected(error: Exception) -> bool:
    """Whether an error is one that a user can mend, its message being all that it takes."""
    from .cosim import ToolError

    return isinstance(error, ValueError | TypeError | OSError | MemoryError | MissingExtraError
                      | ToolError)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit; the entry point of ``sc-neurocore``."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = commands.main(given or ["--help"], prog_name=PROGRAM, standalone_mode=False)
    except click.ClickException as error:
        context = getattr(error, "ctx", None)
        hint = f" (see {context.command_path} --help)" if context else ""
        fail(error.format_message() + hint, given)
    except click.Abort:
        fail("interrupted", given, INTERRUPTED)
    except Exception as error:
        if "--debug" in given or not expected(error):
            import traceback
            traceback.print_exc()
        fail(str(error) or type(error).__name__, given)
    sys.exit(code)


def fail(message: str, arguments: Sequence[str], code: int = FAILURE) -> NoReturn:
    """Print an error for machines or people, and exit."""
    if "--json" not in arguments:
        click.echo(f"Error: {message}", err=True)
    else:
        try:
            click.echo(json.dumps({"error": message}))
        except OSError:
            click.echo(f"Error: {message}", err=True)
    try:
        sys.stdout.flush()
    except OSError:
        # What stdout doesn't take, a full disk perhaps, must not fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.exit(code)
