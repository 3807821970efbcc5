# SPDX-License-Identifier: MIT
"""Strategies side by side: figures of a period, gain over a base, table and chart."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from keeper.simulation.backtest.compare import (
    _newey_west,
    compared,
    gain,
    judged,
    period,
    scatter,
)
from keeper.simulation.backtest.engine import COLUMNS, Result, Tally
from keeper.simulation.backtest.figures import aligned

HOUR, DAY, START = 3_600, 24, 1_640_995_200  # 2022-01-01


def result_of(returns, *, gas=0.0, **columns):
    """A vault with these hourly log returns at index and mark."""
    count = len(returns) + 1
    rows = np.zeros((count, len(COLUMNS)))
    nav = 1_000.0 * np.exp(np.concatenate([[0.0], np.cumsum(returns)]))
    values = {"nav": nav, "marked": nav, "gas": gas * np.arange(count), "maintenance": 50.0,
              "equity": 500.0, "ratio": 1.0} | columns  # fmt: skip
    for name, value in values.items():
        rows[:, COLUMNS.index(name)] = value
    chance = np.random.default_rng(1)
    return Result(
        closes_at=START + HOUR * np.arange(count),
        spot=2_000.0 * np.exp(np.cumsum(0.01 * chance.standard_normal(count))),
        rows=rows,
        tally=Tally(),
        deposit=0.5,
    )


def test_period__a_year_of_steady_growth():
    count = 365 * DAY
    result = result_of(
        np.full(count, 0.1 / count),
        gas=10.0 / count,
        funding=np.linspace(0.0, 100.0, count + 1),
        impact=np.linspace(0.0, 20.0, count + 1),
        rebalances=np.linspace(0.0, 12.0, count + 1),
        liquidations=np.concatenate([np.zeros(count), [2.0]]),
    )
    found = period(result, "all", np.arange(count + 1))
    a_year, mean = 365.25 / 365, 1_051.7
    assert found.gas == pytest.approx(10 * a_year / mean, rel=1e-3)
    assert found.growth == pytest.approx(0.1 * a_year - found.gas, rel=1e-9)
    assert found.funding == pytest.approx(100 * a_year / mean, rel=1e-3)
    assert found.cost == pytest.approx(30 * a_year / mean, rel=1e-3)
    assert found.rebalances == pytest.approx(12 * a_year)
    assert (found.liquidations, found.least_ratio) == (2, 10.0)
    assert found.residual == pytest.approx(0.0, abs=1e-12)


def test_period__residual__is_the_deviation_of_hours_a_year():
    returns = 0.001 * np.random.default_rng(3).standard_normal(20_000)
    found = period(result_of(returns), "all", np.arange(20_001))
    assert found.residual == pytest.approx(0.001 * 8_766**0.5, rel=0.02)


def test_judged__years_all_and_both_sides_of_the_split():
    result = result_of(np.zeros(500 * DAY))
    names = [each.name for each in judged(result, START + 400 * DAY * HOUR)]
    assert names == ["2022", "2023", "all", "fitted", "judged"]


def test_gain__one_percent_a_year_more__is_found_with_its_error():
    chance = np.random.default_rng(4)
    noise = 0.002 * chance.standard_normal(600 * DAY)
    base = result_of(noise)
    same, t = gain(base, base, 0, 4.0)
    assert same == 0.0
    assert np.isnan(t)
    more = result_of(noise + 0.01 / 8_760)
    found, t = gain(more, base, 0, 0.0)
    assert found == pytest.approx(0.01, rel=1e-6)
    other = result_of(0.002 * chance.standard_normal(600 * DAY) + 0.01 / 8_760)
    assert abs(gain(other, base, 0, 0.0)[1]) < 2.5


def test_gain__more_risk_for_nothing__costs_half_aversion_times_variance():
    chance = np.random.default_rng(5)
    hours = 3_000 * DAY
    risky = result_of(0.004 * chance.standard_normal(hours))
    calm = result_of(np.zeros(hours))
    plain, averse = gain(risky, calm, 0, 0.0)[0], gain(risky, calm, 0, 4.0)[0]
    assert averse - plain == pytest.approx(-2.0 * 0.004**2 * 8_760, rel=0.05)


def test_gain__gas__is_taken_off():
    count = 100 * DAY
    dear = result_of(np.zeros(count), gas=0.01)
    found = gain(dear, result_of(np.zeros(count)), 0, 0.0)[0]
    assert found == pytest.approx(-0.01 * 8_760 / 1_000, rel=1e-6)


def test_newey_west__independent__as_the_usual_error_and_more_when_they_persist():
    draws = np.random.default_rng(6).standard_normal(20_000)
    assert _newey_west(draws) == pytest.approx(1 / 20_000**0.5, rel=0.05)
    smooth = np.convolve(draws, np.ones(5) / 5**0.5, mode="valid")
    assert _newey_west(smooth) > 1.7 / 20_000**0.5


def test_compared__and_scatter__name_each_strategy():
    result = result_of(0.001 * np.random.default_rng(7).standard_normal(60 * DAY), gas=0.001)
    rows = {"one": judged(result, START)[-1]}
    rows["two"] = replace(rows["one"], trading=0.01, residual=0.2)
    table = compared(rows, base=result, results={"one": result, "two": result}, since=0)
    assert [line[0] for line in table[1:]] == ["one", "two"]
    assert table[0][-2:] == ("gain", "t")
    assert "two" in aligned(table)
    assert scatter(rows, "chart").startswith(b"\x89PNG")
