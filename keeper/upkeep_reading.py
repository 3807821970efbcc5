# SPDX-License-Identifier: MIT
"""
What `keeper.upkeep` decides on, read of one venue at one block.

Only the venue's address has to be known: it names its parts, and its events name the accounts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from keeper.abi import answer, call_data
from keeper.errors import CorruptAnswer
from keeper.events import Event, topics_of
from keeper.replay import Batch, block_times, fetch_events, in_batches
from keeper.snapshot import Address, Margin, Market
from keeper.units import Assets, Quote, Wad, price_divisor
from keeper.upkeep import (
    POOL,
    VENUE,
    Account,
    Cause,
    Failures,
    Pool,
    PoolRequest,
    Running,
    Stage,
    Terms,
    Venue,
)

DECIMALS: Final = "0x" + keccak(text="decimals()")[:4].hex()
OWNERS: Final = {  # events after which somebody may have an account, and who
    "MarginDeposited": "account",
    "Traded": "account",
    "BackstopTaken": "account",
    "AccountLiquidated": "liquidator",
}
OF_VENUE: Final = (
    *OWNERS,
    "VenueOpened",
    "BackstopUnwound",
    "DeleveragingBegun",
    "AccountsListed",
    "AccountDeleveraged",
    "ClaimsFixed",
    "AccountReleased",
)
OF_POOL: Final = ("ProvisionRequested", "RemovalRequested")

_Question = tuple[str, str, str, tuple[Any, ...]]  # contract type, address, view, arguments


@dataclass(frozen=True, slots=True, kw_only=True)
class _History:
    """What the events tell."""

    opened: Event
    owners: tuple[Address, ...]
    providers: tuple[Address, ...]
    released: frozenset[Address]
    unwound_block: int | None
    cut: frozenset[Address]  # in the last batch
    chunks: tuple[int, ...]  # of the list of the last batch
    claims_fixed: bool


def read(batch: Batch, venue: Address, first_block: int) -> Venue:
    """
    Return the venue at the head of the chain.

    Parameters
    ----------
    batch : callable
        Sends JSON-RPC calls to one node, as `keeper.chain.Chain.batch`.
    venue : Address
        Lower case.
    first_block : int
        At or before the one that the venue was deployed in.

    Raises
    ------
    ChainUnavailable
        If the node refuses a read.
    CorruptAnswer
        If an answer is not what our contracts give.
    """
    (head,) = in_batches(batch, [("eth_getBlockByNumber", ["latest", False])])
    block, at = int(head["number"], 16), int(head["timestamp"], 16)
    (parts,) = _ask(batch, block, [(VENUE, venue, "parts", ())])
    contracts = {venue: VENUE, parts["pool"]: POOL}
    topics = topics_of(VENUE, *OF_VENUE) + topics_of(POOL, *OF_POOL)
    history = _history(fetch_events(batch, contracts, first_block, block, topics), parts["pool"])
    return _at_block(batch, venue, history, block, at)


def _at_block(batch: Batch, venue: Address, history: _History, block: int, at: int) -> Venue:
    opened = history.opened
    (stage_read, state, reserves, running, queued_longs, queued_shorts, flag, priced) = _ask(
        batch,
        block,
        [
            *_of(venue, "stage", "state", "reserves", "batch"),
            (VENUE, venue, "queue", (True,)),
            (VENUE, venue, "queue", (False,)),
            *_of(venue, "wind_up_flag"),
            ("PriceOracle", opened["oracle"], "try_read", ()),
        ],
    )
    stage = Stage(stage_read)
    good, price, reason = priced
    price_wad = price["price_wad"] if good else state["price_wad"]
    if stage == Stage.BATCH:
        price_wad = running["price_wad"]
    elif stage == Stage.CLOSED:
        price_wad = state["price_wad"]
    market, backstop = _ask(
        batch,
        block,
        [(VENUE, venue, "market", (price_wad,)), (VENUE, venue, "account", (opened["pool"],))],
    )
    return Venue(
        address=venue,
        fund=opened["fund"],
        block=block,
        at=at,
        stage=stage,
        price_ok=good,
        price_reason=reason,
        price_wad=Wad(price_wad),
        round_id=price["round_id"],
        divisor=_divisor(batch, block, opened),
        market=Market(**market),
        terms=_terms(opened["terms"]),
        backstop_size=backstop["size"],
        unwound_at=_time_of(batch, history.unwound_block),
        accrued_at=state["accrued_at"],
        pool_claim=state["pool_claim"],
        fund_claim=state["fund_claim"],
        debt=reserves["debt"],
        pool_assets=reserves["pool_assets"],
        failed_shorts=_failures(queued_shorts),
        failed_longs=_failures(queued_longs),
        pool=_pool(batch, block, opened["pool"], history.providers),
        accounts=_accounts(batch, block, venue, history, price_wad),
        running=_running(running, history) if stage == Stage.BATCH else None,
        wind_up_cause=flag[0],
        wind_up_flagged_at=flag[1],
        claims_fixed=history.claims_fixed,
    )


# What the events tell


def _history(events: Sequence[Event], pool: Address) -> _History:
    opened = [event for event in events if event.name == "VenueOpened"]
    if not opened:
        raise CorruptAnswer("the venue opened before the first block that was asked for")
    begun = [i for i, event in enumerate(events) if event.name == "DeleveragingBegun"]
    since = events[begun[-1] :] if begun else []
    return _History(
        opened=opened[0],
        owners=_sorted(
            event[OWNERS[event.name]]
            for event in events
            if event.name in OWNERS and event[OWNERS[event.name]] != pool
        ),
        providers=_sorted(event["provider"] for event in events if event.name in OF_POOL),
        released=frozenset(event["account"] for event in events if event.name == "AccountReleased"),
        unwound_block=_last_block(events, "BackstopUnwound"),
        cut=frozenset(event["account"] for event in since if event.name == "AccountDeleveraged"),
        chunks=tuple(event["owners"] for event in since if event.name == "AccountsListed"),
        claims_fixed=any(event.name == "ClaimsFixed" for event in events),
    )


def _last_block(events: Sequence[Event], name: str) -> int | None:
    return max((event.log.block for event in events if event.name == name), default=None)


def _sorted(addresses: Iterable[str]) -> tuple[Address, ...]:
    return tuple(Address(each) for each in sorted(set(addresses)))


# What the contracts answer


def _accounts(
    batch: Batch, block: int, venue: Address, history: _History, price_wad: int
) -> tuple[Account, ...]:
    owners = history.owners
    margins = _ask(batch, block, [(VENUE, venue, "margin", (each, price_wad)) for each in owners])
    found = _ask(
        batch, block, [(VENUE, venue, "liquidation", (each, price_wad)) for each in owners]
    )
    claims = _ask(batch, block, [(VENUE, venue, "profit_claim", (each,)) for each in owners])
    return tuple(
        Account(
            owner=owner,
            margin=Margin(**margin),
            liquidatable=liquidatable,
            size=Assets(size),
            reward=Quote(reward),
            profit_claim=Quote(claim),
            released=owner in history.released,
        )
        for owner, margin, (liquidatable, size, reward), claim in zip(
            owners, margins, found, claims, strict=True
        )
    )


def _pool(batch: Batch, block: int, pool: Address, providers: Sequence[Address]) -> Pool:
    views = ("MIN_DELAY", "WINDOW", "PRICE_STAND", "total_shares", "noted_price")
    min_delay, window, stand, shares, noted = _ask(
        batch, block, [(POOL, pool, view, ()) for view in views]
    )
    entries = _ask(batch, block, [(POOL, pool, "provision_of", (each,)) for each in providers])
    exits = _ask(batch, block, [(POOL, pool, "removal_of", (each,)) for each in providers])
    asked = [
        *((owner, True, entry) for owner, entry in zip(providers, entries, strict=True)),
        *((owner, False, leaving) for owner, leaving in zip(providers, exits, strict=True)),
    ]
    return Pool(
        min_delay=min_delay,
        window=window,
        price_stand=stand,
        total_shares=shares,
        noted=(noted["price_wad"], noted["round_id"], noted["noted_at"]),
        requests=tuple(
            PoolRequest(
                owner=owner,
                entering=entering,
                round_id=request["round_id"],
                requested_at=request["requested_at"],
            )
            for owner, entering, request in asked
            if request["quote" if entering else "shares"]
        ),
    )


def _running(batch: dict[str, Any], history: _History) -> Running:
    return Running(
        cause=Cause(batch["cause"]),
        side=batch["side"],
        listed=batch["listed"],
        chunks=history.chunks,
        chunks_cut=batch["chunks_cut"],
        cut=history.cut,
        deadline=batch["deadline"],
    )


def _failures(waiting: tuple[int, int]) -> Failures:
    return Failures(loss=Quote(waiting[0]), size=Assets(waiting[1]))


def _terms(terms: dict[str, int]) -> Terms:
    return Terms(
        loan_share_wad=Wad(terms["loan_share_wad"]),
        low_share_wad=Wad(terms["low_share_wad"]),
        skew_share_wad=Wad(terms["skew_share_wad"]),
        unwind_step=Assets(terms["unwind_step"]),
    )


def _time_of(batch: Batch, block: int | None) -> int:
    return block_times(batch, [block])[block] if block is not None else 0


def _divisor(batch: Batch, block: int, opened: Event) -> int:
    tokens = (opened["asset"], opened["quote"])
    calls = [("eth_call", [{"to": each, "data": DECIMALS}, hex(block)]) for each in tokens]
    try:
        return price_divisor(*(int(words, 16) for words in in_batches(batch, calls)))
    except (TypeError, ValueError) as fault:
        raise CorruptAnswer(f"a token does not tell its decimals: {fault}") from None


def _of(venue: Address, *views: str) -> list[_Question]:
    return [(VENUE, venue, view, ()) for view in views]


def _ask(batch: Batch, block: int, questions: Sequence[_Question]) -> list[Any]:
    """Return what the views answer at the block."""
    calls = [
        ("eth_call", [{"to": to, "data": "0x" + call_data(kind, view, *given).hex()}, hex(block)])
        for kind, to, view, given in questions
    ]
    read_words = in_batches(batch, calls)
    try:
        return [
            answer(kind, view, bytes.fromhex(words[2:]))
            for (kind, _, view, _), words in zip(questions, read_words, strict=True)
        ]
    except (DecodingError, TypeError, ValueError) as fault:
        raise CorruptAnswer(f"an answer does not fit its contract: {fault}") from None
