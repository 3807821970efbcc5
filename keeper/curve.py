# SPDX-License-Identifier: MIT
"""
What a trade at a venue or at the spot pool would cost, and what margin a position needs.

Integer mirrors of the venue's formulas (design 2.2) over the terms that the lens reports. A trade
of x fills at S * (1 + (K + x/2) / L); the fee is the taker's on the part that raises |K| and the
maker's on the rest; IM = N * (base + slope * |q| / L); MM = max(share * IM, floor * N).
Rounded against the trader. Units: sizes in raw assets, money in raw quote, prices WAD.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from keeper.snapshot import Margin, Market, VaultSnapshot
from keeper.units import (
    BPS,
    WAD,
    Assets,
    Quote,
    Wad,
    div_ceil,
    div_floor,
    positive_part,
    price_divisor,
    sign,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """The price and the divisor that make raw quote of raw assets."""

    price_wad: Wad
    divisor: int

    def value_down(self, assets: int) -> Quote:
        """Return what `assets` are worth, rounded toward minus infinity."""
        return Quote(div_floor(assets * self.price_wad, self.divisor))

    def value_up(self, assets: int) -> Quote:
        """Return what `assets` are worth, rounded toward plus infinity."""
        return Quote(div_ceil(assets * self.price_wad, self.divisor))

    def assets_down(self, quote: int) -> Assets:
        """Return how many assets `quote` is worth, rounded toward minus infinity."""
        return Assets(div_floor(quote * self.divisor, self.price_wad))

    def assets_up(self, quote: int) -> Assets:
        """Return how many assets `quote` is worth, rounded toward plus infinity."""
        return Assets(div_ceil(quote * self.divisor, self.price_wad))


def scale_of(vault: VaultSnapshot) -> Scale:
    """Return the scale of a vault at its snapshot's price."""
    divisor = price_divisor(vault.asset_decimals, vault.quote_decimals)
    return Scale(price_wad=vault.price_wad, divisor=divisor)


def fill_premium_bps_up(market: Market, size: int) -> int:
    """
    Return by how much a fill of `size` is worse than the index, in bps rounded up.

    Negative when the venue pays the trader to take that side.
    """
    toward = sign(size) * (2 * market.skew + size)
    return div_ceil(toward * BPS, 2 * market.skew_scale)


def fill_price_wad(market: Market, size: int, price_wad: int) -> Wad:
    """Return the price at which `size` fills, fee excluded, rounded against the trader."""
    twice_scale = 2 * market.skew_scale
    numerator = price_wad * (twice_scale + 2 * market.skew + size)
    rounding = div_ceil if size > 0 else div_floor
    return Wad(rounding(numerator, twice_scale))


def impact_up(market: Market, size: int, scale: Scale) -> Quote:
    """Return cost of `size` over the index without the fee; negative when the venue pays."""
    twice_scale = 2 * market.skew_scale
    numerator = size * scale.price_wad * (2 * market.skew + size)
    return Quote(div_ceil(numerator, twice_scale * scale.divisor))


def fee_up(market: Market, size: int, scale: Scale) -> Quote:
    """Return the fee of `size` on index notional: maker on what lowers |K|, taker on the rest."""
    opposed = sign(size) * sign(market.skew) < 0
    lowers = min(abs(size), abs(market.skew)) if opposed else 0
    raises = abs(size) - lowers
    rate = lowers * market.maker_fee_wad + raises * market.taker_fee_wad
    return Quote(div_ceil(rate * scale.price_wad, WAD * scale.divisor))


def trade_cost_up(market: Market, size: int, scale: Scale) -> Quote:
    """Return cost of `size` over the index, fee included; negative when the venue pays."""
    if size == 0:
        return Quote(0)
    return Quote(impact_up(market, size, scale) + fee_up(market, size, scale))


def initial_rate_wad(market: Market, delta: int) -> int:
    """Return IM / N of a position, rounded up."""
    slope = div_ceil(market.initial_slope_wad * abs(delta), market.skew_scale)
    return market.initial_base_wad + slope


def maintenance_rate_wad(market: Market, delta: int) -> int:
    """Return MM / N of a position, rounded up."""
    share = div_ceil(initial_rate_wad(market, delta) * market.maintenance_share_wad, WAD)
    return max(share, market.maintenance_floor_wad)


def initial_up(market: Market, delta: int, scale: Scale) -> Quote:
    """Return the initial margin of a position."""
    notional = abs(delta) * scale.price_wad
    return Quote(div_ceil(notional * initial_rate_wad(market, delta), WAD * scale.divisor))


def maintenance_up(market: Market, delta: int, scale: Scale) -> Quote:
    """Return the maintenance margin of a position."""
    notional = abs(delta) * scale.price_wad
    return Quote(div_ceil(notional * maintenance_rate_wad(market, delta), WAD * scale.divisor))


def closing_loss_up(market: Market, delta: int, scale: Scale) -> Quote:
    """Return by how much closing the position now is worse than the index, at least zero."""
    return Quote(positive_part(impact_up(market, -delta, scale)))


def after_trade(market: Market, margin: Margin, size: int, scale: Scale) -> tuple[Market, Margin]:
    """
    Return market and account after a fill of `size`, at the same index price.

    Mirrors the venue: what opens adds its cost to the entry, what closes takes its share of the
    entry out, rounded up, and realises the rest into quote; the fee comes off quote.
    """
    if size == 0:
        return market, margin
    delta = margin.delta + size
    moved = _moved(market, margin.delta, size)
    entry, realised = _traded(market, margin, size, scale)
    profit = scale.value_down(delta) - entry
    quote = margin.quote + realised - fee_up(market, size, scale)
    account = Margin(
        assets=margin.assets,
        quote=Quote(quote),
        delta=Assets(delta),
        profit=Quote(profit),
        equity=Quote(margin.equity + quote - margin.quote + profit - margin.profit),
        initial=initial_up(moved, delta, scale),
        maintenance=maintenance_up(moved, delta, scale),
    )
    return moved, account


def fill_cost_up(market: Market, size: int, scale: Scale) -> Quote:
    """Return quote paid (positive) or received for `size`, fee excluded."""
    twice_scale = 2 * market.skew_scale
    numerator = size * scale.price_wad * (twice_scale + 2 * market.skew + size)
    return Quote(div_ceil(numerator, twice_scale * scale.divisor))


def _traded(market: Market, margin: Margin, size: int, scale: Scale) -> tuple[int, int]:
    """Return the entry after the fill and what the fill realises."""
    entry = scale.value_down(margin.delta) - margin.profit
    cost = fill_cost_up(market, size, scale)
    if sign(size) * sign(margin.delta) >= 0:
        return entry + cost, 0
    if abs(size) > abs(margin.delta):
        closing = fill_cost_up(market, -margin.delta, scale)
        return cost - closing, -closing - entry
    closed = div_ceil(entry * abs(size), abs(margin.delta))
    return entry - closed, -cost - closed


def _moved(market: Market, delta: int, size: int) -> Market:
    skew = market.skew + size
    shorts = positive_part(-delta - size) - positive_part(-delta)
    return replace(
        market,
        skew=Assets(skew),
        short_size=Assets(market.short_size + shorts),
        long_size=Assets(market.long_size + shorts + size),
        premium_wad=Wad(div_floor(skew * WAD, market.skew_scale)),
    )


def largest(holds: Callable[[int], bool], upper: int) -> int:
    """
    Return the largest x in [0, upper] for which `holds`, given that it holds at 0.

    `holds` must be monotone: true up to some x and false over it. 256 calls at most.
    """
    if upper <= 0:
        return 0
    if holds(upper):
        return upper
    low, high = 0, upper
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def spot_buy_cost_up(vault: VaultSnapshot, assets: int) -> Quote:
    """Return quote that buying `assets` from the spot pool takes, fee included."""
    if not 0 < assets < vault.spot_assets:
        raise ValueError(f"cannot buy {assets} of {vault.spot_assets}")
    bare = div_ceil(vault.spot_quote * assets, vault.spot_assets - assets)
    return Quote(div_ceil(bare * WAD, WAD - vault.spot_fee_wad))


def spot_sell_proceeds_down(vault: VaultSnapshot, assets: int) -> Quote:
    """Return quote that selling `assets` to the spot pool brings, fee taken."""
    if assets <= 0:
        raise ValueError(f"cannot sell {assets}")
    net = div_floor(assets * (WAD - vault.spot_fee_wad), WAD)
    return Quote(div_floor(vault.spot_quote * net, vault.spot_assets + net))
