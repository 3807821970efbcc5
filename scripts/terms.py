# SPDX-License-Identifier: MIT
"""
The terms that a new system gets, with unit and reason, in this one place.

They suit ETH against USDC. Amounts scale with the tokens' decimals; shares and
rates do not. Both records list their fields in the order of the contracts'
structs, `ILiquidationRules.Terms` and `IHedgeBook.Limits`; a test compares the names.
"""

from __future__ import annotations

from dataclasses import astuple, dataclass
from typing import Final

from keeper.units import WAD

PER_CENT: Final = 10**16  # WAD
BASIS_POINT: Final = 10**14  # WAD

SHARE_DIGITS: Final = 3  # decimals of a share over those of the asset
HEDGE_RATIO_BPS: Final = 10_000  # no econometric ratio beats 1:1 on the same coin (quant.md 1)
MIN_HEDGE_RATIO_BPS: Final = 5_000  # under it the name "hedged" would mislead
MAX_HEDGE_RATIO_BPS: Final = 10_500  # minimum-variance ratios stay within 1 % of 1
ALLOTMENT_BPS: Final = 8_000  # of NAV at the only venue; a halved price leaves 70 % there
FUND_ALLOTMENT: Final = 1_000_000  # whole quote; what one venue may cost the stakers
UNSTAKE_DELAY_SECS: Final = 604_800  # a week: a crash and its liquidations are over by then
UNSTAKE_WINDOW_SECS: Final = 172_800  # two days to be paid, without a free exit option
SPOT_FEE_WAD: Final = 5 * BASIS_POINT  # the usual tier for ETH against USDC
POOL_DELAY_SECS: Final = 3_600  # time to liquidate what a leaver knows to be bad
POOL_WINDOW_SECS: Final = 4 * 3_600  # three heartbeats to be executed in, and no longer to wait
FALLBACK_GRACE_SECS: Final = 1_800  # a keeper that was restarted by hand is there again by then
FALLBACK_RAMP_SECS: Final = 3_600
QUEUE_DELAY_SECS: Final = 3_600  # the heartbeat: nobody knows the round that prices his exit
QUEUE_CANCEL_DELAY_SECS: Final = 86_400  # a request that is easily taken back is a free option
EXIT_DELAY_SECS: Final = 259_200  # three days: feeds and sequencers have been down for hours
EXIT_PATIENCE_SECS: Final = (
    21_600  # the vault stands still for it, unhedged as it was in the outage
)
PREMIUM_TOLERANCE_WAD: Final = 20 * BASIS_POINT  # a skew of 200 pushed in front of a fill
TIMELOCK_SECS: Final = 172_800  # two days: a weekend's reader sees a proposal and has left by then
MAX_DEVIATION_BPS: Final = 200  # of feeds that each may lag by 50 bp, twice over

ASSET_MAX_AGE_SECS: Final = 4_500  # heartbeat of an hour and a quarter more
QUOTE_MAX_AGE_SECS: Final = 90_000  # heartbeat of a day and an hour more
ASSET_THRESHOLD_BPS: Final = 50  # the move that ETH / USD feeds report at the latest
QUOTE_THRESHOLD_BPS: Final = 25  # the same of USDC / USD


@dataclass(frozen=True, slots=True, kw_only=True)
class VenueTerms:
    """
    Immutable terms of the perpetual market; units as in `ILiquidationRules.Terms`.

    Notes
    -----
    The premium cap belongs within the penalty. Who buys at a premium of -p and fails on purpose
    is taken over at the index less the penalty m: he gains p - m of the notional, the pool's.
    Fees, the reward and a second account to be hedged with leave little of it, yet at the terms
    of the tests (p up to 50 %, m 1.5 %) a search finds 120 quote on 200,000
    (`tests/property/contracts/test_adversarial_search.py`). `LiquidationRules` does not refuse it,
    because the numbers of attacks.md, on which over a hundred test files build, need it: with a
    skew scale of 1,000 a position of 100 moves the premium by 10 %, and a penalty of that would
    need initial margins over it. `verify_deployment` does.
    """

    skew_scale: int
    max_side: int
    min_size: int
    premium_cap_wad: int
    skew_share_wad: int
    taker_fee_wad: int
    maker_fee_wad: int
    fund_share_wad: int
    interest_wad: int
    interest_band_wad: int
    funding_cap_wad: int
    initial_base_wad: int
    initial_slope_wad: int
    maintenance_share_wad: int
    maintenance_buffer_wad: int
    haircut_wad: int
    discount_wad: int
    penalty_wad: int
    reward_floor: int
    reward_cap: int
    reward_share_wad: int
    liquidation_flow: int
    unwind_step: int
    loan_rate_wad: int
    loan_share_wad: int
    realise_share_wad: int
    low_share_wad: int

    def words(self) -> tuple[int, ...]:
        """Return the struct as the ABI wants it."""
        return astuple(self)


def failing_pays(premium_cap_wad: int, penalty_wad: int) -> bool:
    """Return whether some account gains by being liquidated; see `VenueTerms`."""
    return premium_cap_wad > penalty_wad


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What every rebalance must keep to; units as in `IHedgeBook.Limits`."""

    inner_band_bps: int
    urgent_band_bps: int
    min_step_bps: int
    overshoot_bps: int
    margin_floor_bps: int
    margin_target_bps: int
    cost_bound_bps: int
    cost_budget_bps: int
    turnover_budget_bps: int
    urgent_reserve_bps: int
    slippage_bps: int
    urgent_slippage_bps: int
    cooldown_secs: int
    max_trade: int
    min_equity: int
    gap_share_bps: int
    gap_floor: int

    def words(self) -> tuple[int, ...]:
        """Return the struct as the ABI wants it."""
        return astuple(self)


def fallback(asset_decimals: int) -> tuple[int, int, int]:
    """Return grace, ramp and the most of a reward: 0.05 of an asset, gas at 125 gwei for ETH."""
    return FALLBACK_GRACE_SECS, FALLBACK_RAMP_SECS, 10**asset_decimals // 20


def queue_min_shares(asset_decimals: int) -> int:
    """Return the least request: 0.01 of an asset at the start."""
    return int(10 ** (asset_decimals + SHARE_DIGITS) // 100)


def venue_terms(asset_decimals: int, quote_decimals: int) -> VenueTerms:
    """Return the default market: deep enough for a vault of 1,000 ETH."""
    one_asset, one_quote = 10**asset_decimals, 10**quote_decimals
    return VenueTerms(
        skew_scale=100_000 * one_asset,  # a skew of 100 moves the mark by 10 bp
        max_side=3_000 * one_asset,  # the premium cap, if the other side leaves
        min_size=one_asset // 100,  # smaller ones would not be worth liquidating
        premium_cap_wad=3 * PER_CENT,  # the worst hourly basis in quant.md 2 is 2.6 %
        skew_share_wad=50 * PER_CENT,  # a price that doubles costs the pool half its equity
        taker_fee_wad=5 * BASIS_POINT,
        maker_fee_wad=2 * BASIS_POINT,
        fund_share_wad=20 * PER_CENT,
        interest_wad=BASIS_POINT,  # 0.01 % per 8 h, the market's convention
        interest_band_wad=5 * BASIS_POINT,  # 0.05 % per 8 h, the same
        funding_cap_wad=75 * BASIS_POINT,  # 0.75 % per 8 h
        initial_base_wad=10 * PER_CENT,
        initial_slope_wad=WAD,  # a position of 1 % of the scale needs 1 % more
        maintenance_share_wad=50 * PER_CENT,
        maintenance_buffer_wad=50 * BASIS_POINT,
        haircut_wad=10 * PER_CENT,
        discount_wad=5 * PER_CENT,
        penalty_wad=3 * PER_CENT,  # the premium cap: else failing pays who bought at a discount
        reward_floor=2 * one_quote,  # where gas costs nothing, still worth a look
        reward_cap=150 * one_quote,  # 300,000 gas at 200 gwei and 2,500 a coin
        reward_share_wad=50 * BASIS_POINT,
        liquidation_flow=500 * one_asset,  # in ten minutes, a sixth of a full side
        unwind_step=10 * one_asset,  # a basis point of premium a minute; the bound is 40
        loan_rate_wad=10 * PER_CENT,  # a year, over what lending against ETH costs elsewhere
        loan_share_wad=50 * PER_CENT,
        realise_share_wad=10 * PER_CENT,  # of pool equity in a day (N-01)
        low_share_wad=50 * PER_CENT,  # a quarter of what lets the skew grow
    )


def limits(asset_decimals: int) -> Limits:
    """
    Return the default limits of a vault with one venue.

    Notes
    -----
    The margin levels follow from quant.md 5. With asset margin m (share of
    NAV), haircut 10 % and maintenance 5.15 % of notional, a fully hedged short
    is liquidated by a rise x where 0.9 m (1 + x) - x = 0.0515 (1 + x), and the
    ratio is 0.9 m / 0.0515. A ratio of 6.7 (m = 0.383) survives x = 0.41 with
    nobody acting; 4.8 (m = 0.275) survives 0.24, over the fastest hour of ETH
    on record (0.236). Between the two the keeper tops up from what is idle.
    """
    one_asset = 10**asset_decimals
    return Limits(
        inner_band_bps=100,
        urgent_band_bps=500,
        min_step_bps=50,
        overshoot_bps=50,
        margin_floor_bps=48_000,
        margin_target_bps=67_000,
        cost_bound_bps=200,  # of turnover; the hourly basis has been at 133 for ETH (quant.md 2)
        cost_budget_bps=100,  # of NAV in a day, what a keeper gone bad can cost; a first hedge: 20
        turnover_budget_bps=60_000,  # six times NAV: a vault may double twice within the day
        urgent_reserve_bps=5_000,
        slippage_bps=75,
        urgent_slippage_bps=300,  # the premium cap
        cooldown_secs=600,
        max_trade=500 * one_asset,
        min_equity=one_asset // 10,
        gap_share_bps=2_000,
        gap_floor=100 * one_asset,  # what may enter at once while the vault is small
    )
