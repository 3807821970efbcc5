# SPDX-License-Identifier: MIT
"""
Exits in kind of one vault, and the words for them: one table for terminal, scripts and dashboard.

Pure. What is so is folded from the events that the vault's exit has logged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from keeper.audit import Round, fold
from keeper.events import Event
from keeper.snapshot import Address, VaultSnapshot
from keeper.units import BPS, mul_div_down, mul_div_up, price_divisor
from keeper.words import Fact, Level, Remark, Tokens, moment, plain, span

VIRTUAL_SHARES: Final = 10**3
LOGGED: Final = (  # all that tells how things stand
    "ExitsAnnounced",
    "AnnouncementRetracted",
    "ExitedInKind",
    "SettlementWaits",
    "ExitsSettled",
    "ClaimsRedeemed",
    "Transfer",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an exit in kind was built with."""

    address: Address
    delay_secs: int
    patience_secs: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Exits:
    """
    How exits in kind of a vault stand; raw units of shares, times in Unix seconds.

    Attributes
    ----------
    announced_at, closes_at : int
        When somebody said that there is no price, and when that lapses; 0 when nobody did.
    waits_until : int
        Until when a settlement waits for a silent venue; 0 while none was put off.
    hollow : int
        Shares whose idle part was paid; until they are settled the vault does nothing else.
    round : int
        The one that exits are in now; those before it are settled.
    rounds : mapping
        Claims and shares that are left of each settled round.
    claims : mapping
        Claims by round and owner.
    """

    terms: Terms
    announced_at: int = 0
    closes_at: int = 0
    waits_until: int = 0
    hollow: int = 0
    round: int = 0
    rounds: Mapping[int, Round] = field(default_factory=dict)
    claims: Mapping[tuple[int, Address], int] = field(default_factory=dict)

    @property
    def opens_at(self) -> int:
        """When exits open, if there is no price till then."""
        return self.announced_at + self.terms.delay_secs


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """Whether there is a good price, else why not and when there was one last."""

    good: bool
    reason: str
    seen_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Claims:
    """Claims of an account in one round, raw units; `shares` once the round is settled."""

    round: int
    claims: int
    shares: int | None


def exits_of(events: Sequence[Event], terms: Terms) -> Exits:
    """Return what all events of an exit, from its deployment on, add up to."""
    ledger = fold(events)
    announced_at = closes_at = waits_until = 0
    for event in events:
        match event.name:
            case "ExitsAnnounced":
                announced_at = event["opens_at"] - terms.delay_secs
                closes_at = event["closes_at"]
            case "AnnouncementRetracted":
                announced_at = closes_at = 0
            case "SettlementWaits":
                waits_until = event["waits_since"] + terms.patience_secs
            case "ExitsSettled":
                waits_until = 0
    return Exits(
        terms=terms,
        announced_at=announced_at,
        closes_at=closes_at,
        waits_until=waits_until,
        hollow=ledger.hollow_shares,
        round=ledger.exit_round,
        rounds=ledger.exit_rounds,
        claims={(number, Address(owner)): n for (number, owner), n in ledger.exit_claims.items()},
    )


def price_of(vault: VaultSnapshot) -> Price:
    """Return a vault's price as its exit asks for it."""
    return Price(good=vault.price_ok, reason=vault.price_reason, seen_at=vault.state.last_price_at)


def is_open(exits: Exits, price: Price, now: int) -> bool:
    """Return whether one can leave in kind now."""
    announced = exits.announced_at > price.seen_at and not price.good
    return announced and exits.opens_at <= now < exits.closes_at


def when(exits: Exits, price: Price, now: int) -> str:
    """Return in words whether one can leave in kind, and from when."""
    why = plain(price.reason, 64)
    if price.good:
        return "not in kind: there is a good price"
    if exits.announced_at == 0:
        return f"nobody has announced that there is no price ({why})"
    if exits.announced_at <= price.seen_at:
        return "a good price was seen since the announcement: announce anew"
    if now < exits.opens_at:
        left = span(exits.opens_at - now)
        return f"in kind from {moment(exits.opens_at)}, in {left}, if no price comes ({why})"
    if now >= exits.closes_at:
        return "the announcement has lapsed: announce anew"
    return f"open in kind until {moment(exits.closes_at)} ({why})"


def claims_of(exits: Exits, owner: Address) -> list[Claims]:
    """Return what an account holds, round by round."""
    return [
        Claims(round=number, claims=held, shares=worth(exits, number, held))
        for (number, holder), held in sorted(exits.claims.items())
        if holder == owner and held
    ]


def worth(exits: Exits, number: int, claims: int) -> int | None:
    """Return the shares that claims of a round are good for; None before it is settled."""
    left = exits.rounds.get(number)
    return None if left is None else mul_div_down(claims, left.shares, left.claims)


def claim_words(held: Claims, show: Callable[[int], str]) -> str:
    """Return what claims are good for; `show` writes an amount of shares."""
    return "not settled yet" if held.shares is None else f"good for {show(held.shares)} shares"


def paid_in_kind(exits: Exits, vault: VaultSnapshot, shares: int) -> tuple[int, int]:
    """Return the raw assets and quote that shares would bring now, beside as many claims."""
    whole = max(0, vault.total_supply - exits.hollow) + VIRTUAL_SHARES
    idle = (vault.idle_assets, vault.state.idle_quote)
    assets, quote = (mul_div_down(each, shares, whole) for each in idle)
    return assets, quote


def settled_supply(exits: Exits, vault: VaultSnapshot, nav: int) -> int:
    """
    Return the supply as a settlement at the vault's price would leave it.

    Parameters
    ----------
    nav : int
        Quote; what of it is not idle is what the book believes of its venues.

    Notes
    -----
    As `ExitInKind.settled_supply`, up to the rounding of the value.
    """
    hollow, supply = exits.hollow, vault.total_supply
    if not 0 < hollow < supply:  # the events may be a block behind the vault
        return supply
    full = supply - hollow + VIRTUAL_SHARES
    divisor = price_divisor(vault.asset_decimals, vault.quote_decimals)
    idle = mul_div_down(vault.idle_assets, vault.price_wad, divisor) + vault.state.idle_quote
    venues = max(0, nav - idle)
    part = mul_div_down(hollow, venues, supply + VIRTUAL_SHARES)
    taken = mul_div_up(hollow, idle, full)
    worth = part - min(part, mul_div_up(taken, vault.base_charge_bps, BPS))
    return supply - hollow + mul_div_down(worth, full, idle + 1 + venues - worth)


def remarks(exits: Exits, price: Price, now: int, tokens: Tokens) -> list[Remark]:
    """Return what a person should notice; nothing in ordinary times."""
    said = []
    if exits.hollow and price.good:
        said.append(Remark(level=Level.ACT, words=_stands_still(exits, now, tokens)))
    elif exits.hollow:
        words = f"{tokens.shares(exits.hollow)} shares have left in kind; all else waits for a "
        said.append(Remark(level=Level.WATCH, words=f"{words}price and a settlement."))
    if exits.announced_at and price.good:
        words = "It was announced that there is no price, and there is one: anybody may retract."
        said.append(Remark(level=Level.WATCH, words=words))
    elif exits.announced_at:
        words = f"Leaving without a price: {when(exits, price, now)}."
        said.append(Remark(level=Level.WATCH, words=words))
    return said


def _stands_still(exits: Exits, now: int, tokens: Tokens) -> str:
    words = f"{tokens.shares(exits.hollow)} shares have left in kind and the price is back: "
    if now < exits.waits_until:
        until = moment(exits.waits_until)
        return f"{words}a venue is silent, nothing goes on before it answers or {until}."
    return f"{words}nothing else goes on before somebody settles."


def facts(exits: Exits, price: Price, now: int, tokens: Tokens) -> list[Fact]:
    """Return how exits in kind stand, each with what to do."""
    state = "open" if is_open(exits, price, now) else "closed"
    found = [Fact(name="Leaving in kind", value=state, note=when(exits, price, now))]
    if exits.hollow:
        unsettled, note = f"{tokens.shares(exits.hollow)} shares", "all else waits for a settlement"
        found.append(Fact(name="Unsettled", value=unsettled, note=note))
    if exits.waits_until:
        note = "until when a settlement waits for a silent venue"
        found.append(Fact(name="Waited for", value=moment(exits.waits_until), note=note))
    for number, left in sorted(exits.rounds.items()):
        if left.claims:
            note = f"for {tokens.shares(left.claims)} claims not redeemed yet"
            shares = f"{tokens.shares(left.shares)} shares"
            found.append(Fact(name=f"Settled round {number}", value=shares, note=note))
    return found
