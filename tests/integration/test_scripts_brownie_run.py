# SPDX-License-Identifier: MIT
"""The scripts as a user starts them: `brownie run …`, in a process and a home of their own."""

from __future__ import annotations

import json
import re
import socket
from contextlib import contextmanager

import pytest

from keeper.local_node import LocalNode
from tests.script_world import CHAIN_IDS, brownie

pytestmark = [pytest.mark.node, pytest.mark.slow]

NETWORKS = {"anvil": "development", "ganache": "ganache-cli"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


@contextmanager
def added_network(kind, home, deployments):
    """Add a running node as a user adds a network; yield what runs a script on it."""
    with LocalNode.start(kind, chain_id=CHAIN_IDS[kind]) as node:
        name = f"added{free_port()}"
        settings = (name, f"host={node.url}", f"chainid={node.chain_id}")
        added = brownie(
            "networks", "add", "Ethereum", *settings, home=home, deployments=deployments
        )
        assert added.returncode == 0, added.stdout + added.stderr

        def run(*arguments, code=0):
            command = ("run", *arguments, "--network", name)
            done = brownie(*command, home=home, deployments=deployments)
            assert done.returncode == code, done.stdout + done.stderr
            return plain(done.stdout + done.stderr)

        yield node, run


def grow(node, blocks=60, secs=300):
    """Make the chain so long and its blocks so slow that Brownie would cache calls by block."""
    for _ in range(blocks):
        node.request("evm_mine")
    node.request("evm_increaseTime", secs)
    node.request("evm_mine")


def plain(text):
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


@pytest.mark.parametrize("kind", NETWORKS)
def test_run__node_started_by_brownie__deploys_and_ends(home, tmp_path, kind):
    """On another port than Brownie's 8545, which somebody may be using."""
    network = NETWORKS[kind]
    modified = brownie(
        "networks", "modify", network, f"port={free_port()}", home=home, deployments=tmp_path
    )
    assert modified.returncode == 0, modified.stderr
    done = brownie("run", "deploy", "--network", network, home=home, deployments=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "This node belongs to the script and ends with it" in done.stdout
    assert "Warning" not in done.stderr
    manifest = json.loads((tmp_path / f"{CHAIN_IDS[kind]}.json").read_text())
    assert manifest["chain_id"] == CHAIN_IDS[kind]


@pytest.mark.parametrize("kind", NETWORKS)
def test_run__added_network__a_depositors_whole_way(home, tmp_path, kind):
    with added_network(kind, home, tmp_path) as (node, run):
        run("deploy")
        grow(node)
        assert re.search(r"\d\d checks, 0 wrong", run("verify_deployment"))
        assert "Done: 1.98" in run("deposit", "main", "2")
        assert "worth 1.99" in run("status")
        said = run("withdraw", "main", "0.5")
        assert "0.5 tETH: 0.5 from idle, 0 from margin" in said
        assert "Done: 0.5 tETH." in said


def test_run__venue__traded_on_and_kept_up(home, tmp_path):
    with added_network("anvil", home, tmp_path) as (node, run):
        run("deploy")
        provider = "3"  # has quote from the start
        assert "Can take    5,000 tUSDC" in run("trade", "main", "deposit", "5000", provider)
        assert "Position    0 tETH -> 2 tETH" in run("trade", "main", "buy", "2", "any", provider)
        node.request("evm_increaseTime", 900)
        node.request("evm_mine")
        assert "accrue: funding was accrued 9" in run("upkeep")
        assert "Done: accrue 1 x, settle 1 x, collect 1 x." in run("upkeep", "poke")
        assert "no account is under maintenance" in run("upkeep", "liquidate", code=1)


def test_run__owner__proposes_waits_and_executes(home, tmp_path):
    with added_network("anvil", home, tmp_path) as (node, run):
        run("deploy")
        said = run("govern", "propose", "HedgeBook", "set_limits", "slippage_bps=0.5%")
        assert "set_limits(slippage_bps 0.75 % -> 0.50 %)" in said
        assert "Proposed; run the same again" in run("set_hedge_ratio", "main", "95%")
        assert "2 proposals wait" in run("govern", "execute", code=1)
        assert "may be executed from" in run("govern")
        node.request("evm_increaseTime", 2 * 86_400)
        node.request("evm_mine")
        assert "Done. The keeper moves" in run("set_hedge_ratio", "main", "95%", "depositor")
        assert "Done." in run("govern", "execute")
        said = run("verify_deployment", code=1)  # as it should: the manifest says otherwise
        assert "WRONG  HedgeBook          limits is" in said
        assert ", 1 wrong" in said


def test_run__what_a_user_can_mend__one_line_and_code_1(home, tmp_path):
    with added_network("anvil", home, tmp_path) as (_, run):
        said = run("deposit", "main", "1", code=1)
        assert "nothing is deployed on chain 31337: run `brownie run deploy`" in said
        run("deploy")
        for arguments, expected in (
            (("deposit", "main", "1e3"), "'1e3' is not an amount"),
            (("withdraw",), "say how much"),
            (("set_hedge_ratio", "main", "50%"), "25.00 % a day after the last change"),
        ):
            said = run(*arguments, code=1)
            assert expected in said
            assert "Traceback" not in said
        manifest = tmp_path / "31337.json"
        fields = json.loads(manifest.read_text())
        fields["contracts"]["HedgeBook"]["code_hash"] = "0x" + "0" * 64
        manifest.write_text(json.dumps(fields))
        said = run("verify_deployment", code=1)
        assert "WRONG  HedgeBook          code hash is not the manifest's" in said
    with added_network("anvil", home, tmp_path) as (_, run):
        assert "this local node is younger than its manifest" in run("status", code=1)
