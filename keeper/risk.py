# SPDX-License-Identifier: MIT
"""
Risk figures of one vault at one block. Pure; integers only.

With S the price, A assets held everywhere, V quote value everywhere (profit included), h the
target hedge ratio:

    E = A + floor(V / S)        equity, asset units
    D = A + sum of deltas       delta, asset units
    exposure = D / E            target exposure = 1 - h
    gap = D - (1 - h) E         positive: too long
    drift = |gap| / E           rounded up

An account is liquidated where equity for margin meets maintenance. Both are linear in S:

    E(S) - MM(S) = c S + b,  c = a (1 - haircut) + q - |q| m,  b = quote - entry
                             entry = q S0 - profit,  m = MM / N at this size

so the price is -b / c: over today's when c < 0 (short beyond its collateral), under it when
c > 0, and nowhere positive when b and c have one sign.
"""

from __future__ import annotations

from dataclasses import dataclass

from keeper.curve import Scale, closing_loss_up, maintenance_rate_wad, scale_of
from keeper.snapshot import Address, Margin, Market, VaultSnapshot, VenueSnapshot
from keeper.units import (
    BPS,
    FUNDING_PERIODS_A_YEAR,
    WAD,
    Assets,
    Bps,
    Quote,
    Wad,
    div_ceil,
    div_floor,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueRisk:
    """
    One venue. `None` stands for "no such number": no position, or no liquidation at any price.

    `margin_ratio_bps` is equity / maintenance, rounded down, 10,000 at liquidation.
    `distance_bps` is the move of the price to liquidation, rounded down, against the position.
    """

    venue: Address
    delta: Assets
    mark_wad: Wad
    basis_bps: int  # mark against the index, toward zero
    spot_basis_bps: int | None  # mark against the spot pool's middle
    funding_year_bps: int  # positive: longs pay
    margin_ratio_bps: Bps | None
    liquidation_price_wad: Wad | None
    distance_bps: Bps | None
    free_margin: Quote  # over initial margin, at the worse of index and closing; may be negative


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """The vault."""

    assets_held: Assets
    quote_value: Quote
    nav: Quote
    equity: Assets
    delta: Assets
    target_delta: Assets
    gap: Assets
    drift_wad: Wad | None  # |gap| / E, rounded up; None while equity is not positive
    drift_bps: Bps | None
    exposure_bps: int | None  # D / E, floor
    target_exposure_bps: int
    drift_urgent: bool
    margin_urgent: bool
    hedge_lost: bool  # a venue closed or seized something
    venues: tuple[VenueRisk, ...]

    @property
    def urgent(self) -> bool:
        """Return whether something overrides the cooldown."""
        return self.drift_urgent or self.margin_urgent or self.hedge_lost

    @property
    def margin_ratio_bps(self) -> Bps | None:
        """Return the lowest margin ratio of all venues."""
        ratios = [v.margin_ratio_bps for v in self.venues if v.margin_ratio_bps is not None]
        return min(ratios, default=None)


def assess(vault: VaultSnapshot) -> Risk:
    """
    Return the risk figures of a vault.

    Raises
    ------
    ValueError
        If the snapshot's price is zero or its decimals are outside 6 to 18.
    """
    if vault.price_wad <= 0:
        raise ValueError("expected a positive price")
    scale = scale_of(vault)
    assets = Assets(vault.idle_assets + sum(v.margin.assets for v in vault.venues))
    value = Quote(vault.state.idle_quote + sum(_quote_value(v, scale) for v in vault.venues))
    equity = Assets(assets + scale.assets_down(value))
    delta = Assets(assets + sum(v.margin.delta for v in vault.venues))
    target_bps = BPS - vault.state.hedge_ratio_bps
    target = Assets(div_floor(target_bps * equity, BPS))
    gap = Assets(delta - target)
    drift = drift_bps(gap, equity)
    venues = tuple(_venue_risk(vault, venue, scale) for venue in vault.venues)
    floor = vault.limits.margin_floor_bps
    return Risk(
        assets_held=assets,
        quote_value=value,
        nav=Quote(scale.value_down(assets) + value),
        equity=equity,
        delta=delta,
        target_delta=target,
        gap=gap,
        drift_wad=Wad(div_ceil(abs(gap) * WAD, equity)) if equity > 0 else None,
        drift_bps=drift,
        exposure_bps=div_floor(delta * BPS, equity) if equity > 0 else None,
        target_exposure_bps=target_bps,
        drift_urgent=drift is not None and drift > vault.limits.urgent_band_bps,
        margin_urgent=any(
            v.margin_ratio_bps is not None and v.margin_ratio_bps < floor for v in venues
        ),
        hedge_lost=any(v.lost for v in vault.venues),
        venues=venues,
    )


def drift_bps(gap: int, equity: int) -> Bps | None:
    """Return |gap| / equity rounded up, or None while equity is not positive."""
    return Bps(div_ceil(abs(gap) * BPS, equity)) if equity > 0 else None


def margin_ratio_bps(equity: int, maintenance: int) -> Bps | None:
    """Return equity / maintenance rounded down, or None without a maintenance margin."""
    return Bps(div_floor(equity * BPS, maintenance)) if maintenance > 0 else None


def liquidation_price_wad(margin: Margin, market: Market, scale: Scale) -> Wad | None:
    """
    Return the price at which equity meets maintenance margin, or None when no price does.

    Rounded toward safety of the reader: down for a price over today's, up for one under it.
    The caller is at or beyond liquidation when the price lies on the wrong side of today's.
    """
    q = margin.delta
    if q == 0:
        return None
    rate = maintenance_rate_wad(market, q)
    slope = margin.assets * (WAD - market.haircut_wad) + q * WAD - abs(q) * rate
    constant = (margin.quote + margin.profit) * scale.divisor - q * scale.price_wad
    # slope * S / WAD + constant = 0, both in assets * WAD
    if slope < 0 <= constant:
        return Wad(div_floor(constant * WAD, -slope))
    if slope > 0 > constant:
        return Wad(div_ceil(-constant * WAD, slope))
    return None if slope >= 0 else Wad(0)


def distance_bps(margin: Margin, market: Market, scale: Scale) -> Bps | None:
    """Return the move of the price to liquidation, rounded down; 0 at or beyond it."""
    if margin.delta == 0:
        return None
    if margin.equity <= margin.maintenance:
        return Bps(0)
    price = liquidation_price_wad(margin, market, scale)
    if price is None:
        return None
    return Bps(div_floor(abs(price - scale.price_wad) * BPS, scale.price_wad))


def _quote_value(venue: VenueSnapshot, scale: Scale) -> int:
    """Return what counts of a venue beside the asset margin, at least nothing less a unit."""
    return max(venue.value, -1) - scale.value_down(venue.margin.assets)


def _venue_risk(vault: VaultSnapshot, venue: VenueSnapshot, scale: Scale) -> VenueRisk:
    if not venue.answers:
        return _unknown(venue, scale)
    margin, market = venue.margin, venue.market
    mark = Wad(div_floor(scale.price_wad * (WAD + market.premium_wad), WAD))
    worse = margin.equity - closing_loss_up(market, margin.delta, scale)
    return VenueRisk(
        venue=venue.venue,
        delta=margin.delta,
        mark_wad=mark,
        basis_bps=_toward_zero(market.premium_wad * BPS, WAD),
        spot_basis_bps=_spot_basis_bps(vault, mark, scale),
        funding_year_bps=_toward_zero(market.funding_rate_wad * FUNDING_PERIODS_A_YEAR * BPS, WAD),
        margin_ratio_bps=margin_ratio_bps(margin.equity, margin.maintenance),
        liquidation_price_wad=liquidation_price_wad(margin, market, scale),
        distance_bps=distance_bps(margin, market, scale),
        free_margin=Quote(worse - margin.initial),
    )


def _unknown(venue: VenueSnapshot, scale: Scale) -> VenueRisk:
    """Return what can be said of a venue that does not answer: what was left there."""
    return VenueRisk(
        venue=venue.venue,
        delta=venue.margin.delta,
        mark_wad=scale.price_wad,
        basis_bps=0,
        spot_basis_bps=None,
        funding_year_bps=0,
        margin_ratio_bps=None,
        liquidation_price_wad=None,
        distance_bps=None,
        free_margin=Quote(0),
    )


def _spot_basis_bps(vault: VaultSnapshot, mark_wad: int, scale: Scale) -> int | None:
    if vault.spot_assets == 0 or vault.spot_quote == 0:
        return None
    mid_wad = div_floor(vault.spot_quote * scale.divisor, vault.spot_assets)
    return _toward_zero((mark_wad - mid_wad) * BPS, mid_wad) if mid_wad else None


def _toward_zero(numerator: int, denominator: int) -> int:
    magnitude = abs(numerator) // denominator
    return magnitude if numerator >= 0 else -magnitude
