# SPDX-License-Identifier: MIT
"""
What a plan would do to a vault, and whether the contracts would let it.

`project` plays a plan on the snapshot as the book does: legs in order, each margin in, trade,
margin out, the spot trade after `spot_after` legs. `broken_rule` holds the result against the
limits on chain and the operator's stricter ones. Strategy sizes its plans with both; the guard
asks them again about the finished plan. Price and time stand still, so a plan that passes by a
hair may still be refused on chain; the simulation before signing finds out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from keeper.curve import (
    Scale,
    after_trade,
    closing_loss_up,
    fee_up,
    fill_cost_up,
    scale_of,
    spot_buy_cost_up,
    spot_sell_proceeds_down,
)
from keeper.plan import MAX_LEGS, Leg, Plan, is_neutral
from keeper.policy import Policy
from keeper.risk import Risk, assess
from keeper.snapshot import Address, Margin, Market, VaultSnapshot, VenueSnapshot
from keeper.units import (
    BPS,
    WAD,
    Assets,
    Quote,
    div_floor,
    mul_div_down,
    positive_part,
    sign,
)

BP_WAD: Final = 10**14  # one basis point
NEUTRAL_TOLERANCE: Final = 10_000  # E / this
DUST: Final = 16  # quote units; a venue rounds each touch against the account


class Impossible(Exception):
    """The plan cannot be carried out on this snapshot; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fill:
    """One trade of a plan against the index, fee included."""

    size: Assets
    lost: Quote  # over the index


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The vault before and after a plan, with what it cost."""

    plan: Plan
    vault: VaultSnapshot  # after
    before: Risk
    after: Risk
    fills: tuple[Fill, ...]

    @property
    def cost(self) -> Quote:
        """Return NAV before less NAV after."""
        return Quote(self.before.nav - self.after.nav)

    @property
    def gross(self) -> Assets:
        """Return what is traded in all."""
        return Assets(sum(abs(fill.size) for fill in self.fills))

    @property
    def net(self) -> Assets:
        """Return by how much the trades move delta."""
        return Assets(abs(sum(fill.size for fill in self.fills)))


def project(vault: VaultSnapshot, plan: Plan, before: Risk) -> Outcome:
    """
    Return what `plan` does to `vault`.

    Raises
    ------
    Impossible
        If a balance is short, a venue would refuse, or the plan is malformed.
    """
    if len(plan.legs) > MAX_LEGS or plan.spot_after > len(plan.legs):
        raise Impossible("the plan is malformed")
    scale = scale_of(vault)
    fills = []
    for i, leg in enumerate((*plan.legs, None)):
        if i == plan.spot_after and plan.spot_assets != 0:
            quote = _spot_quote(vault, plan.spot_assets)
            fills.append(_fill(plan.spot_assets, -quote, scale))
            vault = _trade_spot(vault, plan.spot_assets, quote)
        if leg is not None:
            if leg.size:
                market = venue_at(vault, leg.venue).market
                paid = fill_cost_up(market, leg.size, scale) + fee_up(market, leg.size, scale)
                fills.append(_fill(leg.size, paid, scale))
            vault = _play_leg(vault, leg, scale)
    return Outcome(plan=plan, vault=vault, before=before, after=assess(vault), fills=tuple(fills))


def _fill(size: int, paid: int, scale: Scale) -> Fill:
    return Fill(size=Assets(size), lost=Quote(paid - scale.value_down(size)))


def venue_at(vault: VaultSnapshot, address: Address) -> VenueSnapshot:
    """Return the venue at an address; `Impossible` when the vault has none there."""
    for venue in vault.venues:
        if venue.venue == address:
            return venue
    raise Impossible(f"no venue {address}")


def venue_equity(margin: Margin, scale: Scale) -> Quote:
    """Return what an account is worth at the index with its assets at their full price."""
    return Quote(margin.quote + margin.profit + scale.value_down(margin.assets))


def broken_rule(outcome: Outcome, vault: VaultSnapshot, policy: Policy, at: int) -> str | None:
    """
    Return the first rule that the plan would break, or None.

    Parameters
    ----------
    vault : VaultSnapshot
        As it was before the plan.
    at : int
        Unix seconds, the snapshot's block.
    """
    return (
        _admission_rule(outcome, vault, at)
        or _drift_rule(outcome, vault)
        or resource_rule(outcome, vault, policy)
    )


def resource_rule(outcome: Outcome, vault: VaultSnapshot, policy: Policy) -> str | None:
    """Return the first rule broken of those that a smaller plan breaks less."""
    return (
        _margin_rule(outcome, vault)
        or _allotment_rule(outcome, vault)
        or _cost_rule(outcome, vault, policy)
        or _budget_rule(outcome, vault, policy)
        or _fill_rule(outcome, vault, policy)
    )


def slippage_bound_bps(vault: VaultSnapshot, policy: Policy, *, urgent: bool) -> int:
    """Return how much worse than the index a fill may be, fee included."""
    if urgent:
        return vault.limits.urgent_slippage_bps
    return min(policy.slippage_bps, vault.limits.slippage_bps)


def _trades(outcome: Outcome) -> bool:
    return bool(outcome.fills)


def _shrinks_only(outcome: Outcome, vault: VaultSnapshot) -> bool:
    """Return whether no margin comes out and sizes only reduce positions."""
    out = any(leg.margin_assets < 0 or leg.margin_quote < 0 for leg in outcome.plan.legs)
    return not out and _reduces(outcome, vault)


def _reduces(outcome: Outcome, vault: VaultSnapshot) -> bool:
    """Return whether each size takes a position towards zero, and no spot trades."""
    return not outcome.plan.spot_assets and _shrinks(outcome, vault)


def _shrinks(outcome: Outcome, vault: VaultSnapshot) -> bool:
    """Return whether each size takes a position towards zero."""
    for leg in outcome.plan.legs:
        delta = venue_at(vault, leg.venue).margin.delta
        if leg.size and (sign(leg.size) == sign(delta) or abs(leg.size) > abs(delta)):
            return False
    return True


def _at_margin(margin: Margin, ratio_bps: int) -> bool:
    return margin.maintenance == 0 or margin.equity * BPS >= margin.maintenance * ratio_bps


def _admission_rule(outcome: Outcome, vault: VaultSnapshot, at: int) -> str | None:
    state, limits, before = vault.state, vault.limits, outcome.before
    if at < state.paused_until and not _shrinks_only(outcome, vault):
        return f"rebalancing is paused for {state.paused_until - at} s"
    if state.unwinds and not _shrinks(outcome, vault):
        return "positions only shrink while the book unwinds"
    if not _trades(outcome):
        return None
    ready_at = state.rebalanced_at + limits.cooldown_secs
    if at < ready_at and not before.urgent:
        return f"cooldown for {ready_at - at} s"
    healthy = all(_at_margin(venue.margin, limits.margin_target_bps) for venue in vault.venues)
    calm = before.drift_bps is not None and before.drift_bps <= limits.inner_band_bps
    if calm and not is_neutral(outcome.plan) and (healthy or not _reduces(outcome, vault)):
        return "drift is inside the inner band"
    return None


def _drift_rule(outcome: Outcome, vault: VaultSnapshot) -> str | None:
    limits, before, after = vault.limits, outcome.before, outcome.after
    if not _trades(outcome):
        return None
    if before.equity <= limits.min_equity:
        return None if abs(after.delta) < abs(before.delta) else "delta would not shrink"
    if before.drift_wad is None or after.drift_wad is None or after.drift_bps is None:
        return "equity is not positive"
    if _rescues(outcome, vault) and after.drift_bps <= limits.urgent_band_bps:
        return None
    inside = after.drift_bps <= limits.inner_band_bps
    if is_neutral(outcome.plan):
        # Its cost lowers E and so raises the drift: the gap says whether it moved.
        most = abs(before.gap) + outcome.net + div_floor(before.equity, NEUTRAL_TOLERANCE)
        return None if inside or abs(after.gap) <= most else "drift would grow"
    if not inside and after.drift_wad + limits.min_step_bps * BP_WAD > before.drift_wad:
        return "drift would not fall by the least step"
    turned = sign(after.gap) * sign(before.gap) < 0
    if turned and after.drift_bps > limits.overshoot_bps:
        return "drift would change its sign"
    return None


def _rescues(outcome: Outcome, vault: VaultSnapshot) -> bool:
    return any(
        not _at_margin(venue_at(vault, leg.venue).margin, vault.limits.margin_floor_bps)
        for leg in outcome.plan.legs
    )


def _margin_rule(outcome: Outcome, vault: VaultSnapshot) -> str | None:
    for address in {leg.venue for leg in outcome.plan.legs}:
        was, now = venue_at(vault, address).margin, venue_at(outcome.vault, address).margin
        if _at_margin(now, vault.limits.margin_target_bps):
            continue
        # strictly better, by cross multiplication
        if was.maintenance and now.equity * was.maintenance > was.equity * now.maintenance:
            continue
        return "margin would be under the target"
    return None


def _allotment_rule(outcome: Outcome, vault: VaultSnapshot) -> str | None:
    scale = scale_of(vault)
    for address in {leg.venue for leg in outcome.plan.legs}:
        venue = venue_at(vault, address)
        was = venue_equity(venue.margin, scale)
        now = venue_equity(venue_at(outcome.vault, address).margin, scale)
        if now * BPS > outcome.after.nav * venue.allotment_bps and now >= was:
            return "the venue would hold more than its allotment"
    return None


def _cost_rule(outcome: Outcome, vault: VaultSnapshot, policy: Policy) -> str | None:
    bound_bps: int = vault.limits.cost_bound_bps
    if not outcome.before.urgent:
        bound_bps = min(bound_bps, policy.cost_bound_bps)
    bounded = outcome.gross if is_neutral(outcome.plan) else outcome.net
    allowed = mul_div_down(scale_of(vault).value_down(bounded), bound_bps, BPS)
    return "cost would be over the bound" if outcome.cost > allowed + DUST else None


def _budget_rule(outcome: Outcome, vault: VaultSnapshot, policy: Policy) -> str | None:
    if not _trades(outcome):
        return None
    state, limits, scale = vault.state, vault.limits, scale_of(vault)
    neutral = is_neutral(outcome.plan)
    budgets = (
        ("cost", positive_part(outcome.cost), limits.cost_budget_bps, state.cost_used),
        (
            "turnover",
            scale.value_up(outcome.gross),
            limits.turnover_budget_bps,
            state.neutral_turnover_used if neutral else state.turnover_used,
        ),
    )
    for name, wanted, budget_bps, used in budgets:
        left = budget_left(outcome.before, vault, budget_bps, used)
        if wanted * BPS > left * policy.budget_use_bps:
            return f"the {name} budget is used up"
    return None


def budget_left(before: Risk, vault: VaultSnapshot, budget_bps: int, used: int) -> int:
    """Return what a leaky bucket still takes: half a day's budget less use and reserve, quote."""
    limits = vault.limits
    nav = max(before.nav, scale_of(vault).value_up(limits.min_equity))
    capacity = mul_div_down(positive_part(nav), budget_bps, 2 * BPS)
    if not before.urgent:
        capacity = mul_div_down(capacity, BPS - limits.urgent_reserve_bps, BPS)
    return positive_part(capacity - used)


def _fill_rule(outcome: Outcome, vault: VaultSnapshot, policy: Policy) -> str | None:
    bound_bps = slippage_bound_bps(vault, policy, urgent=outcome.before.urgent)
    for fill in outcome.fills:
        worth = scale_of(vault).value_up(abs(fill.size))
        if fill.lost > mul_div_down(worth, bound_bps, BPS):
            return "a fill would be too far from the index"
        if abs(fill.size) > vault.limits.max_trade:
            return "a trade would be over the cap"
    return None


def _play_leg(vault: VaultSnapshot, leg: Leg, scale: Scale) -> VaultSnapshot:
    vault = _move_margin(
        vault, leg.venue, positive_part(leg.margin_assets), positive_part(leg.margin_quote), scale
    )
    if leg.size:
        vault = _trade(vault, leg, scale)
    taken = min(leg.margin_assets, 0), min(leg.margin_quote, 0)
    if taken != (0, 0):
        vault = _move_margin(vault, leg.venue, *taken, scale)
        account = venue_at(vault, leg.venue)
        if leg.margin_quote < 0 and account.margin.quote < 0:
            raise Impossible("the venue lends no quote")
        _check_withdrawal(account, scale)
    return vault


def _move_margin(
    vault: VaultSnapshot, address: Address, assets: int, quote: int, scale: Scale
) -> VaultSnapshot:
    venue = venue_at(vault, address)
    margin = venue.margin
    held = margin.assets + assets
    idle_assets, idle_quote = vault.idle_assets - assets, vault.state.idle_quote - quote
    if idle_assets < 0 or idle_quote < 0:
        raise Impossible("idle balances are short")
    if held < 0:
        raise Impossible("the venue holds less")
    account = replace(
        margin,
        assets=Assets(held),
        quote=Quote(margin.quote + quote),
        equity=Quote(margin.equity + quote + _collateral_change(venue, assets, scale)),
    )
    return replace(
        vault,
        idle_assets=Assets(idle_assets),
        state=replace(vault.state, idle_quote=Quote(idle_quote)),
        venues=_with(vault, _changed(venue, scale, margin=account)),
    )


def _collateral_change(venue: VenueSnapshot, assets: int, scale: Scale) -> int:
    """Return what `assets` more add to equity; all that is there takes away all that it counts."""
    kept = scale.price_wad * (WAD - venue.market.haircut_wad)
    held, unit = venue.margin.assets, scale.divisor * WAD
    return div_floor((held + assets) * kept, unit) - div_floor(held * kept, unit)


def _trade(vault: VaultSnapshot, leg: Leg, scale: Scale) -> VaultSnapshot:
    venue = venue_at(vault, leg.venue)
    market, margin = after_trade(venue.market, venue.margin, leg.size, scale)
    if abs(margin.delta) > abs(venue.margin.delta) or margin.delta * venue.margin.delta < 0:
        _check_opening(market, margin, scale)
    elif margin.equity < margin.maintenance:
        raise Impossible("the rest of the position would be under maintenance")
    elif margin.equity * abs(venue.margin.delta) < venue.margin.equity * abs(margin.delta):
        raise Impossible("the rest of the position would have less equity")
    changed = _changed(venue, scale, market=market, margin=margin)
    return replace(vault, venues=_with(vault, changed))


def _check_opening(market: Market, margin: Margin, scale: Scale) -> None:
    if max(market.short_size, market.long_size) > market.max_side:
        raise Impossible("the venue's open interest is at its cap")
    if margin.equity - closing_loss_up(market, margin.delta, scale) < margin.initial:
        raise Impossible("initial margin is short")


def _check_withdrawal(venue: VenueSnapshot, scale: Scale) -> None:
    """Refuse what the venue refuses: margin that only unrealised profit would back."""
    margin = venue.margin
    at_worse = margin.profit - closing_loss_up(venue.market, margin.delta, scale)
    if margin.equity - margin.profit + min(at_worse, 0) < margin.initial:
        raise Impossible("the withdrawal would leave too little margin")


def _trade_spot(vault: VaultSnapshot, assets: int, quote: int) -> VaultSnapshot:
    idle_assets, idle_quote = vault.idle_assets + assets, vault.state.idle_quote + quote
    if idle_assets < 0 or idle_quote < 0:
        raise Impossible("idle balances are short")
    return replace(
        vault,
        idle_assets=Assets(idle_assets),
        state=replace(vault.state, idle_quote=Quote(idle_quote)),
        spot_assets=Assets(vault.spot_assets - assets),
        spot_quote=Quote(vault.spot_quote - quote),
    )


def _spot_quote(vault: VaultSnapshot, assets: int) -> int:
    """Return quote received for `assets` bought (positive) or sold (negative)."""
    if vault.spot_quote == 0 or assets >= vault.spot_assets:
        raise Impossible("the spot pool is too small")
    if assets > 0:
        return -spot_buy_cost_up(vault, assets)
    return spot_sell_proceeds_down(vault, -assets)


def _changed(
    venue: VenueSnapshot, scale: Scale, *, margin: Margin, market: Market | None = None
) -> VenueSnapshot:
    """Return the venue with another account, which counts by what it is worth more or less."""
    value = venue.value + venue_equity(margin, scale) - venue_equity(venue.margin, scale)
    return replace(venue, margin=margin, market=market or venue.market, value=Quote(value))


def _with(vault: VaultSnapshot, changed: VenueSnapshot) -> tuple[VenueSnapshot, ...]:
    return tuple(changed if v.venue == changed.venue else v for v in vault.venues)
