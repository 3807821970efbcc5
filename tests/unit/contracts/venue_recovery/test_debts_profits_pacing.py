# SPDX-License-Identifier: MIT
"""VenueRecovery: interest and forced settlement, realised profit, pacing, reward."""

from __future__ import annotations

import boa
import pytest

from tests.market_world import deploy_feed, deploy_oracle
from tests.venue_world import BP, FREE, NO_FUNDING, NO_REWARD, WAD, World, deploy_rules, world

YEAR = 365 * 86_400  # seconds


def indebted(price: str, **changes: int) -> tuple[World, str]:
    """Return a market where a short of 100 on 100 assets closed at `price`; entered at 1."""
    w = world(**(FREE | {"skew_scale": 10**24, "max_side": 10**21} | changes))
    borrower = w.trader("borrower", assets=100)
    w.trade(borrower, -100)
    w.set_price(price)
    w.trade(borrower, 100)
    return w, borrower


def test_interest__simple_between_touches__to_the_second() -> None:
    w, borrower = indebted("1.3")
    debt = -w.venue.account(borrower).quote
    assert debt == w.quotes("29.9985")  # 30, less 0.005 % of impact at each end
    value = w.venue.pool_value(w.price())
    w.pass_time(YEAR // 2)
    margin = w.venue.margin(borrower, w.price())
    assert margin.quote == -debt - -(-debt // 20)  # 10 % a year, up
    assert 0 <= w.venue.pool_value(w.price()) - value - debt // 20 <= 1  # the pool's, at once
    w.venue.deposit(1, 0, sender=borrower)
    assert w.venue.account(borrower).quote == margin.quote
    assert w.venue.account(borrower).settled_at == boa.env.timestamp


def test_settle_debt__backed__only_by_its_owner() -> None:
    w, borrower = indebted("1.3")
    stranger = w.actor("stranger")
    # 30 of 130: under the half that anyone may call in
    with boa.reverts("venue: debt is backed"):
        w.venue.settle_debt(borrower, sender=stranger)
    sold = w.venue.settle_debt(borrower, sender=borrower)
    assert sold == -(-299_985 * 10**18 // 12_350)  # 29.9985 / (1.3 * 0.95)
    account = w.venue.account(borrower)
    assert account.quote in (0, 1)
    assert account.assets == w.assets(100) - sold
    with boa.reverts("venue: nothing to settle"):
        w.venue.settle_debt(borrower, sender=borrower)


def test_settle_debt__over_its_share__by_anyone_and_equity_does_not_fall() -> None:
    w, borrower = indebted("1.3")
    w.set_price("0.59")  # 30 of 59
    before = w.venue.margin(borrower, w.price()).equity
    value = w.pool.equity(w.price())
    w.venue.settle_debt(borrower, sender=w.actor("stranger"))
    assert w.venue.margin(borrower, w.price()).equity >= before
    assert w.pool.equity(w.price()) > value  # it bought at a discount
    assert w.venue.reserves().debt == 0


def test_liquidate__by_one_who_owes__reward_lowers_the_debt() -> None:
    w, borrower = indebted("1.3", reward_floor=10**5)
    failing = w.trader("failing", quote=8)
    w.trade(failing, 50)
    w.set_price("1.15")  # 7.5 of its 8 are gone
    debt, held = w.venue.account(borrower).quote, w.venue.account(failing).quote
    w.venue.liquidate(failing, sender=borrower)
    event = next(e for e in w.venue.get_logs() if type(e).__name__ == "AccountLiquidated")
    assert event.reward > 0
    assert held > w.venue.account(failing).quote
    assert w.venue.account(borrower).quote == debt + event.reward < 0
    assert w.venue.liquidation(w.pool.address, w.price()) == (False, 0, 0)  # the backstop never


def test_collect__tokens_lent_out__the_pool_sends_what_is_missing() -> None:
    w = world(insurance=5, skew_scale=10**24, max_side=10**21)
    borrower = w.trader("borrower", assets=100)  # brings no quote: fees and losses are lent to him
    w.trade(borrower, -50)
    claim, drawn = w.venue.state()[9], w.quote.balanceOf(w.pool.address)
    assert claim > w.quote.balanceOf(w.venue.address) == 0
    assert w.fund.collect(w.venue.address) == claim
    assert drawn - w.quote.balanceOf(w.pool.address) == claim
    assert w.venue.state()[9] == 0


def test_realise__worse_of_index_and_closing_fill__into_quote() -> None:
    w = world(liquidity=10_000, **FREE, realise_share_wad=WAD)
    trader = w.trader("trader", quote=50)
    w.trade(trader, -100)  # at 0.95 on average
    with boa.reverts("venue: no profit"):
        w.venue.realise(sender=trader)
    w.set_price("0.5")
    # index: 95 - 50 = 45; closing buys back at 0.475: 47.5; the worse is 45
    before = w.venue.margin(trader, w.price())
    assert w.venue.realise(sender=trader) == w.quotes(45)
    after = w.venue.margin(trader, w.price())
    assert (after.quote - before.quote, after.profit) == (w.quotes(45), 0)
    assert after.equity == before.equity
    w.venue.withdraw(0, w.quotes(45), trader, sender=trader)
    other = w.trader("other", quote=50)
    w.trade(other, 150)  # K = 50: closing would now cost more than the index
    w.set_price("0.4")
    assert w.venue.realise(sender=trader) < w.quotes(10)


def test_realise__no_more_in_a_day_than_the_share_of_the_pool() -> None:
    w = world(liquidity=500, **FREE)  # a tenth of pool equity a day
    trader = w.trader("trader", quote=50)
    w.trade(trader, -100)
    w.set_price("0.2")  # a profit of 75, and a pool of about 426
    width = w.pool.equity(w.price()) // 10
    first = w.venue.realise(sender=trader)
    assert abs(first - width) <= 1
    with boa.reverts("venue: no profit payable now"):
        w.venue.realise(sender=trader)
    w.pass_time(43_200)
    assert abs(w.venue.realise(sender=trader) - width // 2) <= 1


def test_liquidate__solvent_accounts__are_paced() -> None:
    w = world(liquidity=10_000, liquidation_flow=10 * 10**18, **NO_FUNDING, **NO_REWARD)
    # entered at 1.03, 1.09 and 1.15: equity of about 1.2 each at 0.85, under 1.6
    accounts = [w.trader(f"of {quote}", quote=quote) for quote in ("12", "15.5", "19.2")]
    for account in accounts:
        w.trade(account, 60)
    w.set_price("0.85")
    assert all(w.venue.liquidation(each, w.price())[0] for each in accounts)
    w.venue.liquidate(accounts[0], sender=w.owner)  # however much: it is not cut
    with boa.reverts("venue: liquidations are paced"):
        w.venue.liquidate(accounts[1], sender=w.owner)
    w.pass_time(600)  # drains ten of what was taken
    with boa.reverts("venue: liquidations are paced"):
        w.venue.liquidate(accounts[1], sender=w.owner)
    w.set_price("0.5")  # without equity nobody has to wait
    w.venue.liquidate(accounts[1], sender=w.owner)
    w.venue.liquidate(accounts[2], sender=w.owner)


def test_liquidate__any_gas_limit__passes_only_where_the_fund_can_pay() -> None:
    """An inner call gets 63/64 of the gas; what is left of too little does not end the outer."""
    w = world(insurance=100, **NO_FUNDING, **NO_REWARD)
    failing = w.trader("failing", quote=16)
    w.trade(failing, 100)
    w.set_price("0.85")  # loses 20 and more of its 16
    refused, covered = 0, set()
    for gas in range(80_000, 600_000, 5_000):
        with boa.env.anchor():
            try:
                w.venue.liquidate(failing, sender=w.owner, gas=gas)
            except boa.BoaError:
                refused += 1
                continue
            event = next(e for e in w.venue.get_logs() if type(e).__name__ == "AccountLiquidated")
            covered.add((event.covered, event.deficit))
    assert refused > 10
    ((paid, deficit),) = covered
    assert paid > w.quotes(4)
    assert deficit == 0


BASE_FEE = """
# pragma version 0.4.3
@external
@view
def base_fee() -> uint256:
    return block.basefee
"""


@pytest.mark.parametrize(
    ("coin", "expected"), [(1, "floor"), (20_000, "gas"), (10**9, "cap"), (None, "floor")]
)
def test_reward__follows_the_gas_price__between_floor_and_cap(
    coin: int | None, expected: str
) -> None:
    w = world(reward_floor=5 * 10**6, reward_cap=50 * 10**6, reward_share_wad=100 * BP, price=2_500)
    feed, quote_feed = deploy_feed((coin or 1) * 10**8), deploy_feed(10**8)
    oracle = deploy_oracle(feed, quote_feed)
    rules = deploy_rules(w.asset, w.quote, w.terms, oracle.address)
    if coin is None:
        boa.env.time_travel(seconds=10**6)  # its price is too old
    price, size = 2_500 * WAD, w.assets(10)
    reward = rules.assess((0, 0, size, w.quotes(26_000), 0, 0), price)[2]
    fee = boa.loads(BASE_FEE).base_fee() + 10**9
    spent = 300_000 * fee * (coin or 1) * WAD // 10**30
    assert reward == {"floor": 5 * 10**6, "gas": spent, "cap": 50 * 10**6}[expected]
    assert (expected == "gas") == (5 * 10**6 < spent < 50 * 10**6)
