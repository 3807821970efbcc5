# SPDX-License-Identifier: MIT
import math

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import genpareto

from keeper.simulation.market import MarketHour
from keeper.simulation.risk.series import series
from keeper.simulation.risk.tails import (
    ParetoTail,
    fastest_rise,
    fit_tail,
    normal_quantile,
    short_liquidation_price,
    touch_probability,
    worst_moves,
)

TAIL = ParetoTail(threshold=0.1, share=0.05, shape=0.25, scale=0.04)


def test_tail__by_the_formulas():
    """P(X > 0.18) = 0.05 (1 + 0.25 * 0.08 / 0.04)^-4 = 0.05 / 1.5^4."""
    assert TAIL.exceedance(0.18) == pytest.approx(0.05 / 1.5**4)
    assert TAIL.quantile(0.999) == pytest.approx(0.1 + 0.16 * (0.02**-0.25 - 1))
    var = TAIL.quantile(0.999)
    assert TAIL.expected_shortfall(0.999) == pytest.approx((var + 0.04 - 0.025) / 0.75)


def test_tail__quantile_and_exceedance__are_inverse():
    for probability in (0.95, 0.99, 0.9999):
        assert TAIL.exceedance(TAIL.quantile(probability)) == pytest.approx(1 - probability)


@pytest.mark.parametrize("shape", [-0.2, 0.0, 0.3])
def test_shortfall__is_the_mean_beyond_the_quantile(shape):
    tail = ParetoTail(threshold=0.1, share=0.05, shape=shape, scale=0.04)
    mean = quad(tail.quantile, 0.99, 1.0)[0] / 0.01
    assert tail.expected_shortfall(0.99) == pytest.approx(mean, rel=1e-6)


def test_shortfall__without_a_mean__is_infinite():
    assert ParetoTail(threshold=0, share=1, shape=1.0, scale=1).expected_shortfall(0.9) == math.inf


def test_tail__asked_about_the_body__refuses():
    with pytest.raises(ValueError, match="under the threshold"):
        TAIL.exceedance(0.09)
    for probability in (0.94, 1.0):
        with pytest.raises(ValueError, match="not in the tail"):
            TAIL.quantile(probability)


@pytest.mark.parametrize("shape", [-0.15, 0.2])
def test_fit__finds_the_tail_that_made_the_moves(shape):
    moves = genpareto.rvs(shape, 0.0, 0.04, size=40_000, random_state=np.random.default_rng(5))
    tail = fit_tail(moves)
    assert tail.share == 0.05
    assert tail.shape == pytest.approx(shape, abs=0.05)
    expected = genpareto.ppf(0.999, shape, 0.0, 0.04)
    assert tail.quantile(0.999) == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize(
    ("moves", "fact"),
    [
        (np.arange(100.0), "5 moves over the threshold, 30 are needed"),
        (np.array([]), "0 moves"),
        (np.ones(1_000), "0 moves"),
        (np.array([1.0, math.nan]), "not finite"),
    ],
)
def test_fit__unusable_moves__are_refused(moves, fact):
    with pytest.raises(ValueError, match=fact):
        fit_tail(moves)


def test_normal_quantile__is_mean_and_deviation():
    assert normal_quantile(np.array([1.0, 3.0]), 0.975) == pytest.approx(2 + 1.95996, abs=1e-5)


@pytest.mark.parametrize("drift", [-0.03, 0.0, 0.03])
def test_touch__equals_simulated_paths(drift):
    """Steps miss touches: b moves by 0.5826 sd of one (Broadie, Glasserman & Kou 1997)."""
    chance = np.random.default_rng(3)
    steps, deviation, distance = 500, 0.08, 0.12
    moves = chance.standard_normal((20_000, steps)) * deviation / math.sqrt(steps) + drift / steps
    highest = np.cumsum(moves, axis=1).max(axis=1)
    barrier = math.log1p(distance) - 0.5826 * deviation / math.sqrt(steps)
    seen = np.mean(highest >= barrier)
    expected = touch_probability(distance, deviation, drift)
    assert seen == pytest.approx(expected, abs=3 * math.sqrt(expected / 20_000))


def test_touch__without_drift__is_twice_the_end():
    assert touch_probability(0.14, 0.0424) == pytest.approx(
        math.erfc(math.log(1.14) / 0.0424 / math.sqrt(2))
    )
    for wrong in ((0.0, 0.1), (0.1, 0.0), (math.nan, 0.1)):
        with pytest.raises(ValueError, match="positive distance"):
            touch_probability(*wrong)


def test_liquidation_price__five_times_short_at_2000():
    """Collateral 400 a coin: 2,000 + 400 - P = 0.05 P at P = 2,400 / 1.05."""
    price = short_liquidation_price(2_000.0, 5.0, 0.05)
    assert price == pytest.approx(2_400 / 1.05)
    assert 2_000 + 400 - price == pytest.approx(0.05 * price)


def hours(*bars):
    return series(
        [
            MarketHour(
                closes_at=3_600 * i, spot=mark, perp=mark, mark=mark, mark_high=high, mark_low=low
            )
            for i, (mark, high, low) in enumerate(bars)
        ]
    )


BARS = [(100.0, 500.0, 1.0), (101.0, 110.0, 95.0), (120.0, 121.0, 90.0), (60.0, 126.0, 60.0)]


def test_worst_moves__stretches_begin_at_a_close_and_do_not_overlap():
    """Highs and lows before the first close do not count, nor does a stretch that is not whole."""
    up, down = worst_moves(hours(*BARS), 2)
    assert up.tolist() == [pytest.approx(0.21)]
    assert down.tolist() == [pytest.approx(0.10)]
    up, _ = worst_moves(hours(*BARS, (66.0, 90.0, 60.0)), 2)
    assert up.tolist() == [pytest.approx(0.21), pytest.approx(0.05)]


def test_fastest_rise__is_to_any_high_in_the_hours():
    assert fastest_rise(hours(*BARS), 1) == (pytest.approx(121 / 101 - 1), 2)
    assert fastest_rise(hours(*BARS), 3) == (pytest.approx(0.26), 3)
