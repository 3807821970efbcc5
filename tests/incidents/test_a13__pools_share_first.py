# SPDX-License-Identifier: MIT
"""
A-13: longs 100, a vault short 20, the pool short 80, and a long of 25 fails. Matched with
accounts only, the vault loses its whole hedge; the pool is the other side and takes it first.
"""

from __future__ import annotations

from tests.venue_world import FREE, NO_REWARD, world


def test_a13__pool_in_profit__hedge_keeps_its_size() -> None:
    w = world(**(FREE | NO_REWARD | {"skew_scale": 10**24, "max_side": 10**21}))
    hedge, holder = w.trader("vault", quote=100), w.trader("holder", quote=200)
    failing = w.trader("failing", quote=3)
    for who, size in ((hedge, -20), (holder, 75), (failing, 25)):
        w.trade(who, size)
    w.pass_time(86_400)  # the mean skew, which nobody can push for a moment, is the skew by now
    w.set_price("0.8")  # loses 5 of its 3
    w.venue.liquidate(failing, sender=w.owner)
    loss, size = w.venue.queue(True)
    assert size == w.assets(25)
    assert w.quotes("1.9") < loss < w.quotes("2.1")
    before = w.venue.margin(hedge, w.price())
    assert w.venue.deleverage(1, [hedge])
    assert w.venue.margin(hedge, w.price()) == before  # neither size nor loss
    assert w.venue.queue(True) == (0, 0)
