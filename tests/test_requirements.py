"""What is locked is what pyproject asks for, with a hash of each file."""

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
NOT_LOCKED = {"torch"}
"""Which build is right depends on the machine; pyproject pins the version."""


def asked(extra):
    """Everything that an extra asks for, with that of the extras in it."""
    found = []
    for line in PROJECT["optional-dependencies"][extra]:
        requirement = Requirement(line)
        if canonicalize_name(requirement.name) == canonicalize_name(PROJECT["name"]):
            found += [each for inner in requirement.extras for each in asked(inner)]
        else:
            found.append(requirement)
    return found


def locked(file):
    """Version and number of hashes of each package in a file of requirements; where markers choose,
    of that for this Python."""
    found = {}
    for entry in (ROOT / "requirements" / file).read_text().replace("\\\n", " ").splitlines():
        line, *hashes = entry.split(" --hash=sha256:")
        if line.startswith("#"):
            continue
        requirement = Requirement(line.strip())
        (version,) = (each.version for each in requirement.specifier if each.operator == "==")
        if requirement.marker is None or requirement.marker.evaluate():
            found[canonicalize_name(requirement.name)] = version, len(hashes)
    return found


@pytest.mark.parametrize(("file", "missing"), [("dev.lock", NOT_LOCKED), ("oldest.txt", set())])
def test_the_lock_has_what_pyproject_asks_for(file, missing):
    found = locked(file)
    wanted = [*map(Requirement, PROJECT["dependencies"]), *asked("dev")]
    assert len(wanted) > 30
    for requirement in wanted:
        name = canonicalize_name(requirement.name)
        assert (name in found) == (name not in missing), name
        if name in found:
            assert requirement.specifier.contains(found[name][0]), f"{requirement}: {found[name]}"


def test_each_locked_package_has_hashes():
    assert all(hashes for _, hashes in locked("dev.lock").values())


def test_the_oldest_versions_are_the_bounds():
    """Of each package the highest bound of all."""
    bounds = {}
    for requirement in [*map(Requirement, PROJECT["dependencies"]), *asked("dev")]:
        bounds.setdefault(canonicalize_name(requirement.name), []).extend(
            each.version for each in requirement.specifier if each.operator in (">=", "=="))
    found = locked("oldest.txt")
    for name, versions in bounds.items():
        assert f"{found[name][0]}.".startswith(f"{max(versions, key=Version)}."), name
