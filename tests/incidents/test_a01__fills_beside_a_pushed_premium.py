# SPDX-License-Identifier: MIT
"""A-01: pushing the venue's premium must not fill anybody's queued exit at a worse price."""

from __future__ import annotations

import boa
import pytest

from tests.vault_world import HOUR, vault_world


@pytest.fixture
def world():
    """
    Half of it leaves a hedged vault: a purchase of 50 for the hedge.

    L = 100,000, so a trade of 400 moves the premium by 40 bp, over the tolerance of 20 bp.
    """
    with boa.env.anchor():
        world = vault_world()
        victim = world.depositor("victim")
        world.deposit(victim, 50)
        world.deposit(world.depositor("other"), 50)
        world.hedge()
        attacker = world.base.trader("attacker", quote=10**7)
        world.pass_time(2 * HOUR)
        world.request(victim, world.vault.balanceOf(victim))
        world.become_due()
        yield world, victim, attacker


def test_pushed_premium__value_at_the_index_stays(world):
    world, _, attacker = world
    before = world.vault.totalAssets()
    world.base.trade(attacker, 400)
    assert world.vault.totalAssets() == before


def test_pushed_premium__nobody_is_filled_until_it_settles(world):
    world, victim, attacker = world
    with boa.env.anchor():
        world.queue.process(1)
        fair = world.queue.claim_of(victim)
    world.base.trade(attacker, 400)
    with boa.reverts("queue: premium is off its mean"):
        world.queue.process(1)
    world.base.trade(attacker, -400)
    world.queue.process(1)
    assert world.queue.claim_of(victim) == fair


def test_pushed_within_the_tolerance__costs_him_no_more_than_it(world):
    """150 move it by 15 bp, which passes: half of the vault is bought back at 15 bp more."""
    world, victim, attacker = world
    with boa.env.anchor():
        world.queue.process(1)
        fair = world.queue.claim_of(victim)
    world.base.trade(attacker, 150)
    world.queue.process(1)
    assert fair * 9_980 // 10_000 <= world.queue.claim_of(victim) < fair


def test_pushed_within_the_tolerance__who_set_a_minimum__keeps_his_shares(world):
    world, _, attacker = world
    careful = world.depositor("careful")
    world.deposit(careful, 10)
    world.queue.process(1)
    shares = world.vault.balanceOf(careful)
    world.request(careful, shares, world.vault.convertToAssets(shares))
    world.become_due()
    world.base.trade(attacker, 150)
    assert world.queue.process(1) == 0
    assert world.vault.balanceOf(careful) == shares
    assert world.queue.claim_of(careful) == 0
