# SPDX-License-Identifier: MIT
"""
A-14: K > 0, the skew half of pool equity, S x 3: the pool is empty and winners are unpaid. Whoever
deleverages when the pool runs low keeps it solvent, and all profit is paid; after a jump that
nobody could answer, the end pays what there is (M-14).
"""

from __future__ import annotations

import pytest

from tests.venue_world import BP, FREE, NO_REWARD, World, world

TERMS = FREE | NO_REWARD | {"skew_scale": 10**24, "max_side": 10**21, "low_share_wad": 5_000 * BP}


def held(w: World, longs: list[str]) -> int:
    return sum(w.venue.account(each).size for each in longs)


@pytest.mark.parametrize("answered", [True, False])
def test_a14__price_times_three__winners_are_paid_where_anyone_deleverages(answered: bool) -> None:
    w = world(liquidity=200, **TERMS)
    longs = [w.trader("one", quote=40), w.trader("two", quote=60)]
    for each in longs:
        w.trade(each, 50)
    for cents in range(110, 310, 10):
        price = w.set_price(cents / 100)
        low = 2 * w.pool.equity(price) * w.divisor() < held(w, longs) * price
        if low and answered:
            assert w.venue.deleverage(
                2, sorted(longs, key=lambda x: w.venue.margin(x, price).equity)
            )
    equity = w.pool.equity(w.price())
    assert (equity > w.quotes(50)) == answered
    if not answered:
        assert equity <= 0
        return
    for each in longs:
        size = w.venue.account(each).size
        if size:
            w.trade_raw(each, -size)
        quote = w.venue.account(each).quote
        w.venue.withdraw(0, quote, each, sender=each)  # balances and profit, in full
        assert w.quote.balanceOf(each) > 0
    assert w.pool.equity(w.price()) >= equity - 10
