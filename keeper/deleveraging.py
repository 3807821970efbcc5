# SPDX-License-Identifier: MIT
"""
Who gives up what when losses are left after insurance (design 2.2, auto-deleveraging).

One batch per failed side: R the deficit left after insurance, Q the failed size, K the skew, and
for each account of the winning side, as of the start of the batch, size q and equity E at the
index S. The rate of loss is r = R / (Q S). All accounts share S, so it cancels out of order, cut
and loss, and N = q S is not computed. In order:

1. The pool is the other side of the skew, so it takes its own part first:

       own = min(Q, max(0, K * sign(failed)))

2. Who has E > 0 can be matched; the others are listed with a cut of zero (see below):

       need = min(Q - own, sum of q over E > 0);  the rest of Q stays with the pool

3. Nobody of them keeps more than lambda times his equity, and lambda is such that this is `need`:

       sum of max(0, q - lambda E) = need
       lambda = (sum of q - need) / (sum of E), both over the accounts that are cut

   Sum of max(0, q - lambda E) falls strictly in lambda until it is zero, so lambda is unique, and
   with the two sums as numerator and denominator so is its notation (0 / 0 when need = 0). It is
   the leverage with which all who are cut are left. No fixed point is chosen: a WAD of asset
   units per quote unit would be too coarse for a quote token of 18 decimals, where one step of
   lambda moves a cut by E / 1e18, a million units for a million dollars.

4. The exact cuts (q B - A E) / B, lambda = A / B, are whole only in sum. In order of the list the
   remainder is carried to the next:  x, carry = divmod(carry + q B - A E, B). So x is the exact
   cut within less than one unit, and the sum is `need` to the unit: no overshoot.

5. Losses, in the same order, the first two up, the third down, L what is left of R:

       loss = min(ceil(R x / Q), L, max(0, E - maintenance(q - x)))

   The third keeps everybody at maintenance or where he was. What is left of R is the pool's.

Order of the list: E <= 0 first, then by q / E descending; ties by address ascending. It decides
only where remainders go, and makes "nobody twice" checkable without storage.

Why E <= 0 is listed and not cut. Such an account can bear nothing, so what it gave up would move
r x onto the pool while it left at the index, free of the penalty; anyone may liquidate it
without pacing, and then it is a failure of the opposite batch. It is listed because completeness
is checked by sizes.

What holds (`tests/property/keeper/test_deleveraging.py`): splitting an account in proportion into
k changes its owner's cut by at most k units; any other split, or a wash trade, lowers it by at
most k units (max(0, q - lambda E) is subadditive, so a split raises lambda and lowers what the
others give). What does not: *losses* are limited by the account, so moving equity away from a
thin account leaves its loss to the pool. With E >= iota N, iota >= maintenance rate, that needs
r > iota: a deficit per unit, after insurance, over the whole initial margin. Buying the failed
side raises K and with it the pool's own part: the chain takes the nearer to zero of K and its mean.

Sources: the rule minimises the greatest leverage and is "leverage draining" in Campbell, Hey,
Moallemi, Nutz, "Risk-Based Auto-Deleveraging", arXiv 2603.15963. That no rule gives solvency,
revenue and fairness at once: Chitra, "Autodeleveraging: Impossibilities and Optimization", arXiv
2512.01112; here revenue gives way, the pool bears what accounts cannot. Its measure of a rule
is the overshoot, taken over needed.

Bounds: sizes of a side sum to at most 2**96, equities to less than 2**128, R < 2**128. Then every
product here is at most 2**224 and every sum of two under 2**225; nothing is signed but E and K.

A-11 of attacks.md: (N, E) = (60, 2), (100, 50), Q = 50, r = 10 %. By leverage 30 and 2 the first
gives all 50 and keeps 10 = 5 * 2; r x = 5 would leave it E = -3. With a maintenance of 5 % of what
remains, 0.5, it loses 1.5; the pool bears 3.5.

>>> batch = Batch(deficit=Quote(50), failed_size=Assets(500), price_wad=Wad(WAD), divisor=WAD,
...               skew=Assets(0))  # units of 0.1
>>> shorts = [Position(owner=Address("0x01"), size=Assets(-600), equity=Quote(20)),
...           Position(owner=Address("0x02"), size=Assets(-1000), equity=Quote(500))]
>>> done = deleverage(batch, shorts, lambda size: Quote(div_ceil(size * 5, 100)))
>>> [(cut.size, cut.loss) for cut in done.cuts], done.pool.loss
([(500, 15), (0, 0)], 35)
>>> done.leverage.size / done.leverage.equity
5.0
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from keeper.errors import Fault
from keeper.snapshot import Address
from keeper.units import (
    WAD,
    Assets,
    Quote,
    Wad,
    div_ceil,
    div_floor,
    mul_div_up,
    positive_part,
    sign,
)

MAX_SIZE = 2**96  # asset units of one side; the venue's skew scale is at most this
MAX_QUOTE = 2**128  # quote units, exclusive


class DeleveragingRefused(Fault):
    """A batch or a list that is not what the rule says; compute it anew from a fresh state."""


class OutOfBounds(DeleveragingRefused):
    """A number for which the products might not fit 256 bits."""

    def __init__(self, what: str, value: int) -> None:
        super().__init__(f"{what} out of bounds: {value}")


class _OfAccount(DeleveragingRefused):
    def __init__(self, owner: Address, expected: str) -> None:
        self.owner = owner
        super().__init__(f"{owner}: expected {expected}")


class UnknownAccount(_OfAccount):
    """Listed, but without a position on the winning side."""


class DoubledAccount(_OfAccount):
    """Two positions of one owner."""


class WrongOrder(_OfAccount):
    """Not strictly after the account before: out of order, or listed twice."""


class WrongSize(_OfAccount):
    """Gives up another size than the rule says."""


class WrongLoss(_OfAccount):
    """Is charged another loss than the rule says."""


class Incomplete(DeleveragingRefused):
    """The sizes listed are not the open interest of the winning side."""

    def __init__(self, listed: int, open_interest: int) -> None:
        super().__init__(f"expected open interest {open_interest} listed, was {listed}")


class WrongLeverage(DeleveragingRefused):
    """Lambda is not that of the accounts which it cuts."""

    def __init__(self, given: Leverage, size: int, equity: int) -> None:
        super().__init__(f"expected lambda {size} / {equity}, was {given.size} / {given.equity}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """An account as of the start of the batch, never the backstop."""

    owner: Address
    size: Assets  # long positive
    equity: Quote  # at the index; may be negative


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """
    The failures of one side.

    Parameters
    ----------
    deficit : Quote
        Losses left after insurance, not negative.
    failed_size : Assets
        What the backstop took from the failed accounts; the sign is their side. With zero there
        is no winning side and the pool bears all.
    price_wad : Wad
        Index price at the start of the batch.
    divisor : int
        quote = assets * price_wad / divisor.
    skew : Assets
        Signed sizes of all accounts, the backstop included, at the start of the batch; its mean
        over 30 minutes where that is nearer to zero, because K can be pushed for a moment.
    """

    deficit: Quote
    failed_size: Assets
    price_wad: Wad
    divisor: int
    skew: Assets

    @property
    def pool_size(self) -> Assets:
        """Return the part of the failed size that the pool itself is the other side of."""
        toward = positive_part(self.skew * sign(self.failed_size))
        return Assets(min(abs(self.failed_size), toward))

    @property
    def loss_rate_wad(self) -> Wad:
        """Return r, the deficit as a share of the failed notional, up; zero without a size."""
        notional = abs(self.failed_size) * self.price_wad
        return Wad(div_ceil(self.deficit * self.divisor * WAD, notional)) if notional else Wad(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leverage:
    """Lambda = size / equity: of all accounts that are cut together, after the cut."""

    size: Assets
    equity: Quote


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What an account gives up; zero for those that are only listed."""

    owner: Address
    size: Assets  # unsigned
    loss: Quote


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPart:
    """What is left to the pool; the three sizes, with those of the cuts, sum to Q."""

    own: Assets  # as the other side of the skew
    unmatched: Assets  # because nobody solvent is there
    loss: Quote  # deficit less what the accounts lose


@dataclass(frozen=True, slots=True, kw_only=True)
class Deleveraging:
    """The list for the chain, in the order that it checks."""

    cuts: tuple[Cut, ...]
    leverage: Leverage
    pool: PoolPart


def deleverage(
    batch: Batch, positions: Iterable[Position], maintenance: Callable[[Assets], Quote]
) -> Deleveraging:
    """
    Return who gives up what.

    Parameters
    ----------
    batch : Batch
        The failures.
    positions : iterable of Position
        All accounts of the venue but the backstop, in any order; one per owner. Those of the
        failed side and those without a size are passed over.
    maintenance : callable
        Maintenance margin of an unsigned size at the batch's price, quote, up; zero for zero.

    Raises
    ------
    OutOfBounds, DoubledAccount
        If the state cannot be that of a venue.
    """
    listed = sorted(_winners(batch, positions).values(), key=_rank)
    need = _need(batch, listed)
    leverage = _common_leverage(listed, need)
    cuts, carry, left = [], 0, batch.deficit
    for position in listed:
        size, carry = _size_given_up(position, leverage, carry)
        loss = _loss(batch, position, size, left, maintenance)
        left = Quote(left - loss)
        cuts.append(Cut(owner=position.owner, size=size, loss=loss))
    return Deleveraging(cuts=tuple(cuts), leverage=leverage, pool=_pool_part(batch, need, left))


def check(
    batch: Batch,
    positions: Iterable[Position],
    maintenance: Callable[[Assets], Quote],
    cuts: Sequence[Cut],
    leverage: Leverage,
) -> PoolPart:
    """
    Refuse a list that is not the rule's, and return what is left to the pool.

    What a contract does, in two passes over the list. The first needs no carry but the sums and
    the account before, the second none but `carry` and `left`, so that each can be done in
    chunks; no cut may be carried out before the first pass is through.

    Parameters
    ----------
    batch, positions, maintenance
        As for `deleverage`; on chain the state.
    cuts : sequence of Cut
        The list. A contract takes owners only and computes what this compares.
    leverage : Leverage
        Lambda, as proposed.

    Raises
    ------
    DeleveragingRefused
        The subclass names what is wrong.
    """
    winners = _winners(batch, positions)
    _require_bounds(leverage)
    listed = [_listed(winners, cut.owner) for cut in cuts]
    _check_list(listed, sum(abs(each.size) for each in winners.values()))
    need = _need(batch, listed)
    _check_leverage(listed, need, leverage)
    carry, left = 0, batch.deficit
    for position, cut in zip(listed, cuts, strict=True):
        size, carry = _size_given_up(position, leverage, carry)
        if cut.size != size:
            raise WrongSize(cut.owner, f"size {size}, was {cut.size}")
        loss = _loss(batch, position, size, left, maintenance)
        if cut.loss != loss:
            raise WrongLoss(cut.owner, f"loss {loss}, was {cut.loss}")
        left = Quote(left - loss)
    return _pool_part(batch, need, left)


def _check_list(listed: Sequence[Position], open_interest: int) -> None:
    """Refuse a list that is not strictly in order or not complete."""
    for before, position in pairwise(listed):
        if not _precedes(before, position):
            raise WrongOrder(position.owner, f"once, and after {before.owner} by the rule")
    size = sum(abs(position.size) for position in listed)
    if size != open_interest:
        raise Incomplete(size, open_interest)


def _check_leverage(listed: Sequence[Position], need: int, leverage: Leverage) -> None:
    """Refuse a lambda that is not (size cut accounts keep) / (their equity)."""
    size, equity = 0, 0
    for position in listed:
        if _is_cut(position, leverage):
            size += abs(position.size)
            equity += position.equity
    if size != leverage.size + need or equity != leverage.equity:
        raise WrongLeverage(leverage, size - need, equity)


def _common_leverage(listed: Sequence[Position], need: int) -> Leverage:
    """Return lambda: take in accounts in order while their leverage is over that of the taken."""
    size, equity = -need, 0
    for position in listed:
        if position.equity <= 0:
            continue
        if abs(position.size) * equity <= size * position.equity:
            break
        size += abs(position.size)
        equity += position.equity
    return Leverage(size=Assets(size), equity=Quote(equity))


def _is_cut(position: Position, leverage: Leverage) -> bool:
    """Return whether the account is solvent and its leverage over lambda."""
    if position.equity <= 0:
        return False
    return abs(position.size) * leverage.equity > leverage.size * position.equity


def _size_given_up(position: Position, leverage: Leverage, carry: int) -> tuple[Assets, int]:
    """Return the cut in whole units and the remainder, in units of 1 / leverage.equity."""
    if not _is_cut(position, leverage):
        return Assets(0), carry
    over = abs(position.size) * leverage.equity - leverage.size * position.equity
    size = div_floor(carry + over, leverage.equity)
    return Assets(size), carry + over - size * leverage.equity


def _loss(
    batch: Batch,
    position: Position,
    size: Assets,
    left: Quote,
    maintenance: Callable[[Assets], Quote],
) -> Quote:
    """Return what the account loses with its cut, up, if it can bear it and the deficit has it."""
    if size == 0:
        return Quote(0)
    due = mul_div_up(batch.deficit, size, abs(batch.failed_size))
    kept = maintenance(Assets(abs(position.size) - size))
    return Quote(min(due, left, positive_part(position.equity - kept)))


def _need(batch: Batch, listed: Sequence[Position]) -> Assets:
    """Return the size that solvent accounts give up together."""
    solvent = sum(abs(position.size) for position in listed if position.equity > 0)
    return Assets(min(abs(batch.failed_size) - batch.pool_size, solvent))


def _pool_part(batch: Batch, need: int, left: Quote) -> PoolPart:
    own = batch.pool_size
    unmatched = abs(batch.failed_size) - own - need
    return PoolPart(own=own, unmatched=Assets(unmatched), loss=left)


def _precedes(first: Position, second: Position) -> bool:
    """Return whether `first` stands strictly before: insolvent, leverage, address."""
    if first.equity <= 0 or second.equity <= 0:
        if (first.equity <= 0) != (second.equity <= 0):
            return first.equity <= 0
    else:
        left, right = abs(first.size) * second.equity, abs(second.size) * first.equity
        if left != right:
            return left > right
    return int(first.owner, 16) < int(second.owner, 16)


def _rank(position: Position) -> tuple[bool, int, int]:
    """
    Return a key that sorts as `_precedes`.

    Two different leverages differ by at least 1 / (E1 E2) > 2**-256, so this many bits after the
    point tell them apart.
    """
    address = int(position.owner, 16)
    if position.equity <= 0:
        return False, 0, address
    return True, -div_floor(abs(position.size) << 256, position.equity), address


def _winners(batch: Batch, positions: Iterable[Position]) -> dict[Address, Position]:
    """Return the positions opposite to the failed ones by owner, everything within bounds."""
    winners: dict[Address, Position] = {}
    for position in positions:
        if sign(position.size) * sign(batch.failed_size) >= 0:
            continue
        if position.owner in winners:
            raise DoubledAccount(position.owner, "one position")
        winners[position.owner] = position
    _require("deficit", batch.deficit, MAX_QUOTE - 1)
    _require("failed size", abs(batch.failed_size), MAX_SIZE)
    _require("skew", abs(batch.skew), MAX_SIZE)
    _require("open interest", sum(abs(each.size) for each in winners.values()), MAX_SIZE)
    equity = sum(positive_part(each.equity) for each in winners.values())
    _require("equity", equity, MAX_QUOTE - 1)
    return winners


def _require_bounds(leverage: Leverage) -> None:
    _require("size of lambda", leverage.size, MAX_SIZE)
    _require("equity of lambda", leverage.equity, MAX_QUOTE - 1)


def _require(what: str, value: int, most: int) -> None:
    if not 0 <= value <= most:
        raise OutOfBounds(what, value)


def _listed(winners: dict[Address, Position], owner: Address) -> Position:
    if owner not in winners:
        raise UnknownAccount(owner, "a position on the winning side")
    return winners[owner]
