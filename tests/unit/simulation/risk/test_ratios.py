# SPDX-License-Identifier: MIT
import math

import numpy as np
import pytest

from keeper.simulation.risk.effectiveness import variance_reduction
from keeper.simulation.risk.garch import (
    MIN_RETURNS,
    NotConverged,
    garch_ratios,
    garch_variances,
)
from keeper.simulation.risk.ratios import (
    Bounds,
    bounded_bps,
    bounded_path,
    carry_ratio,
    ewma_ratios,
    expected_carry,
    ols_ratios,
    static_ratios,
    volatility_ratio,
)
from keeper.simulation.risk.series import paired_returns
from keeper.simulation.risk.volatility import TooShort
from tests.real_hours import sample

DAY = 86_400
BOUNDS = Bounds(lowest_bps=8_000, highest_bps=11_000, step_bps=500, least_change_bps=50)


# Bounds


@pytest.mark.parametrize(
    ("ratio", "before", "after"),
    [
        (0.98, 10_000, 9_800),
        (0.50, 8_200, 8_000),  # the lower bound
        (1.50, 10_800, 11_000),  # the upper
        (0.80, 10_000, 9_500),  # one step a day
        (1.10, 10_000, 10_500),
        (0.996, 10_000, 10_000),  # 40 bps: not worth it
        (0.995, 10_000, 9_950),
        (-3.0, 8_000, 8_000),
    ],
)
def test_bounded__is_the_nearest_that_passes(ratio, before, after):
    assert bounded_bps(ratio, before, BOUNDS) == after


@pytest.mark.parametrize("ratio", [math.nan, math.inf, -math.inf])
def test_bounded__estimate_that_failed__is_no_ratio(ratio):
    with pytest.raises(ValueError, match="no ratio"):
        bounded_bps(ratio, 10_000, BOUNDS)


def test_bounded_path__goes_step_by_step():
    assert bounded_path([0.8, 0.8, 1.0], 10_000, BOUNDS).tolist() == [9_500, 9_000, 9_500]


@pytest.mark.parametrize(
    "wrong",
    [
        {"lowest_bps": 9_000, "highest_bps": 8_999},
        {"lowest_bps": -1, "highest_bps": 1},
        {"lowest_bps": 0, "highest_bps": 1, "step_bps": 0},
        {"lowest_bps": 0, "highest_bps": 1, "least_change_bps": -1},
    ],
)
def test_bounds__that_allow_nothing__are_refused(wrong):
    with pytest.raises(ValueError, match=r"no ratio is in|must be able"):
        Bounds(**wrong)


# Minimum variance


def pairs(slopes, seed=6):
    """Return dS = slope dF + a little noise."""
    chance = np.random.default_rng(seed)
    hedge = 0.04 * chance.standard_normal(len(slopes))
    return slopes * hedge + 0.001 * chance.standard_normal(len(slopes)), hedge


def test_static__is_one_number():
    assert static_ratios(3).tolist() == [1.0, 1.0, 1.0]
    assert static_ratios(2, 0.5).tolist() == [0.5, 0.5]


def test_estimated__find_the_slope_and_follow_a_change_of_it():
    slopes = np.concatenate([np.full(600, 0.9), np.full(600, 1.2)])
    held, hedge = pairs(slopes)
    for ratios in (
        ols_ratios(held, hedge),
        ewma_ratios(held, hedge),
        garch_ratios(held, hedge, 300),
    ):
        assert ratios.shape == slopes.shape
        assert ratios[590] == pytest.approx(0.9, abs=0.02)
        assert ratios[-1] == pytest.approx(1.2, abs=0.02)
        later = slice(300, None)
        ours = variance_reduction(held[later], hedge[later], ratios[later])
        assert ours > variance_reduction(held[later], hedge[later], 1.0)


@pytest.mark.parametrize(
    "estimate",
    [ols_ratios, ewma_ratios, lambda held, hedge: garch_ratios(held, hedge, 300)],
    ids=["ols", "ewma", "garch"],
)
def test_estimated__never_see_the_interval_they_hedge(estimate):
    held, hedge = pairs(np.full(420, 1.0))
    before = estimate(held, hedge)
    held = held.copy()
    held[400:] *= -20
    after = estimate(held, hedge)
    assert np.array_equal(after[300:401], before[300:401])
    assert after[401] != before[401]


def test_ols__before_its_window__is_nan():
    held, hedge = pairs(np.ones(100))
    assert np.isnan(ols_ratios(held, hedge)[:90]).all()
    assert np.isfinite(ols_ratios(held, hedge)[90:]).all()


# GARCH


def garch_path(count, omega, alpha, beta):
    chance = np.random.default_rng(12)
    returns, variances = np.empty(count), np.empty(count)
    variance = omega / (1 - alpha - beta)
    for i in range(count):
        variances[i] = variance
        returns[i] = math.sqrt(variance) * chance.standard_normal()
        variance = omega + alpha * returns[i] ** 2 + beta * variance
    return returns, variances


def test_garch__forecasts_the_variance_that_made_the_path():
    returns, variances = garch_path(4_000, 2e-6, 0.1, 0.88)
    found = garch_variances(returns, 3_000, refit=500)
    assert found.size == 1_001
    assert np.corrcoef(found[:-1], variances[3_000:])[0, 1] > 0.98
    assert found[:-1].mean() == pytest.approx(variances[3_000:].mean(), rel=0.05)


def test_garch__of_any_refit__continues_one_recursion():
    """With one fit for all, each forecast follows from the one before by constant terms."""
    returns, _ = garch_path(1_100, 2e-6, 0.1, 0.88)
    found = garch_variances(returns, 1_000, refit=1_000)
    design = np.column_stack([np.ones(100), returns[1_000:] ** 2, found[:-1]])
    terms, *_ = np.linalg.lstsq(design, found[1:])
    assert np.allclose(design @ terms, found[1:], rtol=1e-9)


def test_garch__too_few_or_without_a_maximum__is_refused():
    returns, _ = garch_path(400, 2e-6, 0.1, 0.88)
    for first in (MIN_RETURNS - 1, 401):
        with pytest.raises(TooShort, match=f"from return {first} of 400"):
            garch_variances(returns, first)


def test_garch__fit_that_fails__is_refused(monkeypatch):
    from keeper.simulation.risk import garch

    class Failed:
        convergence_flag = 9

    monkeypatch.setattr(garch.ZeroMean, "fit", lambda *_, **__: Failed())
    with pytest.raises(NotConverged, match="300 returns: 9"):
        garch_variances(garch_path(300, 2e-6, 0.1, 0.88)[0], 300)


@pytest.mark.parametrize(
    ("coin", "naive", "garch"),
    [("ETH", 0.999916, 0.999912), ("BTC", 0.999921, 0.999907), ("ADA", 0.999871, 0.999872)],
)
def test_garch__real_files__gains_nothing_over_one_to_one(coin, naive, garch):
    """Daily, out of sample after 250 days: quant.md, section 1, did not run this one."""
    _, spot, perp = paired_returns(sample(coin).every(DAY))
    ratios = garch_ratios(spot, perp, MIN_RETURNS)
    later = slice(MIN_RETURNS, None)
    found = [variance_reduction(spot[later], perp[later], each) for each in (1.0, ratios[later])]
    assert found == pytest.approx([naive, garch], abs=2e-6)


# Carry and volatility


def test_carry__is_the_best_of_all_ratios():
    """h f - gamma sigma2 (1 - h)2 / 2 by a search."""
    grid = np.linspace(0.5, 1.5, 100_001)
    for carry in (-0.2, 0.0, 0.15):
        best = grid[np.argmax(grid * carry - 4.0 * 0.64 * (1 - grid) ** 2 / 2)]
        assert carry_ratio(carry, 0.64, 4.0) == pytest.approx(best, abs=1e-5)


def test_carry__without_risk_or_aversion__has_no_answer():
    for wrong in ((0.1, 0.0, 4.0), (0.1, 0.5, 0.0), (0.1, math.nan, 4.0)):
        with pytest.raises(ValueError, match="expected risk"):
            carry_ratio(*wrong)


def test_expected_carry__is_the_mean_of_the_last():
    assert expected_carry(np.array([9.0, 1.0, 3.0]), 2) == 2.0
    with pytest.raises(ValueError, match="3 settlements, 9 are needed"):
        expected_carry(np.ones(3))


@pytest.mark.parametrize(("coin", "week"), [("ETH", 0.490), ("BTC", 0.474), ("ADA", 0.663)])
def test_expected_carry__real_files__errs_less_than_no_change(coin, week):
    """RMSE of the mean of the next 21 settlements, second half of the file, bp."""
    rates = sample(coin).settlements().funding_rate * 1e4
    for ahead in (3, 21, 90):
        begins = range(rates.size // 2, rates.size - ahead)
        actual = np.array([rates[i : i + ahead].mean() for i in begins])
        ours = np.array([expected_carry(rates[:i]) for i in begins])
        error = np.sqrt(np.mean((ours - actual) ** 2))
        last = np.sqrt(np.mean((rates[[i - 1 for i in begins]] - actual) ** 2))
        assert error < last
        if ahead == 21:
            assert error == pytest.approx(week, abs=6e-4)


def test_volatility__leaves_the_target_and_no_more_than_most():
    assert volatility_ratio(0.8, 0.2) == pytest.approx(0.75)
    assert (1 - volatility_ratio(0.8, 0.2)) * 0.8 == pytest.approx(0.2)
    assert volatility_ratio(0.1, 0.2) == 0.0
    assert volatility_ratio(0.1, 0.2, most=0.3) == pytest.approx(0.7)
    assert volatility_ratio(0.8, 0.0) == 1.0
    for wrong in ((0.0, 0.2, 1.0), (0.8, -0.1, 1.0), (0.8, 0.2, 1.1), (math.nan, 0.2, 1.0)):
        with pytest.raises(ValueError, match="no ratio"):
            volatility_ratio(*wrong)
