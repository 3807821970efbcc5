# SPDX-License-Identifier: MIT
"""Orders over several venues: who takes what, and who takes over."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.explain import recompute
from keeper.guard import Safety, Spent, objection
from keeper.outcome import project
from keeper.plan import is_neutral, size_total
from keeper.policy import Memory, Policy
from keeper.risk import assess
from keeper.routing import Lane, split
from keeper.simulation.backtest import defaults
from keeper.simulation.backtest.world import SingleFeed, World
from keeper.simulation.reference import Reverted, build
from keeper.simulation.reference.hedge_vault import HedgeVault, Registered
from keeper.snapshot import Block, Snapshot
from keeper.strategy import Hold, Rebalance, decide
from keeper.units import WAD
from tests.keeper_world import ETHER, KEEPER, LIMITS, address, market, snapshot, venue

NO_FUNDING = Policy(funding_horizon_secs=0)
FIRST, SECOND, THIRD = address(20), address(21), address(22)


def sizes(state, policy=NO_FUNDING):
    decision = decide(state, policy, Memory())
    assert isinstance(decision, Rebalance), decision.reason
    assert recompute(decision.lines) is None
    found = objection(
        state, decision.plan, policy=policy, safety=Safety(), spent=Spent(), sender=KEEPER,
        killed=False,
    )  # fmt: skip
    assert found is None
    return {leg.venue: leg.size for leg in decision.plan.legs}


def test_split__equal_venues__half_each():
    lane = Lane(market=market(), most=10**30)
    assert split([lane, lane], -100 * ETHER, 0) == (-50 * ETHER, -50 * ETHER)


def test_split__scales_of_one_and_three__by_scale():
    """No skew, one fee: marginal impact is n / L, so sizes are as 1 to 3."""
    lanes = [Lane(market=market(skew_scale=x * 10**5 * ETHER), most=10**30) for x in (1, 3)]
    assert split(lanes, 8 * ETHER, 0) == (2 * ETHER, 6 * ETHER)


def test_split__maker_rebate__first_what_lowers_the_skew():
    """Selling into +10: it starts 10 / L better and 3 bp cheaper, until both price alike."""
    lanes = [Lane(market=market(skew=skew * ETHER), most=10**30) for skew in (0, 10)]
    parts = split(lanes, -30 * ETHER, 0)
    # a / L + 5 bp = (b - 10) / L + 5 bp over the 10 that are lowered, with a + b = 30
    assert parts == (-10 * ETHER, -20 * ETHER)


def test_split__funding__the_short_goes_where_longs_pay_more():
    """1 bp of rate over a day is 3 bp: with L of 100,000, 15 to either side of the half."""
    rates = [10**14, 2 * 10**14]
    lanes = [Lane(market=market(funding_rate_wad=rate), most=10**30) for rate in rates]
    assert split(lanes, -100 * ETHER, 86_400) == (-35 * ETHER, -65 * ETHER)
    assert split(lanes, 100 * ETHER, 86_400) == (65 * ETHER, 35 * ETHER)


def test_split__less_room_than_order__all_rooms():
    lanes = [Lane(market=market(), most=3), Lane(market=market(), most=4)]
    assert split(lanes, -9, 0) == (-3, -4)
    assert split(lanes, 0, 0) == (0, 0)
    assert split([], 5, 0) == ()


def two(first=None, second=None, idle=100, **more):
    return snapshot(
        venue(address=FIRST, **(first or {})),
        venue(address=SECOND, **(second or {})),
        idle_assets=idle * ETHER,
        **more,
    )


def test_decide__two_equal_venues__half_the_hedge_at_each_with_its_margin():
    state = two()
    decision = decide(state, NO_FUNDING, Memory())
    legs = decision.plan.legs
    assert [leg.size for leg in legs] == [-50 * ETHER, -50 * ETHER]
    assert legs[0].margin_assets == legs[1].margin_assets > 15 * ETHER
    assert sizes(state) == {FIRST: -50 * ETHER, SECOND: -50 * ETHER}


@pytest.mark.parametrize(
    "closed",
    [
        {"allotment_bps": 0},
        {"max_side": 0},
        {"max_side": 10 * ETHER, "short_size": 10 * ETHER, "long_size": 10 * ETHER},
    ],
    ids=["no allotment", "no side", "full side"],
)
def test_decide__venue_closed_to_new_positions__the_other_takes_it_all(closed):
    assert sizes(two(first=closed)) == {SECOND: -100 * ETHER}


def test_decide__capped_venue__takes_its_cap_and_the_other_the_rest():
    assert sizes(two(first={"max_side": 20 * ETHER})) == {FIRST: -20 * ETHER, SECOND: -80 * ETHER}


@pytest.mark.parametrize(("shut", "open_one"), [(1, SECOND), (2, FIRST)])
def test_decide__venue_shut_by_the_operator__nothing_is_sent_there(shut, open_one):
    policy = replace(NO_FUNDING, shut_venues=shut)
    assert sizes(two(), policy) == {open_one: -100 * ETHER}


def test_decide__shut_venue_low_on_margin__is_not_topped_up():
    low = {"assets": 10 * ETHER, "delta": -100 * ETHER}
    state = two(first=low, idle=90)
    assert "margin is low" in decide(state, NO_FUNDING, Memory()).reason
    shut = decide(state, replace(NO_FUNDING, shut_venues=1), Memory())
    assert isinstance(shut, Hold)


def test_decide__all_venues_shut__says_so():
    decision = decide(two(), replace(NO_FUNDING, shut_venues=3), Memory())
    assert decision.reason == "the vault has no venue that is not shut"


def test_decide__all_venues_closed__says_why():
    decision = decide(two({"max_side": 0}, {"max_side": 0}), NO_FUNDING, Memory())
    assert isinstance(decision, Hold)
    assert "no venue takes a part of it: the venue's open interest is at its cap" in decision.reason


def test_decide__premium_of_one_far_from_its_mean__the_other_takes_it_all():
    """At 2 % over the index the first is cheaper to sell at, but its mean is 5 %."""
    pushed = {"skew": 2_000 * ETHER, "mean_premium_wad": 5 * 10**16}
    second = {"delta": -95 * ETHER, "assets": 40 * ETHER}
    state = two(first=pushed, second=second, idle=60)
    assert set(sizes(state)) == {SECOND}
    assert set(sizes(state, replace(NO_FUNDING, max_premium_gap_bps=400))) == {FIRST}


def test_decide__idle_short_of_both_targets__legs_share_it():
    """Each leg of 50 wants some 17.8 assets of margin; the second makes do with what is left."""
    third = venue(address=THIRD, assets=70 * ETHER, max_side=0)
    state = snapshot(venue(address=FIRST), venue(address=SECOND), third, idle_assets=30 * ETHER)
    policy = replace(NO_FUNDING, idle_reserve_bps=0)
    assert sizes(state, policy) == {FIRST: -50 * ETHER, SECOND: -50 * ETHER}
    first, second = decide(state, policy, Memory()).plan.legs
    assert first.margin_assets + second.margin_assets == 30 * ETHER
    assert first.margin_assets > second.margin_assets


def test_decide__larger_than_one_trade_may_be__both_trade_as_much():
    limits = replace(LIMITS, max_trade=30 * ETHER)
    assert sizes(two(limits=limits)) == {FIRST: -30 * ETHER, SECOND: -30 * ETHER}


def test_decide__buying_back__where_a_short_stands_though_the_other_is_cheaper():
    """Too short by 20: the empty venue sells at a discount, but nothing long is opened."""
    short = {"delta": -120 * ETHER, "assets": 60 * ETHER, "skew": 500 * ETHER}
    state = two(first=short, second={"skew": -500 * ETHER}, idle=40)
    assert set(sizes(state)) == {FIRST}


def test_decide__buying_back_from_both__by_cost_as_far_as_each_is_short():
    first = {"delta": -4 * ETHER, "assets": 10 * ETHER, "skew": -900 * ETHER}
    second = {"delta": -116 * ETHER, "assets": 60 * ETHER, "skew": -100 * ETHER}
    state = two(first=first, second=second, idle=30)
    found = sizes(state)
    assert found[FIRST] == 4 * ETHER
    assert found[FIRST] + found[SECOND] == 20 * ETHER


def test_decide__part_too_small_for_a_trade__goes_to_the_other():
    """Scales as 1 to 9,999: a hundredth of the hedge of 100 is under 5 bps of equity."""
    thin = {"skew_scale": 10_000 * ETHER, "max_side": 10**4 * ETHER}
    deep = {"skew_scale": 99_990_000 * ETHER}
    assert sizes(two(first=thin, second=deep)) == {SECOND: -100 * ETHER}


def test_decide__three_venues__least_cost_beats_each_alone():
    skews = {FIRST: 0, SECOND: 40, THIRD: -40}
    venues = [venue(address=a, skew=s * ETHER) for a, s in skews.items()]
    state = snapshot(*venues, idle_assets=100 * ETHER)
    found = sizes(state)
    assert list(found) == [FIRST, SECOND]
    # marginals meet: a + 5 bp = b - 40 + 5 bp (of L), a + b = 100; the third starts 40 worse
    assert found == {FIRST: -30 * ETHER, SECOND: -70 * ETHER}


@st.composite
def places(draw):
    """Two or three venues of any depth, skew and position, some closed."""
    held = []
    for i in range(draw(st.integers(2, 3))):
        short = draw(st.integers(0, 80))
        scale = draw(st.sampled_from([5_000, 100_000]))
        held.append(
            venue(
                address=address(20 + i),
                assets=draw(st.integers(short // 3, short)) * ETHER,
                delta=-short * ETHER,
                skew=draw(st.integers(-scale // 100, scale // 100)) * ETHER,
                skew_scale=scale * ETHER,
                max_side=draw(st.sampled_from([0, 40, 50_000])) * ETHER,
                short_size=short * ETHER,
                funding_rate_wad=draw(st.integers(-30, 30)) * 10**14,
                allotment_bps=draw(st.sampled_from([0, 4_000, 10_000])),
            )
        )
    return snapshot(*held, idle_assets=draw(st.integers(0, 100)) * ETHER)


@given(state=places(), shut=st.integers(0, 7), hedging=st.booleans())
def test_decide__any_venues__plan_passes_the_guard_and_lowers_drift(state, shut, hedging):
    policy = Policy(shut_venues=shut)
    decision = decide(state, policy, Memory(hedging=hedging))
    assert recompute(decision.lines) is None
    if not isinstance(decision, Rebalance):
        return
    legs = decision.plan.legs
    found = objection(
        state, decision.plan, policy=policy, safety=Safety(), spent=Spent(), sender=KEEPER,
        killed=False,
    )  # fmt: skip
    assert found is None
    assert len({leg.venue for leg in legs if leg.size}) == len([leg for leg in legs if leg.size])
    closed = {v.venue for i, v in enumerate(state.vault.venues) if shut >> i & 1}
    assert not closed & {leg.venue for leg in legs}
    before = assess(state.vault)
    after = project(state.vault, decision.plan, before).after
    if size_total(decision.plan) and not before.margin_urgent and not is_neutral(decision.plan):
        assert after.drift_bps < before.drift_bps


def test_rebalance__plan_over_two_venues__the_reference_model_carries_it_out():
    """The model agrees with the contracts to the unit; a later second moves funding only."""
    setup = defaults.setup()
    index = SingleFeed()
    index.publish(2_000.0, at=0)
    world = World(setup, index, at=0)
    other = build(setup.terms, index, asset_decimals=18, quote_decimals=6, at=0)
    other.pool.request_provide("owner", setup.pool_quote, at=0)
    other.pool.execute_provide("owner", at=0)
    other.address = "0x" + "6" * 40
    other.deposit("trader", 0, 10**15, at=0)
    other.trade("trader", 0, 40 * ETHER, 10**36, at=0)
    both = [Registered(world.venue, 8_000), Registered(other, 8_000)]
    vault = HedgeVault(setup.identity, index, world.spot, both, setup.limits)
    vault.credit(100 * ETHER, at=0)
    block = Block(number=1, hash="0x", parent_hash="", at=0, base_fee=0)
    seen = Snapshot(block=block, vault=vault.snapshot(at=0), words=b"")
    plan = decide(seen, NO_FUNDING, Memory()).plan
    assert [leg.size for leg in plan.legs] == [-30 * ETHER, -70 * ETHER]
    after = vault.rebalance(plan, at=12)
    assert after.drift_wad < WAD // 1_000
    assert [margin.delta for margin in after.margins] == [-30 * ETHER, -70 * ETHER]
    assert size_total(plan) == -100 * ETHER
    with pytest.raises(Reverted, match="wrong nonce"):
        vault.rebalance(plan, at=13)
