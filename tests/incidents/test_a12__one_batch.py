# SPDX-License-Identifier: MIT
"""
A-12: two failures, r = 20 % and 1 %, deleveraged one by one cost a winner either 10.9 or 3.3 by
their order. One batch for the side, equities as of its start: the order decides nothing.
"""

from __future__ import annotations

import boa

from tests.venue_world import FREE, NO_REWARD, world

TERMS = FREE | NO_REWARD | {"skew_scale": 10**24, "max_side": 10**21}


def test_a12__order_of_failures__decides_nothing() -> None:
    w = world(**TERMS)
    failing = [w.trader("first", quote=4), w.trader("second", quote=11)]
    winners = [w.trader("thin", quote=20), w.trader("fat", quote=60)]
    for who, size in zip((*failing, *winners), (50, 50, -50, -50), strict=True):
        w.trade(who, size)
    w.set_price("0.77")  # each lost 11.5
    results = []
    for order in (failing, failing[::-1]):
        with boa.env.anchor():
            for each in order:
                w.venue.liquidate(each, sender=w.owner)
            loss, size = w.venue.queue(True)
            assert w.venue.deleverage(1, winners)
            margins = [w.venue.margin(each, w.price()) for each in winners]
            results.append((loss, size, [(each.delta, each.equity) for each in margins]))
    assert results[0] == results[1]
    assert results[0][0] > w.quotes("7.9")
