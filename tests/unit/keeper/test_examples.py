# SPDX-License-Identifier: MIT
"""The examples load, and the unit agrees with the keeper that it starts."""

from __future__ import annotations

import json
import re
import shutil
import tomllib
from configparser import ConfigParser
from pathlib import Path

import pytest
from typer.testing import CliRunner

from keeper import cli, jobs
from keeper.alerts import ALERTS
from keeper.config import ConfigFile, load_config

FOLDER = Path(cli.__file__).with_name("examples")
CHAINS = {"anvil": 31337, "ganache": 1337, "testnet": 11155111}


def test_examples__are_those_that_are_tested():
    assert {path.stem for path in FOLDER.glob("*.toml")} == CHAINS.keys()


@pytest.mark.parametrize(("name", "chain_id"), CHAINS.items())
def test_example__after_a_deployment__loads(tmp_path, name, chain_id):
    shutil.copy(FOLDER / f"{name}.toml", tmp_path / "hedgevault.toml")
    contracts = {
        contract: {"address": "0x" + digit * 40, "block": 7}
        for contract, digit in (("VaultLens", "1"), ("HedgeVault", "2"))
    }
    record = tmp_path / "deployments" / f"{chain_id}.json"
    record.parent.mkdir()
    record.write_text(json.dumps({"chain_id": chain_id, "contracts": contracts}))
    config = load_config(tmp_path / "hedgevault.toml")
    assert config.chain.chain_id == chain_id
    assert config.http.host == "127.0.0.1"
    assert (config.chain.clock == "head") == (name != "testnet")


@pytest.fixture
def unit():
    parser = ConfigParser(interpolation=None, strict=True)
    parser.optionxform = str
    parser.read(FOLDER / "hedgevault.service")
    return parser


def test_unit__never_restarts_what_a_person_must_look_at(unit):
    codes = {int(code) for code in unit["Service"]["RestartPreventExitStatus"].split()}
    assert codes == {cli.USAGE, cli.HALT}
    assert jobs.FORCED == cli.FAULT  # what the last resort exits with is tried again


def test_unit__waits_longer_for_the_stop_than_it_takes(unit):
    assert int(unit["Service"]["TimeoutStopSec"]) > jobs.LAST_RESORT_SECS
    assert unit["Service"]["Type"] == "notify"


def test_unit__watchdog__is_longer_than_a_slow_turn(unit, tmp_path):
    """A job may wait for a whole deadline and take another before it counts as late."""
    slowest = 15 + 2 * (60 + jobs.GRACE)  # the defaults of [jobs]
    assert int(unit["Service"]["WatchdogSec"]) > slowest


def test_unit__starts_a_command_that_exists(unit):
    words = unit["Service"]["ExecStart"].split()
    assert Path(words[0]).name == "hedgevault"
    assert words[1] in {command.callback.__name__ for command in cli.app.registered_commands}


@pytest.fixture
def container():
    return (FOLDER / "Containerfile").read_text()


def test_container__copies_what_there_is_and_runs_a_command_that_exists(container):
    root = FOLDER.parents[1]
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", container, re.MULTILINE)
    assert copied
    assert all((root / name).exists() for line in copied for name in line.split())
    (words,) = (json.loads(found) for found in re.findall(r"^CMD (.+)$", container, re.MULTILINE))
    commands = {command.callback.__name__: command for command in cli.app.registered_commands}
    assert words[0] in commands
    asked = CliRunner().invoke(cli.app, [words[0], "--help"]).stdout
    assert all(word in asked for word in words if word.startswith("--"))


def test_container__no_root_and_only_what_the_lock_says(container):
    assert re.findall(r"^USER (\d+)$", container, re.MULTILINE) == ["10001"]
    assert "--require-hashes -r requirements-keeper.lock" in container


def test_container__health__asks_where_the_examples_serve(container):
    (port,) = re.findall(r"HEDGEVAULT_HTTP_PORT=(\d+)", container)
    for name in CHAINS:
        assert tomllib.loads((FOLDER / f"{name}.toml").read_text())["http"]["port"] == int(port)


def test_runbook__each_alert_and_no_other_has_a_chapter():
    text = (FOLDER.parents[1] / "docs" / "runbook.md").read_text()
    chapters = re.findall(r"^### (.+)$", text.split("## Procedures")[0], re.MULTILINE)
    assert {name for line in chapters for name in line.split(", ")} == ALERTS.keys()


def test_runbook__each_setting_that_it_names__exists():
    text = (FOLDER.parents[1] / "docs" / "runbook.md").read_text()
    sections = ConfigFile.model_fields
    named = re.findall(r"`(\w+)\.(\w+)`", text)
    assert named
    for section, field in named:
        if section in sections:
            kind = sections[section].annotation
            kind = next(iter(getattr(kind, "__args__", ())), kind)
            assert field in kind.model_fields, f"{section}.{field}"
