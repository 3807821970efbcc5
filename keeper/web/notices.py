# SPDX-License-Identifier: MIT
"""
What exits in kind and owners of vaults have logged, followed from block to block.

One query a block for any number of vaults; more only for what never changes, once, and while
something waits at an owner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from eth_abi.exceptions import DecodingError

from keeper import abi, exits, proposals
from keeper.errors import CorruptAnswer
from keeper.events import Event, topics_of
from keeper.proposals import RECORDS, Owner, Proposal, Waiting
from keeper.replay import Batch, fetch_events, in_batches
from keeper.rpc import RpcFault
from keeper.snapshot import Address, VaultSnapshot
from keeper.web.seen import Noticed

EXIT: Final = "ExitInKind"
TIMELOCK: Final = "Timelock"
SETTLED_BLOCKS: Final = 64  # under the head, that a reorganisation is not expected to reach

_Question = tuple[Any, ...]  # contract type, address, view, arguments


class Notices:
    """
    Reads what is noticed, and remembers what cannot change.

    Parameters
    ----------
    batch : callable
        Sends JSON-RPC calls to one node, as `keeper.chain.Chain.batch`.
    first_block : int
        At or before the deployment, where events begin.
    """

    def __init__(self, batch: Batch, first_block: int) -> None:
        self._batch, self._first_block = batch, first_block
        self._terms: dict[Address, exits.Terms] = {}  # by vault
        self._names: dict[str, str] = {}  # contract types by address
        self._owners: dict[tuple[Address, int], Owner] = {}  # by address and events so far
        self._followed: tuple[frozenset[str], int] = (frozenset(), 0)  # whom, to which block
        self._settled: tuple[Event, ...] = ()

    def read(self, vaults: Sequence[VaultSnapshot], block: int) -> Noticed:
        """
        Return what is so at a block.

        Raises
        ------
        ChainUnavailable
            If the node refuses a read.
        CorruptAnswer
            If an answer is not what our contracts give.
        """
        self._meet(vaults)
        contracts: dict[str, str] = {self._terms[each.vault].address: EXIT for each in vaults}
        contracts |= {each.owner: TIMELOCK for each in vaults}
        by_address: dict[str, list[Event]] = {address: [] for address in contracts}
        for event in self._events(contracts, block):
            by_address[event.log.address].append(event)
        found = {
            each.vault: exits.exits_of(
                by_address[self._terms[each.vault].address], self._terms[each.vault]
            )
            for each in vaults
        }
        owners = {each.owner for each in vaults}
        return Noticed(
            exits=found,
            owners={owner: self._owner(owner, by_address[owner]) for owner in sorted(owners)},
            whose={own: each.vault for each in vaults for own in (each.vault, each.book)},
        )

    # What never changes

    def _meet(self, vaults: Sequence[VaultSnapshot]) -> None:
        """Ask new vaults for their exits and parts, once."""
        new = [each for each in vaults if each.vault not in self._terms]
        at = self._ask([("HedgeVault", each.vault, "exit_in_kind") for each in new])
        terms = self._ask([(EXIT, each, view) for each in at for view in ("DELAY", "PATIENCE")])
        venues = sorted({v.venue for each in new for v in each.venues} - self._names.keys())
        parts = self._ask(
            [("PerpVenue", venue, view) for venue in venues for view in ("POOL", "FUND")],
            may_refuse=True,  # another kind of venue
        )
        for i, each in enumerate(new):
            self._names |= {each.vault: "HedgeVault", each.book: "HedgeBook"}
            self._names |= {each.owner: TIMELOCK, at[i]: EXIT}
        for i, venue in enumerate(venues):
            pool, fund = parts[2 * i : 2 * i + 2]
            known = {venue: "PerpVenue", pool: "LiquidityPool", fund: "InsuranceFund"}
            self._names |= {address: name for address, name in known.items() if address}
        for i, each in enumerate(new):
            delay, patience = terms[2 * i : 2 * i + 2]
            self._terms[each.vault] = exits.Terms(
                address=at[i], delay_secs=delay, patience_secs=patience
            )

    # What was logged

    def _events(self, contracts: dict[str, str], block: int) -> tuple[Event, ...]:
        """Return all events; those under the reach of a reorganisation are asked for once."""
        whom = frozenset(contracts)
        (followed, edge), settled = self._followed, self._settled
        if followed != whom or block < edge:  # other vaults, or a chain that was set back
            edge, settled = self._first_block - 1, ()
        topics = topics_of(EXIT, *exits.LOGGED) + topics_of(TIMELOCK, *proposals.LOGGED)
        newer = fetch_events(self._batch, contracts, edge + 1, block, topics)
        both = (*settled, *newer)
        edge = max(edge, block - SETTLED_BLOCKS)
        self._settled = tuple(event for event in both if event.log.block <= edge)
        self._followed = (whom, edge)
        return both

    # What waits

    def _owner(self, address: Address, events: Sequence[Event]) -> Owner:
        waits = proposals.waiting_of(events)
        key = (address, len(events))
        if key not in self._owners:
            self._owners = {k: v for k, v in self._owners.items() if k[0] != address}
            self._owners[key] = self._ask_owner(address)
        owner = self._owners[key]
        return replace(owner, proposals=self._proposals(owner, waits)) if waits else owner

    def _ask_owner(self, address: Address) -> Owner:
        views = ("get_minimum_delay", "proposer", "guardian")
        said = self._ask([(TIMELOCK, address, view) for view in views], may_refuse=True)
        if None in said:
            return Owner(address=address)
        delay, proposer, guardian = said
        return Owner(address=address, delay_secs=delay, proposer=proposer, guardian=guardian)

    def _proposals(self, owner: Owner, waits: Sequence[Waiting]) -> tuple[Proposal, ...]:
        records = [self._record(each) for each in waits]
        grace, *answers = self._ask(
            [
                (TIMELOCK, owner.address, "GRACE"),
                *((TIMELOCK, owner.address, "get_timestamp", each.id) for each in waits),
                *(record for record in records if record is not None),
            ]
        )
        present = iter(answers[len(waits) :])
        found = [
            self._proposal(each, due_at, grace, next(present) if record is not None else {})
            for each, due_at, record in zip(waits, answers[: len(waits)], records, strict=True)
        ]
        return tuple(sorted(found, key=lambda each: (each.due_at, each.id)))

    def _record(self, each: Waiting) -> _Question | None:
        """Return how to ask for the record that a call replaces, if it replaces one."""
        kind = self._names.get(each.target, "")
        view = RECORDS.get(proposals.method_of(kind, each.payload))
        return None if view is None else (kind, each.target, view)

    def _proposal(
        self, each: Waiting, due_at: int, grace: int, present: Mapping[str, Any]
    ) -> Proposal:
        kind, first = self._names.get(each.target, ""), each.predecessor
        call = proposals.call_words(kind, each.target, each.payload, self._names, present)
        return Proposal(
            id="0x" + each.id.hex(),
            target=each.target,
            means=proposals.means(kind, each.payload),
            call=call,
            after="" if first == proposals.NO_PREDECESSOR else "0x" + first.hex(),
            due_at=due_at,
            expires_at=due_at + grace,
        )

    # Views

    def _ask(self, questions: Sequence[_Question], *, may_refuse: bool = False) -> list[Any]:
        """Return what views answer at the head; None for one that may refuse and does."""
        calls = [
            (
                "eth_call",
                [{"to": to, "data": "0x" + abi.call_data(kind, view, *given).hex()}, "latest"],
            )
            for kind, to, view, *given in questions
        ]
        answers = in_batches(self._forgiving if may_refuse else self._batch, calls)
        return [
            _answer(kind, view, words, may_refuse)
            for (kind, _, view, *_), words in zip(questions, answers, strict=True)
        ]

    def _forgiving(self, calls: Sequence[tuple[str, list[Any]]]) -> list[Any]:
        answers = self._batch(calls)
        return [None if isinstance(each, RpcFault) and each.reverted else each for each in answers]


def _answer(kind: str, view: str, words: Any, may_refuse: bool) -> Any:
    if may_refuse and words in (None, "0x"):
        return None
    try:
        return abi.answer(kind, view, bytes.fromhex(words[2:]))
    except (DecodingError, TypeError, ValueError) as fault:
        raise CorruptAnswer(f"{kind}.{view}: an answer does not fit its contract") from fault
