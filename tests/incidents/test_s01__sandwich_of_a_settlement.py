# SPDX-License-Identifier: MIT
"""
S-01: entering just before a profit is booked and leaving right after brings nothing.

There is no report to wait for: what funding earned is in every valuation to the second, so
settling it moves no share's price.
"""

from __future__ import annotations

import pytest

from tests.vault_world import HOUR, Leg


@pytest.mark.parametrize("delay", [0, HOUR, 7 * HOUR])
def test_s01__around_a_settlement_of_funding__the_visitor_pays(world, delay):
    holder, visitor = world.depositor("holder"), world.depositor("visitor")
    world.deposit(holder, 100)
    world.hedge(0.4)
    world.pass_time(7 * HOUR)  # not settled since
    shares = world.deposit(visitor, 20)
    worth = world.vault.totalAssets()
    world.rebalance(Leg(margin_assets=world.assets(1)))  # touches the account: it is settled
    assert abs(world.vault.totalAssets() - worth) <= world.assets("0.000001")
    world.pass_time(delay)
    world.vault.redeem(shares, visitor, visitor, sender=visitor)
    assert world.asset.balanceOf(visitor) < world.assets(10_000)
