# SPDX-License-Identifier: MIT
"""
F-4: while margin could back a loan on request, anyone took other accounts' quote. At S = 1,000
with 10,000 in the pool and 50,000 of a user without position or loan, an attacker with 70 assets
withdrew 60,000 of quote: the pool and the venue were left with 0, the user's withdrawal reverted
"venue: pool cannot pay". A year later 60,000.000000 were owed, and after a fall to 800 the pool
held 70 assets that it could not sell: the user's 50,000 were still locked in.

Loans arise of losses, fees and funding only. What one account loses another may take out as its
profit, so that two accounts of one owner still get there by washing: at the deployed terms 143
rounds, 1.45 M of fees for 31 M. Until loans cost interest and are capped, that fee is the bar.
"""

from __future__ import annotations

import boa

from tests.venue_world import World, world


def attacked() -> tuple[World, str, str]:
    """Return the market of the finding, its attacker with 70 assets and its user with 50,000."""
    w = world(price=1_000, liquidity=10_000)
    user = w.trader("user", quote=50_000)
    return w, w.trader("attacker", assets=70), user


def test_f04__loan_on_request__refused_and_the_others_are_paid() -> None:
    w, attacker, user = attacked()
    for quote in (w.quotes(60_000), w.quotes(10_000), 1):
        with boa.reverts("venue: not enough quote"):
            w.venue.withdraw(0, quote, attacker, sender=attacker)
    w.set_price(800)
    before = w.quote.balanceOf(user)
    w.venue.withdraw(0, w.quotes(50_000), user, sender=user)
    assert w.quote.balanceOf(user) - before == w.quotes(50_000)
    assert w.pool.holdings() == (w.quotes(10_000), 0)
    assert w.venue.reserves() == (0, 0, 0)


def test_f04__loan_of_a_loss__takes_no_quote_of_others() -> None:
    w, attacker, user = attacked()
    w.trade(attacker, 2)  # half the pool is the most it carries: |K| * S <= 5,000
    w.set_price(800)
    w.trade(attacker, -2)
    debt = -w.venue.account(attacker)[1]
    assert debt > w.quotes(400)
    with boa.reverts("venue: not enough quote"):
        w.venue.withdraw(0, 1, attacker, sender=attacker)
    assert w.venue.reserves() == (w.quotes(50_000), debt, 0)
    w.venue.withdraw(0, w.quotes(50_000), user, sender=user)
    assert w.pool.holdings() == (w.quotes(10_000), 0)
