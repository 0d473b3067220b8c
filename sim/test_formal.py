"""Some of the proofs of `make formal`, and their counterexamples in broken designs."""

import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[1]))
from formal.harness import Proof, new
from formal.proving import QUICK, Outcome, check, proofs


@pytest.mark.parametrize("name", QUICK)
def test_proved_and_refuted_of_broken_designs(name, tmp_path):
    outcome = check(name, tmp_path / name)
    assert outcome.passed, f"{name} is not proved"
    assert None not in outcome.refuted_at, f"{name} is not refuted: {outcome.refuted_at}"
    assert outcome.holds
    assert all(outcome.violated)


def test_a_proof_without_a_broken_design_does_not_hold():
    outcome = Outcome("", "", "", "k-induction", 1, "yices", True, 0.0, (), (), (), {})
    assert not outcome.holds
    assert replace(outcome, refuted_at=(3,)).holds
    assert not replace(outcome, refuted_at=(3, None)).holds


def test_a_proof_of_nothing_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr("formal.proving.proofs", lambda: {"empty": Proof("", "", new, ())})
    with pytest.raises(RuntimeError, match="no assertion is left"):
        check("empty", tmp_path / "empty")


@pytest.mark.parametrize("name", ["neuron_0_15", "neuron_1_9"])
def test_every_neuron_has_its_proof(name):
    assert name in proofs()
