# SPDX-License-Identifier: MIT
import math

import numpy as np
import pytest

from keeper.simulation.risk.volatility import (
    BURN_IN,
    CALENDAR_HAR,
    DAY_SECS,
    HAR,
    LOG_HAR,
    SATURDAY,
    Days,
    TooShort,
    annual_volatility,
    days,
    ewma,
    forecast_variance,
    last_day,
    moving_average,
    qlike,
    regression_forecasts,
    weekday_share,
)

THURSDAY = 0  # 1970-01-01


def made(variances, returns=None):
    count = len(variances)
    return Days(
        begins_at=np.arange(count) * DAY_SECS,
        variances=np.asarray(variances, dtype=np.float64),
        returns=np.zeros(count) if returns is None else returns,
    )


def closes(count, seed=1):
    chance = np.random.default_rng(seed)
    return np.arange(count) * 3_600, np.exp(np.cumsum(0.01 * chance.standard_normal(count)))


def test_days__end_with_the_last_close():
    """Two hours too many: dropped at the start."""
    at, prices = closes(24 * 3 + 1 + 2)
    found = days(at, prices)
    assert (found.begins_at // 3_600).tolist() == [2, 26, 50]
    hourly = np.diff(np.log(prices[2:]))
    assert found.variances[0] == pytest.approx(np.sum(hourly[:24] ** 2))
    assert found.returns[2] == pytest.approx(math.log(prices[-1] / prices[50]))


@pytest.mark.parametrize("wrong", [math.nan, 0.0, -1.0, math.inf])
def test_days__wrong_price__is_refused(wrong):
    at, prices = closes(49)
    prices[7] = wrong
    with pytest.raises(ValueError, match="missing or not positive"):
        days(at, prices)


def test_days__gap_stale_or_too_short__is_refused():
    at, prices = closes(49)
    with pytest.raises(ValueError, match="hours are missing"):
        days(np.delete(at, 5), np.delete(prices, 5))
    with pytest.raises(ValueError, match="stale"):
        days(at, np.ones(49))
    with pytest.raises(TooShort, match="24 closes"):
        days(at[:24], prices[:24])


def test_qlike__is_least_at_the_truth_and_dearer_when_too_low():
    losses = qlike(np.array([2.0, 2.0, 2.0]), np.array([2.0, 1.0, 4.0]))
    assert losses.tolist() == pytest.approx([0, 2 - math.log(2) - 1, 0.5 + math.log(2) - 1])
    assert losses[1] > losses[2] > losses[0] == 0


def test_simple_forecasts__use_only_days_before():
    variances = np.array([1.0, 3.0, 5.0, 7.0])
    assert np.isnan(last_day(variances)[0])
    assert last_day(variances)[1:].tolist() == [1.0, 3.0, 5.0]
    assert moving_average(variances, 2)[2:].tolist() == [2.0, 4.0]
    assert np.isnan(moving_average(variances, 2)[:2]).all()
    assert ewma(variances, 0.5).tolist() == [1.0, 1.0, 2.0, 3.5]


@pytest.mark.parametrize("form", [HAR, LOG_HAR, CALENDAR_HAR], ids=lambda form: form.name)
def test_regression__never_sees_what_it_forecasts(form):
    """Changing a day and all after it leaves the forecasts up to that day as they were."""
    chance = np.random.default_rng(2)
    variances = np.exp(chance.standard_normal(300) / 3)
    returns = chance.standard_normal(300) * np.sqrt(variances)
    before = regression_forecasts(made(variances, returns), form, 200)
    changed, other = variances.copy(), returns.copy()
    changed[250:] *= 50
    other[250:] -= 9
    after = regression_forecasts(made(changed, other), form, 200)
    assert before.size == 101
    assert after[:51].tolist() == before[:51].tolist()
    assert not np.isclose(after[51:], before[51:]).any()


def test_har__of_a_har__is_exact():
    """RV = 0.1 + 0.5 RV(1) + 0.3 RV(7) + 0.1 RV(30), begun under its mean of 1."""
    variances = list(0.5 + np.sin(np.arange(BURN_IN)) / 3)
    while len(variances) < 200:
        terms = (variances[-1], np.mean(variances[-7:]), np.mean(variances[-30:]))
        variances.append(0.1 + float(np.dot((0.5, 0.3, 0.1), terms)))
    found = regression_forecasts(made(variances[:-1]), HAR, 199)
    assert found == pytest.approx(variances[-1:], rel=1e-6)


def test_log_har__corrects_for_the_mean_of_a_lognormal():
    """Independent days with deviation 1 in logs: the mean is exp(1/2), the median 1."""
    variances = np.exp(np.random.default_rng(4).standard_normal(4_000))
    found = regression_forecasts(made(variances), LOG_HAR, 3_000)
    assert found.mean() == pytest.approx(math.exp(0.5), rel=0.05)


def test_calendar_har__learns_the_weekend_and_the_fall():
    """Ten times less at weekends; half as much again after a fall by one deviation."""
    chance = np.random.default_rng(8)
    count = 1_400
    falls = chance.standard_normal(count)
    weekend = np.isin(np.arange(count) % 7, (SATURDAY, SATURDAY + 1))
    logs = -2.3 * weekend + 0.05 * chance.standard_normal(count)
    logs[1:] += np.where(falls[:-1] < 0, -0.4 * falls[:-1], 0.0)
    variances = np.exp(logs)
    history = made(variances, falls * np.sqrt(variances))
    ours = qlike(variances[700:], regression_forecasts(history, CALENDAR_HAR, 700)[:-1]).mean()
    log_har = qlike(variances[700:], regression_forecasts(history, LOG_HAR, 700)[:-1]).mean()
    assert ours < 0.1 * log_har


def test_forecast__is_the_one_after_the_last_day():
    variances = np.exp(np.random.default_rng(9).standard_normal(200) / 4)
    expected = regression_forecasts(made(variances), LOG_HAR, 200)
    assert forecast_variance(made(variances), LOG_HAR) == expected[0]
    assert expected.size == 1


@pytest.mark.parametrize("first", [129, 201])
def test_regression__too_few_days__is_refused(first):
    with pytest.raises(TooShort, match=f"day {first} of 200 cannot be forecast"):
        regression_forecasts(made(np.ones(200)), HAR, first)


def test_weekday_share__of_24_hours_from_any_moment():
    """From Friday 18:00: 6 h of Friday, 18 h of Saturday."""
    friday = (SATURDAY - 1) * DAY_SECS + 18 * 3_600
    at = np.array([friday, SATURDAY * DAY_SECS, THURSDAY])
    assert weekday_share(at, SATURDAY).tolist() == [0.75, 1.0, 0.0]
    assert weekday_share(at + DAY_SECS, SATURDAY).tolist() == [0.25, 0.0, 0.0]
    assert weekday_share(at + DAY_SECS, SATURDAY + 1).tolist() == [0.75, 1.0, 0.0]


def test_annual_volatility__scales_by_the_root_of_time():
    assert annual_volatility(np.array([0.01, -0.01, np.nan]), 8_760) == pytest.approx(
        0.01 * math.sqrt(8_760)
    )
