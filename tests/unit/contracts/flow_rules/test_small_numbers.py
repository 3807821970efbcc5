# SPDX-License-Identifier: MIT
"""
What a flow is worth in numbers small enough to check by hand, where each rounding shows.

100 idle and 50 at venues, at a price of 3; quote of 10 is worth 3 1/3, of -10 it is -3 1/3. There
are 1,000 shares, and 1,000 virtual ones beside them.
"""

from __future__ import annotations

import boa
import pytest

from tests.market_world import NOBODY, WAD, deployer

FLOW = {
    "price_ok": True,
    "price_wad": 3 * WAD,
    "assets": 50,
    "quote_value": 10,
    "delta": -150,
    "hedge_ratio_bps": 10_000,
    "gap_share_bps": 5_000,
    "gap_floor": 0,
    "sound": True,
    "venue": NOBODY,
}
HOLDINGS = {
    "idle": 100,
    "supply": 1_000,
    "min_supply": 10,
    "base_charge_bps": 0,
    "price_divisor": WAD,
}
CHARGED = {"base_charge_bps": 90}


@pytest.fixture(scope="module")
def rules():
    with boa.env.anchor():
        yield deployer("FlowRules.vy").deploy()


def parts(**changes):
    flow = {name: changes.get(name, value) for name, value in FLOW.items()}
    holdings = {name: changes.get(name, value) for name, value in HOLDINGS.items()}
    return tuple(flow.values()), tuple(holdings.values())


@pytest.mark.parametrize(
    ("changes", "worth"),
    [
        ({}, 153),  # 153 1/3
        ({"quote_value": -10}, 146),  # 146 2/3
        ({"quote_value": -450}, 0),
        ({"quote_value": -460}, 0),  # -3 1/3
        ({"price_wad": 0}, 150),  # without a price quote counts for nothing
        ({"price_wad": 0, "quote_value": -10}, 150),
    ],
)
def test_worth__quote_that_is_no_whole_asset__rounded_down(rules, changes, worth):
    assert rules.worth(*parts(**changes)) == worth


@pytest.mark.parametrize(
    ("changes", "assets", "shares", "base"),
    [
        ({}, 100, 1_290, 0),  # 100 * 2,000 / 155 = 1,290.3; equity is 154 for who enters
        ({"quote_value": -10}, 100, 1_351, 0),  # 100 * 2,000 / 148 = 1,351.4
        (CHARGED, 100, 1_277, 1),  # 99 * 2,000 / 155 = 1,277.4
        ({"supply": 0}, 100, 100_000, 0),  # a share is a thousandth, whatever is left over
        (CHARGED, 1, 0, 1),  # the charge takes everything
        (CHARGED, 2, 12, 1),  # 1 * 2,000 / 155 = 12.9
    ],
)
def test_entry__shares__rounded_down(rules, changes, assets, shares, base):
    offer = rules.entry(*parts(**changes), assets)
    assert (offer.assets, offer.shares) == (assets, shares)
    assert (offer.base_charge, offer.impact_charge) == (base, 0)


@pytest.mark.parametrize(
    ("changes", "shares", "assets"),
    [
        ({}, 1_290, 100),  # 1,290 * 155 / 2,000 = 99.98
        ({"quote_value": -10}, 1_351, 100),  # 1,351 * 148 / 2,000 = 99.97
        (CHARGED, 1_277, 100),  # 98.97, and 1 of charge
        ({"supply": 0}, 99_001, 100),  # 99.001
        ({"supply": 0}, 100_000, 100),
    ],
)
def test_issue__assets__rounded_up(rules, changes, shares, assets):
    offer = rules.issue(*parts(**changes), shares)
    assert (offer.assets, offer.shares) == (assets, shares)


@pytest.mark.parametrize(
    ("changes", "assets", "shares", "base"),
    [
        ({}, 30, 390, 0),  # 30 * 2,000 / 154 = 389.6; equity is 153 for who leaves
        ({"quote_value": -10}, 30, 409, 0),  # 30 * 2,000 / 147 = 408.2
        (CHARGED, 30, 403, 1),  # 30.27 gross is 31; 31 * 2,000 / 154 = 402.6
        (CHARGED, 77, 1_000, 0),  # all there is, 1,000 * 154 / 2,000: nobody is left to charge
        ({"supply": 0}, 30, 30_000, 0),
    ],
)
def test_withdrawal__shares__rounded_up(rules, changes, assets, shares, base):
    offer = rules.withdrawal(*parts(**changes), 0, assets)
    assert (offer.assets, offer.shares, offer.base_charge) == (assets, shares, base)


@pytest.mark.parametrize(
    ("changes", "shares", "assets", "base"),
    [
        ({}, 500, 38, 0),  # 500 * 154 / 2,000 = 38.5
        ({"quote_value": -10}, 500, 36, 0),  # 500 * 147 / 2,000 = 36.75
        (CHARGED, 500, 37, 1),  # 38 less 0.34, rounded up
        (CHARGED, 1_000, 77, 0),  # who redeems all pays no charge
        ({"supply": 0}, 1_999, 1, 0),
    ],
)
def test_redemption__assets__rounded_down(rules, changes, shares, assets, base):
    offer = rules.redemption(*parts(**changes), 0, shares)
    assert (offer.assets, offer.shares, offer.base_charge) == (assets, shares, base)


@pytest.mark.parametrize(
    ("ratio_bps", "gap"),
    [(10_000, 0), (5_000, -76), (12_000, 31), (0, -153)],  # 76.5 and -30.6 down
)
def test_gap__target_that_is_no_whole_unit__rounded_down(rules, ratio_bps, gap):
    assert rules.entry(*parts(hedge_ratio_bps=ratio_bps), 1).gap == gap


@pytest.mark.parametrize(
    ("changes", "room"),
    [
        ({}, 76),  # half of 153
        ({"delta": -100}, 26),  # 50 are open already
        ({"delta": 0}, 0),
        ({"gap_floor": 90}, 90),
        ({"gap_floor": 76}, 76),
        ({"hedge_ratio_bps": 0}, 2**112 - 100),  # no hedge, no gap
        ({"hedge_ratio_bps": 0, "idle": 2**112 + 1}, 0),
        ({"hedge_ratio_bps": 12_000, "delta": -180}, 62),  # (76 - 1) * 10 / 12 = 62.5
    ],
)
def test_room__what_may_enter__rounded_down(rules, changes, room):
    assert rules.entry(*parts(**changes), 1).room == room


@pytest.mark.parametrize(
    ("queued", "reserved"),
    [(0, 0), (1, 1), (500, 39), (505, 40)],  # 505 * (153 - 38 + 1 = 116) / 1,500 = 39.05
)
def test_reserved__for_the_queue_after_an_exit__rounded_up(rules, queued, reserved):
    assert rules.redemption(*parts(), queued, 500).reserved == reserved


@pytest.mark.parametrize(
    ("changes", "is_open"),
    [
        ({}, True),
        ({"quote_value": -450}, False),
        ({"quote_value": -453}, False),
        ({"quote_value": -450, "supply": 0}, True),
        ({"quote_value": -453, "supply": 0}, False),
    ],
)
def test_entry_open__equity_positive_or_nobody_there(rules, changes, is_open):
    assert rules.entry(*parts(**changes), 1).entry_open == is_open


def test_entry__over_the_most_that_is_counted__refused(rules):
    with boa.reverts("vault: assets over maximum"):
        rules.entry(*parts(), 2**112 + 1)
    with boa.reverts("vault: assets over maximum"):
        rules.withdrawal(*parts(), 0, 2**112 + 1)
    assert rules.entry(*parts(), 2**112).shares > 0
    assert rules.withdrawal(*parts(), 0, 2**112).shares > 0


@pytest.mark.parametrize(
    ("shares", "queued", "free", "assets", "most"),
    [
        (500, 0, 0, 38, 500),
        (1_000, 0, 0, 77, 1_000),
        (500, 1_400, 0, 0, 0),  # the queue needs 1,400 * 154 / 2,000 = 107.8 of 100
        (500, 1_200, 0, 6, 90),  # 93 are needed; 7 * 2,000 / 154 = 90.9
        (500, 1_400, 50, 38, 500),
    ],
)
def test_most_exit__beside_the_queue__no_more_than_is_liquid(
    rules, shares, queued, free, assets, most
):
    assert rules.most_exit(*parts(), queued, shares, free) == (assets, most)


def test_most_exit__rest_under_the_minimum__leaves_the_minimum(rules):
    """Of 1,000 shares 995 would leave 5 where 10 are the least: 990 may go."""
    assert rules.most_exit(*parts(), 0, 995, 0) == (76, 990)


def test_most_exit__equity_not_positive__nothing(rules):
    assert rules.most_exit(*parts(quote_value=-450), 0, 500, 0) == (0, 0)


@pytest.mark.parametrize(
    ("changes", "assets", "shares"),
    [
        ({}, 76, 980),  # the room; 76 * 2,000 / 155 = 980.6
        (CHARGED, 76, 967),  # 75 * 2,000 / 155 = 967.7
        ({"quote_value": -450}, 0, 0),
        ({"supply": 0}, 76, 76_000),
        ({"supply": 0, "min_supply": 76_000}, 76, 76_000),
        ({"supply": 0, "min_supply": 76_001}, 0, 0),  # what may enter is under the minimum
        (CHARGED | {"gap_share_bps": 0, "gap_floor": 1}, 0, 0),  # the charge takes all of it
    ],
)
def test_most_entry__room__and_what_it_brings(rules, changes, assets, shares):
    assert rules.most_entry(*parts(**changes)) == (assets, shares)


def filled(rules, orders, *, liquid=100, min_shares=10, **changes):
    total, fills = rules.fills(*parts(**changes), liquid, (min_shares, 0), orders)
    assert total.assets == sum(fill.assets for fill in fills)
    assert total.shares == sum(fill.shares for fill in fills)
    assert total.base_charge == sum(fill.base_charge for fill in fills)
    return [(fill.shares, fill.assets, fill.base_charge, fill.lapsed) for fill in fills]


def test_fills__one_after_the_other__each_at_what_the_last_left(rules):
    """500 * 154 / 2,000 = 38.5, then 400 * 116 / 1,500 = 30.9."""
    orders = [(500, 0, False), (400, 0, False)]
    assert filled(rules, orders) == [(500, 38, 0, False), (400, 30, 0, False)]


def test_fills__base_charge__only_where_it_is_not_free(rules):
    """37 paid and 1 kept leave 116 for 500; free of charge 200 * 117 / 1,500 = 15.6."""
    orders = [(500, 0, False), (200, 0, True)]
    assert filled(rules, orders, **CHARGED) == [(500, 37, 1, False), (200, 15, 0, False)]


def test_fills__too_little_is_liquid__a_part_and_those_behind_wait(rules):
    """20 * 2,000 / 154 = 259.7 shares, worth 19.9."""
    orders = [(500, 0, False), (20, 0, False)]
    assert filled(rules, orders, liquid=20) == [(259, 19, 0, False)]
    assert filled(rules, orders, liquid=20, min_shares=259) == [(259, 19, 0, False)]
    assert filled(rules, orders, liquid=20, min_shares=260) == []
    assert filled(rules, orders, liquid=38) == [(500, 38, 0, False)]
    assert filled(rules, orders, liquid=0, min_shares=0) == []


def test_fills__worth_less_than_its_minimum__lapses_and_the_next_is_served(rules):
    """The first is worth 38; what lapses changes nothing for the second, 30.8."""
    orders = [(500, 39, False), (400, 30, False)]
    assert filled(rules, orders) == [(0, 0, 0, True), (400, 30, 0, False)]
    assert filled(rules, [(500, 38, False)]) == [(500, 38, 0, False)]
    assert filled(rules, [(12, 0, False)]) == [(0, 0, 0, True)]  # worth 0.9


def test_fills__rest_under_the_minimum__leaves_the_minimum(rules):
    assert filled(rules, [(995, 0, False)]) == [(990, 76, 0, False)]
    assert filled(rules, [(1_000, 0, False)], **CHARGED) == [(1_000, 77, 0, False)]


def test_fills__equity_not_positive__refused(rules):
    with boa.reverts("vault: equity not positive"):
        filled(rules, [(500, 0, False)], quote_value=-450)


@pytest.mark.parametrize("quote_value", [-450, -460])
def test_most_entry__shares_and_no_equity_behind_them__nothing(rules, quote_value):
    assert rules.most_entry(*parts(quote_value=quote_value)) == (0, 0)
