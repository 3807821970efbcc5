# SPDX-License-Identifier: MIT
"""Several nodes, each broken in its own way: who is believed, who rests, when nothing is done."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from keeper.agreement import agreed
from keeper.deadline import Deadline
from keeper.errors import (
    ChainUnavailable,
    CorruptAnswer,
    Disagreement,
    NodeBehind,
    Throttled,
    WrongChain,
)
from tests.keeper_world import KEEPER, NOW, VAULT, snapshot_of
from tests.rpc_server import STATE, Nodes, block, block_hash, lens_answer

DEARER = snapshot_of(replace(STATE.vault, price_wad=STATE.vault.price_wad + 1))
LATER = snapshot_of(
    replace(STATE.vault, state=replace(STATE.vault.state, nonce=STATE.vault.state.nonce + 1))
)


@pytest.fixture
def nodes(request):
    nodes = Nodes(*getattr(request, "param", (3,)))
    yield nodes
    nodes.close()


def of(count):
    return pytest.mark.parametrize("nodes", [(count,)], indirect=True)


@pytest.mark.parametrize("nodes", [(1,), (2,), (3,), (5,)], indirect=True)
def test_read__healthy_nodes__one_request_each(nodes):
    for _ in range(3):
        reading = nodes.read()
        assert reading.snapshots[0].vault == STATE.vault
        assert nodes.asked() == [1] * len(nodes.servers)
    assert nodes.log.lines == []


FAULTS = {
    "dropped": {"drop": True},
    "garbage": {"body": "<html>"},
    "no answers": {"body": "[]"},
    "bad gateway": {"status": 502},
    "throttled": {"status": 429},
    "wrong chain": {"chain_id": 1},
    "behind": {"head": 90},
    "old head": {"at": NOW - 1_000},
    "lying about the price": {"state": DEARER},
    "lying about the vault's nonce": {"state": LATER},
    "lying about the key's nonce": {"nonce": 6},
    "on a fork": {"fork": "f"},
    "slow": {"hang": 1.5},
    "trickling": {"trickle": 0.05},
}
WORDS = {
    "dropped": "cannot be reached",
    "garbage": "does not speak JSON-RPC",
    "no answers": "got 0 answers",
    "bad gateway": "answers HTTP 502",
    "throttled": "limits the rate of requests",
    "wrong chain": "on chain 1, expected 31337",
    "behind": "10 blocks behind the others",
    "old head": "head is 1005 s old",
    "lying about the price": f"the price of vault {VAULT} is",
    "lying about the vault's nonce": f"the nonce of vault {VAULT} is 7 or 8",
    "lying about the key's nonce": "the key's nonce is 5 or 6",
    "on a fork": "two forks",
    "slow": "slower than the others",
    "trickling": "slower than the others",
}


@pytest.mark.parametrize("which", [0, 2])
@pytest.mark.parametrize("fault", FAULTS)
def test_read__one_of_three_is_broken__the_others_are_believed_and_it_rests(nodes, fault, which):
    for name, value in FAULTS[fault].items():
        setattr(nodes.servers[which], name, value)
    reading = nodes.read()
    assert (reading.block.number, reading.nonce) == (100, 5)
    assert reading.block.hash == block_hash(100)
    assert reading.snapshots[0].vault == STATE.vault
    ((place, error),) = nodes.log.rests()
    assert place == f"the node at {nodes.servers[which].place}"
    assert WORDS[fault] in error
    assert "\n" not in error

    nodes.asked()
    nodes.read()  # it rests
    expected = [1, 1, 1]
    expected[which] = 0
    assert nodes.asked() == expected


def test_read__broken_node_is_well_again__re_admitted_after_its_rest(nodes):
    nodes.servers[1].drop = True
    nodes.read()
    nodes.servers[1].drop = False
    nodes.now += 0.4  # the rest is half a second to a second
    nodes.asked()
    nodes.read()
    assert nodes.asked() == [1, 0, 1]
    nodes.now += 1.0
    nodes.read()
    assert nodes.asked() == [1, 1, 1]
    assert nodes.log.lines[-1] == {
        "event": "node is back", "node": f"the node at {nodes.servers[1].place}",
    }  # fmt: skip
    nodes.read()
    assert nodes.asked() == [1, 1, 1]


def test_faults__no_node_is_well__each_counted_and_the_attempt(nodes):
    nodes.servers[0].chain_id = 1
    nodes.servers[1].status = 502
    nodes.servers[2].at = NOW - 1_000
    with pytest.raises(ChainUnavailable, match="0 of 3 nodes"):
        nodes.read()
    assert nodes.chain.faults == {"WrongChain": 1, "NodeBehind": 1, "ChainUnavailable": 2}


def test_faults__failover_hid_one__counted_once(nodes):
    nodes.servers[2].status = 502
    nodes.read()
    assert nodes.chain.faults == {"ChainUnavailable": 1}


def test_faults__nobody_rests__counted_too(nodes):
    for number, server in enumerate(nodes.servers):
        server.nonce = number
    with pytest.raises(Disagreement):
        nodes.read()
    assert nodes.chain.faults == {"Disagreement": 1}


def test_requests__by_node(nodes):
    nodes.read()
    places = [f"the node at {server.place}" for server in nodes.servers]
    assert nodes.chain.requests_by_node == dict.fromkeys(places, 1)
    assert nodes.chain.requests == 3


def test_rest__grows_with_each_fault_to_its_bound(nodes):
    nodes.servers[1].drop = True
    rests = []
    for _ in range(10):
        nodes.read()
        rests.append(nodes.log.lines[-1]["again_in_secs"])
        nodes.now += 61.0
    for n, rest in enumerate(rests):
        longest = min(2.0**n, 60.0)
        assert longest / 2 - 0.1 <= rest <= longest + 0.1
    assert len(set(rests[-3:])) > 1  # jitter


@of(2)
def test_read__one_of_two_is_down__the_other_goes_on(nodes):
    nodes.servers[0].drop = True
    assert nodes.read().block.number == 100


@of(2)
@pytest.mark.parametrize("fault", [name for name in FAULTS if "lying" in name or "fork" in name])
def test_read__two_nodes_disagree__nothing_is_decided(nodes, fault):
    for name, value in FAULTS[fault].items():
        setattr(nodes.servers[1], name, value)
    for _ in range(3):  # nor later: nobody rests, so that none is left alone to be believed
        with pytest.raises(Disagreement, match="nodes disagree at block 100: ") as pause:
            nodes.read()
        assert WORDS[fault] in str(pause.value)
        assert nodes.asked() == [1, 1]
    assert nodes.log.lines == []


@of(2)
def test_read__disagreement_ends__goes_on(nodes):
    nodes.servers[1].state = DEARER
    with pytest.raises(Disagreement):
        nodes.read()
    nodes.servers[1].state = STATE
    assert nodes.read().block.number == 100


def test_read__three_say_three_things__nothing_is_decided(nodes):
    nodes.servers[1].state, nodes.servers[2].state = DEARER, LATER
    with pytest.raises(Disagreement):
        nodes.read()


def test_read__two_of_three_left_and_at_odds__the_third_is_asked_for_its_vote(nodes):
    nodes.servers[2].drop = True
    nodes.read()
    nodes.servers[2].drop = False
    nodes.servers[1].state = DEARER
    with pytest.raises(Disagreement):
        nodes.read()
    nodes.chain.close()
    nodes.open(attempts=2)
    nodes.servers[2].drop, nodes.servers[1].state = True, STATE
    nodes.read()
    nodes.servers[2].drop, nodes.servers[1].state = False, DEARER
    assert nodes.read().snapshots[0].vault.price_wad == STATE.vault.price_wad
    nodes.asked()
    nodes.read()  # its vote made it well, the other rests
    assert nodes.asked() == [1, 0, 1]


def test_read__two_of_three_are_down__too_few_in_one_line(nodes):
    nodes.servers[0].drop = True
    nodes.servers[2].status = 503
    with pytest.raises(ChainUnavailable) as fault:
        nodes.read()
    words = str(fault.value)
    assert words.startswith("1 of 3 nodes can be read, 2 must agree; ")
    assert f"{nodes.servers[0].place} cannot be reached" in words
    assert f"{nodes.servers[2].place} answers HTTP 503" in words
    assert "\n" not in words


def test_read__strict_quorum__one_down_is_too_few(nodes):
    nodes.chain.close()
    nodes.open(quorum=3)
    nodes.servers[1].drop = True
    with pytest.raises(ChainUnavailable, match="2 of 3 nodes can be read, 3 must agree"):
        nodes.read()


# Heads that differ


def test_read__third_node_a_block_behind__not_waited_for_and_does_not_rest(nodes):
    nodes.servers[2].head = 99
    assert nodes.read().block.number == 100
    assert nodes.asked() == [1, 1, 1]
    assert nodes.log.lines == []


@of(2)
def test_read__second_node_a_block_behind__compared_at_its_block_by_hash(nodes):
    nodes.servers[1].head = 99
    assert nodes.read().block.number == 99
    assert nodes.asked() == [2, 1]
    nodes.servers[1].state = DEARER
    with pytest.raises(Disagreement, match="block 99: the price"):
        nodes.read()
    (_, again) = nodes.servers[0].calls("eth_call")
    assert again[1] == {"blockHash": block_hash(99), "requireCanonical": True}


@of(2)
def test_read__second_node_behind_what_was_believed__the_first_alone(nodes):
    nodes.read()
    nodes.servers[0].head = 101
    nodes.servers[1].head = 99
    assert nodes.read().block.number == 101


def test_read__all_but_one_ahead__compared_by_number_where_hashes_are_refused(nodes):
    def no_hash(server):
        def call(params):
            if isinstance(params[1], dict):
                return {"code": -32700, "message": 'Cannot wrap a "object"'}
            return server.call(params)

        return call

    nodes.servers[1].head = 101
    nodes.servers[2].head = 102
    for server in nodes.servers:
        server.answers["eth_call"] = no_hash(server)
    assert nodes.read().block.number == 101
    assert nodes.asked() == [1, 1, 3]  # head, by hash, by number
    nodes.servers[2].head = 103
    nodes.servers[1].head = 102
    assert nodes.read().block.number == 102
    assert nodes.asked() == [1, 1, 2]  # it is known now


def test_read__other_fork_above__does_not_count(nodes):
    nodes.servers[2].head, nodes.servers[2].fork = 101, "f"
    assert nodes.read().block.hash == block_hash(100)
    ((place, _),) = nodes.log.rests()
    assert place.endswith(nodes.servers[2].place)


# Chains that begin again, or fork


@of(1)
def test_read__node_started_anew__told_from_one_that_lags(nodes):
    nodes.read()
    nodes.servers[0].head, nodes.servers[0].genesis = 3, "0x" + "e1" * 32
    with pytest.raises(NodeBehind, match=r"from 100 to 3; the node lags, or its chain was reset"):
        nodes.read()
    with pytest.raises(WrongChain, match=r"began with block 0xe1e1.* start the keeper again"):
        nodes.read()


def test_read__node_of_another_chain_with_the_same_id__rests(nodes):
    nodes.read()
    nodes.servers[0].drop = True
    nodes.read()
    nodes.servers[0].drop, nodes.servers[0].genesis = False, "0x" + "e1" * 32
    nodes.now += 60.0
    nodes.read()
    assert "began with block 0xe1e1" in nodes.log.rests()[-1][1]


@of(2)
def test_read__two_chains_of_one_id_at_the_start__nothing_is_decided(nodes):
    nodes.servers[1].genesis, nodes.servers[1].fork = "0x" + "e1" * 32, "f"
    with pytest.raises(Disagreement, match="two forks"):
        nodes.read()


@of(1)
def test_read__head_goes_back__hint_by_the_hash(nodes):
    nodes.read()
    nodes.servers[0].head = 101
    nodes.read()
    nodes.servers[0].head = 100
    with pytest.raises(NodeBehind, match=r"from 101 to 100; the same chain, the node lags"):
        nodes.read()
    nodes.servers[0].fork = "f"
    with pytest.raises(NodeBehind, match=r"101 to 100; other blocks, the chain was set back"):
        nodes.read()


@of(1)
def test_read__blocks_replaced__told_also_at_the_same_height(nodes):
    server = nodes.servers[0]
    assert nodes.read().replaced_from is None
    assert nodes.read().replaced_from is None
    server.fork = "f"
    assert nodes.read().replaced_from == 99  # head and parent are others
    assert nodes.read().replaced_from is None
    server.fork, server.head = "a", 101
    assert nodes.read().replaced_from == 100  # by the parent's hash
    server.fork, server.head = "b", 110
    assert nodes.read().replaced_from == 101  # by asking for the last head again
    assert nodes.read().replaced_from is None


RECEIPT = {
    "status": "0x1", "blockNumber": hex(98), "blockHash": block_hash(98), "gasUsed": "0x1",
    "effectiveGasPrice": "0x1",
}  # fmt: skip
TX = "0x" + "22" * 32


@pytest.mark.parametrize(("fork", "there"), [("", True), ("f", False)])
@of(1)
def test_receipt__of_a_block_that_was_replaced__is_none(nodes, fork, there):
    """Some nodes still hand out receipts of blocks that are not on the chain any more."""
    server = nodes.servers[0]
    server.fork = fork
    server.answers["eth_getTransactionReceipt"] = RECEIPT
    receipt, head = nodes.chain.receipt(TX)
    assert ((receipt is not None), head) == (there, 100)
    assert (nodes.read([TX]).receipts[TX] is not None) == there


# One wrong vault


@of(1)
def test_read__one_wrong_vault_in_a_page__is_named(nodes):
    wrong, server = "0x" + "99" * 20, nodes.servers[0]

    def call(params):
        if wrong[2:] in params[0]["data"]:
            return {"code": 3, "message": "execution reverted"}
        return server.call(params)

    server.answers["eth_call"] = call
    with pytest.raises(CorruptAnswer) as fault:
        nodes.chain.read([VAULT, wrong, VAULT], KEEPER, [], Deadline(10.0))
    assert str(fault.value) == f"the lens reverts for {wrong}: is each a HedgeVault?"
    assert nodes.asked() == [2]


# Pace


@of(1)
def test_read__our_own_rate_limit__waits(nodes):
    nodes.chain.close()
    nodes.open(max_requests_a_sec=4.0)
    started = time.monotonic()
    for _ in range(6):  # a second's worth at once, then one each quarter; the clock stands
        nodes.read()
    assert 0.7 <= time.monotonic() - started < 3.0


@of(1)
def test_read__node_says_for_how_long__not_asked_before(nodes):
    server = nodes.servers[0]
    server.status, server.headers = 429, {"Retry-After": "30"}
    with pytest.raises(ChainUnavailable, match="limits the rate"):
        nodes.read()
    server.status = 200
    nodes.asked()
    with pytest.raises(ChainUnavailable, match=r"asks to wait 30 s more"):
        nodes.read()
    assert nodes.asked() == [0]
    nodes.now += 31.0
    assert nodes.read().block.number == 100


@of(1)
def test_read__node_wants_a_longer_wait_than_there_is__told_at_once(nodes):
    nodes.chain.close()
    nodes.open(attempts=3)
    nodes.servers[0].status, nodes.servers[0].headers = 429, {"Retry-After": "11"}
    started = time.monotonic()
    with pytest.raises(Throttled, match="limits the rate"):
        nodes.read()
    assert time.monotonic() - started < 5.0
    assert nodes.asked() == [1]


@pytest.mark.parametrize(("same", "quorum", "believed"), [(1, 2, 0), (2, 2, 2), (3, 2, 3)])
@of(1)
def test_agreed__too_few_to_compare__nothing_is_decided(nodes, same, quorum, believed):
    readings = dict.fromkeys(range(same), nodes.read())
    if believed:
        assert len(agreed(readings, quorum)) == believed
    else:
        with pytest.raises(Disagreement, match="1 nodes can be compared, 2 must agree"):
            agreed(readings, quorum)


@of(1)
def test_read__pinned_answer_of_another_block__refused(nodes):
    server = nodes.servers[0]
    server.answers["eth_call"] = lens_answer(number=101)
    server.answers["eth_getBlockByNumber"] = lambda params: block(100)
    with pytest.raises(ChainUnavailable):
        nodes.read()
