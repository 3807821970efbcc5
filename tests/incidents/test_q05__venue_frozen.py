# SPDX-License-Identifier: MIT
"""Q-05: a venue that gives nothing back: idle goes in order, the rest waits, nobody jumps."""

from __future__ import annotations

import boa
import pytest

from tests.vault_world import BPS, Leg, add_settable_venue, vault_world

FROZEN = 2**200  # of what is asked for: its transfer fails


@pytest.fixture
def world():
    """Three with 20 each; 36 are at a venue, without a position, which then freezes."""
    with boa.env.anchor():
        world = vault_world(allotment_bps=0)
        venue = add_settable_venue(world)
        owners = [world.depositor(f"owner {n}") for n in range(3)]
        for owner in owners:
            world.deposit(owner, 20)
        world.rebalance(Leg(margin_assets=world.assets(36), venue=venue.address))
        for owner in owners[:2]:
            world.request(owner, world.vault.balanceOf(owner))
        world.become_due()
        venue.set_faults(BPS, FROZEN, 0, 0)
        assert world.book.free_assets(world.price()) == world.assets(36)
        yield world, owners, venue


def test_frozen__idle_goes_to_the_first_and_the_rest_waits(world):
    """24 are idle: the first gets his 19.8 or so, the second a part."""
    world, owners, venue = world
    assert world.queue.process(10) == 2
    claims = [world.queue.claim_of(owner) for owner in owners]
    assert claims[0] >= world.assets("19.8")
    assert 0 < claims[1] <= world.assets(24) - claims[0]
    with boa.reverts("queue: not enough liquid"):
        world.queue.process(10)
    venue.set_faults(BPS, BPS, 0, 0)
    assert world.queue.process(10) == 1
    assert world.queue.pending_shares() == 0


def test_frozen__no_exit_at_once_jumps_the_queue(world):
    """Margin that is only said to be free does not stand in for the idle that the queue needs."""
    world, owners, venue = world
    with boa.reverts("vault: not enough liquid"):
        world.vault.withdraw(world.assets(1), owners[2], owners[2], sender=owners[2])
    venue.set_faults(BPS, BPS, 0, 0)
    world.vault.withdraw(world.assets(1), owners[2], owners[2], sender=owners[2])
    assert world.vault.idle_assets() >= world.assets(39)


def test_frozen__what_is_idle_beyond_the_queue__leaves_at_once(world):
    world, owners, _ = world
    world.deposit(world.depositor("new"), 30)
    spare = world.vault.idle_assets() - world.vault.convertToAssets(world.queue.pending_shares())
    paid = spare * 99 // 100
    world.vault.withdraw(paid, owners[2], owners[2], sender=owners[2])
    assert world.queue.process(10) == 2
    assert world.queue.pending_shares() == 0
