"""The campaign of mutants, quickly: those of one component are killed, or proved equivalent."""

import pytest

from campaigns import mutants, mutation
from campaigns.subjects import Component

NAME = "frames out"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("mutants")


@pytest.fixture(scope="module")
def attacked(folder):
    return mutation.attack(NAME, 3, 1, folder)


def test_mutants_are_killed_or_proved_equivalent(attacked, folder):
    outcomes = [mutation.judge(NAME, mutant, text, folder) for mutant, text in attacked]
    killed = [outcome for outcome in outcomes if outcome.killed_by]
    assert not [str(outcome) for outcome in outcomes if outcome.survived]
    assert len(outcomes) == 6
    assert 0 < len(killed) < 6, "some of both"
    assert not mutants.is_equivalent(killed[0].mutant, folder / "work" / NAME)


def test_a_mutant_survives_a_check_of_nothing(attacked, folder, monkeypatch):
    assert mutation.judge(NAME, *attacked[0], folder).killed_by
    monkeypatch.setattr(Component, "check", lambda *_: "")
    outcome = mutation.judge(NAME, *attacked[0], folder)
    assert outcome.survived
    assert "SURVIVED" in str(outcome)
    assert mutation.table([outcome]).endswith("| 1 |")
