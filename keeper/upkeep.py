# SPDX-License-Identifier: MIT
"""
What anybody may do for a venue now: the ordered list of calls that its state asks for.

A call is in the list if the state that was read allows it. Order:

1. liquidations: insolvent accounts first, which are not paced, then by margin ratio, so that what
   the pace lets through is the worst;
2. debts over their share of the asset margin, of accounts that are not liquidated anyway;
3. deleveraging, of failed shorts, of failed longs, of a pool that runs low. In one call when all
   accounts of the side fit into it. With more, an empty list makes the venue stand still, and
   the list goes out in chunks from the next reading on: margins read in between are exact;
4. what is only kept up: funding, tokens and claims, requests of the pool, a step of the backstop.

While a batch runs nothing else is possible, and once the venue is wound up only closing, claims
and releases are. A call that an earlier one of the list makes wrong is refused by the chain,
which costs nothing where it is tried first, and the next reading mends it.

Not in the list is `wind_up`, which a person should want.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from itertools import accumulate
from typing import Any, Final

from keeper.curve import Scale, maintenance_up
from keeper.deleveraging import Batch, Position, deleverage
from keeper.snapshot import Address, Margin, Market
from keeper.units import (
    BPS,
    WAD,
    Assets,
    Quote,
    Wad,
    div_floor,
    mul_div_down,
    positive_part,
    sign,
)

MAX_OWNERS: Final = 100  # of one list that the venue takes
UNWIND_PERIOD_SECS: Final = 60  # between two steps of the backstop
VENUE: Final = "PerpVenue"
POOL: Final = "LiquidityPool"
FUND: Final = "InsuranceFund"


class Stage(IntEnum):
    """Of a venue (`IVenueRecovery.stage`)."""

    OPEN = 0
    GATED = 1
    BATCH = 2
    CLOSED = 3


class Cause(IntEnum):
    """Of a batch (`IDeleverager.Batch`)."""

    FAILED_SHORTS = 0
    FAILED_LONGS = 1
    LOW_POOL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One account with its margin; `size` and `reward` are what liquidating it takes and asks."""

    owner: Address
    margin: Margin
    liquidatable: bool = False
    size: Assets = Assets(0)  # unsigned
    reward: Quote = Quote(0)
    profit_claim: Quote = Quote(0)  # of the second rank, once the venue is wound up
    released: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Losses of one side that wait for deleveraging, and the sizes that failed."""

    loss: Quote = Quote(0)
    size: Assets = Assets(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A batch of several calls, and the chunks of its list so far."""

    cause: Cause
    side: int  # of the accounts that are listed: 1 long, -1 short
    listed: Assets  # sizes
    chunks: tuple[int, ...]  # owners in each
    chunks_cut: int
    cut: frozenset[Address]  # who has given up something
    deadline: int  # Unix seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolRequest:
    """A provider's request to enter or to leave."""

    owner: Address
    entering: bool
    round_id: int
    requested_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """What decides when requests are due; `noted` is price, round and since when it stands."""

    min_delay: int
    window: int
    price_stand: int
    total_shares: int
    noted: tuple[int, int, int]
    requests: tuple[PoolRequest, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Those of the venue that decide here (`ILiquidationRules.Terms`)."""

    loan_share_wad: Wad
    low_share_wad: Wad
    skew_share_wad: Wad
    unwind_step: Assets


@dataclass(frozen=True, slots=True, kw_only=True)
class Venue:
    """
    A venue as read at one block.

    `price_wad` is the oracle's while that is good, that of the start while a batch runs, and the
    frozen one after the end.
    """

    address: Address
    fund: Address
    block: int
    at: int  # Unix seconds, of the block
    stage: Stage
    price_ok: bool
    price_reason: str
    price_wad: Wad
    round_id: int
    divisor: int
    market: Market
    terms: Terms
    backstop_size: Assets
    unwound_at: int  # Unix seconds, 0 if never
    accrued_at: int
    pool_claim: Quote  # quote at the venue that is the pool's
    fund_claim: Quote
    debt: Quote  # of all accounts
    pool_assets: Assets  # at the venue
    failed_shorts: Failures
    failed_longs: Failures
    pool: Pool
    accounts: tuple[Account, ...]
    running: Running | None = None
    wind_up_cause: int = 0
    wind_up_flagged_at: int = 0
    claims_fixed: bool = False

    @property
    def scale(self) -> Scale:
        """Return the scale of the price."""
        return Scale(price_wad=self.price_wad, divisor=self.divisor)

    @property
    def surplus(self) -> Quote:
        """Return quote that the venue holds for the pool, negative where the pool owes it."""
        return Quote(self.pool_claim - self.debt)


@dataclass(frozen=True, slots=True, kw_only=True)
class Care:
    """What is worth a transaction; amounts in raw quote."""

    least_reward: Quote = Quote(0)  # asked for a liquidation
    least_moved: Quote = Quote(0)  # tokens between venue, pool and fund; more than this moves
    accrue_after_secs: int = 900
    chunk: int = MAX_OWNERS

    def __post_init__(self) -> None:
        """Refuse a chunk that no call can take."""
        if not 1 <= self.chunk <= MAX_OWNERS:
            raise ValueError(f"a list has 1 to {MAX_OWNERS} accounts, not {self.chunk}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call to make, and why in words."""

    contract: str
    method: str
    arguments: tuple[Any, ...] = ()
    why: str


def due(venue: Venue, care: Care) -> tuple[Call, ...]:
    """Return all calls that the venue's state asks for, in order; none when nothing is due."""
    if venue.stage == Stage.CLOSED:
        return ending(venue, care)
    if venue.stage == Stage.BATCH:
        return deleveraging(venue, care)
    cuts = deleveraging(venue, care)
    first = (*liquidations(venue, care), *forced_debts(venue), *cuts)
    freezes = any(not call.arguments[1] for call in cuts)
    return first if freezes else (*first, *kept_up(venue, care))


def liquidations(venue: Venue, care: Care) -> tuple[Call, ...]:
    """Return the liquidations that pay, the insolvent first, then by margin ratio and address."""
    if not _trades(venue):
        return ()
    failing = [
        account
        for account in venue.accounts
        if account.liquidatable and account.reward >= care.least_reward
    ]
    return tuple(
        Call(
            contract=VENUE,
            method="liquidate",
            arguments=(account.owner,),
            why=f"{_urgency(account)[0]} bp of maintenance margin"
            if account.margin.equity > 0
            else "insolvent",
        )
        for account in sorted(failing, key=_urgency)
    )


def forced_debts(venue: Venue) -> tuple[Call, ...]:
    """Return settlements of debts over the share of the asset margin that may back one."""
    if not _trades(venue):
        return ()
    return tuple(
        Call(
            contract=VENUE,
            method="settle_debt",
            arguments=(account.owner,),
            why="debt over its share of the asset margin",
        )
        for account in venue.accounts
        if not account.liquidatable and debt_is_forced(venue, account)
    )


def debt_is_forced(venue: Venue, account: Account) -> bool:
    """Return whether anybody may settle the account's debt."""
    debt, assets = -account.margin.quote, account.margin.assets
    if debt <= 0 or assets == 0:
        return False
    share = venue.price_wad * venue.terms.loan_share_wad
    return debt > mul_div_down(assets, share, venue.divisor * WAD)


def deleveraging(venue: Venue, care: Care) -> tuple[Call, ...]:
    """Return the next calls of deleveraging: a whole list, the first of several, or the rest."""
    if venue.running is not None:
        return _continued(venue, venue.running, care)
    if not _trades(venue):
        return ()
    calls = [_begun(venue, cause, care) for cause in causes(venue)]
    begun = [call for call in calls if call is not None]
    # One that makes the venue stand still lets no other begin.
    whole = [call for call in begun if call.arguments[1]]
    return (*whole, *[call for call in begun if not call.arguments[1]][:1])


def causes(venue: Venue) -> tuple[Cause, ...]:
    """Return why accounts may be deleveraged now."""
    waiting = (
        (Cause.FAILED_SHORTS, venue.failed_shorts != Failures()),
        (Cause.FAILED_LONGS, venue.failed_longs != Failures()),
        (Cause.LOW_POOL, pool_is_low(venue)),
    )
    return tuple(cause for cause, waits in waiting if waits)


def pool_is_low(venue: Venue) -> bool:
    """Return whether pool equity is under the low share of what it is exposed to."""
    exposed = abs(owed(venue)) * venue.price_wad
    return venue.market.pool_equity * WAD * venue.divisor < venue.terms.low_share_wad * exposed


def owed(venue: Venue) -> Assets:
    """Return what accounts hold net: a backstop of the other sign hides nothing of it (M-01)."""
    return Assets(venue.market.skew - venue.backstop_size)


def batch_of(venue: Venue, cause: Cause) -> Batch:
    """
    Return the batch that the venue would begin now.

    A low pool is written as a failure without a loss, of the side opposite to the heavy one, of
    what takes that exposure down to the share of pool equity that trades may reach.
    """
    exposure, failures = owed(venue), Failures()
    if cause == Cause.LOW_POOL:
        equity = positive_part(venue.market.pool_equity)
        carried = div_floor(
            equity * venue.divisor * venue.terms.skew_share_wad, WAD * venue.price_wad
        )
        failed = -sign(exposure) * positive_part(abs(exposure) - carried)
    else:
        shorts = cause == Cause.FAILED_SHORTS
        failures = venue.failed_shorts if shorts else venue.failed_longs
        failed = -failures.size if shorts else failures.size
    return Batch(
        deficit=failures.loss,
        failed_size=Assets(failed),
        price_wad=venue.price_wad,
        divisor=venue.divisor,
        skew=venue.market.skew,
    )


def positions(venue: Venue) -> list[Position]:
    """Return the accounts as the rule of deleveraging wants them."""
    return [
        Position(owner=each.owner, size=each.margin.delta, equity=each.margin.equity)
        for each in venue.accounts
    ]


def owners_in_order(venue: Venue, batch: Batch) -> tuple[Address, ...]:
    """Return the list that the chain checks: it depends on the batch by its side only."""
    done = deleverage(
        batch,
        positions(venue),
        # The chain leaves a unit over maintenance, for the rounding of the next touch.
        lambda size: Quote(maintenance_up(venue.market, size, venue.scale) + 1),
    )
    return tuple(cut.owner for cut in done.cuts)


def kept_up(venue: Venue, care: Care) -> tuple[Call, ...]:
    """Return what is nobody's emergency, in order: funding, tokens, requests, backstop."""
    calls: list[Call] = []
    silent = venue.at - venue.accrued_at
    if _trades(venue) and silent >= care.accrue_after_secs:
        calls.append(_call("accrue", f"funding was accrued {silent} seconds ago"))
    if venue.pool_assets > 0 or abs(venue.surplus) > care.least_moved:
        calls.append(_call("settle", "venue and pool owe each other tokens"))
    return (*calls, *_collection(venue, care), *pool_requests(venue), *_unwinding(venue))


def pool_requests(venue: Venue) -> tuple[Call, ...]:
    """Return executions of the requests that are due, or the note of the price they wait for."""
    if not _trades(venue):
        return ()
    waiting = [each for each in venue.pool.requests if _is_due(venue, each)]
    if not waiting:
        return ()
    at_once = venue.pool.total_shares == 0
    price_wad, round_id, noted_at = venue.pool.noted
    if not at_once and (price_wad, round_id) != (venue.price_wad, venue.round_id):
        why = f"{len(waiting)} requests wait for a price that has stood"
        return (Call(contract=POOL, method="note_price", why=why),)
    if not at_once and venue.at - noted_at < venue.pool.price_stand:
        return ()
    return tuple(
        Call(
            contract=POOL,
            method="execute_provide" if each.entering else "execute_remove",
            arguments=(each.owner,),
            why=f"requested {venue.at - each.requested_at} seconds ago",
        )
        for each in sorted(waiting, key=lambda each: (each.requested_at, each.owner))
    )


def ending(venue: Venue, care: Care) -> tuple[Call, ...]:
    """Return what is left to do at a venue that is wound up."""
    if venue.claims_fixed:
        unpaid = [each for each in venue.accounts if not each.released and _has_something(each)]
        releases = [_call("release", "claims are fixed", each.owner) for each in unpaid]
        return (*releases, *_collection(venue, care))
    still_open = [
        each.owner for each in venue.accounts if each.margin.delta != 0 or each.margin.quote < 0
    ]
    closes = [_call("close", "still open", each) for each in _chunks(still_open, care.chunk)]
    return (*closes, _call("fix_claims", "then nobody is open"))


# Internals


def _trades(venue: Venue) -> bool:
    """Return whether what needs a price can be done."""
    return venue.price_ok and venue.stage in (Stage.OPEN, Stage.GATED)


def _urgency(account: Account) -> tuple[int, int]:
    """Return a key: the lower the margin ratio, the earlier; all insolvent ones alike."""
    margin = account.margin
    ratio = div_floor(margin.equity * BPS, margin.maintenance) if margin.equity > 0 else -1
    return ratio, int(account.owner, 16)


def _begun(venue: Venue, cause: Cause, care: Care) -> Call | None:
    """Return the first call of a batch, or None where the venue would not take it."""
    owners = owners_in_order(venue, batch_of(venue, cause))
    if not owners:
        return None
    why = f"{cause.name.lower().replace('_', ' ')}, {len(owners)} accounts on the other side"
    if len(owners) <= care.chunk:
        return _call("deleverage", why, int(cause), owners)
    if venue.stage == Stage.GATED or cause == Cause.LOW_POOL:
        return _call("deleverage", f"{why}: the venue is to stand still", int(cause), ())
    return None


def _continued(venue: Venue, running: Running, care: Care) -> tuple[Call, ...]:
    """Return the rest of a batch: chunks to be listed, then all again to be cut."""
    owners = _to_be_done(venue, running)
    waiting = running.chunks[running.chunks_cut :]
    listed, unlisted = owners[: sum(waiting)], owners[sum(waiting) :]
    if running.chunks_cut == 0 and _size_of(venue, listed) != running.listed:
        # Somebody listed another order, which can never become complete.
        return _abandoned(venue, running)
    to_list = _chunks(unlisted, care.chunk)
    ends = list(accumulate(waiting))
    to_cut = [owners[end - length : end] for end, length in zip(ends, waiting, strict=True)]
    # The call that ends the list also cuts its own chunk when that is the only one.
    to_cut = [*to_cut, *to_list] if waiting or len(to_list) > 1 else []
    cause = int(running.cause)
    return (
        *(_call("deleverage", "to be listed", cause, each) for each in to_list),
        *(_call("deleverage", "to be cut", cause, each) for each in to_cut),
    )


def _to_be_done(venue: Venue, running: Running) -> tuple[Address, ...]:
    """
    Return the list from the first chunk on that has not been cut.

    The venue stands still, so who has not been cut still stands in the order of the start. Of the
    chunks that are done, those who gave up nothing stand before everybody else.
    """
    unmatched = Batch(
        deficit=Quote(0),
        failed_size=Assets(-running.side),
        price_wad=venue.price_wad,
        divisor=venue.divisor,
        skew=Assets(0),
    )
    uncut = [each for each in owners_in_order(venue, unmatched) if each not in running.cut]
    return tuple(uncut[sum(running.chunks[: running.chunks_cut]) - len(running.cut) :])


def _size_of(venue: Venue, owners: Sequence[Address]) -> int:
    wanted = frozenset(owners)
    return sum(abs(each.margin.delta) for each in venue.accounts if each.owner in wanted)


def _chunks(owners: Sequence[Address], length: int) -> list[tuple[Address, ...]]:
    return [tuple(owners[i : i + length]) for i in range(0, len(owners), length)]


def _abandoned(venue: Venue, running: Running) -> tuple[Call, ...]:
    if venue.at <= running.deadline:
        return ()
    return (_call("abandon", "the batch cannot be completed and its time is over"),)


def _collection(venue: Venue, care: Care) -> tuple[Call, ...]:
    if venue.fund_claim <= care.least_moved:
        return ()
    why = "the fund has a claim at the venue"
    return (Call(contract=FUND, method="collect", arguments=(venue.address,), why=why),)


def needs_takers(venue: Venue) -> bool:
    """Return whether the backstop holds too much to unwind: who goes ahead would gain."""
    fees_wad = 2 * venue.market.maker_fee_wad
    return abs(venue.backstop_size) > fees_wad * venue.market.skew_scale // WAD


def _unwinding(venue: Venue) -> tuple[Call, ...]:
    """Return a step of the backstop, if size, gate, minute and premium allow one."""
    held, skew, market = venue.backstop_size, venue.market.skew, venue.market
    waited = venue.at - venue.unwound_at
    if held == 0 or not venue.price_ok or venue.stage != Stage.OPEN or needs_takers(venue):
        return ()
    if waited < UNWIND_PERIOD_SECS:
        return ()
    after = abs(skew - sign(held) * min(abs(held), venue.terms.unwind_step))
    if after > abs(skew) and after * WAD > market.premium_cap_wad * market.skew_scale:
        return ()
    return (_call("unwind", "the backstop has a position"),)


def _is_due(venue: Venue, request: PoolRequest) -> bool:
    if request.entering and venue.pool.total_shares == 0:
        return True
    waited = venue.at - request.requested_at
    if not venue.pool.min_delay <= waited <= venue.pool.window:
        return False
    if request.entering and venue.stage != Stage.OPEN:
        return False
    return venue.round_id > request.round_id


def _has_something(account: Account) -> bool:
    margin = account.margin
    return margin.assets != 0 or margin.quote != 0 or account.profit_claim != 0


def _call(method: str, why: str, *arguments: Any) -> Call:
    return Call(contract=VENUE, method=method, arguments=arguments, why=why)
