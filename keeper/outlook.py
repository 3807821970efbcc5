# SPDX-License-Identifier: MIT
"""
What a keeper expects of the market, from nothing but what he has seen. Pure; integers only.

Prices are sampled at most once an hour, by the answer's own block time. A return r over t seconds
counts as the variance r2 * year / t, and moves an average whose centre of mass is C seconds back
by the share t / (t + C); while the history is shorter than C, by t / (t + its length), so that it
begins as a plain mean. The forecast of the variance a year is

    V = 1.04 (v1^2 v2 v3^2)^(1/5),    centres of mass 6 hours, 4 days, 120 days

a log-HAR (Corsi 2009, J. Financial Econometrics 7:174-196) on exponential averages (HExp:
Bollerslev, Hood, Huss & Pedersen 2018, Review of Financial Studies 31:2729-2773) with weights that
sum to one. Weights were chosen on the first half of the ETH, BTC and ADA files; on the second its
QLIKE for the next day is 0.989, 0.987 and 0.997 of log-HAR's, which is fitted anew each week.
Nothing is fitted here, so every decision replays from the numbers that its memory holds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isqrt
from typing import Final

from keeper.snapshot import VaultSnapshot
from keeper.units import (
    BPS,
    DAY_SECS,
    FUNDING_PERIODS_A_YEAR,
    WAD,
    Bps,
    Wad,
    div_ceil,
    div_floor,
)

SAMPLE_SECS: Final = 3_600
YEAR_SECS: Final = 365 * DAY_SECS
WARM_SECS: Final = 30 * DAY_SECS  # of history before the forecast is believed
CENTRES: Final = (6 * 3_600, 4 * DAY_SECS, 120 * DAY_SECS)  # seconds, of v1, v2, v3
RATIO_CENTRE: Final = 90 * DAY_SECS  # of the moments of spot and mark
FUNDING_CENTRE: Final = 3 * DAY_SECS  # nine settlements
LEVEL_PERCENT: Final = 104
LEAST_WAD: Final = 25 * 10**14  # 5 % volatility: an index that stands still is not believed


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlook:
    """
    Averages of what was seen; zero before the first sample. Rates a year and WAD unless said.

    Attributes
    ----------
    began_at, seen_at : int
        Unix seconds of the first and the last sample.
    price_wad, mark_wad : int
        Index and mark at the last.
    variances_wad : tuple of int
        v1, v2, v3.
    covariance_wad, hedge_variance_wad : int
        Of index with mark, and of mark.
    funding_wad : int
        Mean rate per 8 hours, positive: longs pay.
    """

    began_at: int = 0
    seen_at: int = 0
    price_wad: int = 0
    mark_wad: int = 0
    variances_wad: tuple[int, int, int] = (0, 0, 0)
    covariance_wad: int = 0
    hedge_variance_wad: int = 0
    funding_wad: int = 0


def observed(before: Outlook, price_wad: int, mark_wad: int, rate_wad: int, at: int) -> Outlook:
    """
    Return the outlook after a look at the market; the same within an hour of the last sample.

    Parameters
    ----------
    price_wad, mark_wad : int
        Positive.
    rate_wad : int
        Funding per 8 hours.
    at : int
        Unix seconds.
    """
    first = before.seen_at == 0
    if not first and at < before.seen_at + SAMPLE_SECS:
        return before
    if first:
        return Outlook(
            began_at=at, seen_at=at, price_wad=price_wad, mark_wad=mark_wad, funding_wad=rate_wad
        )
    secs, age = at - before.seen_at, before.seen_at - before.began_at
    spot, hedge = _change(before.price_wad, price_wad), _change(before.mark_wad, mark_wad)

    def moved(mean: int, value: int, centre: int) -> int:
        return mean + div_floor((value - mean) * secs, secs + min(centre, age))

    def a_year(product: int) -> int:
        return div_floor(product * YEAR_SECS, secs * WAD)

    fast, middle, slow = (
        moved(mean, a_year(spot * spot), centre)
        for mean, centre in zip(before.variances_wad, CENTRES, strict=True)
    )
    return replace(
        before,
        seen_at=at,
        price_wad=price_wad,
        mark_wad=mark_wad,
        variances_wad=(fast, middle, slow),
        covariance_wad=moved(before.covariance_wad, a_year(spot * hedge), RATIO_CENTRE),
        hedge_variance_wad=moved(before.hedge_variance_wad, a_year(hedge * hedge), RATIO_CENTRE),
        funding_wad=moved(before.funding_wad, rate_wad, FUNDING_CENTRE),
    )


def looked(before: Outlook, vault: VaultSnapshot, at: int) -> Outlook:
    """Return the outlook after a snapshot with a good price; of several venues, the mean market."""
    weights = [abs(venue.margin.delta) for venue in vault.venues]
    if not any(weights):
        weights = [1] * len(weights)
    whole = max(sum(weights), 1)
    markets = [venue.market for venue in vault.venues]
    premium = sum(w * m.premium_wad for w, m in zip(weights, markets, strict=True))
    rate = sum(w * m.funding_rate_wad for w, m in zip(weights, markets, strict=True))
    mark_wad = div_floor(vault.price_wad * (WAD * whole + premium), WAD * whole)
    return observed(before, vault.price_wad, max(mark_wad, 1), div_floor(rate, whole), at)


def warm(outlook: Outlook) -> bool:
    """Return whether there is enough history to rest something on."""
    return outlook.seen_at - outlook.began_at >= WARM_SECS


def variance_wad(outlook: Outlook, assumed_volatility_bps: int) -> Wad | None:
    """
    Return the variance expected a year, or None while nothing is known.

    Parameters
    ----------
    assumed_volatility_bps : int
        A year, what stands in until the outlook is warm; 0 for none.
    """
    if warm(outlook):
        fast, middle, slow = (max(each, LEAST_WAD) for each in outlook.variances_wad)
        return Wad(div_floor(LEVEL_PERCENT * _root5(fast**2 * middle * slow**2), 100))
    assumed = assumed_volatility_bps**2 * WAD // BPS**2
    return Wad(assumed) if assumed else None


def deviation_wad(variance_a_year_wad: int, secs: int) -> Wad:
    """
    Return the deviation of the log price over some seconds, rounded up.

    >>> deviation_wad(WAD, YEAR_SECS // 4) / WAD
    0.5
    """
    squared = div_ceil(variance_a_year_wad * secs * WAD, YEAR_SECS)
    return Wad(isqrt(squared - 1) + 1 if squared else 0)


def rise_bps(log_move_wad: int) -> Bps:
    """
    Return exp(x) - 1 of a log move, not negative, rounded up.

    >>> rise_bps(WAD // 10), rise_bps(0)  # 10.517 %
    (1052, 0)
    """
    total, term, k = 0, WAD, 0
    while term:
        k += 1
        term = div_floor(term * log_move_wad, k * WAD)
        total += term
    lost = k + 1  # less than a unit a term, and what all later terms would add
    return Bps(div_ceil((total + lost) * BPS, WAD)) if log_move_wad else Bps(0)


def minimum_variance_bps(outlook: Outlook) -> Bps | None:
    """Return Cov / Var of index and mark to the nearest, or None without a warm history."""
    if not warm(outlook) or outlook.hedge_variance_wad <= 0:
        return None
    doubled = 2 * outlook.covariance_wad * BPS + outlook.hedge_variance_wad
    return Bps(div_floor(doubled, 2 * outlook.hedge_variance_wad))


def carry_wad(outlook: Outlook) -> Wad:
    """Return what a short is expected to earn a year, negative if it pays."""
    return Wad(outlook.funding_wad * FUNDING_PERIODS_A_YEAR)


def _change(before_wad: int, after_wad: int) -> int:
    """Return 2 (b - a) / (a + b), the log return but for its cube over twelve, WAD."""
    return div_floor(2 * (after_wad - before_wad) * WAD, before_wad + after_wad)


def _root5(number: int) -> int:
    """Return the largest integer whose fifth power is not over `number`, positive."""
    root = 1 << -(-number.bit_length() // 5)  # Newton from above
    while True:
        lower = (4 * root + number // root**4) // 5
        if lower >= root:
            return root
        root = lower
