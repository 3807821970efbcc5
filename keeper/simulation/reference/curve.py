# SPDX-License-Identifier: MIT
"""
The price of moving the skew (`modules/curve.vy`).

With S the index price, K the skew and L its scale, a trade of x costs

    cost(K, x) = x * S * (1 + (K + x/2) / L)

and a fee on index notional: taker on the part that increases |K|, maker on the rest. Sizes in
asset units, values in quote units, prices WAD. Costs and fees are rounded up, values down.
"""

from __future__ import annotations

from keeper.simulation.reference.terms import Terms
from keeper.units import WAD, div_ceil, div_floor, mul_div_up


class Curve:
    """The curve of one venue."""

    __slots__ = ("maker_fee_wad", "price_divisor", "skew_scale", "taker_fee_wad", "wad_divisor")

    def __init__(self, terms: Terms, price_divisor: int) -> None:
        self.skew_scale = terms.skew_scale
        self.price_divisor = price_divisor
        self.wad_divisor = price_divisor * WAD  # for products with a rate
        self.taker_fee_wad = terms.taker_fee_wad
        self.maker_fee_wad = terms.maker_fee_wad

    def premium(self, skew: int) -> int:
        """Return K / L, WAD, down."""
        return div_floor(skew * WAD, self.skew_scale)

    def cost(self, skew: int, size: int, price_wad: int) -> int:
        """Return quote paid (positive) or received for `size` from `skew`, up."""
        return self._scaled(size, price_wad, self._doubled(skew, size))

    def fee(self, skew: int, size: int, price_wad: int) -> int:
        """Return the fee, quote, up."""
        amount = abs(size)
        maker = min(amount, abs(skew)) if (skew > 0) != (size > 0) else 0
        rate = (amount - maker) * self.taker_fee_wad + maker * self.maker_fee_wad
        return mul_div_up(rate, price_wad, self.wad_divisor)

    def cost_over_index(self, skew: int, size: int, price_wad: int) -> int:
        """Return what `size` costs more than at the index, fee included, up."""
        over = self._scaled(size, price_wad, 2 * skew + size)
        return self.fee(skew, size, price_wad) + over

    def closing_value(self, skew: int, but_for: int, price_wad: int) -> int:
        """Return what all but `but_for` bring at the mean of the curve from K to it, up."""
        return self._scaled(skew - but_for, price_wad, 2 * self.skew_scale + skew + but_for)

    def fill_within(self, skew: int, size: int, price_wad: int, limit_price_wad: int) -> bool:
        """Return whether the mean fill is no worse than the limit."""
        fill = price_wad * self._doubled(skew, size)
        limit = min(limit_price_wad, 8 * price_wad) * 2 * self.skew_scale
        return fill <= limit if size > 0 else fill >= limit

    def _doubled(self, skew: int, size: int) -> int:
        """Return 2L * (1 + (K + x/2) / L)."""
        return 2 * self.skew_scale + 2 * skew + size

    def _scaled(self, size: int, price_wad: int, doubled: int) -> int:
        """Return size * S * doubled / 2L, quote, up."""
        return div_ceil(size * price_wad * doubled, 2 * self.skew_scale * self.price_divisor)
