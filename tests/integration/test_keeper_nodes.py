# SPDX-License-Identifier: MIT
"""The keeper over two real nodes: one stops, one forks, one lags, and blocks are replaced."""

from __future__ import annotations

import gzip
import json
import signal
import threading
import time
from contextlib import contextmanager

import pytest

from keeper.chain import Chain, Node
from keeper.deadline import Deadline
from keeper.journal import Journal, TxState
from keeper.local_node import LocalNode, NodeOptions
from keeper.risk import assess
from keeper.snapshot import Address
from tests.keeper_node import Desk, Proxy
from tests.script_world import ETHER

pytestmark = [
    pytest.mark.node,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning"),
]
PATIENCE_SECS = 60
QUICK = "[jobs]\ntick_secs = 0.3\nmargin_watch_secs = 1\nreceipt_wait_secs = 0.5"


@pytest.fixture
def twin(world):
    """A second node with the same blocks."""
    with beside(world.node) as twin:
        copy(world.node, twin)
        yield twin


def beside(node, port=0):
    """
    Start a node with the blocks of another to come, perhaps at this port.

    It has the same block 0, since Anvil shows any of two that it knows; and the same clock.
    """
    times = [
        int(node.request("eth_getBlockByNumber", which, False)["timestamp"], 16)
        for which in ("0x0", "latest")
    ]
    if port:
        options = NodeOptions(chain_id=node.chain_id, timestamp_at=times[0])
        found = LocalNode._launch("anvil", port, options)
    else:
        found = LocalNode.start("anvil", chain_id=node.chain_id, timestamp=times[0])
    found.request("evm_increaseTime", times[1] - times[0] + 1)
    return found


def copy(node, twin):
    twin.request("anvil_loadState", node.request("anvil_dumpState"))
    assert head(twin) == head(node)


def head(node):
    return node.request("eth_getBlockByNumber", "latest", False)["hash"]


@contextmanager
def following(node, twin):
    """Give each new block to the twin, as a network does; yield how to end it."""
    ended = threading.Event()

    def follow():
        while not ended.wait(0.05):
            if head(node) != head(twin):
                copy(node, twin)

    thread = threading.Thread(target=follow)
    thread.start()

    def end():
        ended.set()
        thread.join()

    try:
        yield end
    finally:
        end()


def several(desk, first, *others, more=""):
    urls = json.dumps([*others])
    desk.write(first, chain=f'clock = "head"\nother_rpc_urls = {urls}\n{more}', more=QUICK)


def snapshot(world, node):
    vault = Address(world.at("HedgeVault").address.lower())
    lens = Address(world.at("VaultLens").address.lower())
    chain = Chain(Node(rpc_url=node.url, chain_id=node.chain_id, lens=lens, head_max_age_secs=None))
    try:
        return chain.read([vault], None, [], Deadline(10.0)).snapshots[0]
    finally:
        chain.close()


def transactions(desk):
    journal = Journal(desk.journal, desk.world.node.chain_id)
    try:
        return journal.transactions()
    finally:
        journal.close()


def wait_for(what, process):
    until = time.monotonic() + PATIENCE_SECS
    while not what():
        assert process.poll() is None, process.communicate()
        if time.monotonic() > until:
            process.terminate()
            pytest.fail("\n".join(process.communicate()[1].splitlines()[-20:]))
        time.sleep(0.1)


def ended(process):
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=PATIENCE_SECS)
    assert process.returncode == 0, said
    return [json.loads(line) for line in said.splitlines()]


def publish(world, node, price):
    """Set the asset's price on one node, past Brownie, which knows the first only."""
    for name in ("AssetFeed", "AssetFeedWitness"):
        feed = world.at(name)
        call = {
            "from": world.account(0).address,
            "to": feed.address,
            "data": feed.set_answer.encode_input(price),
        }
        node.request("eth_sendTransaction", call)


def test_run__first_of_two_nodes_stops_in_mid_run__goes_on_with_the_other(world, twin, tmp_path):
    """It hedges through the first; that one dies; it tops up margin through the second."""
    first = beside(world.node)
    copy(world.node, first)
    with first, following(first, twin) as stop_following:
        desk = Desk(world, tmp_path)
        several(desk, first.url, twin.url)
        with desk.started("run", "--live") as process:
            wait_for(lambda: snapshot(world, twin).vault.venues[0].margin.delta < 0, process)
            stop_following()
            copy(first, twin)
            first.stop()
            publish(world, twin, 2_500 * 10**8 * 13 // 10)
            low = assess(snapshot(world, twin).vault).margin_ratio_bps
            assert low < 67_000
            wait_for(
                lambda: assess(snapshot(world, twin).vault).margin_ratio_bps >= 67_000, process
            )
            lines = ended(process)
    rests = [line for line in lines if line["event"] == "node rests"]
    assert {line["node"] for line in rests} == {f"the node at {first.url[7:]}"}
    assert not [line for line in lines if line.get("result") == "halt"]
    finals = [tx for tx in transactions(desk) if tx.state is TxState.FINAL]
    assert len(finals) == int(snapshot(world, twin).vault.state.nonce)
    assert {tx.state for tx in transactions(desk)} == {TxState.FINAL}


def test_once__idle__one_request_to_each_node(world, twin, tmp_path):
    with Proxy(world.node.url) as first, Proxy(twin.url) as second:
        desk = Desk(world, tmp_path)
        several(desk, first.url, second.url)
        result = desk("once")
        assert result.returncode == 0, result.stderr
        assert [len(proxy.take()) for proxy in (first, second)] == [1, 1]
        world.node.request("evm_mine")
        assert desk("once").returncode == 0
        ahead, behind = first.take(), second.take()
    assert (len(ahead), len(behind)) == (2, 1), ahead
    assert "eth_getBlockByHash" in ahead[1]  # compared at the block that both have


def test_once__two_nodes_on_two_forks__nothing_is_sent(world, twin, tmp_path):
    desk = Desk(world, tmp_path)
    several(desk, world.node.url, twin.url, more="attempts = 2")
    publish(world, world.node, 2_600 * 10**8)
    publish(world, twin, 2_700 * 10**8)
    result = desk("once", "--live")
    assert result.returncode == 1
    said = [line for line in result.stderr.splitlines() if not line.startswith("{")]
    assert len(said) == 1
    assert said[0].startswith("hedgevault: nodes disagree at block ")
    assert said[0].endswith("two forks")
    assert transactions(desk) == []


def test_run__block_of_the_hedge_is_replaced__hedged_once_in_the_end(world, tmp_path):
    """With three confirmations, a reorganisation of two blocks takes the transaction away."""
    desk = Desk(world, tmp_path)
    desk.write(world.node.url, chain='clock = "head"\nconfirmations = 3', more=QUICK)
    with desk.started("run", "--live") as process:
        wait_for(lambda: snapshot(world, world.node).vault.state.nonce == 1, process)
        wait_for(lambda: [tx.state for tx in transactions(desk)] == [TxState.MINED], process)
        world.node.request("evm_mine")
        time.sleep(1.0)  # a tick sees that block
        world.node.request("anvil_reorg", 2, [])
        wait_for(lambda: sum(tx.sends for tx in transactions(desk)) == 2, process)
        for _ in range(3):
            world.node.request("evm_mine")
            time.sleep(0.5)
        wait_for(lambda: TxState.FINAL in [tx.state for tx in transactions(desk)], process)
        lines = ended(process)
    assert any("replaced_from" in line for line in lines)
    assert snapshot(world, world.node).vault.venues[0].margin.delta == -50 * ETHER
    assert int(world.at("HedgeBook").state()[0]) == 1


def test_run__node_starts_again_with_its_state__sends_again_what_its_pool_lost(world, tmp_path):
    first = beside(world.node)
    copy(world.node, first)
    key = world.account(1).address
    first.request("eth_sendTransaction", {"from": key, "to": key})  # Ganache would renumber nonce 0
    first.request("evm_setAutomine", False)
    desk = Desk(world, tmp_path)
    desk.write(first.url, more=QUICK)
    with desk.started("run", "--live") as process:
        wait_for(lambda: [tx.state for tx in transactions(desk)] == [TxState.ACCEPTED], process)
        state, port = first.request("anvil_dumpState"), int(first.url.rpartition(":")[2])
        first.stop()
        time.sleep(1.5)  # some ticks find nobody
        with beside(world.node, port) as again:
            time.sleep(0.5)  # and some a node that has not read its state yet
            again.request("anvil_loadState", state)
            wait_for(lambda: [tx.state for tx in transactions(desk)] == [TxState.FINAL], process)
            lines = ended(process)
            assert snapshot(world, again).vault.state.nonce == 1
            assert snapshot(world, again).vault.venues[0].margin.delta == -50 * ETHER
    (tx,) = transactions(desk)
    assert tx.sends == 2
    assert any("cannot be reached" in line.get("error", "") for line in lines)
    assert not [line for line in lines if line.get("result") == "halt"]


def test_once__journal_of_an_earlier_chain__refused(world, tmp_path):
    """Anvil started anew has the same chain id and, by the scripts, the same addresses."""
    desk = Desk(world, tmp_path)
    assert desk("once").returncode == 0
    time.sleep(1.1)  # the first blocks of Anvil differ by their second
    with LocalNode.start("anvil", chain_id=world.node.chain_id) as anew:
        anew.request("anvil_loadState", without_blocks(world.node.request("anvil_dumpState")))
        anew.request("evm_mine")
        desk.write(anew.url)
        result = desk("once", "--live")
        assert snapshot(world, anew).vault.state.nonce == 0
    assert result.returncode == 2
    assert "is of an earlier chain" in result.stderr


def without_blocks(dump):
    state = json.loads(gzip.decompress(bytes.fromhex(dump[2:])))
    state |= {"blocks": [], "transactions": [], "historical_states": None}
    state |= {"best_block_number": 0, "block": state["block"] | {"number": "0x0"}}
    return "0x" + gzip.compress(json.dumps(state).encode()).hex()
