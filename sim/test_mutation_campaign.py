"""The campaign of mutants, quickly: those of one component are killed, or proved equivalent."""

import pytest

from campaigns import mutants, mutation, reasons
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


PULSE = """module top(clk, mutant, y);
  input clk;
  input [11:0] mutant;
  output y;
  reg [1:0] count = 2'h0;
  always @(posedge clk) count <= count == 2'h3 ? 2'h3 : count + 2'h1;
  assign y = count == 2'h0 && mutant != 12'd1;
endmodule
"""


def test_what_differs_only_in_the_first_cycle_is_not_equivalent(tmp_path):
    """After four cycles without a difference there is none: induction alone would be content."""
    (tmp_path / "mutants.v").write_text(PULSE)
    first, second = (mutants.Mutant(number, "top", "") for number in (1, 2))
    assert not mutants.is_equivalent(first, tmp_path)
    assert mutants.is_equivalent(second, tmp_path)


def test_a_mutant_survives_a_check_of_nothing(attacked, folder, monkeypatch):
    assert mutation.judge(NAME, *attacked[0], folder).killed_by
    monkeypatch.setattr(Component, "check", lambda *_: "")
    outcome = mutation.judge(NAME, *attacked[0], folder)
    assert outcome.survived
    assert "SURVIVED" in str(outcome)
    assert mutation.table([outcome]).endswith("| 1 |")
    assert mutation.score([outcome]) == 0
    assert mutation.summary([outcome]).endswith(f"{outcome.mutant.what}`: NOT EXPLAINED")
    judged = mutation.explained([outcome])
    assert len(judged.unexplained) == 1
    assert judged.needless
    assert not judged.holds


def test_survivors_that_are_explained_are_those_of_the_documentation():
    text = mutation.DOCUMENT.read_text()
    for why in reasons.explanations(mutation.EXPLANATIONS):
        assert why.sometimes or f"- {why.where}: `{why.what}`: {why.reason}\n" in text
