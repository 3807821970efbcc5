# SPDX-License-Identifier: MIT
"""
What the margin ratio may become in the next hours, and how likely a margin call is.

An account is short or long q; per notional |q| S it has kappa in quote (profit included) and alpha
in asset margin after the haircut. After the price has moved by the factor m,

    margin ratio(m) = (kappa + alpha m + w (m - 1)) / (mm m),   w = -1 short, +1 long

in multiples of the maintenance margin. It falls with the price or against it all the way: a rise
hurts where kappa > w, as for a short that is no deeper in debt than its notional, else a fall. It
touches a level l where m = (kappa - w) / (l mm - alpha - w).

How far the price moves that way within the horizon is filtered history (Barone-Adesi,
Giannopoulos & Vosper 1999, J. Futures Markets 19:583-602) with an extreme-value tail (McNeil & Frey
2000, J. Empirical Finance 7:271-300): the largest move of mark in each past window of that length,
in logs, over the deviation forecast for the window before it began, sqrt(f H / 24) with f the
variance forecast of `volatility`; empirical up to the 95 % quantile, generalised Pareto beyond.
Highs and lows count, so a touch between two closes does.

Hours of the day are pooled: windows in the American afternoon are wilder than the forecast's equal
share of the day, those of the Asian night calmer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keeper.curve import Scale, maintenance_rate_wad
from keeper.simulation.risk.series import Series
from keeper.simulation.risk.tails import ParetoTail, fit_tail, touch_probability
from keeper.simulation.risk.volatility import (
    CALENDAR_HAR,
    HOURS,
    Days,
    Form,
    days,
    regression_forecasts,
)
from keeper.snapshot import Margin, Market
from keeper.units import BPS, WAD, Bps

Floats = NDArray[np.float64]

PROBABILITIES: Final = (0.5, 0.9, 0.99, 0.999)
MOST_DISTANCE_BPS: Final = 10 * BPS  # as a policy may ask for at most


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginAccount:
    """
    A position and its margin, per notional; 1 is the notional at today's price.

    Attributes
    ----------
    side : int
        -1 short, 1 long.
    quote : float
        kappa, signed, unrealised profit included.
    assets : float
        alpha, asset margin after the haircut.
    maintenance : float
        mm, positive.
    """

    side: int
    quote: float
    assets: float
    maintenance: float

    def __post_init__(self) -> None:
        if self.side not in {-1, 1}:
            raise ValueError(f"a position is short, -1, or long, 1, not {self.side}")
        if not (self.maintenance > 0.0 and math.isfinite(self.quote + self.assets)):
            raise ValueError("margin must be finite and maintenance positive")

    def ratio(self, factor: float) -> float:
        """Return equity over maintenance after the price moved by `factor`, positive."""
        equity = self.quote + self.assets * factor + self.side * (factor - 1.0)
        return equity / (self.maintenance * factor)

    @property
    def hurt_by(self) -> int:
        """Return 1 if a rise of the price lowers the margin ratio, -1 if a fall does."""
        return 1 if self.quote > self.side else -1

    def distance(self, level: float = 1.0) -> float | None:
        """
        Return the move that hurts, a log, at which the ratio falls to `level`.

        0 where it is there already, None where no price takes it there.
        """
        if self.ratio(1.0) <= level:
            return 0.0
        slope = level * self.maintenance - self.assets - self.side
        factor = (self.quote - self.side) / slope if slope else 0.0
        return self.hurt_by * math.log(factor) if factor > 0.0 else None


def account_of(margin: Margin, market: Market, scale: Scale) -> MarginAccount | None:
    """Return a venue's account as the snapshot has it, or None without a position."""
    if margin.delta == 0:
        return None
    notional = abs(margin.delta) * scale.price_wad / scale.divisor
    held = margin.assets / abs(margin.delta)
    return MarginAccount(
        side=-1 if margin.delta < 0 else 1,
        quote=(margin.quote + margin.profit) / notional,
        assets=held * (1.0 - market.haircut_wad / WAD),
        maintenance=maintenance_rate_wad(market, margin.delta) / WAD,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """
    Past stretches of some hours, in order, n of them; none overlaps another.

    Attributes
    ----------
    begins_at : ndarray, shape (n,), int64, Unix seconds
    rises, falls : ndarray, shape (n,), largest log move of mark up and down, not negative
    deviations : ndarray, shape (n,), forecast for the window before it began
    """

    begins_at: NDArray[np.int64]
    rises: Floats
    falls: Floats
    deviations: Floats

    def standardised(self, direction: int) -> Floats:
        """Return the rises, 1, or falls, -1, in forecast deviations."""
        return (self.rises if direction > 0 else self.falls) / self.deviations

    def where(self, chosen: NDArray[np.bool_]) -> Windows:
        """Return the chosen windows."""
        return Windows(
            begins_at=self.begins_at[chosen],
            rises=self.rises[chosen],
            falls=self.falls[chosen],
            deviations=self.deviations[chosen],
        )


def windows(rows: Series, length: int, first: int, form: Form = CALENDAR_HAR) -> Windows:
    """
    Return the windows from day `first` of the rows on, each with its forecast.

    Parameters
    ----------
    rows : Series
        Hours without gaps, with mark.
    length : int
        Hours, a divisor of 24.
    first : int
        First day forecast; the days before it only teach the regression.

    Raises
    ------
    ValueError
        If the length does not divide a day, or prices are not as `days` wants them.
    TooShort
        If there are too few days before `first`.
    """
    if length < 1 or HOURS % length:
        raise ValueError(f"a window of {length} hours does not divide a day")
    phases = [_phase(rows, offset, length, first, form) for offset in range(0, HOURS, length)]
    columns = zip(*phases, strict=True)
    begins, rises, falls, deviations = (np.concatenate(column) for column in columns)
    order = np.argsort(begins)
    return Windows(
        begins_at=begins.astype(np.int64)[order],
        rises=rises[order],
        falls=falls[order],
        deviations=deviations[order],
    )


def _phase(
    rows: Series, offset: int, length: int, first: int, form: Form
) -> tuple[Floats, Floats, Floats, Floats]:
    """Return begin, rise, fall and deviation of the windows that open days cut at `offset`."""
    history, last = _days_from(rows, offset)
    forecasts = regression_forecasts(history, form, first)[:-1]
    start = offset + HOURS * np.arange(first, last)
    inside = start[:, None] + np.arange(1, length + 1)
    mark = rows.mark[start]
    return (
        rows.closes_at[start].astype(np.float64),
        np.maximum(np.log(rows.mark_high[inside].max(axis=1) / mark), 0.0),
        np.maximum(-np.log(rows.mark_low[inside].min(axis=1) / mark), 0.0),
        np.sqrt(forecasts * length / HOURS),
    )


def _days_from(rows: Series, offset: int) -> tuple[Days, int]:
    count = (rows.perp.size - 1 - offset) // HOURS
    chosen = slice(offset, offset + HOURS * count + 1)
    return days(rows.closes_at[chosen], rows.perp[chosen]), count


@dataclass(frozen=True, slots=True, kw_only=True)
class MoveLaw:
    """The distribution of the largest move one way, in forecast deviations."""

    moves: Floats  # sorted
    tail: ParetoTail

    def exceedance(self, move: float) -> float:
        """Return the probability of more than `move`."""
        if move >= self.tail.threshold:
            return self.tail.exceedance(move)
        return 1.0 - float(np.searchsorted(self.moves, move, side="right")) / self.moves.size

    def quantile(self, probability: float) -> float:
        """Return the move that a share 1 - probability exceeds."""
        if probability >= 1.0 - self.tail.share:
            return self.tail.quantile(probability)
        return float(np.quantile(self.moves, probability))


def move_law(moves: Floats) -> MoveLaw:
    """Return the law of standardised moves, shape (n,); at least 600 of them."""
    return MoveLaw(moves=np.sort(moves), tail=fit_tail(moves))


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginForecast:
    """
    The lowest margin ratio within the horizon.

    Attributes
    ----------
    ratio : float
        Now, in multiples of maintenance.
    lowest : tuple of (probability, ratio)
        The lowest ratio within the horizon stays over `ratio` with that probability.
    call : float
        Probability of touching the level.
    gaussian_lowest, gaussian_call
        The same for a normal diffusion with the same deviation.
    """

    ratio: float
    lowest: tuple[tuple[float, float], ...]
    call: float
    gaussian_lowest: tuple[tuple[float, float], ...]
    gaussian_call: float


def forecast_margin(
    account: MarginAccount,
    law: MoveLaw,
    deviation: float,
    level: float = 1.0,
    probabilities: Sequence[float] = PROBABILITIES,
) -> MarginForecast:
    """
    Return the distribution of the lowest margin ratio within the law's horizon.

    Parameters
    ----------
    account : MarginAccount
    law : MoveLaw
        Of moves that hurt the account (`MarginAccount.hurt_by`), over the horizon.
    deviation : float
        Forecast for the horizon, sqrt(f H / 24), of the log price.
    level : float
        Margin ratio at which margin is called, 1 at liquidation.
    """
    distance = account.distance(level)
    return MarginForecast(
        ratio=account.ratio(1.0),
        lowest=tuple((p, _after(account, law.quantile(p) * deviation)) for p in probabilities),
        call=call_probability(law, deviation, distance),
        gaussian_lowest=tuple(
            (p, _after(account, gaussian_quantile(p) * deviation)) for p in probabilities
        ),
        gaussian_call=_gaussian_call(deviation, distance),
    )


def call_probability(law: MoveLaw, deviation: float, distance: float | None) -> float:
    """Return the probability that the log move reaches `distance`; None is out of reach."""
    if not (deviation > 0.0 and math.isfinite(deviation)):
        raise ValueError(f"expected a positive deviation, was {deviation}")
    if distance is None:
        return 0.0
    return law.exceedance(distance / deviation) if distance > 0.0 else 1.0


def gaussian_quantile(probability: float) -> float:
    """
    Return the largest move of a driftless normal diffusion, in deviations.

    >>> round(gaussian_quantile(0.99), 4)  # 2 (1 - Phi(x)) = 0.01
    2.5758
    """
    return NormalDist().inv_cdf((1.0 + probability) / 2.0)


def distance_for(law: MoveLaw, deviation: float, call: float, direction: int) -> Bps:
    """
    Return the distance to liquidation at which a call is as likely as `call`, rounded up.

    For `Policy.distance_low_bps`: margin topped up under it is topped up before it is needed.
    """
    move = law.quantile(1.0 - call) * deviation
    relative = math.expm1(move) if direction > 0 else -math.expm1(-move)
    return Bps(min(math.ceil(relative * BPS), MOST_DISTANCE_BPS))


def _after(account: MarginAccount, move: float) -> float:
    return account.ratio(math.exp(account.hurt_by * move))


def _gaussian_call(deviation: float, distance: float | None) -> float:
    if distance is None:
        return 0.0
    return touch_probability(math.expm1(distance), deviation) if distance > 0.0 else 1.0
