# SPDX-License-Identifier: MIT
"""The terms of a venue and which of them are refused (`LiquidationRules.vy`)."""

from __future__ import annotations

from typing import NamedTuple

from keeper.simulation.reference.reverted import require
from keeper.units import WAD

MAX_FEE_WAD = 10**17  # beyond it a fee is a typing error
MAX_SKEW_SCALE = 2**96


class Terms(NamedTuple):
    """`ILiquidationRules.Terms`, in its order. Sizes in asset units, rates WAD, rewards quote."""

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

    @property
    def maintenance_floor_wad(self) -> int:
        """Return penalty + reward share + buffer: MM is never under this share of N."""
        return self.penalty_wad + self.reward_share_wad + self.maintenance_buffer_wad


def check_terms(terms: Terms) -> None:
    """
    Refuse terms under which some account could be liquidated as soon as it opens.

    Raises
    ------
    Reverted
        With the reason of the first check that fails, in the contract's order.
    """
    _check_market(terms)
    require(terms.initial_base_wad <= WAD, "venue: initial margin")
    require(terms.initial_slope_wad <= 10 * WAD, "venue: initial slope")
    require(max(terms.penalty_wad, terms.reward_share_wad) <= WAD, "venue: penalty or reward")
    require(terms.maintenance_buffer_wad <= WAD, "venue: maintenance buffer")
    require(terms.maintenance_share_wad < WAD, "venue: maintenance over initial")
    require(terms.maintenance_floor_wad < terms.initial_base_wad, "venue: maintenance over initial")
    require(terms.haircut_wad < WAD, "venue: haircut")
    require(terms.discount_wad <= terms.haircut_wad, "venue: discount over haircut")
    _check_rare_days(terms)


def _check_market(terms: Terms) -> None:
    require(0 < terms.skew_scale <= MAX_SKEW_SCALE, "venue: skew scale")
    require(0 < terms.max_side < terms.skew_scale, "venue: side cap")
    require(0 < terms.min_size <= terms.max_side, "venue: minimum size")
    require(0 < terms.premium_cap_wad <= WAD, "venue: premium cap")
    widest = terms.premium_cap_wad * terms.skew_scale
    require(terms.max_side * WAD <= widest, "venue: side cap")
    require(0 < terms.skew_share_wad <= 10 * WAD, "venue: skew share")
    require(terms.taker_fee_wad <= MAX_FEE_WAD, "venue: taker fee")
    require(terms.maker_fee_wad <= terms.taker_fee_wad, "venue: maker fee")
    require(terms.fund_share_wad <= WAD, "venue: fund share")
    require(terms.funding_cap_wad <= WAD, "venue: funding cap")
    require(terms.interest_wad <= terms.funding_cap_wad, "venue: interest")
    require(terms.interest_band_wad <= terms.funding_cap_wad, "venue: interest band")


def _check_rare_days(terms: Terms) -> None:
    require(terms.reward_floor <= terms.reward_cap, "venue: reward floor over cap")
    require(terms.reward_cap <= MAX_SKEW_SCALE, "venue: penalty or reward")
    require(0 < terms.liquidation_flow <= MAX_SKEW_SCALE, "venue: flow")
    sandwiched = terms.unwind_step * WAD > 2 * terms.maker_fee_wad * terms.skew_scale
    require(not sandwiched, "venue: unwind step")
    require(terms.loan_rate_wad <= WAD, "venue: loan rate")
    require(terms.loan_share_wad <= WAD - terms.haircut_wad, "venue: loan share")
    require(terms.realise_share_wad <= WAD, "venue: realise share")
    require(terms.low_share_wad * terms.skew_share_wad < WAD * WAD, "venue: low share")
