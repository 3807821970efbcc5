# SPDX-License-Identifier: AGPL-3.0-only
# pragma version 0.4.3
# pragma evm-version shanghai
# pragma nonreentrancy on
# pragma optimize gas
"""
@title Who gives up what when losses are left after insurance
@notice Part of a venue, which runs this code on its own storage (`modules/venue_ledger.vy`); called
     directly it moves nothing, because its own storage stays empty.
@dev One batch for each failed side, all numbers as of its start: R the losses left, Q the sizes
     that failed, K the skew, q and E size and equity of each account of the winning side.

     1. The pool is the other side of the skew and takes its own part first:
        own = min(Q, max(0, K * sign(failed))), K the nearer to zero of now and its mean.
     2. Accounts with E > 0 give up need = min(Q - own, sum of their q).
     3. Nobody of them keeps more than lambda times his equity:
        sum of max(0, q - lambda E) = need, so with A = sum of q - need and B = sum of E, both
        over those that are cut, lambda = A / B.
     4. Cuts are exact in sum: in the order of the list, t = carry + q B - A E, the cut is
        floor(t / B) and carry the rest.
     5. The loss with a cut of x is min(ceil(R x / Q), what is left of R,
        max(0, E - maintenance of q - x - 1)): closing a part may cost another unit to rounding.
        What is left of R in the end is the pool's.

     The list has every account of the side once (its sizes sum to the open interest), E <= 0
     first, the others by q / E descending, ties by address; so those that are cut stand
     together and lambda is known when the list ends. A first pass lists, a second cuts; no cut
     is made before the first is through. The backstop takes what is given up at the index, so
     the skew stays, and nobody pays the curve.

     When the pool runs low, E of the pool < low share * |X| * S, with X the net size of all
     accounts but the backstop, accounts of the heavy side give up by the same rule what takes
     |X| * S back to the share that trades may reach; there is no loss to bear. K instead of X
     would not do: a backstop that inherited a short hides the longs that it owes (M-01).

     While a batch of several calls runs, the venue stands still: nothing moves, and no time
     passes for funding and interest. That needs withdrawals to be gated, which takes a loss
     that is no dust, or a pool that runs low; it ends by its deadline, and after one that was
     abandoned the next has to wait. A batch of one call can be made at any time.

     `keeper/deleveraging.py` computes the list, and says why the rule is as it is.
@custom:units Raw asset and quote units, prices WAD, sizes signed, long positive.
@custom:rounding Losses up, as far as accounts bear them.
@custom:halt As `PerpVenue`.
"""

from interfaces import ILiquidationRules
from interfaces import IPriceOracle
from interfaces import IVenueParts
from interfaces import IDeleverager

from modules import curve
from modules import fixed_point
from modules import margin_rules
from modules import position
from modules import venue_ledger as ledger
from modules import words

implements: IDeleverager

uses: curve
uses: margin_rules

initializes: ledger

exports: ledger.parts

MAX_ANSWER: constant(uint256) = 1_024  # bytes that a call of `NEXT` returns at most
WAD: constant(int256) = 10**18
FAILED_SHORTS: constant(uint256) = 0
FAILED_LONGS: constant(uint256) = 1
LOW_POOL: constant(uint256) = 2
MAX_OWNERS: constant(uint256) = 100
MAX_BATCH: constant(uint256) = 600  # seconds that the venue may stand still
REST: constant(uint256) = 3_600  # seconds from an abandoned batch until another may

NEXT: public(immutable(address))
LOW_SHARE_WAD: immutable(int256)


@deploy
def __init__(next: address):
    """
    @param next `VenueBackstop` of the same venue, which has the calls that are not here; the parts
        are taken from it. It may write all storage of the venue.
    """
    parts: IVenueParts.Parts = staticcall IVenueParts(next).parts()
    terms: ILiquidationRules.Terms = staticcall ILiquidationRules(parts.rules).terms()
    ledger.__init__(parts)
    NEXT = next
    LOW_SHARE_WAD = convert(terms.low_share_wad, int256)


# Calls open to users


@external
def deleverage(cause: uint256, owners: DynArray[address, MAX_OWNERS]) -> bool:
    running: bool = ledger.stage_of(ledger.clock) == ledger.BATCH
    batch: IDeleverager.Batch = ledger.batch if running else self._begun(cause)
    ledger.require(batch.cause == cause, "venue: another batch runs")
    listing: bool = batch.listed < batch.open_interest
    if listing:
        batch = self._with_listed(batch, owners)
    if batch.listed == batch.open_interest:
        whole: bool = listing and batch.chunks == 1  # one call lists and cuts, nothing is kept
        if whole or ledger.chunks[batch.chunks_cut] == keccak256(abi_encode(owners)):
            batch = self._with_cut(batch, owners)
        else:  # the last of several chunks was listed, the first is to be cut
            ledger.require(listing, "venue: another chunk is next")
        if batch.chunks_cut == batch.chunks:
            self._end(batch, True)
            return True
    self._stand_still(batch, running)
    return False


@external
def abandon():
    ledger.require(ledger.stage_of(ledger.clock) == ledger.BATCH, "venue: no batch runs")
    batch: IDeleverager.Batch = ledger.batch
    ledger.require(block.timestamp > batch.deadline, "venue: batch has time left")
    ledger.batch_after = block.timestamp + REST
    self._end(batch, False)


# Reentrant: the code that runs takes the lock, in the same word of storage.
@external
@reentrant
@raw_return
def __default__() -> Bytes[MAX_ANSWER]:
    return raw_call(NEXT, msg.data, max_outsize=MAX_ANSWER, is_delegate_call=True)


# Views


@external
@view
def batch() -> IDeleverager.Batch:
    return ledger.batch


# Internals: beginning and ending


@internal
def _begun(cause: uint256) -> IDeleverager.Batch:
    price: IPriceOracle.Price = ledger.read_price()
    indices: int256 = ledger.accrue(price.price_wad)
    batch: IDeleverager.Batch = empty(IDeleverager.Batch)
    batch.cause = cause
    batch.price_wad = price.price_wad
    if cause == LOW_POOL:
        batch = self._of_low_pool(batch, indices)
    else:
        batch = self._of_failed(batch)
    sizes: int256 = ledger.sizes
    stop: int256 = ledger.load(ledger.POOL).size * batch.side
    side: int256 = words.high_of(sizes) if batch.side > 0 else words.low_of(sizes)
    batch.open_interest = convert(side - max(stop, 0), uint256)
    ledger.require(batch.open_interest > 0, "venue: nobody to deleverage")
    batch.taking = True
    batch.left = batch.loss
    batch.deadline = block.timestamp + MAX_BATCH
    log IDeleverager.DeleveragingBegun(
        cause=cause,
        side=batch.side,
        loss=batch.loss,
        failed=batch.failed,
        wanted=batch.wanted,
        open_interest=batch.open_interest,
        price_wad=batch.price_wad,
    )
    return batch


@internal
@view
def _of_failed(begun: IDeleverager.Batch) -> IDeleverager.Batch:
    batch: IDeleverager.Batch = begun
    ledger.require(batch.cause <= FAILED_LONGS, "venue: unknown cause")
    waiting: int256 = ledger.queued[batch.cause == FAILED_LONGS]
    ledger.require(waiting != 0, "venue: nothing to deleverage")
    batch.side = -1 if batch.cause == FAILED_LONGS else 1
    batch.loss = convert(words.high_of(waiting), uint256)
    batch.failed = convert(words.low_of(waiting), uint256)
    # A skew that is pushed for a moment does not move its mean.
    mean: int256 = fixed_point.div_floor(ledger.mean_premium() * curve.SKEW_SCALE, WAD)
    own: uint256 = fixed_point.positive_part(min(-ledger.skew() * batch.side, -mean * batch.side))
    batch.wanted = batch.failed - min(batch.failed, own)
    return batch


@internal
@view
def _of_low_pool(begun: IDeleverager.Batch, indices: int256) -> IDeleverager.Batch:
    """
    @dev What is wanted leaves |X| = max(0, E) * skew share / S, down.
    """
    batch: IDeleverager.Batch = begun
    exposure: int256 = ledger.exposure()
    price: int256 = convert(batch.price_wad, int256)
    equity: int256 = ledger.pool_equity(batch.price_wad, indices)
    ledger.require(
        equity * WAD * curve.PRICE_DIVISOR < LOW_SHARE_WAD * abs(exposure) * price,
        "venue: pool carries its skew",
    )
    batch.side = 1 if exposure > 0 else -1
    carried: int256 = fixed_point.div_floor(
        max(equity, 0) * curve.PRICE_DIVISOR * ledger.SKEW_SHARE_WAD, WAD * price
    )
    batch.wanted = convert(abs(exposure) - carried, uint256)
    return batch


@internal
def _stand_still(batch: IDeleverager.Batch, running: bool):
    """
    @dev The batch goes on in another call, and the venue waits for it.
    """
    if not running:
        stage: int256 = ledger.stage_of(ledger.clock)
        gated: bool = stage == ledger.GATED and block.timestamp < ledger.gated_until
        ledger.require(gated or batch.cause == LOW_POOL, "venue: list in one call")
        ledger.require(block.timestamp >= ledger.batch_after, "venue: too soon to list again")
        ledger.enter(ledger.BATCH)
    ledger.batch = batch


@internal
def _end(batch: IDeleverager.Batch, complete: bool):
    if batch.cause != LOW_POOL:
        rest: int256 = 0
        if not complete:
            rest = words.pack(
                convert(batch.left, int256), convert(batch.failed - batch.given_up, int256)
            )
        ledger.queued[batch.cause == FAILED_LONGS] = rest
    waits: bool = (ledger.queued[True] | ledger.queued[False]) != 0
    gated: bool = waits and block.timestamp < ledger.gated_until
    ledger.enter(ledger.GATED if gated else ledger.OPEN)
    log IDeleverager.DeleveragingEnded(
        cause=batch.cause, complete=complete, given_up=batch.given_up, loss_left=batch.left
    )


# Internals: the list


@internal
def _with_listed(
    begun: IDeleverager.Batch, owners: DynArray[address, MAX_OWNERS]
) -> IDeleverager.Batch:
    batch: IDeleverager.Batch = begun
    if len(owners) == 0:
        return batch
    for owner: address in owners:
        size: int256 = 0
        equity: int256 = 0
        (size, equity) = self._standing(owner, batch)
        ledger.require(size > 0 and owner != ledger.POOL, "venue: not on the winning side")
        ledger.require(self._follows(batch, owner, size, equity), "venue: wrong order")
        batch = self._with_account(batch, size, equity)
        batch.last_owner = owner
        batch.last_size = size
        batch.last_equity = equity
    ledger.require(batch.listed <= batch.open_interest, "venue: wrong order")
    if batch.chunks != 0 or batch.listed != batch.open_interest:
        ledger.chunks[batch.chunks] = keccak256(abi_encode(owners))
    batch.chunks += 1
    log IDeleverager.AccountsListed(
        chunk=batch.chunks - 1,
        owners=len(owners),
        listed_after=batch.listed,
        kept_size_after=batch.kept_size,
        kept_equity_after=batch.kept_equity,
    )
    return batch


@internal
@pure
def _with_account(begun: IDeleverager.Batch, size: int256, equity: int256) -> IDeleverager.Batch:
    """
    @dev Takes in accounts as long as their leverage is over that of those taken.
    """
    batch: IDeleverager.Batch = begun
    amount: uint256 = convert(size, uint256)
    if equity <= 0:
        batch.insolvent += amount
    else:
        if batch.last_equity <= 0:  # the first that can be cut: what is needed is known
            solvent: uint256 = batch.open_interest - batch.insolvent
            batch.kept_size = -convert(min(batch.wanted, solvent), int256)
        if batch.taking and size * batch.kept_equity > batch.kept_size * equity:
            batch.kept_size += size
            batch.kept_equity += equity
        else:
            batch.taking = False
    batch.listed += amount
    return batch


@internal
@pure
def _follows(batch: IDeleverager.Batch, owner: address, size: int256, equity: int256) -> bool:
    """
    @dev Whether the account stands strictly after the last: insolvent, leverage, address.
    """
    if batch.listed == 0:
        return True
    if batch.last_equity <= 0 or equity <= 0:
        if (batch.last_equity <= 0) != (equity <= 0):
            return batch.last_equity <= 0
    else:
        last: int256 = batch.last_size * equity
        this: int256 = size * batch.last_equity
        if last != this:
            return last > this
    return convert(batch.last_owner, uint256) < convert(owner, uint256)


@internal
@view
def _standing(owner: address, batch: IDeleverager.Batch) -> (int256, int256):
    """
    @dev Size towards the winning side, and equity at the index.
    """
    account: ILiquidationRules.Account = ledger.account_at(owner, ledger.indices)
    return account.size * batch.side, margin_rules.equity(account, batch.price_wad)


# Internals: the cuts


@internal
def _with_cut(
    begun: IDeleverager.Batch, owners: DynArray[address, MAX_OWNERS]
) -> IDeleverager.Batch:
    batch: IDeleverager.Batch = begun
    given_up: int256 = 0
    for owner: address in owners:
        size: int256 = 0
        equity: int256 = 0
        (size, equity) = self._standing(owner, batch)
        over: int256 = size * batch.kept_equity - batch.kept_size * equity
        if equity <= 0 or over <= 0:
            continue
        cut: int256 = fixed_point.div_floor(batch.carry + over, batch.kept_equity)
        batch.carry = batch.carry + over - cut * batch.kept_equity
        if cut == 0:
            continue
        loss: uint256 = self._loss(batch, size, equity, cut)
        batch.left -= loss
        given_up += cut
        self._cut(owner, cut * batch.side, loss, batch.price_wad)
    batch.given_up += convert(given_up, uint256)
    batch.chunks_cut += 1
    if given_up != 0:
        self._move_to_backstop(given_up * batch.side, batch.price_wad)
    return batch


@internal
@view
def _loss(batch: IDeleverager.Batch, size: int256, equity: int256, cut: int256) -> uint256:
    if batch.loss == 0:
        return 0
    due: uint256 = fixed_point.mul_div_up(batch.loss, convert(cut, uint256), batch.failed)
    kept: uint256 = margin_rules.required(convert(size - cut, uint256), batch.price_wad)[1]
    bearable: uint256 = fixed_point.positive_part(equity - convert(kept, int256) - 1)
    return min(min(due, batch.left), bearable)


@internal
def _cut(owner: address, size: int256, loss: uint256, price_wad: uint256):
    """
    @dev Closes `size` of the account at the index, less the loss.
    """
    indices: int256 = ledger.indices
    before: ILiquidationRules.Account = empty(ILiquidationRules.Account)
    owed: int256 = 0
    (before, owed) = ledger.settled(owner, indices)
    cost: int256 = margin_rules.value_up(-size, price_wad)
    after: ILiquidationRules.Account = empty(ILiquidationRules.Account)
    realised: int256 = 0
    (after, realised) = position.changed(before, -size, cost, 0)
    gained: int256 = realised - convert(loss, int256)
    after.quote += gained
    after.funding_index_wad = ledger.index_of(after.size, indices)
    ledger.resize(before.size, after.size, after.entry - before.entry)
    ledger.claim(-gained, 0)
    ledger.store(owner, after)
    log IDeleverager.AccountDeleveraged(
        account=owner,
        size=size,
        loss=loss,
        funding=owed,
        size_after=after.size,
        entry_before=before.entry,
        entry_after=after.entry,
        quote_before=before.quote,
        quote_after=after.quote,
        price_wad=price_wad,
    )


@internal
def _move_to_backstop(size: int256, price_wad: uint256):
    indices: int256 = ledger.indices
    before: ILiquidationRules.Account = ledger.settled(ledger.POOL, indices)[0]
    after: ILiquidationRules.Account = position.taken_over(
        before, size, margin_rules.value_up(size, price_wad)
    )
    ledger.store_backstop(before, after, indices)
    log IDeleverager.BackstopChanged(
        size_before=before.size,
        size_after=after.size,
        entry_before=before.entry,
        entry_after=after.entry,
    )
