# SPDX-License-Identifier: MIT
"""
K-08: a plan that was made before the hedge was liquidated does not open a naked position.

There is no order in two steps here; what comes closest is a plan under way.
"""

from __future__ import annotations

import boa

from tests.vault_world import Leg, vault_world


def test_plan_under_way__hedge_liquidated_meanwhile__refused():
    with boa.env.anchor():
        world = vault_world(allotment_bps=10_000, margin_floor_bps=10_001, margin_target_bps=10_100)
        holder = world.depositor("holder")
        world.deposit(holder, 100)
        world.hedge(margin_share=0.12)
        world.vault.redeem(3 * 10**22, holder, holder, sender=holder)  # 30 too short now
        plan = world.plan(Leg(margin_assets=world.assets(40), size=-world.gap()))
        world.set_price(1_100)
        world.venue.liquidate(world.book.address, sender=world.base.actor("liquidator"))
        assert world.margin().delta > -world.assets(30)
        world.set_price(1_101)
        with boa.reverts("book: drift not reduced"):
            world.book.rebalance(plan, sender=world.keeper)
