# SPDX-License-Identifier: MIT
"""
A depositor by address: what is owned, what it cost, where it waits, what it can claim.

Cost is kept by the average method: a deposit adds what was paid, an exit or a transfer takes the
same share of cost as of shares. Shares that came by transfer have no known cost.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from keeper import exits
from keeper.events import Event
from keeper.exits import Claims
from keeper.risk import Risk
from keeper.snapshot import ZERO_ADDRESS, Address, VaultSnapshot
from keeper.units import WAD, div_floor, price_divisor
from keeper.web.seen import Held, Holding, Request, Seen
from keeper.web.view.noticed import settled
from keeper.words import Fact, Tokens, moment, percent, span

PRECISION: Final = 10_000


@dataclass(slots=True, kw_only=True)
class Basis:
    """
    What the shares still held have cost; raw units.

    `quote` is what the assets were worth when they came; `gifted` are shares that came by transfer.
    """

    shares: int = 0
    gifted: int = 0
    assets: int = 0
    quote: int = 0

    def add(self, shares: int, assets: int, quote: int) -> None:
        """Note a deposit."""
        self.shares, self.assets = self.shares + shares, self.assets + assets
        self.quote += quote

    def take(self, shares: int) -> None:
        """Note that shares left, with their part of the cost."""
        held = self.shares
        left = max(0, held - shares)
        if held:
            self.assets, self.quote = self.assets * left // held, self.quote * left // held
            self.gifted = self.gifted * left // held
        self.shares = left


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A request of the depositor's in the queue."""

    number: int
    shares: str
    worth: str
    least: str
    place: str
    when: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClaimLine:
    """Claims of the depositor's in one round of exits in kind."""

    round: int
    claims: str
    state: str
    worth: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """What a depositor has in one vault."""

    vault: str
    vault_short: str
    name: str
    headline: str
    facts: tuple[Fact, ...]
    exits: tuple[Fact, ...]
    waiting: tuple[Waiting, ...]
    claims: tuple[ClaimLine, ...]


def position(seen: Seen, held: Held, holding: Holding) -> Position:
    """Return what a depositor has in one vault."""
    vault, tokens = settled(seen, held), seen.tokens(held)
    basis = basis_of(holding.owner, holding.queue, holding.events, vault)
    mine = [request for request in holding.requests if request.owner == holding.owner]
    queued = sum(request.shares for request in mine)
    worth = _worth(vault, held.risk, holding.shares + queued)
    return Position(
        vault=vault.vault,
        vault_short=vault.vault[:10],
        name=f"{tokens.asset} / {tokens.quote}",
        headline=_headline(vault, worth, holding, tokens),
        facts=tuple(_facts(vault, basis, worth, holding, tokens)),
        exits=(*_exits(vault, holding, tokens), *_in_kind(seen, held, holding)),
        waiting=tuple(_waiting(each, seen, held, holding) for each in mine),
        claims=tuple(_claim(each, seen, held) for each in _claims(seen, vault, holding)),
    )


def has_anything(seen: Seen, vault: VaultSnapshot, holding: Holding) -> bool:
    """Return whether the account owns or waits for anything in the vault."""
    mine = any(request.owner == holding.owner for request in holding.requests)
    claims = _claims(seen, vault, holding)
    return bool(holding.shares or holding.claim_assets or mine or claims)


def basis_of(
    owner: Address, queue: Address, events: Iterable[Event], vault: VaultSnapshot
) -> Basis:
    """Return what the shares that the owner still has, queued ones included, have cost."""
    basis = Basis()
    divisor = price_divisor(vault.asset_decimals, vault.quote_decimals)
    for event in events:
        match event.name:
            case "FlowPriced" if event["account"] == owner and event["shares"] > 0:
                quote = div_floor(event["assets"] * event["price_wad"], divisor)
                basis.add(event["shares"], event["assets"], quote)
            case "FlowPriced" if event["account"] == owner:
                basis.take(-event["shares"])
            case "RedemptionFilled" if event["owner"] == owner:
                basis.take(event["shares"])
            case "Transfer":
                _transfer(basis, event, owner, queue)
    return basis


def _transfer(basis: Basis, event: Event, owner: Address, queue: Address) -> None:
    """Note a transfer between people; mints, burns and the queue's own are told elsewhere."""
    sender, receiver = event["sender"], event["receiver"]
    if {sender, receiver} & {ZERO_ADDRESS, queue} or sender == receiver:
        return
    if sender == owner:
        basis.take(event["value"])
    elif receiver == owner:
        basis.shares += event["value"]
        basis.gifted += event["value"]


def _worth(vault: VaultSnapshot, risk: Risk | None, shares: int) -> int:
    """Return what shares are worth in assets, before charges."""
    if risk is None or vault.total_supply == 0:
        return 0
    return div_floor(risk.equity * shares, vault.total_supply)


def _headline(vault: VaultSnapshot, worth: int, holding: Holding, tokens: Tokens) -> str:
    if not worth and holding.claim_assets:
        return f"{tokens.assets(holding.claim_assets)} are ready to be claimed."
    if not worth:
        return "This address has nothing in the vault."
    return f"Owns {tokens.assets(worth)}, worth {tokens.quotes(_quote(vault, worth))}."


def _quote(vault: VaultSnapshot, assets: int) -> int:
    divisor = price_divisor(vault.asset_decimals, vault.quote_decimals)
    return div_floor(assets * vault.price_wad, divisor)


def _facts(
    vault: VaultSnapshot, basis: Basis, worth: int, holding: Holding, tokens: Tokens
) -> list[Fact]:
    quote = _quote(vault, worth)
    share = div_floor(holding.shares * PRECISION, max(1, vault.total_supply))
    facts = [
        Fact(
            name="Shares",
            value=tokens.shares(holding.shares),
            note=f"{percent(share)} of the vault",
        ),
        Fact(name="Worth", value=tokens.quotes(quote), note=tokens.assets(worth)),
    ]
    if basis.gifted:
        note = "came by transfer or for claims: their cost is not known"
        facts.append(Fact(name="Received", value=tokens.shares(basis.gifted), note=note))
    if not basis.quote:
        return facts
    bought = div_floor(quote * (basis.shares - basis.gifted), basis.shares)
    gain, whose = bought - basis.quote, " of what was paid for" if basis.gifted else ""
    held = _quote(vault, basis.assets)
    paid = f"{tokens.assets(basis.assets)} at {tokens.price(_average(basis, vault))}"
    return [
        *facts,
        Fact(name="Cost", value=tokens.quotes(basis.quote), note=paid),
        Fact(
            name="Change",
            value=tokens.quotes(gain, signed=True),
            note=_part(gain, basis.quote) + whose,
        ),
        Fact(
            name="If simply held",
            value=tokens.quotes(held - basis.quote, signed=True),
            note=f"the same coins unhedged: {_part(held - basis.quote, basis.quote)}",
        ),
    ]


def _average(basis: Basis, vault: VaultSnapshot) -> int:
    divisor = price_divisor(vault.asset_decimals, vault.quote_decimals)
    return div_floor(basis.quote * divisor, basis.assets) if basis.assets else WAD


def _part(change: int, of: int) -> str:
    return percent(div_floor(change * PRECISION, of), signed=True)


def _exits(vault: VaultSnapshot, holding: Holding, tokens: Tokens) -> list[Fact]:
    facts = []
    if holding.shares and holding.exit_assets is not None:
        charge = max(0, holding.worth_assets - holding.exit_assets)
        part = div_floor(charge * PRECISION, max(1, holding.worth_assets))
        note = f"after a charge of {tokens.assets(charge)} ({percent(part)})"
        facts.append(
            Fact(name="Value when leaving", value=tokens.assets(holding.exit_assets), note=note)
        )
    elif holding.shares:
        facts.append(
            Fact(name="Value when leaving", value="cannot be priced now", note="see the vault")
        )
    idle = min(holding.max_withdraw, vault.idle_assets)
    source = (
        f"{tokens.assets(idle)} from idle, {tokens.assets(holding.max_withdraw - idle)} from margin"
    )
    facts.append(
        Fact(name="Payable at once", value=tokens.assets(holding.max_withdraw), note=source)
    )
    if holding.claim_assets:
        claim = tokens.assets(holding.claim_assets)
        facts.append(Fact(name="Ready to claim", value=claim, note="filled by the queue"))
    pending = f"{len(holding.requests)} waiting" if holding.requests else "empty"
    return [*facts, Fact(name="Queue", value=pending, note="for what is not liquid at once")]


def _in_kind(seen: Seen, held: Held, holding: Holding) -> list[Fact]:
    """Return what leaving in kind would bring, while that is open."""
    vault, tokens = held.snapshot.vault, seen.tokens(held)
    leaving = seen.noticed.exits.get(vault.vault)
    if leaving is None or not exits.is_open(leaving, exits.price_of(vault), seen.now):
        return []
    assets, quote = exits.paid_in_kind(leaving, vault, holding.shares)
    paid = f"{tokens.assets(assets)} and {tokens.quotes(quote)}"
    note = f"and {tokens.shares(holding.shares)} claims on the venues"
    return [Fact(name="In kind", value=paid, note=note)]


def _claims(seen: Seen, vault: VaultSnapshot, holding: Holding) -> list[Claims]:
    leaving = seen.noticed.exits.get(vault.vault)
    return [] if leaving is None else exits.claims_of(leaving, holding.owner)


def _claim(each: Claims, seen: Seen, held: Held) -> ClaimLine:
    tokens, vault = seen.tokens(held), settled(seen, held)
    worth = tokens.assets(_worth(vault, held.risk, each.shares or 0))
    return ClaimLine(
        round=each.round,
        claims=tokens.shares(each.claims),
        state=exits.claim_words(each, tokens.shares),
        worth="known when settled" if each.shares is None else worth,
    )


def _waiting(request: Request, seen: Seen, held: Held, holding: Holding) -> Waiting:
    tokens, now, vault = seen.tokens(held), seen.now, settled(seen, held)
    before = _before(request, holding.requests)
    due = (
        "due with the next price"
        if now > request.due_at
        else f"due in {span(request.due_at - now)}"
    )
    ahead = tokens.shares(sum(each.shares for each in before))
    return Waiting(
        number=request.number,
        shares=tokens.shares(request.shares),
        worth=tokens.assets(_worth(vault, held.risk, request.shares)),
        least=tokens.assets(request.min_assets),
        place=f"{len(before)} before it, {ahead} shares" if before else "first in line",
        when=f"{due}; may be cancelled from {moment(request.cancel_at)}",
    )


def _before(request: Request, all_of_them: Sequence[Request]) -> list[Request]:
    return [each for each in all_of_them if each.number < request.number]
