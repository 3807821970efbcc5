# SPDX-License-Identifier: MIT
"""V-07 (Ethena M-01): owner, caller and receiver of a queued exit are one account."""

from __future__ import annotations

import boa
import pytest

from tests.market_world import MAX_UINT, deployer
from tests.vault_world import QUEUE_CANCEL_DELAY, vault_world


@pytest.fixture
def world():
    with boa.env.anchor():
        token = deployer("testing/BlacklistToken.vy").deploy("Token", "ETH", 18)
        yield vault_world(asset=token)


@pytest.fixture
def owner(world):
    account = world.depositor("owner")
    world.deposit(account, 20)
    world.vault.approve(world.queue.address, MAX_UINT, sender=account)
    return account


def test_request__by_a_spender_with_allowance__is_not_possible(world, owner):
    """Queue and spender have the owner's allowance, and the queue takes from its caller."""
    spender = str(boa.env.generate_address("spender"))
    world.vault.approve(spender, MAX_UINT, sender=owner)
    with boa.reverts("erc20: insufficient allowance"):
        world.queue.request(10**22, 0, sender=spender)
    world.vault.approve(world.queue.address, MAX_UINT, sender=spender)
    with boa.reverts("erc20: transfer amount exceeds balance"):
        world.queue.request(10**22, 0, sender=spender)


def test_cancel_and_claim__by_a_spender__bring_him_nothing(world, owner):
    spender = str(boa.env.generate_address("spender"))
    world.vault.approve(spender, MAX_UINT, sender=owner)
    number = world.queue.request(10**22, 0, sender=owner)
    world.pass_time(QUEUE_CANCEL_DELAY)
    with boa.reverts("queue: caller is not the owner"):
        world.queue.cancel(number, sender=spender)
    world.queue.process(1, sender=spender)
    claim = world.queue.claim_of(owner)
    before = world.asset.balanceOf(owner)
    world.queue.claim(owner, sender=spender)
    assert world.asset.balanceOf(owner) == before + claim
    assert world.asset.balanceOf(spender) == 0


def test_claim__of_a_frozen_owner__has_no_other_way_out(world, owner):
    """Not through another caller, nor another account: it waits until he is free."""
    world.queue.request(10**22, 0, sender=owner)
    world.become_due()
    world.asset.set_blacklisted(owner, True)
    world.queue.process(1)
    claim = world.queue.claim_of(owner)
    for caller in (owner, world.keeper, boa.env.eoa):
        with boa.reverts("token: receiver is blacklisted"):
            world.queue.claim(owner, sender=caller)
    assert world.queue.claim_of(owner) == claim
    names = {entry["name"] for entry in world.queue.abi if entry["type"] == "function"}
    assert not {name for name in names if "receiver" in name or "transfer" in name}
