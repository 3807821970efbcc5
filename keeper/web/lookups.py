# SPDX-License-Identifier: MIT
"""
What a page asks the chain only when somebody looks at it: a depositor, a venue, a receipt.

Reads at the newest block; answers about one block are kept until the next.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeVar

from eth_abi.exceptions import DecodingError

from keeper import abi
from keeper.chain import Chain
from keeper.errors import CorruptAnswer, Fault
from keeper.events import Event, decode_logs, topics_of
from keeper.replay import fetch_events, in_batches, log_of
from keeper.rpc import RpcFault
from keeper.snapshot import Address, VaultSnapshot
from keeper.upkeep import Venue
from keeper.upkeep_reading import read as read_venue
from keeper.web.seen import Holding, Request

MAX_REQUESTS: Final = 200  # of the queue, that are looked at
SETTLED_BLOCKS: Final = 64  # under the head, that a reorganisation is not expected to reach
KEPT: Final = 64  # answers
FLOWS: Final = ("FlowPriced", "Transfer")
FILLS: Final = ("RedemptionFilled",)
VAULT: Final = "HedgeVault"
QUEUE: Final = "RedemptionQueue"

Found = TypeVar("Found")


class Lookups:
    """
    Questions to the chain, a few at a time.

    Parameters
    ----------
    first_block : int
        At or before the deployment, where events begin.
    """

    def __init__(self, chain: Chain, first_block: int) -> None:
        self._chain, self._first_block = chain, first_block
        self._lock = threading.Lock()
        self._kept: dict[tuple[Any, ...], Any] = {}
        self._flows: dict[Address, tuple[int, tuple[Event, ...]]] = {}  # to which block, what

    def venue(self, venue: Address, block: int) -> Venue:
        """Return a venue with its accounts; `block` says how fresh it must be."""
        question = ("venue", venue, block)
        return self._once(question, lambda: read_venue(self._chain.batch, venue, self._first_block))

    def holding(self, vault: VaultSnapshot, owner: Address, block: int) -> Holding:
        """Return what an account has in a vault."""
        return self._once(
            ("holding", vault.vault, owner, block), lambda: self._holding(vault, owner, block)
        )

    def receipt_events(self, vault: VaultSnapshot, tx_hash: str) -> list[Event]:
        """
        Return the events of a vault's own contracts in a transaction.

        Raises
        ------
        Fault
            If the chain does not know the transaction, or answers what cannot be.
        """
        (answer,) = in_batches(self._chain.batch, [("eth_getTransactionReceipt", [tx_hash])])
        if not isinstance(answer, dict):
            raise Fault("the chain has no such transaction any more")
        ours: dict[str, str] = {vault.vault: VAULT, vault.book: "HedgeBook"}
        ours |= {venue.venue: "PerpVenue" for venue in vault.venues}
        return decode_logs([log_of(found) for found in answer.get("logs", ())], ours)

    def _once(self, question: tuple[Any, ...], find: Callable[[], Found]) -> Found:
        """Ask once for each block; others who want to know wait for the answer."""
        with self._lock:
            if question not in self._kept:
                while len(self._kept) >= KEPT:
                    del self._kept[next(iter(self._kept))]
                self._kept[question] = find()
            found: Found = self._kept[question]
            return found

    def _holding(self, vault: VaultSnapshot, owner: Address, block: int) -> Holding:
        at = vault.vault
        shares, most, queue = self._ask(
            [
                (VAULT, at, "balanceOf", owner),
                (VAULT, at, "maxWithdraw", owner),
                (VAULT, at, "queue"),
            ]
        )
        worth, exit_assets, claim, first, count = self._ask(
            [
                (VAULT, at, "convertToAssets", shares),
                (VAULT, at, "previewRedeem", shares),
                (QUEUE, queue, "claim_of", owner),
                (QUEUE, queue, "first"),
                (QUEUE, queue, "count"),
            ],
            may_revert=("previewRedeem",),
        )
        return Holding(
            owner=owner,
            queue=queue,
            shares=shares,
            worth_assets=worth,
            exit_assets=exit_assets,
            max_withdraw=most,
            claim_assets=claim,
            requests=self._requests(queue, first, min(count, first + MAX_REQUESTS)),
            requests_in_all=count - first,
            events=self._events(at, queue, block),
        )

    def _requests(self, queue: Address, first: int, end: int) -> tuple[Request, ...]:
        delay, cancel_delay, *stored = self._ask(
            [
                (QUEUE, queue, "DELAY"),
                (QUEUE, queue, "CANCEL_DELAY"),
                *((QUEUE, queue, "request_of", number) for number in range(first, end)),
            ]
        )
        return tuple(
            Request(
                number=first + i,
                owner=Address(request["owner"]),
                shares=request["shares"],
                min_assets=request["min_assets"],
                due_at=request["requested_at"] + delay,
                cancel_at=request["requested_at"] + cancel_delay,
            )
            for i, request in enumerate(stored)
            if request["shares"]
        )

    def _events(self, vault: Address, queue: Address, block: int) -> tuple[Event, ...]:
        """Return all flows; those under the reach of a reorganisation are asked for once."""
        settled, kept = self._flows.get(vault, (self._first_block - 1, ()))
        contracts: dict[str, str] = {vault: VAULT, queue: QUEUE}
        topics = topics_of(VAULT, *FLOWS) + topics_of(QUEUE, *FILLS)
        newer = fetch_events(self._chain.batch, contracts, settled + 1, block, topics)
        both = (*kept, *newer)
        edge = max(settled, block - SETTLED_BLOCKS)
        self._flows[vault] = (edge, tuple(event for event in both if event.log.block <= edge))
        return both

    def _ask(
        self, questions: Sequence[tuple[Any, ...]], may_revert: Sequence[str] = ()
    ) -> list[Any]:
        """Return what views answer at the head; None for one that may revert and does."""
        calls = [
            (
                "eth_call",
                [{"to": to, "data": "0x" + abi.call_data(kind, view, *given).hex()}, "latest"],
            )
            for kind, to, view, *given in questions
        ]
        answers = [
            a for i in range(0, len(calls), 100) for a in self._chain.batch(calls[i : i + 100])
        ]
        return [
            _answer(kind, view, words, view in may_revert)
            for (kind, _, view, *_), words in zip(questions, answers, strict=True)
        ]


def _answer(kind: str, view: str, words: Any, may_revert: bool) -> Any:
    if isinstance(words, RpcFault):
        if may_revert:
            return None
        raise Fault(f"{kind}.{view} gives no answer: {words.message}")
    try:
        return abi.answer(kind, view, bytes.fromhex(words[2:]))
    except (DecodingError, TypeError, ValueError) as fault:
        raise CorruptAnswer(f"{kind}.{view}: an answer does not fit its contract") from fault
