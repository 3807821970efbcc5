# SPDX-License-Identifier: MIT
"""
K-09, S-03: the venue liquidates the vault's own hedge.

The book says so, shuts the entry, and the hedge is there again at once, without loops of reverts.
"""

from __future__ import annotations

import boa

from tests.vault_world import Leg, vault_world


def test_liquidated_hedge__said_shut_and_hedged_again():
    with boa.env.anchor():
        world = vault_world(margin_floor_bps=10_001, margin_target_bps=10_100)
        holder = world.depositor("holder")
        world.deposit(holder, 100)
        world.hedge(margin_share=0.12)
        before = world.vault.totalAssets()
        world.set_price(1_100)
        world.venue.liquidate(world.book.address, sender=world.base.actor("liquidator"))
        sight = world.book.sight(0, world.price())
        assert sight.lost
        held = sight.margin.quote + sight.margin.profit + world.value(sight.margin.assets)
        assert sight.value == held  # what is left is believed: it fell on the way here
        assert world.vault.maxDeposit(holder) == 0
        with boa.reverts("vault: hedge is not sound"):
            world.deposit(world.depositor("late"), 1)
        with boa.env.anchor():
            assert world.vault.redeem(10**21, holder, holder, sender=holder) > 0
        record = world.rebalance(Leg(margin_assets=world.assets(40), size=-world.gap()))
        lost = [e for e in world.book.get_logs() if type(e).__name__ == "HedgeLost"]
        assert [(e.exposure_before, e.delta) for e in lost] == [
            (world.assets(12 - 100), sight.margin.delta)
        ]
        assert record.delta_before > record.delta_after
        assert abs(world.drift_bps()) < world.limits["inner_band_bps"]
        assert world.deposit(world.depositor("late"), 1) > 0
        assert world.vault.totalAssets() > before * 8 // 10
