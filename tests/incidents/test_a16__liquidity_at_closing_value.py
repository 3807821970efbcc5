# SPDX-License-Identifier: MIT
"""
A-16: liquidity priced at the index and at once: K = 100 inflates a pool of 500 by 5, so a provider
of 500 loses 2.5 for 0.1 of fees; and leaving before a known bad account. Shares are priced at
closing value, which a trade moves only by its fee. Requests executed in a later round at the worse
of two values come with a later issue: until then only the pool's owner provides and removes,
because a stranger could still choose his moment (a price that lags, an account known to be bad).
"""

from __future__ import annotations

import boa

from tests.venue_world import WAD, world


def test_a16__pushed_skew__does_not_move_the_price_of_shares() -> None:
    w = world(liquidity=500, taker_fee_wad=0, maker_fee_wad=0)
    attacker = w.trader("attacker", quote=100)
    w.trade(attacker, 100)
    # at the index the position is worth 100 and cost 105: a pool of 505
    index_value = w.quotes(500) - w.venue.margin(attacker, WAD)[3]
    assert index_value == w.quotes(505)
    assert w.pool.equity(WAD) == w.quotes(500)
    assert w.pool.provide(w.quotes(500), 0) == w.quotes(500)
    w.trade(attacker, -100)
    assert w.pool.equity(WAD) == w.quotes(1_000)


def test_a16__anybody_else__may_not_provide_or_remove() -> None:
    w = world()
    stranger = w.actor("stranger")
    with boa.reverts("ownable: caller is not the owner"):
        w.pool.provide(1, 0, sender=stranger)
    with boa.reverts("ownable: caller is not the owner"):
        w.pool.remove(1, 0, stranger, sender=stranger)
