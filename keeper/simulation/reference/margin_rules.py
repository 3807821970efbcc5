# SPDX-License-Identifier: MIT
"""
What a position needs and what backs it (`modules/margin_rules.vy`).

With N = |q| * S:

    initial      IM = N * iota,  iota = base + slope * |q| / L
    maintenance  MM = N * max(share * iota, penalty + reward share + buffer)
    equity       E  = quote + assets * S * (1 - haircut) + q * S - entry

Margin required is rounded up, collateral down.
"""

from __future__ import annotations

from keeper.simulation.reference.curve import Curve
from keeper.simulation.reference.position import Account
from keeper.simulation.reference.terms import Terms
from keeper.units import UINT256_MAX, WAD, div_ceil, div_floor, mul_div_down, mul_div_up


class MarginRules:
    """The margin terms of one venue."""

    __slots__ = ("base_wad", "curve", "floor_wad", "kept_wad", "share_wad", "slope_wad")

    def __init__(self, curve: Curve, terms: Terms) -> None:
        self.curve = curve
        self.base_wad = terms.initial_base_wad
        self.slope_wad = terms.initial_slope_wad
        self.share_wad = terms.maintenance_share_wad
        self.floor_wad = terms.maintenance_floor_wad
        self.kept_wad = WAD - terms.haircut_wad

    def initial_rate(self, size: int) -> int:
        """Return iota of an unsigned size, WAD, up."""
        return self.base_wad + mul_div_up(self.slope_wad, size, self.curve.skew_scale)

    def initial(self, size: int, price_wad: int) -> int:
        """Return the initial margin of an unsigned size, quote, up."""
        return self.share_up(size, price_wad, self.initial_rate(size))

    def required(self, size: int, price_wad: int) -> tuple[int, int]:
        """Return initial and maintenance margin of an unsigned size, quote, up."""
        rate = self.initial_rate(size)
        floor_rate = max(mul_div_up(rate, self.share_wad, WAD), self.floor_wad)
        return self.share_up(size, price_wad, rate), self.share_up(size, price_wad, floor_rate)

    def share_up(self, size: int, price_wad: int, share_wad: int) -> int:
        """Return a share of the notional, quote, up."""
        return mul_div_up(size * price_wad, share_wad, self.curve.wad_divisor)

    def share_down(self, size: int, price_wad: int, share_wad: int) -> int:
        """Return a share of the notional, quote, down."""
        return mul_div_down(size * price_wad, share_wad, self.curve.wad_divisor)

    def value_down(self, size: int, price_wad: int) -> int:
        """Return size * S, quote, down."""
        return div_floor(size * price_wad, self.curve.price_divisor)

    def value_up(self, size: int, price_wad: int) -> int:
        """Return size * S, quote, up."""
        return div_ceil(size * price_wad, self.curve.price_divisor)

    def collateral(self, assets: int, price_wad: int) -> int:
        """Return assets * S * (1 - haircut), quote, down."""
        return self.share_down(assets, price_wad, self.kept_wad)

    def equity(self, account: Account, price_wad: int) -> int:
        """Return equity for margin at the index, funding settled before."""
        profit = self.value_down(account.size, price_wad) - account.entry
        return account.quote + self.collateral(account.assets, price_wad) + profit

    def assets_for(self, quote: int, price_wad: int, share_wad: int) -> int:
        """Return the fewest assets whose share of value, rounded down, is at least `quote`."""
        if price_wad == 0:
            return UINT256_MAX
        return mul_div_up(quote, self.curve.wad_divisor, price_wad * share_wad)

    def kept_for(self, quote: int, price_wad: int) -> int:
        """Return asset margin that backs `quote` after the haircut."""
        return self.assets_for(quote, price_wad, self.kept_wad)
