# SPDX-License-Identifier: MIT
"""
Hedge effectiveness of one instrument for another.

dS are changes of what is held, dF of the hedge instrument, h the ratio sold per unit held:

    variance reduction  HE = 1 - Var(dS - h dF) / Var(dS); at the OLS ratio this is R2
                        (Ederington 1979, J. Finance 34(1):157-170)
    dollar offset       h sum(dF) / sum(dS), called effective in 80-125 % (IAS 39; IFRS 9
                        BC6.231 quotes that line and drops it)
    regression          dS = alpha + h dF: R2 of 0.80 or more (practice under ASC 815)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

OFFSET_LOW, OFFSET_HIGH = 0.80, 1.25
MIN_R2 = 0.80


@dataclass(frozen=True, slots=True, kw_only=True)
class Effectiveness:
    """
    What a hedge at `ratio` did over `n` changes.

    Attributes
    ----------
    n : int
    ratio : float
        h, sold per unit held.
    variance_reduction : float
        At most 1; negative where the hedge adds risk.
    residual_deviation : float
        Sample deviation of dS - h dF, in the unit of the changes.
    dollar_offset : float
        nan where dS sums to zero.
    ols_ratio, r2 : float
        Slope of dS on dF, and HE at it.
    """

    n: int
    ratio: float
    variance_reduction: float
    residual_deviation: float
    dollar_offset: float
    ols_ratio: float
    r2: float

    @property
    def offset_passes(self) -> bool:
        """Return whether the dollar offset is in 80-125 %."""
        return OFFSET_LOW <= self.dollar_offset <= OFFSET_HIGH

    @property
    def regression_passes(self) -> bool:
        """Return whether R2 is at least 0.80 and the slope points the right way."""
        return self.r2 >= MIN_R2 and self.ols_ratio > 0.0


def effectiveness(held: Floats, hedge: Floats, ratio: float = 1.0) -> Effectiveness:
    """
    Return the effectiveness of selling `ratio` of the hedge.

    Parameters
    ----------
    held, hedge : ndarray, shape (n,), n >= 3, finite
        Changes of price or log price over the same intervals; both must move.

    Raises
    ------
    ValueError
        If shapes differ, there are too few changes, one is not finite, or one side never moves.

    Examples
    --------
    >>> found = effectiveness(np.array([1.0, -2.0, 3.0]), np.array([1.0, -2.0, 2.0]))
    >>> round(found.variance_reduction, 4), round(found.dollar_offset, 4)
    (0.9474, 0.5)
    """
    _check(held, hedge)
    slope = ols_ratio(held, hedge)
    total = float(held.sum())
    return Effectiveness(
        n=held.size,
        ratio=ratio,
        variance_reduction=variance_reduction(held, hedge, ratio),
        residual_deviation=float(np.std(held - ratio * hedge, ddof=1)),
        dollar_offset=ratio * float(hedge.sum()) / total if total else float("nan"),
        ols_ratio=slope,
        r2=variance_reduction(held, hedge, slope),
    )


def variance_reduction(held: Floats, hedge: Floats, ratio: float | Floats) -> float:
    """Return HE; `ratio` is one number or one for each change, known before it."""
    return 1.0 - float(np.var(held - ratio * hedge) / np.var(held))


def ols_ratio(held: Floats, hedge: Floats) -> float:
    """Return Cov(dS, dF) / Var(dF)."""
    centred = hedge - hedge.mean()
    return float(centred @ (held - held.mean()) / (centred @ centred))


def offset_share(held: Floats, hedge: Floats, least: float) -> tuple[int, float]:
    """
    Return how many changes of `held` exceed `least` in size, and in what share of them the
    hedge offsets 80-125 %; nan without any.
    """
    large = np.abs(held) > least
    offsets = hedge[large] / held[large]
    inside = (offsets >= OFFSET_LOW) & (offsets <= OFFSET_HIGH)
    return int(large.sum()), float(inside.mean()) if large.any() else float("nan")


def _check(held: Floats, hedge: Floats) -> None:
    if held.shape != hedge.shape or held.ndim != 1:
        raise ValueError(f"changes of shapes {held.shape} and {hedge.shape} do not pair")
    if held.size < 3:
        raise ValueError(f"expected at least 3 changes, were {held.size}")
    if not (np.isfinite(held).all() and np.isfinite(hedge).all()):
        raise ValueError("a change is not finite")
    if np.ptp(held) == 0.0 or np.ptp(hedge) == 0.0:
        raise ValueError("one side does not move")
