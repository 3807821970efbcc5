# SPDX-License-Identifier: MIT
"""
Bars at which `decide` can only hold, found without asking it.

A decision takes some 200 microseconds, and at most bars nothing is near a level. The levels are
computed here in floats, from the formulas of `risk`, `margins` and `settlement`, with a slack far
over the error of a float; a bar is quiet when each is clear by that slack. All other bars are
decided by `decide`, so the plans are the same, which a test asserts bar by bar.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from keeper.margins import levels
from keeper.policy import Policy
from keeper.snapshot import Limits, Margin, Market
from keeper.units import BPS, WAD

SLACK: Final = 1e-9  # relative; a float has 1e-16


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """The levels of one vault with one venue, as floats in shares."""

    divisor: int
    trigger: float  # drift
    target_share: float  # 1 - h
    scale: float  # L, raw assets
    initial_base: float
    initial_slope: float
    maintenance_share: float
    maintenance_floor: float
    kept: float  # 1 - haircut
    low: tuple[float, float]  # distance, ratio
    target: tuple[float, float]
    high: tuple[float, float]
    idle_reserve: float
    settle_trigger: float

    def quiet(
        self,
        margin: Margin,
        idle_assets: int,
        idle_quote: int,
        skew: int,
        price_wad: int,
        raised: float = 0.0,
    ) -> bool:
        """
        Return whether drift, margin and quote are all clear of what would make a plan.

        Parameters
        ----------
        raised : float
            What a forecast adds to the distances (`margins.raised_bps`), as a share.
        """
        price = price_wad / self.divisor  # raw quote per raw asset
        size, assets = float(margin.delta), float(margin.assets)
        value = float(margin.quote + margin.profit)
        held = idle_assets + assets
        equity = held + (idle_quote + value) / price
        if equity <= 0:
            return False
        gap = held + size - self.target_share * equity
        if abs(gap) > self.trigger * equity * (1 - SLACK):
            return False
        if idle_assets < self.idle_reserve * equity * (1 + SLACK):
            return False
        if self._settles(margin, idle_quote, value, float(skew), price, equity, raised):
            return False
        low = self.needed(size, value, float(skew), price, self.low, raised)
        if assets < low * (1 + SLACK) + 1:
            return False
        secured = float(margin.quote + min(margin.profit, 0))
        high = self.needed(size, secured, float(skew), price, self.high, raised)
        return assets < high * (1 - SLACK) - 1

    def _settles(
        self,
        margin: Margin,
        idle_quote: int,
        value: float,
        skew: float,
        price: float,
        equity: float,
        raised: float,
    ) -> bool:
        """Return whether quote profit or debt may be over its trigger (`settlement.settle`)."""
        trigger = self.settle_trigger * equity * price * (1 - SLACK)
        if -(idle_quote + value) > trigger:
            return True
        if idle_quote + max(0.0, margin.quote) <= trigger:
            return False
        backed = float(min(margin.profit, 0))
        need = self.needed(float(margin.delta), backed, skew, price, self.target, raised)
        released = margin.quote - max(0.0, need * (1 - SLACK) - margin.assets) * price
        return idle_quote + max(0.0, released) > trigger

    def needed(
        self,
        size: float,
        value: float,
        skew: float,
        price: float,
        need: tuple[float, float],
        raised: float,
    ) -> float:
        """Return the asset margin for a level, as `margins.assets_needed` to float accuracy."""
        if size == 0:
            return max(0.0, -value / (price * self.kept))
        distance, ratio = need[0] + raised, need[1]
        open_size = abs(size)
        notional = open_size * price
        rate = self.initial_base + self.initial_slope * open_size / self.scale
        floor = notional * max(rate * self.maintenance_share, self.maintenance_floor)
        closing = max(0.0, -size * price * (2 * skew - size) / (2 * self.scale))
        now = (max(notional * rate + closing, floor * ratio) - value) / (price * self.kept)
        against = 1 + distance if size < 0 else max(1 - distance, 1 / BPS)
        lacking = floor * against - value - size * price * (against - 1)
        return max(0.0, now, lacking / (price * against * self.kept))


def watch(
    policy: Policy, limits: Limits, market: Market, hedge_ratio_bps: int, divisor: int
) -> Watch:
    """Return the levels of a policy on a book's limits and a venue's terms."""
    level = levels(policy, limits)
    trigger = max(limits.inner_band_bps, min(policy.trigger_bps, limits.urgent_band_bps))
    return Watch(
        divisor=divisor,
        trigger=trigger / BPS,
        target_share=(BPS - hedge_ratio_bps) / BPS,
        scale=float(market.skew_scale),
        initial_base=market.initial_base_wad / WAD,
        initial_slope=market.initial_slope_wad / WAD,
        maintenance_share=market.maintenance_share_wad / WAD,
        maintenance_floor=market.maintenance_floor_wad / WAD,
        kept=(WAD - market.haircut_wad) / WAD,
        low=(level.low.distance_bps / BPS, level.low.ratio_bps / BPS),
        target=(level.target.distance_bps / BPS, level.target.ratio_bps / BPS),
        high=(level.high.distance_bps / BPS, level.high.ratio_bps / BPS),
        idle_reserve=policy.idle_reserve_bps / BPS,
        settle_trigger=policy.settle_trigger_bps / BPS,
    )
