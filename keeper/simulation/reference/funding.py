# SPDX-License-Identifier: MIT
"""
What the heavy side pays the light side for waiting (`modules/funding.vy`).

Per 8 hours, with premium p and interest i: f = p + clamp(i - p, -band, band), clamped to
-cap..cap; f > 0: longs pay. The payers' index grows by f * S * dt / 28,800, rounded up; that of
the receivers falls by the same, but by no more than what the payers paid, shared equally and
rounded down. The mean premium follows m' = p + (m - p) * exp(-dt / 1,800), down.
"""

from __future__ import annotations

from keeper.simulation.reference.exponential import wad_exp
from keeper.simulation.reference.terms import Terms
from keeper.units import FUNDING_PERIOD_SECS, WAD, div_ceil, div_floor

MEAN_TIME = 1_800  # seconds; time constant of the mean premium
MEMORY = 100 * MEAN_TIME  # seconds, after which nothing is left of the old mean
PERIOD_WAD = FUNDING_PERIOD_SECS * WAD


class Funding:
    """The funding terms of one venue."""

    __slots__ = ("band_wad", "cap_wad", "interest_wad")

    def __init__(self, terms: Terms) -> None:
        self.interest_wad = terms.interest_wad
        self.band_wad = terms.interest_band_wad
        self.cap_wad = terms.funding_cap_wad

    def rate(self, premium_wad: int) -> int:
        """Return f per 8 hours, WAD."""
        pull = max(-self.band_wad, min(self.band_wad, self.interest_wad - premium_wad))
        return max(-self.cap_wad, min(self.cap_wad, premium_wad + pull))

    def owed(
        self, premium_wad: int, longs: int, shorts: int, price_wad: int, elapsed: int
    ) -> tuple[int, int]:
        """Return the growth of the long and of the short index over `elapsed` seconds, WAD."""
        rate_wad = self.rate(premium_wad)
        due = abs(rate_wad) * price_wad * elapsed
        paid = div_ceil(due, PERIOD_WAD)
        payers, receivers = (longs, shorts) if rate_wad > 0 else (shorts, longs)
        received = 0
        if receivers > 0:
            received = min(div_floor(due, PERIOD_WAD), div_floor(paid * payers, receivers))
        return (paid, -received) if rate_wad > 0 else (-received, paid)


def mean(mean_wad: int, premium_wad: int, elapsed: int) -> int:
    """Return the exponential mean after `elapsed` seconds at this premium, WAD, down."""
    secs = min(elapsed, MEMORY)
    weight = wad_exp(-(secs * WAD // MEAN_TIME))
    return premium_wad + div_floor((mean_wad - premium_wad) * weight, WAD)
