# SPDX-License-Identifier: MIT
# pragma version 0.4.3
"""
@title The limits of a book in three words, and which of them are nonsense
@notice Stateless.
@dev   bands:   inner 16 | urgent 16 | min step 16 | overshoot 16 | margin floor 24 |
                margin target 24 | cost bound 16 | cost budget 16 | turnover budget 24 |
                urgent reserve 16 | slippage 16 | urgent slippage 16 | cooldown 32
       sizes:   max trade 128 | min equity 128
       gap:     gap share 16 | gap floor 128, which is part of the book's word `target`
@custom:units As IHedgeBook.Limits.
"""

from interfaces import IHedgeBook
from modules import packed

BPS: constant(uint256) = 10_000
MAX_MARGIN_RATIO_BPS: constant(uint256) = 1_000_000  # 100 times maintenance
MAX_COST_BOUND_BPS: constant(uint256) = 500  # of turnover; more hides a theft in a fill
MAX_COST_BUDGET_BPS: constant(uint256) = 1_000  # of NAV in a day
MAX_TURNOVER_BUDGET_BPS: constant(uint256) = 1_000_000  # of NAV in a day
MAX_RESERVE_BPS: constant(uint256) = 9_000
MAX_SLIPPAGE_BPS: constant(uint256) = 1_000
MAX_COOLDOWN: constant(uint256) = 86_400  # seconds
MAX_SIZE: constant(uint256) = 2**112  # asset units; times a price stays under 2**212


@internal
@pure
def check(limits: IHedgeBook.Limits):
    """
    @dev Each field has its own reason. Bands nest, margin levels are ordered and lie above
         liquidation, urgent bounds are not tighter than ordinary ones.
    """
    assert limits.inner_band_bps > 0, "book: inner band is zero"
    assert limits.urgent_band_bps > limits.inner_band_bps, "book: urgent band under inner"
    assert limits.urgent_band_bps <= BPS, "book: urgent band over 100 %"
    assert limits.min_step_bps > 0, "book: min step is zero"
    assert limits.min_step_bps <= limits.urgent_band_bps, "book: min step over urgent band"
    assert limits.overshoot_bps <= limits.inner_band_bps, "book: overshoot over inner band"
    assert limits.margin_floor_bps > BPS, "book: margin floor at liquidation"
    assert limits.margin_target_bps > limits.margin_floor_bps, "book: margin target under floor"
    assert limits.margin_target_bps <= MAX_MARGIN_RATIO_BPS, "book: margin target too high"
    assert limits.cost_bound_bps > 0, "book: cost bound is zero"
    assert limits.cost_bound_bps <= MAX_COST_BOUND_BPS, "book: cost bound too high"
    assert limits.cost_budget_bps > 0, "book: cost budget is zero"
    assert limits.cost_budget_bps <= MAX_COST_BUDGET_BPS, "book: cost budget too high"
    assert limits.turnover_budget_bps > 0, "book: turnover budget is zero"
    assert limits.turnover_budget_bps <= MAX_TURNOVER_BUDGET_BPS, "book: turnover budget too high"
    assert limits.urgent_reserve_bps <= MAX_RESERVE_BPS, "book: urgent reserve too high"
    assert limits.slippage_bps > 0, "book: slippage is zero"
    assert limits.urgent_slippage_bps >= limits.slippage_bps, "book: urgent slippage tighter"
    assert limits.urgent_slippage_bps <= MAX_SLIPPAGE_BPS, "book: urgent slippage too high"
    assert limits.cooldown_secs <= MAX_COOLDOWN, "book: cooldown too long"
    assert limits.max_trade > 0, "book: max trade is zero"
    assert limits.max_trade <= MAX_SIZE, "book: max trade too large"
    assert limits.min_equity > 0, "book: min equity is zero"
    assert limits.min_equity <= MAX_SIZE, "book: min equity too large"
    assert limits.gap_share_bps <= BPS, "book: gap share over 100 %"
    assert limits.gap_floor > 0, "book: gap floor is zero"
    assert limits.gap_floor <= MAX_SIZE, "book: gap floor too large"


@internal
@pure
def bands_word(limits: IHedgeBook.Limits) -> uint256:
    return (
        packed.place(limits.inner_band_bps, 0, 16)
        | packed.place(limits.urgent_band_bps, 16, 16)
        | packed.place(limits.min_step_bps, 32, 16)
        | packed.place(limits.overshoot_bps, 48, 16)
        | packed.place(limits.margin_floor_bps, 64, 24)
        | packed.place(limits.margin_target_bps, 88, 24)
        | packed.place(limits.cost_bound_bps, 112, 16)
        | packed.place(limits.cost_budget_bps, 128, 16)
        | packed.place(limits.turnover_budget_bps, 144, 24)
        | packed.place(limits.urgent_reserve_bps, 168, 16)
        | packed.place(limits.slippage_bps, 184, 16)
        | packed.place(limits.urgent_slippage_bps, 200, 16)
        | packed.place(limits.cooldown_secs, 216, 32)
    )


@internal
@pure
def sizes_word(limits: IHedgeBook.Limits) -> uint256:
    return packed.place(limits.max_trade, 0, 128) | packed.place(limits.min_equity, 128, 128)


@internal
@pure
def inner_band_bps(bands: uint256) -> uint256:
    return packed.part(bands, 0, 16)


@internal
@pure
def urgent_band_bps(bands: uint256) -> uint256:
    return packed.part(bands, 16, 16)


@internal
@pure
def margin_floor_bps(bands: uint256) -> uint256:
    return packed.part(bands, 64, 24)


@internal
@pure
def margin_target_bps(bands: uint256) -> uint256:
    return packed.part(bands, 88, 24)


@internal
@pure
def unpacked(
    bands: uint256, sizes: uint256, gap_share_bps: uint256, gap_floor: uint256
) -> IHedgeBook.Limits:
    return IHedgeBook.Limits(
        inner_band_bps=packed.part(bands, 0, 16),
        urgent_band_bps=packed.part(bands, 16, 16),
        min_step_bps=packed.part(bands, 32, 16),
        overshoot_bps=packed.part(bands, 48, 16),
        margin_floor_bps=packed.part(bands, 64, 24),
        margin_target_bps=packed.part(bands, 88, 24),
        cost_bound_bps=packed.part(bands, 112, 16),
        cost_budget_bps=packed.part(bands, 128, 16),
        turnover_budget_bps=packed.part(bands, 144, 24),
        urgent_reserve_bps=packed.part(bands, 168, 16),
        slippage_bps=packed.part(bands, 184, 16),
        urgent_slippage_bps=packed.part(bands, 200, 16),
        cooldown_secs=packed.part(bands, 216, 32),
        max_trade=packed.part(sizes, 0, 128),
        min_equity=packed.part(sizes, 128, 128),
        gap_share_bps=gap_share_bps,
        gap_floor=gap_floor,
    )
