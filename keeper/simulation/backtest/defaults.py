# SPDX-License-Identifier: MIT
"""The system that a backtest runs on unless told otherwise: what `scripts/terms.py` deploys."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Final

from keeper.simulation.reference import Terms
from keeper.simulation.reference.hedge_vault import Identity
from keeper.snapshot import Limits
from keeper.units import WAD, Assets, Bps

BP_WAD: Final = 10**14
ASSET_DECIMALS: Final = 18
QUOTE_DECIMALS: Final = 6
ASSET_UNIT: Final = 10**ASSET_DECIMALS
QUOTE_UNIT: Final = 10**QUOTE_DECIMALS


def terms() -> Terms:
    """Return the venue's terms; a test holds them against `scripts.terms`."""
    return Terms(
        skew_scale=100_000 * ASSET_UNIT,
        max_side=3_000 * ASSET_UNIT,
        min_size=ASSET_UNIT // 100,
        premium_cap_wad=300 * BP_WAD,
        skew_share_wad=5_000 * BP_WAD,
        taker_fee_wad=5 * BP_WAD,
        maker_fee_wad=2 * BP_WAD,
        fund_share_wad=2_000 * BP_WAD,
        interest_wad=BP_WAD,
        interest_band_wad=5 * BP_WAD,
        funding_cap_wad=75 * BP_WAD,
        initial_base_wad=1_000 * BP_WAD,
        initial_slope_wad=WAD,
        maintenance_share_wad=5_000 * BP_WAD,
        maintenance_buffer_wad=50 * BP_WAD,
        haircut_wad=1_000 * BP_WAD,
        discount_wad=500 * BP_WAD,
        penalty_wad=300 * BP_WAD,
        reward_floor=2 * QUOTE_UNIT,
        reward_cap=150 * QUOTE_UNIT,
        reward_share_wad=50 * BP_WAD,
        liquidation_flow=500 * ASSET_UNIT,
        unwind_step=10 * ASSET_UNIT,
        loan_rate_wad=1_000 * BP_WAD,
        loan_share_wad=5_000 * BP_WAD,
        realise_share_wad=1_000 * BP_WAD,
        low_share_wad=5_000 * BP_WAD,
    )


def limits() -> Limits:
    """Return the guard's limits; a test holds them against `scripts.terms`."""
    return Limits(
        inner_band_bps=Bps(100),
        urgent_band_bps=Bps(500),
        min_step_bps=Bps(50),
        overshoot_bps=Bps(50),
        margin_floor_bps=Bps(48_000),
        margin_target_bps=Bps(67_000),
        cost_bound_bps=Bps(200),
        cost_budget_bps=Bps(100),
        turnover_budget_bps=Bps(60_000),
        urgent_reserve_bps=Bps(5_000),
        slippage_bps=Bps(75),
        urgent_slippage_bps=Bps(300),
        cooldown_secs=600,
        max_trade=Assets(500 * ASSET_UNIT),
        min_equity=Assets(ASSET_UNIT // 10),
        gap_share_bps=Bps(2_000),
        gap_floor=Assets(100 * ASSET_UNIT),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """
    What stands before the first hour; amounts in raw units.

    Parameters
    ----------
    deposit : int
        Assets that the vault holds from the first hour on.
    pool_quote, fund_quote : int
        Behind the venue. The pool must carry the side of the worst basis at the highest price.
    spot_assets : int
        Depth of the spot pool; a trade of x moves it by about 2 x / depth.
    """

    terms: Terms
    limits: Limits
    identity: Identity = field(
        default_factory=lambda: Identity(
            asset_decimals=ASSET_DECIMALS, quote_decimals=QUOTE_DECIMALS, base_charge_bps=75
        )
    )
    allotment_bps: int = 8_000
    deposit: int = 100 * ASSET_UNIT
    pool_quote: int = 200_000_000 * QUOTE_UNIT
    fund_quote: int = 500_000 * QUOTE_UNIT
    spot_assets: int = 20_000 * ASSET_UNIT
    spot_fee_wad: int = 5 * BP_WAD


def setup() -> Setup:
    """Return the default system."""
    return Setup(terms=terms(), limits=limits())


def scaled(base: Setup, factor: int) -> Setup:
    """
    Return the system with every amount of assets multiplied, for a coin that costs as much less.

    The default stands for a coin of some thousand quote; ADA at 0.03 to 3 wants 10,000 times as
    many coins for one value. Prices and amounts of quote stay.
    """
    terms, limits = base.terms, base.limits
    sizes = ("skew_scale", "max_side", "min_size", "liquidation_flow", "unwind_step")
    bounds = ("max_trade", "min_equity", "gap_floor")
    return replace(
        base,
        terms=terms._replace(**{name: getattr(terms, name) * factor for name in sizes}),
        limits=replace(limits, **{name: getattr(limits, name) * factor for name in bounds}),
        deposit=base.deposit * factor,
        spot_assets=base.spot_assets * factor,
    )


def without_funding(base: Setup) -> Setup:
    """Return the system with a venue whose clamp swallows every premium: its funding is zero."""
    cap = base.terms.premium_cap_wad
    terms = base.terms._replace(interest_wad=0, interest_band_wad=cap, funding_cap_wad=cap)
    return replace(base, terms=terms)
