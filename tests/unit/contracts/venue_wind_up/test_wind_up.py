# SPDX-License-Identifier: MIT
"""VenueWindUp: when a venue ends, what each claim is paid, and that payouts never exceed tokens."""

from __future__ import annotations

import boa
import pytest

from tests.market_world import NOBODY
from tests.venue_world import FREE, NO_REWARD, World, world

WEEK = 7 * 86_400  # seconds
TERMS = FREE | NO_REWARD | {"skew_scale": 10**24, "max_side": 10**21}


def market(liquidity: int = 1_000, insurance: int = 0) -> tuple[World, list[str]]:
    """Return a long of 100, a short of 40 on asset margin, and one without a position."""
    w = world(liquidity=liquidity, insurance=insurance, **TERMS)
    long, short, saver = w.trader("long", 60), w.trader("short", 0, 20), w.trader("saver", 30, 5)
    w.trade(long, 100)
    w.trade(short, -40)
    return w, [long, short, saver]


def end_without_price(w: World) -> None:
    """Let the price go stale and end the venue after a week."""
    boa.env.time_travel(seconds=4_000)
    assert not w.venue.wind_up()
    boa.env.time_travel(seconds=WEEK)
    assert w.venue.wind_up()


def release_all(w: World, accounts: list[str]) -> None:
    w.venue.close(accounts)
    w.venue.fix_claims()
    for account in accounts:
        w.venue.release(account)


def paid_out(w: World, accounts: list[str]) -> list[tuple[int, int]]:
    """Let everybody withdraw all and return what each got."""
    paid = []
    for account in accounts:
        held = w.venue.account(account)
        if held.assets or held.quote:
            w.venue.withdraw(held.assets, held.quote, account, sender=account)
        paid.append((held.assets, held.quote))
    return paid


def test_wind_up__no_price_for_a_week__everybody_is_paid_at_the_last_one() -> None:
    w, accounts = market()
    w.set_price("1.2")
    w.venue.accrue()
    end_without_price(w)
    release_all(w, accounts)
    long, short, saver = paid_out(w, accounts)
    # the long's 20 (less impact) and the short's loss of 7.9968, paid by 6.664 of its 20 assets
    assert long == (0, w.quotes("79.995"))
    assert abs(short[0] - w.assets("13.336")) < w.assets("0.0001")
    assert short[1] <= 1
    assert saver == (w.assets(5), w.quotes(30))
    quote, assets = w.pool.leave(w.owner)
    assert quote == w.quotes("1000") - w.quotes("20") + w.quotes("0.005")
    assert assets == w.assets(20) - short[0]
    assert w.quote.balanceOf(w.venue.address) <= 1
    assert w.asset.balanceOf(w.venue.address) == 0


def test_wind_up__price_comes_back__starts_anew() -> None:
    w, _ = market()
    boa.env.time_travel(seconds=4_000)
    assert not w.venue.wind_up()
    assert w.venue.wind_up_flag()[0] == 2
    boa.env.time_travel(seconds=WEEK - 1)
    assert not w.venue.wind_up()  # a second too early
    w.set_price(1)
    assert not w.venue.wind_up()
    assert w.venue.wind_up_flag()[0] == 0
    boa.env.time_travel(seconds=WEEK)
    assert not w.venue.wind_up()
    assert not w.venue.wind_up()


def test_wind_up__price_missed_twice_with_a_trade_between__starts_anew() -> None:
    """Two short outages a week apart are no week without a price."""
    w, accounts = market()
    boa.env.time_travel(seconds=4_000)
    assert not w.venue.wind_up()
    w.set_price(1)
    w.trade(accounts[0], 1)  # nobody asked `wind_up` meanwhile
    boa.env.time_travel(seconds=WEEK)
    assert not w.venue.wind_up()
    assert w.venue.wind_up_flag() == (2, boa.env.timestamp)
    w.venue.deposit(0, 1, sender=accounts[0])  # needs no price, and takes nothing back
    boa.env.time_travel(seconds=WEEK)
    assert w.venue.wind_up()


def test_wind_up__insolvent_now_and_long_ago__starts_anew() -> None:
    w, _ = market(liquidity=250)
    w.set_price(6)
    assert not w.venue.wind_up()
    assert w.venue.wind_up_flag()[0] == 1
    w.pass_time(2 * 3_600 + 1)
    assert not w.venue.wind_up()
    w.pass_time(3_600)
    assert w.venue.wind_up()


def test_wind_up__solvent_pool__goes_on() -> None:
    w, _ = market()
    for _ in range(2):
        assert not w.venue.wind_up()
        w.pass_time(4_000)
    assert w.venue.stage() == 0


def test_wind_up__insolvent_for_an_hour__profits_are_paid_in_proportion() -> None:
    w, accounts = market(liquidity=250)
    second = w.trader("second", 100)
    accounts.append(second)
    w.trade(second, 20)
    w.set_price(6)  # longs gain 500 and 100; the pool has 250 and the short's margin
    w.venue.liquidate(accounts[1], sender=w.owner)
    assert not w.venue.wind_up()
    w.pass_time(3_599)
    assert not w.venue.wind_up()
    w.pass_time(1)
    assert w.venue.wind_up()
    assert w.venue.pool_value(w.price()) == 0  # what claims leave is all that the pool gets
    w.venue.close(accounts)
    claims = [w.venue.profit_claim(each) for each in accounts]
    assert [claim > 0 for claim in claims] == [True, False, False, True]
    release_all(w, accounts)
    assert sum(claims) == w.venue.payout(1).claims
    assert w.venue.profit_claim(accounts[0]) == 0
    balances, profits = w.venue.payout(0), w.venue.payout(1)
    assert balances.quote == balances.claims  # first rank, in full
    assert profits.quote < profits.claims
    assert profits.assets > 0  # what is lacking, in kind
    paid = paid_out(w, accounts)
    gains = [paid[0][1] - w.quotes(60), paid[3][1] - w.quotes(100)]
    assert abs(gains[0] - 5 * gains[1]) < w.quotes("0.01")  # 500 to 100, but for impact
    assert paid[2] == (w.assets(5), w.quotes(30))  # without a position: whole
    assert w.pool.leave(w.owner) == (0, 0)
    assert w.quote.balanceOf(w.venue.address) <= len(accounts)
    assert w.asset.balanceOf(w.venue.address) <= len(accounts)


def test_close__any_order_and_twice__same_claims() -> None:
    results = []
    for order in ((0, 1, 2), (2, 1, 0), (1, 0, 0)):
        with boa.env.anchor():
            w, accounts = market()
            w.set_price("0.9")
            w.venue.accrue()
            end_without_price(w)
            for i in order:
                w.venue.close([accounts[i], NOBODY, w.pool.address])
            release_all(w, accounts)
            results.append(paid_out(w, accounts))
    assert results[0] == results[1] == results[2]


def test_end__calls_out_of_turn__own_reason() -> None:
    w, accounts = market()
    long = accounts[0]
    for call, reason in (
        (lambda: w.venue.close(accounts), "venue: not winding up"),
        (w.venue.fix_claims, "venue: not winding up"),
        (lambda: w.venue.release(long), "venue: claims are not fixed"),
        (lambda: w.pool.leave(w.owner), "pool: venue goes on"),
    ):
        with boa.reverts(reason):
            call()
    end_without_price(w)
    w.set_price(1)
    for call, reason in (
        (w.venue.wind_up, "venue: wound up"),
        (w.venue.accrue, "venue: wound up"),
        (w.venue.settle, "venue: wound up"),
        (w.venue.fix_claims, "venue: accounts are open"),
        (lambda: w.trade(long, 1), "venue: wound up"),
        (lambda: w.venue.deposit(0, 1, sender=long), "venue: wound up"),
        (lambda: w.venue.withdraw(0, 1, long, sender=long), "venue: not released yet"),
        (lambda: w.venue.liquidate(long, sender=long), "venue: wound up"),
        (lambda: w.pool.leave(w.owner), "venue: wound up"),
        (lambda: w.pool.leave(NOBODY), "pool: zero receiver"),
        (lambda: w.fund.collect(w.venue.address), "venue: wound up"),
    ):
        with boa.reverts(reason):
            call()
    release_all(w, accounts)
    for call, reason in (
        (lambda: w.venue.release(long), "venue: released already"),
        (lambda: w.venue.close(accounts), "venue: not winding up"),
        (lambda: w.pool.leave(w.owner, sender=long), "pool: not enough shares"),
    ):
        with boa.reverts(reason):
            call()
    w.venue.settle()  # nothing more to move


@pytest.mark.parametrize("insurance", [0, 5, 500])
def test_close__loser_without_means__fund_first_then_the_pool(insurance: int) -> None:
    w, accounts = market(insurance=insurance)
    w.set_price("0.2")  # the long loses 80 of its 60
    w.venue.accrue()
    end_without_price(w)
    held = w.fund.held()
    w.venue.close(accounts)
    assert held - w.fund.held() == min(held, w.quotes("20.005"))
    release_all(w, accounts)
    assert paid_out(w, accounts)[0] == (0, 0)
