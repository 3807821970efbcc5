# SPDX-License-Identifier: MIT
"""N-07: the quote token at 0.95: value, margin and hedge use its price, not 1."""

from __future__ import annotations

import boa

from tests.vault_world import Leg, vault_world


def test_n07__quote_at_95_cents__value_and_margin_follow():
    with boa.env.anchor():
        world = vault_world()
        world.deposit(world.depositor("holder"), 100)
        world.hedge()
        world.set_price(900)
        world.pass_time(3_600)
        world.rebalance(Leg(size=world.assets(50)), spot_assets=-world.assets(50))
        before = world.book.valuation()
        world.base.quote_feed.set_answer(95 * 10**6)
        after = world.book.valuation()
        assert after.price_wad == 900 * 10**18 * 100 // 95
        held = world.vault.idle_assets() + after.assets
        quote = after.quote_value * 10**30 // after.price_wad
        assert world.vault.totalAssets() == held + quote
        # The hedge is short against a quote that fell: its loss is the quote's gain in price.
        lost = world.assets(50) * (after.price_wad - before.price_wad) // 10**30
        assert abs(before.quote_value - after.quote_value - lost) <= 1
        margin = world.margin()
        notional = world.assets(50) * after.price_wad // 10**30
        assert abs(margin.maintenance - notional * 251 // 10_000) <= notional // 1_000
