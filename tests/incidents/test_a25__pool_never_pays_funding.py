# SPDX-License-Identifier: MIT
"""
A-25: with funding paid by the pool, at -5 bp < premium < 0 the rate is +1 bp while shorts are the
heavy side: the pool pays them up to 10.95 % a year. Receivers share what payers pay.
"""

from __future__ import annotations

from tests.venue_pair import Pair
from tests.venue_world import BP, WAD

YEAR = 365 * 86_400


def test_a25__slightly_negative_premium__shorts_get_only_what_longs_pay() -> None:
    pair = Pair(taker_fee_wad=0, maker_fee_wad=0, unwind_step=0)
    w = pair.world
    short = pair.trader("short", quote=100)
    long = pair.trader("long", quote=100)
    pair.trade(short, -w.assets("10.4"))
    pair.trade(long, w.assets(10))  # K = -0.4: premium -4 bp
    assert w.venue.market(WAD)[7 + 1] == BP
    equity = w.pool.equity(WAD)
    w.pass_time(YEAR)
    paid = w.quotes(100) - w.venue.margin(long, WAD)[1]
    received = w.venue.margin(short, WAD)[1] - w.quotes(100)
    assert paid == w.quotes(10) * 1_095 // 10_000  # 1,095 periods of 1 bp
    assert paid - 1 <= received <= paid
    assert w.pool.equity(WAD) >= equity


def test_a25__no_longs_at_all__shorts_get_nothing() -> None:
    pair = Pair(taker_fee_wad=0, maker_fee_wad=0, unwind_step=0)
    w = pair.world
    short = pair.trader("short", quote=100)
    pair.trade(short, -w.assets("0.4"))
    w.pass_time(YEAR)
    assert w.venue.margin(short, WAD)[1] == w.quotes(100)
