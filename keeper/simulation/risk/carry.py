# SPDX-License-Identifier: MIT
"""
Basis, carry, term structure and funding of futures on one coin.

With S spot, F the futures price, tau years to delivery:

    basis              F / S - 1
    annualised basis   (F / S - 1) / tau           simple, as desks quote it
    cost of carry      b = ln(F / S) / tau         continuous; F = S exp(b tau)
    convenience        y = r - b                   what holding the coin must yield beyond r

A perpetual never delivers; its carry is its funding, per year rate x 1,095. A constant-coefficient
perpetual that pays (kappa (f - x) + iota x) dt is fair at f / x = (kappa - iota) /
(kappa - (r_a - r_b)) (Ackerer, Hugonnier & Jermann 2025, Mathematical Finance,
doi:10.1111/mafi.70018, linear case).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from keeper.simulation.risk.greeks import PERIODS_A_YEAR, implied_carry

Floats = NDArray[np.float64]


class Shape(StrEnum):
    """How prices run with time to delivery, spot first."""

    CONTANGO = "contango"  # rises
    BACKWARDATION = "backwardation"  # falls
    FLAT = "flat"  # no step beyond the tolerance
    MIXED = "mixed"  # rises and falls


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote:
    """A dated future: price in quote per asset, `years` to delivery."""

    years: float
    price: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CurvePoint:
    """One delivery on the curve; the perpetual stands at `years` 0. Rates are per year."""

    years: float
    price: float
    basis: float
    annualised: float
    carry: float


@dataclass(frozen=True, slots=True, kw_only=True)
class TermStructure:
    """The curve of one coin at one moment."""

    points: tuple[CurvePoint, ...]
    shape: Shape


def basis(future: float, spot: float) -> float:
    """
    Return F / S - 1.

    >>> round(basis(2_010.0, 2_000.0), 6)
    0.005
    """
    if not (spot > 0.0 and future > 0.0):
        raise ValueError(f"expected positive prices, were {future} and {spot}")
    return future / spot - 1.0


def annualised_basis(future: float, spot: float, years: float) -> float:
    """Return the basis over the years to delivery, simple."""
    if not years > 0.0:
        raise ValueError(f"expected a positive time to delivery, was {years}")
    return basis(future, spot) / years


def cost_of_carry(future: float, spot: float, years: float) -> float:
    """Return b = ln(F / S) / tau, continuous, per year."""
    return implied_carry(future, spot, years)


def fair_future(spot: float, interest: float, coin_yield: float, years: float) -> float:
    """Return S exp((r - y) tau); rates continuous, per year."""
    return spot * math.exp((interest - coin_yield) * years)


def fair_perpetual_ratio(anchoring: float, interest_term: float, rate_difference: float) -> float:
    """
    Return f / x of a fair perpetual; all rates per year.

    Parameters
    ----------
    anchoring : float
        kappa, 1,095 for a premium paid in full every 8 hours; over `rate_difference`.
    interest_term : float
        iota, the constant part of funding.
    rate_difference : float
        r_a - r_b, interest of the quote less that of the coin.

    Examples
    --------
    >>> round((fair_perpetual_ratio(1_095.0, 0.0, 0.05) - 1.0) * 1e4, 2)  # bp
    0.46
    """
    if not anchoring > rate_difference:
        raise ValueError(f"anchoring {anchoring} must be over the rates' {rate_difference}")
    return (anchoring - interest_term) / (anchoring - rate_difference)


def term_structure(
    spot: float,
    dated: Sequence[Quote],
    perpetual: float | None = None,
    funding_rate: float = 0.0,
    tolerance: float = 5e-4,
) -> TermStructure:
    """
    Return the curve from spot over the perpetual to the last delivery.

    Parameters
    ----------
    spot, perpetual : float
        Quote per asset. The perpetual's annualised basis and carry are its funding per year.
    dated : sequence of Quote
        In any order, no two of one delivery.
    funding_rate : float
        Per 8 hours, as expected for the next settlement.
    tolerance : float
        A step between two neighbours that is at most this share of spot counts as none: 5 bp, a
        little over the hourly basis noise of the files.

    Raises
    ------
    ValueError
        If a price or a time is not positive, two deliveries are the same, or there is nothing
        but spot.
    """
    points = [] if perpetual is None else [_perpetual_point(spot, perpetual, funding_rate)]
    points += [_dated_point(spot, quote) for quote in sorted(dated, key=lambda q: q.years)]
    if not points:
        raise ValueError("expected a perpetual or a dated future beside spot")
    times = [point.years for point in points]
    if len(set(times)) != len(times):
        raise ValueError("two quotes have one delivery")
    steps = np.diff([0.0, *(point.basis for point in points)])
    return TermStructure(points=tuple(points), shape=_shape(steps, tolerance))


def _perpetual_point(spot: float, price: float, funding_rate: float) -> CurvePoint:
    a_year = funding_rate * PERIODS_A_YEAR
    return CurvePoint(
        years=0.0, price=price, basis=basis(price, spot), annualised=a_year, carry=a_year
    )


def _dated_point(spot: float, quote: Quote) -> CurvePoint:
    return CurvePoint(
        years=quote.years,
        price=quote.price,
        basis=basis(quote.price, spot),
        annualised=annualised_basis(quote.price, spot, quote.years),
        carry=cost_of_carry(quote.price, spot, quote.years),
    )


def _shape(steps: Floats, tolerance: float) -> Shape:
    rises, falls = bool(np.any(steps > tolerance)), bool(np.any(steps < -tolerance))
    if rises and falls:
        return Shape.MIXED
    if rises:
        return Shape.CONTANGO
    return Shape.BACKWARDATION if falls else Shape.FLAT


def funding_received(size: float, prices: Floats, rates: Floats) -> float:
    """
    Return what a position got over all settlements, quote; negative if it paid.

    Parameters
    ----------
    size : float
        Asset, long positive, constant.
    prices : ndarray, shape (n,), quote per asset, at the settlements
    rates : ndarray, shape (n,), fraction of notional, positive: longs pay

    Examples
    --------
    >>> round(funding_received(-2.0, np.array([2_000.0, 1_000.0]), np.array([1e-4, -2e-4])), 9)
    0.0
    """
    if prices.shape != rates.shape:
        raise ValueError(f"{prices.size} prices for {rates.size} settlements")
    return -size * float(np.sum(prices * rates))


def expected_rate(last: float, mean: float, persistence: float, periods: int) -> float:
    """
    Return the mean rate expected over the next `periods` settlements.

    By an AR(1) around `mean`: E f(k) = mean + phi^k (last - mean); phi = 1 is no-change, the
    forecast to beat for one step (`funding_history`), phi = 0 the mean.

    Examples
    --------
    >>> round(expected_rate(4.0, 1.0, 0.5, 2), 4)  # 2.5 and 1.75
    2.125
    """
    if periods < 1 or not 0.0 <= persistence <= 1.0:
        raise ValueError(f"no forecast over {periods} periods with persistence {persistence}")
    weights = persistence ** np.arange(1, periods + 1)
    return mean + (last - mean) * float(weights.mean())
