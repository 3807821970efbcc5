# SPDX-License-Identifier: MIT
"""S-02: who moves the gap pays for hedging it; the others' shares keep their worth."""

from __future__ import annotations

import boa
import pytest

from tests.vault_world import Leg, vault_world


@pytest.mark.parametrize("whole", [5, 50])
def test_s02__in_before_and_out_after__holder_loses_nothing_visitor_pays(whole):
    with boa.env.anchor():
        world = vault_world()
        holder, visitor = world.depositor("holder"), world.depositor("visitor")
        shares = world.deposit(holder, 100)
        world.hedge(0.4)
        worth = world.vault.convertToAssets(shares)
        mine = world.deposit(visitor, whole)
        world.pass_time(world.limits["cooldown_secs"])
        world.rebalance(Leg(size=-world.gap()))
        world.vault.redeem(mine, visitor, visitor, sender=visitor)
        world.pass_time(world.limits["cooldown_secs"])
        world.rebalance(Leg(size=-world.gap()))
        paid = world.assets(10_000) - world.asset.balanceOf(visitor)
        assert paid > 0
        assert world.vault.convertToAssets(shares) >= worth - worth // 10**6
