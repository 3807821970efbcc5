# SPDX-License-Identifier: MIT
"""
M-14 (MAI) and A-14: S x 8 with the skew half of the pool: it is empty and winners are unpaid.
After the end payouts are no more than what is held, and who has no position is whole first.
"""

from __future__ import annotations

from tests.venue_world import FREE, NO_REWARD, world


def test_m14__insolvent_pool__balances_first_then_profits_in_proportion() -> None:
    w = world(liquidity=200, **(FREE | NO_REWARD | {"skew_scale": 10**24, "max_side": 10**21}))
    flat = w.trader("flat", quote=30)
    longs = [w.trader("one", quote=40), w.trader("two", quote=40)]
    w.trade(longs[0], 60)
    w.trade(longs[1], 30)
    w.set_price(8)  # owes 630 of profit and has 200
    w.venue.accrue()
    assert not w.venue.wind_up()
    w.pass_time(3_600)
    assert w.venue.wind_up()
    w.venue.close([flat, *longs])
    w.venue.fix_claims()
    paid = []
    for each in (*longs, flat):
        before = w.quote.balanceOf(each)
        w.venue.release(each)
        w.venue.withdraw(0, w.venue.account(each).quote, each, sender=each)
        paid.append(w.quote.balanceOf(each) - before)
    assert paid[2] == w.quotes(30)
    profits = [quote - w.quotes(40) for quote in paid[:2]]
    assert abs(profits[0] - 2 * profits[1]) <= w.quotes("0.01")  # pro rata
    assert w.quotes(199) < sum(profits) <= w.quotes(200)
    assert w.quote.balanceOf(w.venue.address) <= 2
