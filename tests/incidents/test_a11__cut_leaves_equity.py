# SPDX-License-Identifier: MIT
"""
A-11: (N, E) = (60, 2) and (100, 50), Q = 50, r = 10 %: all 50 from the first at r * x leaves it
E = -3. Its loss ends at the maintenance of what it keeps; the rest is the pool's.
"""

from __future__ import annotations

from tests.venue_world import BP, FREE, NO_REWARD, world

TERMS = FREE | NO_REWARD | {"skew_scale": 10**24, "max_side": 10**21, "initial_base_wad": 300 * BP}


def test_a11__thin_account__keeps_its_maintenance() -> None:
    w = world(price="1.25", **TERMS)
    long = w.trader("long", quote="7.5")
    w.trade(long, 50)
    w.set_price(1)  # loses 12.5 of its 7.5: R = 5, r = 10 %
    thin, fat = w.trader("thin", quote=2), w.trader("fat", quote=50)
    w.trade(thin, -60)
    w.trade(fat, -100)
    w.venue.liquidate(long, sender=w.owner)
    loss, size = w.venue.queue(True)
    assert size == w.assets(50)
    assert w.quotes("4.99") < loss < w.quotes("5.01")
    assert w.venue.deleverage(1, [thin, fat])
    after = w.venue.margin(thin, w.price())
    assert after.delta == -w.assets(10)  # leverage 30 drained to 5 of what it had
    assert 0 < after.maintenance <= after.equity < w.quotes("0.3")
    assert w.venue.margin(fat, w.price()).delta == -w.assets(100)
