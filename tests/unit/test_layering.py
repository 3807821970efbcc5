# SPDX-License-Identifier: MIT
"""Imports point one way: the pure core knows no chain, clock, chance, log or environment."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

KEEPER = Path(__file__).resolve().parents[2] / "keeper"

# The arrow of the style guide: a module of the core imports only what stands before it.
ORDER = (
    "units",
    "errors",
    "snapshot",
    "outlook",
    "policy",
    "band",
    "curve",
    "routing",
    "deleveraging",
    "upkeep",
    "risk",
    "plan",
    "outcome",
    "explain",
    "margins",
    "ratio",
    "situation",
    "placement",
    "settlement",
    "strategy",
    "guard",
    "refusals",
)
CORE = [
    *(KEEPER / f"{name}.py" for name in ORDER),
    *sorted(KEEPER.glob("simulation/model*.py")),
    *sorted(KEEPER.glob("simulation/model*/**/*.py")),
    KEEPER / "words.py",
    KEEPER / "exits.py",
    KEEPER / "proposals.py",
    KEEPER / "web" / "seen.py",
    *sorted(KEEPER.glob("web/view/*.py")),
]

IMPURE_MODULES = {
    "apscheduler",
    "asyncio",
    "dotenv",
    "logging",
    "os",
    "random",
    "requests",
    "secrets",
    "socket",
    "sqlalchemy",
    "structlog",
    "subprocess",
    "threading",
    "time",
    "uuid",
    "web3",
}
IMPURE_CALLS = {
    "date.today",
    "datetime.now",
    "datetime.today",
    "datetime.utcnow",
    "default_rng",
    "environ",
    "getenv",
    "input",
    "open",
    "print",
    "random.default_rng",
}


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted names of all imported modules, also of those inside functions."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "keeper" if node.level else ""
            module = ".".join(part for part in (base, node.module or "") if part)
            yield module
            yield from (f"{module}.{alias.name}" for alias in node.names)


def impurities(tree: ast.AST) -> list[str]:
    found = [name for name in imports(tree) if name.split(".")[0] in IMPURE_MODULES]
    for node in ast.walk(tree):
        if isinstance(node, ast.Call | ast.Subscript | ast.Attribute):
            subject = node.func if isinstance(node, ast.Call) else node
            name = ast.unparse(subject)
            if name in IMPURE_CALLS or any(name.endswith(f".{call}") for call in IMPURE_CALLS):
                found.append(f"line {node.lineno}: {name}")
    return found


def existing(paths: list[Path]) -> list[Path]:
    return [path for path in paths if path.exists()]


def parse(path: Path) -> ast.AST:
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


@pytest.mark.parametrize("path", existing(CORE), ids=lambda path: path.stem)
def test_core__is_pure(path: Path) -> None:
    assert impurities(parse(path)) == []


@pytest.mark.parametrize(
    "path", existing([KEEPER / f"{name}.py" for name in ORDER]), ids=lambda path: path.stem
)
def test_core__imports_only_what_stands_before_it(path: Path) -> None:
    before = {f"keeper.{name}" for name in ORDER[: ORDER.index(path.stem)]}
    own = {".".join(name.split(".")[:2]) for name in imports(parse(path)) if "keeper." in name}
    assert own <= before


def test_web3__is_imported_by_chain_only() -> None:
    importers = {
        path.relative_to(KEEPER).as_posix()
        for path in KEEPER.rglob("*.py")
        if any(name.split(".")[0] == "web3" for name in imports(parse(path)))
    }
    assert importers <= {"chain.py"}


def test_keeper__never_imports_the_tools_of_development() -> None:
    """The keeper runs from its own lock file, without Brownie and compilers."""
    tools = {"boa", "brownie", "hypothesis", "pytest", "snekmate", "vyper"}
    importers = {
        f"{path.relative_to(KEEPER).as_posix()} imports {name}"
        for path in KEEPER.rglob("*.py")
        for name in imports(parse(path))
        if name.split(".")[0] in tools
    }
    assert importers == set()


def test_statistics__stay_in_studies() -> None:
    """The keeper starts without scipy, arch and pandas; they come with the extra `study`."""
    tools = {"arch", "pandas", "scipy", "statsmodels"}
    importers = {
        f"{path.relative_to(KEEPER).as_posix()} imports {name}"
        for path in KEEPER.rglob("*.py")
        if KEEPER / "simulation" not in path.parents
        for name in imports(parse(path))
        if name.split(".")[0] in tools or name.startswith("keeper.simulation.risk")
    }
    assert importers == set()


@pytest.mark.parametrize(
    "line",
    [
        "import web3",
        "from web3 import Web3",
        "import time",
        "import os.path",
        "def late():\n    import random",
        "moment = datetime.now(UTC)",
        "moment = datetime.datetime.now()",
        "generator = numpy.random.default_rng()",
        "from structlog import get_logger",
        "file = open('x')",
    ],
)
def test_impurities__each_kind__is_found(line: str) -> None:
    assert impurities(ast.parse(line))


@pytest.mark.parametrize(
    "line",
    [
        "import math",
        "from datetime import datetime, timedelta",
        "from keeper.units import Wad",
        "time = snapshot.taken_at",
    ],
)
def test_impurities__pure_line__passes(line: str) -> None:
    assert impurities(ast.parse(line)) == []
