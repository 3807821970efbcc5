# SPDX-License-Identifier: MIT
"""
Sensitivities of one instrument and of a book, in closed form.

Everything is seen by the holder and measured against the spot price S, so that instruments of one
coin add up:

    delta  dV/dS, asset           gamma  d2V/dS2, asset per quote
    vega   dV/dsigma, quote per 1.00 of volatility a year
    theta  dV/dt at constant S and sigma, quote per year

A futures price F on S with tau years to go is F = S exp(b tau), b the cost of carry that the
market implies (Hull, Options, Futures and Other Derivatives, ch. 5). S constant means that F slides
to S: dF/dt = -b F. Futures are settled daily, so their value is not discounted.

The option is Black 1976 (J. Financial Economics 3:167-179) on F:

    V = exp(-r tau) [w F N(w d1) - w K N(w d2)],  w = 1 call, -1 put
    d1 = ln(F / K) / (sigma sqrt(tau)) + sigma sqrt(tau) / 2,  d2 = d1 - sigma sqrt(tau)
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import NormalDist

PERIODS_A_YEAR = 1_095  # of 8 hours
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeks:
    """Sensitivities of a position, long positive; units in the module's docstring."""

    delta: float = 0.0
    gamma: float = 0.0
    vega: float = 0.0
    theta: float = 0.0

    def __add__(self, other: Greeks) -> Greeks:
        return Greeks(
            delta=self.delta + other.delta,
            gamma=self.gamma + other.gamma,
            vega=self.vega + other.vega,
            theta=self.theta + other.theta,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Spot:
    """`size` coins."""

    size: float

    def greeks(self) -> Greeks:
        """Return delta = size."""
        return Greeks(delta=self.size)


@dataclass(frozen=True, slots=True, kw_only=True)
class Perpetual:
    """
    A linear perpetual, quote-margined.

    Attributes
    ----------
    size : float
        Asset, long positive.
    spot : float
        Index price, quote per asset, positive.
    premium : float
        Mark / index - 1 at which the position is valued; 0 for our venue, which values at the
        index. Held constant.
    funding_rate : float
        Per 8 hours, positive: longs pay.
    """

    size: float
    spot: float
    premium: float = 0.0
    funding_rate: float = 0.0

    def greeks(self) -> Greeks:
        """
        Return delta = size (1 + premium), theta = -size S f 1,095.

        >>> Perpetual(size=-2.0, spot=2_000.0, funding_rate=0.0001).greeks().theta
        438.0
        """
        _positive(spot=self.spot)
        return Greeks(
            delta=self.size * (1.0 + self.premium),
            theta=-self.size * self.spot * self.funding_rate * PERIODS_A_YEAR,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class DatedFuture:
    """
    A dated future quoted at `price` with `years` to go; spot and price in quote per asset.

    >>> DatedFuture(size=-1.0, spot=2_000.0, price=2_050.0, years=0.25).greeks().delta
    -1.025
    """

    size: float
    spot: float
    price: float
    years: float

    def greeks(self) -> Greeks:
        """Return delta = size F / S and theta = -size b F."""
        carry = implied_carry(self.price, self.spot, self.years)
        return Greeks(
            delta=self.size * self.price / self.spot, theta=-self.size * carry * self.price
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class FutureOption:
    """
    A European option on a dated future; volatility and `interest` (continuous) are per year.

    >>> option = FutureOption(size=1.0, spot=20.0, future=20.0, strike=20.0, years=4 / 12,
    ...                       volatility=0.25, interest=0.09, call=False)
    >>> round(option.value(), 4)  # Hull, ch. 18, the worked put: 1.12
    1.1166
    """

    size: float
    spot: float
    future: float
    strike: float
    years: float
    volatility: float
    interest: float = 0.0
    call: bool = True

    def value(self) -> float:
        """Return the value of the position, quote."""
        w, d1, d2 = self._terms()
        forward = w * (self.future * _NORMAL.cdf(w * d1) - self.strike * _NORMAL.cdf(w * d2))
        return self.size * self._discount * forward

    def greeks(self) -> Greeks:
        """
        Return the sensitivities to spot: by F = S exp(b tau), dF/dS = F / S.

        Raises
        ------
        ValueError
            If a price, the strike, the time or the volatility is not positive.
        """
        w, d1, _ = self._terms()
        slope = self.future / self.spot
        root = math.sqrt(self.years)
        held = self.size * self._discount
        density = held * _NORMAL.pdf(d1)
        delta_future = held * w * _NORMAL.cdf(w * d1)
        decay = self.interest * self.value() - density * self.future * self.volatility / 2.0 / root
        carry = implied_carry(self.future, self.spot, self.years)
        return Greeks(
            delta=delta_future * slope,
            gamma=density / (self.future * self.volatility * root) * slope**2,
            vega=density * self.future * root,
            theta=decay - carry * self.future * delta_future,
        )

    @property
    def _discount(self) -> float:
        return math.exp(-self.interest * self.years)

    def _terms(self) -> tuple[float, float, float]:
        _positive(
            spot=self.spot,
            future=self.future,
            strike=self.strike,
            years=self.years,
            volatility=self.volatility,
        )
        deviation = self.volatility * math.sqrt(self.years)
        d1 = math.log(self.future / self.strike) / deviation + deviation / 2.0
        return (1.0 if self.call else -1.0), d1, d1 - deviation


Instrument = Spot | Perpetual | DatedFuture | FutureOption


def book_greeks(instruments: Iterable[Instrument]) -> Greeks:
    """Return the sum over the book; all instruments must be on one coin."""
    return sum((each.greeks() for each in instruments), Greeks())


def implied_carry(future: float, spot: float, years: float) -> float:
    """Return b = ln(F / S) / tau, continuous, per year."""
    _positive(future=future, spot=spot, years=years)
    return math.log(future / spot) / years


def _positive(**numbers: float) -> None:
    for name, number in numbers.items():
        if not (number > 0.0 and math.isfinite(number)):
            raise ValueError(f"expected a positive {name}, was {number}")
