"""The campaign of hostile input, quickly: each reader of files gets some mutants."""

import ctypes
import io
import json
import os
import shlex
import signal
import sys
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import click.testing
import h5py
import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from campaigns.fuzz import __main__ as campaign
from campaigns.fuzz import crashes, links, mutate, surroundings, worker, writers
from campaigns.fuzz.makers import MAKERS
from campaigns.fuzz.target import Target

SLOW = {"ONNX": 5, "host": 5, "host, loading": 5, "board": 3}
INPUTS = {name: SLOW.get(name, 25) for name in MAKERS
          if not name.startswith("command") and name != "board, loading"}
"""Mutants of each target."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", INPUTS)
def test_mutants_are_accepted_or_refused_as_documented(name, tmp_path, monkeypatch):
    monkeypatch.setattr(links, "TIMEOUT_S", 0.1)    # beside other tests
    monkeypatch.setattr(links, "DEADLINE_S", 80.0)
    target = MAKERS[name]()
    for variable, value in surroundings.make(tmp_path).items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(tempfile, "tempdir", None)      # look at TMPDIR again
    folder = tmp_path / surroundings.INPUTS
    monkeypatch.chdir(folder)
    for file, content in target.beside.items():
        (folder / file).write_bytes(content)
    (folder / target.file).write_bytes(target.seeds[0])
    target.load(folder / target.file)       # imports what is imported late
    guard = worker.Guard(folder, target.is_codegen, target.starts)
    outcomes = set()
    for number in range(len(target.seeds) + INPUTS[name]):
        found = worker.attack(target, guard, worker.mutant(target, 3, number), folder)
        assert not found["findings"], number
        outcomes.add(found["outcome"])
    assert "accepted" in outcomes
    assert len(outcomes) > 1 or name.startswith(("frames", "host", "board", "ONNX, weights"))


def test_mutants_are_the_same_for_a_seed_and_differ():
    target = MAKERS["IDX"]()
    made = [worker.mutant(target, 1, number) for number in range(30)]
    assert made == [worker.mutant(target, 1, number) for number in range(30)]
    assert sum(one != other for one, other in pairwise(made)) > 25
    assert made != [worker.mutant(target, 2, number) for number in range(30)]


def test_mended_checksums_are_right():
    for name in ("network files", "float network files"):
        target = MAKERS[name]()
        for seed in target.seeds[:2]:
            length = int.from_bytes(seed[:8], "little")
            header = json.loads(seed[8:8 + length])
            text = header["__metadata__"]["sc_neurocore"]
            assert json.loads(mutate.sealed(text, header, seed[8 + length:])) == json.loads(text)


LIBC = ctypes.CDLL(None)
OPEN, READ, CLOSE = LIBC.open, LIBC.read, LIBC.close    # to look them up is an audit event


def natively_written(folder):
    """Write a file as native code does, without Python's audit events."""
    CLOSE(OPEN(str(folder.parent / "home" / "natively").encode(), os.O_CREAT | os.O_WRONLY, 0o600))


def natively_read(folder):
    opened = OPEN(str(folder.parent / "canary").encode(), os.O_RDONLY)
    assert READ(opened, ctypes.create_string_buffer(4), 4) == 4
    CLOSE(opened)


def read_by_hdf5(folder):
    with h5py.File(io.BytesIO(), "w") as file:
        file.create_dataset("a", (2,), "f8", external=[(folder.parent / "canary", 0, 16)])[()]


@pytest.mark.parametrize(("act", "seen"), [
    (lambda folder: (folder.parent / "beside").write_text("x"), "writes "),
    (lambda folder: Path("/etc/hostname").read_text(), "reads "),
    (lambda folder: exec("1"), "exec "),
    (lambda folder: os.system("true"), "os.system "),
    (lambda folder: __import__("pickle").loads(b"cbuiltins\nlen\n."), "pickle.find_class "),
    (lambda folder: (folder / "file").rename(folder.parent / "beside"), "os.rename "),
    (lambda folder: (folder.parent / "canary").rename(folder / "beside"), "os.rename "),
    (lambda folder: os.link(folder / "file", folder.parent / "beside"), "os.link "),
    (lambda folder: os.link(folder.parent / "canary", folder / "beside"), "os.link "),
    (lambda folder: (folder.parent / "beside").symlink_to(folder / "file"), "os.symlink "),
    (lambda folder: (folder / "beside").symlink_to("../canary"), "os.symlink "),
    (lambda folder: os.mkdir("beside", dir_fd=os.open(folder.parent, os.O_RDONLY)), "os.mkdir "),
    (natively_written, "makes "), (natively_read, "reads "),
    (read_by_hdf5, "reads "),
    (lambda folder: os.truncate(folder.parent / "home" / "canary", 1), "changes "),
    (lambda folder: (folder / "left").touch(), "makes ")])
def test_the_guard_sees_what_a_file_must_not_bring_about(tmp_path, act, seen):
    if act in (natively_read, read_by_hdf5) and b"noatime" in Path("/proc/mounts").read_bytes():
        pytest.skip("the file system may not keep times of access")
    surroundings.make(tmp_path)
    folder = tmp_path / surroundings.INPUTS
    target = Target("bad", "file", [b""], lambda path: act(path.parent))
    found = worker.attack(target, worker.Guard(folder), b"", folder)
    assert any(finding.startswith(seen) for finding in found["findings"]), found["findings"]
    assert found["outcome"] == "accepted"


def test_what_stays_in_its_folder_is_no_finding(tmp_path):
    surroundings.make(tmp_path)
    folder = tmp_path / surroundings.INPUTS

    def load(path):
        path.rename(folder / "other").rename(path)
        (folder / "link").symlink_to("file")
        os.unlink("link", dir_fd=os.open(folder, os.O_RDONLY))

    found = worker.attack(Target("good", "file", [b""], load), worker.Guard(folder), b"", folder)
    assert found["findings"] == []


def test_a_finding_says_how_to_see_it_again(tmp_path, monkeypatch):
    asked = []

    class Failing(campaign.Worker):
        """Finds something in every third input."""

        def __init__(self, target, seed, first):
            asked.append((target, seed, first))
            self.inputs, self._said = tmp_path / "inputs", ["10"]
            self.inputs.mkdir(exist_ok=True)
            for number in range(first, 30):
                self._said += [str(number), json.dumps(
                    {"outcome": "accepted", "seconds": 0.01, "peak": 1,
                     "findings": [] if number % 3 else ["it is bad"]})]

        def line(self, limit_s):
            return self._said.pop(0)

        def end(self):
            return None, ""

    monkeypatch.setattr(campaign, "Worker", Failing)
    monkeypatch.setattr(campaign, "MOST", 3)
    report = campaign.attack("IDX, gzip", 100, 7, tmp_path)
    assert [finding.partition(";")[0] for finding in report.findings] == [
        "input 0: it is bad", "input 3: it is bad", "input 6: it is bad"]
    again = report.findings[2].partition("again: ")[2]
    assert again == "python -m campaigns.fuzz --target 'IDX, gzip' --seed 7 --input 6"
    done = click.testing.CliRunner().invoke(
        campaign.main, [*shlex.split(again)[3:], "--output", str(tmp_path)])
    assert asked == [("IDX, gzip", 7, 0), ("IDX, gzip", 7, 6)]
    assert done.exit_code == 1
    assert "input 6: it is bad" in done.output
    assert json.loads((tmp_path / "fuzz.json").read_text())[0]["inputs"] == 1


def test_a_table_keeps_the_rows_of_what_was_not_attacked():
    old = "| a | 1 |\n| b | 2 |\n| other | 3 |\n"
    found = [crashes.Survey("b"), crashes.Survey("c")]
    assert campaign._table("head", ["a", "b", "c", "d"], found, old).splitlines() == [
        "head", "| a | 1 |", found[0].row(), found[1].row()]


def test_every_output_of_a_command_is_tried_or_it_is_said_why_not():
    assert writers.outputs() == writers.tried() | writers.UNTRIED.keys()
    assert not writers.tried() & writers.UNTRIED.keys()


def test_what_is_killed_leaves_what_was_there_or_all_of_it():
    found = crashes.survey(replace(writers.SUBJECTS["save_network"], kills=3, fills=2), 1)
    assert found.findings == []
    assert (found.kills, found.whole + found.as_before) == (3, 3 + found.filled)
    assert found.hits >= 2


def test_half_of_a_file_is_a_finding(tmp_path):
    def halves(folder):
        (folder / "a").write_text("1")
        (folder / "b").write_text("2")

    found = crashes.survey(crashes.Subject("halves", halves, 4, 0), 1)
    assert "killed before change 2: ['a'], neither as before nor whole" in found.findings


def test_what_stands_still_is_a_finding():
    def write(folder):
        try:
            (folder / "a").write_bytes(bytes(5000))
        except OSError:
            (folder / "a").unlink()
            signal.alarm(1)         # in place of `LIMIT_S`
            signal.pause()

    found = crashes.survey(crashes.Subject("still", write, 0, 1), 1)
    assert found.findings == [f"room for 0 bytes: it ends with {-signal.SIGALRM}"]


def test_what_is_taken_away_is_a_finding():
    def replaced(folder):
        (folder / "a").unlink()
        (folder / "a").write_text("new")

    found = crashes.survey(crashes.Subject(
        "replaced", replaced, 4, 0, lambda folder: (folder / "a").write_text("old"), True), 1)
    assert "killed before change 2: [], neither as before nor whole" in found.findings


def test_an_error_that_is_not_documented_is_a_finding():
    def write(folder):
        try:
            (folder / "a").write_bytes(bytes(5000))
        except OSError:
            (folder / "a").unlink()
            raise KeyError from None

    found = crashes.survey(crashes.Subject("raises", write, 0, 1), 1)
    assert found.findings == ["room for 0 bytes: it ends with 1"]


def test_kills_that_do_not_hit_are_a_finding(monkeypatch):
    monkeypatch.setattr(crashes._Kill, "watch", lambda kill: None)
    subject = crashes.Subject("done", lambda folder: (folder / "a").touch(), 1, 0)
    assert crashes.survey(subject, 1).findings == ["0 of 1 kills hit"]


def test_a_plain_decoder_is_the_documented_one():
    from sc_neurocore.protocol import Frame, encode
    frame = Frame(0x7E, 0x7D, bytes([0x7E, 0x7D, 0]))
    assert list(links._plain(encode(frame))) == [frame]
    assert list(links._plain(encode(frame)[:-2] + b"\x7e")) == [None]
