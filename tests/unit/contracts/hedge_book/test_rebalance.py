# SPDX-License-Identifier: MIT
"""What a plan may do: the six checks, each beside what passes."""

from __future__ import annotations

import boa
import pytest
from eth_abi import encode
from eth_utils import keccak

from tests.market_world import NOBODY
from tests.vault_world import (
    BPS,
    DAY,
    HOUR,
    LIMIT_NAMES,
    Leg,
    add_settable_venue,
    vault_world,
)

LEG = "(address,uint256,int256,int256,int256,uint256)"
PLAN = f"(uint256,uint256,bytes32,{LEG}[],uint256,int256,uint256)"
RECORD = (
    "(uint256,bytes32,bytes32,address,uint256,uint256,uint256,int256,int256,int256,int256,"
    "int256,int256,int256,uint256,uint256,uint256)"
)


@pytest.fixture
def world():
    """100 assets, unhedged."""
    with boa.env.anchor():
        world = vault_world()
        world.deposit(world.depositor("depositor"), 100)
        yield world


@pytest.fixture
def hedged(world):
    """100 assets, 30 of them margin, short 100; the cooldown is over."""
    world.hedge(0.3)
    world.pass_time(world.limits["cooldown_secs"])
    return world


def events(contract, name):
    return [log for log in contract.get_logs() if type(log).__name__ == name]


def relimited(world, **changes):
    world.book.set_limits(tuple((world.limits | changes)[name] for name in LIMIT_NAMES))


# Carried out


def test_rebalance__first_hedge__moves_margin_trades_and_records(world):
    """
    Selling 100 at L = 100,000: mean fill 1,000 * (1 - 0.0005), so 50 lost on the curve, 50 fee.
    """
    plan = world.plan(Leg(margin_assets=world.assets(30), size=-world.assets(100)))
    head_before = world.state()["audit_head"]
    world.book.rebalance(plan, sender=world.keeper)
    margin = events(world.book, "MarginMoved")[0]
    assert margin.venue == world.venue.address
    assert (margin.assets, margin.quote) == (world.assets(30), 0)
    assert (margin.assets_after, margin.idle_quote_after) == (world.assets(30), 0)
    trade = events(world.book, "HedgeTraded")[0]
    assert trade.decision_id == b"\x11" * 32
    assert (trade.size, trade.delta_before) == (-world.assets(100), 0)
    assert (trade.delta_after, trade.index_price_wad) == (-world.assets(100), 10**21)
    assert trade.cost == -world.quotes(100_000 - 50 - 50)
    rebalanced = events(world.book, "Rebalanced")[0]
    record = rebalanced.record
    assert (record.nav_before, record.nav_after) == (world.quotes(100_000), world.quotes(99_900))
    assert (record.delta_before, record.delta_after) == (world.assets(100), 0)
    assert (record.equity_before, record.equity_after) == (world.assets(100), world.assets("99.9"))
    assert (record.cost, record.turnover) == (world.quotes(100), world.quotes(100_000))
    assert (record.nonce, record.sender, record.hedge_ratio_bps) == (0, world.keeper, BPS)
    assert (record.block_number, record.block_at) == (
        boa.env.evm.patch.block_number,
        boa.env.timestamp,
    )
    assert record.plan_hash == keccak(encode([PLAN], [plan])) == world.book.plan_hash(plan)
    head = keccak(encode(["bytes32", RECORD], [head_before, tuple(record)]))
    assert rebalanced.audit_head == head == world.state()["audit_head"]
    assert world.vault.idle_assets() == world.asset.balanceOf(world.vault.address)
    state = world.state()
    assert (state["nonce"], state["rebalanced_at"]) == (1, boa.env.timestamp)
    assert (state["last_price_wad"], state["last_price_at"]) == (10**21, boa.env.timestamp)


def test_rebalance__audit_chain__second_head_contains_the_first(hedged):
    first = hedged.state()["audit_head"]
    hedged.rebalance(Leg(margin_assets=hedged.assets(1)))
    rebalanced = events(hedged.book, "Rebalanced")[0]
    assert rebalanced.audit_head == keccak(
        encode(["bytes32", RECORD], [first, tuple(rebalanced.record)])
    )


def test_rebalance__margin_out__assets_to_the_vault_quote_to_the_book(hedged):
    """A short in profit: 2,000 realised and taken out as quote, 2 assets of margin as well."""
    hedged.set_price(900)
    hedged.pass_time(0)
    hedged.rebalance(
        Leg(size=hedged.assets(20)), spot_assets=-hedged.assets(20)
    )  # realises a fifth of some 10,000
    idle, held = hedged.state()["idle_quote"], hedged.vault.idle_assets()
    hedged.rebalance(Leg(margin_assets=-hedged.assets(2), margin_quote=-hedged.quotes(1_500)))
    moved = events(hedged.book, "MarginMoved")[0]
    assert (moved.assets, moved.quote) == (-hedged.assets(2), -hedged.quotes(1_500))
    assert moved.idle_quote_after == idle + hedged.quotes(1_500)
    assert hedged.state()["idle_quote"] == hedged.quote.balanceOf(hedged.book.address)
    assert hedged.vault.idle_assets() == held + hedged.assets(2)
    assert hedged.asset.balanceOf(hedged.vault.address) == hedged.vault.idle_assets()


def test_rebalance__spot_sale__quote_stays_in_the_book(hedged):
    """Selling 10 of 100,000 at 1,000 with 0.1 %: 10 * 0.999 against k."""
    expected = hedged.spot.quote_sell(hedged.assets(10))
    hedged.rebalance(Leg(size=hedged.assets(10)), spot_assets=-hedged.assets(10))
    trade = events(hedged.book, "SpotTraded")[0]
    assert (trade.assets, trade.quote) == (-hedged.assets(10), expected)
    assert trade.idle_quote_after == expected == hedged.quote.balanceOf(hedged.book.address)


def test_rebalance__spot_purchase__assets_go_to_the_vault(hedged):
    hedged.rebalance(Leg(size=hedged.assets(10)), spot_assets=-hedged.assets(10))
    hedged.pass_time(HOUR)
    idle, quote = hedged.vault.idle_assets(), hedged.state()["idle_quote"]
    price = hedged.spot.quote_buy(hedged.assets(5))
    hedged.rebalance(Leg(size=-hedged.assets(5)), spot_assets=hedged.assets(5), spot_after=1)
    trade = events(hedged.book, "SpotTraded")[0]
    assert (trade.assets, trade.quote) == (hedged.assets(5), -price)
    assert hedged.vault.idle_assets() == idle + hedged.assets(5)
    assert hedged.state()["idle_quote"] == quote - price
    assert hedged.quote.allowance(hedged.book.address, hedged.spot.address) == 0


def test_rebalance__spot_after__decides_what_quote_margin_there_is(hedged):
    """Quote from a spot sale can be margin of a later leg, not of an earlier one."""
    legs = (Leg(size=hedged.assets(5)), Leg(margin_quote=hedged.quotes(4_000)))
    with boa.reverts("book: not enough idle quote"):
        hedged.rebalance(*legs, spot_assets=-hedged.assets(5), spot_after=2)
    hedged.rebalance(*legs, spot_assets=-hedged.assets(5), spot_after=1)


# 1: nonce, deadline, price, sender


def test_rebalance__not_the_keeper__refused(world):
    for sender in (boa.env.eoa, world.guardian):
        with boa.reverts("book: caller is not the keeper"):
            world.book.rebalance(world.plan(Leg(margin_assets=1)), sender=sender)


@pytest.mark.parametrize("nonce", [0, 2])
def test_rebalance__wrong_nonce__refused(hedged, nonce):
    with boa.reverts("book: wrong nonce"):
        hedged.rebalance(Leg(margin_assets=1), nonce=nonce)


def test_rebalance__deadline__inclusive(hedged):
    with boa.reverts("book: deadline passed"):
        hedged.rebalance(Leg(margin_assets=1), deadline=boa.env.timestamp - 1)
    hedged.rebalance(Leg(margin_assets=1), deadline=boa.env.timestamp)


def test_rebalance__bad_price__oracles_reason(hedged):
    hedged.break_oracle()
    with boa.reverts("oracle: asset feed zero"):
        hedged.rebalance(Leg(margin_assets=1))


# Malformed plans


@pytest.mark.parametrize(
    ("legs", "fields", "reason"),
    [
        ([], {}, "book: plan is empty"),
        ([Leg()], {}, "book: leg is empty"),
        ([Leg(size=1, venue=NOBODY)], {}, "book: unknown venue"),
        ([Leg(size=1, venue="0x" + "77" * 20)], {}, "book: unknown venue"),
        ([Leg(margin_assets=1, instrument=1)], {}, "book: unknown instrument"),
        ([Leg(margin_quote=2**112 + 1)], {}, "book: amount too large"),
        ([Leg(margin_assets=-(2**112) - 1)], {}, "book: amount too large"),
        ([Leg(size=2**112 + 1)], {}, "book: amount too large"),
        ([], {"spot_assets": 2**112 + 1}, "book: amount too large"),
        (
            [],
            {"spot_assets": 1, "spot_limit_price_wad": 10**30 + 1},
            "book: spot limit too large",
        ),
        ([Leg(margin_quote=1)], {}, "book: not enough idle quote"),
        ([Leg(margin_assets=71 * 10**18)], {}, "vault: not enough idle assets"),
    ],
)
def test_rebalance__malformed__own_reason(hedged, legs, fields, reason):
    with boa.reverts(reason):
        hedged.rebalance(*legs, **fields)


def test_rebalance__the_largest_amounts__pass_the_bound_and_are_not_there(hedged):
    with boa.reverts("vault: not enough idle assets"):
        hedged.rebalance(Leg(margin_assets=2**112))
    with boa.reverts("book: not enough idle quote"):
        hedged.rebalance(Leg(margin_quote=2**112))
    with boa.reverts("vault: not enough idle assets"):
        hedged.rebalance(spot_assets=-(2**112))


def test_rebalance__same_venue_traded_twice__refused(world):
    with boa.reverts("book: venue traded twice"):
        world.rebalance(
            Leg(margin_assets=world.assets(30), size=-world.assets(50)),
            Leg(size=-world.assets(50)),
        )


def test_rebalance__spot_limit__refused(hedged):
    """The pool sells at over 1,000 and buys at under it."""
    with boa.reverts("spot: proceeds under min"):
        hedged.rebalance(
            Leg(size=hedged.assets(5)),
            spot_assets=-hedged.assets(5),
            spot_limit_price_wad=10**21,
        )
    hedged.rebalance(Leg(size=hedged.assets(5)), spot_assets=-hedged.assets(5))
    hedged.pass_time(HOUR)
    with boa.reverts("book: spot limit price"):
        hedged.rebalance(
            Leg(size=-hedged.assets(1)),
            spot_assets=hedged.assets(1),
            spot_limit_price_wad=10**21,
        )


def test_rebalance__spot_purchase_for_a_unit_over_its_limit__refused(hedged):
    """The limit is rounded down: a fraction of a quote unit under what is asked is not enough."""
    hedged.rebalance(Leg(size=hedged.assets(5)), spot_assets=-hedged.assets(5))
    hedged.pass_time(HOUR)
    assets = hedged.assets(1)
    asked = hedged.spot.quote_buy(assets)
    limits = [(2 * asked - half) * hedged.base.divisor() // (2 * assets) for half in (1, 0)]
    plan = {"spot_assets": assets, "spot_after": 1}
    with boa.reverts("book: spot limit price"):
        hedged.rebalance(Leg(size=-assets), spot_limit_price_wad=limits[0], **plan)
    hedged.rebalance(Leg(size=-assets), spot_limit_price_wad=limits[1], **plan)


def test_rebalance__leg_limit__is_the_venues(world):
    with boa.reverts("venue: fill over the limit"):
        world.rebalance(
            Leg(
                margin_assets=world.assets(30),
                size=-world.assets(100),
                limit_price_wad=10**21,
            )
        )


# 2: drift


def test_rebalance__inside_the_band__nothing_trades(hedged):
    assert abs(hedged.drift_bps()) < 1
    for legs, fields in (
        ([Leg(size=-hedged.assets("0.1"))], {}),
        ([Leg(size=hedged.assets("0.1"))], {}),
        ([], {"spot_assets": -hedged.assets("0.1")}),
    ):
        with boa.reverts("book: drift inside the band"):
            hedged.rebalance(*legs, **fields)


def test_rebalance__away_from_the_target__refused(hedged):
    hedged.deposit(hedged.depositor("late"), 5)
    with boa.reverts("book: drift not reduced"):
        hedged.rebalance(Leg(size=hedged.assets(1)))


def test_rebalance__partial_correction__gains_a_minimum_step(hedged):
    """Drift 5 / 104.9 = 477 bp; a step of 20 bp is 0.21."""
    hedged.deposit(hedged.depositor("late"), 5)
    with boa.reverts("book: drift not reduced"):
        hedged.rebalance(Leg(size=-hedged.assets("0.2")))
    hedged.rebalance(Leg(size=-hedged.assets("0.22")))


def test_rebalance__overshoot__bounded(hedged):
    """Past the target by at most 50 bp of 105, 0.52."""
    hedged.deposit(hedged.depositor("late"), 5)
    with boa.reverts("book: drift overshoots"):
        hedged.rebalance(Leg(size=-hedged.assets("5.6")))
    hedged.rebalance(Leg(size=-hedged.assets("5.5")))
    assert -50 < hedged.drift_bps() < 0


def test_rebalance__sizes_of_two_signs__refused_unless_neutral(hedged):
    venue = add_settable_venue(hedged)
    hedged.rebalance(Leg(margin_assets=hedged.assets(20), venue=venue.address))
    hedged.deposit(hedged.depositor("late"), 5)
    with boa.reverts("book: sizes differ in sign"):
        hedged.rebalance(
            Leg(size=-hedged.assets(20), venue=venue.address), Leg(size=hedged.assets(15))
        )


def test_rebalance__move_between_venues__allowed_inside_the_band(hedged):
    """Neutral: the cost bound is on the gross, turnover goes to its own bucket."""
    venue = add_settable_venue(hedged)
    hedged.rebalance(
        Leg(margin_assets=hedged.assets(20), size=-hedged.assets(40), venue=venue.address),
        Leg(size=hedged.assets(40)),
    )
    state = hedged.state()
    assert state["neutral_turnover_used"] >= hedged.quotes(80_000) * 999 // 1_000
    assert abs(hedged.drift_bps()) < 1
    assert (hedged.margin().delta, hedged.margin(venue).delta) == (
        -hedged.assets(60),
        -hedged.assets(40),
    )


def test_rebalance__move_that_opens_a_long_against_a_short__refused(hedged):
    """-100 / 0 to -120 / +20 keeps delta, hedges nothing and pays funding at both venues."""
    venue = add_settable_venue(hedged)
    opposed = (Leg(margin_assets=hedged.assets(20), size=hedged.assets(20), venue=venue.address),)
    with boa.reverts("book: positions grow in a move"):
        hedged.rebalance(*opposed, Leg(size=-hedged.assets(20)))


def test_rebalance__almost_neutral__within_a_basis_point_of_the_gross(hedged):
    venue = add_settable_venue(hedged)
    hedged.rebalance(Leg(margin_assets=hedged.assets(20), venue=venue.address))
    with boa.reverts("book: sizes differ in sign"):
        hedged.rebalance(
            Leg(size=-hedged.assets("40.01"), venue=venue.address), Leg(size=hedged.assets(40))
        )
    hedged.rebalance(
        Leg(size=-hedged.assets("40.008"), venue=venue.address), Leg(size=hedged.assets(40))
    )


def test_rebalance__equity_under_the_minimum__only_less_delta():
    """1 asset where the minimum is 2."""
    with boa.env.anchor():
        world = vault_world(min_equity=2 * 10**18)
        world.deposit(world.depositor("depositor"), 1)
        with boa.reverts("book: delta not reduced"):
            world.rebalance(Leg(margin_assets=world.assets("0.5"), size=-world.assets(2)))
        world.rebalance(Leg(margin_assets=world.assets("0.5"), size=-world.assets("0.4")))
        world.rebalance(Leg(margin_assets=world.assets("0.01")))


def test_rebalance__margin_rescue__may_leave_drift_up_to_the_urgent_band(world):
    """
    Short 100 with maintenance 2,500 and equity under 1.5 of it: closing 4 of 100 leaves 4 % of
    drift, over the inner band of 1 % and under the urgent one of 5 %.
    """
    venue = add_settable_venue(world)
    world.rebalance(
        Leg(margin_assets=world.assets(10), size=-world.assets(100), venue=venue.address)
    )
    world.pass_time(world.limits["cooldown_secs"])
    shrink = Leg(size=world.assets(4), venue=venue.address)
    with boa.reverts("book: drift inside the band"):
        world.rebalance(shrink)
    venue.set_maintenance(800)  # 8,000 of maintenance, equity 10,000: 1.25
    with boa.reverts("book: drift not reduced"):
        world.rebalance(Leg(size=world.assets(6), venue=venue.address))
    world.rebalance(shrink)
    assert 390 < world.drift_bps() < 410


def test_rebalance__margin_under_target_over_floor__no_licence_to_drift(world):
    venue = add_settable_venue(world)
    world.rebalance(
        Leg(margin_assets=world.assets(10), size=-world.assets(100), venue=venue.address)
    )
    world.pass_time(world.limits["cooldown_secs"])
    venue.set_maintenance(500)  # 5,000 of 10,000: 2.0
    with boa.reverts("book: drift not reduced"):
        world.rebalance(Leg(size=world.assets(4), venue=venue.address))
    world.rebalance(Leg(size=world.assets("0.5"), venue=venue.address))  # stays inside


# 3: margin and allotment


def test_rebalance__margin_under_target_and_not_better__refused(world):
    """IM 5 %, MM 2.5 %: 3 * 2.51 k of 100 k needs 8.4 assets at a haircut of 10 %."""
    with boa.reverts("book: margin under target"):
        world.rebalance(Leg(margin_assets=world.assets(8), size=-world.assets(100)))
    world.rebalance(Leg(margin_assets=world.assets(9), size=-world.assets(100)))


def test_rebalance__margin_under_target_but_better__passes(hedged):
    hedged.set_price(1_250)
    assert hedged.margin_ratio_bps() < 30_000
    with boa.reverts("book: margin under target"):
        hedged.rebalance(Leg(margin_assets=-hedged.assets("0.1")))
    before = hedged.margin_ratio_bps()
    hedged.rebalance(Leg(margin_assets=hedged.assets("0.1")))
    assert before < hedged.margin_ratio_bps() < 30_000


def test_rebalance__over_the_allotment__refused_unless_lower_than_before(world):
    """60 % of NAV may be at the venue."""
    with boa.reverts("book: over the allotment"):
        world.rebalance(Leg(margin_assets=world.assets("60.1")))
    world.rebalance(Leg(margin_assets=world.assets("59.9")))
    world.book.set_allotment(world.venue.address, 1_000)
    with boa.reverts("book: over the allotment"):
        world.rebalance(Leg(margin_assets=1))
    world.rebalance(Leg(margin_assets=-world.assets(1)))


def test_rebalance__untouched_venue__may_be_under_target(hedged):
    """One frozen venue must not veto the others (A-19)."""
    frozen = add_settable_venue(hedged)
    hedged.rebalance(
        Leg(margin_assets=hedged.assets(10), size=-hedged.assets(20), venue=frozen.address),
        Leg(size=hedged.assets(20)),
    )
    frozen.set_maintenance(4_000)
    hedged.deposit(hedged.depositor("late"), 5)
    hedged.rebalance(Leg(size=-hedged.assets(5)))


# 4: cost and budgets


def test_rebalance__cost_over_its_bound__refused(world):
    """100 bp of 100,000 = 1,000: a fill 101 bp under the index is too dear, 99 bp is not."""
    venue = add_settable_venue(world)
    leg = Leg(margin_assets=world.assets(30), size=-world.assets(50), venue=venue.address)
    venue.set_fill(10**18 * 9_899 // 10_000)
    with boa.reverts("book: cost over its bound"):
        world.rebalance(leg)
    venue.set_fill(10**18 * 9_901 // 10_000)
    world.rebalance(leg)


def test_rebalance__margin_only__may_lose_nothing_but_dust(hedged):
    venue = add_settable_venue(hedged)
    hedged.rebalance(Leg(margin_assets=hedged.assets(5), venue=venue.address))
    for lost, passes in ((16, True), (17, False)):
        with boa.env.anchor():
            thief = boa.loads(THIEF, venue.address, lost)
            hedged.book.eval(f"ledger.venue_words[1] = convert({thief.address}, uint256)")
            hedged.book.set_allotment(thief.address, 6_000)
            if passes:
                hedged.rebalance(Leg(margin_assets=1, venue=thief.address))
            else:
                with boa.reverts("book: cost over its bound"):
                    hedged.rebalance(Leg(margin_assets=1, venue=thief.address))


THIEF = """
from interfaces import IHedgeVenue
VENUE: immutable(IHedgeVenue)
LOST: immutable(int256)
taken: int256
assets: uint256
@deploy
def __init__(venue: address, lost: int256):
    VENUE = IHedgeVenue(venue)
    LOST = lost
@external
def deposit(assets: uint256, quote: uint256):
    self.taken = LOST
    self.assets = assets
@external
@view
def margin(account: address, price_wad: uint256) -> IHedgeVenue.Margin:
    margin: IHedgeVenue.Margin = staticcall VENUE.margin(account, price_wad)
    margin.assets += self.assets
    margin.quote -= self.taken
    return margin
"""


def test_rebalance__cost_budget__is_a_leaky_bucket(world):
    """
    Budget 200 bp of NAV a day: capacity 100 bp, 75 for plans that are not urgent. A fill of 50
    assets 90 bp under the index costs 45 bp of NAV. (Allotment and slippage are wide.)
    """
    relimited(world, urgent_band_bps=10_000)
    venue = add_settable_venue(world, 10_000)
    venue.set_fill(10**18 * 9_910 // 10_000)
    world.rebalance(
        Leg(margin_assets=world.assets(50), size=-world.assets(50), venue=venue.address)
    )
    state = world.state()
    assert abs(state["cost_used"] - world.quotes(450)) < world.quotes(3)
    world.pass_time(world.limits["cooldown_secs"])
    with boa.reverts("book: cost over its budget"):
        world.rebalance(Leg(size=-world.assets(40), venue=venue.address))
    world.rebalance(Leg(size=-world.assets(30), venue=venue.address))  # 45 + 27 of 75
    world.pass_time(DAY // 2)  # 50 leak
    state = world.state()
    assert abs(state["cost_used"] - world.quotes(220)) < world.quotes(8)
    world.rebalance(Leg(size=-world.assets(19), venue=venue.address))
    world.pass_time(2 * DAY)
    assert world.state()["cost_used"] == 0


def test_rebalance__reserve__is_for_urgent_plans(world):
    """The first hedge is urgent (drift 100 %), so it may use the whole capacity of 100 bp."""
    venue = add_settable_venue(world, 10_000)
    venue.set_fill(10**18 * 9_910 // 10_000)
    leg = Leg(margin_assets=world.assets(50), size=-world.assets(90), venue=venue.address)
    with boa.env.anchor():
        relimited(world, urgent_band_bps=10_000)
        with boa.reverts("book: cost over its budget"):
            world.rebalance(leg)
    world.rebalance(leg)


@pytest.mark.parametrize("neutral", [False, True])
def test_rebalance__turnover_budget__has_a_bucket_for_each_kind(world, neutral):
    """Budget of 2 NAV a day: capacity 1 NAV, 0.75 of it when not urgent."""
    relimited(world, turnover_budget_bps=20_000, urgent_band_bps=9_999)
    venue = add_settable_venue(world, 10_000)
    world.rebalance(
        Leg(margin_assets=world.assets(30), size=-world.assets("99.5"), venue=venue.address)
    )
    world.pass_time(world.limits["cooldown_secs"])
    assert world.state()["turnover_used"] > world.quotes(98_000)
    if neutral:
        world.rebalance(Leg(margin_assets=world.assets(20)))
        legs = (Leg(size=world.assets(37), venue=venue.address), Leg(size=-world.assets(37)))
        world.rebalance(*legs)
        world.pass_time(world.limits["cooldown_secs"])
        with boa.reverts("book: turnover over budget"):
            world.rebalance(
                Leg(size=world.assets(2), venue=venue.address), Leg(size=-world.assets(2))
            )
    else:
        world.deposit(world.depositor("late"), 3)
        with boa.reverts("book: turnover over budget"):
            world.rebalance(Leg(size=-world.assets(3), venue=venue.address))


# 5: slippage and size


@pytest.mark.parametrize(
    ("urgent", "fill_bps", "passes"),
    [
        (False, 9_701, True),
        (False, 9_699, False),
        (True, 9_501, True),
        (True, 9_499, False),
    ],
)
def test_rebalance__fill__within_slippage_of_the_index(world, urgent, fill_bps, passes):
    """300 bp, 500 when urgent; the cost bound is out of the way."""
    relimited(
        world,
        urgent_band_bps=500 if urgent else 10_000,
        cost_bound_bps=500,
        cost_budget_bps=1_000,
        urgent_reserve_bps=0,
    )
    venue = add_settable_venue(world)
    venue.set_fill(10**14 * fill_bps)
    leg = Leg(margin_assets=world.assets(30), size=-world.assets(50), venue=venue.address)
    if passes:
        world.rebalance(leg)
    else:
        with boa.reverts("book: slippage"):
            world.rebalance(leg)


@pytest.mark.parametrize("side", [-1, 1])
def test_rebalance__spot_fill__within_slippage_of_the_index(hedged, side):
    """A spot pool at 4 % from the oracle, on the bad side of the trade."""
    hedged.rebalance(Leg(size=hedged.assets(5)), spot_assets=-hedged.assets(5))
    hedged.pass_time(HOUR)
    drift = hedged.assets(2_000)
    trader = hedged.depositor("trader", 10_000)
    for token in (hedged.asset, hedged.quote):
        token.mint(trader, 10**30)
        token.approve(hedged.spot.address, 10**40, sender=trader)
    if side < 0:
        hedged.spot.sell(drift, 0, trader, sender=trader)
    else:
        hedged.spot.buy(drift, 10**30, trader, sender=trader)
    with boa.reverts("book: slippage"):
        hedged.rebalance(
            Leg(size=-side * hedged.assets(1)),
            spot_assets=side * hedged.assets(1),
        )


def test_rebalance__size_cap__binds_each_fill(world):
    relimited(world, max_trade=world.assets(40))
    with boa.reverts("book: trade too large"):
        world.rebalance(Leg(margin_assets=world.assets(30), size=-world.assets(41)))
    with boa.reverts("book: trade too large"):
        world.rebalance(spot_assets=-world.assets(41))
    world.rebalance(Leg(margin_assets=world.assets(30), size=-world.assets(40)))


# 6: cooldown


def test_rebalance__cooldown__binds_trades_that_are_not_urgent(world):
    relimited(world, urgent_band_bps=6_000)
    world.rebalance(Leg(margin_assets=world.assets(30), size=-world.assets(60)))  # urgent
    step = Leg(size=-world.assets(5))
    with boa.reverts("book: cooldown"):
        world.rebalance(step)
    world.rebalance(Leg(margin_assets=world.assets(1)))  # trades nothing: passes, starts nothing
    world.pass_time(world.limits["cooldown_secs"] - 1)
    with boa.reverts("book: cooldown"):
        world.rebalance(step)
    world.pass_time(1)
    world.rebalance(step)


def test_rebalance__urgent_drift__overrides_the_cooldown(world):
    world.rebalance(Leg(margin_assets=world.assets(30), size=-world.assets(50)))
    world.rebalance(Leg(size=-world.assets(50)))


def test_rebalance__margin_under_the_floor__overrides_the_cooldown(world):
    venue = add_settable_venue(world)
    leg = Leg(margin_assets=world.assets(10), size=-world.assets(98), venue=venue.address)
    world.rebalance(leg)
    step = Leg(margin_assets=world.assets(5), size=-world.assets(1), venue=venue.address)
    with boa.reverts("book: cooldown"):
        world.rebalance(step)
    venue.set_maintenance(800)
    world.rebalance(step)


# A venue that does not do as it was told


def test_rebalance__venue_fills_less__refused(world):
    venue = add_settable_venue(world)
    venue.set_faults(9_999, BPS, 0, 0)
    with boa.reverts("book: size not filled"):
        world.rebalance(
            Leg(margin_assets=world.assets(30), size=-world.assets(50), venue=venue.address)
        )


@pytest.mark.parametrize("token", ["asset", "quote"])
def test_rebalance__venue_pays_out_less__refused(hedged, token):
    venue = add_settable_venue(hedged)
    hedged.rebalance(Leg(size=hedged.assets(5)), spot_assets=-hedged.assets(5))
    hedged.rebalance(
        Leg(margin_assets=hedged.assets(5), margin_quote=hedged.quotes(900), venue=venue.address)
    )
    venue.set_faults(BPS, 9_999, 0, 0)
    amount = {"margin_assets": -(10**18)} if token == "asset" else {"margin_quote": -(10**8)}
    reason = "vault: assets not received" if token == "asset" else "book: quote not received"
    with boa.reverts(reason):
        hedged.rebalance(Leg(venue=venue.address, **amount))


def test_rebalance__venue_does_not_pull__refused(hedged):
    """Assets that a venue did not take would be lost in the book."""
    lazy = boa.loads(LAZY)
    hedged.book.add_venue(lazy.address, 6_000)
    with boa.reverts("book: margin not moved"):
        hedged.rebalance(Leg(margin_assets=1, venue=lazy.address))


LAZY = """
from interfaces import IHedgeVenue
@external
def deposit(assets: uint256, quote: uint256):
    pass
@external
@view
def margin(account: address, price_wad: uint256) -> IHedgeVenue.Margin:
    return empty(IHedgeVenue.Margin)
"""


# Pause


def test_pause__lets_top_ups_and_reductions_through(world):
    """Reducing a position counts even when drift grows within what a rescue may leave."""
    venue = add_settable_venue(world)
    world.rebalance(
        Leg(margin_assets=world.assets(10), size=-world.assets(60), venue=venue.address)
    )
    world.book.pause_rebalancing(HOUR, sender=world.guardian)
    assert world.state()["paused_until"] == boa.env.timestamp + HOUR
    for leg in (
        Leg(size=-world.assets(30), venue=venue.address),
        Leg(margin_assets=-world.assets(1), venue=venue.address),
        Leg(margin_assets=world.assets(1), size=world.assets(61), venue=venue.address),
    ):
        with boa.reverts("book: rebalancing is paused"):
            world.rebalance(leg)
    with boa.reverts("book: rebalancing is paused"):
        world.rebalance(spot_assets=-world.assets(30))
    world.rebalance(Leg(margin_assets=world.assets(1), venue=venue.address))
    venue.set_account(
        world.book.address, (world.assets(11), 0, -world.assets(130), -world.quotes(130_000))
    )
    world.rebalance(Leg(size=world.assets(25), venue=venue.address))


def test_pause__over__plans_pass_again(world):
    world.book.pause_rebalancing(HOUR, sender=world.guardian)
    world.pass_time(HOUR)
    world.hedge()
