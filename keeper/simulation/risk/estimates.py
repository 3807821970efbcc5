# SPDX-License-Identifier: MIT
"""Minimum variance ratios of today from a file, by estimator; and what the live outlook saw."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from keeper.outlook import Outlook, observed, variance_wad, warm
from keeper.simulation.risk.effectiveness import ols_ratio
from keeper.simulation.risk.garch import MIN_RETURNS, garch_ratios
from keeper.simulation.risk.margin_forecast import Windows
from keeper.simulation.risk.ratios import ewma_ratios
from keeper.simulation.risk.series import Series, log_returns
from keeper.simulation.risk.volatility import TooShort
from keeper.units import WAD

Floats = NDArray[np.float64]

DAY_SECS = 86_400
OLS_DAYS = 90
HOURS_A_YEAR = 8_760


def daily_ratios(rows: Series) -> dict[str, float]:
    """
    Return the ratio that OLS over 90 days, EWMA and GARCH ask for after the last midnight.

    Days with a halted spot at midnight are left out, with the return across them.

    Raises
    ------
    TooShort
        If fewer than 250 daily returns are left.
    """
    closes = rows.every(DAY_SECS)
    held, hedge = log_returns(closes.spot), log_returns(closes.perp)
    both = np.isfinite(held) & np.isfinite(hedge)
    held, hedge = held[both], hedge[both]
    if held.size < MIN_RETURNS:
        raise TooShort(f"{held.size} daily returns, {MIN_RETURNS} are needed")
    return {
        f"OLS, {OLS_DAYS} days": ols_ratio(held[-OLS_DAYS:], hedge[-OLS_DAYS:]),
        "EWMA 0.94": float(ewma_ratios(np.append(held, 0.0), np.append(hedge, 0.0))[-1]),
        "GARCH(1,1)": float(garch_ratios(held, hedge, held.size - 1)[-1]),
    }


def outlook_variances(rows: Series) -> Floats:
    """Return the live forecast of the variance a year at each hour, nan until it is warm."""
    outlook, found = Outlook(), np.full(rows.perp.size, np.nan)
    for i, (at, price) in enumerate(zip(rows.closes_at.tolist(), rows.perp.tolist(), strict=True)):
        price_wad = round(price * WAD)
        outlook = observed(outlook, price_wad, price_wad, 0, at)
        if warm(outlook):
            found[i] = (variance_wad(outlook, 0) or 0) / WAD
    return found


def outlook_windows(rows: Series, length: int) -> Windows:
    """
    Return stretches of `length` hours that do not overlap, by the live forecast.

    Mark's highs and lows against its close before the stretch, as `margin_forecast.windows`.
    """
    variances = outlook_variances(rows)
    first = int(np.argmax(np.isfinite(variances)))
    begins = np.arange(first, rows.mark.size - length, length)
    inside = begins[:, None] + np.arange(1, length + 1)
    mark = rows.mark[begins]
    return Windows(
        begins_at=rows.closes_at[begins],
        rises=np.maximum(np.log(rows.mark_high[inside].max(axis=1) / mark), 0.0),
        falls=np.maximum(-np.log(rows.mark_low[inside].min(axis=1) / mark), 0.0),
        deviations=np.sqrt(variances[begins] * length / HOURS_A_YEAR),
    )
