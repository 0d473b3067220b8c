"""Commands about the circuit."""

from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from .frame import Outcome, check_different, check_suffix, command, progress_bar
from .options import (
    COUNT,
    DATA,
    FOLDER,
    OUTPUT,
    PLANNED_IMAGES,
    Layout,
    data_option,
    layout_options,
    load_inputs,
    load_network,
    network_argument,
    seed_option,
    with_plan,
)


@command
@network_argument
@layout_options
@click.option("--data", metavar="DATA", help=f"Images to count a plan's cycles with: {DATA}")
@click.option("--trace", is_flag=True, help="Add the trace ports.")
@click.option("--axi", is_flag=True,
              help="With AXI4-Stream and AXI4-Lite ports, for a block design.")
@click.option("--header", type=OUTPUT, help="With --axi: C header of its registers.")
@click.option("--name", default="accelerator", show_default=True, help="Name of the top module.")
@seed_option
@click.option("--output", type=OUTPUT, required=True, help="Verilog file.")
def verilog(network: Path, data: str | None, trace: bool, axi: bool, header: Path | None,
            name: str, seed: int | None, output: Path, **layout: Any) -> Outcome:
    """Generate the circuit.

    NETWORK is an integer network. Its weights become initial contents of memories. Either --lanes
    say how it is laid out, or it is chosen for a device: the smallest layout that is as fast as
    --latency or --fps ask for, or the fastest one that fits.

    With --axi a watchdog resets an accelerator that a flipped bit has stopped. Without it there is
    none: the design around it may need one (docs/verification.md).
    """
    from .. import axi_ports
    from .. import verilog as generator
    from ..files import replacing

    if axi and trace:
        raise ValueError("--trace must not be given with --axi, whose ports are AXI's alone")
    if header is not None and not axi:
        raise ValueError("--header needs --axi, whose registers it is of")
    asked = Layout(**layout)
    loaded = load_network(network, seed)
    check_different(network, output)
    if header is not None:
        check_different(network, header)
        if header.resolve() == output.resolve():
            raise ValueError(f"--header and --output must be two files, not both {output}")
    inputs = None if data is None else load_inputs(loaded, data, PLANNED_IMAGES)[1]
    with (replacing(output) as part,
          nullcontext() if header is None else replacing(header) as header_part,
          progress_bar("generating Verilog")):
        spec, plan = asked.choose(loaded, inputs)
        text = (generator.generate_axi(loaded, spec, name=name) if axi else
                generator.generate(loaded, spec, trace=trace, name=name))
        part.write_text(text, encoding="utf-8")
        if header_part is not None:
            header_part.write_text(axi_ports.c_header(loaded, spec), encoding="utf-8")
    lines = text.count("\n")
    return with_plan({"output": str(output), "name": name, "lanes": list(spec.lanes),
                      "beats": spec.beats, "lines": lines},
                     f"{name}, lanes {', '.join(map(str, spec.lanes))}: "
                     f"{lines} lines, written to {output}", plan)


@command
@network_argument
@data_option
@click.option("--images", type=COUNT, default=5, show_default=True, help="Take the first N.")
@layout_options
@seed_option
@click.option("--stage", default="rtl", show_default=True, metavar="STAGE,…",
              help="What is simulated: rtl, the Verilog; netlist, what Yosys makes of it for the "
                   "device, or for each family; bitstream, the logic in the bitstream of a board "
                   "with an iCE40.")
@click.option("--stall-seed", default=1, show_default=True, type=click.IntRange(min=0),
              help="Seed of the pauses of the Verilog's and the netlists' streams.")
@click.option("--build", type=FOLDER,
              help="Folder of the bitstream, whose layout is taken.  [default: build it]")
@click.option("--waves", type=OUTPUT, help="Waveform of the run without stalls, .vcd.")
@click.option("--folder", type=FOLDER,
              help="Folder for logs and for compiled simulations, which are used again.")
def verify(network: Path, data: str, images: int, seed: int | None, stage: str,
           stall_seed: int, build: Path | None, waves: Path | None, folder: Path | None,
           **layout: Any) -> Outcome:
    """Simulate the circuit and compare it with the golden model.

    NETWORK is an integer network, which runs on test images of DATA. Of its Verilog and of netlists
    every spike, membrane, result and cycle is compared, of a bitstream results and cycles; the exit
    code is 1 if one of them differs.
    """
    from .. import bitstream, stages
    from ..boards import find_board
    from ..files import replacing

    check_suffix(waves, ".vcd")
    asked = Layout(**layout)
    loaded = load_network(network, seed)
    _, inputs = load_inputs(loaded, data, images)
    if build is None:
        spec, plan = asked.choose(loaded, inputs)
        device = asked.device
    else:
        if asked != Layout():
            raise ValueError("Options of the layout must not be given with --build, which has one")
        spec, plan = bitstream.read_layout(build), None
        device = find_board(bitstream.read_manifest(build)["board"]).device.name
    with (nullcontext() if waves is None else replacing(waves) as part,
          progress_bar("verifying") as show):
        reports = stages.verify_stages(
            loaded, inputs, spec, stage.split(","), device, build=build, folder=folder,
            waves=part, stall_seed=stall_seed, progress=lambda step: show(0, 1, step))
    passed = all(each.report.passed for each in reports)
    return with_plan({"passed": passed, "stages": [each.as_dict() for each in reports]},
                     "\n".join(map(str, reports)), plan, passed)
