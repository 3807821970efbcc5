# SPDX-License-Identifier: MIT
"""`hedgevault ratio`: what each strategy asks for, and the call that is proposed to the owner."""

from __future__ import annotations

import datetime
from dataclasses import replace
from math import sqrt

from keeper.abi import call_data
from keeper.outlook import Outlook, carry_wad, minimum_variance_bps, variance_wad, warm
from keeper.policy import Policy
from keeper.ratio import Strategy, advice_bps, reachable_bps, wanted_bps
from keeper.snapshot import Snapshot
from keeper.units import BPS, WAD


def ratio_lines(snapshot: Snapshot, outlook: Outlook, policy: Policy) -> list[str]:
    """Return outlook, strategies and advice for one vault, as lines for a person."""
    vault, state, at = snapshot.vault, snapshot.vault.state, snapshot.block.at
    bounds = f"{_share(state.min_hedge_ratio_bps)} to {_share(state.max_hedge_ratio_bps)}"
    lines = [
        f"vault {vault.vault}",
        f"ratio on chain {_share(state.hedge_ratio_bps)}, bounds {bounds}",
        *_outlook_lines(outlook, policy),
    ]
    for strategy in Strategy:
        wanted = wanted_bps(outlook, replace(policy, ratio_strategy=int(strategy)))
        if wanted is not None:
            reached = reachable_bps(wanted, state, policy.least_ratio_change_bps, at)
            words = f"asks for {_share(wanted)}, now {_share(reached)}"
            name = strategy.name.lower().replace("_", " ")
            lines.append(f"  {int(strategy)} {name:<18} {words}")
    advice = advice_bps(state, outlook, policy, at)
    if advice == state.hedge_ratio_bps:
        return [*lines, "advice: leave it"]
    call = call_data("HedgeBook", "set_hedge_ratio", advice)
    return [
        *lines,
        f"advice: {_share(advice)}, to be proposed to the owner {vault.owner}, a timelock",
        f"  brownie run set_hedge_ratio main {advice}",
        f"  or schedule a call to {vault.book} data 0x{call.hex()}",
    ]


def _outlook_lines(outlook: Outlook, policy: Policy) -> list[str]:
    if not outlook.seen_at:
        return ["nothing seen of the market yet"]
    began = datetime.datetime.fromtimestamp(outlook.began_at, datetime.UTC)
    days = (outlook.seen_at - outlook.began_at) / 86_400
    variance = variance_wad(outlook, policy.volatility_bps)
    moments = minimum_variance_bps(outlook)
    source = "" if warm(outlook) else ", as configured: a month of prices is wanted"
    volatility = "unknown" if variance is None else f"{100 * sqrt(variance / WAD):.1f} % a year"
    return [
        f"prices since {began:%Y-%m-%d}, {days:.1f} days",
        f"volatility {volatility}{source if variance is not None else ''}",
        f"funding {100 * carry_wad(outlook) / WAD:+.2f} % a year for a short",
        *([] if moments is None else [f"index on mark: {moments / BPS:.4f}"]),
    ]


def _share(bps: int) -> str:
    return f"{bps / 100:.2f} %"
