# SPDX-License-Identifier: MIT
"""
How much asset margin a position needs, in closed form.

An account with assets a, quote Q, profit P and size q at price S has equity for margin

    E(a) = Q + P + a S (1 - haircut)

and needs (1) initial margin and what closing now would lose, to be allowed to trade; (2) a
multiple of maintenance; (3) maintenance still, after the price has moved by `distance` against
the position, when equity is Q + P + q (S' - S) + a S' (1 - haircut). The need is the least a
that satisfies all, rounded up.
"""

from __future__ import annotations

from dataclasses import dataclass

from keeper.curve import Scale, closing_loss_up, initial_up, maintenance_up
from keeper.outlook import Outlook, deviation_wad, rise_bps, variance_wad
from keeper.policy import MOST, Policy
from keeper.snapshot import Limits, Margin, Market
from keeper.units import BPS, WAD, Assets, Bps, Wad, div_ceil, div_floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Need:
    """A level of margin."""

    distance_bps: int
    ratio_bps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Under `low` margin is topped up to `target`; over `high` it is taken back to `target`."""

    low: Need
    target: Need
    high: Need


def headroom_bps(outlook: Outlook, policy: Policy) -> Bps:
    """
    Return the rise within `headroom_secs` for which margin is to suffice, rounded up.

    Zero where margin is not kept by forecast, or there is none yet. The largest move within the
    time is taken as `headroom_deviations_bps` forecast deviations; `scripts.advise` fits that
    number, the quantile of an extreme-value tail, for a wanted probability of a call.
    """
    if policy.headroom_deviations_bps == 0:
        return Bps(0)
    variance = variance_wad(outlook, policy.volatility_bps)
    if variance is None:
        return Bps(0)
    deviation = deviation_wad(variance, policy.headroom_secs)
    return rise_bps(div_ceil(deviation * policy.headroom_deviations_bps, BPS))


def raised_bps(policy: Policy, headroom: int) -> int:
    """Return by how much the headroom raises the policy's distances."""
    return max(0, min(headroom, MOST["distance_low_bps"]) - policy.distance_low_bps)


def ratio_after_bps(margin: Margin, market: Market, scale: Scale, move_bps: int) -> int | None:
    """
    Return equity over maintenance after a move against the position, rounded down.

    None without a position. 10,000 at liquidation; negative when nothing is left.
    """
    if margin.delta == 0:
        return None
    moved = _moved(scale, margin.delta, move_bps)
    kept = margin.assets * moved.price_wad * (WAD - market.haircut_wad)
    change = div_floor(margin.delta * (moved.price_wad - scale.price_wad), scale.divisor)
    equity = margin.quote + margin.profit + change + div_floor(kept, scale.divisor * WAD)
    return div_floor(equity * BPS, maintenance_up(market, margin.delta, moved))


def levels(policy: Policy, limits: Limits, headroom: int = 0) -> Levels:
    """
    Return the operator's levels, each at least a buffer over the chain's own.

    Parameters
    ----------
    headroom : int
        bps, by forecast: where it is over the low distance, all three are raised by as much.
    """
    higher = raised_bps(policy, headroom)
    floor = _buffered(limits.margin_floor_bps, policy)
    target = _buffered(limits.margin_target_bps, policy)
    low, middle, high = (
        distance + higher
        for distance in (
            policy.distance_low_bps, policy.distance_target_bps, policy.distance_high_bps
        )
    )  # fmt: skip
    return Levels(
        low=Need(distance_bps=low, ratio_bps=floor),
        target=Need(distance_bps=middle, ratio_bps=target),
        high=Need(distance_bps=high, ratio_bps=_buffered(target, policy)),
    )


def touched(need: Need, limits: Limits, policy: Policy) -> Need:
    """Return a need raised to what the chain asks of a venue that a plan touches."""
    target = _buffered(limits.margin_target_bps, policy)
    return Need(distance_bps=need.distance_bps, ratio_bps=max(need.ratio_bps, target))


def assets_needed(market: Market, margin: Margin, scale: Scale, need: Need) -> Assets:
    """
    Return the least asset margin with which the account satisfies `need`.

    The account's own `assets` do not matter; a debt without a position is to be covered.
    """
    base = margin.quote + margin.profit
    at_now = -base
    if margin.delta:
        closing = closing_loss_up(market, margin.delta, scale)
        maintenance = maintenance_up(market, margin.delta, scale)
        at_now += max(
            initial_up(market, margin.delta, scale) + closing,
            div_ceil(maintenance * need.ratio_bps, BPS),
        )
    return Assets(
        max(
            0,
            _cover_up(at_now, market, scale),
            _needed_after_move(market, margin, scale, need.distance_bps),
        )
    )


def _needed_after_move(market: Market, margin: Margin, scale: Scale, distance_bps: int) -> int:
    if margin.delta == 0:
        return 0
    moved = _moved(scale, margin.delta, distance_bps)
    change = div_floor(margin.delta * (moved.price_wad - scale.price_wad), scale.divisor)
    lacking = maintenance_up(market, margin.delta, moved) - margin.quote - margin.profit - change
    return _cover_up(lacking, market, moved)


def _moved(scale: Scale, delta: int, move_bps: int) -> Scale:
    """Return the scale after the price has moved against a position."""
    against = BPS + move_bps if delta < 0 else max(BPS - move_bps, 1)
    return Scale(price_wad=Wad(div_ceil(scale.price_wad * against, BPS)), divisor=scale.divisor)


def _cover_up(lacking: int, market: Market, scale: Scale) -> int:
    """Return assets whose value after the haircut covers `lacking` quote."""
    kept = scale.price_wad * (WAD - market.haircut_wad)
    return div_ceil(lacking * scale.divisor * WAD, kept)


def _buffered(ratio_bps: int, policy: Policy) -> int:
    return div_ceil(ratio_bps * (BPS + policy.margin_buffer_bps), BPS)
