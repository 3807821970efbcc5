# SPDX-License-Identifier: MIT
"""The doctor on nodes that refuse to answer: findings, never a traceback."""

from __future__ import annotations

import pytest

from keeper.config import load_config
from keeper.doctor import ASK_BLOCK, Mark, examine, examine_sender, worst
from keeper.errors import ChainUnavailable
from keeper.rpc import RpcFault

KEEPER = "0x" + "33" * 20
HEAD = {"number": "0x64", "timestamp": "0x1", "baseFeePerGas": "0x1", "gasLimit": "0x1c9c380"}
WORDS = "0x" + f"{100:064x}" + "00" * 64
GOOD = {
    "web3_clientVersion": "Ganache/v7",
    "eth_chainId": "0x7a69",
    "net_version": "31337",
    "eth_blockNumber": "0x64",
    "eth_getBlockByNumber": HEAD,
    "eth_gasPrice": "0x1",
    "eth_maxPriorityFeePerGas": "0x1",
    "eth_call": WORDS,
    "eth_estimateGas": "0x1",
    "eth_getTransactionCount": "0x0",
}
REFUSED = RpcFault(-32000, "header not found", None)


class Node:
    def __init__(self, answers):
        self.answers = GOOD | answers

    def batch(self, calls):
        return [self.answers.get(method, REFUSED) for method, _ in calls]

    def read(self, *_):
        raise ChainUnavailable("no vaults here")


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "hedgevault.toml"
    path.write_text(
        '[chain]\nrpc_url = "http://h"\nchain_id = 31337\n'
        f'lens = "0x{"11" * 20}"\n[[vaults]]\naddress = "0x{"22" * 20}"\n'
    )
    return load_config(path)


@pytest.mark.parametrize("answer", [REFUSED, None, "", "words", 7, {}, "0x"])
@pytest.mark.parametrize("method", GOOD)
def test_examine__odd_answer__findings_in_one_line(config, method, answer):
    findings = examine(Node({method: answer}), config, KEEPER)
    assert worst(findings) is Mark.BAD  # the vaults at least
    assert all("\n" not in finding.found for finding in findings)


@pytest.mark.parametrize("method", ["eth_chainId", "eth_getBlockByNumber"])
def test_examine__refused_answer__says_what_the_node_says(config, method):
    findings = examine(Node({method: REFUSED}), config, KEEPER)
    assert any(f.mark is Mark.BAD and "header not found" in f.found for f in findings)


def test_ask_block__is_hex():
    assert bytes.fromhex(ASK_BLOCK[2:])


@pytest.mark.parametrize(
    ("answer", "mark", "words"),
    [
        ("0x7a69", Mark.GOOD, "chain 31337"),
        ("0x1", Mark.BAD, "chain 1, configured is 31337"),
        (REFUSED, Mark.NOTE, "does not say its chain: header not found"),
        ("words", Mark.BAD, "expected a hex number"),
    ],
)
def test_examine_sender__each_answer__a_finding(config, answer, mark, words):
    (finding,) = examine_sender(Node({"eth_chainId": answer}), config)
    assert finding.mark is mark
    assert words in finding.found
    if mark in (Mark.GOOD, Mark.NOTE):
        assert finding.adapts == "nothing is sent elsewhere, also when it fails"
