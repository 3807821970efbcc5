# SPDX-License-Identifier: MIT
"""Rules that hold for every file under version control."""

from __future__ import annotations

import json
import re
import subprocess
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]

# Formats without comments, texts that are licences themselves, files made by tools.
NO_SPDX = {".csv", ".html", ".json", ".lock", ".png", ".svg", ".txt", ".typed", ""}
VYPER_IMPORT = re.compile(r"^(?:from|import)\s.*", re.MULTILINE)

# Spelt in pieces, or this file would find itself.
MACHINE_PATHS = ["/" + "work/", "/" + "root/", "/" + "opt/", "/" + "home/"]
REGISTRY_HOSTS = [
    "pypi" + ".org",
    "files." + "pythonhosted",
    "registry." + "npmjs",
    "deb." + "debian",
    "local" + "host:4873",
]
FORBIDDEN = re.compile("|".join(map(re.escape, [*MACHINE_PATHS, *REGISTRY_HOSTS])))


def tracked_files() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file()]


def source_files() -> list[Path]:
    return [path for path in tracked_files() if path.suffix not in NO_SPDX]


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def test_files__first_line_names_the_licence() -> None:
    missing = [
        path.relative_to(ROOT).as_posix()
        for path in source_files()
        if "SPDX-License-Identifier: " not in "".join(text_of(path).splitlines(True)[:2])
    ]
    assert missing == []


def test_contracts__licence_follows_snekmate() -> None:
    """Code of snekmate is compiled in, also through a module: the contract is then AGPL."""
    contracts = {path.stem: path for path in source_files() if path.suffix in {".vy", ".vyi"}}
    wrong = [
        path.relative_to(ROOT).as_posix()
        for path in contracts.values()
        if ("AGPL-3.0-only" in text_of(path).splitlines()[0]) != uses_snekmate(path, contracts)
    ]
    assert wrong == []


def uses_snekmate(path: Path, contracts: dict[str, Path]) -> bool:
    words = set(re.findall(r"\w+", " ".join(VYPER_IMPORT.findall(text_of(path)))))
    return "snekmate" in words or any(
        uses_snekmate(contracts[stem], contracts) for stem in words & contracts.keys()
    )


def test_python__is_under_mit() -> None:
    other = [
        path.relative_to(ROOT).as_posix()
        for path in source_files()
        if path.suffix == ".py" and "MIT" not in text_of(path).splitlines()[0]
    ]
    assert other == []


def test_files__contain_no_machine_path_or_registry() -> None:
    found = [
        f"{path.relative_to(ROOT).as_posix()}: {match.group()}"
        for path in tracked_files()
        if path.suffix not in {".png", ".html"}
        for match in [FORBIDDEN.search(text_of(path))]
        if match
    ]
    assert found == []


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-keeper.lock"])
def test_lock__every_package_has_hashes(name: str) -> None:
    packages = [line for line in text_of(ROOT / name).splitlines() if re.match(r"[a-z]", line)]
    assert packages
    assert all(line.endswith("\\") for line in packages)


def test_locks__agree_on_versions() -> None:
    def pins(name: str) -> set[tuple[str, str]]:
        """Return names and versions; extras differ with what asks for them."""
        found = r"^([a-z0-9][^ =\[]*)(?:\[[^\]]*\])?==([^ ]+)"
        return set(re.findall(found, text_of(ROOT / name), re.MULTILINE))

    assert pins("requirements-keeper.lock") <= pins("requirements.lock")


def test_lock__pins_packages_with_the_extras_asked_for() -> None:
    """Else pip before 23.3 takes the newest release for `name[extra]` and refuses it unhashed."""
    pinned = re.findall(r"^([a-z0-9][^ ]*)==", text_of(ROOT / "requirements.lock"), re.MULTILINE)
    extras = {needed.name: needed.extras for needed in map(Requirement, pinned)}
    asked = {
        (canonicalize_name(needed.name), extra)
        for package in metadata.distributions()
        if canonicalize_name(package.name) in extras
        for needed in map(Requirement, package.requires or [])
        if needed.marker is None or needed.marker.evaluate({"extra": ""})
        for extra in needed.extras
    }
    assert asked
    assert [(name, extra) for name, extra in asked if extra not in extras[name]] == []


def test_npm_lock__has_checksums_and_no_addresses() -> None:
    packages = json.loads(text_of(ROOT / "package-lock.json"))["packages"]
    installed = [entry for name, entry in packages.items() if name and "inBundle" not in entry]
    assert all("integrity" in entry for entry in installed)
    assert not any("resolved" in entry for entry in packages.values())
