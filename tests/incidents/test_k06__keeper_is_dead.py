# SPDX-License-Identifier: MIT
"""K-06: no keeper for hours; anybody does his work, for a price that starts at zero and rises."""

from __future__ import annotations

import boa

from tests.vault_world import FALLBACK, Leg, vault_world

GRACE, RAMP, MOST = FALLBACK


def test_dead_keeper__a_stranger_hedges_for_a_rising_reward():
    with boa.env.anchor():
        world = vault_world()
        world.deposit(world.depositor("first"), 100)
        world.hedge()
        world.deposit(world.depositor("late"), 40)  # a third of the vault is unhedged now
        assert world.drift_bps() > world.limits["urgent_band_bps"]
        stranger = str(boa.env.generate_address("stranger"))
        world.book.flag(sender=stranger)
        waits = []
        for waited in (GRACE - 60, 60, RAMP // 4):
            world.pass_time(waited)
            world.set_price(1_000)
            waits.append(most_now(world, stranger))
        assert waits == [None, 0, MOST // 4]
        leg = world._leg(Leg(margin_assets=world.assets(12), size=-world.gap()))
        world.book.fall_back(leg, MOST // 4, stranger, sender=stranger)
        assert world.asset.balanceOf(stranger) == MOST // 4
        assert abs(world.drift_bps()) < world.limits["inner_band_bps"]
        assert world.deposit(world.depositor("later"), 1) > 0


def most_now(world, stranger):
    """Return the largest reward that is paid now, of quarters of the most; None when none is."""
    leg = world._leg(Leg(margin_assets=world.assets(12), size=-world.gap()))
    for quarter in range(4, -1, -1):
        with boa.env.anchor():
            try:
                world.book.fall_back(leg, MOST * quarter // 4, stranger, sender=stranger)
            except boa.BoaError:
                continue
            return MOST * quarter // 4
    return None
