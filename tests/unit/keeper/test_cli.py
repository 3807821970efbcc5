# SPDX-License-Identifier: MIT
"""The command line without a node."""

from __future__ import annotations

import json
import re
import sqlite3
import subprocess
import sys
from contextlib import closing
from dataclasses import fields
from pathlib import Path

import pytest
from typer.testing import CliRunner

from keeper.alerts import ALERTS
from keeper.cli import FAULT, HALT, OK, USAGE, _logger, _redactor, app
from keeper.config import ConfigFile, load_config
from keeper.journal import Entry, Journal
from keeper.lease import held
from keeper.policy import Memory, Policy
from keeper.strategy import decide
from keeper.template import NOTES, template
from tests.alert_server import Webhook
from tests.keeper_world import ETHER, snapshot, venue

LENS, VAULT = "0x" + "11" * 20, "0x" + "22" * 20


@pytest.fixture
def call(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda *arguments: CliRunner().invoke(app, list(arguments))


def test_exit_codes__are_four():
    assert (OK, FAULT, USAGE, HALT) == (0, 1, 2, 3)


def test_import__keeper_that_runs__holds_neither_plots_nor_arrays():
    """They are of reports and backtests, and a third of the memory."""
    code = "import sys, keeper.cli; print(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    heavy = {"matplotlib", "numpy", "scipy", "pandas", "arch", "numba", "web3", "brownie"}
    heavy |= {"psycopg", "alembic", "fastapi", "uvicorn", "plotly"}
    assert heavy & {name.partition(".")[0] for name in said.stdout.split()} == set()


def test_init__writes_a_file_that_loads_and_overwrites_none(call, tmp_path):
    assert call("init", "--chain-id", "5").exit_code == OK
    text = (tmp_path / "hedgevault.toml").read_text()
    assert 'deployment = "deployments/5.json"' in text
    again = call("init")
    assert again.exit_code == USAGE
    assert again.stderr == "hedgevault: hedgevault.toml: exists already\n"
    assert (tmp_path / "hedgevault.toml").read_text() == text


def test_template__uncommented__is_the_default(tmp_path):
    text = template().replace('deployment = "deployments/31337.json"', "")
    assert 'clock = "head"' in text
    text = re.sub(r"^# (?=[a-z_]+ = )", "", text, flags=re.MULTILINE)
    text = (
        text.replace("0x...", LENS)
        .replace("# [[vaults]]", "")
        .replace(f'address = "{LENS}"', "", 1)
    )
    lines = [
        line
        for line in text.splitlines()
        if not line.startswith(("keystore", "password", "url", "address"))
    ]
    path = tmp_path / "h.toml"
    path.write_text("\n".join(lines) + f'\n[[vaults]]\naddress = "{VAULT}"\n')
    config = load_config(path)
    assert config.policy == Policy(max_price_age_secs=config.policy.max_price_age_secs)
    plain = ConfigFile.model_validate({"chain": config.chain.model_dump()})
    for section in ("alerts", "fees", "http", "jobs", "journal", "log", "policy"):
        assert getattr(config.file, section) == getattr(plain, section)


def test_template__has_every_key():
    text = template()
    for name in NOTES.keys() | {field.name for field in fields(Policy)}:
        assert f"# {name} = " in text
    for name, section in ConfigFile.model_fields.items():
        kind = section.annotation
        if name in ("alerts", "chain", "fees", "http", "journal", "jobs", "safety", "log"):
            for key in kind.model_fields:
                assert f"{key} = " in text, key


@pytest.mark.parametrize("command", ["run", "once", "status", "explain", "doctor"])
def test_commands__no_configuration__one_line(call, command):
    result = call(command)
    assert result.exit_code == USAGE
    assert result.stderr == "hedgevault: hedgevault.toml: no such file or directory\n"


def test_live__without_a_key__usage(call, tmp_path):
    (tmp_path / "hedgevault.toml").write_text(
        f'[chain]\nrpc_url = "http://127.0.0.1:9"\nchain_id = 1\nlens = "{LENS}"\n'
        f'[[vaults]]\naddress = "{VAULT}"\n'
    )
    result = call("once", "--live")
    assert (result.exit_code, result.stderr) == (USAGE, "hedgevault: signer: --live needs a key\n")


@pytest.mark.parametrize("command", ["run", "once"])
def test_lock__another_keeper_works__one_line(call, tmp_path, command):
    test_live__without_a_key__usage(call, tmp_path)
    with held(tmp_path / "hedgevault.sqlite"):
        result = call(command)
    assert result.exit_code == FAULT
    assert result.stderr.startswith("hedgevault: another keeper works on ")
    assert result.stderr.count("\n") == 1


def test_explain__no_journal__one_line(call, tmp_path):
    test_live__without_a_key__usage(call, tmp_path)
    (tmp_path / "hedgevault.sqlite").unlink(missing_ok=True)
    result = call("explain")
    assert result.exit_code == USAGE
    assert "there is no journal at" in result.stderr


def test_ratio__no_journal__one_line(call, tmp_path):
    test_explain__no_journal__one_line(call, tmp_path)
    result = call("ratio")
    assert result.exit_code == USAGE
    assert "there is no journal at" in result.stderr


def test_ratio__recorded_decision__its_outlook_and_the_strategies(call, tmp_path):
    test_live__without_a_key__usage(call, tmp_path)
    decided_twice(tmp_path)
    result = call("ratio")
    assert result.exit_code == OK, result.stderr
    assert "ratio on chain 100.00 %" in result.stdout
    assert "1 static" in result.stdout
    assert result.stdout.endswith("advice: leave it\n")
    gone = call("ratio", "ff")
    assert (gone.exit_code, gone.stderr.count("\n")) == (FAULT, 1)


def decided_twice(folder):
    """Write one decision in two rows, as two ticks on one block do."""
    state = snapshot(venue(assets=35 * ETHER, delta=-98 * ETHER), idle_assets=65 * ETHER)
    decision = decide(state, Policy(), Memory())
    entry = Entry(snapshot=state, memory=Memory(), decision=decision, figures={})
    journal = Journal(folder / "hedgevault.sqlite", 1)
    for job in ("tick", "margin watch"):
        journal.open_tick(job, 1.0, state.block, [entry], Policy())
    journal.close()
    return decision.decision_id.hex()


def test_explain__one_id_in_two_rows__the_newest(call, tmp_path):
    test_live__without_a_key__usage(call, tmp_path)
    decision_id = decided_twice(tmp_path)
    for text in (decision_id, f"0x{decision_id}", decision_id[:12], "last"):
        result = call("explain", text)
        assert result.exit_code == OK, result.stderr
        assert result.stdout.startswith(f"decision 2  0x{decision_id}")


def test_replay__recorded_ticks__all_the_same(call, tmp_path):
    test_live__without_a_key__usage(call, tmp_path)
    decided_twice(tmp_path)
    result = call("replay")
    assert result.exit_code == OK, result.stderr
    assert result.stdout == (
        "2 decisions of 2 ticks made again from their recorded inputs\nall the same\n"
    )
    assert call("replay", "--first", "2").stdout.startswith("1 decisions of 1 ticks")


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("reason", "'x'"),
        ("decision_id", "'00'"),
        ("memory_after", """replace(memory_after, '"hedging":true', '"hedging":false')"""),
    ],
)
def test_replay__one_differs__named_and_a_person_must_look(call, tmp_path, column, value):
    test_live__without_a_key__usage(call, tmp_path)
    decided_twice(tmp_path)
    with closing(sqlite3.connect(tmp_path / "hedgevault.sqlite")) as db:
        db.execute(f"UPDATE decisions SET {column} = {value} WHERE id = 2")
        db.commit()
    result = call("replay")
    assert result.exit_code == HALT
    assert result.stdout.splitlines()[0].startswith("decision 2, block 100: recorded rebalance: ")
    assert result.stderr == (
        "hedgevault: 1 of them differ: another version of the keeper wrote them?\n"
    )


def test_replay__nothing_recorded__one_line(call, tmp_path):
    test_live__without_a_key__usage(call, tmp_path)
    Journal(tmp_path / "hedgevault.sqlite", 1).close()
    result = call("replay")
    assert (result.exit_code, result.stderr.count("\n")) == (FAULT, 1)
    assert "no decision in" in result.stderr


def test_kill__sets_the_switch_that_the_keeper_looks_at_and_takes_it_off(call, tmp_path):
    test_live__without_a_key__usage(call, tmp_path)
    file = load_config(tmp_path / "hedgevault.toml").kill_file
    for _ in range(2):
        result = call("kill")
        assert (result.exit_code, file.exists()) == (OK, True)
        assert str(file) in result.stdout
    for _ in range(2):
        assert (call("kill", "--off").exit_code, file.exists()) == (OK, False)


def test_kill__cannot_be_set__one_line(call, tmp_path):
    test_live__without_a_key__usage(call, tmp_path)
    path = tmp_path / "hedgevault.toml"
    path.write_text(path.read_text() + '[safety]\nkill_file = "nowhere/stop"\n')
    result = call("kill")
    assert result.exit_code == USAGE
    assert result.stderr.startswith("hedgevault: safety.kill_file: ")
    assert result.stderr.endswith("no such file or directory\n")


def test_explain__damaged_journal__one_line(call, tmp_path):
    test_live__without_a_key__usage(call, tmp_path)
    decided_twice(tmp_path)
    with closing(sqlite3.connect(tmp_path / "hedgevault.sqlite")) as db:
        db.execute("PRAGMA foreign_keys=OFF")
        db.execute("ALTER TABLE decisions RENAME COLUMN words TO letters")
    result = call("explain")
    assert result.exit_code == HALT
    assert result.stderr.startswith("hedgevault: journal ")
    assert "restore it from a backup" in result.stderr
    assert result.stderr.count("\n") == 1


def test_template__key__is_where_the_readme_puts_it():
    readme = (Path(__file__).parents[3] / "README.md").read_text()
    (name,) = re.findall(r'^key_env = "(\w+)"', template(), flags=re.MULTILINE)
    assert f"export {name}=" in readme


def test_version():
    from keeper import __version__

    assert CliRunner().invoke(app, ["--version"]).stdout.strip() == __version__


@pytest.mark.parametrize("form", ["json", "console"])
def test_logger__either_form__one_line_without_secrets(tmp_path, capsys, form):
    path = tmp_path / "hedgevault.toml"
    path.write_text(
        '[chain]\nrpc_url = "https://node.example/v3/4f5d6e7a8b9c"\nchain_id = 1\n'
        f'lens = "{LENS}"\n[[vaults]]\naddress = "{VAULT}"\n[log]\nformat = "{form}"\n'
    )
    config = load_config(path)
    log = _logger(config, _redactor(config))
    error = RuntimeError("exceeded with url: /v3/4f5d6e7a8b9c")
    log.error("job", error=repr(error), tick=7, exc_info=error)
    said = capsys.readouterr().err
    assert "4f5d6e7a8b9c" not in said
    assert "RuntimeError" in said
    if form == "json":
        (line,) = said.splitlines()
        assert json.loads(line)["tick"] == 7


def test_alerts__without_configuration__lists_each_with_what_to_do(call):
    result = call("alerts")
    assert result.exit_code == OK
    assert [line.split(" ")[0] for line in result.stdout.splitlines()] == list(ALERTS)
    assert "Check the node" in result.stdout


@pytest.fixture
def configured(tmp_path, monkeypatch):
    (tmp_path / "hedgevault.toml").write_text(
        f'[chain]\nrpc_url = "http://h"\nchain_id = 1\nlens = "{LENS}"\n'
        f'[[vaults]]\naddress = "{VAULT}"\n[alerts]\nurl_env = "WHERE_TO"\n'
    )
    return lambda *urls: monkeypatch.setenv("WHERE_TO", "\n".join(urls))


def test_alerts__test__arrives(call, configured):
    with Webhook() as hook:
        configured(hook.url)
        result = call("alerts", "--test")
    assert result.exit_code == OK, result.stderr
    assert hook.titles() == ["raised: test (warning)"]


def test_alerts__test_does_not_arrive__one_line_names_the_target(call, configured):
    with Webhook() as well, Webhook() as ill:
        ill.status = 403
        configured(well.url, ill.url)
        result = call("alerts", "--test")
    assert result.exit_code == FAULT
    assert result.stderr.splitlines()[-1] == "hedgevault: not delivered to json 2"
    assert "s3cr3t" not in result.stderr
    assert len(well.got) == 1


def test_alerts__no_target__usage(call, configured, tmp_path):
    configured("")
    assert call("alerts", "--test").exit_code == USAGE
