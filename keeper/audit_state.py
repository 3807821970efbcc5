# SPDX-License-Identifier: MIT
"""
The ledger as the contracts themselves state it, to hold a replay of the events against.

Asks through a function that the chain's edge provides, all at one block.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from keeper import abi
from keeper.audit import (
    CANCELLED,
    EXECUTED,
    NO_ADDRESS,
    WAITING,
    Account,
    Ledger,
    Round,
    Till,
    Waiting,
)

Call = Callable[[str, bytes], bytes]  # address and data to the words of the answer


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """
    Lower-case addresses of what is audited: a vault, its book, queue, exit, venues and owner.

    `timelock` is `None` where the owner is something else.
    """

    vault: str
    book: str
    queue: str
    exit: str
    venues: tuple[str, ...]
    timelock: str | None

    def contracts(self) -> dict[str, str]:
        """Return the contract type by address, as `events.decode_logs` wants it."""
        venues = dict.fromkeys(self.venues, "PerpVenue")
        own = {self.vault: "HedgeVault", self.book: "HedgeBook", self.queue: "RedemptionQueue"}
        owner = {} if self.timelock is None else {self.timelock: "Timelock"}
        return {**own, self.exit: "ExitInKind", **venues, **owner}


def read_ledger(call: Call, system: System, replayed: Ledger) -> Ledger:
    """
    Return the chain's own ledger.

    Parameters
    ----------
    call : callable
        Asks the chain at one fixed block.
    system : System
        Which contracts.
    replayed : Ledger
        Whose keys are asked for: holders of shares, owners of claims, requests, accounts.

    Notes
    -----
    Requests that are over by the replay are not asked for; `pending_shares` would differ if one
    of them were not.
    If the holders' shares do not sum to the supply, the difference is put down to a holder named
    ``unknown``, which no replay has.
    """
    asked = _Asked(call, system)
    state = asked.book("state")
    ledger = Ledger(
        shares={holder: asked.vault("balanceOf", holder) for holder in replayed.shares},
        idle_assets=asked.vault("idle_assets"),
        base_charge_bps=asked.vault("base_charge_bps"),
        entry_paused_until=asked.vault("entry_paused_until"),
        vault=asked.book("vault"),
        idle_quote=state["idle_quote"],
        nonce=state["nonce"],
        audit_head=state["audit_head"],
        hedge_ratio_bps=state["hedge_ratio_bps"],
        min_hedge_ratio_bps=state["min_hedge_ratio_bps"],
        max_hedge_ratio_bps=state["max_hedge_ratio_bps"],
        limits=asked.book("limits"),
        fallback=asked.book("fallback_terms"),
        unwinds=state["unwinds"],
        allotments=asked.allotments(),
        keeper=asked.book("keeper"),
        guardian=asked.book("guardian"),
        rebalancing_paused_until=state["paused_until"],
        last_price_wad=state["last_price_wad"],
        rebalanced_at=state["rebalanced_at"],
        owners={"HedgeVault": asked.vault("owner"), "HedgeBook": asked.book("owner")},
        tills={venue: asked.till(venue) for venue in system.venues},
        accounts={key: asked.account(*key) for key in replayed.accounts if key[1] != NO_ADDRESS},
        requests={
            number: asked.waiting(number)
            for number, waiting in replayed.requests.items()
            if waiting.shares
        },
        request_count=asked.queue("count"),
        pending_shares=asked.queue("pending_shares"),
        claims={owner: asked.queue("claim_of", owner) for owner in replayed.claims},
        reserved_assets=asked.queue("reserved_assets"),
        hollow_shares=asked.exit("hollow_shares"),
        exit_round=asked.exit("round"),
        exit_rounds={number: asked.round_of(number) for number in replayed.exit_rounds},
        exit_claims={
            (number, owner): asked.exit("balanceOf", owner, number)
            for number, owner in replayed.exit_claims
        },
    )
    if system.timelock is not None:
        ledger.proposer = asked.timelock("proposer")
        ledger.canceller = asked.timelock("guardian")
        ledger.delay_secs = asked.timelock("get_minimum_delay")
        ledger.operations = {number: asked.operation(number) for number in replayed.operations}
    missing = asked.vault("totalSupply") - ledger.supply
    if missing:
        ledger.shares["unknown"] = missing
    return ledger


class _Asked:
    """The views of one system."""

    def __init__(self, call: Call, system: System) -> None:
        self._call = call
        self._system = system

    def _ask(self, address: str, contract: str, view: str, *arguments: Any) -> Any:
        data = abi.call_data(contract, view, *arguments)
        return abi.answer(contract, view, self._call(address, data))

    def vault(self, view: str, *arguments: Any) -> Any:
        return self._ask(self._system.vault, "HedgeVault", view, *arguments)

    def book(self, view: str, *arguments: Any) -> Any:
        return self._ask(self._system.book, "HedgeBook", view, *arguments)

    def queue(self, view: str, *arguments: Any) -> Any:
        return self._ask(self._system.queue, "RedemptionQueue", view, *arguments)

    def timelock(self, view: str, *arguments: Any) -> Any:
        return self._ask(str(self._system.timelock), "Timelock", view, *arguments)

    def operation(self, number: str) -> str:
        """Return the state of an operation in the words of the replay."""
        at: int = self.timelock("get_timestamp", bytes.fromhex(number[2:]))
        return {0: CANCELLED, 1: EXECUTED}.get(at, WAITING)

    def exit(self, view: str, *arguments: Any) -> Any:
        return self._ask(self._system.exit, "ExitInKind", view, *arguments)

    def round_of(self, number: int) -> Round:
        left: Mapping[str, int] = self.exit("round_of", number)
        return Round(claims=left["claims"], shares=left["shares"])

    def waiting(self, number: int) -> Waiting:
        stored: Mapping[str, Any] = self.queue("request_of", number)
        return Waiting(
            owner=stored["owner"], shares=stored["shares"], min_assets=stored["min_assets"]
        )

    def allotments(self) -> dict[str, int]:
        venues = [self.book("venues", i) for i in range(self.book("venue_count"))]
        return {venue: self.book("allotment_bps", venue) for venue in venues}

    def account(self, venue: str, owner: str) -> Account:
        stored: Mapping[str, int] = self._ask(venue, "PerpVenue", "account", owner)
        return Account(
            assets=stored["assets"],
            quote=stored["quote"],
            size=stored["size"],
            entry=stored["entry"],
        )

    def till(self, venue: str) -> Till:
        held = self._ask(venue, "PerpVenue", "reserves")["quote_held"]
        state: Mapping[str, int] = self._ask(venue, "PerpVenue", "state")
        return Till(quote_held=held, fund_claim=state["fund_claim"], pool_claim=state["pool_claim"])
