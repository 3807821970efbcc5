# SPDX-License-Identifier: MIT
"""Market hours as arrays, for statistics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from keeper.simulation.market import MarketHour

Floats = NDArray[np.float64]
NAN = float("nan")


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """
    Columns of a market file, one row an hour.

    Attributes
    ----------
    closes_at : ndarray, shape (n,), int64, Unix seconds
    spot, perp, mark, mark_high, mark_low : ndarray, shape (n,), float64, quote per asset
        nan where the exchange gave none; so is spot in a halted hour, unlike `MarketHour.spot`.
    funding_rate : ndarray, shape (n,), float64, fraction of notional
        nan where nothing was settled.
    """

    closes_at: NDArray[np.int64]
    spot: Floats
    perp: Floats
    mark: Floats
    mark_high: Floats
    mark_low: Floats
    funding_rate: Floats

    @property
    def basis(self) -> Floats:
        """Return perp over spot minus one; nan in halted hours."""
        return self.perp / self.spot - 1.0

    def where(self, chosen: NDArray[np.bool_]) -> Series:
        """Return the chosen rows."""
        return Series(**{each.name: getattr(self, each.name)[chosen] for each in fields(self)})

    def between(self, first_at: int, last_at: int) -> Series:
        """Return the rows that close in ``[first_at, last_at]``, both included."""
        return self.where((self.closes_at >= first_at) & (self.closes_at <= last_at))

    def every(self, secs: int) -> Series:
        """Return the rows that close at a multiple of `secs` since 1970."""
        return self.where(self.closes_at % secs == 0)

    def settlements(self) -> Series:
        """Return the rows in which funding was settled."""
        return self.where(~np.isnan(self.funding_rate))


def series(hours: Sequence[MarketHour]) -> Series:
    """Return the hours as columns."""

    def column(name: str) -> Floats:
        values = (getattr(hour, name) for hour in hours)
        return np.array([NAN if value is None else value for value in values], dtype=np.float64)

    names = ("perp", "mark", "mark_high", "mark_low", "funding_rate")
    return Series(
        closes_at=np.array([hour.closes_at for hour in hours], dtype=np.int64),
        spot=np.array([NAN if hour.spot_halted else hour.spot for hour in hours]),
        **{name: column(name) for name in names},
    )


def log_returns(prices: Floats) -> Floats:
    """Return ln(P[i] / P[i - 1]), shape (n - 1,); nan on both sides of a missing price."""
    return np.diff(np.log(prices))


def paired_returns(rows: Series) -> tuple[NDArray[np.int64], Floats, Floats]:
    """
    Return closing times and log returns of spot and perp, without those across a halt of spot.

    Returns
    -------
    closes_at, spot, perp : ndarray, shape (m,)
    """
    spot, perp = log_returns(rows.spot), log_returns(rows.perp)
    known = ~np.isnan(spot)
    return rows.closes_at[1:][known], spot[known], perp[known]


def years_of(closes_at: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the calendar year, UTC, of each moment."""
    return closes_at.astype("datetime64[s]").astype("datetime64[Y]").astype(np.int64) + 1970
