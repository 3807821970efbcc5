# SPDX-License-Identifier: MIT
"""
A-02: with a premium cap on every trade, at K = -100 and a cap of 10 % a long of 50 cannot be
liquidated (it would raise |K|), and a pinned K blocks a vault's buy-back. Caps bind only what
increases |q|; a liquidation moves size to the backstop and leaves K alone.
"""

from __future__ import annotations

import boa

from tests.venue_pair import Pair
from tests.venue_world import BP


def test_a02__pinned_skew__long_is_liquidated_and_short_bought_back() -> None:
    pair = Pair(premium_cap_wad=1_500 * BP, max_side=150 * 10**18)
    w = pair.world
    long = pair.trader("long", quote=12)
    short = pair.trader("short", quote=100)
    pair.trade(short, -w.assets(100))
    pair.trade(long, w.assets(50))
    pair.trade(short, -w.assets(50))  # K = -100, and the side is full: K cannot go lower
    with boa.reverts("venue: side is full"):
        w.trade_raw(short, -w.assets("0.01"))
    w.set_price("0.70")
    assert pair.liquidate(long, pair.trader("liquidator")).size > 0
    assert pair.venue.market(w.price())[0] == -w.assets(100)
    pair.deposit(long, 0, w.quotes(1))
    pair.trade(long, -pair.stored(long)[2])  # closes what is left although |K| grows
    pair.trade(short, w.assets(150))
