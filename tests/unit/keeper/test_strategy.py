# SPDX-License-Identifier: MIT
"""The decision table, and properties of every decision."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.explain import Line, Sheet, recompute
from keeper.guard import Safety, Spent, _turnover, objection
from keeper.outcome import project
from keeper.plan import is_neutral, size_total
from keeper.policy import Memory, Policy, decode_memory, decode_policy
from keeper.risk import assess
from keeper.snapshot import Block, Margin, Market, Snapshot, VenueSnapshot, decode_vault
from keeper.strategy import Hold, Rebalance, Refuse, decide
from keeper.units import WAD, Assets, Bps
from tests.keeper_world import ETHER, KEEPER, LIMITS, NOW, address, snapshot, venue

POLICY = Policy()
CALM = Memory()
GOING = Memory(hedging=True)


def hedged(short, *, assets=35, idle=65, **more):
    """A vault of 100 with `short` tenths of a per cent hedged."""
    return snapshot(
        venue(assets=assets * ETHER, delta=-short * ETHER // 10), idle_assets=idle * ETHER, **more
    )


TABLE = [
    # name, snapshot, policy, memory, kind, words of the reason
    ("empty vault", snapshot(venue()), POLICY, CALM, Hold, "empty"),
    ("in the band", hedged(990), POLICY, CALM, Hold, "inside the band"),
    ("over inner, under trigger", hedged(988), POLICY, CALM, Hold, "inside the band"),
    ("over inner, still hedging", hedged(988), POLICY, GOING, Rebalance, "drift 120"),
    ("inside inner, was hedging", hedged(995), POLICY, GOING, Hold, "inside the band"),
    ("over trigger", hedged(980), POLICY, CALM, Rebalance, "drift 200"),
    ("over trigger, too short", hedged(1_020), POLICY, CALM, Rebalance, "drift 200"),
    ("not hedged", hedged(0), POLICY, CALM, Rebalance, "drift 10000"),
    ("cooldown",
     hedged(980, state={"rebalanced_at": NOW - 1}),
     POLICY, CALM, Hold, "cooldown for 599 s"),
    ("urgent in cooldown",
     hedged(880, state={"rebalanced_at": NOW - 1}),
     POLICY, CALM, Rebalance, "drift 1200"),
    ("paused",
     hedged(880, state={"paused_until": NOW + 60}),
     POLICY, CALM, Hold, "paused for 60 s"),
    ("no price",
     hedged(980, price_ok=False, price_reason="oracle: asset feed stale"),
     POLICY, CALM, Refuse, "asset feed stale"),
    ("stale price",
     hedged(980, price_updated_at=NOW - 4_000),
     replace(POLICY, max_price_age_secs=3_900), CALM, Refuse, "4000 s old"),
    ("price from the future",
     hedged(980, price_updated_at=NOW + 5),
     POLICY, CALM, Refuse, "future"),
    ("no venue", snapshot(idle_assets=ETHER), POLICY, CALM, Hold, "no venue"),
    ("equity negative",
     snapshot(venue(quote=-1, delta=-ETHER)),
     POLICY, CALM, Hold, "a person must look"),
    ("margin low", hedged(1_000, assets=10, idle=90), POLICY, CALM, Rebalance, "margin is low"),
    ("margin low in cooldown",
     hedged(1_000, assets=10, idle=90, state={"rebalanced_at": NOW}),
     POLICY, CALM, Rebalance, "margin is low"),
    ("margin low while paused",
     hedged(1_000, assets=10, idle=90, state={"paused_until": NOW + 9}),
     POLICY, CALM, Rebalance, "margin is low"),
    ("margin high",
     hedged(1_000, assets=90, idle=10),
     POLICY, CALM, Rebalance, "margin is over its target"),
    ("margin high in cooldown",
     hedged(1_000, assets=90, idle=10, state={"rebalanced_at": NOW}),
     POLICY, CALM, Rebalance, "margin is over its target"),
    ("premium too wide",
     snapshot(venue(skew=-2_500 * ETHER), idle_assets=100 * ETHER),
     POLICY, CALM, Hold, "cost would be over the bound"),
    ("paused too short",
     hedged(1_020, state={"paused_until": NOW + 60}),
     POLICY, CALM, Rebalance, "drift 200"),
    ("turnover used",
     hedged(980, state={"turnover_used": 10**12}),
     POLICY, CALM, Hold, "turnover budget"),
    ("cost used", hedged(980, state={"cost_used": 10**12}), POLICY, CALM, Hold, "cost budget"),
    ("dust gap",
     snapshot(venue(assets=35 * ETHER, delta=-980 * ETHER // 10), idle_assets=65 * ETHER),
     replace(POLICY, min_trade_bps=300), CALM, Rebalance, "drift"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "state", "policy", "memory", "kind", "words"), TABLE, ids=[row[0] for row in TABLE]
)
def test_decide__table(name, state, policy, memory, kind, words):
    decision = decide(state, policy, memory)
    assert isinstance(decision, kind), decision.reason
    assert words in decision.reason


def test_decide__over_trigger__trades_back_to_the_target():
    decision = decide(hedged(980), replace(POLICY, target_bps=50), CALM)
    # gap 2, kept 0.5: sell 1.5
    assert size_total(decision.plan) == -ETHER * 3 // 2
    assert decision.memory.hedging


def test_decide__hysteresis__starts_over_the_trigger_and_goes_on_to_the_inner_band():
    assert isinstance(decide(hedged(988), POLICY, CALM), Hold)
    assert isinstance(decide(hedged(988), POLICY, GOING), Rebalance)


def test_decide__capped_trade__goes_on_in_the_next_plan():
    limits = replace(LIMITS, max_trade=Assets(30 * ETHER))
    decision = decide(hedged(0, assets=0, idle=100, limits=limits), POLICY, CALM)
    assert size_total(decision.plan) == -30 * ETHER


def test_decide__new_hedge__brings_its_margin():
    decision = decide(snapshot(venue(), idle_assets=100 * ETHER), POLICY, CALM)
    leg = decision.plan.legs[0]
    after = assess(project_of(decision, snapshot(venue(), idle_assets=100 * ETHER)))
    assert leg.size == -100 * ETHER
    # the liquidation distance asked for, 40 %
    assert 3_990 <= after.venues[0].distance_bps <= 4_010


def project_of(decision, state):
    return project(state.vault, decision.plan, assess(state.vault)).vault


def test_decide__thin_market__trades_what_the_slippage_bound_allows():
    state = snapshot(
        venue(skew_scale=2_000 * ETHER, max_side=1_000 * ETHER), idle_assets=100 * ETHER
    )
    decision = decide(state, POLICY, CALM)
    size = -size_total(decision.plan)
    # x / 2L and the fee of 5 bp fit the cost bound of 100 bps up to x = 2 * 2000 * 0.0095 = 38,
    # and the 16 units of dust that the book forgives
    assert 38 * ETHER <= size <= 38 * ETHER + 10**12
    assert any(
        line.name == "size" and line.formula.startswith("search: ") for line in decision.lines
    )


def test_decide__premium_away_from_its_mean__waits_unless_urgent():
    item = venue(
        assets=35 * ETHER, delta=-98 * ETHER, skew=-500 * ETHER, mean_premium_wad=3 * 10**16
    )
    state = snapshot(item, idle_assets=65 * ETHER)
    decision = decide(state, POLICY, CALM)
    assert isinstance(decision, Hold)
    assert "worse than its mean" in decision.reason


def test_decide__two_venues__takes_the_cheaper():
    dear = venue(address=address(20), skew=-900 * ETHER)
    cheap = venue(address=address(21), skew=100 * ETHER)
    decision = decide(snapshot(dear, cheap, idle_assets=10 * ETHER), POLICY, CALM)
    assert decision.plan.legs[0].venue == cheap.venue


SILENT_MARKET = Market(**dict.fromkeys((field.name for field in fields(Market)), 0))


def test_decide__venue_does_not_answer__the_other_carries_on():
    """What was left there counts as exposure, and nothing is sent there."""
    left = Margin(**dict.fromkeys((field.name for field in fields(Margin)), 0))
    silent = VenueSnapshot(
        venue=address(40),
        allotment_bps=Bps(10_000),
        answers=False,
        lost=False,
        value=0,
        margin=replace(left, delta=-20 * ETHER),
        market=SILENT_MARKET,
    )
    other = venue(assets=20 * ETHER, delta=-40 * ETHER, address=address(41))
    seen = snapshot(silent, other, idle_assets=60 * ETHER)
    decision = decide(seen, POLICY, CALM)
    assert isinstance(decision, Rebalance)
    assert {leg.venue for leg in decision.plan.legs} == {address(41)}
    assert size_total(decision.plan) == -20 * ETHER


def test_decide__hedge_lost__within_the_cooldown():
    state = {"rebalanced_at": NOW - 1}
    lost = venue(assets=35 * ETHER, delta=-97 * ETHER, lost=True)
    seen = snapshot(lost, idle_assets=65 * ETHER, state=state)
    assert isinstance(decide(seen, POLICY, CALM), Rebalance)
    assert isinstance(decide(hedged(970, state=state), POLICY, CALM), Hold)


def test_decide__unwinding__positions_close_and_never_turn():
    """With 5,000 of profit the target of no hedge is a little long, which no perpetual gives."""
    unwound = venue(assets=35 * ETHER, delta=-100 * ETHER, quote=5_000 * 10**6)
    state = {"unwinds": True, "hedge_ratio_bps": 0}
    seen = snapshot(unwound, idle_assets=65 * ETHER, state=state)
    decision = decide(seen, POLICY, CALM)
    assert isinstance(decision, Rebalance)
    assert size_total(decision.plan) == 100 * ETHER


UNWINDING = {"unwinds": True, "hedge_ratio_bps": 0}


def test_decide__unwound_with_quote__buys_assets_back():
    """10,000 of quote idle and 10,000 at the venue: two plans may hold more than one buys."""
    closed = venue(assets=0, quote=10_000 * 10**6)
    state = UNWINDING | {"idle_quote": 10_000 * 10**6}
    seen = snapshot(closed, idle_assets=90 * ETHER, state=state)
    decision = decide(seen, POLICY, CALM)
    assert decision.reason == "quote without a position"
    assert decision.plan.spot_assets > 0
    assert size_total(decision.plan) == 0
    after = assess(project_of(decision, seen))
    assert after.quote_value < assess(seen.vault).quote_value // 10


@pytest.mark.parametrize("idle", [90, 0])
def test_decide__unwound_with_debt__repays_it_from_assets(idle):
    owing = venue(assets=(100 - idle) * ETHER, quote=-10_000 * 10**6)
    seen = snapshot(owing, idle_assets=idle * ETHER, state=UNWINDING)
    decision = decide(seen, POLICY, CALM)
    assert decision.reason == "debt without a position"
    assert decision.plan.spot_assets < 0
    assert size_total(decision.plan) == 0
    after = assess(project_of(decision, seen))
    assert after.drift_bps <= LIMITS.inner_band_bps


def test_decide__unwinding_with_debt__leaves_no_position_too_small_to_close():
    item = venue(assets=60 * ETHER, delta=-10 * ETHER, quote=-19_990 * 10**6)
    seen = snapshot(item, idle_assets=40 * ETHER, state=UNWINDING)
    decision = decide(seen, POLICY, CALM)
    assert decision.reason == "quote debt"
    assert size_total(decision.plan) == 10 * ETHER


def test_decide__debt__is_paid_from_idle_assets():
    # price 2000 -> 3000: loss 100,000 on the short of 100
    item = venue(
        assets=60 * ETHER, delta=-100 * ETHER, profit=-100_000 * 10**6, price_wad=3_000 * WAD
    )
    state = snapshot(item, idle_assets=40 * ETHER, price_wad=3_000 * WAD)
    decision = decide(state, POLICY, CALM)
    assert decision.reason == "quote debt"
    plan = decision.plan
    assert is_neutral(plan)
    assert plan.spot_assets < 0
    after = assess(project_of(decision, state))
    assert abs(after.quote_value) < abs(assess(state.vault).quote_value) // 10


def test_decide__debt_with_nothing_idle__takes_assets_from_the_venue_first():
    item = venue(
        assets=100 * ETHER, delta=-100 * ETHER, profit=-100_000 * 10**6, price_wad=3_000 * WAD
    )
    decision = decide(snapshot(item, price_wad=3_000 * WAD), POLICY, CALM)
    first, second = decision.plan.legs
    assert first.margin_assets < 0 < first.size
    assert second.margin_quote > 0
    assert decision.plan.spot_after == 1


def test_decide__realised_profit__is_turned_into_assets():
    item = venue(
        assets=30 * ETHER, delta=-100 * ETHER, quote=100_000 * 10**6, price_wad=1_000 * WAD
    )
    state = snapshot(item, idle_assets=70 * ETHER, price_wad=1_000 * WAD)
    decision = decide(state, POLICY, CALM)
    assert decision.reason == "quote profit"
    assert is_neutral(decision.plan)
    assert decision.plan.spot_assets > 90 * ETHER


def test_decide__unrealised_profit__stays():
    item = venue(
        assets=30 * ETHER, delta=-100 * ETHER, profit=100_000 * 10**6, price_wad=1_000 * WAD
    )
    assert isinstance(
        decide(snapshot(item, idle_assets=70 * ETHER, price_wad=1_000 * WAD), POLICY, CALM), Hold
    )


def test_decide__margin_under_floor_and_nothing_idle__reduces_within_the_urgent_band():
    item = venue(
        assets=100 * ETHER, delta=-100 * ETHER, profit=-370_000 * 10**6, price_wad=4_000 * WAD
    )
    state = snapshot(item, price_wad=4_000 * WAD)
    decision = decide(state, POLICY, CALM)
    assert isinstance(decision, Rebalance)
    assert decision.urgent
    after = assess(project_of(decision, state))
    before = assess(state.vault)
    assert after.venues[0].margin_ratio_bps > before.venues[0].margin_ratio_bps
    assert after.drift_bps <= LIMITS.urgent_band_bps


def two_low(idle_assets, idle_quote):
    """Two venues that lack margin and owe quote, the second more; idle balances serve both."""
    strong, weak = (
        venue(assets=assets, quote=-2_000 * 10**6, delta=-50 * ETHER, address=address(place))
        for place, assets in ((20, 7 * ETHER), (21, 6 * ETHER))
    )
    rest = venue(assets=87 * ETHER - idle_assets, address=address(22))
    return snapshot(strong, weak, rest, idle_assets=idle_assets, idle_quote=idle_quote)


@pytest.mark.parametrize(
    ("idle_assets", "idle_quote"),
    [
        (87 * ETHER, 1_000 * 10**6),
        (87 * ETHER, 3_000 * 10**6),
        (22 * ETHER, 0),
        (22 * ETHER, 1_000 * 10**6),
    ],
)
def test_decide__two_venues_low__share_the_idle_balances_weakest_first(idle_assets, idle_quote):
    state = two_low(idle_assets, idle_quote)
    decision = decide(state, POLICY, CALM)
    assert isinstance(decision, Rebalance), decision.reason
    assert decision.reason == "margin is low"
    legs = decision.plan.legs
    assert legs[0].venue == address(21)
    assert 0 <= sum(leg.margin_quote for leg in legs) <= idle_quote
    assert 0 < sum(leg.margin_assets for leg in legs) <= idle_assets
    assert decision.plan.spot_assets == size_total(decision.plan) == 0
    after = assess(project_of(decision, state)).venues
    before = assess(state.vault).venues
    assert after[1].margin_ratio_bps > before[1].margin_ratio_bps


def test_decide__allotment_full__does_not_add_margin():
    item = venue(assets=10 * ETHER, delta=-100 * ETHER, allotment_bps=1_000)
    decision = decide(snapshot(item, idle_assets=90 * ETHER), POLICY, CALM)
    assert isinstance(decision, Hold)


def test_decide__venue_over_its_allotment__buys_back_and_takes_margin_out():
    """After a crash and an exit the short's profit is most of NAV, and a discount adds to it."""
    item = venue(
        assets=20 * ETHER, delta=-100 * ETHER, profit=100_000 * 10**6, price_wad=1_000 * WAD,
        allotment_bps=8_000, skew=-900 * ETHER,
    )  # fmt: skip
    state = snapshot(item, idle_assets=5 * ETHER, price_wad=1_000 * WAD)
    decision = decide(state, POLICY, CALM)
    assert isinstance(decision, Rebalance), decision.reason
    (leg,) = decision.plan.legs
    assert leg.size > 0
    assert leg.margin_assets < 0
    before, after = assess(state.vault), assess(project_of(decision, state))
    assert after.drift_bps < before.drift_bps
    assert after.venues[0].margin_ratio_bps >= LIMITS.margin_target_bps


# Properties


@st.composite
def worlds(draw):
    asset_decimals, quote_decimals = draw(st.sampled_from([(18, 6), (6, 6), (8, 18), (18, 18)]))
    unit, coin = 10**asset_decimals, 10**quote_decimals
    price = draw(st.sampled_from([500, 2_000, 3_100])) * WAD
    total = draw(st.integers(1, 5_000))
    inside = draw(st.integers(0, total))
    short = draw(st.integers(0, 3 * total))
    value = total * price // WAD
    skew = draw(st.integers(-3_000, 3_000))
    item = venue(
        assets=inside * unit,
        delta=-short * unit // 2,
        quote=draw(st.integers(-value // 3, value)) * coin,
        profit=draw(st.integers(-value // 3, value)) * coin if short else 0,
        price_wad=price,
        decimals=(asset_decimals, quote_decimals),
        allotment_bps=draw(st.sampled_from([3_000, 10_000])),
        skew=skew * unit - short * unit // 2,
        skew_scale=draw(st.sampled_from([20_000, 1_000_000])) * unit,
        max_side=20_000 * unit,
    )
    limits = replace(
        LIMITS,
        max_trade=Assets(draw(st.sampled_from([total, 10**6])) * unit),
        min_equity=Assets(unit // 1_000),
        inner_band_bps=Bps(draw(st.sampled_from([50, 200]))),
    )
    return snapshot(
        item,
        idle_assets=(total - inside) * unit,
        idle_quote=draw(st.integers(0, value // 4)) * coin,
        price_wad=price,
        decimals=(asset_decimals, quote_decimals),
        hedge_ratio_bps=draw(st.sampled_from([0, 5_000, 10_000])),
        limits=limits,
        state={"rebalanced_at": NOW - draw(st.sampled_from([1, 10_000]))},
    )


memories = st.builds(Memory, hedging=st.booleans())


@given(state=worlds(), memory=memories)
def test_decide__any_world__plan_passes_the_guard(state, memory):
    decision = decide(state, POLICY, memory)
    if isinstance(decision, Rebalance):
        found = objection(
            state, decision.plan, policy=POLICY, safety=Safety(), spent=Spent(), sender=KEEPER,
            killed=False,
        )  # fmt: skip
        assert found is None


@given(state=worlds(), memory=memories)
def test_decide__any_world__never_leaves_drift_larger(state, memory):
    decision = decide(state, POLICY, memory)
    if not isinstance(decision, Rebalance):
        return
    before = assess(state.vault)
    after = assess(project_of(decision, state))
    if not any(leg.size for leg in decision.plan.legs):
        assert after.drift_bps == before.drift_bps
    elif is_neutral(decision.plan):
        inside = after.drift_bps <= LIMITS_OF(state).inner_band_bps
        assert inside or abs(after.gap) <= abs(before.gap) + before.equity // 10_000
    elif before.margin_urgent:
        assert after.drift_bps <= max(before.drift_bps, LIMITS_OF(state).urgent_band_bps)
    else:
        assert after.drift_bps < before.drift_bps


def LIMITS_OF(state):  # noqa: N802
    return state.vault.limits


@given(state=worlds(), memory=memories)
def test_decide__any_world__the_sum_recomputes(state, memory):
    assert recompute(decide(state, POLICY, memory).lines) is None


@given(state=worlds(), memory=memories)
def test_decide__recorded_inputs__give_the_same_decision(state, memory):
    first = decide(state, POLICY, memory)
    block = state.block
    recorded = Snapshot(
        block=Block(number=block.number, hash=block.hash, parent_hash="", at=block.at, base_fee=0),
        vault=decode_vault(state.words),
        words=state.words,
    )
    again = decide(recorded, decode_policy(POLICY.encode()), decode_memory(memory.encode()))
    assert again == first


def test_decision_id__depends_on_every_input():
    state = hedged(980)
    ids = {
        decide(state, POLICY, CALM).decision_id,
        decide(state, POLICY, GOING).decision_id,
        decide(state, replace(POLICY, target_bps=1), CALM).decision_id,
        decide(hedged(981), POLICY, CALM).decision_id,
        decide(replace(state, block=replace(state.block, hash="0x1")), POLICY, CALM).decision_id,
    }
    assert len(ids) == 5


def test_recompute__wrong_line__is_found():
    sheet = Sheet()
    sheet.read("a", "chain", 7, "")
    sheet.derive("b", "div_ceil(a * 2, 3)", 5, "")
    assert recompute(sheet.lines()) is None
    wrong = Line(name="c", formula="a + b", value=13, unit="")
    assert recompute((*sheet.lines(), wrong)) == wrong


# The guard alone


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"killed": True}, "kill switch"),
        ({"sender": address(77)}, "the vault's keeper is"),
        ({"spent": Spent(reverts_in_row=3)}, "3 reverts in a row"),
        ({"spent": Spent(sends_last_hour=30)}, "30 transactions in an hour"),
        ({"spent": Spent(gas_last_day=20_000_000)}, "gas in a day"),
        ({"spent": Spent(spend_last_day=10**18)}, "wei of fees in a day"),
        ({"spent": Spent(turnover_last_hour=299 * ETHER)}, "turnover of an hour would be"),
        ({"policy": Policy(max_price_age_secs=29)}, "30 s old"),
        ({"policy": Policy(slippage_bps=0)}, "too far from the index"),
    ],
)
def test_objection__each_limit(change, words):
    # selling under a discount of 10 bp
    state = snapshot(venue(assets=35 * ETHER, delta=-98 * ETHER), idle_assets=65 * ETHER)
    plan = decide(state, POLICY, CALM).plan
    call = {
        "policy": POLICY, "safety": Safety(), "spent": Spent(), "sender": KEEPER, "killed": False,
    }  # fmt: skip
    assert objection(state, plan, **call) is None
    assert words in objection(state, plan, **(call | change))


def test_turnover__positions_far_over_equity__all_of_them_fit_into_it():
    """An equity of 5 assets under a short of 98, which must be able to shrink to nothing."""
    state = snapshot(venue(assets=5 * ETHER, delta=-98 * ETHER))
    plan = decide(snapshot(venue(assets=35 * ETHER), idle_assets=65 * ETHER), POLICY, CALM).plan
    leg, safety = plan.legs[0], Safety(max_turnover_an_hour_bps=10_000)

    def words(size):
        legs = (replace(leg, size=Assets(size)),)
        return _turnover(state, replace(plan, legs=legs), safety, Spent())

    assert words(98 * ETHER) is None
    assert words(98 * ETHER + 1) == (
        "turnover of an hour would be 10001 bps of the vault, allowed are 10000"
    )


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"nonce": 8}, "nonce is 8, the book's 7"),
        ({"deadline": NOW - 1}, "deadline passed 1 s ago"),
        ({"legs": ()}, "empty"),
        ({"spot_after": 9}, "malformed"),
    ],
)
def test_objection__wrong_plan(fields, words):
    state = snapshot(venue(assets=35 * ETHER, delta=-98 * ETHER), idle_assets=65 * ETHER)
    plan = replace(decide(state, POLICY, CALM).plan, **fields)
    found = objection(
        state, plan, policy=POLICY, safety=Safety(), spent=Spent(), sender=KEEPER, killed=False
    )
    assert words in found
