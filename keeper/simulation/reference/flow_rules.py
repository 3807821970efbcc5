# SPDX-License-Identifier: MIT
"""
What shares of a vault bring when they leave through its queue (`FlowRules.vy`).

With E = held + quote value / S, both parts rounded down, and gap = held + delta - (1 - h) E:

    gross  = floor(shares * (E + 1) / (supply + 1,000))
    base   = ceil(gross * base charge)
    impact = max(0, C(gap - h * (gross - base)) - C(gap)) / S, C the venue's cost of hedging
    assets = gross - base - impact

Requests are priced one after the other. Raw asset and share units, prices WAD; rounded for the
vault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

from keeper.simulation.reference.reverted import require
from keeper.units import BPS, div_floor, mul_div_down, mul_div_up

VIRTUAL_SHARES = 1_000
MAX_IMPACT_BPS = 2_000  # of what the gap moves by

HedgeCost = Callable[[int, int], int]  # size and price to quote, at or over zero


class Order(NamedTuple):
    """What is left of a request; the minimum is for all of its shares."""

    shares: int
    min_assets: int
    base_free: bool


class Fill(NamedTuple):
    """What became of an order: shares burned and assets paid, or lapsed without either."""

    shares: int = 0
    assets: int = 0
    impact_charge: int = 0
    base_charge: int = 0
    lapsed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Priced:
    """
    A vault with its book at one price.

    `held` are assets at home and at venues, `quote_value` idle quote and what venues owe, at the
    index; `delta` is that of the venues alone.
    """

    price_wad: int
    price_divisor: int
    held: int
    quote_value: int
    delta: int
    supply: int
    min_supply: int
    hedge_ratio_bps: int
    base_charge_bps: int
    hedge_cost: HedgeCost

    @property
    def equity(self) -> int:
        """Return E, rounded down."""
        return self.held + div_floor(self.quote_value * self.price_divisor, self.price_wad)

    @property
    def gap(self) -> int:
        """Return what is unhedged, too long positive."""
        return self.held + self.delta - div_floor(self.equity * (BPS - self.hedge_ratio_bps), BPS)

    def gross(self, shares: int) -> int:
        """Return what shares are worth before charges."""
        return mul_div_down(shares, max(self.equity, 0) + 1, self.supply + VIRTUAL_SHARES)

    def after(self, fill: Fill) -> Priced:
        """Return the vault when a fill is paid."""
        return replace(self, held=self.held - fill.assets, supply=self.supply - fill.shares)


def redemption(priced: Priced, shares: int, base_free: bool = False) -> Fill:
    """Return what `shares` bring; all there are pay no charge."""
    gross = priced.gross(shares)
    if shares == priced.supply:
        return Fill(shares, gross)
    base = 0 if base_free else mul_div_up(gross, priced.base_charge_bps, BPS)
    impact = min(exit_impact(priced, gross - base), gross - base)
    return Fill(shares, gross - base - impact, impact, base)


def exit_impact(priced: Priced, assets: int) -> int:
    """Return the impact charge on an exit of `assets`, asset units; zero across gap zero."""
    step = mul_div_up(assets, priced.hedge_ratio_bps, BPS)
    if step == 0:
        return 0
    before, after = priced.gap, priced.gap - step
    credit = _cost(priced, before) if (before > 0) == (after > 0) else 0
    most = mul_div_up(mul_div_up(step, priced.price_wad, priced.price_divisor), MAX_IMPACT_BPS, BPS)
    cost = min(max(0, _cost(priced, after) - credit), most)
    return mul_div_up(cost, priced.price_divisor, priced.price_wad)


def shares_within(priced: Priced, liquid: int, base_charge_bps: int) -> int:
    """Return shares that bring at most `liquid` and leave the minimum supply."""
    gross = mul_div_down(liquid + exit_impact(priced, liquid), BPS, BPS - base_charge_bps)
    shares = mul_div_down(gross, priced.supply + VIRTUAL_SHARES, max(priced.equity, 0) + 1)
    return min(shares, max(0, priced.supply - priced.min_supply))


def fill_order(priced: Priced, order: Order, liquid: int, min_shares: int) -> Fill:
    """Return the fill of one order; empty when it has to wait."""
    whole = redemption(priced, order.shares, order.base_free)
    if whole.assets < max(order.min_assets, 1):
        return Fill(lapsed=True)
    rest = priced.supply - order.shares
    if whole.assets <= liquid and (rest == 0 or rest >= priced.min_supply):
        return whole
    base_charge_bps = 0 if order.base_free else priced.base_charge_bps
    shares = min(order.shares, shares_within(priced, liquid, base_charge_bps))
    if shares < min_shares:
        return Fill()
    part = redemption(priced, shares, order.base_free)
    return part if 0 < part.assets <= liquid else Fill()


def fill_orders(
    priced: Priced, orders: Iterable[Order], liquid: int, min_shares: int
) -> list[Fill]:
    """
    Return one fill for each order up to the first that has to wait.

    Raises
    ------
    Reverted
        While equity is not positive.
    """
    require(priced.equity > 0, "vault: equity not positive")
    fills: list[Fill] = []
    for order in orders:
        fill = fill_order(priced, order, liquid, min_shares)
        if not fill.shares and not fill.lapsed:
            break
        fills.append(fill)
        if not fill.lapsed and fill.shares < order.shares:
            break
        priced, liquid = priced.after(fill), liquid - fill.assets
    return fills


def _cost(priced: Priced, gap: int) -> int:
    return priced.hedge_cost(-gap, priced.price_wad) if gap else 0
