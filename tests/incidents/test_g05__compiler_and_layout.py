# SPDX-License-Identifier: MIT
"""
G-05: what Vyper 0.4.x leaves to its users: the lock, the layout of storage, the failed call.

A contract that keeps something is locked by default and says why where it is not. Its storage
stays where ``tests/storage_layout.json`` says, since several contracts run on the storage of
another; `HEDGEVAULT_LAYOUT=write` takes a change into the file, to be looked at. A low-level call
that does not revert by itself tells its caller, who listens.
"""

from __future__ import annotations

import json
import os
import re
import sysconfig
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from vyper.ast import nodes as vy_ast
from vyper.ast import parse_to_ast
from vyper.compiler.input_bundle import FilesystemInputBundle
from vyper.compiler.phases import CompilerData
from vyper.compiler.settings import anchor_settings

from tests.compiled import CONTRACTS, ROOT

VERSION = "0.4.3"
LAYOUT = ROOT / "tests" / "storage_layout.json"
REWRITE = "HEDGEVAULT_LAYOUT"
PRAGMA = re.compile(r"^# ?pragma (version|evm-version) (.*)$", re.MULTILINE)
DEPLOYED = sorted(path.stem for path in CONTRACTS.glob("*.vy"))
SOURCES = sorted(path for path in CONTRACTS.rglob("*.vy") if path.parent.name != "testing")
# Failures that change nothing, and where the function says why.
UNHEARD = {("insurance", "_drawn"): "a fund that reverts, lies"}


@lru_cache
def front_end(name: str) -> CompilerData:
    """Return a contract as the front end of the compiler sees it, which takes no code."""
    bundle = FilesystemInputBundle([Path(sysconfig.get_path("purelib")), ROOT, CONTRACTS])
    return CompilerData(bundle.load_file(CONTRACTS / f"{name}.vy"), input_bundle=bundle)


def slots(name: str) -> dict[str, list[Any]]:
    """Return slot, number of slots and type of every variable, those of modules included."""
    found: dict[str, list[Any]] = {}

    def walk(layout: dict[str, Any], prefix: str) -> None:
        for key, entry in layout.items():
            if "slot" in entry:
                found[prefix + key] = [entry["slot"], entry["n_slots"], entry["type"]]
            else:
                walk(entry, f"{prefix}{key}.")

    data = front_end(name)
    with anchor_settings(data.settings):  # the EVM version decides where the lock is
        walk(data.storage_layout.get("storage_layout", {}), "")
    return dict(sorted(found.items(), key=lambda item: item[1][0]))


def test_g05__compiler__is_exactly_the_one_that_was_tried():
    assert metadata.version("vyper") == VERSION
    config = yaml.safe_load((ROOT / "brownie-config.yaml").read_text())
    assert config["compiler"]["vyper"] == {"version": VERSION, "evm_version": "shanghai"}
    for path in SOURCES:
        pragmas = re.findall(
            r"^# ?pragma (version|evm-version) (.*)$", path.read_text(), re.MULTILINE
        )
        assert dict(pragmas).get("version") == VERSION, path.name
        if path.stem in DEPLOYED:
            assert dict(pragmas).get("evm-version") == "shanghai", path.name


@pytest.mark.parametrize("name", DEPLOYED)
def test_g05__contract_that_keeps_something__is_locked(name):
    data = front_end(name)
    kept = [variable for variable in slots(name) if not variable.startswith("$")]
    if kept:
        assert data.settings.nonreentrancy_by_default, kept
        assert "$.nonreentrant_key" in slots(name)


@pytest.mark.parametrize("name", DEPLOYED)
def test_g05__call_without_the_lock__says_why(name):
    """Each `@reentrant` that is no view has a comment above its decorators."""
    text = (CONTRACTS / f"{name}.vy").read_text()
    blocks = re.findall(r"((?:^#.*\n)*)((?:^@.*\n)+)^def (\w+)", text, re.MULTILINE)
    silent = [
        function
        for comment, decorators, function in blocks
        if "@reentrant" in decorators
        and "@view" not in decorators
        and not comment.startswith("# Reentrant: ")
    ]
    assert silent == []


def test_g05__storage__stays_where_it_was():
    layouts = {name: slots(name) for name in DEPLOYED if slots(name)}
    if os.environ.get(REWRITE) == "write":
        LAYOUT.write_text(as_text(layouts))
    assert json.loads(LAYOUT.read_text()) == layouts


def as_text(layouts: dict[str, dict[str, list[Any]]]) -> str:
    """Return one variable a line."""
    contracts = []
    for name, variables in layouts.items():
        lines = ",\n".join(f"    {json.dumps(k)}: {json.dumps(v)}" for k, v in variables.items())
        contracts.append(f"  {json.dumps(name)}: {{\n{lines}\n  }}")
    return "{\n" + ",\n".join(contracts) + "\n}\n"


def test_g05__code_run_on_anothers_storage__has_its_layout():
    for name, others in {
        "HedgeBook": ["BookControl"],
        "PerpVenue": ["VenueRecovery", "Deleverager", "VenueBackstop", "VenueWindUp"],
    }.items():
        for other in others:
            assert slots(other) == slots(name), other


def quiet_calls() -> list[tuple[str, Any, Any]]:
    """Return file, function and call of each `raw_call` that does not revert by itself."""
    found = []
    for path in SOURCES:
        for function in parse_to_ast(path.read_text()).get_children(vy_ast.FunctionDef):
            for call in function.get_descendants(vy_ast.Call, {"func.id": "raw_call"}):
                quiet = any(
                    word.arg == "revert_on_failure" and word.value.value is False
                    for word in call.keywords
                )
                if quiet:
                    found.append((path.stem, function, call))
    return found


def test_g05__failed_call__is_heard_by_its_caller():
    """Its success is returned, or kept under a name that is read."""
    calls, unheard = quiet_calls(), []
    for file, function, call in calls:
        statement = call.get_ancestor((vy_ast.Assign, vy_ast.AnnAssign, vy_ast.Return, vy_ast.Expr))
        if isinstance(statement, vy_ast.Return):
            continue
        heard = False
        if not isinstance(statement, vy_ast.Expr):
            target = statement.target
            success = (target.elements[0] if isinstance(target, vy_ast.Tuple) else target).id
            names = function.get_descendants(vy_ast.Name, {"id": success})
            written = {
                name
                for each in function.get_descendants((vy_ast.Assign, vy_ast.AnnAssign))
                for name in each.target.get_descendants(vy_ast.Name, include_self=True)
            }
            heard = any(name not in written for name in names)
        if not heard:
            unheard.append((file, function.name))
            assert UNHEARD[file, function.name] in function.doc_string.value
    assert len(calls) >= 9
    assert unheard == list(UNHEARD)
