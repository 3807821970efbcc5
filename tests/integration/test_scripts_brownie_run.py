# SPDX-License-Identifier: MIT
"""The scripts as a user starts them: `brownie run …`, in a process and a home of their own."""

from __future__ import annotations

import json
import re
import socket

import pytest

from keeper.local_node import LocalNode
from tests.script_world import CHAIN_IDS, brownie

pytestmark = pytest.mark.node

NETWORKS = {"anvil": "development", "ganache": "ganache-cli"}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("home")


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
    manifest = json.loads((tmp_path / f"{CHAIN_IDS[kind]}.json").read_text())
    assert manifest["chain_id"] == CHAIN_IDS[kind]
    later = brownie("run", "status", "--network", network, home=home, deployments=tmp_path)
    assert later.returncode == 1
    assert "this local node is younger than its manifest" in later.stderr


@pytest.mark.parametrize("kind", NETWORKS)
def test_run__added_network__a_depositors_whole_way(home, tmp_path, kind):
    name = f"added-{kind}"
    with LocalNode.start(kind, chain_id=CHAIN_IDS[kind]) as node:
        settings = (name, f"host={node.url}", f"chainid={node.chain_id}")
        added = brownie("networks", "add", "Ethereum", *settings, home=home, deployments=tmp_path)
        assert added.returncode == 0, added.stdout + added.stderr

        def run(*arguments, code=0):
            done = brownie("run", *arguments, "--network", name, home=home, deployments=tmp_path)
            assert done.returncode == code, done.stdout + done.stderr
            return plain(done.stdout + done.stderr)

        said = run("deposit", "main", "1", code=1)
        assert f"nothing is deployed on chain {node.chain_id}: run `brownie run deploy`" in said
        run("deploy")
        assert re.search(r"\d\d checks, 0 wrong", run("verify_deployment"))
        assert "Done: 1.98" in run("deposit", "main", "2")
        assert "worth 1.99" in run("status")
        said = run("withdraw", "main", "0.5")
        assert "0.5 tETH: 0.5 from idle, 0 from margin" in said
        assert "Done: 0.5 tETH." in said
        assert "25.00 % a day after the last change" in run(
            "set_hedge_ratio", "main", "50%", code=1
        )
        assert "'1e3' is not an amount" in run("deposit", "main", "1e3", code=1)
        assert "say how much" in run("withdraw", code=1)
        manifest = tmp_path / f"{node.chain_id}.json"
        fields = json.loads(manifest.read_text())
        fields["contracts"]["HedgeBook"]["code_hash"] = "0x" + "0" * 64
        manifest.write_text(json.dumps(fields))
        said = run("verify_deployment", code=1)
        assert "WRONG  HedgeBook          code hash is not the manifest's" in said
