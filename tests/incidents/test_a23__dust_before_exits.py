# SPDX-License-Identifier: MIT
"""A-23: requests that wait keep from exits at once only what they need themselves."""

from __future__ import annotations

import boa

from tests.vault_world import QUEUE_DELAY


def test_dust_request__exits_lose_the_dust_only(world, owners):
    """A hundredth of an asset waits; the other one's maximum stays what it was."""
    most = world.vault.maxWithdraw(owners[1])
    world.request(owners[0], 10**19)
    assert world.vault.maxWithdraw(owners[1]) == most
    world.vault.withdraw(most, owners[1], owners[1], sender=owners[1])


def test_large_request__exits_get_what_it_leaves(world, owners):
    world.hedge(margin_share=0.6)
    free = world.vault.idle_assets() + world.book.free_assets(world.price())
    shares = world.vault.balanceOf(owners[0])
    world.request(owners[0], shares)
    needed = world.vault.convertToAssets(shares)
    most = world.vault.maxWithdraw(owners[1])
    assert 0 < most <= free - needed
    with boa.reverts("vault: not enough liquid"):
        world.vault.withdraw(free - needed + 1, owners[1], owners[1], sender=owners[1])
    world.vault.withdraw(most, owners[1], owners[1], sender=owners[1])
    world.become_due()
    world.queue.process(1)
    assert world.queue.pending_shares() == 0


def test_minimum_that_nobody_can_meet__does_not_keep_liquid_assets(world, owners):
    """It is refused at first, and one that has become so leaves the queue when its turn comes."""
    shares = world.vault.balanceOf(owners[0])
    worth = world.vault.convertToAssets(shares)
    with boa.reverts("queue: minimum over the value"):
        world.request(owners[0], shares, worth + 1)
    world.hedge()
    worth = world.vault.convertToAssets(shares)
    world.request(owners[0], shares, worth)
    blocked = world.vault.maxWithdraw(owners[1])
    boa.env.time_travel(seconds=QUEUE_DELAY + 1)
    world.set_price(1_001)
    assert world.queue.process(1) == 0
    assert world.vault.balanceOf(owners[0]) == shares
    assert world.vault.maxWithdraw(owners[1]) > blocked
