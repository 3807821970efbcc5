# SPDX-License-Identifier: MIT
"""
The last look at a plan before it costs anything. Pure.

Strategy sizes plans so that the contracts accept them; the guard trusts none of that. It plays
the plan again, holds it against the contracts' limits and the operator's stricter ones, and
against what the journal says has been spent. Budgets stop sending, never watching.
"""

from __future__ import annotations

from dataclasses import dataclass

from keeper.outcome import Impossible, broken_rule, project
from keeper.plan import Plan, turnover
from keeper.policy import Policy
from keeper.risk import assess
from keeper.snapshot import Address, Snapshot
from keeper.units import BPS, div_ceil


@dataclass(frozen=True, slots=True, kw_only=True)
class Safety:
    """The operator's own limits on sending."""

    max_reverts_in_row: int = 3
    max_sends_an_hour: int = 30
    max_gas_a_day: int = 20_000_000
    max_spend_a_day: int = 10**18  # wei
    max_turnover_an_hour_bps: int = 30_000  # of a vault's equity


@dataclass(frozen=True, slots=True, kw_only=True)
class Spent:
    """What the journal knows of the past."""

    reverts_in_row: int = 0
    sends_last_hour: int = 0
    gas_last_day: int = 0
    spend_last_day: int = 0  # wei
    turnover_last_hour: int = 0  # of one vault, raw asset units


def objection(
    snapshot: Snapshot,
    plan: Plan,
    *,
    policy: Policy,
    safety: Safety,
    spent: Spent,
    sender: Address,
    killed: bool,
) -> str | None:
    """Return why the plan must not be sent, or None."""
    return (
        ("the kill switch is set" if killed else None)
        or _identity(snapshot, plan, sender)
        or budget_objection(safety, spent)
        or _plan(snapshot, plan, policy)
        or _turnover(snapshot, plan, safety, spent)
    )


def _identity(snapshot: Snapshot, plan: Plan, sender: Address) -> str | None:
    vault, now = snapshot.vault, snapshot.block.at
    if vault.keeper != sender:
        return f"the vault's keeper is {vault.keeper}, this key is {sender}"
    if plan.nonce != vault.state.nonce:
        return f"the plan's nonce is {plan.nonce}, the book's {vault.state.nonce}"
    if plan.deadline < now:
        return f"the plan's deadline passed {now - plan.deadline} s ago"
    return None


def budget_objection(safety: Safety, spent: Spent) -> str | None:
    """Return which budget is used up, or None."""
    checks = (
        ("reverts in a row", spent.reverts_in_row, safety.max_reverts_in_row),
        ("transactions in an hour", spent.sends_last_hour, safety.max_sends_an_hour),
        ("gas in a day", spent.gas_last_day, safety.max_gas_a_day),
        ("wei of fees in a day", spent.spend_last_day, safety.max_spend_a_day),
    )
    for name, used, allowed in checks:
        if used >= allowed:
            return f"{used} {name}, allowed are {allowed}"
    return None


def _turnover(snapshot: Snapshot, plan: Plan, safety: Safety, spent: Spent) -> str | None:
    """Hold what is traded in an hour against equity, or against positions that are larger."""
    positions = sum(abs(venue.margin.delta) for venue in snapshot.vault.venues)
    base = max(assess(snapshot.vault).equity, positions, 1)
    share = div_ceil((spent.turnover_last_hour + turnover(plan)) * BPS, base)
    allowed = safety.max_turnover_an_hour_bps
    if share <= allowed:
        return None
    return f"turnover of an hour would be {share} bps of the vault, allowed are {allowed}"


def _plan(snapshot: Snapshot, plan: Plan, policy: Policy) -> str | None:
    vault, now = snapshot.vault, snapshot.block.at
    if not vault.price_ok:
        return f"no price: {vault.price_reason}"
    if now - vault.price_updated_at > policy.max_price_age_secs:
        return f"the price is {now - vault.price_updated_at} s old"
    if not plan.legs and plan.spot_assets == 0:
        return "the plan is empty"
    try:
        outcome = project(vault, plan, assess(vault))
    except Impossible as impossible:
        return str(impossible)
    return broken_rule(outcome, vault, policy, now)
