"""Tops that are attacked, and their checks, which also flip bits so that they stop."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import test_axi
from common import random_network

from sc_neurocore import golden, host, verilog
from sc_neurocore.cosim import simulation, virtual_board
from sc_neurocore.cosim.simulation import SimulationError
from sc_neurocore.gateware.axi_top import AxiTop
from sc_neurocore.network import IntegerNetwork
from sc_neurocore.results import differences
from sc_neurocore.spec import AcceleratorSpec

from . import CACHE, SIM, flips

STOPS = {"no results": ("board.accelerator.replay_1.halves", "fill"),
         "no image": ("board.link.images", "place"),
         "wrong numbers": ("board.link", "following")}
"""What a board stands still with that has a flipped bit in a register, each the only cause of a
restart of its kind: of both watchdogs, and of the link. Of the first not in every cycle."""


def board_network() -> tuple[IntegerNetwork, AcceleratorSpec]:
    """A network that keeps the accelerator busy while its images come in."""
    return random_network((21, 7, 3), seed=4), AcceleratorSpec((1, 1), 4)


@dataclass(frozen=True)
class AxiPorts:
    """An accelerator with AXI ports; its check has a bench of them, and one that flips bits."""

    name: str
    network: IntegerNetwork
    spec: AcceleratorSpec
    parts: tuple[str, ...] = ()
    top: str = test_axi.TOP

    @cached_property
    def text(self) -> str:
        """Its Verilog."""
        return verilog.component_text(AxiTop(self.network, self.spec), self.top)

    def check(self, text: str, plusargs: Sequence[str], folder: Path) -> str:
        """What finds anything: the ports' bench, that of a stop, or an image after a wrong one;
        empty if nothing does."""
        job = test_axi.parameters(self.network, self.spec)
        job["packets"] = test_axi.packets(self.network, self.spec, 30)
        if not self._passes(text, "bench_axi", job, plusargs, folder):
            return "ports"
        text, states = flips.insert(text, self.top)
        numbers = {(state.module.removeprefix(f"{self.top}.accelerator."), state.name): state.number
                   for state in states}
        stops, *wrong = ({"number": numbers[place], "bit": 0, "row": 0, "cycle": cycle}
                         for place, cycle in ((("replay_1", "fold"), 300),
                                              (("encoder", "round"), 365),
                                              (("replay_0.halves", "drain"), 511)))
        outcomes = folder.resolve() / "outcomes.json"
        sent = [packet for packet in job["packets"] if not packet["broken"]][:6]
        if not self._passes(text, "bench_axi_faults", {
                **job, "packets": sent, "stops": stops, "flips": wrong, "output": str(outcomes)},
                plusargs, folder):
            return "stop"
        return "" if all(one["heals"] for one in json.loads(outcomes.read_text())) else "healing"

    def _passes(self, text: str, bench: str, job: dict[str, Any], plusargs: Sequence[str],
                folder: Path) -> bool:
        compiled = simulation.compile_verilog(text, self.top, CACHE, lint=False, internals=True)
        try:
            simulation.run(compiled, self.top, bench, job, folder, python_path=[SIM],
                           plusargs=plusargs)
        except SimulationError:
            return False
        return True


@dataclass(frozen=True)
class Board:
    """A board with its host, which runs images; some of them while it is made to stop."""

    name: str
    network: IntegerNetwork
    spec: AcceleratorSpec
    parts: tuple[str, ...] = ()
    top: str = virtual_board.TOP

    @cached_property
    def text(self) -> str:
        """Its Verilog."""
        return virtual_board.board_text(self.network, self.spec)

    def check(self, text: str, plusargs: Sequence[str], folder: Path) -> str:
        """What is wrong first; empty if nothing is."""
        text, states = flips.insert(text, self.top)
        program = virtual_board.compile_board(text, CACHE, lint=False)
        images = np.random.default_rng(3).integers(0, 256, (24, self.network.n_input))
        numbers = {(state.module, state.name): state.number for state in states}
        try:
            if fault := self._unflipped(program, plusargs, images):
                return fault
            for stop, register in STOPS.items():
                flip = [f"+flip={numbers[register]}", "+bit=0"]
                if fault := self._stopped(program, [*plusargs, *flip], images):
                    return f"{stop}: {fault}"
        except (host.LinkError, ValueError):
            return "host"
        return ""

    def _stopped(self, program: Path, plusargs: Sequence[str], images: np.ndarray) -> str:
        """Flip a bit in one cycle after another until there is a restart, after which images are
        right again."""
        for cycle in range(6000, 14_000, 160):
            with (virtual_board.VirtualBoard(program, plusargs=[*plusargs, f"+cycle={cycle}"])
                  as running, host.open(running.port, self.network, timeout=0.25) as opened):
                opened.run(images)
                if differences(opened.run(images), golden.run(self.network, images)):
                    return "results"
                if opened.status["restarts"]:
                    return ""
        return "restarts"

    def _unflipped(self, program: Path, plusargs: Sequence[str], images: np.ndarray) -> str:
        with (virtual_board.VirtualBoard(program, plusargs=plusargs) as running,
              host.open(running.port, self.network, timeout=0.25) as opened):
            if differences(opened.run(images), golden.run(self.network, images)):
                return "results"
            opened.self_test(1)
            trace = golden.trace(self.network, images, self.spec).trace
            hidden = sum(layer.sum() for layer in trace.spikes[:-1])
            if opened.activity.events != trace.input_spikes.sum() + hidden:
                return "counters"
            if opened.status["restarts"]:
                return "restarts"
        return ""
