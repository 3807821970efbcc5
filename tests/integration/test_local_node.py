# SPDX-License-Identifier: MIT
"""Local nodes start, answer, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import requests

from keeper import local_node
from keeper.local_node import Kind, LocalNode, LocalNodeError

GENESIS_AT = 1_700_000_000
KINDS: tuple[Kind, ...] = ("anvil", "ganache")
pytestmark = pytest.mark.node

FIRST_ACCOUNT = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"  # of the test mnemonic
# PUSH0 PUSH0 RETURN as init code: runs from shanghai on, deploys nothing.
PUSH0_INIT_CODE = "0x5f5ff3"

ORPHAN = """\
import sys, time
from keeper.local_node import LocalNode
node = LocalNode.start(sys.argv[1])
print(node.url, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("kind", KINDS)
def test_start__options__are_what_the_node_answers(kind: Kind) -> None:
    with LocalNode.start(
        kind, chain_id=4242, accounts=3, timestamp=GENESIS_AT, block_gas_limit=25_000_000
    ) as node:
        genesis = node.request("eth_getBlockByNumber", "0x0", False)
        accounts = node.request("eth_accounts")

        assert int(node.request("eth_chainId"), 16) == node.chain_id == 4242
        assert int(genesis["timestamp"], 16) == GENESIS_AT
        assert int(genesis["gasLimit"], 16) == 25_000_000
        assert accounts[0].lower() == FIRST_ACCOUNT
        assert len(accounts) == 3


@pytest.mark.parametrize("kind", KINDS)
def test_start__shanghai_code__runs(kind: Kind) -> None:
    with LocalNode.start(kind) as node:
        transaction = {"from": FIRST_ACCOUNT, "data": PUSH0_INIT_CODE, "gas": hex(100_000)}
        sent = node.request("eth_sendTransaction", transaction)
        assert int(_receipt(node, sent)["status"], 16) == 1


@pytest.mark.parametrize("kind", KINDS)
def test_start__block_time__keeps_a_transaction_pending(kind: Kind) -> None:
    with LocalNode.start(kind, block_time=3600) as node:
        transaction = {"from": FIRST_ACCOUNT, "to": FIRST_ACCOUNT, "value": "0x1"}
        sent = node.request("eth_sendTransaction", transaction)
        assert node.request("eth_getTransactionReceipt", sent) is None


@pytest.mark.parametrize("kind", KINDS)
def test_stop__ends_the_process_and_removes_the_log(kind: Kind) -> None:
    with LocalNode.start(kind) as node:
        assert node.log_path.exists()
    node.stop()  # again, on purpose

    assert node.process.returncode is not None
    assert not node.log_path.exists()
    with pytest.raises(requests.ConnectionError):
        node.request("eth_chainId")


@pytest.mark.parametrize("kind", KINDS)
def test_start__two_at_once__have_ports_of_their_own(kind: Kind) -> None:
    with LocalNode.start(kind) as first, LocalNode.start(kind) as second:
        assert first.url != second.url


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.skipif(sys.platform != "linux", reason="uses prctl")
def test_parent_killed__node_ends_too(kind: Kind) -> None:
    parent = subprocess.Popen(
        [sys.executable, "-c", ORPHAN, kind], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    with parent.stdout:
        url = parent.stdout.readline().strip()
    assert requests.post(url, json=_chain_id_call(), timeout=5).ok

    os.kill(parent.pid, signal.SIGKILL)
    parent.wait()

    assert _falls_silent(url)


@pytest.mark.parametrize("kind", KINDS)
def test_start__not_installed__says_what_to_run(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_node, "ROOT", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalNodeError, match=f"^{kind} is not installed: run `make install`$"):
        LocalNode.start(kind)


def test_start__bad_option__gives_the_nodes_own_words() -> None:
    with pytest.raises(LocalNodeError, match=r"anvil stopped with code .*`not` is invalid"):
        LocalNode.start("anvil", mnemonic="not a mnemonic")


def test_request__error_answer__is_raised() -> None:
    with LocalNode.start("anvil") as node, pytest.raises(LocalNodeError, match="eth_nonsense"):
        node.request("eth_nonsense")


def _chain_id_call() -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}


def _receipt(node: LocalNode, sent: str, within_secs: float = 10.0) -> Any:
    # Anvil answers the send before the block is there.
    deadline = time.monotonic() + within_secs
    while time.monotonic() < deadline:
        if receipt := node.request("eth_getTransactionReceipt", sent):
            return receipt
        time.sleep(0.02)
    raise AssertionError(f"{sent} was not mined within {within_secs} s")


def _falls_silent(url: str, within_secs: float = 10.0) -> bool:
    deadline = time.monotonic() + within_secs
    while time.monotonic() < deadline:
        try:
            requests.post(url, json=_chain_id_call(), timeout=1)
        except requests.RequestException:
            return True
        time.sleep(0.1)
    return False
