# SPDX-License-Identifier: MIT
"""
Who gives up what when losses are left after insurance (`Deleverager.vy`).

The rule and why it is so: `keeper/deleveraging.py`, which computes the list that is checked here.
Raw asset and quote units, prices WAD, sizes signed, long positive.
"""

from __future__ import annotations

from collections.abc import Sequence

from keeper.simulation.reference.liquidity_pool import BATCH, GATED, OPEN
from keeper.simulation.reference.position import changed, taken_over
from keeper.simulation.reference.reverted import atomic, require
from keeper.simulation.reference.venue_backstop import VenueBackstop
from keeper.simulation.reference.venue_ledger import Batch, Waiting
from keeper.units import WAD, div_floor, mul_div_up, positive_part

FAILED_SHORTS, FAILED_LONGS, LOW_POOL = range(3)  # causes
MAX_BATCH = 600  # seconds that the venue may stand still
REST = 3_600  # seconds from an abandoned batch until another may


class Deleverager(VenueBackstop):
    """Batches of deleveraging."""

    # Calls

    @atomic
    def deleverage(self, cause: int, owners: Sequence[str], *, at: int) -> bool:
        """List accounts of the winning side, cut them when all are; return whether it is done."""
        running = self.stage == BATCH
        batch = self.batch if running else self._begun(cause, at)
        require(batch.cause == cause, "venue: another batch runs")
        listing = batch.listed < batch.open_interest
        if listing and owners:
            batch = self._with_listed(batch, owners, at)
        if batch.listed == batch.open_interest:
            whole = listing and batch.chunks == 1
            if whole or self.chunks[batch.chunks_cut] == tuple(owners):
                batch = self._with_cut(batch, owners, at)
            else:
                require(listing, "venue: another chunk is next")
            if batch.chunks_cut == batch.chunks:
                self._end(batch, complete=True, at=at)
                return True
        self._stand_still(batch, running, at)
        return False

    @atomic
    def abandon(self, *, at: int) -> None:
        """End a batch that has passed its deadline; what it has not done is queued again."""
        require(self.stage == BATCH, "venue: no batch runs")
        require(at > self.batch.deadline, "venue: batch has time left")
        self.batch_after = at + REST
        self._end(self.batch, complete=False, at=at)

    # Beginning and ending

    def _begun(self, cause: int, at: int) -> Batch:
        price_wad = self._read_price(at)
        self._accrue(price_wad, at)
        batch = Batch(cause=cause, price_wad=price_wad)
        batch = self._of_low_pool(batch, at) if cause == LOW_POOL else self._of_failed(batch, at)
        stop = self.account(self.pool.address).size * batch.side
        side = self.longs if batch.side > 0 else self.shorts
        require(side - max(stop, 0) > 0, "venue: nobody to deleverage")
        return batch._replace(
            open_interest=side - max(stop, 0),
            taking=True,
            left=batch.loss,
            deadline=at + MAX_BATCH,
        )

    def _of_failed(self, batch: Batch, at: int) -> Batch:
        require(batch.cause <= FAILED_LONGS, "venue: unknown cause")
        waiting = self.queue(batch.cause == FAILED_LONGS)
        require(waiting != Waiting(), "venue: nothing to deleverage")
        side = -1 if batch.cause == FAILED_LONGS else 1
        mean = div_floor(self._mean_premium(at) * self.curve.skew_scale, WAD)
        own = positive_part(min(-self.skew * side, -mean * side))
        wanted = waiting.size - min(waiting.size, own)
        return batch._replace(side=side, loss=waiting.quote, failed=waiting.size, wanted=wanted)

    def _of_low_pool(self, batch: Batch, at: int) -> Batch:
        """Want what leaves |X| = max(0, E) * skew share / S, down."""
        exposure, price_wad, divisor = self.exposure, batch.price_wad, self.curve.price_divisor
        equity = self._pool_equity(price_wad, self._indices(), at)
        least = self.terms.low_share_wad * abs(exposure) * price_wad
        require(equity * WAD * divisor < least, "venue: pool carries its skew")
        share = self.terms.skew_share_wad
        carried = div_floor(max(equity, 0) * divisor * share, WAD * price_wad)
        return batch._replace(side=1 if exposure > 0 else -1, wanted=abs(exposure) - carried)

    def _stand_still(self, batch: Batch, running: bool, at: int) -> None:
        """Let the batch go on in another call, and the venue wait for it."""
        if not running:
            listable = self._gated(at) or batch.cause == LOW_POOL
            require(listable, "venue: list in one call")
            require(at >= self.batch_after, "venue: too soon to list again")
            self.stage, self.priceless = BATCH, False
        self.batch = batch

    def _end(self, batch: Batch, *, complete: bool, at: int) -> None:
        if batch.cause != LOW_POOL:
            rest = Waiting(batch.left, batch.failed - batch.given_up)
            waiting = Waiting() if complete else rest
            if batch.cause == FAILED_LONGS:
                self.failed_longs = waiting
            else:
                self.failed_shorts = waiting
        waits = self.failed_longs != Waiting() or self.failed_shorts != Waiting()
        self.stage = GATED if waits and at < self.gated_until else OPEN
        self.priceless = False

    # The list

    def _with_listed(self, batch: Batch, owners: Sequence[str], at: int) -> Batch:
        for owner in owners:
            size, equity = self._standing(owner, batch, at)
            winner = size > 0 and owner != self.pool.address
            require(winner, "venue: not on the winning side")
            require(_follows(batch, owner, size, equity), "venue: wrong order")
            batch = _with_account(batch, size, equity)
            batch = batch._replace(last_owner=owner, last_size=size, last_equity=equity)
        require(batch.listed <= batch.open_interest, "venue: wrong order")
        if batch.chunks or batch.listed != batch.open_interest:
            self.chunks[batch.chunks] = tuple(owners)
        return batch._replace(chunks=batch.chunks + 1)

    def _standing(self, owner: str, batch: Batch, at: int) -> tuple[int, int]:
        """Return size towards the winning side, and equity at the index."""
        account = self._account_now(owner, at)
        return account.size * batch.side, self.margins.equity(account, batch.price_wad)

    # The cuts

    def _with_cut(self, batch: Batch, owners: Sequence[str], at: int) -> Batch:
        given_up = 0
        for owner in owners:
            size, equity = self._standing(owner, batch, at)
            over = size * batch.kept_equity - batch.kept_size * equity
            if equity <= 0 or over <= 0:
                continue
            cut, carry = divmod(batch.carry + over, batch.kept_equity)
            batch = batch._replace(carry=carry)
            if cut == 0:
                continue
            loss = self._loss(batch, size, equity, cut)
            batch = batch._replace(left=batch.left - loss)
            given_up += cut
            self._cut(owner, cut * batch.side, loss, batch.price_wad, at)
        if given_up:
            self._move_to_backstop(given_up * batch.side, batch.price_wad, at)
        return batch._replace(given_up=batch.given_up + given_up, chunks_cut=batch.chunks_cut + 1)

    def _loss(self, batch: Batch, size: int, equity: int, cut: int) -> int:
        if batch.loss == 0:
            return 0
        due = mul_div_up(batch.loss, cut, batch.failed)
        kept = self.margins.required(size - cut, batch.price_wad)[1]
        return min(due, batch.left, positive_part(equity - kept - 1))

    def _cut(self, owner: str, size: int, loss: int, price_wad: int, at: int) -> None:
        """Close `size` of the account at the index, less the loss."""
        before = self._settled(owner, at)[0]
        cost = self.margins.value_up(-size, price_wad)
        after, realised = changed(before, -size, cost, 0)
        self._resize(before.size, after.size, after.entry - before.entry)
        self._claim(loss - realised, 0)
        after = after._replace(
            quote=after.quote + realised - loss, funding_index_wad=self._index(after.size)
        )
        self._store(owner, after, at)

    def _move_to_backstop(self, size: int, price_wad: int, at: int) -> None:
        before = self._settled(self.pool.address, at)[0]
        after = taken_over(before, size, self.margins.value_up(size, price_wad))
        self._store_backstop(before, after, at)


def _with_account(batch: Batch, size: int, equity: int) -> Batch:
    """Take in an account as long as its leverage is over that of those taken."""
    batch = batch._replace(listed=batch.listed + size)
    if equity <= 0:
        return batch._replace(insolvent=batch.insolvent + size)
    if batch.last_equity <= 0:  # the first that can be cut: what is needed is known
        solvent = batch.open_interest - batch.insolvent
        batch = batch._replace(kept_size=-min(batch.wanted, solvent))
    if not batch.taking or size * batch.kept_equity <= batch.kept_size * equity:
        return batch._replace(taking=False)
    return batch._replace(kept_size=batch.kept_size + size, kept_equity=batch.kept_equity + equity)


def _follows(batch: Batch, owner: str, size: int, equity: int) -> bool:
    """Return whether the account stands strictly after the last: insolvent, leverage, address."""
    if batch.listed == 0:
        return True
    if batch.last_equity <= 0 or equity <= 0:
        if (batch.last_equity <= 0) != (equity <= 0):
            return batch.last_equity <= 0
    else:
        last, this = batch.last_size * equity, size * batch.last_equity
        if last != this:
            return last > this
    return int(batch.last_owner, 16) < int(owner, 16)
