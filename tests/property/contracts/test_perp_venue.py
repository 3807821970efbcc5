# SPDX-License-Identifier: MIT
"""
Properties of the venue over decimals of asset 6, 8, 18 and quote 6, 18.

Every call goes through `Pair`, which compares the chain with plain integers to the unit.
"""

from __future__ import annotations

import boa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from keeper.simulation.reference import Account, LiquidationRules, Terms
from keeper.simulation.reference.curve import Curve
from keeper.simulation.reference.margin_rules import MarginRules
from tests.market_world import deployer
from tests.reference_world import plain
from tests.venue_pair import Pair
from tests.venue_world import BP, WAD, World, deploy_rules, world

DECIMALS = [(a, q) for a in (6, 8, 18) for q in (6, 18)]
# The first ten examples of Hypothesis are tiny; fewer than this finds nothing.
EXAMPLES = settings(max_examples=30)
each_decimals = st.sampled_from(DECIMALS)
prices = st.integers(10**4, 10**12).map(lambda p: f"{p / 10**6:.6f}")  # 0.01 to a million


Markets = dict[tuple[int, int], World]


@pytest.fixture(scope="module")
def markets() -> Markets:
    """One world per decimals, made before titanoboa's anchor around each example."""
    made = {}
    for decimals in DECIMALS:
        made[decimals] = w = world(*decimals, liquidity=10**10)
        w.trader("trader", quote=10**10)
        w.trader("other", quote=10**10)
    return made


@given(
    decimals=each_decimals,
    price=prices,
    first=st.integers(-99, 99),
    parts=st.lists(st.integers(1, 10**9), min_size=1, max_size=4),
    buy=st.booleans(),
)
@EXAMPLES
def test_trade__in_parts__costs_the_same_to_a_unit_a_part(
    markets: Markets, decimals: tuple[int, int], price: str, first: int, parts: list[int], buy: bool
) -> None:
    w = markets[decimals]
    trader, other = w.actors[0], w.actors[1]
    with boa.env.anchor():
        w.set_price(price)
        if first:
            w.trade(other, first)
        unit = w.assets(1) // 50
        sizes = [(unit + part * w.assets(10) // 10**9) * (1 if buy else -1) for part in parts]
        cost, fee = w.venue.quote_trade(0, sum(sizes), w.price())
        paid = [w.trade_raw(trader, size) for size in sizes]
        # each fill and each fee rounds up once; never in the trader's favour
        assert 0 <= sum(paid) - (cost + fee) <= 2 * len(parts)


@given(
    decimals=each_decimals,
    price=prices,
    first=st.integers(-99, 99),
    share=st.integers(1, 10**6),
    buy=st.booleans(),
)
@EXAMPLES
def test_trade__round_trip__costs_its_fees_and_roundings(
    markets: Markets, decimals: tuple[int, int], price: str, first: int, share: int, buy: bool
) -> None:
    w = markets[decimals]
    trader, other = w.actors[0], w.actors[1]
    with boa.env.anchor():
        w.set_price(price)
        if first:
            w.trade(other, first)
        size = w.assets(1) // 100 + w.assets(50) * share // 10**6
        size = size if buy else -size
        before = w.venue.account(trader)[1]
        skew = w.venue.state()[0] - w.venue.state()[1]
        fee_in = w.venue.quote_trade(0, size, w.price())[1]
        w.trade_raw(trader, size)
        fee_out = w.venue.quote_trade(0, -size, w.price())[1]
        w.trade_raw(trader, -size)
        after = w.venue.account(trader)
        assert after[2:4] == (0, 0)
        assert 0 <= before - after[1] - fee_in - fee_out <= 1
        assert w.venue.state()[0] - w.venue.state()[1] == skew


@given(
    decimals=each_decimals,
    price=prices,
    sizes=st.tuples(st.integers(-90, 90), st.integers(-90, 90)),
    seconds=st.integers(1, 10**6),
)
@EXAMPLES
def test_funding__read__equals_a_settlement_at_that_second(
    markets: Markets, decimals: tuple[int, int], price: str, sizes: tuple[int, int], seconds: int
) -> None:
    w = markets[decimals]
    with boa.env.anchor():
        now = w.set_price(price)
        for account, size in zip(w.actors, sizes, strict=False):
            if size:
                w.trade(account, size)
        before = w.quote.balanceOf(w.pool.address) + w.venue.pool_value(now)
        quotes = sum(w.venue.account(each)[1] for each in w.actors[:2])
        boa.env.time_travel(seconds=seconds)
        w.set_price(price)
        read = [w.venue.margin(each, now) for each in w.actors[:2]]
        value = w.venue.pool_value(now)
        w.venue.accrue()
        assert [w.venue.margin(each, now) for each in w.actors[:2]] == read
        for each in w.actors[:2]:
            w.venue.deposit(1, 0, sender=each)
        for each, margin in zip(w.actors[:2], read, strict=True):
            assert w.venue.account(each)[1] == margin[1]
        # what accounts paid the pool received: value moves, at most two roundings
        assert 0 <= w.venue.pool_value(now) - value <= 2
        paid = quotes - sum(margin[1] for margin in read)
        gained = w.quote.balanceOf(w.pool.address) + w.venue.pool_value(now) - before
        assert abs(gained - paid) <= 1
        assert paid >= 0  # the pool never pays funding


@given(
    decimals=each_decimals,
    price=prices,
    size=st.integers(5, 90),
    long=st.booleans(),
    over=st.integers(1, 300),
)
@EXAMPLES
def test_liquidate__partial__lands_at_initial_margin(
    decimals: tuple[int, int],
    price: str,
    size: int,
    long: bool,
    over: int,
) -> None:
    """At the rate before, to three units; only the position's own margin is at stake."""
    with boa.env.anchor():
        pair = Pair(*decimals, liquidity=10**10, initial_slope_wad=0)  # without a slope
        w, model = pair.world, pair.twins.venue
        w.set_price(price)
        start = w.price()
        signed = w.assets(size) * (1 if long else -1)
        cost = model.curve.cost(0, signed, start) + model.curve.fee(0, signed, start)
        worth = model.margins.value_down(signed, start)
        # margin such that equity comes out `over` / 10,000 of notional under maintenance
        need = model.margins.required(abs(signed), start)[1] - abs(worth) * min(over, 20) // 10_000
        account, liquidator = pair.trader("account"), pair.trader("liquidator")
        extra = abs(worth)
        pair.deposit(account, 0, cost - worth + need + extra)
        pair.trade(account, signed)
        pair.withdraw(account, 0, extra - model.margins.initial(abs(signed), start))
        w.set_price(f"{float(price) * (0.9722 if long else 1.0278):.6f}")
        now = w.price()
        if not pair.venue.liquidation(account, now)[0]:
            return
        done = pair.liquidate(account, liquidator)
        if pair.stored(account)[2] == 0:
            return
        margin = pair.venue.margin(account, now)
        assert margin[4] - margin[5] >= -3
        # one asset unit more, at most, than the formula needs
        assert margin[4] - margin[5] <= 1 + -(-now // w.divisor())
        assert done.deficit == 0


@given(
    decimals=each_decimals,
    size=st.integers(1, 10**24),
    price=st.integers(10**12, 10**25),
    account=st.tuples(
        st.integers(0, 10**24), st.integers(-(10**24), 10**24), st.integers(-(10**27), 10**27)
    ),
    long=st.booleans(),
)
@settings(max_examples=100)
def test_outcome__any_account__agrees_with_the_formula(
    markets: Markets,
    decimals: tuple[int, int],
    size: int,
    price: int,
    account: tuple[int, int, int],
    long: bool,
) -> None:
    """The rules alone, on accounts that no market would reach."""
    w = markets[decimals]
    margins = MarginRules(Curve(Terms(**w.terms), w.divisor()), Terms(**w.terms))
    model = LiquidationRules(margins, Terms(**w.terms), 10 ** (36 - w.quote_decimals))
    assets, quote, entry = account
    size = size % (2 * w.terms["max_side"]) + w.terms["min_size"]
    held = Account(assets, quote, size if long else -size, entry if long else -abs(entry))
    rules = deployer("LiquidationRules.vy").at(w.venue.RULES())
    assert plain(rules.assess(held, price)) == model.assess(held, price)
    if model.assess(held, price)[0]:
        assert plain(rules.outcome(held, Account(), price)) == model.outcome(held, Account(), price)


@given(
    base=st.integers(300, 3_000),
    slope=st.integers(0, 20_000),
    share=st.integers(0, 9_999),
    floor=st.integers(0, 299),
    size=st.integers(10**12, 10**21),
    price=st.integers(10**15, 10**24),
)
@EXAMPLES
def test_margin__accepted_terms__maintenance_under_initial(
    markets: Markets, base: int, slope: int, share: int, floor: int, size: int, price: int
) -> None:
    """A-15 for every accepted set of terms: whoever may open is not liquidatable."""
    w = markets[18, 18]
    terms = w.terms | {
        "initial_base_wad": base * BP,
        "initial_slope_wad": slope * BP,
        "maintenance_share_wad": share * BP,
        "penalty_wad": floor * BP // 2,
        "maintenance_buffer_wad": floor * BP // 2,
        "reward_share_wad": 0,
    }
    rules = deploy_rules(w.asset, w.quote, terms)
    margins = MarginRules(Curve(Terms(**terms), WAD), Terms(**terms))
    initial, maintenance = margins.required(size, price)
    assert maintenance <= initial
    entry = size * price // WAD
    assert rules.assess(Account(0, initial, size, entry), price)[0] is False
