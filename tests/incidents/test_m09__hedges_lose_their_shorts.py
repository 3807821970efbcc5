# SPDX-License-Identifier: MIT
"""
M-09 (10 October 2025): 19 B$ were liquidated, and profit-ranked queues closed the short legs of
hedges first, for far more than was needed. A shock of -30 % on 50 accounts: what is cut is what
is needed to the unit, nothing is made or lost by it, and a hedge with low leverage is cut last.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from tests.recovery_world import listed_by_keeper
from tests.venue_pair import Pair
from tests.venue_world import BP, NO_REWARD

LONGS, SHORTS = 25, 24
HEDGE = 60  # whole assets, at a leverage of a quarter; the other shorts have 1 to 3


def leverage(margin: Any) -> Fraction:
    return Fraction(-margin.delta, margin.equity)


def index_equity(pair: Pair) -> int:
    """Return what the pool has when all close at the index, as accounts are measured."""
    return pair.twins.venue._index_equity(pair.twins.price_wad, pair.twins.now)


def crashed() -> tuple[Pair, list[str], str]:
    """Return the market after the shock, failures liquidated; the shorts, and the hedge."""
    pair = Pair(liquidity=2_000, initial_base_wad=800 * BP, **NO_REWARD)
    w = pair.world
    pair.twins.compare = lambda: None  # 50 accounts after every call take seconds; below, all once
    hedge = pair.trader("hedge", quote=4 * HEDGE)
    pair.trade(hedge, -w.assets(HEDGE))
    longs = [pair.trader(f"long {i}", quote=2 + 6 * (i % 2)) for i in range(LONGS)]
    shorts = [pair.trader(f"short {i}", quote=3 + i % 7) for i in range(SHORTS)]
    for i in range(LONGS):
        pair.trade(longs[i], w.assets(10))
        if i < SHORTS:
            pair.trade(shorts[i], -w.assets(9))
    w.set_price("0.7")
    for each in longs[::2]:
        pair.liquidate(each, by=w.owner)
    del pair.twins.compare
    return pair, shorts, hedge


def test_m09__shock__cut_is_what_is_needed_and_the_hedge_stays() -> None:
    pair, shorts, hedge = crashed()
    w, twins = pair.world, pair.twins
    loss, failed = pair.venue.queue(True)
    assert failed == w.assets(10) * len(range(0, LONGS, 2))
    batch, done = listed_by_keeper(twins, 1)
    needed = failed - batch.pool_size
    before = {each: w.venue.margin(each, w.price()) for each in (*shorts, hedge)}
    total = sum(m.equity for m in before.values()) + index_equity(pair)
    assert twins.deleverage(1, [cut.owner for cut in done.cuts])
    after = {each: w.venue.margin(each, w.price()) for each in before}
    cut = {each: after[each].delta - before[each].delta for each in before}
    assert sum(cut.values()) == needed  # overshoot 0
    assert min(cut.values()) >= 0
    assert cut[hedge] == 0
    assert done.cuts[-1].owner == hedge
    borne = sum(e.loss for e in twins.logs if type(e).__name__ == "AccountDeleveraged")
    ended = next(e for e in twins.logs if type(e).__name__ == "DeleveragingEnded")
    assert borne + ended.loss_left == loss
    settled = sum(m.equity for m in after.values()) + index_equity(pair)
    assert abs(settled - total) <= 2 * len(before)  # what accounts lose is the pool's
    least = leverage(after[hedge])
    assert all(leverage(after[each]) >= least for each in shorts if cut[each])
    pair.check_tokens()
    pair.check_value(w.price())
