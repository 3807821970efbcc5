# SPDX-License-Identifier: MIT
"""
A pytest plugin that writes down which statements and branches of the contracts each test runs.

titanoboa keeps the program counters of every call, reverted ones as well. Its own plugin for
coverage.py reads constructors and code run by delegatecall, which is how a book and a venue work,
with the map of another contract, cannot follow an ``if`` that ends a loop, and takes several times
as long; so the counters are read here, with the map of the code that ran.

A line that runs while fixtures are made is the whole file's: each of its tests may hang on it.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
from boa.environment import Env
from vyper.ir import compile_ir

from tests.coverage.contract_source import ContractSource, contract_source

ROOT = Path(__file__).resolve().parents[2]
CONTRACTS = ROOT / "contracts"
RECORDS = ROOT / "build" / "coverage"

Points = dict[int, tuple[str, int]]  # program counter to file and statement


class Recorder:
    """Collects file and line, and the ways out of conditions, by test."""

    def __init__(self, records: Path = RECORDS) -> None:
        self.records = records
        self.context = ""
        self.lines: dict[str, set[tuple[str, int]]] = defaultdict(set)
        self.outcomes: set[tuple[str, int, bool]] = set()
        self.seconds: dict[str, float] = defaultdict(float)

    def observe(self, computation: Any, deployed: Any = None) -> None:
        """Take in one call and those that it made."""
        address = computation.msg.code_address
        contract = deployed if not address else Env.get_singleton().lookup_contract(address)
        if hasattr(contract, "compiler_data"):
            points = points_of(contract, runtime=bool(address))
            left = self._follow(computation.code._trace, points)
            if not computation.is_error:
                self._note(left.items(), None)
        for child in computation.children:
            self.observe(child)

    def _follow(self, trace: list[int], points: Points) -> dict[tuple[str, int], int]:
        """Return the conditions, by function, after which nothing of the function ran."""
        lines = self.lines[self.context]
        waiting: dict[tuple[str, int], int] = {}  # function to the condition last seen in it
        last = None
        for counter in trace:
            point = points.get(counter)
            if point is None or point is last:
                continue
            last = point
            lines.add(point)
            file, line = point
            source = source_of(file)
            function = file, source.function_at.get(line, 0)
            condition = waiting.get(function, line)
            if condition != line:
                if not source.branches[condition].tells(line):
                    continue
                del waiting[function]
                self._note([(function, condition)], line)
            if line in source.branches:
                waiting[function] = line
        return waiting

    def _note(self, left: Iterable[tuple[tuple[str, int], int]], line: int | None) -> None:
        for (file, _), condition in left:
            way = source_of(file).branches[condition].went(line)
            self.outcomes.add((file, condition, way))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_setup(self, item: pytest.Item) -> Iterator[None]:
        if self.context and file_of(self.context) != file_of(item.nodeid):
            self.write(file_of(self.context))
        self.context = file_of(item.nodeid)
        return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_call(self, item: pytest.Item) -> Iterator[None]:
        self.context = item.nodeid
        return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.seconds[report.nodeid] += report.duration

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.context = file_of(nodeid)

    def pytest_sessionfinish(self) -> None:
        if self.context:
            self.write(file_of(self.context))

    def write(self, test_file: str) -> None:
        """Put down what a file of tests ran, and forget it."""
        contexts = [name for name in self.lines if file_of(name) == test_file]
        record = {
            "lines": {name: sorted(self.lines.pop(name)) for name in contexts},
            "outcomes": sorted(self.outcomes),
            "seconds": {n: round(t, 3) for n, t in self.seconds.items() if file_of(n) == test_file},
        }
        self.outcomes.clear()
        self.records.mkdir(parents=True, exist_ok=True)
        path = self.records / (test_file.replace("/", ".") + ".json")
        path.write_text(json.dumps(record))


def file_of(nodeid: str) -> str:
    return nodeid.split("::", maxsplit=1)[0]


@lru_cache
def source_of(file: str) -> ContractSource:
    return contract_source(ROOT / file)


_points: dict[tuple[int, bool], tuple[Any, Points]] = {}


def points_of(contract: Any, *, runtime: bool) -> Points:
    """Return where each program counter of a contract's code comes from, one's own files only."""
    compiled = contract.compiler_data
    key = id(compiled), runtime
    if key not in _points:
        source_map = contract.source_map if runtime else deployment_map(compiled)
        _points[key] = compiled, dict(located(source_map["pc_raw_ast_map"]))
    return _points[key][1]


def deployment_map(compiled: Any) -> dict[str, Any]:
    return dict(compile_ir.assembly_to_evm(compiled.assembly)[1])


def located(nodes: dict[int, Any]) -> Iterator[tuple[int, tuple[str, int]]]:
    interned: dict[tuple[str, int], tuple[str, int]] = {}
    for counter, node in nodes.items():
        file = own_file(node.module_node.resolved_path)
        if not file:
            continue
        point = file, source_of(file).statement_at.get(node.lineno, node.lineno)
        yield counter, interned.setdefault(point, point)


def own_file(path: str) -> str:
    """
    Return a contract's path from the root, or nothing for a library's.

    What titanoboa has in its cache, a test's own source above all, may be of another checkout.
    """
    _, found, name = Path(path).as_posix().rpartition("/contracts/")
    return f"contracts/{name}" if found and (CONTRACTS / name).is_file() else ""


def pytest_configure(config: pytest.Config) -> None:
    recorder = Recorder()
    config.pluginmanager.register(recorder, "contract-recorder")
    Env._coverage_enabled = True
    Env._trace_computation = lambda _, computation, contract=None: recorder.observe(
        computation, contract
    )
