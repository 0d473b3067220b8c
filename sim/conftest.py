"""Fixtures of the simulations: each test compiles one component and runs one bench on it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from common import CACHE

from sc_neurocore.cosim import simulation
from sc_neurocore.verilog import component_text


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--networks", type=int, default=200,
                     help="how many random networks there are; --hypothesis-seed draws others")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for report in terminalreporter.getreports("passed"):
        for name, text in report.user_properties:
            if name == "statistics":
                terminalreporter.section("random networks")
                terminalreporter.write_line(text)


@pytest.fixture
def simulate(tmp_path: Path) -> Callable[..., None]:
    """Run all tests of the bench module on an Amaranth component."""

    def run(component: Any, bench: str, **parameters: Any) -> None:
        top = bench.removeprefix("bench_")
        compiled = simulation.compile_verilog(component_text(component, top), top, CACHE)
        simulation.run(compiled, top, bench, parameters, tmp_path,
                       python_path=[Path(__file__).parent])

    return run


@pytest.fixture
def cache() -> Path:
    """Folder of compiled simulations, kept from run to run."""
    return CACHE
