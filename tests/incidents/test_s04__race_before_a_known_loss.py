# SPDX-License-Identifier: MIT
"""
S-04: everybody knows that the hedge has lost, and nothing has been booked yet. Exits count it at
once, so that the first who leaves gets no more a share than the last; without a price he gets his
part of what is idle, and the loss is in his claim.
"""

from __future__ import annotations

import boa
import pytest

from tests.vault_world import BPS, Leg, add_settable_venue, vault_world

LOSS = 15_000  # whole quote of the 20,000 that are at the venue
CHARGE_BPS = 90


@pytest.fixture
def built():
    """Three with 20 each at 1,000; at a venue 20 of margin and a short of 20 that is to lose."""
    with boa.env.anchor():
        world = vault_world(allotment_bps=0, base_charge_bps=CHARGE_BPS)
        venue = add_settable_venue(world, 9_000)
        people = [world.depositor(f"holder {n}") for n in range(3)]
        shares = world.deposit(people[0], 60) // 3
        for account in people[1:]:
            world.vault.transfer(account, shares, sender=people[0])
        world.rebalance(Leg(world.assets(20), 0, -world.assets(20), venue=venue.address))
        world.pass_time(60)
        yield world, venue, people


def lose(world, venue):
    venue.set_faults(BPS, BPS, -world.quotes(LOSS), 0)


def test_s04__loss_not_booked_yet__first_gets_no_more_than_last(built):
    """45 are left of 60: the first two get 15 less the charge, and the last has the rest."""
    world, venue, people = built
    lose(world, venue)
    shares = world.vault.balanceOf(people[1])
    paid = [world.vault.redeem(shares, each, each, sender=each) for each in people[:2]]
    fair = world.assets(15) * (BPS - CHARGE_BPS) // BPS
    assert abs(paid[0] - fair) <= 10**10
    assert paid[0] <= paid[1] <= paid[0] * (BPS + CHARGE_BPS) // BPS
    assert world.vault.convertToAssets(shares) >= paid[1]


@pytest.mark.parametrize("leavers", [1, 2, 3])
def test_s04__no_price_and_a_loss__each_gets_the_same_whoever_leaves(built, leavers):
    """
    Whoever leaves gets a third of the 40 that are idle, who comes first no more than who comes
    last; and the loss is in his claim, not with those who stay.
    """
    world, venue, people = built
    world.open_exit()
    lose(world, venue)
    shares = [world.vault.balanceOf(account) for account in people]
    paid = [
        world.leave_in_kind(account, held)[0]
        for account, held in list(zip(people, shares, strict=True))[:leavers]
    ]
    assert max(paid) - min(paid) <= 3
    assert abs(paid[0] - world.assets(40) // 3) <= 10**10
    world.set_price(1_000)
    world.exit.settle()
    got = [
        assets + world.vault.convertToAssets(world.exit.redeem(0, held, account, sender=account))
        for assets, held, account in zip(paid, shares, people, strict=False)
    ]
    stayed = [world.vault.convertToAssets(held) for held in shares[leavers:]]
    kept = paid[0] * CHARGE_BPS // BPS if stayed else 0
    for worth in got:
        assert abs(worth - (world.assets(15) - kept)) <= 10**10
    for worth in stayed:
        assert abs(worth - world.assets(15) - kept * leavers // len(stayed)) <= 10**10
