# SPDX-License-Identifier: MIT
"""
The band's law by other means: its running cost in floats, and a simulated drift.

Symbols as in `keeper.band`; per NAV and year.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from keeper.band import Band, BandTerms
from keeper.units import WAD


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What a band costs a year, share of NAV: trading, and the charge for holding drift."""

    trading: float
    risk: float

    @property
    def total(self) -> float:
        """Return J."""
        return self.trading + self.risk


def running_cost(band: Band, terms: BandTerms) -> Costs:
    """
    Return J(h, b) of `keeper.band`; without gas also at h = b, where drift is reflected.

    >>> terms = BandTerms(fixed_wad=10**14, proportional_wad=10**15,
    ...                   drift_variance_wad=3 * 10**17, risk_wad=WAD)
    >>> band = Band(trigger_wad=155_500 * 10**12, target_wad=31_200 * 10**12)
    >>> round(running_cost(band, terms).total, 7)  # quant.md, section 4
    0.0049957
    """
    h, b = band.trigger_wad / WAD, band.target_wad / WAD
    a, g = terms.drift_variance_wad / WAD, terms.risk_wad / WAD
    if not (h > b or (h == b > 0.0 and terms.fixed_wad == 0)):
        raise ValueError(f"a band that trades to its own trigger, {h}, pays gas for ever")
    gas = terms.fixed_wad / WAD / (h**2 - b**2) if terms.fixed_wad else 0.0
    trading = a * (gas + terms.proportional_wad / WAD / (h + b))
    return Costs(trading=trading, risk=g * (h**2 + b**2) / 12.0)


def simulated_cost(
    band: Band, terms: BandTerms, years: float, chance: np.random.Generator, cells: int = 24
) -> Costs:
    """
    Return what a simulated drift under the band cost a year.

    Drift walks on a lattice of `cells` steps from 0 to the trigger, so that no trade overshoots:
    each step takes (h / cells)^2 / a years, and E x2 is off by about 1 / cells^2.

    Parameters
    ----------
    band : Band
        Its target is rounded to the lattice.
    years : float
        Of all 500 paths together; each begins at the target and must cycle often.
    chance : numpy.random.Generator
    """
    h = band.trigger_wad / WAD
    target = round(band.target_wad / band.trigger_wad * cells)
    step_years = (h / cells) ** 2 / (terms.drift_variance_wad / WAD)
    trades, squares, count = _walk(cells, target, round(years / step_years), chance)
    spent = terms.fixed_wad / WAD + terms.proportional_wad / WAD * h * (1.0 - target / cells)
    mean_square = squares / count * (h / cells) ** 2
    return Costs(
        trading=trades * spent / (count * step_years),
        risk=terms.risk_wad / WAD / 2.0 * mean_square,
    )


def _walk(
    trigger: int, target: int, steps: int, chance: np.random.Generator, paths: int = 500
) -> tuple[int, int, int]:
    """Return trades, the sum of squares and the number of steps of walks under a band."""
    at = np.zeros(paths, dtype=np.int64)
    trades = squares = 0
    each = max(1, steps // paths)
    for _ in range(each):
        at += chance.choice((-1, 1), paths)
        outside = np.abs(at) >= trigger
        trades += int(outside.sum())
        at[outside] = np.sign(at[outside]) * target
        squares += int(at @ at)
    return trades, squares, each * paths
