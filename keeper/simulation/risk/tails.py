# SPDX-License-Identifier: MIT
"""
How far a price moves against a position: Gaussian answers and those of an extreme-value tail.

Over a threshold u that a share zeta of all moves exceeds, excesses follow a generalised Pareto
distribution (Pickands 1975; McNeil & Frey 2000, J. Empirical Finance 7:271-300):

    P(X > x) = zeta (1 + xi (x - u) / beta)^(-1 / xi)
    VaR_p    = u + (beta / xi) [((1 - p) / zeta)^(-xi) - 1]
    ES_p     = (VaR_p + beta - xi u) / (1 - xi)

First passage of ln S with drift mu and volatility sigma over b = ln(1 + d) within T, s = sigma
sqrt(T) (Harrison 1985, Brownian Motion and Stochastic Flow Systems, ch. 1):

    P = Phi((-b + mu T) / s) + exp(2 mu b / sigma^2) Phi((-b - mu T) / s)
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray
from scipy.stats import genpareto

from keeper.simulation.risk.series import Series

Floats = NDArray[np.float64]

THRESHOLD = 0.95
MIN_EXCESSES = 30
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParetoTail:
    """
    The tail of a distribution over `threshold`.

    Attributes
    ----------
    threshold : float
        u, in the unit of the moves.
    share : float
        zeta, share of all moves over u.
    shape, scale : float
        xi and beta > 0. xi > 0 is a power tail, xi < 0 an end at u - beta / xi.
    """

    threshold: float
    share: float
    shape: float
    scale: float

    def exceedance(self, move: float) -> float:
        """Return P(X > move); `move` must be at or over the threshold."""
        if move < self.threshold:
            raise ValueError(f"{move} is under the threshold {self.threshold}: not in the tail")
        return self.share * float(genpareto.sf(move - self.threshold, self.shape, 0.0, self.scale))

    def quantile(self, probability: float) -> float:
        """Return VaR: the move that a share 1 - probability exceeds."""
        rest = self._rest(probability)
        return self.threshold + float(genpareto.isf(rest, self.shape, 0.0, self.scale))

    def expected_shortfall(self, probability: float) -> float:
        """Return the mean move beyond the quantile; infinite for xi >= 1."""
        if self.shape >= 1.0:
            return math.inf
        beyond = self.quantile(probability) + self.scale - self.shape * self.threshold
        return beyond / (1.0 - self.shape)

    def _rest(self, probability: float) -> float:
        if not 1.0 - self.share <= probability < 1.0:
            raise ValueError(f"probability {probability} is not in the tail of {self.share}")
        return min(1.0, (1.0 - probability) / self.share)


def fit_tail(moves: Floats, threshold: float = THRESHOLD) -> ParetoTail:
    """
    Return the maximum likelihood tail over the empirical quantile `threshold`.

    Parameters
    ----------
    moves : ndarray, shape (n,), finite
        Positive against the position.
    threshold : float
        In (0, 1).

    Raises
    ------
    ValueError
        If a move is not finite, or fewer than 30 exceed the threshold: no tail can be fitted.
    """
    if not np.isfinite(moves).all():
        raise ValueError("a move is not finite")
    u = float(np.quantile(moves, threshold)) if moves.size else 0.0
    excesses = moves[moves > u] - u
    if excesses.size < MIN_EXCESSES:
        raise ValueError(f"{excesses.size} moves over the threshold, {MIN_EXCESSES} are needed")
    shape, _, scale = genpareto.fit(excesses, floc=0.0)
    return ParetoTail(
        threshold=u,
        share=excesses.size / moves.size,
        shape=float(shape),
        scale=float(scale),
    )


def normal_quantile(moves: Floats, probability: float) -> float:
    """Return the quantile of a normal distribution with the moves' mean and deviation."""
    return float(moves.mean() + moves.std() * _NORMAL.inv_cdf(probability))


def touch_probability(distance: float, deviation: float, log_drift: float = 0.0) -> float:
    """
    Return the Gaussian probability that a price rises by `distance` at any time in a period.

    Parameters
    ----------
    distance : float
        Relative rise, positive; for a fall by d take 1 / (1 - d) - 1 and the drift's negative.
    deviation : float
        sigma sqrt(T) over the period, positive.
    log_drift : float
        mu T, of the log price over the period.

    Examples
    --------
    >>> round(touch_probability(0.14, 0.81 / 365**0.5), 5)  # ETH, a day; at its end half of it
    0.002
    """
    if not (distance > 0.0 and deviation > 0.0):
        raise ValueError(f"expected a positive distance and deviation: {distance}, {deviation}")
    b = math.log1p(distance)
    ends = _NORMAL.cdf((log_drift - b) / deviation)
    reflected = math.exp(2.0 * log_drift * b / deviation**2)
    return ends + reflected * _NORMAL.cdf((-b - log_drift) / deviation)


def short_liquidation_price(entry: float, leverage: float, maintenance: float) -> float:
    """Return P0 (1 + 1 / L) / (1 + mm), isolated linear perpetual, price in quote per asset."""
    return entry * (1.0 + 1.0 / leverage) / (1.0 + maintenance)


def worst_moves(rows: Series, length: int) -> tuple[Floats, Floats]:
    """
    Return the largest rise and fall of mark inside each stretch of `length` hours.

    Stretches do not overlap and begin with the first row's close.

    Returns
    -------
    up, down : ndarray, shape (n // length,)
        Highest mark of the stretch over the mark at its start, minus one; one minus the lowest.
    """
    stretches = (rows.mark.size - 1) // length
    last = stretches * length
    start = rows.mark[:last:length]
    up = rows.mark_high[1 : last + 1].reshape(stretches, length).max(axis=1) / start - 1.0
    down = 1.0 - rows.mark_low[1 : last + 1].reshape(stretches, length).min(axis=1) / start
    return up, down


def fastest_rise(rows: Series, length: int) -> tuple[float, int]:
    """Return the largest rise to a high of mark within `length` hours of a close, and its row."""
    highs = np.lib.stride_tricks.sliding_window_view(rows.mark_high[1:], length).max(axis=1)
    rises = highs / rows.mark[:-length] - 1.0
    begin = int(rises.argmax())
    return float(rises[begin]), begin + length
