# SPDX-License-Identifier: MIT
"""
M-07 (dYdX): no pair of bankruptcy prices that overlap. Where nobody is on the other side, or
nobody there can bear anything, the pool does: no loop, no silent skip, and nobody waits for it.
"""

from __future__ import annotations

import boa

from tests.venue_world import FREE, NO_REWARD, world

TERMS = FREE | NO_REWARD | {"skew_scale": 10**24, "max_side": 10**21}


def test_m07__nobody_there__refused_and_the_pool_bears_it() -> None:
    w = world(**TERMS)
    long = w.trader("long", quote=4)
    w.trade(long, 60)
    w.set_price("0.9")
    before = w.pool.equity(w.price())
    w.venue.liquidate(long, sender=w.owner)
    loss = w.venue.queue(True)[0]
    assert loss > 0
    with boa.reverts("venue: nobody to deleverage"):
        w.venue.deleverage(1, [long])
    assert abs(before - w.pool.equity(w.price()) - loss) <= w.quotes("0.01")
    w.pass_time(3_600)
    assert w.venue.stage() == 0


def test_m07__insolvent_winner__is_listed_and_not_cut() -> None:
    w = world(**TERMS)
    short = w.trader("short", quote=4)
    w.trade(short, -60)
    w.set_price("1.2")  # fails himself, and nobody has come for him
    long = w.trader("long", quote=4)
    w.trade(long, 60)
    w.set_price("1.1")
    w.venue.liquidate(long, sender=w.owner)
    assert w.venue.deleverage(1, [short])
    assert w.venue.account(short).size == -w.assets(60)
    assert w.venue.queue(True) == (0, 0)
