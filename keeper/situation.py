# SPDX-License-Identifier: MIT
"""
What every part of a decision looks at, and the tools they share: sizing, margin, limit prices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from keeper.curve import Scale, fill_price_wad, largest
from keeper.explain import Sheet
from keeper.margins import Levels, Need, assets_needed, touched
from keeper.outcome import (
    Impossible,
    Outcome,
    broken_rule,
    project,
    resource_rule,
    slippage_bound_bps,
    venue_equity,
)
from keeper.plan import Leg, Plan
from keeper.policy import Policy
from keeper.risk import Risk
from keeper.snapshot import Margin, Market, VaultSnapshot, VenueSnapshot
from keeper.units import (
    BPS,
    Assets,
    Quote,
    Wad,
    div_floor,
    mul_div_down,
    mul_div_up,
    positive_part,
    sign,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Situation:
    """What every part of the decision looks at."""

    decision_id: bytes
    at: int  # the block's time
    vault: VaultSnapshot
    policy: Policy
    risk: Risk
    scale: Scale
    levels: Levels
    sheet: Sheet
    refusing: int  # bit i: the chain refuses trades at venue i of the book

    def plan(
        self,
        *legs: Leg,
        spot_after: int = 0,
        spot_assets: int = 0,
        spot_limit_price_wad: int = 0,
    ) -> Plan:
        """Return a plan of this decision."""
        return Plan(
            nonce=self.vault.state.nonce,
            deadline=self.at + self.policy.deadline_secs,
            decision_id=self.decision_id,
            legs=legs,
            spot_after=spot_after,
            spot_assets=Assets(spot_assets),
            spot_limit_price_wad=Wad(spot_limit_price_wad),
        )

    def outcome(self, plan: Plan) -> Outcome:
        """Return what a plan would do; `Impossible` when it cannot."""
        return project(self.vault, plan, self.risk)

    def resource_fault(self, plan: Plan) -> str | None:
        """Return the first rule that a smaller plan would break less."""
        try:
            return resource_rule(self.outcome(plan), self.vault, self.policy)
        except Impossible as impossible:
            return str(impossible)

    def fault(self, plan: Plan) -> str | None:
        """Return the first rule that the plan would break."""
        try:
            return broken_rule(self.outcome(plan), self.vault, self.policy, self.at)
        except Impossible as impossible:
            return str(impossible)

    @property
    def venues(self) -> tuple[tuple[int, VenueSnapshot], ...]:
        """Return the venues to which something may be sent, with their places in the book."""
        shut = self.policy.shut_venues
        return tuple(
            (i, v) for i, v in enumerate(self.vault.venues) if v.answers and not shut >> i & 1
        )

    @property
    def trading(self) -> tuple[tuple[int, VenueSnapshot], ...]:
        """Return those of `venues` at which the chain lets us trade, as far as was seen."""
        return tuple((i, venue) for i, venue in self.venues if not self.refusing >> i & 1)

    @property
    def least_trade(self) -> int:
        """Return the smallest trade worth making, asset units."""
        return max(mul_div_up(positive_part(self.risk.equity), self.policy.min_trade_bps, BPS), 1)

    @property
    def spare_idle(self) -> Assets:
        """Return idle assets over the reserve; all of them in an emergency."""
        if self.risk.margin_urgent:
            return self.vault.idle_assets
        return Assets(positive_part(self.vault.idle_assets - self.idle_reserve))

    @property
    def idle_reserve(self) -> Assets:
        """Return idle assets to keep for exits."""
        equity = positive_part(self.risk.equity)
        return Assets(mul_div_up(equity, self.policy.idle_reserve_bps, BPS))


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A plan with its reason."""

    plan: Plan
    reason: str


Wish = Draft | str | None  # a plan, why there is none though one is wanted, or nothing wanted


def sized(
    situation: Situation, cap: int, plan_of: Callable[[int], Plan | str], reason: str
) -> Draft | str:
    """Return the plan of the largest size up to `cap` that breaks no rule."""

    def fault(size: int) -> str | None:
        plan = plan_of(size)
        return plan if isinstance(plan, str) else situation.resource_fault(plan)

    size = largest(lambda x: fault(x) is None, cap)
    least = max(min(situation.least_trade, cap), 1)
    rule = "all that is wanted" if size == cap else fault(max(size + 1, least)) or ""
    situation.sheet.search("size", rule, size, "assets")
    if size < least:
        return f"{reason}, but no trade worth making passes: {rule}"
    plan = plan_of(size)
    broken = plan if isinstance(plan, str) else situation.fault(plan)
    if broken is not None or isinstance(plan, str):
        return f"{reason}, but {broken}"
    explain_plan(situation, plan)
    return Draft(plan=plan, reason=reason)


def explain_plan(situation: Situation, plan: Plan) -> None:
    """Write down what the plan moves and what is expected of it."""
    sheet, outcome = situation.sheet, situation.outcome(plan)
    for i, leg in enumerate(plan.legs):
        sheet.read(f"leg_size_{i}", "plan", leg.size, "assets, bought positive")
        sheet.read(f"leg_margin_assets_{i}", "plan", leg.margin_assets, "assets, in positive")
        sheet.read(f"leg_margin_quote_{i}", "plan", leg.margin_quote, "quote, in positive")
        sheet.read(f"leg_limit_price_wad_{i}", "plan", leg.limit_price_wad, "WAD")
    sheet.read("spot_assets", "plan", plan.spot_assets, "assets, bought positive")
    after = outcome.after
    sheet.read("nav_after", "outcome", after.nav, "quote")
    sheet.derive("cost", "nav - nav_after", outcome.cost, "quote")
    sheet.read("equity_after", "outcome", after.equity, "assets")
    sheet.read("gap_after", "outcome", after.gap, "assets")
    if after.drift_bps is not None:
        formula = "div_ceil(abs(gap_after) * 10000, equity_after)"
        sheet.derive("drift_after_bps", formula, after.drift_bps, "bps")


def margin_in(
    situation: Situation, market: Market, margin: Margin, venue: VenueSnapshot, *, must: bool
) -> Assets | str:
    """
    Return asset margin to add to an account as it will be, or why there is not enough.

    Parameters
    ----------
    must : bool
        Whether the plan fails without the level that the chain asks of a touched venue.
    """
    limits, policy, scale = situation.vault.limits, situation.policy, situation.scale
    least = assets_needed(
        market, margin, scale, touched(Need(distance_bps=0, ratio_bps=0), limits, policy)
    )
    low = assets_needed(market, margin, scale, situation.levels.low)
    if margin.assets >= max(low, least if must else 0):
        return Assets(0)
    target = assets_needed(market, margin, scale, situation.levels.target)
    space = room(situation, margin, venue)
    added = min(target - margin.assets, situation.spare_idle, space)
    if must and margin.assets + added < least:
        return "idle assets are short of the margin" if added < space else "the allotment is full"
    return Assets(positive_part(added))


def margin_out(
    situation: Situation, market: Market, margin: Margin, venue: VenueSnapshot
) -> tuple[Assets, Quote]:
    """
    Return assets and quote to take out of an account that would hold more than its allotment.

    Assets first, since exits are paid in them, as far as the venue releases them and the chain's
    target margin stays; then quote that the position has realised. Nothing while it fits.
    """
    excess = venue_equity(margin, situation.scale) - _allowed(situation, venue)
    if excess <= 0:
        return Assets(0), Quote(0)
    scale, nothing = situation.scale, Need(distance_bps=0, ratio_bps=0)
    least = touched(nothing, situation.vault.limits, situation.policy)
    need = max(
        assets_needed(market, secured(margin), scale, nothing),
        assets_needed(market, margin, scale, least),
    )
    spare = positive_part(margin.assets - need)
    assets = min(scale.assets_up(excess), spare)
    left = replace(margin, assets=Assets(margin.assets - assets))
    rest = positive_part(excess - scale.value_down(assets))
    return Assets(assets), Quote(min(rest, quote_released(situation, market, left)))


def quote_released(situation: Situation, market: Market, margin: Margin) -> Quote:
    """Return quote that an account would pay out and still be at its target margin."""
    backed = secured(margin)
    if backed.quote <= 0:
        return Quote(0)
    without = replace(backed, quote=Quote(0))
    need = assets_needed(market, without, situation.scale, situation.levels.target)
    lacking = positive_part(need - margin.assets)
    return Quote(positive_part(backed.quote - situation.scale.value_up(lacking)))


def _allowed(situation: Situation, venue: VenueSnapshot) -> int:
    """Return what may be at a venue, less a thousandth for costs and rounding."""
    bound = div_floor(situation.risk.nav * venue.allotment_bps, BPS)
    return mul_div_down(positive_part(bound), 9_990, BPS)


def quote_in(situation: Situation, margin: Margin, venue: VenueSnapshot, available: int) -> Quote:
    """
    Return idle quote to put against an account's debt and unrealised loss.

    Quote counts in full as margin, assets count after the haircut, so quote frees more assets.
    """
    owed = positive_part(-margin.quote - margin.profit)
    fits = situation.scale.value_down(room(situation, margin, venue))
    return Quote(max(0, min(owed, available, fits)))


def room(situation: Situation, margin: Margin, venue: VenueSnapshot) -> int:
    """Return assets that still fit the venue's allotment."""
    free = _allowed(situation, venue) - venue_equity(margin, situation.scale)
    return situation.scale.assets_down(positive_part(free))


def limit_price_wad(situation: Situation, market: Market, size: int) -> Wad:
    """Return the worst fill to accept: expected and tolerance, inside the slippage bound."""
    price, policy = situation.scale.price_wad, situation.policy
    bound = slippage_bound_bps(situation.vault, policy, urgent=situation.risk.urgent)
    expected = fill_price_wad(market, size, price)
    return worst_price_wad(expected, price, bound, policy.limit_tolerance_bps, sign(size))


def worst_price_wad(expected: int, index: int, bound: int, tolerance: int, side: int) -> Wad:
    """Return `expected` made worse by `tolerance` bps, but no worse than `bound` off the index."""
    if side > 0:
        return Wad(
            min(
                mul_div_up(expected, BPS + tolerance, BPS),
                max(mul_div_down(index, BPS + bound, BPS), expected),
            )
        )
    return Wad(
        max(
            mul_div_down(expected, BPS - tolerance, BPS),
            min(mul_div_up(index, BPS - bound, BPS), expected),
        )
    )


def secured(margin: Margin) -> Margin:
    """Return the account as a withdrawal sees it: without unrealised profit."""
    profit = positive_part(margin.profit)
    return replace(
        margin, profit=Quote(margin.profit - profit), equity=Quote(margin.equity - profit)
    )


def with_quote(margin: Margin, quote: int) -> Margin:
    """Return the account with quote put in."""
    return replace(margin, quote=Quote(margin.quote + quote), equity=Quote(margin.equity + quote))
