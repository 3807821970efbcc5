# SPDX-License-Identifier: MIT
"""The parts of the reference model that a market seldom reaches, against their contracts."""

from __future__ import annotations

import ast
from pathlib import Path

import boa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.simulation import reference
from keeper.simulation.reference import (
    Account,
    Feed,
    LiquidationRules,
    PriceOracle,
    Reverted,
    Round,
    Source,
    SpotMarket,
    Terms,
    check_terms,
)
from keeper.simulation.reference.curve import Curve
from keeper.simulation.reference.exponential import LARGEST_WAD, SMALLEST_WAD, wad_exp
from keeper.simulation.reference.funding import Funding, mean
from keeper.simulation.reference.margin_rules import MarginRules
from keeper.simulation.reference.position import changed
from keeper.simulation.reference.terms import MAX_FEE_WAD, MAX_SKEW_SCALE
from keeper.units import price_divisor
from tests import market_world
from tests.reference_world import outcome, plain, reason_of
from tests.unit.test_layering import impurities
from tests.venue_world import BP, FEED_UNIT, WAD, default_terms, deploy_rules

FOLDER = Path(reference.__file__).parent
UNSIGNED = ("exponential", "funding", "oracle", "venue_ledger")  # plain `//` there as on chain
DECIMALS = [(18, 6), (8, 18), (6, 6)]

EXPONENTIAL = """
# pragma version 0.4.3
from snekmate.utils import math

@external
@pure
def wad_exp(x: int256) -> int256:
    return math._wad_exp(x)
"""


def said(call, refusal, reason):
    """Return what the call returned, and why it was refused."""
    result, error = outcome(call, refusal)
    return result, None if error is None else reason(error)


def same(on_chain, in_model):
    """Both sides return the same or refuse with the same reason."""
    result, reason = said(on_chain, boa.BoaError, reason_of)
    expected, refusal = said(in_model, Reverted, lambda error: error.reason)
    assert reason == refusal
    assert plain(result) == expected


# Purity


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_model__is_pure_and_of_integers(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert impurities(tree) == []
    for node in ast.walk(tree):
        assert not isinstance(node, ast.Div), "a quotient of floats"
        named = not isinstance(node, ast.FloorDiv) or path.stem in UNSIGNED
        assert named, "a division without a named rounding"
        assert not (isinstance(node, ast.Constant) and isinstance(node.value, float))


# The exponential


@pytest.fixture(scope="module")
def exponential():
    return boa.loads(EXPONENTIAL)


@given(x=st.one_of(st.integers(-43 * WAD, 0), st.integers(-(10**6), LARGEST_WAD + 10**6)))
def test_wad_exp__any_input__equals_snekmate(exponential, x):
    same(lambda: exponential.wad_exp(x), lambda: wad_exp(x))


@pytest.mark.parametrize(
    "x",
    [SMALLEST_WAD - 1, SMALLEST_WAD, SMALLEST_WAD + 1, -1, 0, 1, LARGEST_WAD - 1, LARGEST_WAD],
)
def test_wad_exp__edges__equal_snekmate(exponential, x):
    same(lambda: exponential.wad_exp(x), lambda: wad_exp(x))


def test_wad_exp__minus_one__is_one_over_e():
    assert wad_exp(-WAD) == 367879441171442321


# Funding, curve and position, where the market seldom is

MODULES = """
# pragma version 0.4.3
from interfaces import ILiquidationRules
from modules import curve
from modules import funding
from modules import position

initializes: curve
initializes: funding

@deploy
def __init__(scale: uint256, divisor: uint256, taker: uint256, maker: uint256,
             interest: uint256, band: uint256, cap: uint256):
    curve.__init__(scale, divisor, taker, maker)
    funding.__init__(interest, band, cap)

@external
@view
def owed(premium: int256, longs: int256, shorts: int256, price: int256, secs: int256) -> (
    int256, int256, int256
):
    growth: (int256, int256) = funding.owed(premium, longs, shorts, price, secs)
    return funding.rate(premium), growth[0], growth[1]

@external
@view
def mean(mean_wad: int256, premium: int256, secs: int256) -> int256:
    return funding.mean(mean_wad, premium, secs)

@external
@view
def costs(skew: int256, size: int256, price: uint256) -> (int256, int256, int256, uint256, int256):
    return (
        curve.premium(skew),
        curve.cost(skew, size, price),
        curve.closing_value(skew, size, price),
        curve.fee(skew, size, price),
        curve.cost_over_index(skew, size, price),
    )

@external
@view
def within(skew: int256, size: int256, price: uint256, limit: uint256) -> bool:
    return curve.fill_within(skew, size, price, limit)

@external
@pure
def changed(held: ILiquidationRules.Account, size: int256, cost: int256, closing: int256) -> (
    ILiquidationRules.Account, int256
):
    return position.changed(held, size, cost, closing)
"""


@pytest.fixture(scope="module", params=DECIMALS, ids=lambda pair: f"{pair[0]}x{pair[1]}")
def modules(request):
    """The modules in a contract of their own, their model, and the unit of the asset."""
    terms, divisor = Terms(**default_terms(*request.param)), price_divisor(*request.param)
    chain = boa.loads(
        MODULES,
        terms.skew_scale,
        divisor,
        terms.taker_fee_wad,
        terms.maker_fee_wad,
        terms.interest_wad,
        terms.interest_band_wad,
        terms.funding_cap_wad,
    )
    return chain, Curve(terms, divisor), Funding(terms), 10 ** request.param[0]


prices = st.one_of(st.integers(10**6, 10**12), st.integers(10**16, 10**24))
parts = st.integers(-(10**9), 10**9)


@given(
    premium=st.one_of(st.integers(-10 * BP, 10 * BP), st.integers(-WAD, WAD)),
    sides=st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)),
    price=prices,
    secs=st.integers(0, 10**7),
    mean_wad=st.integers(-WAD, WAD),
)
def test_funding__any_market__equals_contract(modules, premium, sides, price, secs, mean_wad):
    chain, _, model, unit = modules
    longs, shorts = (side * unit // 10**6 for side in sides)
    expected = (model.rate(premium), *model.owed(premium, longs, shorts, price, secs))
    assert plain(chain.owed(premium, longs, shorts, price, secs)) == expected
    assert chain.mean(mean_wad, premium, secs) == mean(mean_wad, premium, secs)


@given(skew=parts, size=parts, price=prices, off_bps=st.integers(-5_000, 5_000))
def test_curve__any_trade__equals_contract(modules, skew, size, price, off_bps):
    chain, model, _, unit = modules
    skew, size = skew * unit // 10**6, size * unit // 10**6
    assert plain(chain.costs(skew, size, price)) == (
        model.premium(skew),
        model.cost(skew, size, price),
        model.closing_value(skew, size, price),
        model.fee(skew, size, price),
        model.cost_over_index(skew, size, price),
    )
    fill = max(price * (2 * model.skew_scale + 2 * skew + size) // (2 * model.skew_scale), 0)
    for limit in (fill, fill + 1, fill * (10_000 + off_bps) // 10_000, 0, 2**256 - 1):
        expected = model.fill_within(skew, size, price, limit)
        assert chain.within(skew, size, price, limit) is expected


@given(size=parts, change=parts, costs=st.tuples(parts, parts, parts), kind=st.integers(0, 3))
def test_position__any_change__equals_contract(modules, size, change, costs, kind):
    chain = modules[0]
    if kind == 0:
        change = -size
    held = Account(7, -5, size, costs[0], 3)
    after, realised = changed(held, change, costs[1], costs[2])
    assert plain(chain.changed(held, change, costs[1], costs[2])) == (tuple(after), realised)


# Terms


@st.composite
def changed_terms(draw):
    """Good terms with one or two numbers at or beyond an edge."""
    terms = default_terms()
    edges = {
        0,
        1,
        WAD - 1,
        WAD,
        WAD + 1,
        10 * WAD,
        10 * WAD + 1,
        MAX_FEE_WAD,
        MAX_FEE_WAD + 1,
        MAX_SKEW_SCALE,
        MAX_SKEW_SCALE + 1,
        *terms.values(),
        *(each + 1 for each in terms.values()),
    }
    for name in draw(st.lists(st.sampled_from(sorted(terms)), min_size=1, max_size=2)):
        terms[name] = draw(st.sampled_from(sorted(edges)))
    return terms


@pytest.fixture(scope="module")
def tokens():
    return market_world.deploy_token(18), market_world.deploy_token(6)


@given(terms=changed_terms())
def test_terms__at_the_edges__are_refused_alike(tokens, terms):
    with boa.env.anchor():
        reason = said(lambda: deploy_rules(*tokens, terms), boa.BoaError, reason_of)[1]
    refusal = said(lambda: check_terms(Terms(**terms)), Reverted, lambda error: error.reason)[1]
    assert reason == refusal


EDGES = [
    ("discount_wad", "haircut_wad"),
    ("maker_fee_wad", "taker_fee_wad"),
    ("interest_wad", "funding_cap_wad"),
    ("interest_band_wad", "funding_cap_wad"),
    ("min_size", "max_side"),
    ("max_side", "skew_scale"),
    ("skew_scale", MAX_SKEW_SCALE),
    ("taker_fee_wad", MAX_FEE_WAD),
    ("skew_share_wad", 10 * WAD),
    ("initial_slope_wad", 10 * WAD),
    *((name, WAD) for name in default_terms() if name.endswith("_wad")),
    *((name, 0) for name in default_terms()),
    ("penalty_wad", 500 * BP - 10 * BP - 50 * BP),  # the floor is the initial margin
]


@pytest.mark.parametrize("off", [-1, 0, 1])
@pytest.mark.parametrize(("name", "edge"), EDGES)
def test_terms__either_side_of_an_edge__are_refused_alike(tokens, name, edge, off):
    terms = default_terms()
    terms[name] = max((terms[edge] if isinstance(edge, str) else edge) + off, 0)
    with boa.env.anchor():
        reason = said(lambda: deploy_rules(*tokens, terms), boa.BoaError, reason_of)[1]
    refusal = said(lambda: check_terms(Terms(**terms)), Reverted, lambda error: error.reason)
    assert reason == refusal[1]


# Liquidation, for accounts that no market would let happen


@pytest.fixture(scope="module", params=DECIMALS, ids=lambda pair: f"{pair[0]}x{pair[1]}")
def rules(request):
    """The contract and the model of the rules, and the units of asset and quote."""
    asset_decimals, quote_decimals = request.param
    terms = default_terms(asset_decimals, quote_decimals)
    chain = deploy_rules(
        market_world.deploy_token(asset_decimals), market_world.deploy_token(quote_decimals), terms
    )
    divisor = price_divisor(asset_decimals, quote_decimals)
    curve = Curve(Terms(**terms), divisor)
    margins = MarginRules(curve, Terms(**terms))
    model = LiquidationRules(margins, Terms(**terms), 10 ** (36 - quote_decimals))
    return chain, model, 10**asset_decimals, 10**quote_decimals


@st.composite
def accounts(draw, most=10**9):
    """Numbers in billionths of 500 assets, at a price of 1 to 1,000 on average."""
    return tuple(draw(st.integers(low, most)) for low in (0, -most, -most, -most))


@given(
    failed=accounts(),
    stop=accounts(),
    price=st.one_of(st.integers(0, 10**6), st.integers(10**6, 10**21)),
    near=st.sampled_from(["anything", "maintenance", "nothing"]),
)
def test_outcome__any_account_and_backstop__equals_contract(rules, failed, stop, price, near):
    chain, model, asset, quote = rules

    def account(raw):
        assets, balance, size, entry = raw
        size = size * 500 * asset // 10**9
        value = size * price // model.margins.curve.price_divisor
        balance, entry = balance * 500 * quote // 10**9, entry * 500 * quote // 10**9
        if near == "maintenance":  # where the partial size is
            balance, entry = abs(value) * balance // (10_000 * quote), value
        if near == "nothing":  # where reward and penalty compete, without margin to sell
            assets, balance, entry = 0, abs(value) * balance // (25_000 * quote), value
        return Account(assets * 50 * asset // 10**9, balance, size, entry, 0)

    one, two = account(failed), account(stop)
    same(lambda: chain.outcome(one, two, price), lambda: tuple(model.outcome(one, two, price)))
    same(lambda: chain.assess(one, price), lambda: model.assess(one, price))


# Oracle


@st.composite
def rounds(draw, now, base):
    """Mostly a good round around `base`, sometimes with one thing wrong."""
    number = draw(st.integers(0, 3))
    answered = number + draw(st.sampled_from([0, 0, 0, 0, 1, -1]))
    return Round(
        round_id=number,
        answer=draw(
            st.one_of(
                st.integers(base * 98 // 100, base * 102 // 100),
                st.sampled_from([base, 0, -1, 10**26, 10**28 + 1]),
            )
        ),
        started_at=now + draw(st.sampled_from([0, 0, 0, 1, -100])),
        updated_at=max(now + draw(st.sampled_from([0, 0, -3_600, -3_601, -86_401, 1, -now])), 0),
        answered_in_round=max(answered, 0),
    )


@pytest.fixture(scope="module")
def oracles():
    """Contract and model of an oracle with both witnesses, and their feeds."""
    bases = (2_000 * FEED_UNIT, FEED_UNIT, 2_000 * FEED_UNIT, FEED_UNIT)
    chain_feeds = [market_world.deploy_feed(base) for base in bases]
    feeds = [Feed(8, base, at=int(boa.env.timestamp)) for base in bases]
    asset, quote, asset_witness, quote_witness = (
        Source(feed, age, threshold)
        for feed, age, threshold in zip(feeds, (3_600, 86_400) * 2, (50, 25) * 2, strict=True)
    )
    model = PriceOracle(asset, quote, 100, asset_witness=asset_witness, quote_witness=quote_witness)
    return market_world.deploy_oracle(*chain_feeds), model, chain_feeds, feeds, bases


@given(draws=st.data(), silent=st.integers(0, 20), wrong=st.integers(0, 4))
def test_oracle__any_rounds__same_price_or_reason(oracles, draws, silent, wrong):
    """One feed is at random, all of them now and then, or one does not answer."""
    chain, model, chain_feeds, feeds, bases = oracles
    now = int(boa.env.timestamp)
    with boa.env.anchor():
        for i, (chain_feed, feed, base) in enumerate(zip(chain_feeds, feeds, bases, strict=True)):
            published = Round(1, base, now, now, 1)
            if wrong in (i, 4):
                published = draws.draw(rounds(now, base))
            chain_feed.set_round(*published)
            chain_feed.set_reverting(i == silent)
            feed.set_round(published)
            feed.reverting = i == silent
        same(chain.read, lambda: tuple(model.read(at=now)))
        ok, price, reason = model.try_read(at=now)
        assert plain(chain.try_read()) == (ok, tuple(price), reason)


@pytest.mark.parametrize("feed", range(4))
@pytest.mark.parametrize("late", [0, 1])
def test_oracle__at_the_last_second__same_answer(oracles, feed, late):
    chain, model, chain_feeds, feeds, bases = oracles
    now = int(boa.env.timestamp)
    with boa.env.anchor():
        for i, base in enumerate(bases):
            age = ((3_600, 86_400)[i % 2] + late) if i == feed else 0
            published = Round(1, base, now - age, now - age, 1)
            chain_feeds[i].set_round(*published)
            feeds[i].set_round(published)
            feeds[i].reverting = False
        same(chain.read, lambda: tuple(model.read(at=now)))


# Spot market, where its bounds are


@given(
    reserves=st.tuples(st.integers(0, 2**121), st.integers(0, 2**121)),
    amount=st.one_of(st.integers(0, 10**6), st.integers(0, 2**121)),
    limit=st.one_of(st.just(0), st.integers(0, 2**121), st.just(2**256 - 1)),
    buying=st.booleans(),
)
def test_spot__any_reserves_and_amount__same(spots, reserves, amount, limit, buying):
    spot, owner = spots
    model = SpotMarket(3 * 10**15, owner)
    with boa.env.anchor():
        same(lambda: spot.seed(*reserves), lambda: model.seed(owner, *reserves))
        if buying:
            same(lambda: spot.buy(amount, limit, owner), lambda: model.buy(amount, limit, owner))
        else:
            same(lambda: spot.sell(amount, limit, owner), lambda: model.sell(amount, limit, owner))
        assert plain(spot.reserves()) == model.reserves()
        same(
            lambda: spot.withdraw(amount, limit, owner),
            lambda: model.withdraw(owner, amount, limit, owner),
        )


@pytest.fixture(scope="module")
def spots():
    asset, quote, spot = market_world.deploy_spot(18, 6)
    owner = str(boa.env.eoa)
    market_world.fund(owner, spot, asset, quote, amount=2**140)
    return spot, owner
