# SPDX-License-Identifier: MIT
"""
A-17: long and short of 400, +10 %: one owes 40 on 110 of asset margin for nothing while the
other withdraws. Debt bears interest, and over a share of the collateral anyone settles it.
"""

from __future__ import annotations

import boa

from tests.venue_world import FREE, NO_REWARD, world

YEAR = 365 * 86_400


def test_a17__loan_on_asset_margin__costs_interest_and_is_settled() -> None:
    w = world(**(FREE | NO_REWARD | {"skew_scale": 10**24, "max_side": 10**21}))
    short = w.trader("short", assets=100)
    w.trade(short, -400)
    w.trade(w.trader("long", quote=100), 400)
    w.set_price("1.1")
    w.trade(short, 400)  # owes 40 on 110
    debt = -w.venue.account(short).quote
    assert w.quotes("39.9") < debt < w.quotes("40.3")
    with boa.reverts("venue: debt is backed"):
        w.venue.settle_debt(short, sender=w.owner)
    with boa.reverts("venue: not enough quote"):
        w.venue.withdraw(0, 1, short, sender=short)
    w.pass_time(YEAR)
    owed = -w.venue.margin(short, w.price()).quote
    assert abs(owed - debt * 11 // 10) <= 2  # 10 % a year
    w.set_price("0.8")  # 44 on 80 are more than half
    sold = w.venue.settle_debt(short, sender=w.owner)
    assert w.venue.account(short).quote >= 0
    assert w.venue.account(short).assets == w.assets(100) - sold
