# SPDX-License-Identifier: MIT
"""A seeded sample of mutants, each tried once for the sources and tests of the moment."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from tests.coverage.contract_source import contract_source
from tests.coverage.recorder import RECORDS, ROOT, file_of
from tests.mutation.mutants import Mutant, mutants_of, spread
from tests.mutation.selection import Selection

PLACE = ROOT / "build" / "mutation"
EXPLAINED = Path(__file__).with_name("explained.json")
COUNTED = {"killed", "survived"}

VAULT = ("HedgeBook", "BookControl", "HedgeVault", "HedgeGuard", "FlowRules", "RedemptionQueue")
MODULES = ("book_ledger", "limits", "pause", "packed", "fixed_point")
FILES = (
    *(f"contracts/{name}.vy" for name in VAULT),
    *(f"contracts/modules/{name}.vy" for name in MODULES),
)
WARM_UP = "tests/unit/contracts/hedge_vault/test_exit.py::test_exit__paused_entry__goes_on"


@dataclass(frozen=True)
class Result:
    """How a mutant fared, and under which sources and tests."""

    mutant: Mutant
    sources: str
    tests: str
    outcome: str
    by: str = ""
    message: str = ""
    passed: int = 0

    def holds(self, sources: str, tests: str) -> bool:
        """Tell whether it still says something: what survived may meet other tests by now."""
        return self.sources == sources and (self.outcome != "survived" or self.tests == tests)


def sample(seed: int) -> list[Mutant]:
    """Return all mutants of the vault's contracts, in the order in which they are tried."""
    made = [mutant for file in FILES for mutant in mutants_of(file, (ROOT / file).read_text())]
    return spread(made, seed)


@lru_cache
def digest(*patterns: str) -> str:
    """Return a hash of the files that match, names and contents."""
    found = hashlib.sha256()
    for path in sorted({path for pattern in patterns for path in ROOT.glob(pattern)}):
        found.update(f"{path.relative_to(ROOT)}\0".encode() + path.read_bytes())
    return found.hexdigest()[:16]


def statements_of(mutant: Mutant) -> list[tuple[str, int]]:
    """Return the statement that holds a fault, or those that name the faulty constant."""
    line = contract_source(ROOT / mutant.file).statement_at.get(mutant.line)
    if line is not None:
        return [(mutant.file, line)]
    named = re.compile(rf"\b{mutant.function}\b")
    return [
        (file, statement)
        for file in [mutant.file, *(name for name in FILES if name != mutant.file)]
        for number, text in enumerate((ROOT / file).read_text().splitlines(), start=1)
        if named.search(text) and (file == mutant.file or f".{mutant.function}" in text)
        for statement in [contract_source(ROOT / file).statement_at.get(number)]
        if statement is not None
    ]


def reason_of(mutant: Mutant) -> str:
    """Return the reason that the faulty statement gives when it refuses."""
    source = contract_source(ROOT / mutant.file)
    first = source.statement_at.get(mutant.line)
    lines = enumerate((ROOT / mutant.file).read_text().splitlines(), start=1)
    text = "\n".join(line for n, line in lines if first and source.statement_at.get(n) == first)
    found = re.search(r'"(\w+: [^"]+)"', text)
    return found[1] if found and text.lstrip().startswith(("assert", "raise")) else ""


def compiled_of(file: str) -> list[str]:
    """Return the vault's contracts whose code a file is part of; the venue keeps its own."""
    if "/modules/" not in file:
        return [file]
    stem = Path(file).stem
    return [f"contracts/{name}.vy" for name in VAULT if stem in _modules_of(name)]


@lru_cache
def _modules_of(name: str) -> frozenset[str]:
    path = ROOT / "contracts" / f"{name}.vy"
    if not path.exists():
        path = ROOT / "contracts" / "modules" / f"{name}.vy"
    imported = {
        line.split()[3]
        for line in path.read_text().splitlines()
        if line.startswith("from modules import ")
    }
    return frozenset(imported).union(*(_modules_of(module) for module in imported))


class Server:
    """The process that runs tests in a copy of the tree."""

    def __init__(self) -> None:
        tree = PLACE / "tree"
        shutil.rmtree(tree, ignore_errors=True)
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        )
        for name in filter(None, listed.stdout.split("\0")):
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / name).is_file():
                shutil.copy2(ROOT / name, tree / name)
        with (PLACE / "tests.log").open("w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "tests.mutation.server", WARM_UP],
                cwd=tree,
                env=os.environ | {"PYTHONPATH": str(tree)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        ready = self._answer()
        if ready["failed"]:
            raise RuntimeError(f"tests fail without a mutant: {ready['failed']}")
        self._prove()

    def _prove(self) -> None:
        """Make sure that a fault reaches the tests at all."""
        file, flow = "contracts/HedgeVault.vy", "    flow: IBookFlows.Flow ="
        broken = (
            (ROOT / file).read_text().replace(flow, f"    assert self == empty(address)\n{flow}")
        )
        if self._ask(file, broken, [WARM_UP], 300)["outcome"] != "killed":
            raise RuntimeError("a vault that refuses every flow passes: tests see no mutant")

    def judge(self, mutant: Mutant, tests: list[str], timeout: int) -> dict[str, Any]:
        """Run tests against a mutant."""
        source = (ROOT / mutant.file).read_text()
        return self._ask(mutant.file, mutant.apply(source), tests, timeout)

    def _ask(self, file: str, source: str, tests: list[str], timeout: int) -> dict[str, Any]:
        request = {
            "file": file,
            "source": source,
            "compiled": compiled_of(file),
            "tests": tests,
            "timeout": timeout,
        }
        assert self.process.stdin is not None
        print(json.dumps(request), file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the server ended; see {PLACE / 'tests.log'}")
        return dict(json.loads(line))

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


class Results:
    """What is known already, one line of JSON for each mutant."""

    def __init__(self, path: Path = PLACE / "results.jsonl") -> None:
        self.path = path
        self.sources = digest(*FILES)
        self.by_key: dict[str, Result] = {}
        for line in path.read_text().splitlines() if path.exists() else []:
            fields = json.loads(line)
            result = Result(**(fields | {"mutant": Mutant(**fields["mutant"])}))
            self.by_key[result.mutant.key] = result

    def of(self, mutant: Mutant, tests: list[str]) -> Result | None:
        result = self.by_key.get(mutant.key)
        return result if result and result.holds(self.sources, _contents(tests)) else None

    def survived(self, mutant: Mutant) -> bool:
        """Tell whether the same source survived some tests."""
        result = self.by_key.get(mutant.key)
        return result is not None and result.holds(self.sources, result.tests)

    def add(self, mutant: Mutant, tests: list[str], answer: dict[str, Any]) -> Result:
        result = Result(mutant, self.sources, _contents(tests), **answer)
        self.by_key[mutant.key] = result
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a") as file:
            print(json.dumps(asdict(result)), file=file)
        return result


def _contents(tests: list[str]) -> str:
    names = hashlib.sha256("\n".join(sorted(tests)).encode()).hexdigest()[:16]
    return names + digest(*sorted({file_of(test) for test in tests}))


class Campaign:
    """Tries mutants with the tests that ran their lines; the server starts when it is needed."""

    def __init__(self, budget: float, timeout: int) -> None:
        self.results = Results()
        self.selection = Selection(RECORDS)
        self.budget = budget
        self.timeout = timeout
        self.server: Server | None = None

    def carry_out(self, mutants: Iterable[Mutant], count: int) -> Iterator[Result]:
        """
        Try mutants until `count` were killed or survived; results of earlier runs count.

        What survived other tests than those of now is tried again, after all that is new.
        """
        again: list[Mutant] = []
        counted = 0
        for mutant in mutants:
            if counted >= count:
                break
            if self.known(mutant) is None and self.results.survived(mutant):
                again.append(mutant)
                counted += 1
                continue
            result = self.judged(mutant)
            counted += result.outcome in COUNTED
            yield result
        yield from map(self.judged, again)
        if self.server is not None:
            self.server.stop()

    def stored(self, mutants: Iterable[Mutant]) -> Iterator[Result]:
        """Return what earlier runs found for the sources of now, under whatever tests."""
        for mutant in mutants:
            result = self.results.by_key.get(mutant.key)
            if result is not None and result.sources == self.results.sources:
                yield result

    def known(self, mutant: Mutant) -> Result | None:
        return self.results.of(mutant, self._tests(mutant))

    def judged(self, mutant: Mutant) -> Result:
        result = self.known(mutant)
        if result is not None:
            return result
        self.server = self.server or Server()
        tests = self._tests(mutant)
        return self.results.add(mutant, tests, self.server.judge(mutant, tests, self.timeout))

    def _tests(self, mutant: Mutant) -> list[str]:
        return self.selection.of(statements_of(mutant), self.budget, reason_of(mutant))
