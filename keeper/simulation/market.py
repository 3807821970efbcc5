# SPDX-License-Identifier: MIT
"""
One hour of a market, as the simulator replays it.

Prices are floats in quote per asset: they are inputs that some exchange or generator rounded
long ago, and become integers when they are written into a feed (`to_feed`).
"""

import math
from dataclasses import dataclass

HOUR_SECS = 3_600
FUNDING_SECS = 8 * HOUR_SECS  # exchanges settle at 00, 08 and 16 UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class MarketHour:
    """
    Closing prices of one hour.

    Attributes
    ----------
    closes_at : int
        Unix seconds of the close, a multiple of 3,600.
    spot, perp : float
        Positive, quote per asset.
    funding_rate : float or None
        Fraction of notional that longs paid to shorts at `closes_at`; None where nothing was
        settled, which is not the same as zero.
    spot_halted : bool
        The exchange quoted no spot price in this hour; `spot` is then derived from the perp
        (`market_file.read_hours`).
    mark, mark_high, mark_low : float or None
        Close and extremes of the exchange's mark price in this hour, positive; None where it gave
        none.
    gas_gwei : float or None
        What gas cost in this hour, per unit of gas; None where it is not known.
    """

    closes_at: int
    spot: float
    perp: float
    funding_rate: float | None = None
    spot_halted: bool = False
    mark: float | None = None
    mark_high: float | None = None
    mark_low: float | None = None
    gas_gwei: float | None = None

    def __post_init__(self) -> None:
        """Refuse what is no price: nothing that is not finite gets as far as a decision."""
        optional = (self.mark, self.mark_high, self.mark_low)
        prices = (self.spot, self.perp, *(each for each in optional if each is not None))
        if not all(0.0 < price < math.inf for price in prices):
            raise ValueError(f"prices must be positive and finite: {prices}")
        if self.gas_gwei is not None and not 0.0 <= self.gas_gwei < math.inf:
            raise ValueError(f"gas must be finite and not negative: {self.gas_gwei}")
        if self.funding_rate is not None and not math.isfinite(self.funding_rate):
            raise ValueError(f"a funding rate must be finite: {self.funding_rate}")

    @property
    def basis(self) -> float:
        """Perp over spot minus one."""
        return self.perp / self.spot - 1.0


def to_feed(price: float, decimals: int) -> int:
    """Return the answer of a feed with `decimals` that stands for `price`, to the nearest unit."""
    return round(price * 10.0**decimals)
