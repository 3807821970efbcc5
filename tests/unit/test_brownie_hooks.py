# SPDX-License-Identifier: MIT
"""The bridge between Brownie and Vyper 0.4.3, on a throw-away project."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]

MODULE = """\
# pragma version 0.4.3
from snekmate.auth import ownable

uses: ownable

count: public(uint256)


@internal
def bump(step: uint256) -> uint256:
    ownable._check_owner()
    assert step < 100, "counter: step too large"
    self.count += step
    return self.count
"""
INTERFACE = """\
# pragma version 0.4.3
event Bumped:
    count: uint256


@external
def bump(step: uint256): ...
"""
THING = """\
# pragma version 0.4.3
from snekmate.auth import ownable
from modules import counter
from interfaces import IThing

implements: IThing
initializes: ownable
initializes: counter[ownable := ownable]

exports: (counter.count, ownable.owner)


@deploy
def __init__():
    ownable.__init__()


@external
def bump(step: uint256):
    assert step != 7  # dev: unlucky
    count: uint256 = counter.bump(step)
    log IThing.Bumped(count=count)
"""
ALONE = """\
# pragma version 0.4.3


@external
@view
def one() -> uint256:
    return 1
"""

LOAD = """\
import json, sys
import brownie.project
project = brownie.project.load(".", name="ThrowAwayProject")
json.dump(sorted(project.keys()), open("loaded.json", "w"))
"""


class ThrowAwayProject:
    """A Brownie project in a temporary folder, with its own home."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.home = root.parent / "home"
        self.home.mkdir()
        for name in ("brownie_hooks.py", "brownie-config.yaml"):
            root.mkdir(exist_ok=True)
            shutil.copy(REPOSITORY / name, root / name)
        self.write("contracts/modules/counter.vy", MODULE)
        self.write("contracts/interfaces/IThing.vyi", INTERFACE)
        self.write("contracts/Thing.vy", THING)
        self.write("contracts/testing/Alone.vy", ALONE)

    def write(self, name: str, text: str) -> None:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def load(self) -> str:
        """Load the project in a process of its own, return what Brownie printed."""
        ran = subprocess.run(
            [sys.executable, "-c", LOAD],
            cwd=self.root,
            env={**os.environ, "HOME": str(self.home)},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def containers(self) -> list[str]:
        loaded: list[str] = json.loads((self.root / "loaded.json").read_text())
        return loaded

    def artefact(self, name: str) -> dict[str, Any]:
        path = self.root / "build" / "contracts" / f"{name}.json"
        artefact: dict[str, Any] = json.loads(path.read_text())
        return artefact


@pytest.fixture
def project(tmp_path: Path) -> ThrowAwayProject:
    return ThrowAwayProject(tmp_path / "project")


def compiled(output: str) -> set[str]:
    """Return the names that Brownie lists as compiled."""
    return {line[3:] for line in output.splitlines() if line.startswith(" - ")}


def test_load__module_interface_and_snekmate__compiles_like_vyper(
    project: ThrowAwayProject,
) -> None:
    assert compiled(project.load()) == {"Alone", "Thing", "counter"}

    assert project.containers() == ["Alone", "Thing"]
    direct = subprocess.run(
        [
            *(sys.executable, "-m", "vyper.cli.vyper_compile", "--evm-version", "shanghai"),
            *("-p", "contracts", "-f", "bytecode_runtime", "contracts/Thing.vy"),
        ],
        cwd=project.root,
        capture_output=True,
        text=True,
        check=True,
    )
    assert project.artefact("Thing")["deployedBytecode"] == direct.stdout.strip()


def test_load__nothing_changed__compiles_nothing(project: ThrowAwayProject) -> None:
    project.load()
    assert compiled(project.load()) == set()


def test_load__module_changed__recompiles_its_users_only(project: ThrowAwayProject) -> None:
    project.load()
    before = project.artefact("Thing")["deployedBytecode"]

    project.write("contracts/modules/counter.vy", MODULE.replace("+= step", "+= step + 1"))

    assert compiled(project.load()) == {"Thing"}
    assert project.artefact("Thing")["deployedBytecode"] != before


def test_load__interface_changed__recompiles_its_users_only(project: ThrowAwayProject) -> None:
    project.load()
    project.write(
        "contracts/interfaces/IThing.vyi",
        INTERFACE.replace("count: uint256", "count: indexed(uint256)"),
    )
    assert compiled(project.load()) == {"Thing"}
    abi = project.artefact("Thing")["abi"]
    [event] = [entry for entry in abi if entry.get("name") == "Bumped"]
    assert event["inputs"][0]["indexed"]


def test_load__module_of_a_module_changed__recompiles_its_users(
    project: ThrowAwayProject,
) -> None:
    project.write("contracts/modules/limits.vy", "LIMIT: constant(uint256) = 100\n")
    uses_limit = MODULE.replace("from snekmate", "from modules import limits\nfrom snekmate", 1)
    project.write(
        "contracts/modules/counter.vy", uses_limit.replace("step < 100", "step < limits.LIMIT")
    )
    project.load()

    project.write("contracts/modules/limits.vy", "LIMIT: constant(uint256) = 50\n")

    assert compiled(project.load()) == {"Thing"}


def test_load__setting_changed__recompiles_all_contracts(project: ThrowAwayProject) -> None:
    project.load()
    settings = (project.root / "brownie-config.yaml").read_text()
    project.write("brownie-config.yaml", settings.replace("shanghai", "paris"))
    assert compiled(project.load()) == {"Alone", "Thing"}


def test_source_map__points_at_statements_of_the_contract(project: ThrowAwayProject) -> None:
    project.load()
    pc_map = project.artefact("Thing")["pcMap"].values()
    texts = {THING[slice(*entry["offset"])] for entry in pc_map if "offset" in entry}
    function = THING[THING.index("def bump") :].rstrip("\n")
    assert texts == {
        THING.rstrip("\n"),
        function,
        "assert step != 7",
        "step != 7",
        "step",
        "7",
        "count: uint256 = counter.bump(step)",
        "counter.bump(step)",
        "log IThing.Bumped(count=count)",
        "count",
    }


def test_source_map__failing_jump__carries_the_assert(project: ThrowAwayProject) -> None:
    project.load()
    jumps = [e for e in project.artefact("Thing")["pcMap"].values() if e["op"] == "JUMPI"]
    texts = {THING[slice(*entry["offset"])] for entry in jumps if "offset" in entry}
    assert "assert step != 7" in texts


def test_compile_error__names_file_and_line(project: ThrowAwayProject) -> None:
    project.write("contracts/Thing.vy", THING.replace("counter.bump", "counter.jump"))
    with pytest.raises(AssertionError, match=r"Thing\.vy:21"):
        project.load()
