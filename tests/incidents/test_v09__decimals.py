# SPDX-License-Identifier: MIT
"""V-09: one story over all decimals of asset, quote and feed gives one result in whole tokens."""

from __future__ import annotations

from decimal import Decimal

import boa
import pytest

from tests.market_world import deployer, source
from tests.vault_world import Leg, vault_world


@pytest.mark.parametrize("asset_decimals", [6, 8, 18])
@pytest.mark.parametrize("quote_decimals", [6, 18])
@pytest.mark.parametrize("hedge_ratio_bps", [10_000, 9_000])
def test_v09__deposit_hedge_move_exit__same_in_whole_tokens(
    asset_decimals, quote_decimals, hedge_ratio_bps
):
    """
    100 assets at 1,000, h of it hedged: cost 10**5 h**2 * 5 bp of curve per... in quote
    h * 50 (fee) + h**2 * 50 (curve). Then the price falls by a tenth and 20 leave.
    """
    h = Decimal(hedge_ratio_bps) / 10_000
    with boa.env.anchor():
        world = vault_world(asset_decimals, quote_decimals, hedge_ratio_bps=hedge_ratio_bps)
        unit, cent = world.assets(1), world.quotes("0.01")
        holder = world.depositor("holder")
        world.deposit(holder, 100)
        record = world.rebalance(Leg(margin_assets=30 * unit, size=-world.assets(100 * h)))
        cost = world.quotes(h * 50 + h * h * 50)
        assert abs(record.cost - cost) <= cent
        assert abs(world.drift_bps()) < 10
        world.set_price(900)
        nav = world.quotes(90_000 + h * 10_000) - cost
        worth = Decimal(world.vault.totalAssets()) / unit
        assert abs(worth - Decimal(nav) / world.quotes(900)) < Decimal("0.0001")
        world.vault.withdraw(20 * unit, holder, holder, sender=holder)
        assert world.asset.balanceOf(holder) == world.assets(10_000 - 100 + 20)


@pytest.mark.parametrize("feed_decimals", [8, 18])
def test_v09__feed_decimals__same_price(feed_decimals):
    with boa.env.anchor():
        feeds = [
            deployer("testing/SettableFeed.vy").deploy(feed_decimals, n * 10**feed_decimals)
            for n in (1_000, 1)
        ]
        oracle = deployer("PriceOracle.vy").deploy(
            source(feeds[0], 60),
            source(None, 0),
            source(feeds[1], 60),
            source(None, 0),
            100,
        )
        assert oracle.read()[0] == 10**21
