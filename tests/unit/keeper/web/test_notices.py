# SPDX-License-Identifier: MIT
"""What exits in kind and owners have logged, read from a node that answers as told."""

from __future__ import annotations

from contextlib import closing

import pytest

from keeper.abi import call_data
from keeper.chain import Chain
from keeper.cli import _node
from keeper.config import load_config
from keeper.errors import ChainUnavailable, CorruptAnswer
from keeper.proposals import UNKNOWN_CALL
from keeper.web.notices import SETTLED_BLOCKS, Notices
from tests.dashboard_world import EXIT, World, state_of
from tests.keeper_world import NOW, VAULT, address

DAY = 86_400
ONE, TWO = bytes([1]) * 32, bytes([2]) * 32
POOL = address(601)
RATIO = call_data("HedgeBook", "set_hedge_ratio", 9_500)


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    made.views |= {
        ("PerpVenue", "POOL"): POOL,
        ("Timelock", "get_minimum_delay"): 2 * DAY,
        ("Timelock", "proposer"): address(602),
        ("Timelock", "guardian"): address(603),
        ("Timelock", "GRACE"): 7 * DAY,
        ("Timelock", "get_timestamp"): NOW + DAY,
    }
    yield made
    made.close()


@pytest.fixture
def notices(world):
    with closing(Chain(_node(load_config(world.config_path)))) as chain:
        yield Notices(chain.batch, 0)


def schedule(world, id_, target, payload=RATIO, block=90):
    fields = {"id": id_, "index": 0, "target": target, "amount": 0, "payload": payload}
    owner = world.states[0].vault.owner
    world.tell(owner, "Timelock", "CallScheduled", block, **fields, predecessor=ONE, delay=1)


def read(world, notices, block=100):
    return notices.read([state.vault for state in world.states], block)


def asked_logs(world):
    return [params[0]["fromBlock"] for params in world.node.calls("eth_getLogs")]


def test_read__what_is_said_and_what_waits(world, notices):
    vault = world.states[0].vault
    said = {"opens_at": NOW + 3 * DAY, "closes_at": NOW + 33 * DAY}
    world.tell(EXIT, "ExitInKind", "ExitsAnnounced", sender=address(9), **said)
    schedule(world, TWO, vault.book)
    found = read(world, notices)
    assert found.exits[VAULT].announced_at == NOW
    owner = found.owners[vault.owner]
    assert (owner.delay_secs, owner.guardian) == (2 * DAY, address(603))
    (waits,) = owner.proposals
    assert waits.call == "HedgeBook.set_hedge_ratio(ratio_bps 95.00 %)"
    assert (waits.due_at, waits.expires_at) == (NOW + DAY, NOW + 8 * DAY)
    assert waits.after == "0x" + ONE.hex()


def test_read__a_later_block__only_what_may_have_changed(world, notices):
    read(world, notices, 1_000)
    world.node.requests.clear()
    read(world, notices, 1_001)
    assert asked_logs(world) == [hex(1_001 - SETTLED_BLOCKS)]
    assert world.node.calls("eth_call") == []  # nothing waits


def test_read__reorganised__what_is_gone_is_gone(world, notices):
    schedule(world, TWO, world.states[0].vault.book, block=990)
    assert read(world, notices, 1_000).owners[world.states[0].vault.owner].proposals
    world.logs.clear()
    assert not read(world, notices, 1_001).owners[world.states[0].vault.owner].proposals


def test_read__chain_set_back__read_anew(world, notices):
    schedule(world, TWO, world.states[0].vault.book, block=50)
    read(world, notices, 1_000)
    world.logs.clear()
    assert not read(world, notices, 100).owners[world.states[0].vault.owner].proposals


def test_read__set_back_and_refused__what_was_known_is_not_forgotten(world, notices):
    schedule(world, TWO, world.states[0].vault.book, block=50)
    read(world, notices, 1_000)
    world.node.answers["eth_getLogs"] = {"code": -32005, "message": "range too large"}
    with pytest.raises(ChainUnavailable):
        read(world, notices, 900)
    world.node.answers["eth_getLogs"] = world._logs
    assert read(world, notices, 1_001).owners[world.states[0].vault.owner].proposals


def test_read__owner_without_timelock__acts_at_once(world, notices):
    del world.views["Timelock", "get_minimum_delay"]
    owner = read(world, notices).owners[world.states[0].vault.owner]
    assert (owner.delay_secs, owner.proposals) == (0, ())


def test_read__call_of_the_pool__known_by_the_venue(world, notices):
    schedule(world, TWO, POOL, call_data("LiquidityPool", "transfer_ownership", address(9)))
    (waits,) = read(world, notices).owners[world.states[0].vault.owner].proposals
    assert waits.means == "offer the pool to another owner"


def test_read__call_of_a_stranger__in_hexadecimal(world, notices):
    schedule(world, TWO, address(999), b"<script>alert(1)</script>")
    (waits,) = read(world, notices).owners[world.states[0].vault.owner].proposals
    assert (waits.means, waits.call) == (
        UNKNOWN_CALL, f"{address(999)}: data 0x{b'<script>alert(1)</script>'.hex()}",
    )  # fmt: skip


def test_read__logs_refused_or_broken__a_fault(world, notices):
    world.node.answers["eth_getLogs"] = {"code": -32005, "message": "range too large"}
    with pytest.raises(ChainUnavailable):
        read(world, notices)
    world.node.answers["eth_getLogs"] = world._logs
    world.views["ExitInKind", "DELAY"] = 0
    world.tell(EXIT, "ExitInKind", "SettlementWaits", waits_since=1)
    broken = world.logs.pop()
    world.node.answers["eth_getLogs"] = lambda params: [
        {"address": EXIT, "topics": ["0x" + broken.topics[0].hex()], "data": "0x",
         "blockNumber": "0x1", "logIndex": "0x0", "transactionHash": "0x00"}
    ]  # fmt: skip
    with pytest.raises(CorruptAnswer):
        read(world, notices)


def test_read__two_vaults__one_query_and_each_knows_its_own(world, notices):
    world.states.append(state_of(vault=address(5)))
    whose = read(world, notices).whose
    assert len(asked_logs(world)) == 1
    assert (whose[VAULT], whose[address(5)]) == (VAULT, address(5))
