# SPDX-License-Identifier: MIT
"""
Where a hedge order goes: the legs of its plan.

With one venue, there. With several, each takes at most what it would pass alone, so one that is
full, capped, short of margin or without an allotment is left out and the others take over; what
fits is split by marginal cost (`routing`). Positions that the order reduces come first: nothing is
opened at one venue while the opposite stands at another. A leg not worth a trade of its own goes
to the others. A venue whose premium is away from its mean waits, unless it is urgent; one at which
the chain refuses trades is left out for a while (`refusals`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from keeper.curve import after_trade, largest
from keeper.plan import Leg, Plan
from keeper.routing import Lane, split
from keeper.situation import (
    Draft,
    Situation,
    limit_price_wad,
    margin_in,
    margin_out,
    sized,
)
from keeper.snapshot import VenueSnapshot
from keeper.units import BPS, WAD, Assets, Quote, div_ceil, positive_part, sign

Places = Sequence[tuple[int, VenueSnapshot]]  # with their places in the book


def placed(situation: Situation, direction: int, cap: int, reason: str) -> Draft | str:
    """
    Return the plan of the largest order up to `cap` that breaks no rule.

    Parameters
    ----------
    direction : int
        1 buys, -1 sells.
    cap : int
        Raw asset units, positive.
    """
    waits = {i: _premium_away(situation, v, direction) for i, v in situation.trading}
    ready = [(i, venue) for i, venue in situation.trading if waits[i] is None]
    if not ready:
        return str(next(iter(waits.values())))
    if len(situation.trading) == 1:
        venue = ready[0][1]
        return sized(situation, cap, lambda x: _order(situation, (venue, direction * x)), reason)
    most = [_most(situation, place, direction, cap) for place in ready]
    if not any(most):
        why = _alone(situation, ready[0][1], direction)
        return f"{reason}, but no venue takes a part of it: {why}"
    venues = [venue for _, venue in ready]

    def plan_of(size: int) -> Plan | str:
        sizes = divided(situation, venues, most, direction * size)
        return _order(situation, *zip(venues, sizes, strict=True))

    return sized(situation, min(cap, sum(most)), plan_of, reason)


def divided(
    situation: Situation, venues: Sequence[VenueSnapshot], most: Sequence[int], size: int
) -> tuple[int, ...]:
    """
    Return the part of an order for each venue, reductions first, none too small for a trade.

    Parameters
    ----------
    most : sequence of int
        What each venue takes, unsigned; at least `size` in sum.
    """
    side = sign(size)
    closing = [
        min(each, abs(venue.margin.delta)) if sign(venue.margin.delta) == -side else 0
        for venue, each in zip(venues, most, strict=True)
    ]
    horizon = situation.policy.funding_horizon_secs
    first = split(_lanes(venues, [0] * len(most), closing), size, horizon)
    rest = split(_lanes(venues, first, most), size - sum(first), horizon)
    sizes = tuple(a + b for a, b in zip(first, rest, strict=True))
    small = [i for i, part in enumerate(sizes) if 0 < abs(part) < situation.least_trade]
    if small and abs(sizes[small[0]]) < abs(size):
        without = [0 if i == small[0] else each for i, each in enumerate(most)]
        if sum(without) >= abs(size):
            return divided(situation, venues, without, size)
    return sizes


def _lanes(
    venues: Sequence[VenueSnapshot], placed_before: Sequence[int], most: Sequence[int]
) -> list[Lane]:
    return [
        Lane(
            market=replace(venue.market, skew=Assets(venue.market.skew + before)),
            most=each - abs(before),
        )
        for venue, before, each in zip(venues, placed_before, most, strict=True)
    ]


def _most(situation: Situation, place: tuple[int, VenueSnapshot], direction: int, cap: int) -> int:
    """Return the largest order up to `cap` that a venue would pass alone."""
    i, venue = place
    upper = min(cap, situation.vault.limits.max_trade)
    if situation.vault.state.unwinds:
        upper = min(upper, positive_part(-direction * venue.margin.delta))

    def fault(size: int) -> str | None:
        return _alone(situation, venue, direction * size) if size else None

    most = largest(lambda x: fault(x) is None, upper)
    rule = "all that a trade may be" if most == upper else str(fault(most + 1))
    return situation.sheet.search(f"most_{i}", rule, most, "assets")


def _alone(situation: Situation, venue: VenueSnapshot, size: int) -> str | None:
    """Return what keeps one venue from taking `size`."""
    plan = _order(situation, (venue, size))
    return plan if isinstance(plan, str) else situation.resource_fault(plan)


def _premium_away(situation: Situation, venue: VenueSnapshot, direction: int) -> str | None:
    market = venue.market
    away = direction * (market.premium_wad - market.mean_premium_wad)
    away_bps = div_ceil(away * BPS, WAD)
    if away_bps > situation.policy.max_premium_gap_bps and not situation.risk.urgent:
        return f"the premium is {away_bps} bps worse than its mean"
    return None


def _order(situation: Situation, *parts: tuple[VenueSnapshot, int]) -> Plan | str:
    """Return the plan that trades these sizes, each with the margin that it needs."""
    legs, vault = [], situation.vault
    for venue, size in parts:
        if size or len(parts) == 1:
            leg = _leg(replace(situation, vault=vault), venue, size)
            if isinstance(leg, str):
                return leg
            legs.append(leg)
            left = vault.idle_assets - max(leg.margin_assets, 0)
            vault = replace(vault, idle_assets=Assets(left))
    return situation.plan(*legs)


def _leg(situation: Situation, venue: VenueSnapshot, size: int) -> Leg | str:
    market, margin = after_trade(venue.market, venue.margin, size, situation.scale)
    raises = abs(margin.delta) > abs(venue.margin.delta)
    assets = margin_in(situation, market, margin, venue, must=raises)
    if isinstance(assets, str):
        return assets
    out_assets, out_quote = margin_out(situation, market, margin, venue)
    return Leg(
        venue=venue.venue,
        size=Assets(size),
        margin_assets=Assets(assets - out_assets),
        margin_quote=Quote(-out_quote),
        limit_price_wad=limit_price_wad(situation, venue.market, size),
    )
