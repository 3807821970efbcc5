# SPDX-License-Identifier: MIT
"""
Time-varying minimum variance ratio by GARCH(1,1) margins and a moving correlation.

Each side has v' = omega + alpha r2 + beta v (Bollerslev 1986, J. Econometrics 31:307-327), fitted
by `arch` under normal errors, which is consistent for v whatever the errors are (Bollerslev &
Wooldridge 1992). The correlation of the standardised returns is smoothed exponentially, the
integrated form of dynamic conditional correlation (Engle 2002, J. Business & Economic Statistics
20:339-350, section 2):

    h = rho sqrt(v_S / v_F)

`arch` brings pandas and statsmodels along: only this module imports it.
"""

from __future__ import annotations

import numpy as np
from arch.univariate import GARCH, ZeroMean
from numpy.typing import NDArray

from keeper.simulation.risk.volatility import EWMA_DECAY, TooShort, ewma

Floats = NDArray[np.float64]

MIN_RETURNS = 250
REFIT = 30
_PERCENT = 100.0  # `arch` wants returns of about one


class NotConverged(ValueError):
    """The likelihood has no maximum that the optimiser could find."""


def garch_variances(returns: Floats, first: int, refit: int = REFIT) -> Floats:
    """
    Return one-step forecasts of the variance of the returns from number `first` on.

    Fitted on all returns before, anew after `refit` of them.

    Returns
    -------
    ndarray, shape (n - first + 1,)
        The last is for the return after the last.

    Raises
    ------
    TooShort
        If fewer than 250 returns stand before `first`.
    NotConverged
        If a fit fails.
    """
    if first < MIN_RETURNS or first > returns.size:
        raise TooShort(f"a GARCH from return {first} of {returns.size}: {MIN_RETURNS} are needed")
    scaled = returns * _PERCENT
    forecasts: list[float] = []
    for begin in range(first, returns.size + 1, refit):
        omega, alpha, beta, variance = _fit(scaled[:begin])
        for latest in scaled[begin - 1 : min(begin + refit, returns.size + 1) - 1]:
            variance = omega + alpha * latest**2 + beta * variance
            forecasts.append(variance)
    return np.array(forecasts) / _PERCENT**2


def garch_ratios(
    held: Floats, hedge: Floats, first: int, refit: int = REFIT, decay: float = EWMA_DECAY
) -> Floats:
    """Return the ratio for each interval, nan before `first`, each known before it begins."""
    held_variances = garch_variances(held, first, refit)[:-1]
    hedge_variances = garch_variances(hedge, first, refit)[:-1]
    held_standard = _standardised(held, held_variances, first)
    hedge_standard = _standardised(hedge, hedge_variances, first)
    covariance = ewma(held_standard * hedge_standard, decay)
    scale = np.sqrt(ewma(held_standard**2, decay) * ewma(hedge_standard**2, decay))
    ratios = (covariance / scale)[first:] * np.sqrt(held_variances / hedge_variances)
    return np.concatenate([np.full(first, np.nan), ratios])


def _standardised(returns: Floats, variances: Floats, first: int) -> Floats:
    early = returns[:first] / returns[:first].std()
    return np.concatenate([early, returns[first:] / np.sqrt(variances)])


def _fit(scaled: Floats) -> tuple[float, float, float, float]:
    """Return omega, alpha, beta and the variance of the last return, percent squared."""
    model = ZeroMean(scaled, volatility=GARCH(p=1, q=1), rescale=False)
    result = model.fit(disp="off", show_warning=False)
    if result.convergence_flag != 0:
        raise NotConverged(f"GARCH(1,1) on {scaled.size} returns: {result.convergence_flag}")
    omega, alpha, beta = (float(each) for each in result.params)
    return omega, alpha, beta, float(result.conditional_volatility[-1]) ** 2
