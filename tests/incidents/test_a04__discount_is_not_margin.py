# SPDX-License-Identifier: MIT
"""
A-04: with margin at the index only, at K = -50 buying 20 fills at 0.96, and the index profit of
0.8 exceeds the initial margin of 0.68: a free option without collateral. To open, equity at the
worse of index and closing fill must carry the position.
"""

from __future__ import annotations

import boa

from tests.venue_world import WAD, world


def test_a04__buying_at_a_discount__needs_its_own_margin() -> None:
    w = world(taker_fee_wad=0, maker_fee_wad=0, unwind_step=0, initial_base_wad=3 * 10**16)
    short = w.trader("short", quote=100)
    attacker = w.trader("attacker", quote=1)
    w.trade(short, -50)
    assert w.venue.quote_trade(0, w.assets(20), WAD)[0] == w.quotes("19.2")
    # IM = 20 * (3 % + 20 % * 20/1,000) = 0.68; index profit 0.8; at closing 19.2 - 19.2 = 0
    w.venue.withdraw(0, w.quotes("0.320001"), attacker, sender=attacker)  # 0.679999 left
    with boa.reverts("venue: under initial margin"):
        w.trade(attacker, 20)
    w.venue.deposit(0, 1, sender=attacker)
    w.trade(attacker, 20)
    with boa.reverts("venue: under initial margin"):
        w.venue.withdraw(0, 1, attacker, sender=attacker)
