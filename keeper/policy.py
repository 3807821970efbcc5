# SPDX-License-Identifier: MIT
"""
What the operator wants within what the contracts allow. Integers only, read once at start.

Every bound here may only tighten the one on chain; `decide` takes the stricter of the two.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, fields
from typing import Final

from keeper.outlook import Outlook
from keeper.units import BPS, DAY_SECS

# The largest value of each field. A price may move against a short by more than itself.
MOST: Final = {
    "trigger_bps": BPS,
    "min_trade_bps": BPS,
    "max_trade_bps": BPS,
    "slippage_bps": BPS,
    "cost_bound_bps": BPS,
    "limit_tolerance_bps": BPS - 1,  # a sale has a price over zero
    "budget_use_bps": BPS,
    "distance_low_bps": 10 * BPS,
    "distance_high_bps": 10 * BPS,
    "margin_buffer_bps": 10 * BPS,
    "idle_reserve_bps": BPS,
    "settle_trigger_bps": BPS,
    "deadline_secs": DAY_SECS,
    "max_price_age_secs": 7 * DAY_SECS,
    "max_premium_gap_bps": BPS,
    "funding_horizon_secs": 30 * DAY_SECS,
    "shut_venues": 15,  # four venues, a bit each
    "ratio_strategy": 4,  # `keeper.ratio.Strategy`
    "static_ratio_bps": 2 * BPS,
    "aversion_bps": 100 * BPS,
    "volatility_bps": 10 * BPS,
    "target_volatility_bps": 10 * BPS,
    "most_unhedged_bps": BPS,
    "least_ratio_change_bps": BPS,
    "headroom_secs": 30 * DAY_SECS,
    "headroom_deviations_bps": 50 * BPS,
}
NEEDED: Final = (
    "max_trade_bps",
    "deadline_secs",
    "max_price_age_secs",
    "aversion_bps",
    "headroom_secs",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """
    The rules of one decision.

    Parameters
    ----------
    trigger_bps : int
        Drift at which hedging starts. The chain's inner band counts if it is wider, its urgent
        band if it is narrower.
    target_bps : int
        Drift, on the side it came from, at which hedging ends. Under `trigger_bps`.
    min_trade_bps : int
        Smallest trade worth its gas, share of equity.
    max_trade_bps : int
        Largest trade of one plan, share of equity; a larger gap is closed in steps.
    slippage_bps, cost_bound_bps : int
        Own bounds on a fill against the index and on cost over turnover.
    limit_tolerance_bps : int
        How much worse than expected a fill may be before the plan's limit price refuses it.
    budget_use_bps : int
        Share of what is left in the chain's cost and turnover buckets that a plan may use.
    distance_low_bps, distance_target_bps, distance_high_bps : int
        Move of the price, against the position, to liquidation: under `low` margin is topped up
        to `target`, over `high` it is taken back to `target`.
    margin_buffer_bps : int
        Margin over the chain's own target ratio, share of it.
    idle_reserve_bps : int
        Share of equity kept idle for exits unless margin is under the chain's floor.
    settle_trigger_bps, settle_target_bps : int
        Quote profit or debt, share of NAV, at which it is turned into or paid from assets, and
        what is left of it.
    deadline_secs : int
        Life of a plan in chain time.
    max_price_age_secs : int
        Oldest answer behind the price to trade on. The oracle bounds each feed by its own
        heartbeat; the oldest is usually the quote feed, which reports once a day.
    max_premium_gap_bps : int
        Largest difference of the venue's premium from its mean to trade on, unless urgent.
    funding_horizon_secs : int
        Time over which a venue's funding rate of now is counted when an order is split over
        venues. Rates revert: of a hedge held for a week, a difference of now is worth 85 to 99
        hours (ADA, ETH, BTC 2020-2025, the slope of the next 21 settlements on the last).
    shut_venues : int
        Bit i, from the lowest: nothing is sent to venue i of the book. For one that is frozen in a
        way that its market does not show; a full or empty one is left out without this.
    ratio_strategy : int
        Which hedge ratio is advised to the owner: 0 none, 1 static, 2 minimum variance, 3 carry,
        4 volatility (`keeper.ratio`, with what each is and when it loses).
    static_ratio_bps, aversion_bps, target_volatility_bps, most_unhedged_bps : int
        Ratio of 1; relative risk aversion of 3; volatility a year to be left by 4, and the
        largest share left.
    least_ratio_change_bps : int
        A smaller change of the ratio is not advised.
    volatility_bps : int
        A year, taken for the forecast until a month of prices has been seen; 0: wait for that.
    headroom_secs, headroom_deviations_bps : int
        Margin by forecast: topped up where a move of that many deviations (a quantile of the
        largest move, `scripts.advise` fits it) within that time would reach liquidation. Raises
        the three distances together; 0 deviations: off.
    """

    trigger_bps: int = 150
    target_bps: int = 0
    min_trade_bps: int = 5
    max_trade_bps: int = BPS
    slippage_bps: int = 100
    cost_bound_bps: int = 100
    limit_tolerance_bps: int = 20
    budget_use_bps: int = 9_000
    distance_low_bps: int = 2_500
    distance_target_bps: int = 4_000
    distance_high_bps: int = 8_000
    margin_buffer_bps: int = 1_000
    idle_reserve_bps: int = 200
    settle_trigger_bps: int = 1_500
    settle_target_bps: int = 0
    deadline_secs: int = 600
    max_price_age_secs: int = 90_000
    max_premium_gap_bps: int = 200
    funding_horizon_secs: int = 4 * DAY_SECS
    shut_venues: int = 0
    ratio_strategy: int = 0
    static_ratio_bps: int = BPS
    aversion_bps: int = 4 * BPS
    target_volatility_bps: int = 1_000
    most_unhedged_bps: int = 2_000
    least_ratio_change_bps: int = 50
    volatility_bps: int = 0
    headroom_secs: int = 8 * 3_600
    headroom_deviations_bps: int = 0

    def encode(self) -> bytes:
        """Return the canonical text that is hashed and recorded."""
        return json.dumps(asdict(self), sort_keys=True, separators=(",", ":")).encode()


def decode_policy(text: bytes) -> Policy:
    """Return the policy that `encode` wrote."""
    return Policy(**json.loads(text))


def policy_fault(policy: Policy) -> str | None:
    """Return what makes a policy unusable, naming the field, or None."""
    for each in fields(policy):
        if getattr(policy, each.name) < 0:
            return f"{each.name}: must not be negative"
    ordered = (
        ("target_bps", "trigger_bps"),
        ("distance_low_bps", "distance_target_bps"),
        ("distance_target_bps", "distance_high_bps"),
        ("settle_target_bps", "settle_trigger_bps"),
    )
    for lower, upper in ordered:
        if getattr(policy, lower) >= getattr(policy, upper):
            return f"{lower}: must be under {upper}"
    for name, bound in MOST.items():
        if getattr(policy, name) > bound:
            return f"{name}: must be at most {bound}"
    for name in (
        "max_trade_bps",
        "deadline_secs",
        "max_price_age_secs",
        "aversion_bps",
        "headroom_secs",
    ):
        if getattr(policy, name) == 0:
            return f"{name}: must be positive"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """What a decision must know of the ones before it; recorded with each tick."""

    hedging: bool = False  # between the trigger and the target: keep going
    outlook: Outlook = field(default_factory=Outlook)  # what the market was seen to do
    refusing: int = 0  # bit i: the chain refuses trades at venue i of the book

    def encode(self) -> bytes:
        """Return the canonical text that is hashed and recorded."""
        table = asdict(self)
        if not self.refusing:  # as before there was such a thing: old decisions keep their ids
            del table["refusing"]
        return json.dumps(table, sort_keys=True, separators=(",", ":")).encode()


def decode_memory(text: bytes) -> Memory:
    """Return the memory that `encode` wrote."""
    table = json.loads(text)
    seen = table.pop("outlook", {})
    if "variances_wad" in seen:
        seen["variances_wad"] = tuple(seen["variances_wad"])
    return Memory(**table, outlook=Outlook(**seen))
