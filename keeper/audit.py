# SPDX-License-Identifier: MIT
"""
Replay of the events: the ledger that they add up to, and its difference from the chain's state.

`fold` is a pure function. It adds up changes and compares the sum with what each event says the
result was, so that a missing, doubled or altered event shows at the next one of its kind; the last
of each kind shows in `compare`. Every rebalance is put through the hash chain

    head = keccak256(abi_encode(previous head, record)),

and the last head must be the book's `audit_head`.

Not rebuilt, because events do not carry what it takes: the leaky buckets (quote used, leaking by
the second), block times that are state (ratio set at, last price at, end of a pause's rest), and
allowances.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final

from eth_utils.crypto import keccak

from keeper.events import Event

NO_ADDRESS: Final = "0x" + "0" * 40
NO_HASH: Final = bytes(32)
WAITING: Final = "waiting"
EXECUTED: Final = "executed"
CANCELLED: Final = "cancelled"
WORD: Final = 32


@dataclass(slots=True)
class Account:
    """One account at a venue, funding as of its last touch."""

    assets: int = 0
    quote: int = 0
    size: int = 0
    entry: int = 0


@dataclass(slots=True)
class Till:
    """
    The quote tokens that a venue holds, and whose they are.

    What is neither an account's nor the insurance fund's is the pool's:
    ``pool_claim = quote_held - sum of account quote - fund_claim``.
    """

    quote_held: int = 0
    fund_claim: int = 0
    pool_claim: int = 0


@dataclass(slots=True)
class Waiting:
    """What is left of a queued request; empty when it is filled, cancelled or lapsed."""

    owner: str = NO_ADDRESS
    shares: int = 0
    min_assets: int = 0


@dataclass(slots=True)
class Round:
    """A settled round of exits in kind: claims that are not redeemed yet, and their shares."""

    claims: int = 0
    shares: int = 0


@dataclass(slots=True)
class Ledger:
    """
    What the events add up to; raw units as in the interfaces, addresses in lower case.

    `faults` says, one line each, where an event contradicts the ones before it.
    """

    shares: dict[str, int] = field(default_factory=dict)
    idle_assets: int = 0
    base_charge_bps: int = 0
    entry_paused_until: int = 0
    vault: str = NO_ADDRESS
    idle_quote: int = 0
    nonce: int = 0
    audit_head: bytes = NO_HASH
    hedge_ratio_bps: int = 0
    min_hedge_ratio_bps: int = 0
    max_hedge_ratio_bps: int = 0
    limits: dict[str, int] = field(default_factory=dict)
    fallback: dict[str, int] = field(default_factory=dict)
    unwinds: bool = False
    allotments: dict[str, int] = field(default_factory=dict)  # in the order of registration
    keeper: str = NO_ADDRESS
    guardian: str = NO_ADDRESS
    rebalancing_paused_until: int = 0
    last_price_wad: int = 0
    rebalanced_at: int = 0
    owners: dict[str, str] = field(default_factory=dict)  # by contract type
    proposer: str = NO_ADDRESS
    canceller: str = NO_ADDRESS  # the timelock's guardian
    delay_secs: int = 0
    operations: dict[str, str] = field(default_factory=dict)  # by id: one of the words below
    accounts: dict[tuple[str, str], Account] = field(default_factory=dict)  # venue, owner
    tills: dict[str, Till] = field(default_factory=dict)  # by venue
    requests: dict[int, Waiting] = field(default_factory=dict)  # by number
    request_count: int = 0
    pending_shares: int = 0
    claims: dict[str, int] = field(default_factory=dict)  # by owner, asset units
    reserved_assets: int = 0
    hollow_shares: int = 0
    exit_round: int = 0  # the one that exits are in now
    exit_rounds: dict[int, Round] = field(default_factory=dict)  # settled ones by number
    exit_claims: dict[tuple[int, str], int] = field(default_factory=dict)  # round, owner
    faults: list[str] = field(default_factory=list)

    @property
    def supply(self) -> int:
        """Sum of all balances."""
        return sum(self.shares.values())

    def holders(self) -> dict[str, int]:
        """Return who holds shares now."""
        return {holder: shares for holder, shares in self.shares.items() if shares}

    def owner_words(self) -> str:
        """Return in one line who owns the book, and what a timelock was asked to do."""
        owner = f"owner {self.owners.get('HedgeBook', NO_ADDRESS)}"
        if self.delay_secs == 0:
            return f"{owner}, no timelock"
        states = list(self.operations.values())
        counts = (f"{states.count(state)} {state}" for state in (EXECUTED, CANCELLED, WAITING))
        return f"{owner}, a timelock of {self.delay_secs} s: operations {', '.join(counts)}"

    def account(self, venue: str, owner: str) -> Account:
        """Return an account, empty until an event fills it."""
        return self.accounts.setdefault((venue, owner), Account())

    def till(self, venue: str) -> Till:
        """Return a venue's till, with the pool's claim as it must be now."""
        till = self.tills.setdefault(venue, Till())
        owed = sum(account.quote for (where, _), account in self.accounts.items() if where == venue)
        till.pool_claim = till.quote_held - owed - till.fund_claim
        return till


@dataclass(slots=True)
class _Fold:
    """The ledger and what a transaction has announced but not yet booked."""

    ledger: Ledger = field(default_factory=Ledger)
    backstops: dict[str, str] = field(default_factory=dict)  # venue to the pool's account there
    freed_assets: int = 0  # sent by a venue for an exit whose event is still to come
    traded: bool = False  # in the rebalance whose event is still to come
    stand_in: str | None = None  # who sends that in the keeper's place
    proposed: dict[str, tuple[str, bytes]] = field(default_factory=dict)  # target and payload by id
    # Assets, quote and size that owners moved at venues; a book repeats each move of its own.
    untold: dict[tuple[str, str], tuple[int, int, int]] = field(default_factory=dict)

    def expect(self, event: Event, what: str, folded: Any, said: Any) -> None:
        """Note a contradiction between the events so far and this one."""
        if folded != said:
            self.ledger.faults.append(
                f"{event}: {what} is {_shown(said)}, the events before give {_shown(folded)}"
            )

    def tell(self, venue: str, owner: str, assets: int = 0, quote: int = 0, size: int = 0) -> None:
        """Count a move at a venue; the book's own word for it comes with opposite signs."""
        before = self.untold.get((venue, owner), (0, 0, 0))
        self.untold[venue, owner] = (before[0] + assets, before[1] + quote, before[2] + size)

    def expect_told(self, event: Event, book: str) -> None:
        """Note moves of the book at a venue that it has not repeated, or repeated too often."""
        for (venue, owner), moved in self.untold.items():
            if owner == book:
                self.expect(event, f"assets, quote and size moved at {venue}", moved, (0, 0, 0))
        self.untold = {key: moved for key, moved in self.untold.items() if key[1] != book}


def fold(events: Iterable[Event]) -> Ledger:
    """
    Return the ledger that `events` add up to, from deployment on, in chain order.

    After a contradiction the event is believed, so that one fault gives one line.
    """
    run = _Fold()
    for event in events:
        book = _BOOKINGS.get((event.contract, event.name))
        if book is not None:
            book(run, event)
    for venue in list(run.ledger.tills):
        run.ledger.till(venue)
    if run.freed_assets:
        run.ledger.faults.append(f"{run.freed_assets} assets left a venue and arrived nowhere")
    return run.ledger


def record_hash(head: bytes, record: Mapping[str, Any]) -> bytes:
    """
    Return `keccak256(abi_encode(head, record))`.

    All fields of a record are static, hence their encoding is one word each.
    """
    return keccak(head + b"".join(_word(value) for value in record.values()))


def _word(value: Any) -> bytes:
    match value:
        case bytes():
            return value
        case str():
            return bytes.fromhex(value[2:]).rjust(WORD, b"\0")
        case _:
            return int(value).to_bytes(WORD, "big", signed=value < 0)


def _shown(value: Any) -> str:
    return "0x" + value.hex() if isinstance(value, bytes) else str(value)


# The vault's side


def _transfer(run: _Fold, event: Event) -> None:
    shares = run.ledger.shares
    sender, receiver, amount = (event[name] for name in ("sender", "receiver", "value"))
    if sender != NO_ADDRESS:
        shares[sender] = shares.get(sender, 0) - amount
        if shares[sender] < 0:
            run.expect(event, f"shares sent by {sender}", amount + shares[sender], amount)
    if receiver != NO_ADDRESS:
        shares[receiver] = shares.get(receiver, 0) + amount


def _flow(run: _Fold, event: Event) -> None:
    ledger = run.ledger
    idle = ledger.idle_assets + run.freed_assets + event["assets"]
    run.expect(event, "idle assets", idle, event["idle_assets_after"])
    run.expect(event, "supply", ledger.supply, event["supply_before"] + event["shares"])
    ledger.idle_assets = event["idle_assets_after"]
    ledger.last_price_wad = event["price_wad"]
    run.freed_assets = 0


def _idle_moved(run: _Fold, event: Event) -> None:
    idle = run.ledger.idle_assets + event["assets"]
    run.expect(event, "idle assets", idle, event["idle_assets_after"])
    run.ledger.idle_assets = event["idle_assets_after"]


def _base_charge(run: _Fold, event: Event) -> None:
    run.expect(event, "charge before", run.ledger.base_charge_bps, event["base_charge_before_bps"])
    run.ledger.base_charge_bps = event["base_charge_after_bps"]


def _entry_paused(run: _Fold, event: Event) -> None:
    run.ledger.entry_paused_until = event["paused_until"]


def _owner(run: _Fold, event: Event) -> None:
    before = run.ledger.owners.get(event.contract, NO_ADDRESS)
    run.expect(event, "owner before", before, event["previous_owner"])
    run.ledger.owners[event.contract] = event["new_owner"]


# The queue's side


def _requested(run: _Fold, event: Event) -> None:
    ledger = run.ledger
    run.expect(event, "number", ledger.request_count, event["id"])
    _pending(run, event, event["shares"])
    ledger.request_count = event["id"] + 1
    ledger.requests[event["id"]] = Waiting(
        owner=event["owner"], shares=event["shares"], min_assets=event["min_assets"]
    )


def _pending(run: _Fold, event: Event, shares: int) -> None:
    pending = run.ledger.pending_shares + shares
    run.expect(event, "pending shares", pending, event["pending_shares_after"])
    run.ledger.pending_shares = event["pending_shares_after"]


def _filled(run: _Fold, event: Event) -> None:
    ledger, owner = run.ledger, event["owner"]
    waiting = ledger.requests.setdefault(event["id"], Waiting())
    run.expect(event, "owner", waiting.owner, owner)
    run.expect(event, "shares left", waiting.shares - event["shares"], event["shares_after"])
    least = max(0, waiting.min_assets - event["assets"]) if event["shares_after"] else 0
    run.expect(event, "minimum left", least, event["min_assets_after"])
    claim = ledger.claims.get(owner, 0) + event["assets"]
    run.expect(event, "claim", claim, event["claim_after"])
    reserved = ledger.reserved_assets + event["assets"]
    run.expect(event, "reserved assets", reserved, event["reserved_assets_after"])
    _pending(run, event, -event["shares"])
    ledger.claims[owner] = event["claim_after"]
    ledger.reserved_assets = event["reserved_assets_after"]
    ledger.requests[event["id"]] = (
        Waiting(owner=owner, shares=event["shares_after"], min_assets=event["min_assets_after"])
        if event["shares_after"]
        else Waiting()
    )


def _given_back(run: _Fold, event: Event) -> None:
    waiting = run.ledger.requests.get(event["id"], Waiting())
    run.expect(event, "owner", waiting.owner, event["owner"])
    run.expect(event, "shares", waiting.shares, event["shares"])
    _pending(run, event, -event["shares"])
    run.ledger.requests[event["id"]] = Waiting()


def _claim_paid(run: _Fold, event: Event) -> None:
    ledger, owner = run.ledger, event["owner"]
    run.expect(event, "claim", ledger.claims.get(owner, 0), event["assets"])
    reserved = ledger.reserved_assets - event["assets"]
    run.expect(event, "reserved assets", reserved, event["reserved_assets_after"])
    ledger.claims[owner] = 0
    ledger.reserved_assets = event["reserved_assets_after"]


# The side of exits in kind


def _paid_in_kind(run: _Fold, event: Event) -> None:
    idle = run.ledger.idle_assets - event["assets"]
    run.expect(event, "idle assets", idle, event["idle_assets_after"])
    run.ledger.idle_assets = event["idle_assets_after"]


def _settled_in_kind(run: _Fold, event: Event) -> None:
    run.expect(event, "supply", run.ledger.supply, event["supply_after"])


def _quote_paid_in_kind(run: _Fold, event: Event) -> None:
    idle = run.ledger.idle_quote - event["quote"]
    run.expect(event, "idle quote", idle, event["idle_quote_after"])
    run.ledger.idle_quote = event["idle_quote_after"]


def _exited(run: _Fold, event: Event) -> None:
    ledger = run.ledger
    run.expect(event, "round", ledger.exit_round, event["round"])
    hollow = ledger.hollow_shares + event["shares"]
    run.expect(event, "hollow shares", hollow, event["hollow_after"])
    ledger.hollow_shares = event["hollow_after"]


def _claims_moved(run: _Fold, event: Event) -> None:
    claims, amount = run.ledger.exit_claims, event["amount"]
    sender, receiver = (event["id"], event["sender"]), (event["id"], event["receiver"])
    if event["sender"] != NO_ADDRESS:
        claims[sender] = claims.get(sender, 0) - amount
        if claims[sender] < 0:
            run.expect(event, "claims sent", amount + claims[sender], amount)
    if event["receiver"] != NO_ADDRESS:
        claims[receiver] = claims.get(receiver, 0) + amount


def _exits_settled(run: _Fold, event: Event) -> None:
    ledger, number = run.ledger, event["round"]
    run.expect(event, "round", ledger.exit_round, number)
    run.expect(event, "hollow shares", ledger.hollow_shares, event["hollow"])
    claims = sum(held for (of, _), held in ledger.exit_claims.items() if of == number)
    run.expect(event, "claims of the round", claims, event["hollow"])
    ledger.exit_round, ledger.hollow_shares = number + 1, 0
    ledger.exit_rounds[number] = Round(claims=event["hollow"], shares=event["shares"])


def _claims_redeemed(run: _Fold, event: Event) -> None:
    left = run.ledger.exit_rounds.setdefault(event["round"], Round())
    run.expect(event, "claims left", left.claims - event["claims"], event["claims_after"])
    run.expect(event, "shares left", left.shares - event["shares"], event["shares_after"])
    left.claims, left.shares = event["claims_after"], event["shares_after"]


# The book's side


def _rebalanced(run: _Fold, event: Event) -> None:
    ledger, record = run.ledger, event["record"]
    run.expect(event, "nonce", ledger.nonce, record["nonce"])
    head = record_hash(ledger.audit_head, record)
    run.expect(event, "audit head", head, event["audit_head"])
    run.expect(event, "hedge ratio", ledger.hedge_ratio_bps, record["hedge_ratio_bps"])
    run.expect(event, "sender", run.stand_in or ledger.keeper, record["sender"])
    run.stand_in = None
    run.expect(event, "block", event.log.block, record["block_number"])
    run.expect(event, "decision", record["decision_id"], event["decision_id"])
    run.expect_told(event, event.log.address)
    ledger.nonce = record["nonce"] + 1
    ledger.audit_head = event["audit_head"]
    ledger.last_price_wad = record["price_wad"]
    if run.traded:
        ledger.rebalanced_at = record["block_at"]
    run.traded = False


def _hedge_traded(run: _Fold, event: Event) -> None:
    size = run.ledger.account(event["venue"], event.log.address).size
    run.expect(event, "delta after", size, event["delta_after"])
    run.expect(event, "size", event["delta_after"] - event["delta_before"], event["size"])
    run.tell(event["venue"], event.log.address, size=-event["size"])
    run.traded = True


def _margin_moved(run: _Fold, event: Event) -> None:
    ledger = run.ledger
    account = ledger.account(event["venue"], event.log.address)
    run.expect(event, "assets at the venue", account.assets, event["assets_after"])
    idle = ledger.idle_quote - event["quote"]
    run.expect(event, "idle quote", idle, event["idle_quote_after"])
    ledger.idle_quote = event["idle_quote_after"]
    book = event.log.address
    run.tell(event["venue"], book, assets=-event["assets"], quote=-event["quote"])
    if event["decision_id"] == NO_HASH:
        run.freed_assets -= event["assets"]
        run.expect_told(event, book)


def _spot_traded(run: _Fold, event: Event) -> None:
    idle = run.ledger.idle_quote + event["quote"]
    run.expect(event, "idle quote", idle, event["idle_quote_after"])
    run.ledger.idle_quote = event["idle_quote_after"]
    run.traded = True


def _ratio(run: _Fold, event: Event) -> None:
    run.expect(event, "ratio before", run.ledger.hedge_ratio_bps, event["ratio_before_bps"])
    run.ledger.hedge_ratio_bps = event["ratio_after_bps"]


def _ratio_bounds(run: _Fold, event: Event) -> None:
    ledger = run.ledger
    before = (ledger.min_hedge_ratio_bps, ledger.max_hedge_ratio_bps)
    run.expect(event, "bounds before", before, (event["min_before_bps"], event["max_before_bps"]))
    ledger.min_hedge_ratio_bps = event["min_after_bps"]
    ledger.max_hedge_ratio_bps = event["max_after_bps"]


def _limits(run: _Fold, event: Event) -> None:
    before = run.ledger.limits or dict.fromkeys(event["limits_before"], 0)
    run.expect(event, "limits before", before, event["limits_before"])
    run.ledger.limits = dict(event["limits_after"])


def _fallback(run: _Fold, event: Event) -> None:
    before = run.ledger.fallback or dict.fromkeys(event["terms_before"], 0)
    run.expect(event, "fallback before", before, event["terms_before"])
    run.ledger.fallback = dict(event["terms_after"])


def _fell_back(run: _Fold, event: Event) -> None:
    run.stand_in = event["sender"]


def _flagged(run: _Fold, event: Event) -> None:
    run.ledger.last_price_wad = event["price_wad"]


def _hedge_lost(run: _Fold, event: Event) -> None:
    account = run.ledger.account(event["venue"], event.log.address)
    run.expect(event, "assets there", account.assets, event["assets"])
    run.expect(event, "size there", account.size, event["delta"])


def _unwind_started(run: _Fold, event: Event) -> None:
    run.expect(event, "unwinding before", run.ledger.unwinds, False)
    run.ledger.unwinds = True


def _venue_added(run: _Fold, event: Event) -> None:
    run.expect(event, "venue known", event["venue"] in run.ledger.allotments, False)
    run.ledger.allotments[event["venue"]] = event["allotment_bps"]


def _allotment(run: _Fold, event: Event) -> None:
    before = run.ledger.allotments.get(event["venue"])
    run.expect(event, "allotment before", before, event["allotment_before_bps"])
    run.ledger.allotments[event["venue"]] = event["allotment_after_bps"]


def _vault_set(run: _Fold, event: Event) -> None:
    run.expect(event, "vault before", run.ledger.vault, NO_ADDRESS)
    run.ledger.vault = event["vault"]


def _keeper(run: _Fold, event: Event) -> None:
    run.expect(event, "keeper before", run.ledger.keeper, event["keeper_before"])
    run.ledger.keeper = event["keeper_after"]


def _guardian(run: _Fold, event: Event) -> None:
    run.expect(event, "guardian before", run.ledger.guardian, event["guardian_before"])
    run.ledger.guardian = event["guardian_after"]


def _rebalancing_paused(run: _Fold, event: Event) -> None:
    run.ledger.rebalancing_paused_until = event["paused_until"]


# The owner's side, a timelock


def _proposer(run: _Fold, event: Event) -> None:
    run.expect(event, "proposer before", run.ledger.proposer, event["proposer_before"])
    run.ledger.proposer = event["proposer_after"]


def _canceller(run: _Fold, event: Event) -> None:
    run.expect(event, "guardian before", run.ledger.canceller, event["guardian_before"])
    run.ledger.canceller = event["guardian_after"]


def _delay(run: _Fold, event: Event) -> None:
    run.expect(event, "delay before", run.ledger.delay_secs, event["old_duration"])
    run.ledger.delay_secs = event["new_duration"]


def _scheduled(run: _Fold, event: Event) -> None:
    number = "0x" + event["id"].hex()
    state = run.ledger.operations.get(number, CANCELLED)
    run.expect(event, f"operation {number}", state, CANCELLED)
    least = min(event["delay"], run.ledger.delay_secs)
    run.expect(event, "least delay", run.ledger.delay_secs, least)
    run.ledger.operations[number] = WAITING
    run.proposed[number] = event["target"], event["payload"]


def _executed(run: _Fold, event: Event) -> None:
    number = "0x" + event["id"].hex()
    run.expect(event, f"operation {number}", run.ledger.operations.get(number), WAITING)
    done = event["target"], event["payload"]
    run.expect(event, f"call of {number}", run.proposed.get(number, done), done)
    run.ledger.operations[number] = EXECUTED


def _cancelled(run: _Fold, event: Event) -> None:
    number = "0x" + event["id"].hex()
    run.expect(event, f"operation {number}", run.ledger.operations.get(number), WAITING)
    run.ledger.operations[number] = CANCELLED


# The venue's side: every account, because conservation is nobody's alone


def _opened(run: _Fold, event: Event) -> None:
    run.backstops[event.log.address] = event["pool"]


def _touched(run: _Fold, event: Event, owner: str, funding: int, quote_before: int) -> Account:
    """Settle the funding that the event says was owed."""
    account = run.ledger.account(event.log.address, owner)
    run.expect(event, "quote before", account.quote - funding, quote_before)
    return account


def _margin_deposited(run: _Fold, event: Event) -> None:
    account = _touched(run, event, event["account"], event["funding"], event["quote_before"])
    run.expect(event, "assets", account.assets + event["assets"], event["assets_after"])
    run.expect(event, "quote", event["quote_before"] + event["quote"], event["quote_after"])
    run.tell(event.log.address, event["account"], event["assets"], event["quote"])
    run.ledger.till(event.log.address).quote_held += event["quote"]
    account.assets, account.quote = event["assets_after"], event["quote_after"]


def _margin_withdrawn(run: _Fold, event: Event) -> None:
    account = _touched(run, event, event["account"], event["funding"], event["quote_before"])
    run.expect(event, "assets", account.assets - event["assets"], event["assets_after"])
    run.expect(event, "quote", event["quote_before"] - event["quote"], event["quote_after"])
    run.tell(event.log.address, event["account"], -event["assets"], -event["quote"])
    run.ledger.till(event.log.address).quote_held += event["pulled"] - event["quote"]
    account.assets, account.quote = event["assets_after"], event["quote_after"]


def _traded(run: _Fold, event: Event) -> None:
    account = _touched(run, event, event["account"], event["funding"], event["quote_before"])
    run.expect(event, "size before", account.size, event["size_before"])
    run.expect(event, "entry before", account.entry, event["entry_before"])
    run.expect(event, "size", event["size_before"] + event["size"], event["size_after"])
    run.tell(event.log.address, event["account"], size=event["size"])
    run.ledger.till(event.log.address).fund_claim += event["fund_fee"]
    account.size, account.entry = event["size_after"], event["entry_after"]
    account.quote = event["quote_after"]


def _liquidated(run: _Fold, event: Event) -> None:
    done, venue = event["outcome"], event.log.address
    account = _touched(run, event, event["account"], event["funding"], event["quote_before"])
    run.expect(event, "size", account.size - done["size"], done["size_after"])
    account.assets -= done["assets_sold"]
    account.size, account.entry = done["size_after"], done["entry_after"]
    account.quote = done["quote_after"]
    liquidator = run.ledger.account(venue, event["liquidator"])
    if liquidator.quote >= 0:  # one in debt is settled first, which the event does not show
        paid = liquidator.quote + event["reward"]
        run.expect(event, "liquidator's quote", paid, event["liquidator_quote_after"])
    liquidator.quote = event["liquidator_quote_after"]
    backstop = _backstop(run, event)
    size = backstop.size + done["size"]
    run.expect(event, "backstop size", size, done["backstop_size_after"])
    backstop.size = done["backstop_size_after"]
    backstop.entry = done["backstop_entry_after"]
    _fund_covered(run, event)


def _backstop(run: _Fold, event: Event) -> Account:
    """Return the pool's account at the venue of the event."""
    venue = event.log.address
    return run.ledger.account(venue, run.backstops.get(venue, NO_ADDRESS))


def _fund_covered(run: _Fold, event: Event) -> None:
    """Insurance pays from its claim at the venue first; the rest are tokens that arrive."""
    till = run.ledger.till(event.log.address)
    own = till.fund_claim + event["outcome"]["fund_penalty"] - event["fund_claim_after"]
    till.quote_held += event["covered"] - own
    till.fund_claim = event["fund_claim_after"]
    claim = run.ledger.till(event.log.address).pool_claim
    run.expect(event, "pool claim", claim, event["pool_claim_after"])


def _debt_settled(run: _Fold, event: Event) -> None:
    account = _touched(run, event, event["account"], event["funding"], event["quote_before"])
    run.expect(event, "assets", account.assets - event["assets_sold"], event["assets_after"])
    account.assets, account.quote = event["assets_after"], event["quote_after"]


def _profit_realised(run: _Fold, event: Event) -> None:
    account = _touched(run, event, event["account"], event["funding"], event["quote_before"])
    run.expect(event, "entry before", account.entry, event["entry_before"])
    run.expect(event, "entry", event["entry_before"] + event["quote"], event["entry_after"])
    run.expect(event, "quote", event["quote_before"] + event["quote"], event["quote_after"])
    account.entry, account.quote = event["entry_after"], event["quote_after"]


def _deleveraged(run: _Fold, event: Event) -> None:
    account = _touched(run, event, event["account"], event["funding"], event["quote_before"])
    run.expect(event, "size", account.size - event["size"], event["size_after"])
    run.expect(event, "entry before", account.entry, event["entry_before"])
    account.size, account.entry = event["size_after"], event["entry_after"]
    account.quote = event["quote_after"]


def _backstop_changed(run: _Fold, event: Event) -> None:
    backstop = _backstop(run, event)
    run.expect(event, "backstop size", backstop.size, event["size_before"])
    run.expect(event, "backstop entry", backstop.entry, event["entry_before"])
    backstop.size, backstop.entry = event["size_after"], event["entry_after"]


def _backstop_taken(run: _Fold, event: Event) -> None:
    _traded(run, event)
    backstop = _backstop(run, event)
    before, after = event["backstop_size_before"], event["backstop_size_after"]
    run.expect(event, "backstop size before", backstop.size, before)
    run.expect(event, "backstop entry before", backstop.entry, event["backstop_entry_before"])
    run.expect(event, "backstop size", before - event["size"], after)
    backstop.size, backstop.entry = after, event["backstop_entry_after"]


def _wound_up(run: _Fold, event: Event) -> None:
    run.ledger.till(event.log.address).quote_held += event["quote"]


def _account_closed(run: _Fold, event: Event) -> None:
    account = _touched(run, event, event["account"], event["funding"], event["quote_before"])
    run.expect(event, "size", account.size, event["size"])
    account.size = account.entry = 0
    account.assets -= event["assets_sold"]
    account.quote = event["quote_after"]
    till = run.ledger.till(event.log.address)
    own = min(event["covered"], till.fund_claim)
    till.fund_claim -= own
    till.quote_held += event["covered"] - own


def _claims_fixed(run: _Fold, event: Event) -> None:
    backstop, till = _backstop(run, event), run.ledger.till(event.log.address)
    backstop.size = backstop.entry = 0
    run.expect(event, "fund claim", till.fund_claim, event["fund_claim_before"])
    till.fund_claim = event["fund_claim_after"]
    till.quote_held -= event["quote"]


def _account_released(run: _Fold, event: Event) -> None:
    account = run.ledger.account(event.log.address, event["account"])
    run.expect(event, "assets before", account.assets, event["assets_before"])
    run.expect(event, "quote before", account.quote, event["quote_before"])
    account.assets, account.quote = event["assets_after"], event["quote_after"]


def _pool_settled(run: _Fold, event: Event) -> None:
    till = run.ledger.till(event.log.address)
    run.expect(event, "quote held", till.quote_held - event["quote"], event["quote_held_after"])
    till.quote_held = event["quote_held_after"]
    claim = run.ledger.till(event.log.address).pool_claim
    run.expect(event, "pool claim", claim, event["pool_claim_after"])


def _fund_paid(run: _Fold, event: Event) -> None:
    till = run.ledger.till(event.log.address)
    run.expect(event, "fund claim", till.fund_claim - event["quote"], event["fund_claim_after"])
    till.fund_claim, till.quote_held = event["fund_claim_after"], event["quote_held_after"]
    claim = run.ledger.till(event.log.address).pool_claim
    run.expect(event, "pool claim", claim, event["pool_claim_after"])


_BOOKINGS: Final[dict[tuple[str, str], Callable[[_Fold, Event], None]]] = {
    ("HedgeVault", "Transfer"): _transfer,
    ("HedgeVault", "FlowPriced"): _flow,
    ("HedgeVault", "IdleMoved"): _idle_moved,
    ("HedgeVault", "BaseChargeSet"): _base_charge,
    ("HedgeVault", "EntryPaused"): _entry_paused,
    ("HedgeVault", "OwnershipTransferred"): _owner,
    ("HedgeVault", "PaidInKind"): _paid_in_kind,
    ("HedgeVault", "SettledInKind"): _settled_in_kind,
    ("HedgeBook", "QuotePaidInKind"): _quote_paid_in_kind,
    ("ExitInKind", "ExitedInKind"): _exited,
    ("ExitInKind", "Transfer"): _claims_moved,
    ("ExitInKind", "ExitsSettled"): _exits_settled,
    ("ExitInKind", "ClaimsRedeemed"): _claims_redeemed,
    ("RedemptionQueue", "RedemptionRequested"): _requested,
    ("RedemptionQueue", "RedemptionFilled"): _filled,
    ("RedemptionQueue", "RedemptionCancelled"): _given_back,
    ("RedemptionQueue", "RedemptionLapsed"): _given_back,
    ("RedemptionQueue", "ClaimPaid"): _claim_paid,
    ("HedgeBook", "Rebalanced"): _rebalanced,
    ("HedgeBook", "HedgeTraded"): _hedge_traded,
    ("HedgeBook", "MarginMoved"): _margin_moved,
    ("HedgeBook", "SpotTraded"): _spot_traded,
    ("HedgeBook", "HedgeRatioSet"): _ratio,
    ("HedgeBook", "HedgeRatioBoundsSet"): _ratio_bounds,
    ("HedgeBook", "LimitsSet"): _limits,
    ("HedgeBook", "FallbackSet"): _fallback,
    ("HedgeBook", "FellBack"): _fell_back,
    ("HedgeBook", "Flagged"): _flagged,
    ("HedgeBook", "HedgeLost"): _hedge_lost,
    ("HedgeBook", "UnwindStarted"): _unwind_started,
    ("HedgeBook", "VenueAdded"): _venue_added,
    ("HedgeBook", "AllotmentSet"): _allotment,
    ("HedgeBook", "VaultSet"): _vault_set,
    ("HedgeBook", "KeeperSet"): _keeper,
    ("HedgeBook", "GuardianSet"): _guardian,
    ("HedgeBook", "RebalancingPaused"): _rebalancing_paused,
    ("HedgeBook", "OwnershipTransferred"): _owner,
    ("Timelock", "ProposerSet"): _proposer,
    ("Timelock", "GuardianSet"): _canceller,
    ("Timelock", "MinimumDelayChange"): _delay,
    ("Timelock", "CallScheduled"): _scheduled,
    ("Timelock", "CallExecuted"): _executed,
    ("Timelock", "Cancelled"): _cancelled,
    ("PerpVenue", "VenueOpened"): _opened,
    ("PerpVenue", "MarginDeposited"): _margin_deposited,
    ("PerpVenue", "MarginWithdrawn"): _margin_withdrawn,
    ("PerpVenue", "Traded"): _traded,
    ("PerpVenue", "AccountLiquidated"): _liquidated,
    ("PerpVenue", "DebtSettled"): _debt_settled,
    ("PerpVenue", "ProfitRealised"): _profit_realised,
    ("PerpVenue", "AccountDeleveraged"): _deleveraged,
    ("PerpVenue", "BackstopChanged"): _backstop_changed,
    ("PerpVenue", "BackstopUnwound"): _backstop_changed,
    ("PerpVenue", "BackstopTaken"): _backstop_taken,
    ("PerpVenue", "WoundUp"): _wound_up,
    ("PerpVenue", "AccountClosed"): _account_closed,
    ("PerpVenue", "ClaimsFixed"): _claims_fixed,
    ("PerpVenue", "AccountReleased"): _account_released,
    ("PerpVenue", "PoolSettled"): _pool_settled,
    ("PerpVenue", "FundPaid"): _fund_paid,
}


def compare(ledger: Ledger, state: Ledger) -> list[str]:
    """
    Return every difference between the replay and a ledger read from the chain, one line each.

    Accounts and holders that are empty on both sides are equal; `faults` are not compared.
    """
    lines = []
    for part in fields(Ledger):
        if part.name == "faults":
            continue
        replayed, read = getattr(ledger, part.name), getattr(state, part.name)
        if isinstance(replayed, dict):
            lines += _dict_differences(part.name, replayed, read)
        elif replayed != read:
            lines.append(
                f"{part.name}: the events give {_shown(replayed)}, the chain {_shown(read)}"
            )
    return lines


def _dict_differences(name: str, replayed: dict[Any, Any], read: dict[Any, Any]) -> list[str]:
    lines = []
    for key in sorted(replayed.keys() | read.keys()):
        left, right = replayed.get(key), read.get(key)
        if left == right or (_empty(left) and _empty(right)):
            continue
        place = " ".join(map(str, key)) if isinstance(key, tuple) else key
        lines.append(f"{name} {place}: the events give {left}, the chain {right}")
    return lines


def _empty(value: Any) -> bool:
    return value is None or value in (0, Account(), Till(), Waiting(), Round())
