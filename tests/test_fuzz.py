"""The campaign of hostile input, quickly: each reader of files gets some mutants."""

import json
import sys
from itertools import pairwise
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))

from campaigns.fuzz import links, mutate, targets, worker
from campaigns.fuzz.target import Target

QUICK = [name for name in targets.MAKERS
         if not name.startswith(("command", "host", "board", "ONNX"))]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", QUICK)
def test_mutants_are_accepted_or_refused_as_documented(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = targets.MAKERS[name]()
    for file, content in target.beside.items():
        (tmp_path / file).write_bytes(content)
    outcomes = []
    for number in range(len(target.seeds) + 25):
        path = tmp_path / target.file
        path.write_bytes(worker.mutant(target, 3, number))
        fault = ""
        try:
            target.load(path)
            outcomes.append("accepted")
        except Exception as error:
            fault = worker.judged(error, path, target)
            outcomes.append("refused")
        assert not fault, number
    assert "accepted" in outcomes
    assert "refused" in outcomes or name == "frames"
    assert not (tmp_path / "executed").exists()


def test_mutants_are_the_same_for_a_seed_and_differ():
    target = targets.MAKERS["IDX"]()
    made = [worker.mutant(target, 1, number) for number in range(30)]
    assert made == [worker.mutant(target, 1, number) for number in range(30)]
    assert sum(one != other for one, other in pairwise(made)) > 25
    assert made != [worker.mutant(target, 2, number) for number in range(30)]


def test_mended_checksums_are_right():
    for name in ("network files", "float network files"):
        target = targets.MAKERS[name]()
        for seed in target.seeds[:2]:
            length = int.from_bytes(seed[:8], "little")
            header = json.loads(seed[8:8 + length])
            text = header["__metadata__"]["sc_neurocore"]
            assert json.loads(mutate.sealed(text, header, seed[8 + length:])) == json.loads(text)


@pytest.mark.parametrize(("act", "seen"), [
    (lambda folder: (folder.parent / "beside").write_text("x"), "writes "),
    (lambda folder: Path("/etc/hostname").read_text(), "reads "),
    (lambda folder: exec("1"), "exec "),
    (lambda folder: __import__("os").system("true"), "os.system "),
    (lambda folder: __import__("pickle").loads(b"cbuiltins\nlen\n."), "pickle.find_class ")])
def test_the_guard_sees_what_a_file_must_not_bring_about(tmp_path, act, seen):
    folder = tmp_path / "inside"
    folder.mkdir()
    target = Target("bad", "file", [b""], lambda path: act(path.parent))
    found = worker.attack(target, worker.Guard(folder, False), b"", folder)
    assert any(finding.startswith(seen) for finding in found["findings"])


def test_a_plain_decoder_is_the_documented_one():
    from sc_neurocore.protocol import Frame, encode
    frame = Frame(0x7E, 0x7D, bytes([0x7E, 0x7D, 0]))
    assert list(links._plain(encode(frame))) == [frame]
    assert list(links._plain(encode(frame)[:-2] + b"\x7e")) == [None]
