# SPDX-License-Identifier: MIT
"""
N-01 (Mango, October 2022, 116 M$), the venue's side: a long and a short of one hand, a mark pushed
to five times in a thin book, and 116 M$ borrowed against the profit of the long.

Here the mark ends at the premium cap, equity is measured at the index, which the curve does not
move, and profit that the index brings leaves in a day's share of the pool only.
"""

from __future__ import annotations

import boa

from tests.venue_world import FREE, NO_REWARD, World, world

DAY = 86_400
FIVE = "0.19"  # five times 0.038


def mango() -> tuple[World, list[str], str]:
    """Return a thin market with both sides in one hand, and a vault that is short."""
    w = world(price="0.038", liquidity=400, **(FREE | NO_REWARD))
    vault = w.trader("vault", quote=20)
    w.trade(vault, -100)
    hands = [w.trader("long", quote=5), w.trader("short", quote=50)]
    w.trade(hands[0], 400)
    w.trade(hands[1], -300)
    return w, hands, vault


def test_n01__mark_pushed_to_its_cap__equity_and_nav_stay() -> None:
    w, (long, _), vault = mango()
    before = [w.venue.margin(each, w.price()).equity for each in (long, vault)]
    free = w.venue.free_assets(vault, w.price(), 10_000)
    pusher = w.trader("pusher", quote=1_000)
    w.trade(pusher, 100)
    with boa.reverts("venue: side is full"):  # x 1.5 at the most, never x 5
        w.trade(pusher, "0.01")
    assert w.venue.market(w.price()).premium_wad <= w.terms["premium_cap_wad"]
    assert [w.venue.margin(each, w.price()).equity for each in (long, vault)] == before
    assert w.venue.free_assets(vault, w.price(), 10_000) <= free
    with boa.reverts("venue: no profit"):
        w.venue.realise(sender=long)


def test_n01__index_pushed_too__profit_leaves_in_a_days_share_of_the_pool() -> None:
    w, (long, _), _ = mango()
    w.set_price(FIVE)
    pool = w.pool.equity(w.price())
    margin = w.venue.margin(long, w.price())
    assert margin.profit > w.quotes(50)
    with boa.reverts("venue: not enough quote"):
        w.venue.withdraw(0, margin.quote + 1, long, sender=long)
    taken = 0
    for _ in range(3):  # three times in an hour
        w.pass_time(1_200)
        try:
            taken += w.venue.realise(sender=long)
        except boa.BoaError:
            continue
    assert 0 < taken <= pool // 10 * (DAY + 3_600) // DAY
