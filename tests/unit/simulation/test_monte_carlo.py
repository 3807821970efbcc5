# SPDX-License-Identifier: MIT
"""Moments of the made paths are those of their models; seeds decide everything."""

from __future__ import annotations

import numpy as np
import pytest

from keeper.policy import Policy
from keeper.simulation.backtest import defaults
from keeper.simulation.backtest.fast import play
from keeper.simulation.backtest.monte_carlo import (
    FundingTerms,
    Jumps,
    Regimes,
    funding_rates,
    jump_returns,
    made_bars,
    premium_of,
    regime_returns,
    spawn,
)
from keeper.simulation.funding_study import rate

MANY = 1_000_000


def random(seed=1):
    return spawn(seed, 1)[0]


def autocorrelation(x, lag):
    return float(np.corrcoef(x[:-lag], x[lag:])[0, 1])


def test_jump_returns__moments__of_mertons_model():
    terms = Jumps()
    r = jump_returns(MANY, terms, random())
    assert np.mean(np.exp(r)) == pytest.approx(1, abs=4 * np.std(r) / np.sqrt(MANY))
    assert np.var(r) == pytest.approx(terms.variance(), rel=0.02)
    centred = r - r.mean()
    kurtosis = np.mean(centred**4) / np.var(r) ** 2 - 3
    assert kurtosis == pytest.approx(terms.excess_kurtosis(), rel=0.05)
    assert kurtosis > 5
    assert np.mean(centred**3) < 0  # jumps fall on average


def test_regime_returns__moments__clustered_volatility():
    terms = Regimes()
    r = regime_returns(MANY, terms, random())
    assert np.mean(np.exp(r)) == pytest.approx(1, abs=4 * np.std(r) / np.sqrt(MANY))
    assert np.var(r) == pytest.approx(terms.variance(), rel=0.02)
    for lag in (1, 24, 72):
        expected = terms.square_autocorrelation(lag)
        assert autocorrelation(r**2, lag) == pytest.approx(expected, abs=0.015)
    assert terms.square_autocorrelation(24) > 0.1
    assert abs(autocorrelation(r, 1)) < 0.005


def test_funding_rates__moments__the_slow_tail_of_the_eth_file():
    """quant.md 3, ETH: 15.2 % a year, 2.85 bp, 0.79 / 0.65 / 0.45 at lags 1 / 3 / 21."""
    rates = funding_rates(MANY, FundingTerms(), random())
    assert rates.mean() * 1_095 == pytest.approx(0.152, abs=0.01)
    assert rates.std() == pytest.approx(2.85e-4, rel=0.02)
    for lag, expected in ((1, 0.79), (3, 0.65), (21, 0.45)):
        assert autocorrelation(rates, lag) == pytest.approx(expected, abs=0.03)
        assert autocorrelation(rates, lag) == pytest.approx(
            FundingTerms().autocorrelation(lag), abs=0.015
        )


def test_premium_of__venues_rule__gives_the_rates_back():
    rates = np.array([1e-4, 1.1e-4, 9e-4, -3e-4, 60e-4, 0.0])
    assert np.allclose(rate(premium_of(rates)), rates)


def test_spawn__same_seed__same_paths_and_independent_ones():
    a, b = (jump_returns(50, Jumps(), g) for g in spawn(7, 2))
    again = jump_returns(50, Jumps(), spawn(7, 2)[0])
    assert np.array_equal(a, again)
    assert not np.array_equal(a, b)


def test_made_bars__played__hedged_vault_moves_less_than_spot():
    for random_ in spawn(3, 5):
        hours = 2_000
        path = made_bars(
            regime_returns(hours, Regimes(), random_),
            funding_rates(hours // 8, FundingTerms(), random_),
            first_price=2_000.0,
            starts_at=0,
        )
        result = play(path, defaults.setup(), Policy())
        hedged = np.var(np.diff(np.log(result.column("nav"))))
        assert hedged < 0.01 * np.var(np.diff(np.log(result.spot)))


def test_made_bars__too_few_rates__refused():
    with pytest.raises(ValueError, match="need 2 rates, were 1"):
        made_bars(np.zeros(9), np.zeros(1), first_price=1.0, starts_at=0)
