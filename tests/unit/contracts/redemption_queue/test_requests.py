# SPDX-License-Identifier: MIT
"""Construction, requests, cancelling and claims of the queue."""

from __future__ import annotations

import boa
import pytest

from tests.market_world import DAY, HOUR, NOBODY, deployer
from tests.vault_world import QUEUE_CANCEL_DELAY, QUEUE_DELAY, event, vault_world

MINIMUM = 10**19  # 0.01 of an asset at the start


@pytest.fixture
def world():
    """A vault that is empty and unhedged."""
    with boa.env.anchor():
        yield vault_world(base_charge_bps=100)


@pytest.fixture
def owner(world):
    account = world.depositor("owner")
    world.deposit(account, 40)
    return account


@pytest.fixture
def other(world):
    account = world.depositor("other")
    world.deposit(account, 20)
    return account


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"book": NOBODY}, "queue: book is zero"),
        ({"delay": 0}, "queue: delay"),
        ({"delay": 7 * DAY + 1, "cancel_delay": 8 * DAY}, "queue: delay"),
        ({"cancel_delay": HOUR}, "queue: cancel delay"),
        ({"cancel_delay": 7 * DAY + 1}, "queue: cancel delay"),
        ({"min_shares": 0}, "queue: minimum shares"),
        ({"min_shares": 2**128}, "queue: minimum shares"),
        ({"tolerance": 0}, "queue: premium tolerance"),
        ({"tolerance": 10**16 + 1}, "queue: premium tolerance"),
    ],
)
def test_construct__bad_arguments__refused(world, changes, reason):
    arguments = {
        "book": world.book.address,
        "delay": HOUR,
        "cancel_delay": 2 * HOUR,
        "min_shares": 1,
        "tolerance": 10**15,
    } | changes
    with boa.reverts(reason):
        deployer("RedemptionQueue.vy").deploy(*arguments.values())


def test_construct__parts__are_the_vaults(world):
    queue = world.queue
    assert (queue.book(), queue.vault()) == (world.book.address, world.vault.address)
    assert queue.ASSET_FEED() == world.base.asset_feed.address
    assert (queue.DELAY(), queue.CANCEL_DELAY()) == (QUEUE_DELAY, QUEUE_CANCEL_DELAY)
    assert (world.vault.queue(), world.vault.rules()) == (queue.address, world.rules.address)


def test_request__shares__go_into_escrow_at_once(world, owner):
    before = world.vault.balanceOf(owner)
    number = world.request(owner, 10**22, 5 * 10**18)
    logged = event(world.queue, "RedemptionRequested")
    assert number == logged.id == 0
    assert (logged.owner, logged.shares, logged.min_assets) == (owner, 10**22, 5 * 10**18)
    assert logged.pending_shares_after == world.queue.pending_shares() == 10**22
    assert world.vault.balanceOf(owner) == before - 10**22
    assert world.vault.balanceOf(world.queue.address) == 10**22
    assert world.queue.request_of(0) == (owner, 10**22, 5 * 10**18, boa.env.timestamp)
    assert (world.queue.first(), world.queue.count()) == (0, 1)
    assert world.queue.claim_of(owner) == world.queue.reserved_assets() == 0


def test_request__bad_arguments__refused(world, owner):
    with boa.reverts("queue: under minimum shares"):
        world.request(owner, MINIMUM - 1)
    with boa.reverts("queue: shares out of range"):
        world.queue.request(2**128, 0, sender=owner)
    worth = world.vault.convertToAssets(MINIMUM)
    with boa.reverts("queue: minimum over the value"):
        world.request(owner, MINIMUM, worth + 1)
    world.request(owner, MINIMUM, worth)
    with boa.reverts("erc20: insufficient allowance"):
        world.queue.request(MINIMUM, 0, sender=owner)


def test_request__without_a_price__accepted(world, owner):
    world.break_oracle()
    world.request(owner, MINIMUM, 1)
    assert world.queue.pending_shares() == MINIMUM
    assert world.vault.maxRedeem(owner) == 0


def test_cancel__after_the_delay__returns_the_shares(world, owner):
    before = world.vault.balanceOf(owner)
    number = world.request(owner, 10**22)
    world.pass_time(QUEUE_CANCEL_DELAY - 1)
    with boa.reverts("queue: too early"):
        world.queue.cancel(number, sender=owner)
    boa.env.time_travel(seconds=1)
    world.break_oracle()
    world.queue.cancel(number, sender=owner)
    logged = event(world.queue, "RedemptionCancelled")
    assert (logged.id, logged.owner, logged.shares) == (number, owner, 10**22)
    assert logged.pending_shares_after == world.queue.pending_shares() == 0
    assert world.vault.balanceOf(owner) == before
    with boa.reverts("queue: nothing waits"):
        world.queue.cancel(number, sender=owner)


def test_cancel__by_another__refused(world, owner):
    number = world.request(owner, 10**22)
    world.pass_time(QUEUE_CANCEL_DELAY)
    with boa.reverts("queue: caller is not the owner"):
        world.queue.cancel(number, sender=world.guardian)
    with boa.reverts("queue: nothing waits"):
        world.queue.cancel(number + 1, sender=owner)


def test_cancel__of_a_part__keeps_what_was_filled(world, owner, other):
    """All of 60 are requested, and margin of 36 holds a short of 60."""
    world.vault.transfer(owner, world.vault.balanceOf(other), sender=other)
    shares = world.vault.balanceOf(owner)
    number = world.request(owner, shares)
    world.hedge(margin_share=0.6)
    world.become_due()
    world.queue.process(1)
    left = world.queue.request_of(number).shares
    claim = world.queue.claim_of(owner)
    assert 0 < left < shares
    assert claim > 0
    world.pass_time(QUEUE_CANCEL_DELAY)
    world.queue.cancel(number, sender=owner)
    assert world.vault.balanceOf(owner) == left
    assert world.queue.claim(owner) == claim
    assert world.queue.pending_shares() == 0


def test_claim__anyone_calls__the_owner_is_paid(world, owner):
    world.request(owner, 10**22)
    world.become_due()
    world.queue.process(1)
    claim, before = world.queue.claim_of(owner), world.asset.balanceOf(owner)
    assert claim == world.queue.reserved_assets() == world.asset.balanceOf(world.queue.address)
    assert world.queue.claim(owner, sender=world.keeper) == claim
    logged = event(world.queue, "ClaimPaid")
    assert (logged.owner, logged.caller, logged.assets) == (owner, world.keeper, claim)
    assert logged.reserved_assets_after == world.queue.reserved_assets() == 0
    assert world.asset.balanceOf(owner) == before + claim
    with boa.reverts("queue: nothing to claim"):
        world.queue.claim(owner)
