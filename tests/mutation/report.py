# SPDX-License-Identifier: MIT
"""What a campaign found: a table, the survivors, and whether what is said of them still holds."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from tests.coverage.recorder import ROOT
from tests.mutation.campaign import COUNTED, EXPLAINED, FILES, PLACE, Result
from tests.mutation.mutants import mutants_of

LEAST_KILLED = 0.9


@dataclass(frozen=True)
class Explanation:
    """Why nothing can notice a fault, or why nothing needs to."""

    file: str
    function: str
    was: str
    now: str
    why: str

    @property
    def fault(self) -> tuple[str, str, str, str]:
        return self.file, self.function, self.was, self.now


def explanations(path: Path = EXPLAINED) -> list[Explanation]:
    return [Explanation(**fields) for fields in json.loads(path.read_text())]


def report(
    results: list[Result], explained: list[Explanation], path: Path = PLACE / "report.txt"
) -> tuple[str, list[str]]:
    """Return the report, which is also written to a file, and what is wrong with the outcome."""
    counted = [result for result in results if result.outcome in COUNTED]
    survivors = [result for result in counted if result.outcome == "survived"]
    reasons = {explanation.fault: explanation.why for explanation in explained}
    complaints = [
        f"not explained: {place(result)}" for result in survivors if fault(result) not in reasons
    ]
    complaints += stale(results, explained)
    killed = len(counted) - len(survivors)
    if killed < LEAST_KILLED * len(counted):
        complaints.append(f"only {killed} of {len(counted)} were killed")
    lines = [*table(results), "", f"{killed} of {len(counted)} killed", ""]
    lines += [f"survived: {place(r)}\n  {reasons.get(fault(r), '?')}" for r in survivors]
    lines += [f"WRONG: {complaint}" for complaint in complaints]
    text = "\n".join(lines)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n")
    return text, complaints


def stale(results: list[Result], explained: list[Explanation]) -> list[str]:
    """Return explanations of what does not survive, or is no mutant of the sources any more."""
    killed = {fault(result) for result in results if result.outcome == "killed"}
    known = {
        (mutant.file, mutant.function, mutant.was, mutant.now)
        for file in FILES
        for mutant in mutants_of(file, (ROOT / file).read_text())
    }
    return [f"explained, but killed: {e.fault}" for e in explained if e.fault in killed] + [
        f"explained, but no mutant: {e.fault}" for e in explained if e.fault not in known
    ]


def table(results: list[Result]) -> list[str]:
    """Return a line for each contract: what was made, killed, survived, and which kinds."""
    outcomes: dict[str, Counter[str]] = defaultdict(Counter)
    kinds: dict[str, Counter[str]] = defaultdict(Counter)
    for result in results:
        outcomes[result.mutant.file][result.outcome] += 1
        if result.outcome in COUNTED:
            kinds[result.mutant.file][result.mutant.kind] += 1
    lines = [f"{'contract':34} made killed survived void  kinds"]
    for file in FILES:
        found = outcomes[file]
        killed, survived = found["killed"], found["survived"]
        void = found.total() - killed - survived
        by_kind = ", ".join(f"{kind} {n}" for kind, n in sorted(kinds[file].items()))
        lines.append(f"{file:34} {killed + survived:4} {killed:6} {survived:8} {void:4}  {by_kind}")
    return lines


def fault(result: Result) -> tuple[str, str, str, str]:
    mutant = result.mutant
    return mutant.file, mutant.function, mutant.was, mutant.now


def place(result: Result) -> str:
    mutant = result.mutant
    return f"{mutant.file}:{mutant.line} {mutant.kind}: {mutant.was}  ->  {mutant.now}"
