# SPDX-License-Identifier: MIT
"""
What the stateful tests do when accounts fail, and what must hold of it.

`Watched` is `Twins` that holds each call against "who has no position never pays".
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, Protocol

from keeper.deleveraging import Batch, Deleveraging, Position, deleverage
from keeper.simulation.reference import Account, LiquidityPool, Reverted, Venue
from keeper.simulation.reference.deleverager import FAILED_LONGS, LOW_POOL
from keeper.snapshot import Address
from keeper.units import WAD, Assets, Quote, Wad, div_floor
from tests.reference_world import Twins

PAYS_FOR_ITSELF = ("trade", "take_over", "withdraw", "release")  # one account at most, the caller's
REFUSALS = ("venue: liquidations are paced", "venue: deleveraging runs", "venue: wound up")


class Watched(Twins):
    """Twins whose accounts without position and debt keep what they have, whoever calls."""

    def call(self, name: str, on_chain: Callable[[], Any], in_model: Callable[[], Any]) -> bool:
        """Make the call on both sides and see who paid."""
        before = {who: self.venue.account(who) for who in self.traders}
        accepted = super().call(name, on_chain, in_model)
        poorer = [
            who
            for who, held in before.items()
            if held.size == 0 and held.quote >= 0 and lost(held, self.venue.account(who))
        ]
        assert len(poorer) <= (name in PAYS_FOR_ITSELF), (name, poorer)
        return accepted


def lost(before: Account, after: Account) -> bool:
    return after.quote < before.quote or after.assets < before.assets


def check_liquidations(twins: Twins) -> int:
    """Hold that nobody healthy is liquidated and everybody else is; return how many fail."""
    price_wad, at, failing = twins.price_wad, twins.now, []
    untouched = copied(twins.venue)
    for who in twins.traders:
        margin = twins.venue.margin(who, price_wad, at=at)
        if margin.equity < margin.maintenance:
            failing.append(who)
            continue
        assert refusal_of(lambda who=who: untouched.liquidate("anyone", who, at=at))
    for who in failing:
        trial = copied(twins.venue)
        refused = refusal_of(lambda who=who, trial=trial: trial.liquidate("anyone", who, at=at))
        assert refused in ("", *REFUSALS) or refused.startswith("oracle: "), refused
        paced = refused == REFUSALS[0]
        assert not paced or twins.venue.margin(who, price_wad, at=at).equity > 0
    return len(failing)


def copied(venue: Venue) -> Venue:
    """Return a venue with pool and fund that can be tried on."""
    return copy.deepcopy(venue)


def refusal_of(call: Callable[[], object]) -> str:
    """Return why a call is refused, nothing if it is not."""
    try:
        call()
    except Reverted as refused:
        return refused.reason
    return ""


class Watching(Protocol):
    """What a list is made of: twins, or a market in the model."""

    venue: Venue
    pool: LiquidityPool
    divisor: int

    @property
    def now(self) -> int: ...
    @property
    def price_wad(self) -> int: ...
    @property
    def traders(self) -> list[str]: ...


def batch_of(twins: Watching, cause: int) -> Batch:
    """Return what waits for deleveraging now, as the keeper sees it."""
    venue, price_wad = twins.venue, twins.price_wad
    if cause == LOW_POOL:
        equity = twins.pool.equity(price_wad, at=twins.now)
        share = venue.terms.skew_share_wad
        carried = div_floor(max(equity, 0) * twins.divisor * share, WAD * price_wad)
        wanted = max(0, abs(venue.exposure) - carried)
        loss, failed, skew = 0, -wanted if venue.exposure > 0 else wanted, 0
    else:
        loss, failed = venue.queue(cause == FAILED_LONGS)
        failed = failed if cause == FAILED_LONGS else -failed
        skew = lasting_skew(twins)
    return Batch(
        deficit=Quote(loss),
        failed_size=Assets(failed),
        price_wad=Wad(price_wad),
        divisor=twins.divisor,
        skew=Assets(skew),
    )


def lasting_skew(twins: Watching) -> int:
    """Return the nearer to zero of the skew now and its mean; zero where they differ in sign."""
    venue = twins.venue
    mean = div_floor(venue._mean_premium(twins.now) * venue.curve.skew_scale, WAD)
    if venue.skew > 0:
        return max(0, min(venue.skew, mean))
    return min(0, max(venue.skew, mean))


def listed_by_keeper(twins: Watching, cause: int) -> tuple[Batch, Deleveraging]:
    """Return the batch and the list that `keeper/deleveraging.py` makes of the state."""
    venue, price_wad, at = twins.venue, twins.price_wad, twins.now
    positions = [
        Position(
            owner=Address(who),
            size=Assets(venue.account(who).size),
            equity=venue.margin(who, price_wad, at=at).equity,
        )
        for who in twins.traders
    ]
    batch = batch_of(twins, cause)

    def kept(size: int) -> Quote:
        """Maintenance, and a unit that closing the rest may lose to rounding."""
        return Quote(venue.margins.required(size, price_wad)[1] + 1)

    return batch, deleverage(batch, positions, kept)


def low(twins: Watching) -> bool:
    """Return whether the pool is so low that anyone may deleverage the heavy side."""
    venue, price_wad = twins.venue, twins.price_wad
    equity = twins.pool.equity(price_wad, at=twins.now)
    least = venue.terms.low_share_wad * abs(venue.exposure) * price_wad
    return equity * WAD * twins.divisor < least


class Standing:
    """Sizes and equities before a batch, held against those after it."""

    def __init__(self, twins: Twins, cause: int) -> None:
        self.twins, self.price_wad, self.at = twins, twins.price_wad, twins.now
        self.batch, self.done = listed_by_keeper(twins, cause)
        self.owners = [cut.owner for cut in self.done.cuts]
        self.before = {who: self._margin(who) for who in self.owners}
        self.stop = twins.venue.account(twins.pool.address).size
        self.cause = cause

    def _margin(self, who: str) -> Any:
        return self.twins.venue.margin(who, self.price_wad, at=self.at)

    def check(self) -> None:
        """Cuts exact and in sum what was wanted; nobody bankrupt nor under maintenance by it."""
        given_up = 0
        for cut in self.done.cuts:
            before, after = self.before[cut.owner], self._margin(cut.owner)
            assert abs(before.delta) - abs(after.delta) == cut.size, cut.owner
            given_up += cut.size
            # A unit of quote: size * S is rounded down twice instead of once.
            fell = before.equity - after.equity
            assert cut.loss <= fell <= cut.loss + 1, (cut, fell)
            if cut.loss:
                assert after.equity >= after.maintenance
        solvent = sum(abs(each.delta) for each in self.before.values() if each.equity > 0)
        wanted = abs(self.batch.failed_size) - self.batch.pool_size
        assert given_up == min(wanted, solvent)
        moved = abs(self.twins.venue.account(self.twins.pool.address).size - self.stop)
        assert moved == given_up
        if self.cause != LOW_POOL:
            assert self.twins.venue.queue(self.cause == FAILED_LONGS) == (0, 0)


def deleverage_at_once(twins: Twins, cause: int) -> None:
    """List and cut in one call."""
    standing = Standing(twins, cause)
    assert twins.deleverage(cause, standing.owners)
    assert twins.result is True
    standing.check()


def deleverage_in_chunks(twins: Twins, cause: int, parts: int, *, wait: int) -> None:
    """List in several calls, then cut in several, while the venue stands still."""
    standing = Standing(twins, cause)
    step = max(1, len(standing.owners) // parts)
    chunks = [standing.owners[i : i + step] for i in range(0, len(standing.owners), step)]
    first = copied(twins.venue)
    for chunk in chunks:
        assert twins.deleverage(cause, chunk)
        twins.wait(wait, fresh=False)
    if len(chunks) > 1:
        assert stands_still(twins, first)
        for chunk in chunks:
            assert twins.deleverage(cause, chunk)
    assert twins.result is True
    standing.check()


def stands_still(twins: Twins, before: Venue) -> bool:
    """Return whether no account changed and no time passed for the venue."""
    same = all(twins.venue.account(who) == before.account(who) for who in twins.traders)
    frozen = twins.venue._now(twins.now) == twins.venue.accrued_at
    return same and frozen and twins.venue.skew == before.skew


def abandon(twins: Twins, cause: int, *, after_cuts: bool) -> None:
    """Begin a batch, let its time run out, and end it; what was not done waits again."""
    standing = Standing(twins, cause)
    head, rest = standing.owners[:1], standing.owners[1:]
    before = copied(twins.venue)
    assert twins.deleverage(cause, head)
    if after_cuts:
        assert twins.deleverage(cause, rest)
        assert twins.deleverage(cause, head)
    given_up = sum(cut.size for cut in standing.done.cuts[:1]) if after_cuts else 0
    lost = sum(cut.loss for cut in standing.done.cuts[:1]) if after_cuts else 0
    twins.wait(601)
    assert twins.abandon()
    if cause != LOW_POOL:
        waits, waited = (v.queue(cause == FAILED_LONGS) for v in (twins.venue, before))
        assert waits == (waited.quote - lost, waited.size - given_up)


def squeeze(twins: Twins, enough: Callable[[], bool], limits: tuple[int, int]) -> bool:
    """Move the price the way the pool loses until it is enough; return whether it is."""
    rises = twins.venue.exposure > 0
    for _ in range(40):
        if enough():
            return True
        answer = twins.asset_feed.last_round.answer
        answer = answer * 13 // 10 if rises else answer * 10 // 13
        if not limits[0] <= answer <= limits[1]:
            return False
        twins.publish(answer)
    return False
