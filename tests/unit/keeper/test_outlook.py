# SPDX-License-Identifier: MIT
"""What the keeper expects from what he saw: averages, forecast, rises; the ratios of strategies."""

from __future__ import annotations

import math
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keeper.curve import scale_of
from keeper.explain import recompute
from keeper.margins import headroom_bps, levels, ratio_after_bps
from keeper.outlook import (
    DAY_SECS,
    LEAST_WAD,
    WARM_SECS,
    YEAR_SECS,
    Outlook,
    _root5,
    deviation_wad,
    looked,
    minimum_variance_bps,
    observed,
    rise_bps,
    variance_wad,
    warm,
)
from keeper.policy import Memory, Policy, decode_memory, policy_fault
from keeper.ratio import (
    Strategy,
    advice_bps,
    carry_ratio_bps,
    reachable_bps,
    volatility_ratio_bps,
    wanted_bps,
)
from keeper.ratio_words import ratio_lines
from keeper.simulation.risk.margin_forecast import account_of
from keeper.simulation.risk.ratios import carry_ratio, volatility_ratio
from keeper.strategy import Hold, Rebalance, decide
from keeper.units import BPS, WAD
from tests.keeper_world import ETHER, LIMITS, NOW, address, snapshot, venue

HOUR = 3_600
CALM = Outlook(
    began_at=NOW - 2 * WARM_SECS, seen_at=NOW - 60, price_wad=2_000 * WAD, mark_wad=2_000 * WAD,
    variances_wad=(36 * WAD // 100,) * 3,  # 60 % volatility
    covariance_wad=35 * WAD // 100, hedge_variance_wad=36 * WAD // 100, funding_wad=-10**14,
)  # fmt: skip


def walked(moves, outlook=None, ratio=1):
    """An hour for each move, as a share of the price; the mark moves `ratio` times as much."""
    outlook = outlook or observed(Outlook(), 1_000 * WAD, 1_000 * WAD, 0, NOW)
    for move in moves:
        price = outlook.price_wad + outlook.price_wad * round(move * 10**6) // 10**6
        mark = outlook.mark_wad + outlook.mark_wad * round(move * ratio * 10**6) // 10**6
        outlook = observed(outlook, price, mark, 10**14, outlook.seen_at + HOUR)
    return outlook


def test_observed__second_look__the_whole_of_its_square():
    """A rise of 1 % is 2 * 10 / 2010 = 0.995 % as a log; squared, 8,760 times a year: 0.8673."""
    seen = walked([0.01])
    expected = (20 / 2_010) ** 2 * 8_760
    for found in seen.variances_wad:
        assert found / WAD == pytest.approx(expected, rel=1e-9)


def test_observed__young_history__is_a_plain_mean():
    moves = [0.01, -0.02, 0.005, 0.0, 0.01]
    seen = walked(moves)
    squares = [(2 * m / (2 + m)) ** 2 * 8_760 for m in moves]
    assert seen.variances_wad[2] / WAD == pytest.approx(sum(squares) / 5, rel=1e-4)


def test_observed__within_the_hour__nothing_new():
    first = walked([0.01])
    again = observed(first, 5_000 * WAD, 5_000 * WAD, 0, first.seen_at + HOUR - 1)
    assert again is first


def test_observed__long_silence__is_one_return_over_all_its_time():
    first = walked([0.01] * 3)
    later = observed(first, first.price_wad * 2, first.mark_wad * 2, 0, first.seen_at + 10 * HOUR)
    change = 2 / 3  # 2 (b - a) / (a + b)
    share = Fraction(10, 10 + 3)  # of a history of three hours, under every centre
    expected = first.variances_wad[2] / WAD * (1 - share) + change**2 * 876 * share
    assert later.variances_wad[2] / WAD == pytest.approx(float(expected), rel=1e-9)


def test_variance__steady_walk__is_found_and_four_percent_more():
    seen = walked([0.01, -0.01] * 24 * 20)
    assert warm(seen)
    assert variance_wad(seen, 0) / WAD == pytest.approx(1.04 * 0.01**2 * 8_760, rel=2e-3)


def test_variance__until_warm__what_the_operator_assumes():
    seen = walked([0.01] * 24)
    assert variance_wad(seen, 0) is None
    assert variance_wad(seen, 8_000) == 64 * WAD // 100
    assert variance_wad(Outlook(), 0) is None


def test_variance__index_that_stands_still__is_not_believed():
    seen = walked([0.0] * 24 * 31)
    assert variance_wad(seen, 0) / (1.04 * LEAST_WAD) == pytest.approx(1.0, abs=1e-9)


def test_variance__a_shock__is_followed_within_hours_and_forgotten_within_days():
    calm = walked([0.002, -0.002] * 24 * 30)
    shocked = walked([0.05, -0.05] * 3, calm)
    after = walked([0.002, -0.002] * 24 * 7, shocked)
    base, high, low = (variance_wad(each, 0) for each in (calm, shocked, after))
    assert high > 8 * base
    assert base < low < 3 * base


@given(st.integers(1, 10**95))
def test_root5__is_the_last_whose_fifth_power_fits(number):
    root = _root5(number)
    assert root**5 <= number < (root + 1) ** 5


@given(st.integers(0, 5 * WAD))
def test_rise__is_exp_minus_one_rounded_up(move):
    exact = math.expm1(move / WAD) * BPS
    assert exact - 1e-6 <= rise_bps(move) <= exact + 1 + 1e-6


@pytest.mark.parametrize("secs", [1, HOUR, DAY_SECS, YEAR_SECS])
def test_deviation__root_of_time_rounded_up(secs):
    variance = 64 * WAD // 100
    exact = 0.8 * (secs / YEAR_SECS) ** 0.5
    assert deviation_wad(variance, secs) / WAD == pytest.approx(exact, rel=1e-12)
    assert deviation_wad(variance, secs) ** 2 * YEAR_SECS >= variance * secs * WAD


def test_minimum_variance__mark_that_moves_twice_as_much__half():
    seen = walked([0.01, -0.008, 0.004] * 24 * 11, ratio=2)
    assert minimum_variance_bps(seen) == pytest.approx(5_000, abs=30)
    assert minimum_variance_bps(walked([0.01] * 5)) is None


def test_looked__several_venues__weighed_by_what_is_held_there():
    parts = [
        venue(address=address(20), delta=-30 * ETHER, assets=40 * ETHER, skew=1_000 * ETHER,
              funding_rate_wad=4 * 10**14),
        venue(address=address(21), delta=-10 * ETHER, assets=40 * ETHER, skew=0,
              funding_rate_wad=0),
    ]  # fmt: skip
    seen = looked(Outlook(), snapshot(*parts).vault, NOW)
    assert seen.mark_wad == 2_015 * WAD  # 1 % at three quarters of the position
    assert seen.funding_wad == 3 * 10**14
    assert looked(Outlook(), snapshot(idle_assets=ETHER).vault, NOW).mark_wad == 2_000 * WAD


# Ratios


def test_wanted__each_strategy():
    expected = {
        Strategy.NONE: None,
        Strategy.STATIC: 9_700,
        Strategy.MINIMUM_VARIANCE: 9_722,  # 35 / 36
        Strategy.CARRY: 9_268,  # 1 - 0.1095 / (4 * 0.3744)
        Strategy.VOLATILITY: 8_366,  # 1 - 0.10 / 0.6119
    }
    for strategy, ratio in expected.items():
        policy = Policy(ratio_strategy=int(strategy), static_ratio_bps=9_700)
        assert wanted_bps(CALM, policy) == ratio


def test_wanted__no_history__no_advice_but_the_static_one():
    for strategy in Strategy:
        policy = Policy(ratio_strategy=int(strategy))
        known = strategy is Strategy.STATIC
        assert (wanted_bps(Outlook(), policy) is not None) == known


@given(
    carry=st.integers(-WAD, WAD), variance=st.integers(WAD // 400, 9 * WAD),
    aversion=st.integers(5_000, 10**6),
)  # fmt: skip
def test_carry__as_the_study_in_floats(carry, variance, aversion):
    exact = carry_ratio(carry / WAD, variance / WAD, aversion / BPS) * BPS
    assert carry_ratio_bps(carry, variance, aversion) == pytest.approx(max(exact, 0), abs=1.001)


@given(variance=st.integers(WAD // 400, 9 * WAD), target=st.integers(0, 20_000))
def test_volatility__as_the_study_in_floats(variance, target):
    exact = volatility_ratio((variance / WAD) ** 0.5, target / BPS, 0.5) * BPS
    found = volatility_ratio_bps(variance, target, 5_000)
    assert exact - 1e-3 <= found <= exact + 1.001


@pytest.mark.parametrize(
    ("wanted", "since", "least", "reached"),
    [
        (9_000, DAY_SECS, 50, 9_000),
        (5_000, DAY_SECS, 50, 7_500),  # a quarter a day
        (5_000, 10 * DAY_SECS, 50, 7_500),
        (5_000, DAY_SECS // 10, 50, 9_750),
        (5_000, 0, 0, 10_000),
        (9_960, DAY_SECS, 50, 10_000),  # not worth a call
        (12_000, DAY_SECS, 50, 11_000),  # over its bound
        (0, 10 * DAY_SECS, 50, 7_500),
    ],
)
def test_reachable__bounds_step_and_least_change(wanted, since, least, reached):
    state = snapshot(state={"min_hedge_ratio_bps": 7_000, "max_hedge_ratio_bps": 11_000,
                            "hedge_ratio_set_at": NOW - since}).vault.state  # fmt: skip
    assert reachable_bps(wanted, state, least, NOW) == reached


def test_decide__advice_is_in_the_sum_and_moves_nothing():
    state = snapshot(venue(assets=35 * ETHER, delta=-100 * ETHER), idle_assets=65 * ETHER)
    policy = Policy(ratio_strategy=int(Strategy.CARRY))
    decision = decide(state, policy, Memory(outlook=CALM))
    assert isinstance(decision, Hold)
    sums = {line.name: line.value for line in decision.lines}
    assert sums["ratio_wanted_bps"] == 9_268
    assert sums["ratio_advised_bps"] == advice_bps(state.vault.state, CALM, policy, NOW)
    assert recompute(decision.lines) is None
    plain = decide(state, Policy(), Memory(outlook=CALM))
    assert "ratio_advised_bps" not in {line.name for line in plain.lines}


def test_ratio_lines__say_how_to_set_it():
    state = snapshot(venue(), idle_assets=ETHER, state={"hedge_ratio_set_at": NOW - DAY_SECS})
    text = "\n".join(ratio_lines(state, CALM, Policy(ratio_strategy=int(Strategy.CARRY))))
    ratio = advice_bps(state.vault.state, CALM, Policy(ratio_strategy=3), NOW)
    assert f"brownie run set_hedge_ratio main {ratio}" in text
    assert f"to {state.vault.book} data 0xaa9cc259{ratio:064x}" in text
    assert "3 carry              asks for 92.68 %" in text
    assert "funding -10.95 % a year for a short" in text
    assert "leave it" in ratio_lines(state, CALM, Policy())[-1]
    assert "nothing seen" in "\n".join(ratio_lines(state, Outlook(), Policy()))


# Margin by forecast


def test_headroom__deviations_of_the_forecast():
    """60 % and 4 % more variance, 8 hours, 5.5 deviations: exp(5.5 * 0.01849) - 1."""
    policy = Policy(headroom_deviations_bps=55_000, headroom_secs=8 * HOUR)
    expected = math.expm1(5.5 * math.sqrt(0.36 * 1.04 * 8 / 8_760)) * BPS
    assert headroom_bps(CALM, policy) == pytest.approx(expected, abs=1.5)
    assert headroom_bps(CALM, Policy()) == 0
    assert headroom_bps(Outlook(), policy) == 0
    assert headroom_bps(Outlook(), replace(policy, volatility_bps=6_000)) > 1_000


def test_levels__headroom_over_the_low_distance__raises_all_three():
    policy = Policy()
    base, same, raised = (levels(policy, LIMITS, each) for each in (0, 2_400, 3_100))
    assert same == base
    for low, high in (
        (base.low, raised.low),
        (base.target, raised.target),
        (base.high, raised.high),
    ):
        assert high.distance_bps - low.distance_bps == 600
        assert high.ratio_bps == low.ratio_bps


def test_ratio_after__as_the_account_of_the_study():
    item = venue(assets=35 * ETHER, delta=-100 * ETHER, profit=-3_000 * 10**6, quote=500 * 10**6)
    vault = snapshot(item, idle_assets=65 * ETHER).vault
    scale = scale_of(vault)
    account = account_of(item.margin, item.market, scale)
    for move in (0, 500, 2_000, 4_000):
        found = ratio_after_bps(item.margin, item.market, scale, move)
        assert found / BPS == pytest.approx(account.ratio(1 + move / BPS), rel=1e-3)
    assert ratio_after_bps(venue().margin, item.market, scale, 100) is None


def test_decide__wild_forecast__tops_up_before_the_fixed_distance_would():
    """35 % away from liquidation: calm enough for 25 %, not for a volatility of 300 %."""
    state = snapshot(venue(assets=32 * ETHER, delta=-100 * ETHER), idle_assets=68 * ETHER)
    wild = replace(CALM, variances_wad=(9 * WAD,) * 3)
    policy = Policy(headroom_deviations_bps=55_000)
    assert isinstance(decide(state, policy, Memory(outlook=CALM)), Hold)
    assert isinstance(decide(state, Policy(), Memory(outlook=wild)), Hold)
    decision = decide(state, policy, Memory(outlook=wild))
    assert isinstance(decision, Rebalance)
    assert decision.reason == "margin is low"
    sums = {line.name: line.value for line in decision.lines}
    assert sums["headroom_bps"] > 6_000
    assert sums["margin_ratio_low_bps_0"] < BPS  # it would be liquidated at the end of that rise


# Memory and policy


def test_memory__round_trip_and_records_from_before_the_outlook():
    memory = Memory(hedging=True, outlook=CALM)
    assert decode_memory(memory.encode()) == memory
    assert decode_memory(b'{"hedging":true}') == Memory(hedging=True)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ratio_strategy", 5),
        ("aversion_bps", 0),
        ("headroom_secs", 0),
        ("most_unhedged_bps", 10_001),
    ],
)
def test_policy__field_out_of_range__is_named(field, value):
    assert policy_fault(replace(Policy(), **{field: value})).startswith(field)
