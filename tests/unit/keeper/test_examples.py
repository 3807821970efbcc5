# SPDX-License-Identifier: MIT
"""The examples load, and the unit agrees with the keeper that it starts."""

from __future__ import annotations

import json
import shutil
from configparser import ConfigParser
from pathlib import Path

import pytest

from keeper import cli, jobs
from keeper.config import load_config

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
