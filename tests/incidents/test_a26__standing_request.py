# SPDX-License-Identifier: MIT
"""
A-26: a request that stands for ever is a free option to leave on the day of a loss, and earns
meanwhile. Requests expire, bear losses, and earn nothing; ending one gives up what was earned.
"""

from __future__ import annotations

import boa
import pytest

from tests.market_world import MAX_UINT
from tests.venue_world import FUND_DELAY, FUND_WINDOW, World, world

WHOLE = 100


def stakers(w: World) -> tuple[str, str]:
    both = w.actor("optioner"), w.actor("stayer")
    for each in both:
        w.quote.approve(w.fund.address, MAX_UINT, sender=each)
        w.fund.stake(w.quotes(WHOLE), sender=each)
    w.pass_time(w.fund.ENTRY_DELAY())
    for each in both:
        w.fund.enter(each)
    return both


def revenue(w: World) -> int:
    """Let a trade pay a fee, and collect the fund's share of it."""
    w.trade(w.trader("trader", quote=1_000), 100)
    return int(w.fund.collect(w.venue.address))


@pytest.mark.parametrize("decimals", [6, 18])
def test_a26__request_stands__expired_on_the_day_of_the_loss(decimals) -> None:
    w = world(18, decimals)
    optioner, _ = stakers(w)
    w.fund.request_unstake(w.fund.shares_of(optioner), sender=optioner)
    boa.env.time_travel(seconds=FUND_DELAY + FUND_WINDOW + 1)
    with boa.reverts("fund: request has expired"):
        w.fund.unstake(0, sender=optioner)
    w.fund.cover(w.quotes(WHOLE), sender=w.venue.address)
    w.fund.cancel_request(sender=optioner)
    assert w.fund.worth(optioner) <= w.quotes(WHOLE) // 2 + 1


@pytest.mark.parametrize("decimals", [6, 18])
def test_a26__renewed_without_end__earns_nothing(decimals) -> None:
    w = world(18, decimals)
    optioner, stayer = stakers(w)
    before = w.fund.worth(stayer)
    earned = 0
    for _ in range(3):
        w.fund.request_unstake(w.fund.shares_of(optioner), sender=optioner)
        earned += revenue(w)
        w.trade(w.actors[-1], -50)  # owed, and not collected when the request ends
        boa.env.time_travel(seconds=FUND_DELAY + FUND_WINDOW + 1)
        w.set_price(1)
        w.fund.cancel_request(sender=optioner)
        earned += w.fund.collect(w.venue.address)
    # The last collection came with the option staked; what was owed before was in its price.
    assert w.fund.worth(optioner) <= w.quotes(WHOLE)
    assert w.fund.worth(stayer) >= before + earned - 20
