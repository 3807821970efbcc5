# SPDX-License-Identifier: MIT
"""
S-05: a reward that rises with time starts when somebody said so, after the last hedge.

And the first deposit: who pushes the premium in front of it makes it dearer, at most to the bound
that the depositor gave.
"""

from __future__ import annotations

import boa

from tests.vault_world import FALLBACK, Leg

GRACE, RAMP, MOST = FALLBACK


def test_s05__hedged_since_it_was_flagged__the_clock_starts_anew(world):
    world.deposit(world.depositor("first"), 100)
    world.hedge()
    world.deposit(world.depositor("late"), 40)
    began_at = world.book.flag()
    world.pass_time(GRACE + RAMP)
    world.rebalance(Leg(margin_assets=world.assets(10), size=-world.gap()))
    world.deposit(world.depositor("later"), 40)
    assert world.drift_bps() > world.limits["urgent_band_bps"]
    stranger = str(boa.env.generate_address("stranger"))
    leg = world._leg(Leg(margin_assets=world.assets(10), size=-world.gap()))
    with boa.reverts("book: not flagged"):
        world.book.fall_back(leg, 0, stranger, sender=stranger)
    assert world.book.flag() == boa.env.timestamp > began_at
    with boa.reverts("book: the keeper has time left"):
        world.book.fall_back(leg, 0, stranger, sender=stranger)


def test_s05__premium_pushed_before_the_first_deposit__stopped_by_the_bound(world):
    first = world.depositor("first")
    expected = world.vault.previewDeposit(world.assets(50))
    pusher = world.base.trader("pusher", assets=2_000)
    world.base.trade(pusher, -1_000)
    assert world.vault.previewDeposit(world.assets(50)) < expected
    with boa.reverts("vault: bound of the caller"):
        world.vault.deposit(world.assets(50), first, expected, sender=first)
    assert world.asset.balanceOf(first) == world.assets(10_000)
