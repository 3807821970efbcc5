# SPDX-License-Identifier: MIT
"""The faults that `python -m tests.mutation` makes, and what it says of its outcome."""

from __future__ import annotations

from functools import lru_cache

import pytest
from vyper.ast.parse import parse_to_ast

from tests.mutation.campaign import FILES, ROOT, Result, compiled_of
from tests.mutation.mutants import Mutant, mutants_of, spread
from tests.mutation.report import Explanation, explanations, report, stale

SOURCE = '''
LEAST: constant(uint256) = 2 * 600  # a > b and not c

@external
def pay(receiver: address, owner: address, amount: uint256[2]):
    """
    @dev Not here: a < b, or min(a, b).
    """
    assert msg.sender == owner, "a == b"
    if amount[0] <= LEAST and not self.closed:
        self._check(receiver)
        self.sum += max(amount[0], fixed_point.mul_div_up(1, 2, 3))
    self.moved = -self.sum
'''


@lru_cache
def made_of(file):
    return mutants_of(file, (ROOT / file).read_text())


def faults(kind):
    found = mutants_of("x.vy", SOURCE)
    return {(mutant.was, mutant.now) for mutant in found if mutant.kind == kind}


@pytest.mark.parametrize(
    ("kind", "was", "now"),
    [
        ("comparison", "if amount[0] <= LEAST and", "if amount[0] < LEAST and"),
        ("comparison", "assert msg.sender == owner", "assert msg.sender != owner"),
        ("logic", "<= LEAST and not", "<= LEAST or not"),
        ("logic", "and not self.closed", "and self.closed"),
        ("check", 'assert msg.sender == owner, "a == b"', "pass"),
        ("check", "self._check(receiver)", "pass"),
        ("account", "assert msg.sender == owner", "assert receiver == owner"),
        ("account", "assert msg.sender == owner", "assert msg.sender == receiver"),
        ("account", "self._check(receiver)", "self._check(owner)"),
        ("sign", "self.sum += max", "self.sum -= max"),
        ("sign", "= -self.sum", "= self.sum"),
        ("extreme", "+= max(", "+= min("),
        ("rounding", "mul_div_up(1", "mul_div_down(1"),
        ("constant", "= 2 * 600", "= 3 * 600"),
        ("constant", "mul_div_up(1, 2, 3)", "mul_div_up(1, 2, 4)"),
    ],
)
def test_mutants__each_kind__is_made(kind, was, now):
    assert any(b == a.replace(was, now) != a for a, b in faults(kind))


def test_mutants__comments_texts_and_types__are_left_alone():
    lines = SOURCE.splitlines()
    for mutant in mutants_of("x.vy", SOURCE):
        changed = mutant.apply(SOURCE)
        assert "# a > b and not c" in changed
        assert "@dev Not here: a < b, or min(a, b)." in changed
        assert "uint256[2]" in changed
        assert lines[mutant.line - 1].strip() == mutant.was != mutant.now


@pytest.mark.parametrize("file", FILES)
def test_mutants__of_our_contracts__are_distinct_and_parse(file):
    source = (ROOT / file).read_text()
    made = made_of(file)
    assert len({mutant.key for mutant in made}) == len(made) >= 10
    assert len({mutant.apply(source) for mutant in made}) == len(made)
    for mutant in made[:: len(made) // 5]:
        parse_to_ast(mutant.apply(source))


def test_spread__same_seed__same_order_with_all_files_and_kinds_early():
    made = [m for file in FILES for m in made_of(file)]
    order = spread(made, 4)
    assert sorted(order) == sorted(made)
    assert order == spread(reversed(made), 4) != spread(made, 5)
    assert {mutant.file for mutant in order[: len(FILES)]} == set(FILES)
    assert {mutant.kind for mutant in order[:100]} == {mutant.kind for mutant in made}


def test_compiled__a_module__with_the_vaults_contracts_that_use_it():
    assert compiled_of("contracts/HedgeGuard.vy") == ["contracts/HedgeGuard.vy"]
    assert set(compiled_of("contracts/modules/book_ledger.vy")) == {
        "contracts/HedgeBook.vy",
        "contracts/BookControl.vy",
    }
    assert "contracts/FlowRules.vy" in compiled_of("contracts/modules/fixed_point.vy")


def result(outcome, mutant=None):
    mutant = mutant or made_of(FILES[0])[0]
    return Result(mutant, "s", "t", outcome)


def test_report__unexplained_survivor__is_wrong(tmp_path):
    survivor = result("survived")
    _, complaints = report([survivor], [], tmp_path / "report.txt")
    assert [c.split(":")[0] for c in complaints] == ["not explained", "only 0 of 1 were killed"]
    assert "survived" in (tmp_path / "report.txt").read_text()
    why = explained(survivor.mutant)
    killed = [result("killed", mutant) for mutant in made_of(FILES[1])[:9]]
    assert report([survivor, *killed], [why], tmp_path / "report.txt")[1] == []


def test_explanation__of_what_is_killed_or_gone__is_wrong():
    killed = result("killed")
    assert "explained, but killed" in stale([killed], [explained(killed.mutant)])[0]
    gone = Explanation(file=FILES[0], function="f", was="a", now="b", why="c")
    assert "explained, but no mutant" in stale([], [gone])[0]


def test_explanations__those_kept__are_of_mutants_that_exist():
    assert stale([], explanations()) == []


def explained(mutant: Mutant) -> Explanation:
    return Explanation(mutant.file, mutant.function, mutant.was, mutant.now, "because")
