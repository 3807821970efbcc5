# SPDX-License-Identifier: MIT
"""Q-01 (Perennial #74, #66, #57): insolvency, failing rebalances and mixed-up requests."""

from __future__ import annotations

import boa
import pytest

from tests.vault_world import BPS, Leg, add_settable_venue, lose_all


@pytest.fixture
def owners(world):
    accounts = [world.depositor(f"owner {n}") for n in range(2)]
    for account in accounts:
        world.deposit(account, 20)
    return accounts


def served(world, owner):
    """Request 10 of one owner and fill them."""
    world.request(owner, 10**22)
    world.become_due()
    world.queue.process(10)
    return world.queue.claim_of(owner)


def test_insolvency__claims_of_before__are_paid_in_full(world, owners):
    claim = served(world, owners[0])
    world.request(owners[1], 10**22)
    lose_all(world)
    world.become_due()
    assert world.vault.totalAssets() == 0
    with boa.reverts("vault: equity not positive"):
        world.queue.process(10)
    before = world.asset.balanceOf(owners[0])
    assert world.queue.claim(owners[0]) == claim
    assert world.asset.balanceOf(owners[0]) == before + claim
    assert world.queue.reserved_assets() == 0


def test_failing_rebalance__does_not_touch_claims(world, owners):
    claim = served(world, owners[0])
    with boa.reverts("book: size not filled"):
        venue = add_settable_venue(world)
        venue.set_faults(5_000, BPS, 0, 0)
        world.rebalance(Leg(5 * 10**18, 0, -(10**19), venue=venue.address))
    assert world.queue.claim(owners[0]) == claim


def test_requests_of_two__each_gets_his_own(world, owners):
    numbers = [world.request(owners[0], 10**22), world.request(owners[1], 10**21)]
    world.become_due()
    world.queue.process(10)
    claims = [world.queue.claim_of(owner) for owner in owners]
    assert numbers == [0, 1]
    assert abs(claims[0] - 10 * claims[1]) <= 10
    assert sum(claims) == world.queue.reserved_assets()
    for owner, claim in zip(owners, claims, strict=True):
        assert world.queue.claim(owner, sender=owners[0]) == claim
