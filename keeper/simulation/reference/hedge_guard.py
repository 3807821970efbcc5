# SPDX-License-Identifier: MIT
"""
The rules of a rebalance (`HedgeGuard.vy`), refusals in the contract's order.

Position, classes of plans and rules are described there. Venues are the reference's own, which
do what they are told, so that a size not filled or a margin not moved cannot come up here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from keeper.plan import Leg, Plan
from keeper.simulation.reference.book_record import Sight
from keeper.simulation.reference.reverted import Reverted, require
from keeper.snapshot import Limits, Margin
from keeper.units import (
    BPS,
    DAY_SECS,
    UINT256_MAX,
    WAD,
    div_floor,
    mul_div_down,
    mul_div_up,
    positive_part,
    sign,
)

BP_WAD: Final = 10**14
NEUTRAL_SHARE: Final = 10_000  # net at most gross / this
NEUTRAL_TOLERANCE: Final = 10_000  # E / this
DUST: Final = 16  # quote units
MAX_USED: Final = 2**72  # a bucket's share of NAV, WAD


class Buckets(NamedTuple):
    """Leaky buckets as shares of NAV, WAD, and when they were last leaked."""

    cost: int = 0
    turnover: int = 0
    neutral: int = 0
    leaked_at: int = 0


class Position(NamedTuple):
    """Vault and book at one price (`IHedgeGuard.Position`)."""

    price_wad: int
    price_divisor: int
    margins: tuple[Margin, ...]
    values: tuple[int, ...]  # quote: each account at the index, asset margin in full
    nav: int
    equity: int
    delta: int
    gap: int
    drift_wad: int

    def value_down(self, assets: int) -> int:
        """Return quote worth of assets, down."""
        return div_floor(assets * self.price_wad, self.price_divisor)

    def value_up(self, assets: int) -> int:
        """Return quote worth of unsigned assets, up."""
        return mul_div_up(assets, self.price_wad, self.price_divisor)


class Carried(NamedTuple):
    """What a book knows beside the plan (`IHedgeGuard.Outcome`)."""

    venue_index: tuple[int, ...]  # of each leg
    costs: tuple[int, ...]  # quote paid by each leg's trade, fee included
    spot_quote: int  # received
    allotments_bps: tuple[int, ...]
    rebalanced_at: int
    paused_until: int
    buckets: Buckets
    lost: bool = False  # part of a hedge was gone
    unwinds: bool = False
    open_to_all: bool = False  # sent in the keeper's place
    reward: int = 0  # quote, part of the cost


@dataclass(slots=True)
class _Class:
    """What a plan is."""

    sizes: dict[int, int] = field(default_factory=dict)
    touched: set[int] = field(default_factory=set)
    net: int = 0
    gross: int = 0
    neutral: bool = False
    moves: bool = False
    adds_only: bool = True
    shrinks: bool = True
    spot: bool = False
    healthy: bool = True
    rescue: bool = False
    urgent: bool = False

    @property
    def trades(self) -> bool:
        return self.gross != 0

    @property
    def reduces(self) -> bool:
        return self.shrinks and not self.spot


def judge(
    plan: Plan, before: Position, after: Position, carried: Carried, limits: Limits, *, at: int
) -> tuple[bool, Buckets]:
    """
    Return whether the plan trades, and the buckets with it in them.

    Raises
    ------
    Reverted
        For a plan that is malformed or came too early, and for a result outside the limits.
    """
    kind = _classified(plan, before, carried, limits)
    if at < carried.paused_until:
        only = kind.adds_only and (not kind.trades or kind.reduces)
        require(only, "book: rebalancing is paused")
    for i in sorted(kind.touched):
        _check_venue(i, before, after, carried, limits)
    require(kind.shrinks or not carried.unwinds, "book: unwinding only shrinks")
    cost = before.nav - after.nav
    if not kind.trades:
        require(kind.rescue or not carried.open_to_all, "book: margin over its floor")
        require(cost <= DUST + carried.reward, "book: cost over its bound")
        if carried.reward == 0:
            return False, carried.buckets
        return False, _filled(kind, cost, before, carried.buckets, limits, at)
    _check_admission(kind, before, carried, limits, at)
    _check_fills(plan, before, carried, _slippage_bps(kind, limits))
    bounded = before.value_down(kind.gross if kind.neutral else abs(kind.net))
    allowed = mul_div_down(bounded, limits.cost_bound_bps, BPS)
    require(cost <= allowed + DUST, "book: cost over its bound")
    _check_drift(kind, before, after, limits)
    if kind.moves:
        most_open = _open_size(before.margins) + abs(kind.net)
        require(_open_size(after.margins) <= most_open, "book: positions grow in a move")
    return True, _filled(kind, cost, before, carried.buckets, limits, at)


def _classified(plan: Plan, before: Position, carried: Carried, limits: Limits) -> _Class:
    require(bool(plan.legs) or plan.spot_assets != 0, "book: plan is empty")
    kind = _Class(net=plan.spot_assets, spot=plan.spot_assets != 0)
    kind.gross = _within(plan.spot_assets, limits.max_trade)
    for i, leg in zip(carried.venue_index, plan.legs, strict=True):
        _add_leg(kind, i, leg, before.margins[i].delta, limits.max_trade)
    kind.neutral = kind.trades and abs(kind.net) * NEUTRAL_SHARE <= kind.gross
    signs = {sign(size) for size in kind.sizes.values()}
    kind.moves = len(signs) == 2
    require(kind.neutral or not kind.moves, "book: sizes differ in sign")
    kind.urgent = carried.lost or before.drift_wad > limits.urgent_band_bps * BP_WAD
    for i, margin in enumerate(before.margins):
        if not _at_margin(margin, limits.margin_target_bps):
            kind.healthy = False
        if not _at_margin(margin, limits.margin_floor_bps):
            kind.urgent = True
            kind.rescue = kind.rescue or i in kind.touched
    return kind


def _add_leg(kind: _Class, i: int, leg: Leg, delta: int, max_trade: int) -> None:
    require(leg.instrument == 0, "book: unknown instrument")
    kind.touched.add(i)
    if leg.margin_assets < 0 or leg.margin_quote < 0:
        kind.adds_only = False
    if leg.size == 0:
        require(leg.margin_assets != 0 or leg.margin_quote != 0, "book: leg is empty")
        return
    require(i not in kind.sizes, "book: venue traded twice")
    kind.sizes[i] = leg.size
    kind.net += leg.size
    kind.gross += _within(leg.size, max_trade)
    shrinks = (delta > 0) != (leg.size > 0) and abs(leg.size) <= abs(delta)
    kind.shrinks = kind.shrinks and shrinks


def _within(size: int, max_trade: int) -> int:
    require(abs(size) <= max_trade, "book: trade too large")
    return abs(size)


def _at_margin(margin: Margin, ratio_bps: int) -> bool:
    return margin.maintenance == 0 or margin.equity * BPS >= margin.maintenance * ratio_bps


def _check_venue(
    i: int, before: Position, after: Position, carried: Carried, limits: Limits
) -> None:
    """Rule 3: margin at the target or better than before, value within the allotment or lower."""
    was, now = before.margins[i], after.margins[i]
    if not _at_margin(now, limits.margin_target_bps):
        better = (
            was.maintenance != 0 and now.equity * was.maintenance > was.equity * now.maintenance
        )
        require(better, "book: margin under target")
    within = after.values[i] * BPS <= after.nav * carried.allotments_bps[i]
    require(within or after.values[i] < before.values[i], "book: over the allotment")


def _check_admission(
    kind: _Class, before: Position, carried: Carried, limits: Limits, at: int
) -> None:
    """Rule 6, and of rule 2 that nothing trades inside the band."""
    ready_at = carried.rebalanced_at + limits.cooldown_secs
    require(kind.urgent or at >= ready_at, "book: cooldown")
    if not kind.neutral and before.drift_wad <= limits.inner_band_bps * BP_WAD:
        require(kind.reduces and not kind.healthy, "book: drift inside the band")


def _slippage_bps(kind: _Class, limits: Limits) -> int:
    return limits.urgent_slippage_bps if kind.urgent else limits.slippage_bps


def _check_fills(plan: Plan, before: Position, carried: Carried, slippage_bps: int) -> None:
    """Rule 5: cost - size * S <= slippage * |size| * S."""
    fills = [(leg.size, cost) for leg, cost in zip(plan.legs, carried.costs, strict=True)]
    for size, cost in (*fills, (plan.spot_assets, -carried.spot_quote)):
        if size:
            at_index = before.value_down(size)
            allowed = mul_div_down(abs(at_index), slippage_bps, BPS)
            require(cost - at_index <= allowed, "book: slippage")


def _check_drift(kind: _Class, before: Position, after: Position, limits: Limits) -> None:
    """Rule 2."""
    if before.equity <= limits.min_equity:
        require(abs(after.delta) < abs(before.delta), "book: delta not reduced")
        return
    require(after.equity > 0, "book: equity not positive")
    if kind.rescue and after.drift_wad <= limits.urgent_band_bps * BP_WAD:
        return
    inside = after.drift_wad <= limits.inner_band_bps * BP_WAD
    if kind.neutral:
        most = abs(before.gap) + abs(kind.net) + div_floor(before.equity, NEUTRAL_TOLERANCE)
        require(inside or abs(after.gap) <= most, "book: drift moved")
        return
    gained = after.drift_wad + limits.min_step_bps * BP_WAD <= before.drift_wad
    require(inside or gained, "book: drift not reduced")
    if before.gap * after.gap < 0:
        overshoot_wad = limits.overshoot_bps * BP_WAD
        require(after.drift_wad <= overshoot_wad, "book: drift overshoots")


def _open_size(margins: Sequence[Margin]) -> int:
    return sum(abs(margin.delta) for margin in margins)


# Buckets


def leaked(buckets: Buckets, limits: Limits, *, at: int) -> Buckets:
    """Return the buckets as of this second."""
    elapsed = at - buckets.leaked_at

    def left(used: int, budget_bps: int) -> int:
        leak = mul_div_down(capacity(budget_bps), elapsed, DAY_SECS)
        return used - min(used, leak)

    return Buckets(
        cost=left(buckets.cost, limits.cost_budget_bps),
        turnover=left(buckets.turnover, limits.turnover_budget_bps),
        neutral=left(buckets.neutral, limits.turnover_budget_bps),
        leaked_at=at,
    )


def used(
    buckets: Buckets, nav: int, price_wad: int, price_divisor: int, limits: Limits, *, at: int
) -> tuple[int, int, int]:
    """Return what is in the buckets now, quote, up: cost, turnover, neutral turnover."""
    now = leaked(buckets, limits, at=at)
    base = _budget_nav(nav, mul_div_up(limits.min_equity, price_wad, price_divisor))
    cost, turnover, neutral = (mul_div_up(share, base, WAD) for share in now[:3])
    return cost, turnover, neutral


def capacity(budget_bps: int) -> int:
    """Return half a day's budget as a share of NAV, WAD."""
    return mul_div_down(budget_bps, WAD, 2 * BPS)


def _budget_nav(nav: int, least: int) -> int:
    return max(positive_part(nav), least, 1)


def _filled(
    kind: _Class, cost: int, before: Position, buckets: Buckets, limits: Limits, at: int
) -> Buckets:
    """Rule 4, the budgets."""
    nav = _budget_nav(before.nav, before.value_up(limits.min_equity))
    share_bps = BPS if kind.urgent else BPS - limits.urgent_reserve_bps
    now = leaked(buckets, limits, at=at)
    cost_used = now.cost + mul_div_up(positive_part(cost), WAD, nav)
    most = capacity(limits.cost_budget_bps) * share_bps
    require(cost_used * BPS <= most, "book: cost over its budget")
    name = "neutral" if kind.neutral else "turnover"
    turnover = getattr(now, name) + mul_div_up(before.value_up(kind.gross), WAD, nav)
    most = capacity(limits.turnover_budget_bps) * share_bps
    require(turnover * BPS <= most, "book: turnover over budget")
    if max(cost_used, turnover) >= MAX_USED:
        raise Reverted
    return now._replace(cost=cost_used, **{name: turnover})


# The position


def position(
    sights: Sequence[Sight],
    idle: tuple[int, int],
    hedge_ratio_bps: int,
    price_wad: int,
    price_divisor: int,
) -> Position:
    """Return vault and book at a price; `idle` is assets and quote (`book_ledger.scene`)."""
    held = idle[0] + sum(seen.margin.assets for seen in sights)
    quote_value = idle[1] + sum(seen.quote_value(price_wad, price_divisor) for seen in sights)
    delta = held + sum(seen.margin.delta for seen in sights)
    equity = held + div_floor(quote_value * price_divisor, price_wad)
    gap = delta - div_floor(equity * (BPS - hedge_ratio_bps), BPS)
    return Position(
        price_wad=price_wad,
        price_divisor=price_divisor,
        margins=tuple(seen.margin for seen in sights),
        values=tuple(seen.value for seen in sights),
        nav=div_floor(held * price_wad, price_divisor) + quote_value,
        equity=equity,
        delta=delta,
        gap=gap,
        drift_wad=mul_div_up(abs(gap), WAD, equity) if equity > 0 else UINT256_MAX,
    )


def due(position: Position, limits: Limits) -> bool:
    """Return whether drift is over the urgent band, or margin anywhere under its floor."""
    return position.drift_wad > limits.urgent_band_bps * BP_WAD or any(
        not _at_margin(margin, limits.margin_floor_bps) for margin in position.margins
    )
