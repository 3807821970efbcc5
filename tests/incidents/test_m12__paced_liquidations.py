# SPDX-License-Identifier: MIT
"""
M-12 (Synthetix): a cascade under a window cap. The flow is capped, the time to clear bounded, and
who is bankrupt does not wait.
"""

from __future__ import annotations

import boa

from tests.venue_world import FREE, NO_REWARD, world

FLOW, WINDOW = 40, 600  # whole assets, seconds


def test_m12__cascade__clears_in_bounded_time() -> None:
    w = world(
        **(FREE | NO_REWARD | {"skew_scale": 10**24, "max_side": 10**21}),
        liquidation_flow=FLOW * 10**18,
    )
    w.trade(w.trader("short", quote=500), -200)
    longs = [w.trader(f"long {i}", quote="1.6") for i in range(8)]
    for long in longs:
        w.trade(long, 25)
    w.set_price("0.955")  # each has 0.47 left of 1.6; maintenance is 0.6
    started, paced = boa.env.timestamp, 0
    while waiting := [each for each in longs if w.venue.liquidation(each, w.price())[0]]:
        with boa.env.anchor():
            refused = False
            try:
                w.venue.liquidate(waiting[0], sender=w.owner)
            except boa.BoaError:
                refused = True
        if refused:
            paced += 1
            w.pass_time(60)
        else:
            w.venue.liquidate(waiting[0], sender=w.owner)
    # 8 accounts, at most the flow and one account in a window.
    taken = w.venue.account(w.pool.address).size
    assert 0 < taken <= w.assets(200)
    assert paced > 0
    assert boa.env.timestamp - started <= WINDOW * (200 // FLOW + 1)


def test_m12__bankrupt__does_not_wait() -> None:
    w = world(
        **(FREE | NO_REWARD | {"skew_scale": 10**24, "max_side": 10**21}),
        liquidation_flow=10**18,
    )
    w.trade(w.trader("short", quote=500), -200)
    longs = [w.trader(f"long {i}", quote="1.6") for i in range(4)]
    for long in longs:
        w.trade(long, 25)
    w.set_price("0.9")
    for long in longs:
        w.venue.liquidate(long, sender=w.owner)
    assert w.venue.account(w.pool.address).size == w.assets(100)
