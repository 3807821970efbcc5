# SPDX-License-Identifier: MIT
"""
A-18 and N-01: 70 idle, 30 margin, short 100, S -> 0.5: worth far more than can be reached.
`realise` turns profit into quote by a new entry, within what the pool may pay in a day; before,
none of it can be withdrawn.
"""

from __future__ import annotations

import boa

from tests.venue_world import FREE, NO_REWARD, world


def test_a18__profit__is_realised_within_the_rate_and_not_before() -> None:
    w = world(**(FREE | NO_REWARD | {"skew_scale": 10**24, "max_side": 10**21}))
    short = w.trader("vault", quote=30)
    w.trade(short, -100)
    w.set_price("0.5")
    equity = w.venue.margin(short, w.price()).equity
    assert equity > w.quotes("79.9")
    with boa.reverts("venue: not enough quote"):
        w.venue.withdraw(0, w.quotes(31), short, sender=short)
    quote = w.venue.realise(sender=short)
    assert quote > w.quotes("49.9")  # under a tenth of the pool's equity of 950
    after = w.venue.margin(short, w.price())
    assert abs(after.equity - equity) <= 1  # no value is made by it
    assert after.delta == -w.assets(100)
    w.venue.withdraw(0, w.quotes(50), short, sender=short)
    with boa.reverts("venue: no profit"):
        w.venue.realise(sender=short)
