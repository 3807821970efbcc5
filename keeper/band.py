# SPDX-License-Identifier: MIT
"""
The no-trade band: how far drift may go before a trade pays, and where the trade should end.

Drift x is a share of equity. Untraded, its variance grows at rate a; holding it is charged
gamma sigma2 / 2 x2; a trade costs K + epsilon |dx|, all per NAV and year. Trading from |x| = h back
to |x| = b costs in the long run (renewal reward: a cycle lasts (h2 - b2) / a, E x2 = (h2 + b2) / 6)

    J(h, b) = g (h2 + b2) / 12 + a (K + epsilon (h - b)) / (h2 - b2),    g = gamma sigma2

Where both derivatives are zero, with s = h + b, d = h - b, sum and quotient of the two give

    h b s = 3 a epsilon / g        d3 = 4 h b K / epsilon

and, as 4 h b = s2 - d2, one equation with one positive root, the left side rising in d:

    d8 (K + epsilon d) = 144 a2 K3 / g2,    s = d sqrt(1 + epsilon d / K)

Its limits are the published laws. K = 0: h = b = (3 epsilon a / 2 g)^(1/3) (Whalley & Wilmott 1997,
Math. Finance 7:307-324; with `price_variance_wad` for a, Janecek & Shreve 2004, Finance Stoch.
8:181-206). epsilon = 0: b = 0, h = (12 K a / g)^(1/4) (Altarovici, Muhle-Karbe & Soner 2015,
Finance Stoch. 19:363-414). Forced to end at the target, b = 0, h4 = 6 a (epsilon h + 2 K) / g.

Pure; integers only: powers and roots are exact, found by bisection, so every replica and every
replay computes one band. `keeper.simulation.risk.band_study` checks the law by simulation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import isqrt

from keeper.units import BPS, WAD, Bps, Wad, div_ceil, div_floor, mul_div_down, sign


@dataclass(frozen=True, slots=True, kw_only=True)
class BandTerms:
    """
    What a band follows from; all WAD and not negative, `risk_wad` positive.

    Parameters
    ----------
    fixed_wad : int
        K, gas of one trade over NAV.
    proportional_wad : int
        epsilon, fee and slippage of a trade over its notional.
    drift_variance_wad : int
        a, growth of the variance of drift a year: `price_variance_wad` and what flows and
        settlements add.
    risk_wad : int
        g, relative risk aversion times the variance of the price a year.
    """

    fixed_wad: int
    proportional_wad: int
    drift_variance_wad: int
    risk_wad: int

    def __post_init__(self) -> None:
        if min(self.fixed_wad, self.proportional_wad, self.drift_variance_wad) < 0:
            raise ValueError("costs and variances must not be negative")
        if self.risk_wad <= 0:
            raise ValueError(f"risk must have a price, was {self.risk_wad}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """Trade when drift is over `trigger_wad`, until it is `target_wad`; shares of equity."""

    trigger_wad: Wad
    target_wad: Wad

    def trigger_bps(self) -> Bps:
        """Return the trigger rounded up, and over the target, as a policy wants it."""
        return Bps(max(div_ceil(self.trigger_wad * BPS, WAD), self.target_bps() + 1))

    def target_bps(self) -> Bps:
        """Return the target rounded down."""
        return Bps(div_floor(self.target_wad * BPS, WAD))


def joint_band(terms: BandTerms) -> Band:
    """
    Return the cheapest band, its target free.

    Returns
    -------
    Band
        Both within one unit of the last digit below the real root; zero where trading is free or
        drift never grows.
    """
    fixed, rate = terms.fixed_wad, terms.proportional_wad
    growth, risk = terms.drift_variance_wad, terms.risk_wad
    if fixed == 0:
        both = Wad(_last(lambda h: 2 * risk * h**3 <= 3 * rate * growth * WAD**2))
        return Band(trigger_wad=both, target_wad=both)
    bound = 144 * growth**2 * fixed**3 * WAD**7
    d = _last(lambda d: d**8 * (fixed * WAD + rate * d) * risk**2 <= bound)
    s = isqrt(div_floor(d * d * (fixed * WAD + rate * d), fixed * WAD))
    return Band(trigger_wad=Wad(div_floor(s + d, 2)), target_wad=Wad(div_floor(s - d, 2)))


def target_band(terms: BandTerms) -> Band:
    """Return the cheapest band among those whose trades end at the target; target 0."""
    fixed, rate = terms.fixed_wad, terms.proportional_wad
    growth = 6 * terms.drift_variance_wad * WAD**2
    trigger = _last(lambda h: terms.risk_wad * h**4 <= growth * (rate * h + 2 * fixed * WAD))
    return Band(trigger_wad=Wad(trigger), target_wad=Wad(0))


def price_variance_wad(ratio_bps: int, variance_wad: int) -> Wad:
    """
    Return what the price alone adds to the variance of drift a year, rounded up.

    With hedge ratio h the vault's delta is (1 - h) E and E = NAV / S, so a move of the price
    changes exposure by h (1 - h) dS / S: nothing for a full hedge by a linear perpetual.

    Parameters
    ----------
    ratio_bps : int
        h, not negative; over 10,000 too: an over-hedged vault is short.
    variance_wad : int
        Variance of the log price a year.
    """
    kept = ratio_bps * (BPS - ratio_bps)
    return Wad(div_ceil(kept * kept * variance_wad, BPS**4))


def trigger_bps(wanted_bps: int, inner_bps: int, urgent_bps: int) -> Bps:
    """Return the drift at which hedging starts; what is urgent is never waited out."""
    return Bps(max(inner_bps, min(wanted_bps, urgent_bps)))


def hedging(drift_bps: int, was_hedging: bool, starts_bps: int, ends_bps: int) -> bool:
    """Return whether drift is being closed: from over the trigger until it is at its end."""
    return drift_bps > starts_bps or (was_hedging and drift_bps > ends_bps)


def edge(gap: int, equity: int, target_bps: int) -> int:
    """Return the gap at the near edge of the target, on the side of `gap`, rounded down."""
    return sign(gap) * mul_div_down(equity, target_bps, BPS)


def trade_wanted(gap: int, equity: int, target_bps: int) -> int:
    """
    Return the trade that leaves a drift of `target_bps` on the side it came from.

    Parameters
    ----------
    gap : int
        Delta less target delta, raw asset units; positive: too long.
    equity : int
        Raw asset units, positive.
    target_bps : int
        0 trades to the target, the band's own target to its edge.

    Returns
    -------
    int
        Raw asset units, bought positive; 0 inside the edge.
    """
    wanted = edge(gap, equity, target_bps) - gap
    return wanted if sign(wanted) == -sign(gap) else 0


def _last(holds: Callable[[int], bool]) -> int:
    """Return the largest number for which `holds`, true from 0 up to it and then false."""
    high = 1
    while holds(high):
        high *= 2
    low = high // 2
    while low < high - 1:
        middle = (low + high) // 2
        if holds(middle):
            low = middle
        else:
            high = middle
    return low
