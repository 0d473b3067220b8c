"""Some of the proofs of `make formal`, and their counterexamples in broken designs."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))
from formal.harness import Proof, new
from formal.proving import QUICK, Outcome, check, proofs, unexplained


@pytest.mark.parametrize("name", QUICK)
def test_proved_and_refuted_of_broken_designs(name, tmp_path):
    outcome = check(name, tmp_path / name)
    assert outcome.passed, f"{name} is not proved"
    assert None not in outcome.refuted_at, f"{name} is not refuted: {outcome.refuted_at}"
    assert outcome.holds
    assert all(outcome.violated)


def test_a_proof_without_a_broken_design_does_not_hold():
    outcome = Outcome("", "", "", "k-induction", 1, "yices", True, 0.0, (), (), (), (), {})
    assert not outcome.holds
    assert replace(outcome, refuted_at=(3,)).holds
    assert not replace(outcome, refuted_at=(3, None)).holds
    assert not replace(outcome, refuted_at=(3,), unexplained=("replay.py:70",)).holds


def test_an_assertion_that_no_broken_design_violates_needs_a_reason(tmp_path, monkeypatch):
    name = "replay_one_item"
    proof = proofs()[name]
    monkeypatch.setattr("formal.proving.proofs",
                        lambda: {name: replace(proof, faults=proof.faults[:1])})
    outcome = check(name, tmp_path / name)
    assert outcome.passed
    assert outcome.refuted_at == (0,)
    assert outcome.unexplained == outcome.never_violated
    assert not outcome.holds


def test_a_reason_belongs_to_an_assertion_that_is_never_violated():
    line = "replay.py:1"
    assert unexplained([line], ["a line of others"]) == (line, "a line of others")
    assert unexplained([line], ["Replay: every timestep"]) == ()
    assert unexplained([], ["Replay: every timestep"]) == ("Replay: every timestep",)


def test_a_proof_of_nothing_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("formal.proving.proofs", lambda: {"empty": Proof("", "", new, ())})
    with pytest.raises(RuntimeError, match="no assertion is left"):
        check("empty", tmp_path / "empty")


@pytest.mark.parametrize("name", ["neuron_0_15", "neuron_1_9"])
def test_every_neuron_has_its_proof(name):
    assert name in proofs()
