# SPDX-License-Identifier: MIT
"""How much of each contract the recorded tests ran, and what is left."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from tests.coverage.contract_source import contract_source
from tests.coverage.recorder import CONTRACTS, RECORDS, ROOT, deployment_map, located
from tests.market_world import deployer

EXPLAINED = Path(__file__).with_name("explained.json")
LEAST = 0.98
WAYS = {True: "always", False: "never"}  # what a condition is when its other way out is missing


@dataclass(frozen=True, order=True)
class Gap:
    """A statement that no test runs, or a condition that went one way only."""

    file: str
    line: int
    text: str
    what: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} {self.what}: {self.text}"


@dataclass(frozen=True)
class Coverage:
    """Counts of one file, and its gaps."""

    file: str
    statements: int
    outcomes: int
    gaps: tuple[Gap, ...]

    def share(self, *, of_outcomes: bool) -> float:
        missing = sum((gap.what != "not run") == of_outcomes for gap in self.gaps)
        total = self.outcomes if of_outcomes else self.statements
        return 1 - missing / total if total else 1.0


def deployed_files() -> list[str]:
    """Return contracts and modules; what is for tests only is left out."""
    paths = [*CONTRACTS.glob("*.vy"), *CONTRACTS.glob("modules/*.vy")]
    return sorted(path.relative_to(ROOT).as_posix() for path in paths)


def read_records(
    records: Path = RECORDS,
) -> tuple[set[tuple[str, int]], set[tuple[str, int, bool]]]:
    """Return statements that ran and ways that conditions went, of all recorded tests."""
    lines: set[tuple[str, int]] = set()
    outcomes: set[tuple[str, int, bool]] = set()
    for path in records.glob("*.json"):
        record = json.loads(path.read_text())
        lines.update((file, line) for found in record["lines"].values() for file, line in found)
        outcomes.update((file, line, way) for file, line, way in record["outcomes"])
    return lines, outcomes


def lines_with_code() -> set[tuple[str, int]]:
    """
    Return statements that the compiler's maps give code to, in any contract.

    They give none to some that only set a variable to zero or return an immutable.
    """
    found: set[tuple[str, int]] = set()
    for path in CONTRACTS.glob("*.vy"):
        compiled = deployer(path.name).compiler_data
        for source_map in (compiled.source_map, deployment_map(compiled)):
            found.update(point for _, point in located(source_map["pc_raw_ast_map"]))
    return found


def coverage_of(
    file: str,
    with_code: set[tuple[str, int]],
    lines: set[tuple[str, int]],
    outcomes: set[tuple[str, int, bool]],
) -> Coverage:
    source = contract_source(ROOT / file)
    text = (ROOT / file).read_text().splitlines()
    statements = {line for line in source.statements if (file, line) in with_code}
    not_run = {line for line in statements if (file, line) not in lines}
    gaps = [Gap(file, line, text[line - 1].strip(), "not run") for line in not_run]
    gaps += [
        Gap(file, line, text[line - 1].strip(), f"is {WAYS[not way]} true")
        for line, way in source.outcomes
        if (file, line, way) not in outcomes and line not in not_run
    ]
    return Coverage(file, len(statements), len(source.outcomes), tuple(sorted(gaps)))


def explanations(path: Path = EXPLAINED) -> dict[tuple[str, str, str], str]:
    """Return why gaps are left, by file, text and what is missing."""
    return {(e["file"], e["text"], e["what"]): e["why"] for e in json.loads(path.read_text())}


def report(
    covered: list[Coverage], explained: dict[tuple[str, str, str], str]
) -> tuple[str, list[str]]:
    """Return the table with what is left, and what is wrong with it."""
    lines = [f"{'contract':36} statements        branches"]
    complaints = []
    for found in covered:
        shares = [found.share(of_outcomes=branches) for branches in (False, True)]
        lines.append(
            f"{found.file:36} {found.statements:5} {shares[0]:7.1%}    "
            f"{found.outcomes:5} {shares[1]:7.1%}"
        )
    totals = []
    for branches in (False, True):
        total = sum(c.outcomes if branches else c.statements for c in covered)
        missing = sum((g.what != "not run") == branches for c in covered for g in c.gaps)
        totals.append((total, 1 - missing / total))
        if totals[-1][1] < LEAST:
            complaints.append(f"only {totals[-1][1]:.1%} of {'branches' if branches else 'lines'}")
    lines.append(
        f"{'all':36} {totals[0][0]:5} {totals[0][1]:7.1%}    {totals[1][0]:5} {totals[1][1]:7.1%}"
    )
    gaps = [gap for found in covered for gap in found.gaps]
    for gap in gaps:
        why = explained.get((gap.file, gap.text, gap.what))
        lines.append(f"{gap}\n    {why or '?'}")
        if why is None:
            complaints.append(f"not explained: {gap}")
    left = {(gap.file, gap.text, gap.what) for gap in gaps}
    complaints += [f"explained, but no gap: {known}" for known in explained if known not in left]
    return "\n".join([*lines, *(f"WRONG: {complaint}" for complaint in complaints)]), complaints
