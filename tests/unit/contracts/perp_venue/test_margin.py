# SPDX-License-Identifier: MIT
"""PerpVenue.deposit, withdraw, free_assets: margin in and out, loans, tokens from the pool."""

from __future__ import annotations

import boa
import pytest

from tests.venue_pair import Pair
from tests.venue_world import WAD, world

DECIMALS = [(a, q) for a in (6, 8, 18) for q in (6, 18)]
NOBODY = "0x" + "00" * 20


@pytest.mark.parametrize(("asset_decimals", "quote_decimals"), DECIMALS)
def test_deposit__both_tokens__credited_and_logged(
    asset_decimals: int, quote_decimals: int
) -> None:
    w = world(asset_decimals, quote_decimals)
    account = w.actor("depositor")
    w.venue.deposit(w.assets(3), w.quotes(5), sender=account)
    event = next(e for e in w.venue.get_logs() if type(e).__name__ == "MarginDeposited")
    assert (event.account, event.assets, event.quote, event.funding) == (
        account,
        w.assets(3),
        w.quotes(5),
        0,
    )
    assert (event.assets_after, event.quote_before, event.quote_after) == (
        w.assets(3),
        0,
        w.quotes(5),
    )
    assert w.venue.account(account) == (w.assets(3), w.quotes(5), 0, 0, 0, 0)
    assert w.asset.balanceOf(w.venue.address) == w.assets(3)
    assert w.venue.reserves()[0] == w.quote.balanceOf(w.venue.address) == w.quotes(5)


def test_deposit__nothing_or_too_much__refused() -> None:
    w = world()
    account = w.actor("depositor")
    with boa.reverts("venue: zero amount"):
        w.venue.deposit(0, 0, sender=account)
    # 2^250 / (10^18 * 2^251 / L^2) = L^2 / (2 * 10^18) = 5 * 10^23 units: 500,000 whole
    w.venue.deposit(w.assets(499_999), 0, sender=account)
    with boa.reverts("venue: too many assets"):
        w.venue.deposit(w.assets(2), 0, sender=account)


def test_deposit__tokens_sent_directly__ignored() -> None:
    w = world()
    account = w.trader("depositor", quote=5)
    w.quote.transfer(w.venue.address, w.quotes(7), sender=account)
    w.asset.transfer(w.venue.address, w.assets(7), sender=account)
    assert w.venue.reserves() == (w.quotes(5), 0, 0)
    assert w.venue.pool_value(WAD) == 0


def test_deposit__bad_price__accepted() -> None:
    w = world()
    account = w.trader("trader", quote=50)
    w.trade(account, 10)
    boa.env.time_travel(seconds=100_000)
    w.venue.deposit(w.assets(1), 0, sender=account)
    assert w.venue.account(account)[0] == w.assets(1)


def test_withdraw__without_position__needs_no_price() -> None:
    w = world()
    account = w.trader("saver", quote=5, assets=3)
    boa.env.time_travel(seconds=100_000)
    receiver = str(boa.env.generate_address("receiver"))
    w.venue.withdraw(w.assets(3), w.quotes(5), receiver, sender=account)
    assert w.asset.balanceOf(receiver) == w.assets(3)
    assert w.quote.balanceOf(receiver) == w.quotes(5)
    event = next(e for e in w.venue.get_logs() if type(e).__name__ == "MarginWithdrawn")
    assert (event.receiver, event.price_wad, event.pulled) == (receiver, 0, 0)


def test_withdraw__against_position_or_loan__needs_a_price() -> None:
    w = world()
    trader = w.trader("trader", quote=50)
    borrower = w.trader("borrower", assets=3)
    w.trade(trader, 10)
    w.trade(borrower, 1)
    w.trade(borrower, -1)  # owes the fees
    assert w.venue.account(borrower)[1:3] == (-w.quotes("0.0007"), 0)
    boa.env.time_travel(seconds=100_000)
    with boa.reverts("oracle: asset feed stale"):
        w.venue.withdraw(0, 1, trader, sender=trader)
    with boa.reverts("oracle: asset feed stale"):
        w.venue.withdraw(1, 0, borrower, sender=borrower)


def test_withdraw__bad_arguments__each_its_own_reason() -> None:
    w = world()
    account = w.trader("saver", assets=3)
    with boa.reverts("venue: zero amount"):
        w.venue.withdraw(0, 0, account, sender=account)
    with boa.reverts("venue: zero receiver"):
        w.venue.withdraw(1, 0, NOBODY, sender=account)
    with boa.reverts("venue: not enough assets"):
        w.venue.withdraw(w.assets(3) + 1, 0, account, sender=account)


def test_withdraw__loan_on_request__refused() -> None:
    w = world(taker_fee_wad=0, maker_fee_wad=0, unwind_step=0)
    saver = w.trader("saver", assets=10, quote=5)
    with boa.reverts("venue: not enough quote"):
        w.venue.withdraw(0, w.quotes(5) + 1, saver, sender=saver)
    w.trade(saver, 10)
    w.set_price(2)  # 10 of unrealised profit, 18 of collateral: no loan for them either
    with boa.reverts("venue: not enough quote"):
        w.venue.withdraw(0, w.quotes(5) + 1, saver, sender=saver)
    w.venue.withdraw(0, w.quotes(5), saver, sender=saver)
    assert w.venue.account(saver)[1] == 0


def test_withdraw__loan_made_by_a_loss__not_deepened_and_covered_after_the_haircut() -> None:
    w = world(price=2, taker_fee_wad=0, maker_fee_wad=0, unwind_step=0)
    borrower = w.trader("borrower", assets=10)
    lender = w.trader("lender", quote=100)
    w.trade(borrower, 50)  # 50 * 2 * 1.025 = 102.5
    w.set_price("1.8")
    w.trade(borrower, -50)  # a tenth of it is lost
    assert w.venue.account(borrower)[1:3] == (-w.quotes("10.25"), 0)
    assert w.venue.reserves()[:2] == (w.quotes(100), w.quotes("10.25"))
    with boa.reverts("venue: not enough quote"):
        w.venue.withdraw(0, 1, borrower, sender=borrower)
    # 10.25 / (1.8 * (1 - 10 %)) = 6.327... stay
    free = w.assets(10) - 6327160493827160494
    assert w.venue.free_assets(borrower, w.price(), 0) == free
    with boa.reverts("venue: under initial margin"):
        w.venue.withdraw(free + w.assets("0.000001"), 0, borrower, sender=borrower)
    w.venue.withdraw(free, 0, borrower, sender=borrower)
    # the lender's balance is whole
    w.venue.withdraw(0, w.quotes(100), lender, sender=lender)
    assert w.pool.holdings()[0] == w.quotes(1_000)
    assert w.venue.state()[8] == w.quotes("10.25")  # the pool's claim: the loan


def test_withdraw__pool_cannot_pay__refused_with_nothing_lost() -> None:
    w = world(liquidity=5, skew_share_wad=10 * WAD, taker_fee_wad=0, maker_fee_wad=0, unwind_step=0)
    winner = w.trader("winner", quote=20)
    borrower = w.trader("borrower", assets=100)
    w.trade(winner, 40)
    w.trade(borrower, -40)  # both at 40.8
    w.set_price("1.2")
    w.trade(winner, -40)
    w.trade(borrower, 40)  # both at 40 * 1.2 * 0.98 = 47.04; the loss of 6.24 is a loan
    balance = w.quotes("26.24")
    assert [w.venue.account(each)[1] for each in (winner, borrower)] == [
        balance,
        w.quotes(20) - balance,
    ]
    with boa.reverts("venue: pool cannot pay"):
        w.venue.withdraw(0, w.quotes(25) + 1, winner, sender=winner)
    assert w.venue.account(winner)[1] == balance
    w.venue.withdraw(0, w.quotes(25), winner, sender=winner)
    assert w.quote.balanceOf(w.pool.address) == 0


def test_withdraw__unrealised_profit__stays() -> None:
    w = world(taker_fee_wad=0, maker_fee_wad=0, unwind_step=0)
    trader = w.trader("trader", quote=20)
    w.trade(trader, 100)  # entry 105, K = 100
    w.set_price("1.5")  # profit 45 at the index; IM = 150 * 7 % = 10.5
    with boa.reverts("venue: under initial margin"):
        w.venue.withdraw(0, w.quotes("9.500001"), trader, sender=trader)
    w.venue.withdraw(0, w.quotes("9.5"), trader, sender=trader)


def test_withdraw__worse_of_index_and_closing__counts() -> None:
    pair = Pair(taker_fee_wad=0, maker_fee_wad=0, unwind_step=0)
    w = pair.world
    long = pair.trader("long", quote=20)
    short = pair.trader("short", quote=200)
    pair.trade(long, w.assets(50))  # entry 51.25
    pair.trade(short, -w.assets(150))  # K = -100: closing 50 brings 50 * 0.875 = 43.75
    # at closing 20 - 7.5 = 12.5, IM 50 * 6 % = 3: 9.5 is free; at the index 15.75 would be
    with boa.reverts("venue: under initial margin"):
        w.venue.withdraw(0, w.quotes("9.500001"), long, sender=long)
    pair.withdraw(long, 0, w.quotes("9.5"))


@pytest.mark.parametrize(("asset_decimals", "quote_decimals"), DECIMALS)
def test_free_assets__exactly_what_withdraw_allows(
    asset_decimals: int, quote_decimals: int
) -> None:
    w = world(asset_decimals, quote_decimals, price="2.7", liquidity=10_000)
    hedger = w.trader("hedger", assets=100)
    w.trade(hedger, -50)
    price = w.price()
    free = w.venue.free_assets(hedger, price, 0)
    assert 0 < free < w.assets(100)
    w.venue.withdraw(free, 0, hedger, sender=hedger)
    assert w.venue.free_assets(hedger, price, 0) == 0
    one_too_many = max(1, w.divisor() * WAD * 2 // (price * 9 * 10**17))
    with boa.reverts("venue: under initial margin"):
        w.venue.withdraw(one_too_many, 0, hedger, sender=hedger)


def test_free_assets__ratio_of_maintenance__binds_when_over_initial() -> None:
    w = world(price=2, taker_fee_wad=0, maker_fee_wad=0, unwind_step=0, initial_slope_wad=0)
    hedger = w.trader("hedger", assets=100)
    w.trade(hedger, -50)  # sold at 0.975 * 2: loss 2.5 at the index and 2.5 at closing
    # IM = 100 * 5 % = 5, MM = 2.5; at 40,000 bps 10 must stay: (10 + 2.5) / 1.8 = 6.94...
    assert w.venue.free_assets(hedger, 2 * WAD, 40_000) == w.assets(100) - 6944444444444444445
    # at 10,000 bps the initial margin binds: (5 + 2.5) / 1.8 = 4.16...
    assert w.venue.free_assets(hedger, 2 * WAD, 10_000) == w.assets(100) - 4166666666666666667


def test_free_assets__without_position_or_price__all_or_nothing() -> None:
    w = world()
    saver = w.trader("saver", assets=3)
    assert w.venue.free_assets(saver, WAD, 20_000) == w.assets(3)
    w.trade(saver, 1)
    w.trade(saver, -1)  # owes the fees
    assert w.venue.free_assets(saver, 0, 20_000) == 0


def test_margin__insolvent__answers() -> None:
    w = world()
    trader = w.trader("trader", quote=10)
    w.trade(trader, 50)
    margin = w.venue.margin(trader, WAD // 100)
    assert margin[4] < 0
    assert w.venue.free_assets(trader, WAD // 100, 10_000) == 0
    assert w.venue.market(WAD // 100)[0] == w.assets(50)
    assert w.venue.liquidation(trader, WAD // 100)[0]


def test_settle__profit_and_loan__leaves_what_accounts_may_take() -> None:
    pair = Pair(taker_fee_wad=0, maker_fee_wad=0, unwind_step=0)
    w = pair.world
    winner = pair.trader("winner", quote=30)
    borrower = pair.trader("borrower", assets=50)
    pair.trade(winner, w.assets(50))
    pair.trade(borrower, -w.assets(30))  # from K = 50: 30 * 1.035 = 31.05
    w.set_price("1.5")
    pair.trade(borrower, w.assets(30))  # 46.575: a loan of 15.525
    pair.trade(winner, -w.assets(50))  # 50 * 0.5 * 1.025 = 25.625 of profit
    pair.settle()
    # positive balances 55.625, debt 15.525: the venue holds the first, the pool lent the second
    assert w.venue.reserves()[:2] == (w.quotes("55.625"), w.quotes("15.525"))
    assert w.pool.holdings()[0] == w.quotes(1_000) - w.quotes("25.625")
    pair.check_tokens()
    event_before = w.venue.state()
    pair.settle()
    assert w.venue.state() == event_before
