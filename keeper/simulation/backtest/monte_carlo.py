# SPDX-License-Identifier: MIT
"""
Seeded paths by the hundred: prices with jumps or regimes, funding with its slow tail.

Prices are log returns of mean-one factors, so that no path drifts in expectation. Funding is the
sum of two AR(1) processes, since one has not the tail that the files show (quant.md 3: lags 1, 3
and 21 at 0.79, 0.65 and 0.45): the fast half dies within a day, the slow one in a fortnight. The
basis is the premium whose funding by the venue's rule is that rate.

Generators come in; `spawn` makes independent ones from a recorded seed.

References
----------
Merton 1976, J. Financial Economics 3:125-144 (jumps); Hamilton 1989, Econometrica 57:357-384
(regimes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from keeper.simulation.backtest.fast import Bars
from keeper.simulation.market import FUNDING_SECS, HOUR_SECS

Floats = NDArray[np.float64]

HOURS: Final = FUNDING_SECS // HOUR_SECS
INTEREST: Final = 1e-4  # per 8 hours
BAND: Final = 5e-4
MAX_BASIS: Final = 0.029  # what the venue's premium cap lets a trader reach


@dataclass(frozen=True, slots=True, kw_only=True)
class Jumps:
    """Merton's jump diffusion, per hour; defaults as the ETH file's hours with moves over 3 %."""

    volatility: float = 0.0075
    intensity: float = 0.01
    mean: float = -0.002  # of a jump's log size
    deviation: float = 0.035

    def variance(self) -> float:
        """Return the variance of an hour's log return: s2 + l (d2 + m2)."""
        return self.volatility**2 + self.intensity * (self.deviation**2 + self.mean**2)

    def excess_kurtosis(self) -> float:
        """Return l E[J^4] / variance^2 with E[J^4] = m^4 + 6 m^2 d^2 + 3 d^4."""
        m, d = self.mean, self.deviation
        return self.intensity * (m**4 + 6 * m**2 * d**2 + 3 * d**4) / self.variance() ** 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Regimes:
    """Two volatilities and the chances per hour to leave each."""

    calm: float = 0.006
    wild: float = 0.018
    leave_calm: float = 0.005
    leave_wild: float = 0.02

    def wild_share(self) -> float:
        """Return the long-run share of wild hours."""
        return self.leave_calm / (self.leave_calm + self.leave_wild)

    def variance(self) -> float:
        """Return the long-run variance of an hour's log return."""
        share = self.wild_share()
        return (1 - share) * self.calm**2 + share * self.wild**2

    def square_autocorrelation(self, lag: int) -> float:
        """
        Return the correlation of squared returns at a lag.

        pi (1 - pi) (w2 - c2)^2 rho^lag / (3 E[s^4] - E[s^2]^2), rho = 1 - both chances.
        """
        share, rho = self.wild_share(), 1 - self.leave_calm - self.leave_wild
        fourth = (1 - share) * self.calm**4 + share * self.wild**4
        spread = share * (1 - share) * (self.wild**2 - self.calm**2) ** 2
        return spread * rho**lag / (3 * fourth - self.variance() ** 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class FundingTerms:
    """Funding per 8 hours; defaults fit ETH 2020-2025."""

    mean: float = 1.39e-4  # 15.2 % a year
    deviation: float = 2.85e-4
    slow_share: float = 0.62  # of the variance
    slow: float = 0.985  # AR(1) per period
    fast: float = 0.47

    def autocorrelation(self, lag: int) -> float:
        """Return the sum of both decays, by share of the variance."""
        return self.slow_share * self.slow**lag + (1 - self.slow_share) * self.fast**lag


def spawn(seed: int, paths: int) -> list[np.random.Generator]:
    """Return independent generators, the same for the same seed."""
    return [np.random.default_rng(child) for child in np.random.SeedSequence(seed).spawn(paths)]


def jump_returns(hours: int, terms: Jumps, random: np.random.Generator) -> Floats:
    """Return log returns, shape (hours,), with E[exp(r)] = 1."""
    counts = random.poisson(terms.intensity, hours)
    jumps = terms.mean * counts + terms.deviation * np.sqrt(counts) * random.standard_normal(hours)
    expected = terms.intensity * (np.exp(terms.mean + terms.deviation**2 / 2) - 1)
    drift = -(terms.volatility**2) / 2 - expected
    return np.asarray(drift + terms.volatility * random.standard_normal(hours) + jumps)


def regime_returns(hours: int, terms: Regimes, random: np.random.Generator) -> Floats:
    """Return log returns, shape (hours,), the first regime drawn from the long run."""
    wild = np.empty(hours, dtype=np.bool_)
    chances = random.random(hours)
    now = bool(random.random() < terms.wild_share())
    for i in range(hours):
        leave = terms.leave_wild if now else terms.leave_calm
        now ^= bool(chances[i] < leave)
        wild[i] = now
    volatility = np.where(wild, terms.wild, terms.calm)
    return np.asarray(volatility * random.standard_normal(hours) - volatility**2 / 2)


def funding_rates(periods: int, terms: FundingTerms, random: np.random.Generator) -> Floats:
    """Return rates per 8 hours, shape (periods,), stationary from the first."""
    rates = np.full(periods, terms.mean)
    for share, decay in ((terms.slow_share, terms.slow), (1 - terms.slow_share, terms.fast)):
        deviation = terms.deviation * np.sqrt(share)
        shocks = deviation * np.sqrt(1 - decay**2) * random.standard_normal(periods)
        level = deviation * random.standard_normal()
        for i in range(periods):
            level = decay * level + shocks[i]
            rates[i] += level
    return rates


def premium_of(rates: Floats) -> Floats:
    """
    Return the premium that pays these rates: f = p + clamp(i - p, -band, band) turned round.

    >>> [round(float(p) * 1e4, 6) for p in premium_of(np.array([1e-4, 3e-4, -2e-4]))]
    [1.0, 8.0, -7.0]
    """
    return np.clip(rates + BAND * np.sign(rates - INTEREST), -MAX_BASIS, MAX_BASIS)


def made_bars(returns: Floats, rates: Floats, *, first_price: float, starts_at: int) -> Bars:
    """
    Return a path for the fast engine; each rate's premium stands for the hours of its period.

    Raises
    ------
    ValueError
        If there are fewer periods than the hours need.
    """
    hours = len(returns)
    if len(rates) * HOURS < hours:
        raise ValueError(f"{hours} hours need {-(-hours // HOURS)} rates, were {len(rates)}")
    first = -(-starts_at // HOUR_SECS) * HOUR_SECS
    prices = first_price * np.exp(np.cumsum(returns))
    return Bars(
        closes_at=first + HOUR_SECS * np.arange(1.0, hours + 1),
        spot=prices,
        prices=prices,
        bases=np.repeat(premium_of(rates), HOURS)[:hours],
        good=np.ones(hours, dtype=np.bool_),
        gas_quote=np.zeros(hours),
    )
