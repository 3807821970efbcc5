# SPDX-License-Identifier: MIT
"""Q-06 (ERC-7540): what waits is not claimable; what is claimable is nobody else's."""

from __future__ import annotations

import boa

from tests.vault_world import QUEUE_CANCEL_DELAY


def test_request__takes_the_shares_and_promises_nothing_yet(world, owners):
    shares = world.vault.balanceOf(owners[0])
    value = world.vault.totalAssets()
    world.request(owners[0], shares)
    assert world.vault.balanceOf(owners[0]) == 0
    assert world.queue.claim_of(owners[0]) == world.queue.reserved_assets() == 0
    assert world.vault.totalAssets() == value
    with boa.reverts("erc20: burn amount exceeds balance"):
        world.vault.redeem(shares, owners[0], owners[0], sender=owners[0])
    with boa.reverts("queue: nothing to claim"):
        world.queue.claim(owners[0])


def test_claim__is_outside_nav_and_the_size_of_the_hedge(world, owners):
    world.hedge()
    world.request(owners[0], world.vault.balanceOf(owners[0]))
    world.become_due()
    value, rate = world.vault.totalAssets(), world.vault.convertToAssets(10**21)
    gap = world.gap()
    world.queue.process(1)
    claim = world.queue.claim_of(owners[0])
    assert world.vault.totalAssets() == value - claim
    assert gap - claim <= world.gap() <= gap - claim + 1
    assert world.vault.convertToAssets(10**21) >= rate
    before = world.vault.totalAssets(), world.gap()
    world.queue.claim(owners[0])
    assert (world.vault.totalAssets(), world.gap()) == before


def test_claim__keeps_its_amount_whatever_the_price_does(world, owners):
    world.request(owners[0], 10**22)
    world.become_due()
    world.queue.process(1)
    claim = world.queue.claim_of(owners[0])
    world.set_price(500)
    assert world.queue.claim_of(owners[0]) == claim
    world.break_oracle()
    assert world.queue.claim(owners[0]) == claim


def test_cancel__gives_back_shares_at_what_they_are_worth_then(world, owners):
    """No better and no worse than having stayed: shares bear gains and losses while they wait."""
    held = world.vault.balanceOf(owners[0])
    number = world.request(owners[0], 10**22)
    world.hedge()
    world.set_price(1_100)
    boa.env.time_travel(seconds=QUEUE_CANCEL_DELAY)
    world.queue.cancel(number, sender=owners[0])
    assert world.vault.balanceOf(owners[0]) == held
