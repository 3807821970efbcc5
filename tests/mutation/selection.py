# SPDX-License-Identifier: MIT
"""Which tests may notice a fault: those that ran its line when `tests.coverage` looked on."""

from __future__ import annotations

import ast
import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from tests.coverage.recorder import ROOT, file_of

A_REASON = 4  # tests that name a reason
A_FILE = 3  # of the budget is the most that one file takes: a third
HOMES = dict.fromkeys(  # where the tests of parts are, which have no folder of their own
    ("BookControl", "HedgeGuard", "book_ledger", "limits", "pause"), "hedge_book"
)
LAYERS = ("unit", "incidents", "property", "stateful")


class Selection:
    """Tests by line, in the order in which they are to be tried."""

    def __init__(self, records: Path) -> None:
        self.tests: dict[tuple[str, int], set[str]] = defaultdict(set)
        self.seconds: dict[str, float] = {}
        self.lines: Counter[str] = Counter()  # how many each test ran
        for path in sorted(records.glob("*.json")):
            record = json.loads(path.read_text())
            if not all((ROOT / file_of(context)).is_file() for context in record["lines"]):
                continue  # the tests are elsewhere by now
            self.seconds |= record["seconds"]
            for context, lines in record["lines"].items():
                self.lines[context] = len(lines)
                for file, line in lines:
                    self.tests[file, line].add(context)

    def of(self, lines: Iterable[tuple[str, int]], budget: float, reason: str = "") -> list[str]:
        """
        Return tests that ran one of the statements, near and rich ones first.

        They take `budget` seconds together, as measured while they were recorded. Those that name
        the reason of a refusal come before them, whatever they take.

        A file whose fixtures ran it counts as a whole, after those that ran it themselves.
        """
        lines = list(lines)
        by_file: dict[str, list[str]] = defaultdict(list)
        fixtures: set[str] = set()
        for context in set().union(*(self.tests[line] for line in lines)):
            if file_of(context) == context:
                fixtures.add(context)
            else:
                by_file[file_of(context)].append(context)
        for test_file in fixtures - by_file.keys():
            by_file[test_file] = [n for n in self.seconds if file_of(n) == test_file]
        piles = []
        for test_file, tests in by_file.items():
            chosen = self._within(budget / A_FILE, sorted(tests, key=self._dearness))
            distance = self._distance(test_file, lines[0][0]), sum(map(self._cost, chosen))
            piles.append((distance, chosen))
        named = [test for tests in by_file.values() for test in tests if names(test, reason)]
        new = [test for test_file in by_file for test in self._new(test_file, lines[0][0])]
        first = [*new, *sorted(named, key=self._cost)[:A_REASON]]
        picked = [*first]
        for _, chosen in sorted(piles):
            for test in (test for test in chosen if test not in first):
                budget -= self._cost(test)
                if budget > 0 or not picked:
                    picked.append(test)
        return picked

    def _within(self, seconds: float, tests: list[str]) -> list[str]:
        """Return the first tests as far as the time goes, one at the least."""
        used = itertools.accumulate(map(self._cost, tests))
        return tests[:1] + [
            test for test, at in list(zip(tests, used, strict=True))[1:] if at <= seconds
        ]

    def _new(self, test_file: str, file: str) -> list[str]:
        """Return tests of a near file that were not there when it was recorded."""
        if self._distance(test_file, file)[0]:
            return []
        known = {test.split("::")[-1].split("[")[0] for test in self.seconds}
        tests = (name for name in _functions(test_file) if name.startswith("test_"))
        return [f"{test_file}::{name}" for name in tests if name not in known]

    def _dearness(self, test: str) -> float:
        """Return seconds for a line: what stops early is quick, and checks little."""
        return self._cost(test) / (1 + self.lines[test])

    def _cost(self, test: str) -> float:
        return self.seconds.get(test, 1.0)

    @staticmethod
    def _distance(test_file: str, file: str) -> tuple[bool, int]:
        layer = next((n for n, name in enumerate(LAYERS) if f"tests/{name}/" in test_file), 9)
        stem = Path(file).stem
        near = HOMES.get(stem, stem).replace("_", "").lower() in test_file.replace("_", "")
        return not near, layer


def names(test: str, reason: str) -> bool:
    """Tell whether a test, its parameters or what it says, has a reason in it."""
    if not reason:
        return False
    function = test.rsplit("::", maxsplit=1)[-1].split("[", maxsplit=1)[0]
    return reason in test or reason in _functions(file_of(test)).get(function, "")


@lru_cache
def _functions(test_file: str) -> dict[str, str]:
    source = (ROOT / test_file).read_text()
    nodes = ast.walk(ast.parse(source))
    return {
        node.name: ast.get_source_segment(source, node) or ""
        for node in nodes
        if isinstance(node, ast.FunctionDef)
    }
