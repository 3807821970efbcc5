# SPDX-License-Identifier: MIT
"""
Runs tests against one mutant after the other, in a copy of the tree that it is started in.

It compiles everything once and then forks for each mutant, so that a mutant costs the compilation
of what it changes and the tests themselves. Requests and answers are lines of JSON; what tests
print goes to the standard error.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import boa
import pytest
from hypothesis import Phase, settings
from vyper.exceptions import VyperException
from vyper.ir import compile_ir

import tests.compiled as kept  # sets the compiler's search path

ROOT = Path.cwd()
CONTRACTS = ROOT / "contracts"
OPTIONS = (
    *("-q", "-x", "-p", "no:cacheprovider", "--no-header", "--tb=short"),
    *("-W", "ignore::pytest.PytestAssertRewriteWarning"),  # titanoboa is here before pytest
)


class Killer:
    """Notes the first test that fails, and how."""

    def __init__(self) -> None:
        self.test = ""
        self.message = ""
        self.passed = 0

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and not self.test:
            self.test = report.nodeid
            self.message = str(getattr(report.longrepr, "reprcrash", ""))[-200:]
        self.passed += report.when == "call" and report.passed

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            raise RuntimeError(f"not collected: {report.nodeid}: {report.longrepr}")


class Compiled:
    """Contracts by path, compiled before the first mutant; `boa.load_partial` asks here."""

    def __init__(self) -> None:
        self.load = boa.load_partial
        self.deployers: dict[Path, Any] = {}
        self.stale: set[Path] = set()
        self.differs = False
        self.refusal = ""
        boa.load_partial = lambda path, **_: self.of(Path(path).resolve())
        boa.loads = partial(self._watched, boa.loads)

    def warm(self) -> None:
        for path in [*CONTRACTS.glob("*.vy"), *CONTRACTS.glob("testing/*.vy")]:
            if path.stem != "token_ledger":
                self.deployers[path] = self._compile(path)

    def of(self, path: Path) -> Any:
        """Return a contract, anew when a mutant changed it; only a child comes to that."""
        if path in self.stale:
            before = code_of(self.deployers[path])
            self.deployers[path] = self._watched(self._compile, path)
            self.stale.remove(path)
            self.differs |= code_of(self.deployers[path]) != before
        return self.deployers[path]

    def _watched(self, compiles: Callable[..., Any], *source: Any, **options: Any) -> Any:
        try:
            with kept.no_earlier_results():
                return compiles(*source, **options)
        except VyperException as refused:
            self.refusal = str(refused)[:200]
            raise

    def _compile(self, path: Path) -> Any:
        with kept.no_earlier_results():  # a mutant comes here through `_watched`, all else does not
            deployer = self.load(str(path))
            _ = deployer.compiler_data.bytecode
        return deployer


def code_of(deployer: Any) -> bytes:
    """Return the code that deploys a contract, without the hash of its sources at the end."""
    return bytes(compile_ir.assembly_to_evm(deployer.compiler_data.assembly)[0])


def run(compiled: Compiled, request: dict[str, Any]) -> dict[str, Any]:
    """Return how a mutant fared; the tree holds it already."""
    paths = [ROOT / path for path in request["compiled"]]
    compiled.stale = set(paths)
    killer = Killer()
    code = pytest.ExitCode.OK
    if request["tests"]:
        code = pytest.main([*OPTIONS, *request["tests"]], plugins=[killer])
    try:
        if not killer.test:
            _ = [compiled.of(path) for path in paths]
    except VyperException:  # what it says is kept
        code = pytest.ExitCode.TESTS_FAILED
    if compiled.refusal:
        return {"outcome": "not compiled", "message": compiled.refusal}
    if code not in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        return {"outcome": "broken", "message": f"pytest ended with {code}"}
    if not killer.test and not compiled.differs:
        return {"outcome": "same code"}
    return {
        "outcome": "killed" if killer.test else "survived",
        "by": killer.test,
        "message": killer.message,
        "passed": killer.passed,
    }


def judge(compiled: Compiled, request: dict[str, Any]) -> dict[str, Any]:
    """Put the mutant into the tree, run a child on it, and put the source back."""
    path = ROOT / request["file"]
    source = path.read_text()
    path.write_text(request["source"])
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.setsid()
        os.close(reader)
        signal.alarm(request["timeout"])
        answer = run(compiled, request)
        os.write(writer, json.dumps(answer).encode())
        os._exit(0)
    try:
        os.close(writer)
        with os.fdopen(reader, "rb") as pipe:
            said = pipe.read()
        os.waitpid(child, 0)
    finally:
        path.write_text(source)
    return json.loads(said) if said else {"outcome": "timed out"}


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    settings.register_profile(
        "mutation",
        deadline=None,
        derandomize=True,
        database=None,
        max_examples=25,
        stateful_step_count=25,
        phases=[Phase.explicit, Phase.generate],  # no shrinking
    )
    os.environ["HYPOTHESIS_PROFILE"] = "mutation"
    kept._kept = kept._keep = lambda *_: None  # what is on disk is of sources without a mutant
    compiled = Compiled()
    compiled.warm()
    warm_up = [name for name in sys.argv[1:] if pytest.main([*OPTIONS, name])]
    print(json.dumps({"failed": warm_up}), file=answers, flush=True)
    kept.deployer.cache_clear()
    for line in sys.stdin:
        print(json.dumps(judge(compiled, json.loads(line))), file=answers, flush=True)


if __name__ == "__main__":
    main()
