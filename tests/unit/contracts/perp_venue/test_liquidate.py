# SPDX-License-Identifier: MIT
"""PerpVenue.liquidate: who, how much, at what price, and who bears the loss."""

from __future__ import annotations

from typing import Any

import boa
import pytest

from tests.venue_pair import Pair
from tests.venue_world import BP, WAD, world

FREE = {"taker_fee_wad": 0, "maker_fee_wad": 0, "unwind_step": 0}
# IM 10 %, MM 5 %, penalty 1.5 %, no reward: numbers to do in the head
PLAIN = FREE | {
    "initial_base_wad": 1_000 * BP,
    "initial_slope_wad": 0,
    "reward_floor": 0,
    "reward_cap": 0,
}
REWARDED = {"reward_floor": 10**6, "reward_cap": 10**6, "reward_share_wad": 50 * BP}
DECIMALS = [(a, q) for a in (6, 8, 18) for q in (6, 18)]

LIAR = """
# pragma version 0.4.3
from ethereum.ercs import IERC20
QUOTE: public(address)
held: public(uint256)
mode: public(uint256)
victim: address

@deploy
def __init__(quote: address):
    self.QUOTE = quote

@external
def set_mode(mode: uint256, victim: address):
    self.mode = mode
    self.victim = victim

@external
@view
def available(venue: address) -> uint256:
    assert self.mode != 1, "fund: broken"
    return max_value(uint256)

@external
def cover(amount: uint256) -> uint256:
    assert self.mode != 1, "fund: broken"
    if self.mode == 2:
        for i: uint256 in range(1_000_000):
            self.held = i
    if self.mode == 3:
        raw_call(self.victim, abi_encode(self.victim, method_id=method_id("liquidate(address)")))
    if self.mode == 4:
        extcall IERC20(self.QUOTE).transfer(msg.sender, amount // 2)
    return amount
"""


def fallen(price: str = "0.94", *, insurance: float = 0, **changes: int) -> tuple[Pair, str]:
    """Return a market where a long of 100 (entry 105, margin 16) has seen the price fall."""
    pair = Pair(insurance=insurance, **(PLAIN | changes))
    long = pair.trader("long", quote=16)
    pair.trade(long, pair.world.assets(100))
    pair.world.set_price(price)
    return pair, long


def event_of(pair: Pair) -> Any:
    """Return the liquidation event of the last call."""
    return next(e for e in pair.logs if type(e).__name__ == "AccountLiquidated")


def test_liquidate__healthy_to_the_unit__refused() -> None:
    pair, long = fallen()
    liquidator = pair.trader("liquidator")
    # E = 16 + 94 - 105 = 5 at 0.94, MM = 4.7
    with boa.reverts("venue: account is healthy"):
        pair.venue.liquidate(long, sender=liquidator)
    # E = MM: 100 p - 89 = 5 p, p = 89/95 = 0.93684210...: at 0.93684211 still healthy
    pair.world.set_price("0.93684211")
    with boa.reverts("venue: account is healthy"):
        pair.venue.liquidate(long, sender=liquidator)
    assert pair.venue.liquidation(long, pair.world.price())[0] is False
    pair.world.set_price("0.93684210")
    assert pair.venue.liquidation(long, pair.world.price())[0] is True
    pair.liquidate(long, liquidator)


def test_liquidate__partial__lands_at_initial_margin() -> None:
    pair, long = fallen("0.93")
    liquidator = pair.trader("liquidator")
    # E = 16 + 93 - 105 = 4; x = (9.3 - 4) / (0.93 * (10 % - 1.5 %)) = 67.0461...
    done = pair.liquidate(long, liquidator)
    assert done.size == -(-53 * 10**22 // 7_905)
    price = pair.world.price()
    margin = pair.venue.margin(long, price)
    assert -3 <= margin[4] - margin[5] <= 0  # margin, cost and penalty each round up
    # penalty 1.5 % of 62.3529... = 0.935294..., a fifth of it the fund's
    assert done.penalty == 935_295
    assert pair.venue.state()[9] == 935_295 // 5
    assert pair.stored(pair.world.pool.address)[2] == done.size
    assert pair.venue.market(price)[0] == pair.world.assets(100)  # K does not jump


def test_liquidate__event__rebuilds_both_accounts() -> None:
    pair, long = fallen("0.93", reward_floor=10**5, reward_cap=10**5, reward_share_wad=10 * BP)
    liquidator = pair.trader("liquidator", quote=1)
    before = pair.stored(long)
    done = pair.liquidate(long, liquidator)
    event = event_of(pair)
    assert (event.account, event.liquidator) == (long, liquidator)
    outcome = event.outcome
    assert (outcome.size, outcome.size_after, outcome.entry_after, outcome.quote_after) == (
        done.size,
        *pair.stored(long)[2:4],
        pair.stored(long)[1],
    )
    assert event.quote_before == before[1] - event.funding
    stop = pair.stored(pair.world.pool.address)
    assert (outcome.backstop_size_after, outcome.backstop_entry_after) == stop[2:4]
    assert event.liquidator_quote_after == pair.stored(liquidator)[1]
    assert (event.pool_claim_after, event.fund_claim_after) == pair.venue.state()[8:10]
    assert event.reward == done.reward == 93_000  # 10 bp of 93, under 0.1 flat
    assert event.price_wad == pair.world.price()
    assert event.oracle_round_id > 0


def test_liquidate__backstop_takes_below_the_index_a_long_above_it_a_short() -> None:
    pair = Pair(**PLAIN)
    long = pair.trader("long", quote=16)
    short = pair.trader("short", quote=16)
    liquidator = pair.trader("liquidator")
    size = pair.world.assets(100)
    pair.trade(long, size)  # entry 105
    pair.trade(short, -size)  # entry -105, K = 0
    pair.world.set_price("0.9")
    done = pair.liquidate(long, liquidator)  # E = 1: all of it; -15 + 16 - 1.35 < 0
    assert done.size == size
    assert done.penalty == pair.world.quotes(1)
    stop = pair.stored(pair.world.pool.address)
    assert stop[2:4] == (size, pair.world.quotes("88.65"))  # 100 * 0.9 * (1 - 1.5 %)
    pair.world.set_price("1.2")
    done = pair.liquidate(short, liquidator)  # E = 16 + 105 - 120 = 1
    assert done.size == -size
    assert pair.stored(pair.world.pool.address)[2:4] == (0, 0)  # they met in the backstop
    assert pair.venue.market(pair.world.price())[2:4] == (0, 0)
    pair.check_tokens()
    pair.check_value(pair.world.price())


def test_liquidate__remainder_under_minimum__takes_all() -> None:
    pair, long = fallen("0.93", min_size=40 * 10**18)
    done = pair.liquidate(long, pair.trader("liquidator"))  # 67.05 would leave 32.95
    assert done.size == pair.world.assets(100)


def test_liquidate__full__sells_only_the_asset_margin_that_is_lacking() -> None:
    pair = Pair(**PLAIN)
    w = pair.world
    long = pair.trader("long", assets=18)
    pair.trade(long, w.assets(100))
    w.set_price("0.9")
    # quote 0; at the index 90 - 105 = -15; 18 * 0.9 * 0.9 = 14.58: E = -0.42
    assert pair.venue.margin(long, w.price())[4] == w.quotes("-0.42")
    done = pair.liquidate(long, pair.trader("liquidator"))
    # 18 * 0.9 * 0.95 = 15.39: loss 15, 0.39 of the 1.35 penalty
    assert done.sold == w.assets(18)
    assert (done.penalty, done.deficit, done.covered) == (w.quotes("0.39"), 0, 0)
    assert pair.venue.reserves()[1:] == (0, w.assets(18))
    pair.settle()
    assert w.pool.holdings()[1] == w.assets(18)
    pair.check_tokens()


def test_liquidate__partial__keeps_its_loan_and_its_assets() -> None:
    pair = Pair(**PLAIN)
    w = pair.world
    long = pair.trader("long", assets=15, quote="0.1")
    pair.trade(long, w.assets(30))  # entry 30.45
    w.set_price("0.97")
    pair.trade(long, -w.assets(30))  # 3 % of it lost
    assert pair.stored(long)[1] == -w.quotes("0.8135")
    pair.trade(long, w.assets(80))  # entry 80.704
    w.set_price("0.907")  # E = 12.24 - 0.81 + 72.56 - 80.70 = 3.29; MM = 3.63
    done = pair.liquidate(long, pair.trader("liquidator"))
    assert 0 < done.size < w.assets(80)
    assert done.sold == 0
    assert pair.stored(long)[0] == w.assets(15)
    assert pair.stored(long)[1] < 0


@pytest.mark.parametrize(("insurance", "covered", "deficit"), [(0, 0, 4), (3, 3, 1), (100, 4, 0)])
def test_liquidate__waterfall__fund_then_pool(insurance: int, covered: int, deficit: int) -> None:
    pair, long = fallen("0.85", insurance=insurance)
    w = pair.world
    # 16 + 85 - 105 = -4: no penalty, a loss of 4
    done = pair.liquidate(long, pair.trader("liquidator"))
    assert (done.penalty, done.covered, done.deficit) == (
        0,
        w.quotes(covered),
        w.quotes(deficit),
    )
    assert w.fund.held() == w.quotes(insurance - covered)
    assert pair.venue.queue(True) == ((w.quotes(deficit), w.assets(100)) if deficit else (0, 0))
    assert pair.venue.queue(False) == (0, 0)
    assert pair.stored(long)[:4] == (0, 0, 0, 0)
    pair.check_tokens()
    pair.check_value(w.price())


def test_liquidate__fund_claim_here__is_used_before_its_balance() -> None:
    pair, long = fallen("0.85", insurance=100, taker_fee_wad=100 * BP)
    w = pair.world
    claim = pair.venue.state()[9]
    assert claim == w.quotes("0.2")  # a fifth of 1 % of 100
    done = pair.liquidate(long, pair.trader("liquidator"))
    assert done.covered == w.quotes(5)
    assert pair.venue.state()[9] == 0
    assert w.fund.held() == w.quotes(100) - w.quotes("4.8")


def test_liquidate__bankrupt__fund_pays_the_reward_too() -> None:
    pair, long = fallen(
        "0.85", insurance=100, reward_floor=10**6, reward_cap=10**6, reward_share_wad=50 * BP
    )
    w = pair.world
    liquidator = pair.trader("liquidator")
    done = pair.liquidate(long, liquidator)
    assert done.reward == w.quotes("0.425")  # 50 bp of 85
    assert w.fund.held() == w.quotes("95.575")
    pair.withdraw(liquidator, 0, done.reward)


def test_liquidate__bankrupt_and_no_fund__no_reward_no_revert() -> None:
    pair, long = fallen("0.85", **REWARDED)
    done = pair.liquidate(long, pair.trader("liquidator"))
    assert (done.reward, done.deficit) == (0, pair.world.quotes(4))


@pytest.mark.parametrize("mode", [0, 1, 2, 3, 4])
def test_liquidate__fund_lies_reverts_burns_or_reenters__goes_on(mode: int) -> None:
    """0 answers without paying, 1 reverts, 2 burns gas, 3 re-enters, 4 pays half."""
    from tests.venue_world import deploy_pool, deploy_venue

    w = world(**PLAIN)
    fund = boa.loads(LIAR, w.quote.address)
    w.quote.mint(fund.address, w.quotes(1_000))
    pool = deploy_pool(w.asset, w.quote, w.oracle)
    venue = deploy_venue((w.asset, w.quote, w.oracle, pool, fund), w.terms)
    pool.set_venue(venue.address)
    w.quote.approve(pool.address, 2**256 - 1)
    pool.request_provide(w.quotes(1_000), 0)
    pool.execute_provide(w.owner)
    fund.set_mode(mode, venue.address)
    long = w.actor("long")
    w.quote.approve(venue.address, 2**256 - 1, sender=long)
    venue.deposit(0, w.quotes(16), sender=long)
    venue.trade(0, w.assets(100), 2**256 - 1, sender=long)
    w.set_price("0.85")
    assert venue.market(w.price())[17] >= 0
    venue.liquidate(long, sender=w.actor("liquidator"))
    arrived = w.quotes(2) if mode == 4 else 0
    assert venue.queue(True)[0] == w.quotes(4) - arrived
    assert venue.reserves()[0] == w.quote.balanceOf(venue.address) == w.quotes(16) + arrived


def test_liquidate__oneself__reward_comes_back_and_penalty_does_not() -> None:
    pair, long = fallen("0.93", reward_floor=10**5, reward_cap=10**5)
    price = pair.world.price()
    before = pair.venue.margin(long, price)[4]
    done = pair.liquidate(long, long)
    assert pair.venue.margin(long, price)[4] in (
        before - done.penalty,
        before - done.penalty - 1,
    )


def test_liquidate__loan_without_position__margin_is_sold() -> None:
    pair = Pair(**PLAIN)
    w = pair.world
    borrower = pair.trader("borrower", assets=10)
    pair.trade(borrower, w.assets(40))  # entry 40.8
    w.set_price("0.9")
    pair.trade(borrower, -w.assets(40))  # a tenth of it lost
    with boa.reverts("venue: account is healthy"):
        pair.venue.liquidate(borrower, sender=borrower)
    w.set_price("0.45")  # 4.05 after the haircut, 4.08 owed
    done = pair.liquidate(borrower, pair.trader("liquidator"))
    # 4.08 / (0.45 * 0.95) = 9.5438...
    assert (done.size, done.deficit, done.penalty) == (0, 0, 0)
    assert done.sold == -(-408 * 10**18 * 10**2 // (45 * 95))
    assert pair.stored(borrower)[1] == 0


def test_liquidate__backstop_or_bad_price__refused() -> None:
    pair, long = fallen("0.5")
    with boa.reverts("venue: backstop account"):
        pair.venue.liquidate(pair.world.pool.address, sender=long)
    assert pair.venue.liquidation(pair.world.pool.address, WAD) == (False, 0, 0)
    boa.env.time_travel(seconds=7_200)
    with boa.reverts("oracle: asset feed stale"):
        pair.venue.liquidate(long, sender=long)


@pytest.mark.parametrize(("asset_decimals", "quote_decimals"), DECIMALS)
def test_liquidate__any_decimals__agrees_with_the_model(
    asset_decimals: int, quote_decimals: int
) -> None:
    pair = Pair(asset_decimals, quote_decimals, price="1234.5", liquidity=1_000_000, insurance=50)
    w = pair.world
    long = pair.trader("long", quote=11_000)
    short = pair.trader("short", assets=20)
    liquidator = pair.trader("liquidator")
    pair.trade(long, w.assets("77.7"))
    pair.trade(short, -w.assets("99.9"))
    for price in ("1181.7", "1130.9", "1091.1", "1301.3", "1402.9", "1466.6", "1999.9"):
        w.pass_time(5_000)
        w.set_price(price)
        for account in (long, short):
            if pair.venue.liquidation(account, w.price())[0]:
                pair.liquidate(account, liquidator)
        pair.check_tokens()
        pair.check_value(w.price())
