# SPDX-License-Identifier: MIT
"""
One vault: how it stands, what it holds, where it trades, within which limits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from keeper.snapshot import VaultSnapshot
from keeper.units import BPS
from keeper.web.seen import Held, Seen
from keeper.web.view.noticed import (
    ProposalLine,
    exit_facts,
    has_timelock,
    owner_facts,
    proposal_lines,
    settled,
    vault_remarks,
)
from keeper.web.view.overview import VaultRow, vault_row
from keeper.words import (
    Fact,
    Remark,
    Tokens,
    moment,
    percent,
    price_fact,
    short,
    span,
    times,
    vault_facts,
    venue_facts,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Meter:
    """Something used of something allowed; `share` in hundredths, at most 100."""

    name: str
    share: float
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The vault's account at a venue."""

    venue: str
    venue_short: str
    allotment: str
    facts: tuple[Fact, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultPage:
    """One vault."""

    row: VaultRow
    remarks: tuple[Remark, ...]
    headline: tuple[Fact, ...]
    holdings: tuple[Fact, ...]
    accounts: tuple[Account, ...]
    budgets: tuple[Meter, ...]
    limits: tuple[Fact, ...]
    addresses: tuple[Fact, ...]
    exits: tuple[Fact, ...]
    owner: tuple[Fact, ...]
    has_timelock: bool
    proposals: tuple[ProposalLine, ...]


def vault_page(seen: Seen, held: Held) -> VaultPage:
    """Return the page of one vault."""
    vault, risk, tokens = held.snapshot.vault, held.risk, seen.tokens(held)
    shares = settled(seen, held)
    facts = {fact.name: fact for fact in vault_facts(shares, risk, tokens)} if risk else {}
    shown = ("Net asset value", "Share value", "Exposure", "Drift")
    return VaultPage(
        row=vault_row(seen, held),
        remarks=tuple(vault_remarks(seen, held)),
        headline=tuple(facts[name] for name in shown if name in facts),
        holdings=(
            price_fact(vault, tokens, seen.now),
            *(fact for name, fact in facts.items() if name not in shown),
            Fact(name="Shares", value=tokens.shares(vault.total_supply), note="issued"),
        ),
        accounts=tuple(_accounts(held, tokens)),
        budgets=tuple(_budgets(held, tokens)),
        limits=tuple(_limits(vault, tokens)),
        addresses=tuple(_addresses(vault)),
        exits=exit_facts(seen, held),
        owner=owner_facts(seen, held),
        has_timelock=has_timelock(seen, held),
        proposals=proposal_lines(seen, held),
    )


def _accounts(held: Held, tokens: Tokens) -> list[Account]:
    vault, risk = held.snapshot.vault, held.risk
    if risk is None:
        return []
    return [
        Account(
            venue=venue.venue,
            venue_short=short(venue.venue),
            allotment=f"may hold up to {percent(venue.allotment_bps)} of the value",
            facts=tuple(venue_facts(vault, venue, figures, tokens)),
        )
        for venue, figures in zip(vault.venues, risk.venues, strict=True)
    ]


def _budgets(held: Held, tokens: Tokens) -> list[Meter]:
    """Return how much of the contracts' daily budgets is used; a bucket holds half a day's."""
    vault, risk = held.snapshot.vault, held.risk
    if risk is None or risk.nav <= 0:
        return []
    state, limits = vault.state, vault.limits
    return [
        meter(name, used, risk.nav * bps // BPS // 2, tokens)
        for name, used, bps in (
            ("Cost of rebalancing", state.cost_used, limits.cost_budget_bps),
            ("Turnover", state.turnover_used, limits.turnover_budget_bps),
        )
    ]


def meter(name: str, used: int, allowed: int, tokens: Tokens) -> Meter:
    """Return a budget in quote."""
    share = 100.0 if allowed <= 0 else min(100.0, round(100 * used / allowed, 1))
    return Meter(
        name=name, share=share, words=f"{tokens.quotes(used)} of {tokens.quotes(allowed)} used"
    )


def _limits(vault: VaultSnapshot, tokens: Tokens) -> list[Fact]:
    limits, state = vault.limits, vault.state
    ratio = f"{percent(state.min_hedge_ratio_bps)} to {percent(state.max_hedge_ratio_bps)} allowed"
    return [
        Fact(name="Hedge ratio", value=percent(state.hedge_ratio_bps), note=ratio),
        Fact(name="Inner band", value=f"± {percent(limits.inner_band_bps)}"),
        Fact(name="Urgent band", value=f"± {percent(limits.urgent_band_bps)}"),
        Fact(name="Margin floor", value=times(limits.margin_floor_bps), note="of maintenance"),
        Fact(name="Margin target", value=times(limits.margin_target_bps), note="of maintenance"),
        Fact(name="Slippage", value=percent(limits.slippage_bps), note="of a fill, to the oracle"),
        Fact(name="Cost bound", value=percent(limits.cost_bound_bps), note="of a plan's turnover"),
        Fact(name="Cooldown", value=span(limits.cooldown_secs), note="between two rebalances"),
        Fact(name="Largest trade", value=tokens.assets(limits.max_trade), note="of one plan"),
        Fact(name="Base charge", value=percent(vault.base_charge_bps), note="on entry and exit"),
    ]


def _addresses(vault: VaultSnapshot) -> list[Fact]:
    state = vault.state
    rebalanced = moment(state.rebalanced_at) if state.rebalanced_at else "never"
    named: Sequence[tuple[str, str]] = (
        ("Vault", vault.vault),
        ("Book", vault.book),
        ("Oracle", vault.oracle),
        ("Spot market", vault.spot),
        ("Owner", vault.owner),
        ("Keeper", vault.keeper),
        ("Guardian", vault.guardian),
        ("Audit head", "0x" + state.audit_head.hex()),
    )
    return [
        *(Fact(name=name, value=value) for name, value in named),
        Fact(name="Last rebalance", value=rebalanced, note=f"number {state.nonce}"),
    ]
