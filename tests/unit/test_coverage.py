# SPDX-License-Identifier: MIT
"""What `python -m tests.coverage` counts in a contract, and what it records of a call."""

from __future__ import annotations

import json

import boa
import pytest

from tests.coverage.contract_source import contract_source
from tests.coverage.recorder import ROOT, Recorder
from tests.coverage.report import Coverage, Gap, report
from tests.market_world import deployer

SOURCE = """
LEAST: constant(uint256) = 3

@external
def pay(amount: uint256) -> uint256:
    total: uint256 = 0
    for n: uint256 in range(4):
        if n == amount:
            break
        if (
            n > LEAST
            and n < 9
        ):
            total += 1
        else:
            total += 2
        if total > 5:
            break
    if total == 0:
        return 0
    return self._half(total)

@internal
def _half(total: uint256) -> uint256:
    if total < LEAST:
        return empty(uint256)
    return total // 2
"""


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "x.vy"
    path.write_text(SOURCE)
    return contract_source(path)


def line(text):
    return SOURCE.splitlines().index(next(x for x in SOURCE.splitlines() if text in x)) + 1


def test_statements__only_what_may_have_code_of_its_own(source):
    assert line("LEAST: constant") not in source.statements
    assert line("break") not in source.statements
    assert {line("for n"), line("if n =="), line("total += 1"), line("total // 2")} <= (
        source.statements
    )
    assert source.statement_at[line("and n < 9")] == line("        if (")
    assert source.function_at[line("total // 2")] == line("def _half")


@pytest.mark.parametrize(
    ("condition", "next_line", "way"),
    [
        ("        if (", "total += 1", True),
        ("        if (", "total += 2", False),
        ("if n ==", "        if (", False),
        ("if n ==", "if total == 0", True),  # a break has no line: what follows the loop says it
        ("if total > 5", "for n", False),
        ("if total > 5", "if n ==", False),  # a round begins with its first line
        ("if total > 5", "if total == 0", True),
        ("if total == 0", "return self._half", False),
        ("if total == 0", None, True),  # nor has a constant that is returned: nothing follows
        ("if total < LEAST", "total // 2", False),
        ("if total < LEAST", None, True),
    ],
)
def test_branch__line_that_ran_next__says_which_way(source, condition, next_line, way):
    branch = source.branches[line(condition)]
    assert branch.went(next_line and line(next_line)) == way


def test_branch__head_of_what_stands_around__says_nothing(source):
    """Seen in VenueRecovery and FlowRules: ways meet again on the line of the outer condition."""
    assert not source.branches[line("if total < LEAST")].tells(line("def _half"))
    assert source.branches[line("if total < LEAST")].tells(line("total // 2"))
    assert source.branches[line("if total > 5")].tells(line("for n"))


def test_recorder__a_call_and_its_revert__lines_and_ways_of_the_test(tmp_path):
    recorder = Recorder(tmp_path)
    with boa.env.anchor():
        feed = deployer("testing/SettableFeed.vy").deploy(8, 100)
        recorder.context = "tests/a.py::test_reads"
        feed.latestRoundData()
        recorder.observe(feed._computation)
    recorder.write("tests/a.py")
    record = json.loads((tmp_path / "tests.a.py.json").read_text())
    ran = record["lines"]["tests/a.py::test_reads"]
    assert ran
    assert {file for file, _ in ran} == {"contracts/testing/SettableFeed.vy"}
    assert recorder.lines == {}


@pytest.mark.parametrize("breaks", [True, False])
def test_recorder__line_of_a_break_that_runs_either_way__what_follows_decides(tmp_path, breaks):
    """Seen in the map of FlowRules: the jump over a break stands on the line of the break."""
    file = "contracts/FlowRules.vy"
    text = (ROOT / file).read_text().splitlines()
    condition = text.index("        if fill.shares == 0 and not fill.lapsed:") + 1
    ending = text.index("    return total, done") + 1
    ran = [condition, condition + 1, ending if breaks else condition + 2]
    assert text[condition].strip() == "break"
    recorder = Recorder(tmp_path)
    recorder._follow(list(range(3)), {n: (file, line) for n, line in enumerate(ran)})
    assert recorder.outcomes == {(file, condition, breaks)}


def test_recorder__head_of_the_condition_around_runs_again__the_inner_one_still_waits(tmp_path):
    file = "contracts/FlowRules.vy"
    text = (ROOT / file).read_text().splitlines()
    inner = text.index("        if assets == 0 or assets > liquid:") + 1
    ran = [inner - 5, inner, inner - 5, inner, inner - 5, inner + 2]
    recorder = Recorder(tmp_path)
    recorder._follow(list(range(6)), {n: (file, line) for n, line in enumerate(ran)})
    assert (file, inner, False) in recorder.outcomes
    assert (file, inner, True) not in recorder.outcomes


def test_report__what_is_left_unexplained_or_explained_in_vain__is_wrong():
    gap = Gap("contracts/x.vy", 7, "total += 1", "not run")
    covered = [Coverage("contracts/x.vy", 100, 10, (gap,))]
    known = (gap.file, gap.text, gap.what)
    assert report(covered, {})[1] == [f"not explained: {gap}"]
    assert report(covered, {known: "because"})[1] == []
    assert report([Coverage("contracts/x.vy", 100, 10, ())], {known: "because"})[1] == [
        f"explained, but no gap: {known}"
    ]
    few = [Coverage("contracts/x.vy", 20, 10, (gap,))]
    assert report(few, {known: "because"})[1] == ["only 95.0% of lines"]
