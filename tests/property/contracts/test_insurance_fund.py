# SPDX-License-Identifier: MIT
"""Nobody gains by coming and going, and nobody loses because others do, in any order."""

from __future__ import annotations

import boa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.market_world import MAX_UINT
from tests.venue_world import FUND_DELAY, world

WEALTH = 10**30
amounts = st.integers(0, 27).flatmap(lambda e: st.integers(1, 10**e))
steps = st.lists(
    st.tuples(
        st.sampled_from(["stake", "enter", "request", "cancel", "unstake", "donate"]),
        st.integers(0, 1),
        amounts,
        st.integers(1, 100),
    ),
    min_size=1,
    max_size=14,
)


@pytest.fixture(scope="module", params=[6, 18])
def w(request):
    with boa.env.anchor():
        built = world(18, request.param)
        for name in ("passive", "first", "second"):
            account = built.actor(name)
            built.quote.mint(account, WEALTH)
            built.quote.approve(built.fund.address, MAX_UINT, sender=account)
        yield built


def act(fund, what, who, quote, percent):
    """Do it if it can be done."""
    open_at = fund.request_of(who)[3]
    shares = fund.shares_of(who) * percent // 100
    enters_at = fund.entry_of(who).enters_at
    if what == "stake" and not enters_at:
        fund.stake(quote, sender=who)
    elif what == "enter" and enters_at:
        enter(fund, who)
    elif what == "donate" and fund.preview_stake(quote):
        fund.donate(quote, sender=who)
    elif what == "request" and not open_at and fund.worth(who) * percent // 100 > 1:
        fund.request_unstake(shares, sender=who)
    elif what == "cancel" and open_at:
        fund.cancel_request(sender=who)
    elif what == "unstake" and open_at:
        boa.env.time_travel(seconds=max(0, open_at - boa.env.timestamp))
        if boa.env.timestamp <= fund.request_of(who)[4]:
            fund.unstake(0, sender=who)


def enter(fund, who):
    """Wait as long as one must, and enter."""
    boa.env.time_travel(seconds=max(0, fund.entry_of(who).enters_at - boa.env.timestamp))
    fund.enter(who)


def enter_with(fund, who, quote):
    """Stake and enter."""
    fund.stake(quote, sender=who)
    enter(fund, who)


def leave(fund, who):
    """Take everything out."""
    if fund.entry_of(who).enters_at:
        enter(fund, who)
    if fund.request_of(who)[3]:
        fund.cancel_request(sender=who)
    if fund.worth(who):
        fund.request_unstake(fund.shares_of(who), sender=who)
        boa.env.time_travel(seconds=FUND_DELAY)
        fund.unstake(0, sender=who)


@given(stake=amounts, loss=st.integers(0, 10_000), steps=steps)
def test_round_trips__any_sequence__no_profit_and_no_harm(w, stake, loss, steps):
    with boa.env.anchor():
        passive, *others = w.actors[:3]
        fund, quote = w.fund, w.quote
        enter_with(fund, passive, stake)
        fund.cover(stake * loss // 10_000, sender=w.venue.address)  # any price per share
        before = sum(quote.balanceOf(each) for each in others)
        for what, who, amount, percent in steps:
            worth = fund.worth(passive)
            act(fund, what, others[who], amount, percent)
            assert fund.worth(passive) >= worth, what
            assert fund.held() == quote.balanceOf(fund.address)
        for each in others:
            leave(fund, each)
        assert sum(quote.balanceOf(each) for each in others) <= before


@given(first=amounts, gift=amounts, victim=amounts, sent=amounts)
def test_inflation__donation_or_tokens_sent__costs_the_attacker_not_the_victim(
    w, first, gift, victim, sent
):
    with boa.env.anchor():
        target, attacker, _ = w.actors[:3]
        fund, quote = w.fund, w.quote
        before = quote.balanceOf(attacker)
        enter_with(fund, attacker, first)
        fund.donate(gift, sender=attacker)
        quote.transfer(fund.address, sent, sender=attacker)
        enter_with(fund, target, victim)
        assert fund.worth(target) >= victim - 1
        leave(fund, attacker)
        assert quote.balanceOf(attacker) <= before - gift - sent


@given(
    allotment=amounts,
    draws=st.lists(amounts, min_size=1, max_size=6),
    stake=amounts,
    share=st.integers(0, 100),
)
def test_cover__any_draws__within_the_allotment_and_shared(w, allotment, draws, stake, share):
    with boa.env.anchor():
        passive, leaver, _ = w.actors[:3]
        fund, venue = w.fund, w.venue.address
        fund.register(venue, allotment)
        enter_with(fund, passive, stake)
        enter_with(fund, leaver, stake)
        act(fund, "request", leaver, 0, share)
        before = w.quote.balanceOf(venue)
        for wanted in draws:
            most = fund.available(venue)
            assert fund.cover(wanted, sender=venue) == min(wanted, most)
            assert 0 <= fund.pending() <= fund.held() == w.quote.balanceOf(fund.address)
            assert fund.total_shares() + 10**6 <= 10**12 * (fund.held() - fund.pending() + 1)
        assert w.quote.balanceOf(venue) - before == fund.drawn(venue) <= allotment
