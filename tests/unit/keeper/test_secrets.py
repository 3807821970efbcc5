# SPDX-License-Identifier: MIT
"""Keys in URLs are in no log line, message or representation, whoever says them."""

from __future__ import annotations

import json
import logging

import pytest
from typer.testing import CliRunner

from keeper.chain import Chain, Node
from keeper.cli import _logger, _redactor, app
from keeper.config import load_config
from keeper.deadline import Deadline
from keeper.errors import KeeperError
from keeper.rpc import RpcFault, decode_answers, one_line, redacted, secrets_of
from tests.keeper_world import VAULT
from tests.rpc_server import LENS, Server

KEY = "a1b2c3d4e5f6"
SECRETS = [KEY, "passw0rd", "us3rname", "qu%22ery"]


def secret_url(server):
    return f"http://us3rname:passw0rd@{server.place}/v2/{KEY}?token=qu%22ery"


@pytest.fixture
def server():
    server = Server()
    yield server
    server.close()


def silent(text):
    assert text
    assert not [secret for secret in [*SECRETS, 'qu"ery', 'qu\\"ery'] if secret in text]


ECHO = f'no access for {KEY}, us3rname:passw0rd at /v2/{KEY}?token=qu%22ery (qu"ery)'
ECHOES = [
    {"status": 401, "body": ECHO},
    {"body": ECHO},
    {"body": json.dumps({"error": {"code": 1, "message": ECHO}})},
    {"answers": {"eth_getBalance": {"code": 1, "message": ECHO}}},
    {"answers": {"eth_getBalance": {"code": -32005, "message": ECHO}}},
    {"answers": {"eth_getBalance": ECHO}},
    {"answers": {"eth_getBalance": f"0x{ECHO}"}},
    {"answers": {"eth_call": f"0x{ECHO}"}},
    {"answers": {"eth_call": {"code": 1, "message": ECHO}}},
    {"answers": {"eth_call": {"code": 3, "message": f"execution reverted: {ECHO}"}}},
    {"answers": {"eth_getBlockByNumber": {"hash": ECHO, "number": ECHO, "baseFeePerGas": "0x1"}}},
    {"drop": True},
    {"hang": 3.0},
]


@pytest.mark.parametrize("fault", ECHOES)
def test_errors__node_repeats_our_keys__redacted(server, fault):
    for name, value in fault.items():
        setattr(server, name, value)
    node = Node(rpc_url=secret_url(server), chain_id=31337, lens=LENS, timeout_secs=0.5, attempts=1)
    chain = Chain(node)
    with pytest.raises(KeeperError) as error:
        chain.read([VAULT], None, [], Deadline(5.0))
    silent(str(error.value))
    chain.close()
    silent(repr(node))


def config_of(tmp_path, server, more=""):
    path = tmp_path / "hedgevault.toml"
    path.write_text(
        f"[chain]\nrpc_url = '{secret_url(server)}'\nchain_id = 31337\nlens = '{LENS}'\n"
        f"{more}\nattempts = 1\n[[vaults]]\naddress = '{VAULT}'\n"
    )
    return path


@pytest.mark.parametrize("command", ["once", "status", "doctor", "audit"])
@pytest.mark.parametrize("fault", [{"status": 401, "body": ECHO}, ECHOES[3]])
def test_commands__whatever_happens__no_key_on_the_screen(server, tmp_path, command, fault):
    for name, value in fault.items():
        setattr(server, name, value)
    path = config_of(tmp_path, server, f"other_rpc_urls = ['http://{server.place}/x/{KEY}{KEY}']")
    result = CliRunner().invoke(app, [command, "--config", str(path)])
    assert result.exit_code != 0
    silent(result.stdout + result.stderr)


@pytest.mark.parametrize("style", ["json", "console"])
def test_log__anything_with_a_key_in_it__redacted_at_the_end(server, tmp_path, capsys, style):
    path = config_of(tmp_path, server)
    path.write_text(path.read_text() + f'[log]\nformat = "{style}"\n')
    config = load_config(path)
    log = _logger(config, _redactor(config))
    error = RuntimeError(f"cannot connect to {secret_url(server)}")
    log.error("job", error=repr(error), exc_info=error)
    log.info("x", nested={"urls": [secret_url(server), 'qu"ery']}, key=KEY)
    silent(capsys.readouterr().err)
    silent(repr(config.file))


def test_log__short_password_by_itself__redacted(server, tmp_path, capsys):
    path = config_of(tmp_path, server)
    path.write_text(path.read_text().replace("passw0rd", "p4s"))
    config = load_config(path)
    _logger(config, _redactor(config)).info("x", said="no access with p4s")
    said = capsys.readouterr().err
    assert "no access with" in said
    assert "p4s" not in said


def test_library_logs__say_no_url(server, caplog):
    caplog.set_level(logging.DEBUG)
    server.drop = True
    chain = Chain(Node(rpc_url=secret_url(server), chain_id=31337, lens=LENS, attempts=1))
    with pytest.raises(KeeperError):
        chain.read([VAULT], None, [], Deadline(5.0))
    chain.close()
    assert not [record for record in caplog.records if KEY in record.getMessage()]


def test_secrets_of__short_parts_of_a_path_are_no_keys():
    assert secrets_of(["http://h/v2/rpc"]) == frozenset()
    assert secrets_of([""]) == frozenset()
    assert redacted("v2 of http://h", secrets_of(["http://h/v2/abcdef"])) == "v2 of http://h"


# Prose of a node is one line


@pytest.mark.parametrize("text", ["a\nb", "a\r\n  b", "a\u2028b", "a\x0bb", "a\tb"])
def test_one_line__breaks__are_spaces(text):
    assert one_line(text) == "a b"


def test_one_line__long_or_unprintable__is_bounded():
    assert len(one_line("x" * 10_000)) < 310
    assert one_line("a\x1b[31mb") == "a?[31mb"


def test_decode__message_of_several_lines__one_line():
    body = json.dumps({"id": 0, "error": {"code": 1, "message": "VM\n  error:\n\n revert"}})
    (fault,) = decode_answers(body.encode(), 1, one_line)
    assert isinstance(fault, RpcFault)
    assert fault.message == "VM error: revert"


@pytest.mark.parametrize("ids", [[0, 0], [1, 2], [0, None], ["0", "1"], [0, True], [0, 1.5]])
def test_decode__answers_of_other_calls__refused(ids):
    body = json.dumps([{"id": i, "result": "0x1"} for i in ids]).encode()
    with pytest.raises(KeeperError, match="belong to other calls"):
        decode_answers(body, 2, one_line)


def test_decode__answers_out_of_order__put_in_order():
    body = json.dumps([{"id": 1, "result": "b"}, {"id": 0, "result": "a"}]).encode()
    assert decode_answers(body, 2, one_line) == ["a", "b"]
