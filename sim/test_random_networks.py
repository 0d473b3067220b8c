"""Random networks, layouts, images and stalls: golden model, simulator and Verilog always agree."""

import os
import shlex
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import random_networks
from common import random_network
from test_mutations import MUTATIONS, mutated_package

from sc_neurocore import cosim
from sc_neurocore.cli import hardware, options
from sc_neurocore.spec import AcceleratorSpec

QUICK = 12
"""Networks that `make test` runs; `make regress` runs all, of which it asserts that they differ."""


def pytest_generate_tests(metafunc):
    if "number" in metafunc.fixturenames:
        wanted = metafunc.config.getoption("--networks")
        metafunc.parametrize("number", [
            pytest.param(number, marks=[] if number < QUICK else pytest.mark.slow)
            for number in range(wanted)])


@pytest.fixture
def start(pytestconfig):
    """Seed of the first network: that of hypothesis, if there is one."""
    return int(pytestconfig.getoption("--hypothesis-seed") or 0)


def test_random_network(number, start):
    random_networks.search(start + number)


@pytest.mark.slow
def test_networks_are_different(pytestconfig, start, record_property):
    wanted = pytestconfig.getoption("--networks")
    drawn = [random_networks.search(start + number, lambda case: "") for number in range(wanted)]
    record_property("statistics", random_networks.statistics(drawn))
    assert len({random_networks.network_key(case) for case in drawn}) == wanted


def test_the_same_seed_draws_the_same_case():
    first, second, other = (random_networks.key(random_networks.search(seed, lambda case: ""))
                            for seed in (1, 1, 2))
    assert first == second != other


def test_a_case_is_the_same_when_it_was_saved(tmp_path):
    for seed in range(8):
        case = random_networks.search(seed, lambda case: "")
        case.save(tmp_path)
        assert random_networks.key(random_networks.Case.load(tmp_path)) == random_networks.key(case)


def test_the_printed_command_has_the_layout_of_the_case(tmp_path):
    """But where it can't: devices that are not planned for, and parameters that are loaded into
    more room than they need."""
    commands = 0
    for number in range(16):
        case = random_networks.search(number, lambda case: "")
        case.save(tmp_path)
        command = random_networks.verify_command(case, tmp_path)
        if command is None:
            assert (case.spec.family == "xc7"
                    or case.spec.loaded != case.spec.with_loading(case.network).loaded)
            continue
        given = hardware.verify.make_context("verify", command[2:]).params
        layout = options.Layout(**{field.name: given[field.name] for field in fields(options.Layout)
                                   if field.name in given})
        _, inputs = options.load_inputs(case.network, given["data"], given["images"])
        assert layout.choose(case.network, inputs)[0] == case.spec
        assert np.array_equal(inputs, case.images)
        commands += 1
    assert commands > 4     # hypothesis's versions draw others


@pytest.mark.slow
@pytest.mark.planted
@pytest.mark.long
def test_a_fault_is_found_shrunk_and_reproduced(tmp_path):
    """At most two layers of at most four neurons are left, and the printed command fails, too."""
    mutation = MUTATIONS["greater than instead of at least"]
    environment = os.environ | {"PYTHONPATH": str(mutated_package(mutation, tmp_path))}

    def run(*command):
        done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True,
                              text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    code, output = run(sys.executable, random_networks.__file__)
    assert code == 1, output
    (line,) = [line for line in output.splitlines() if line.startswith(random_networks.PROMPT)]
    command = shlex.split(line.removeprefix(random_networks.PROMPT))
    code, again = run(*command)
    assert code == 1, again
    assert "golden model says" in output
    assert "golden model says" in again
    case = random_networks.Case.load(next(folder for part in map(Path, command)
                                          for folder in (part, part.parent)
                                          if (folder / "network.safetensors").exists()))
    assert len(case.network.layers) <= 2
    assert max(case.network.shape[1:]) <= 4


@pytest.mark.slow
def test_784_128_10_with_64_lanes(tmp_path, cache):
    network = random_network((784, 128, 10), timesteps=8)
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (5, 784)) * (random.random((5, 784)) < 0.2)
    report = cosim.verify(network, images, AcceleratorSpec((64, 10), 16), folder=tmp_path,
                          cache=cache)
    assert report.passed, str(report)
