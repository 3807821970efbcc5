# SPDX-License-Identifier: MIT
"""Splits against a search over all of them, exact and in the venues' own rounded quote."""

from __future__ import annotations

import itertools
from dataclasses import replace
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from keeper.curve import Scale, trade_cost_up
from keeper.routing import Lane, split
from keeper.units import FUNDING_PERIOD_SECS, WAD, sign
from tests.keeper_world import ETHER, market

DAY = 86_400


def exact_cost(lane, size, horizon_secs):
    """Impact, fee and expected funding of a size over the index, as a share of the price."""
    terms = lane.market
    impact = Fraction(size * (2 * terms.skew + size), 2 * terms.skew_scale)
    lowers = min(abs(size), abs(terms.skew)) if sign(size) * sign(terms.skew) < 0 else 0
    fee = Fraction(lowers * terms.maker_fee_wad + (abs(size) - lowers) * terms.taker_fee_wad, WAD)
    funding = Fraction(size * terms.funding_rate_wad * horizon_secs, FUNDING_PERIOD_SECS * WAD)
    return impact + fee + funding


def cheapest(lanes, size, cost):
    """Return the least cost over all splits."""
    total = abs(size)
    splits = itertools.product(*(range(min(lane.most, total) + 1) for lane in lanes))
    return min(
        sum(cost(lane, sign(size) * part) for lane, part in zip(lanes, parts, strict=True))
        for parts in splits
        if sum(parts) == total
    )


@st.composite
def small_lanes(draw):
    maker = draw(st.integers(0, 5)) * WAD // 1_000
    terms = market(
        skew_scale=draw(st.integers(5, 400)),
        skew=draw(st.integers(-30, 30)),
        maker_fee_wad=maker,
        taker_fee_wad=maker + draw(st.integers(0, 20)) * WAD // 1_000,
        funding_rate_wad=draw(st.integers(-50, 50)) * WAD // 1_000,
    )
    return Lane(market=terms, most=draw(st.integers(0, 14)))


lists = st.lists(small_lanes(), min_size=1, max_size=3)
orders = st.integers(-24, 24)
horizons = st.sampled_from([0, 3_600, DAY])


@given(lanes=lists, size=orders, horizon=horizons)
def test_split__any_venues__costs_what_the_best_of_all_splits_costs(lanes, size, horizon):
    parts = split(lanes, size, horizon)
    fits = min(abs(size), sum(lane.most for lane in lanes))
    assert sum(parts) == sign(size) * fits
    assert all(0 <= part * sign(size) <= lane.most for part, lane in zip(parts, lanes, strict=True))
    found = sum(exact_cost(lane, part, horizon) for lane, part in zip(lanes, parts, strict=True))
    assert found == cheapest(lanes, sum(parts), lambda lane, x: exact_cost(lane, x, horizon))


@given(lanes=lists, size=orders)
def test_split__in_quote_as_venues_round__within_a_unit_a_venue(lanes, size):
    """A venue rounds impact and fee up, each once: two units of quote for each at most."""
    scale = Scale(price_wad=2_000 * WAD, divisor=WAD)
    parts = split(lanes, size, 0)

    def cost(lane, x):
        return trade_cost_up(lane.market, x, scale)

    found = sum(cost(lane, part) for lane, part in zip(lanes, parts, strict=True))
    assert found <= cheapest(lanes, sum(parts), cost) + 2 * len(lanes)


@st.composite
def real_lanes(draw):
    unit = draw(st.sampled_from([10**6, 10**8, ETHER]))
    scale = draw(st.integers(1_000, 10**6))
    terms = market(
        skew_scale=scale * unit + draw(st.integers(0, 999)),
        skew=draw(st.integers(-scale // 20, scale // 20)) * unit + draw(st.integers(0, 999)),
        funding_rate_wad=draw(st.integers(-75, 75)) * 10**14,
    )
    return Lane(market=terms, most=draw(st.integers(0, 500)) * unit)


@given(
    lanes=st.lists(real_lanes(), min_size=2, max_size=4),
    size=st.integers(-(10**21), 10**21),
    horizon=horizons,
)
def test_split__sizes_as_on_chain__moving_a_unit_never_gains(lanes, size, horizon):
    parts = split(lanes, size, horizon)
    side = sign(size)
    for i, j in itertools.permutations(range(len(lanes)), 2):
        if side * parts[i] >= 1 and side * parts[j] + 1 <= lanes[j].most:
            gives = exact_cost(lanes[i], parts[i], horizon) - exact_cost(
                lanes[i], parts[i] - side, horizon
            )
            takes = exact_cost(lanes[j], parts[j] + side, horizon) - exact_cost(
                lanes[j], parts[j], horizon
            )
            assert takes >= gives
    assert sum(parts) == side * min(abs(size), sum(lane.most for lane in lanes))


@given(lanes=lists, size=orders, horizon=horizons)
def test_split__a_lane_closed__the_others_share_as_if_it_were_not_there(lanes, size, horizon):
    closed = [replace(lanes[0], most=0), *lanes[1:]]
    assert split(closed, size, horizon) == (0, *split(lanes[1:], size, horizon))
