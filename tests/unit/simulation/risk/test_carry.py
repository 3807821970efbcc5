# SPDX-License-Identifier: MIT
import math

import numpy as np
import pytest

from keeper.simulation.risk.carry import (
    Quote,
    Shape,
    annualised_basis,
    basis,
    cost_of_carry,
    expected_rate,
    fair_future,
    fair_perpetual_ratio,
    funding_received,
    term_structure,
)


def test_basis__and_per_year():
    """2,050 over 2,000 with a quarter to go: 2.5 %, simple 10 % a year, continuous 9.877 %."""
    assert basis(2_050.0, 2_000.0) == pytest.approx(0.025)
    assert annualised_basis(2_050.0, 2_000.0, 0.25) == pytest.approx(0.10)
    assert cost_of_carry(2_050.0, 2_000.0, 0.25) == pytest.approx(4 * math.log(1.025))


def test_fair_future__carries_what_it_was_made_of():
    price = fair_future(2_000.0, interest=0.05, coin_yield=0.03, years=0.5)
    assert cost_of_carry(price, 2_000.0, 0.5) == pytest.approx(0.02)


def test_fair_perpetual__anchored_by_1095__moves_half_a_point_for_5_percent():
    """quant.md, section 2: 0.46 bp; equal to spot exactly when iota is the difference."""
    ratio = fair_perpetual_ratio(1_095.0, 0.0, 0.05)
    assert (ratio - 1) * 1e4 == pytest.approx(0.46, abs=0.005)
    assert fair_perpetual_ratio(1_095.0, 0.05, 0.05) == 1.0
    with pytest.raises(ValueError, match="must be over"):
        fair_perpetual_ratio(0.05, 0.0, 0.05)


def test_fair_perpetual__simulated__holder_breaks_even():
    """
    Short at the ratio, carry it for a year in steps of an hour: f - x grows at r_a, x at r_b.

    The replication of the paper: value of the margined short plus funding is a fair game when
    kappa (f - x) + iota x pays exactly the drift of f under the pricing measure, (r_a - r_b) f.
    """
    kappa, iota, difference = 1_095.0, 0.02, 0.07
    ratio = fair_perpetual_ratio(kappa, iota, difference)
    chance = np.random.default_rng(7)
    steps, years, sigma = 8_760, 1.0, 0.8
    dt = years / steps
    shocks = sigma * math.sqrt(dt) * chance.standard_normal((400, steps)) - sigma**2 * dt / 2
    x = np.exp(np.cumsum(difference * dt + shocks, axis=1))
    before = np.concatenate([np.ones((400, 1)), x[:, :-1]], axis=1)
    funding = (kappa * (ratio * before - before) + iota * before) * dt
    gained = np.sum(ratio * (x - before) - funding, axis=1)  # of a long
    assert abs(gained.mean()) < 3 * gained.std() / math.sqrt(400)
    wrong = np.sum((x - before) - iota * before * dt, axis=1)  # at f = x it drifts
    assert (kappa * (ratio - 1) + iota) / ratio == pytest.approx(difference)
    assert wrong.mean() - gained.mean() == pytest.approx(0.05, abs=0.01)


@pytest.mark.parametrize(
    ("perpetual", "prices", "shape"),
    [
        (100.02, (101.0, 103.0), Shape.CONTANGO),
        (99.8, (99.0, 97.0), Shape.BACKWARDATION),
        (100.02, (100.04, 100.0), Shape.FLAT),
        (100.2, (99.0, 103.0), Shape.MIXED),
        (None, (101.0, 101.02), Shape.CONTANGO),
        (100.3, (), Shape.CONTANGO),
    ],
)
def test_term_structure__shape(perpetual, prices, shape):
    dated = [Quote(years=(i + 1) / 4, price=price) for i, price in enumerate(prices)]
    assert term_structure(100.0, dated[::-1], perpetual).shape is shape


def test_term_structure__points():
    curve = term_structure(2_000.0, [Quote(years=0.25, price=2_050.0)], 2_001.0, 0.0001)
    perpetual, quarter = curve.points
    assert perpetual.carry == pytest.approx(0.1095)
    assert (perpetual.years, perpetual.basis) == (0.0, pytest.approx(0.0005))
    assert quarter.annualised == pytest.approx(0.10)


@pytest.mark.parametrize(
    ("arguments", "fact"),
    [
        ((100.0, []), "beside spot"),
        ((100.0, [Quote(years=0.0, price=100.0)]), "positive time"),
        ((100.0, [Quote(years=1.0, price=-1.0)]), "positive prices"),
        ((0.0, [], 100.0), "positive prices"),
        ((math.nan, [], 100.0), "positive prices"),
        ((100.0, [Quote(years=1.0, price=1.0)] * 2), "one delivery"),
    ],
)
def test_term_structure__wrong_quotes__are_refused(arguments, fact):
    with pytest.raises(ValueError, match=fact):
        term_structure(*arguments)


def test_funding_received__short_is_paid_when_longs_pay():
    """2 short: 2 * 2,000 * 1 bp = 0.4 in, 2 * 1,500 * 2 bp = 0.6 out."""
    prices, rates = np.array([2_000.0, 1_500.0]), np.array([1e-4, -2e-4])
    assert funding_received(-2.0, prices, rates) == pytest.approx(-0.2)
    assert funding_received(2.0, prices, rates) == pytest.approx(0.2)
    with pytest.raises(ValueError, match="2 prices for 1 settlements"):
        funding_received(1.0, prices, rates[:1])


def test_expected_rate__between_no_change_and_the_mean():
    assert expected_rate(4.0, 1.0, 1.0, 21) == 4.0
    assert expected_rate(4.0, 1.0, 0.0, 21) == 1.0
    assert expected_rate(4.0, 1.0, 0.5, 2) == pytest.approx((2.5 + 1.75) / 2)
    for periods, persistence in ((0, 0.5), (1, 1.1), (1, -0.1)):
        with pytest.raises(ValueError, match="no forecast"):
            expected_rate(1.0, 1.0, persistence, periods)
