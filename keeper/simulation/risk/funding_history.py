# SPDX-License-Identifier: MIT
"""What funding did: level, persistence, worst stretches, and how well it can be forecast."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from keeper.simulation.risk.greeks import PERIODS_A_YEAR

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingStatistics:
    """Rates are fractions of notional, positive: longs pay; deviation per 8 hours."""

    n: int
    a_year: float  # mean rate x 1,095
    deviation: float
    negative: float  # share of settlements


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """The worst sum for a short over some settlements, and the last of them."""

    total: float
    last: int


def statistics(rates: Floats) -> FundingStatistics:
    """Return the level of a series of settlements, shape (n,)."""
    return FundingStatistics(
        n=rates.size,
        a_year=float(rates.mean()) * PERIODS_A_YEAR,
        deviation=float(rates.std()),
        negative=float(np.mean(rates < 0.0)),
    )


def autocorrelation(rates: Floats, lag: int) -> float:
    """Return the correlation of the series with itself `lag` settlements before."""
    return float(np.corrcoef(rates[lag:], rates[:-lag])[0, 1])


def half_life(rates: Floats) -> float:
    """
    Return the settlements in which an AR(1) forgets half, ln(1/2) / ln(phi).

    One number is too little: after a week the files still correlate by more than 0.4.

    Raises
    ------
    ValueError
        If neighbours do not correlate positively: nothing decays.
    """
    persistence = autocorrelation(rates, 1)
    if not 0.0 < persistence < 1.0:
        raise ValueError(f"no half-life with an autocorrelation of {persistence:.2f}")
    return float(np.log(0.5) / np.log(persistence))


def worst_stretch(rates: Floats, length: int) -> Stretch:
    """Return the least sum over `length` settlements in a row."""
    sums = np.convolve(rates, np.ones(length), mode="valid")
    begin = int(sums.argmin())
    return Stretch(total=float(sums[begin]), last=begin + length - 1)


def one_step_errors(rates: Floats) -> dict[str, float]:
    """
    Return the RMSE of one-step forecasts over the second half, fitted on the first, by name.

    ``AR(1)`` reverts to the first half's mean, ``AR(1) to zero`` to nothing. The mean fell from
    the first half to the second in all three files, which is what the plain one loses by.
    """
    half = rates.size // 2
    fitted, before, actual = rates[:half], rates[half - 1 : -1], rates[half:]
    mean = float(fitted.mean())
    persistence = autocorrelation(fitted, 1)
    to_zero = float(fitted[1:] @ fitted[:-1] / (fitted[:-1] @ fitted[:-1]))
    forecasts = {
        "AR(1)": mean + persistence * (before - mean),
        "AR(1) to zero": to_zero * before,
        "no-change": before,
        "mean": np.full(actual.size, mean),
    }
    return {name: _rmse(actual - forecast) for name, forecast in forecasts.items()}


def _rmse(errors: Floats) -> float:
    return float(np.sqrt(np.mean(errors**2)))
