# SPDX-License-Identifier: MIT
"""Risk figures, the liquidation price by brute force."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from keeper import curve
from keeper.curve import Scale
from keeper.margins import Need, assets_needed
from keeper.risk import assess, liquidation_price_wad
from keeper.units import WAD, Quote, Wad, div_floor, price_divisor
from tests.keeper_world import ETHER, snapshot, venue


def at_price(item, scale, price_wad):
    """Account and scale with the index moved, everything else as it was."""
    moved = Scale(price_wad=Wad(price_wad), divisor=scale.divisor)
    margin, market = item.margin, item.market
    profit = margin.profit + div_floor(margin.delta * (price_wad - scale.price_wad), scale.divisor)
    kept = div_floor(margin.assets * price_wad * (WAD - market.haircut_wad), scale.divisor * WAD)
    return moved, replace(
        margin,
        profit=Quote(profit),
        equity=Quote(margin.quote + kept + profit),
        maintenance=curve.maintenance_up(market, margin.delta, moved),
    )


@given(
    assets=st.integers(0, 200),
    delta=st.integers(-150, 150),
    quote=st.integers(-100_000, 300_000),
    profit=st.integers(-100_000, 100_000),
    decimals=st.sampled_from([(18, 6), (6, 18), (8, 6), (18, 18)]),
)
def test_liquidation_price__any_account__separates_safe_from_liquidated(
    assets, delta, quote, profit, decimals
):
    assume(delta != 0)
    unit, coin = 10 ** decimals[0], 10 ** decimals[1]
    item = venue(
        assets=assets * unit, delta=delta * unit, quote=quote * coin, profit=profit * coin,
        decimals=decimals, skew_scale=100_000 * unit,
    )  # fmt: skip
    scale = Scale(price_wad=Wad(2_000 * WAD), divisor=price_divisor(*decimals))
    price = liquidation_price_wad(item.margin, item.market, scale)
    safe_now = item.margin.equity >= item.margin.maintenance

    def safe(price_wad):
        _, margin = at_price(item, scale, price_wad)
        return margin.equity >= margin.maintenance

    tick = 10**14  # two units of quote on a position of one asset stay under it
    if price is None:
        for multiple in (1, 10, 10_000, 100_000, 10**7):
            assert safe(scale.price_wad * multiple // 10_000 + 1) == safe_now
        return
    below, above = max(price - tick, 1), price + tick
    if price > tick:
        assert safe(below) != safe(above)
    if safe_now and price > scale.price_wad:
        assert safe((price + scale.price_wad) // 2)
        assert not safe(price * 2)
    if safe_now and price < scale.price_wad:
        assert not safe(max(price // 2, 1)) or price < tick


def test_liquidation_price__short_of_100_against_30__by_hand():
    # E(S) = 30 S 0.95 - 100 (S - 2000) = 200,000 - 71.5 S;  MM(S) = 100 S m,
    # m = max(0.5 (0.05 + 0.2 * 100 / 100,000), 0.02) = 0.0251;  S = 200,000 / 74.01
    item = venue(assets=30 * ETHER, delta=-100 * ETHER)
    scale = Scale(price_wad=Wad(2_000 * WAD), divisor=10**30)
    price = liquidation_price_wad(item.margin, item.market, scale)
    assert price == 200_000 * WAD * 100 // 7401


def test_assess__hedged_vault__figures():
    # A = 100, V = 0, E = 100, D = 100 - 95 = 5, h = 1: gap 5, drift 500 bps
    risk = assess(
        snapshot(venue(assets=30 * ETHER, delta=-95 * ETHER), idle_assets=70 * ETHER).vault
    )
    assert (risk.equity, risk.delta, risk.gap) == (100 * ETHER, 5 * ETHER, 5 * ETHER)
    assert (risk.drift_bps, risk.exposure_bps, risk.target_exposure_bps) == (500, 500, 0)
    assert risk.nav == 200_000 * 10**6
    venue_risk = risk.venues[0]
    # funding 0.01 % a period, 1,095 periods a year
    assert venue_risk.funding_year_bps == 1_095
    # K/L = -95/100,000 = -9.5 bp, toward zero -9
    assert (venue_risk.basis_bps, venue_risk.spot_basis_bps) == (-9, -9)
    # 57,000 / (190,000 * 0.0250950) = 11.954
    assert venue_risk.margin_ratio_bps == 119_545
    assert not risk.urgent


def test_assess__quote_depegs__value_in_assets_follows():
    item = snapshot(venue(), idle_assets=ETHER, idle_quote=2_000 * 10**6)
    assert assess(item.vault).equity == 2 * ETHER


def test_assess__half_hedge__target_is_the_other_half():
    risk = assess(snapshot(venue(), idle_assets=10 * ETHER, hedge_ratio_bps=5_000).vault)
    assert (risk.target_delta, risk.gap, risk.drift_bps) == (5 * ETHER, 5 * ETHER, 5_000)


def test_assess__no_equity__no_drift():
    risk = assess(snapshot(venue(quote=-10), idle_assets=0).vault)
    assert risk.equity < 0
    assert risk.drift_bps is None


def test_assess__low_margin__urgent():
    # equity 5.5 * 2000 * 0.95 = 10,450 over maintenance 5,020 is 2.08; the floor is 1.5
    assert not assess(
        snapshot(venue(assets=5 * ETHER + ETHER // 2, delta=-100 * ETHER)).vault
    ).margin_urgent
    assert assess(snapshot(venue(assets=3 * ETHER, delta=-100 * ETHER)).vault).margin_urgent


@given(
    delta=st.integers(-150, 150),
    quote=st.integers(-100_000, 300_000),
    profit=st.integers(-100_000, 100_000),
    distance=st.integers(0, 9_000),
    ratio=st.integers(10_000, 60_000),
)
def test_assets_needed__is_the_least_that_satisfies(delta, quote, profit, distance, ratio):
    scale = Scale(price_wad=Wad(2_000 * WAD), divisor=10**30)
    need = Need(distance_bps=distance, ratio_bps=ratio)

    def account(assets):
        return venue(assets=assets, delta=delta * ETHER, quote=quote * 10**6, profit=profit * 10**6)

    def satisfied(assets, slack):
        item = account(assets)
        margin, market = item.margin, item.market
        closing = curve.closing_loss_up(market, margin.delta, scale)
        up = 10_000 + distance if delta < 0 else 10_000 - distance
        _, moved = at_price(item, scale, scale.price_wad * up // 10_000)
        return (
            margin.equity + slack >= margin.initial + closing
            and (margin.equity + slack) * 10_000 >= margin.maintenance * ratio
            and moved.equity + slack >= moved.maintenance
        )

    item = account(0)
    least = assets_needed(item.market, item.margin, scale, need)
    if delta == 0:
        assert (least == 0) == (quote + profit >= 0)
        return
    assert satisfied(least, slack=4)  # quote units of rounding
    fewer = least - 10**13  # 0.02 quote
    assert fewer < 0 or not satisfied(fewer, slack=0)


@pytest.mark.parametrize("size", [1, -1, 10, -10, 400, -400])
def test_trade_cost__round_trip__costs_the_fees(size):
    item = venue(skew=120 * ETHER)
    scale = Scale(price_wad=Wad(2_000 * WAD), divisor=10**30)
    market, margin = curve.after_trade(item.market, item.margin, size * ETHER, scale)
    _, back = curve.after_trade(market, margin, -size * ETHER, scale)
    fees = curve.fee_up(item.market, size * ETHER, scale) + curve.fee_up(
        market, -size * ETHER, scale
    )
    assert back.delta == 0
    assert 0 <= (item.margin.equity - back.equity) - fees <= 2


def test_largest__monotone_rule__finds_the_edge():
    for edge in (0, 1, 7, 99, 100):
        assert curve.largest(lambda x, edge=edge: x <= edge, 100) == edge


def test_free_margin__at_the_worse_of_index_and_closing():
    # others long: closing the short lifts the mark, which costs
    item = venue(assets=30 * ETHER, delta=-100 * ETHER, skew=4_900 * ETHER)
    risk = assess(snapshot(item, idle_assets=70 * ETHER).vault).venues[0]
    closing = 100 * 2_000 * 4_950 // 100_000  # N (K + |q|/2) / L
    assert risk.free_margin == item.margin.equity - item.margin.initial - closing * 10**6
