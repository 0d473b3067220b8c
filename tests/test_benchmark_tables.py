"""The README's tables are what the benchmarks write, between comments; make says what it lacks."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def readme(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    import readme

    monkeypatch.setattr(readme, "FOLDER", tmp_path)
    return readme


def test_a_table_replaces_what_is_between_its_comments(readme):
    text = "a\n<!-- table: qcfs -->\nold\nlines\n<!-- end of table: qcfs -->\nb\n"
    new = readme.updated(text, "qcfs", "new\n")
    assert new == "a\n<!-- table: qcfs -->\nnew\n<!-- end of table: qcfs -->\nb\n"
    assert readme.updated(new, "qcfs", "new\n") == new
    for wrong in ("", text + text):
        with pytest.raises(ValueError, match=r"must have <!-- table: qcfs --> and .* once, not "):
            readme.updated(wrong, "qcfs", "new\n")


def test_the_readme_has_a_place_for_each_table(readme):
    text = readme.README.read_text(encoding="utf-8")
    assert readme.tables() == {}
    for name in readme.NAMES:
        readme.write(name, f"| {name} |")
        assert f"| {name} |" in readme.updated(text, name, readme.tables()[name])


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_make_says_which_data_it_needs():
    ran = subprocess.run(["make", "benchmarks"], cwd=ROOT, capture_output=True, text=True)
    assert ran.returncode
    for hint in ("make benchmarks MNIST=", "sc-neurocore download mnist", "dataset-fashion-mnist"):
        assert hint in ran.stderr
