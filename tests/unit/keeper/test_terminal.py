# SPDX-License-Identifier: MIT
"""`hedgevault status` and its `--watch`."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from typer.testing import CliRunner

from keeper import terminal
from keeper.abi import call_data
from keeper.chain import Chain
from keeper.cli import FAULT, OK, _node, app
from keeper.config import load_config
from keeper.risk import assess
from keeper.words import remarks, tokens_of, vault_facts
from tests.dashboard_world import World, state_of
from tests.keeper_world import NOW, VAULT


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.close()


@pytest.fixture
def eye(world):
    config = load_config(world.config_path)
    eye = terminal.eye(Chain(_node(config)), config)
    yield eye
    eye.close()


def wide():
    return Console(file=io.StringIO(), width=160, highlight=False)


def test_status__says_what_the_dashboard_says(world):
    result = CliRunner().invoke(app, ["status", "--config", str(world.config_path)])
    assert result.exit_code == OK, result.output
    vault = state_of().vault
    said = " ".join(result.output.split())
    assert VAULT in said
    assert " ".join(remarks(vault, assess(vault), NOW)[0].words.split()) in said
    facts = vault_facts(vault, assess(vault), tokens_of(vault, "tETH", "tUSDC"))
    assert all(fact.value in said for fact in facts)
    assert "Liquidation price" in said


def test_status__what_waits_and_exits_in_kind__said_as_the_dashboard_does(world):
    vault = state_of().vault
    views = ("get_minimum_delay", "GRACE", "get_timestamp")
    world.views |= {("Timelock", view): 172_800 for view in views}
    world.views |= {("Timelock", view): VAULT for view in ("proposer", "guardian")}
    payload = call_data("HedgeBook", "set_hedge_ratio", 9_500)
    fields = {"id": bytes(32), "index": 0, "target": vault.book, "amount": 0, "payload": payload}
    world.tell(vault.owner, "Timelock", "CallScheduled", **fields, predecessor=bytes(32), delay=1)
    result = CliRunner().invoke(app, ["status", "--config", str(world.config_path)])
    said = " ".join(result.output.split())
    assert "Change how much of the price risk is removed:" in said
    assert "HedgeBook.set_hedge_ratio(ratio_bps 95.00 %)" in said
    assert "a timelock of 2 days" in said
    assert "not in kind: there is a good price" in said


def test_status__events_refused__said_and_the_vaults_stay(world):
    world.node.answers["eth_getLogs"] = {"code": -32000, "message": "range too large"}
    result = CliRunner().invoke(app, ["status", "--config", str(world.config_path)])
    assert result.exit_code == OK
    assert "What was logged cannot be read" in result.output
    assert VAULT in result.output


def test_status__node_down__one_line(world):
    world.node.drop = True
    result = CliRunner().invoke(app, ["status", "--config", str(world.config_path)])
    assert result.exit_code == FAULT
    assert result.output.count("\n") == 1


def test_watch__node_goes__what_was_seen_stays_and_it_says_so(world, eye):
    looks = []

    def look():
        world.node.drop = bool(looks)
        looks.append(eye.glance())
        return looks[-1]

    console = wide()
    terminal.watch(look, 0.01, console, looks=2)
    last = console.file.getvalue().rpartition("Chain not readable")[2]
    assert "Shown is what was read" in last
    assert "Net asset value" in last


def test_watch__ctrl_c__ends_without_a_word(eye):
    def interrupted():
        raise KeyboardInterrupt

    terminal.watch(interrupted, 0.01, wide())


def test_page__levels__differ_without_colour(world, eye):
    world.states = [state_of(drift=20)]
    console = wide()
    terminal.show(eye.look_hard(), console)
    assert "■ Act: Exposure is" in console.file.getvalue()
