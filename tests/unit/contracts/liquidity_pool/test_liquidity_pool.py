# SPDX-License-Identifier: MIT
"""LiquidityPool: shares at closing value, what leaving may take, who may call."""

from __future__ import annotations

import boa
import pytest

from tests.venue_pair import Pair
from tests.venue_world import BP, FREE, NO_FUNDING, NO_REWARD, WAD, deploy_pool, deploy_venue, world

DECIMALS = [(a, q) for a in (6, 8, 18) for q in (6, 18)]


@pytest.mark.parametrize(("asset_decimals", "quote_decimals"), DECIMALS)
def test_provide__shares_at_closing_value(asset_decimals: int, quote_decimals: int) -> None:
    w = world(asset_decimals, quote_decimals, **FREE)
    trader = w.trader("trader", quote=100)
    assert w.pool.shares_of(w.owner) == w.pool.total_shares() == w.quotes(1_000)
    w.trade(trader, 100)
    assert w.pool.equity(WAD) == w.quotes(1_000)  # the fill is the closing value
    w.set_price(2)
    price = w.price()
    # closing 100 brings 210, entry 105: the pool owes 105
    assert w.pool.equity(price) == w.quotes(895)
    assert w.provide(w.quotes(895)) == w.quotes(1_000)
    event = w.pool.get_logs()[-1]
    assert (event.equity_before, event.shares) == (w.quotes(895), w.quotes(1_000))
    assert (event.total_shares_before, event.total_shares_after) == (
        w.quotes(1_000),
        w.quotes(2_000),
    )
    assert w.pool.equity(price) == w.quotes(1_790)


def test_provide__rounds_shares_down() -> None:
    w = world(fund_share_wad=0, **NO_FUNDING)
    trader = w.trader("trader", quote=100)
    w.trade(trader, 100)  # fee 0.05 into equity
    # 10^6 * 10^9 / 1,000,050,000 = 999,950.0024...
    assert w.provide(w.quotes(1)) == 999_950
    w.pool.request_provide(1, 0)
    w.become_due()
    with boa.reverts("pool: zero shares"):
        w.pool.execute_provide(w.owner)
    w.pool.cancel_provide()
    with boa.reverts("pool: under minimum shares"):
        w.provide(w.quotes(1), min_shares=w.quotes(1))


def test_requests__bad_calls__each_its_own_reason() -> None:
    w = world()
    with boa.reverts():  # snekmate: caller is not the owner
        w.pool.set_venue(w.venue.address, sender=w.actor("stranger"))
    with boa.reverts("pool: zero amount"):
        w.pool.request_provide(0, 0)
    with boa.reverts("pool: zero amount"):
        w.pool.request_remove(0, 0, w.owner)
    with boa.reverts("pool: zero receiver"):
        w.pool.request_remove(1, 0, "0x" + "00" * 20)
    with boa.reverts("pool: not enough shares"):
        w.pool.request_remove(w.quotes(1_000) + 1, 0, w.owner)
    with boa.reverts("pool: under minimum quote"):
        w.remove(w.quotes(10), min_quote=w.quotes(10) + 1)
    for call in (w.pool.execute_provide, w.pool.execute_remove):
        with boa.reverts("pool: nothing requested"):
            call(w.actor("stranger"))


def test_venue_calls__strangers__refused() -> None:
    w = world()
    for caller in (w.owner, w.actor("stranger")):
        with boa.reverts("pool: not the venue"):
            w.pool.pay(1, sender=caller)
        with boa.reverts("pool: not the venue"):
            w.pool.book(1, 1, sender=caller)


def test_set_venue__once_and_only_a_venue_of_this_pool() -> None:
    w, other = world(liquidity=0), world(liquidity=0)
    with boa.reverts("pool: venue already set"):
        w.pool.set_venue(other.venue.address)
    fresh = deploy_pool(w.asset, w.quote, w.oracle)
    with boa.reverts("pool: zero address"):
        fresh.set_venue("0x" + "00" * 20)
    with boa.reverts("pool: venue of another pool"):
        fresh.set_venue(w.venue.address)


def test_set_venue__other_oracle__refused() -> None:
    w, other = world(liquidity=0), world(liquidity=0)
    fresh = deploy_pool(w.asset, w.quote, w.oracle)
    venue = deploy_venue((w.asset, w.quote, other.oracle, fresh, w.fund), w.terms)
    with boa.reverts("pool: venue oracle differs"):
        fresh.set_venue(venue.address)


def test_remove__pays_traders_profit_first() -> None:
    pair = Pair(**FREE)
    w = pair.world
    winner = pair.trader("winner", quote=30)
    pair.trade(winner, w.assets(50))
    w.set_price("1.5")
    pair.trade(winner, -w.assets(50))  # 25.625 realised
    assert w.remove(w.quotes(1_000)) == (w.quotes("974.375"), 0)
    assert w.venue.reserves()[0] == w.quotes("55.625")
    w.venue.withdraw(0, w.quotes("55.625"), winner, sender=winner)


def test_remove__inventory_in_kind() -> None:
    pair = Pair(initial_base_wad=1_000 * BP, initial_slope_wad=0, **FREE, **NO_REWARD)
    w = pair.world
    long = pair.trader("long", assets=18)
    pair.trade(long, w.assets(100))
    w.set_price("0.9")
    pair.liquidate(long, pair.trader("liquidator"))  # 18 assets come to the pool
    pair.settle()
    price = w.price()
    equity = w.pool.equity(price)
    assert pair.twins.remove(w.owner, w.quotes(500))
    quote, assets = pair.twins.result
    assert assets == w.assets(9)
    # half of equity, 9 * 0.9 of it in kind
    assert quote == equity // 2 - w.quotes("8.1")
    pair.check_tokens()


def test_remove__skew_needs_the_equity__refused() -> None:
    w = world(**FREE)
    trader = w.trader("trader", quote=100)
    w.trade(trader, 100)  # needs 200 of equity at a share of 50 %
    with boa.reverts("pool: skew needs the equity"):
        w.remove(w.quotes(800) + 1)
    w.pool.cancel_remove()
    assert w.remove(w.quotes(800)) == (w.quotes(800), 0)


def test_remove__quote_lent_out__refused() -> None:
    w = world(price=6, skew_share_wad=10 * WAD, loan_rate_wad=0, **FREE)
    winner = w.trader("winner", quote=300)
    borrower = w.trader("borrower", assets=1_000)
    w.trade(winner, -200)
    w.trade(borrower, 200)  # both at 6 * 0.9
    w.set_price(1)
    w.trade(winner, 200)
    w.trade(borrower, -200)  # both at 1.1: 200 * 4.3 change sides
    assert w.venue.account(borrower)[1] == -w.quotes(860)
    w.venue.withdraw(0, w.quotes(300 + 860), winner, sender=winner)
    assert w.pool.holdings() == (w.quotes(140), 0)
    assert w.pool.equity(w.price()) == w.quotes(1_000)  # the rest is the loan
    with boa.reverts("pool: not enough quote"):
        w.remove(w.quotes(141))
    w.pool.cancel_remove()
    w.remove(w.quotes(140))


def test_requests__insolvent_pool__refused() -> None:
    w = world(liquidity=200, **FREE)
    trader = w.trader("trader", quote=100)
    w.trade(trader, 90)
    w.set_price(5)  # profit 90 * 4 and more
    assert w.pool.equity(w.price()) < 0
    with boa.reverts("pool: insolvent"):
        w.pool.request_provide(w.quotes(1), 0)
    with boa.reverts("pool: insolvent"):
        w.pool.request_remove(w.quotes(1), 0, w.owner)


def test_pool__donation__ignored() -> None:
    w = world()
    giver = w.actor("giver")
    w.quote.transfer(w.pool.address, w.quotes(7), sender=giver)
    w.asset.transfer(w.pool.address, w.assets(7), sender=giver)
    assert w.pool.equity(WAD) == w.quotes(1_000)


def test_ownership__two_steps() -> None:
    w = world()
    heir = w.actor("heir")
    w.pool.transfer_ownership(heir)
    assert w.pool.owner() == w.owner
    w.pool.accept_ownership(sender=heir)
    assert w.pool.owner() == heir
